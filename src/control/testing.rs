//! A reader of the statements we write, which shares no code with their writer, and a warehouse that acts on them.
//!
//! Past 500 lines: the warehouse acts on what the reader finds, and no other file needs the one without the other.

use super::{
    CatalogColumn, ControlError, Registered, Result, SqlRunner, Target,
    sql::{Principal, TableName},
};
use crate::{
    error::Kind,
    schema::{SchemaChange, types},
};
use arrow::datatypes::{DataType, Field};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
    str::Chars,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    /// A word or a number, upper case.
    Word(String),
    /// In backticks, read.
    Name(String),
    /// In single quotes, read.
    Text(String),
    Sign(char),
}

pub(crate) fn tokens(sql: &str) -> Vec<Token> {
    let mut chars = sql.chars().peekable();
    let mut out = Vec::new();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
        } else if c == '`' {
            out.push(Token::Name(name(&mut chars)));
        } else if c == '\'' {
            out.push(Token::Text(text(&mut chars)));
        } else if c.is_alphanumeric() || c == '_' {
            let mut word = String::new();
            while let Some(&c) = chars.peek().filter(|c| c.is_alphanumeric() || **c == '_') {
                word.push(c);
                chars.next();
            }
            out.push(Token::Word(word.to_uppercase()));
        } else {
            chars.next();
            out.push(Token::Sign(c));
        }
    }
    out
}

fn name(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut out = String::new();
    chars.next();
    loop {
        match chars.next().expect("a closing backtick") {
            '`' if chars.peek() == Some(&'`') => {
                chars.next();
                out.push('`');
            }
            '`' => return out,
            c => out.push(c),
        }
    }
}

fn text(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut out = String::new();
    chars.next();
    loop {
        match chars.next().expect("a closing quote") {
            '\'' => {
                assert_ne!(chars.peek(), Some(&'\''), "two literals in a row");
                return out;
            }
            '\\' => match chars.next().expect("an escaped character") {
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                'u' => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let code = u32::from_str_radix(&digits, 16).expect("four digits");
                    out.push(char::from_u32(code).expect("a character"));
                }
                c => out.push(c),
            },
            c => out.push(c),
        }
    }
}

/// A statement, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Read {
    CreateSchema(Vec<String>),
    CreateTable {
        table: Vec<String>,
        columns: Vec<Field>,
        location: String,
    },
    /// Each with the path of its struct.
    AddColumns(Vec<String>, Vec<(Vec<String>, Field)>),
    AlterType(Vec<String>, Vec<String>, DataType),
    Sync(Vec<String>),
}

/// Reads one statement; panics on what is none of ours.
pub(crate) fn read(sql: &str) -> Read {
    let mut reader = Reader {
        tokens: tokens(sql),
        at: 0,
    };
    let read = reader.statement();
    assert_eq!(
        reader.at,
        reader.tokens.len(),
        "text after the end of {sql}"
    );
    read
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Token {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().expect("more text")
    }

    fn accept(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(found);
        found
    }

    fn words(&mut self, words: &str) -> bool {
        let start = self.at;
        let all = words
            .split(' ')
            .all(|word| self.accept(&Token::Word(word.into())));
        if !all {
            self.at = start;
        }
        all
    }

    fn sign(&mut self, c: char) {
        assert!(
            self.accept(&Token::Sign(c)),
            "{c} in {:?} at {}",
            self.tokens,
            self.at
        );
    }

    fn path(&mut self) -> Vec<String> {
        let mut path = Vec::new();
        loop {
            match self.next() {
                Token::Name(name) => path.push(name),
                other => panic!("a quoted name, not {other:?}"),
            }
            if !self.accept(&Token::Sign('.')) {
                return path;
            }
        }
    }

    fn text(&mut self) -> String {
        match self.next() {
            Token::Text(text) => text,
            other => panic!("a literal, not {other:?}"),
        }
    }

    fn statement(&mut self) -> Read {
        if self.words("CREATE SCHEMA IF NOT EXISTS") {
            let schema = self.path();
            if self.words("COMMENT") {
                self.text();
            }
            Read::CreateSchema(schema)
        } else if self.words("CREATE TABLE IF NOT EXISTS") {
            self.create_table()
        } else if self.words("ALTER TABLE") {
            let table = self.path();
            if self.words("ADD COLUMNS") {
                self.sign('(');
                let columns = self.list(')', Self::column);
                Read::AddColumns(table, columns)
            } else {
                assert!(self.words("ALTER COLUMN"));
                let path = self.path();
                assert!(self.words("TYPE"));
                Read::AlterType(table, path, self.data_type())
            }
        } else {
            assert!(self.words("MSCK REPAIR TABLE"));
            let table = self.path();
            assert!(self.words("SYNC METADATA"));
            Read::Sync(table)
        }
    }

    fn create_table(&mut self) -> Read {
        let table = self.path();
        let mut columns = Vec::new();
        if self.accept(&Token::Sign('(')) {
            let found = self.list(')', Self::column);
            columns = found.into_iter().map(|(_, field)| field).collect();
        }
        assert!(self.words("USING DELTA"));
        for layout in ["PARTITIONED BY", "CLUSTER BY"] {
            if self.words(layout) {
                self.sign('(');
                self.list(')', Self::path);
            }
        }
        assert!(self.words("LOCATION"));
        let location = self.text();
        if self.words("COMMENT") {
            self.text();
        }
        if self.words("TBLPROPERTIES") {
            self.sign('(');
            self.list(')', |reader| {
                reader.text();
                reader.sign('=');
                reader.text()
            });
        }
        Read::CreateTable {
            table,
            columns,
            location,
        }
    }

    fn list<T>(&mut self, end: char, each: impl Fn(&mut Self) -> T) -> Vec<T> {
        let mut all = vec![each(self)];
        while self.accept(&Token::Sign(',')) {
            all.push(each(self));
        }
        self.sign(end);
        all
    }

    fn column(&mut self) -> (Vec<String>, Field) {
        let mut path = self.path();
        self.accept(&Token::Sign(':'));
        let data_type = self.data_type();
        let nullable = !self.words("NOT NULL");
        let mut field = Field::new(path.pop().expect("a name"), data_type, nullable);
        if self.words("COMMENT") {
            field = field.with_metadata([("comment".to_string(), self.text())].into());
        }
        (path, field)
    }

    fn number(&mut self) -> u8 {
        match self.next() {
            Token::Word(digits) => digits.parse().expect("a number"),
            other => panic!("a number, not {other:?}"),
        }
    }

    fn data_type(&mut self) -> DataType {
        let Token::Word(word) = self.next() else {
            panic!("a type in {:?} at {}", self.tokens, self.at);
        };
        match word.as_str() {
            "BOOLEAN" => DataType::Boolean,
            "TINYINT" => DataType::Int8,
            "SMALLINT" => DataType::Int16,
            "INT" => DataType::Int32,
            "BIGINT" => DataType::Int64,
            "FLOAT" => DataType::Float32,
            "DOUBLE" => DataType::Float64,
            "STRING" => DataType::Utf8,
            "BINARY" => DataType::Binary,
            "DATE" => DataType::Date32,
            "TIMESTAMP" => types::timestamp(),
            "TIMESTAMP_NTZ" => DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
            "DECIMAL" => {
                self.sign('(');
                let precision = self.number();
                self.sign(',');
                let scale = self.number() as i8;
                self.sign(')');
                DataType::Decimal128(precision, scale)
            }
            "ARRAY" => {
                self.sign('<');
                let element = self.data_type();
                self.sign('>');
                types::list_of(element)
            }
            "MAP" => {
                self.sign('<');
                let key = self.data_type();
                self.sign(',');
                let value = self.data_type();
                self.sign('>');
                types::map_of(key, value)
            }
            "STRUCT" => {
                self.sign('<');
                let fields = self.list('>', Self::column);
                DataType::Struct(fields.into_iter().map(|(_, field)| field).collect())
            }
            other => panic!("no type: {other}"),
        }
    }
}

/// Where the files of tables are: what a warehouse changes when it runs a statement.
#[async_trait::async_trait]
pub(crate) trait Lake: Send + Sync {
    /// Errors as a warehouse tells them.
    async fn alter(&self, location: &str, changes: &[SchemaChange]) -> Result<()>;

    /// The columns that a catalog takes from the log there; `None` for a catalog that tells none.
    fn columns(&self, _location: &str) -> Option<Vec<CatalogColumn>> {
        None
    }
}

/// What goes wrong with one statement.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Refused, nothing done.
    Refused(ControlError),
    /// Carried out, and the answer lost.
    Lost(ControlError),
    /// Carried out in the log and not in the catalog, and the answer lost.
    Behind(ControlError),
}

type Judge = Box<dyn Fn(&Read) -> Option<Fault> + Send + Sync>;

/// A catalog and a warehouse that reads its SQL. It stops when nobody has used it for ten minutes.
pub(crate) struct Scripted {
    pub(crate) lake: Arc<dyn Lake>,
    pub(crate) catalog: Mutex<BTreeMap<String, Registered>>,
    pub(crate) schemas: Mutex<BTreeSet<String>>,
    /// Every statement, with the time it was run at.
    pub(crate) journal: Mutex<Vec<(Instant, String)>>,
    /// What is wrong with a statement; nothing by default.
    pub(crate) judge: Mutex<Option<Judge>>,
    /// Why nothing is answered.
    pub(crate) unreachable: Mutex<Option<ControlError>>,
    /// Looks into the catalog.
    pub(crate) looks: AtomicUsize,
    /// Questions who we are.
    pub(crate) principals: AtomicUsize,
    /// Why it does not start.
    pub(crate) broken: Mutex<Option<ControlError>>,
    /// The catalog's columns stay as they are.
    pub(crate) is_stuck: Mutex<bool>,
    pub(crate) starts: Mutex<Vec<Instant>>,
    pub(crate) used: Mutex<Option<Instant>>,
    /// How long a start and a statement take.
    pub(crate) start_takes: Duration,
    pub(crate) statement_takes: Duration,
}

pub(crate) const AUTO_STOP: Duration = Duration::from_secs(600);

pub(crate) fn refused(kind: Kind, condition: &str) -> ControlError {
    ControlError::Statement {
        kind,
        condition: Some(condition.to_owned()),
        message: format!("[{condition}] no"),
    }
}

impl Scripted {
    pub(crate) fn new(lake: Arc<dyn Lake>) -> Arc<Self> {
        Arc::new(Self {
            lake,
            catalog: Mutex::default(),
            schemas: Mutex::default(),
            journal: Mutex::default(),
            judge: Mutex::default(),
            unreachable: Mutex::default(),
            looks: AtomicUsize::new(0),
            principals: AtomicUsize::new(0),
            broken: Mutex::default(),
            is_stuck: Mutex::default(),
            starts: Mutex::default(),
            used: Mutex::default(),
            start_takes: Duration::from_secs(4),
            statement_takes: Duration::from_millis(500),
        })
    }

    pub(crate) fn statements(&self) -> Vec<String> {
        let journal = self.journal.lock();
        journal.iter().map(|(_, sql)| sql.clone()).collect()
    }

    pub(crate) fn register(&self, target: &Target, kind: &str, location: &str) {
        let registered = Registered {
            kind: kind.into(),
            format: Some("DELTA".into()),
            location: Some(location.into()),
            columns: self.lake.columns(location),
        };
        let mut catalog = self.catalog.lock();
        catalog.insert(target.name.full_name(), registered);
    }

    pub(crate) fn fails(&self, judge: impl Fn(&Read) -> Option<Fault> + Send + Sync + 'static) {
        *self.judge.lock() = Some(Box::new(judge));
    }

    fn is_running(&self) -> bool {
        self.used
            .lock()
            .is_some_and(|used| used.elapsed() < AUTO_STOP)
    }

    /// The catalog has what the log shows after a statement about a table it knows.
    fn take_over(&self, read: &Read) {
        if *self.is_stuck.lock() {
            return;
        }
        if let Read::AddColumns(table, _) | Read::AlterType(table, ..) | Read::Sync(table) = read
            && let Some(known) = self.catalog.lock().get_mut(&table.join(".").to_lowercase())
        {
            let at = known.location.as_deref().unwrap_or_default();
            known.columns = self.lake.columns(at);
        }
    }

    async fn carry_out(&self, read: &Read) -> Result<()> {
        let full = |path: &[String]| path.join(".").to_lowercase();
        let changes: Vec<SchemaChange> = match read {
            Read::CreateSchema(schema) => {
                self.schemas.lock().insert(full(schema));
                return Ok(());
            }
            Read::CreateTable {
                table, location, ..
            } => {
                if !self.schemas.lock().contains(&full(&table[..2])) {
                    return Err(refused(Kind::InvalidData, "SCHEMA_NOT_FOUND"));
                }
                let registered = Registered {
                    kind: "EXTERNAL".into(),
                    format: Some("DELTA".into()),
                    location: Some(location.clone()),
                    columns: self.lake.columns(location),
                };
                self.catalog.lock().entry(full(table)).or_insert(registered);
                return Ok(());
            }
            Read::AddColumns(_, columns) => columns
                .iter()
                .map(|(parent, field)| SchemaChange::AddColumn {
                    parent: parent.clone(),
                    field: Arc::new(field.clone()),
                })
                .collect(),
            Read::AlterType(_, path, to) => vec![SchemaChange::Widen {
                path: path.clone(),
                to: to.clone(),
            }],
            Read::Sync(_) => Vec::new(),
        };
        let (Read::AddColumns(table, _) | Read::AlterType(table, ..) | Read::Sync(table)) = read
        else {
            return Ok(());
        };
        let known = self.catalog.lock().get(&full(table)).cloned();
        let Some(location) = known.and_then(|known| known.location) else {
            return Err(refused(Kind::InvalidData, "TABLE_OR_VIEW_NOT_FOUND"));
        };
        match changes.is_empty() {
            true => Ok(()),
            false => self.lake.alter(&location, &changes).await,
        }
    }
}

#[async_trait::async_trait]
impl SqlRunner for Scripted {
    async fn find_table(&self, table: &TableName) -> Result<Option<Registered>> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        match self.unreachable.lock().clone() {
            Some(error) => Err(error),
            None => Ok(self.catalog.lock().get(&table.full_name()).cloned()),
        }
    }

    async fn ensure_running(&self) -> Result<()> {
        let unreachable = self.unreachable.lock().clone();
        if let Some(error) = unreachable.or_else(|| self.broken.lock().clone()) {
            return Err(error);
        }
        if !self.is_running() {
            self.starts.lock().push(Instant::now());
            tokio::time::sleep(self.start_takes).await;
        }
        *self.used.lock() = Some(Instant::now());
        Ok(())
    }

    async fn run(&self, sql: &str) -> Result<()> {
        assert!(self.is_running(), "a statement must not start a warehouse");
        self.journal.lock().push((Instant::now(), sql.to_owned()));
        tokio::time::sleep(self.statement_takes).await;
        *self.used.lock() = Some(Instant::now());
        let read = read(sql);
        let fault = self.judge.lock().as_ref().and_then(|judge| judge(&read));
        match fault {
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::Lost(error)) => {
                self.carry_out(&read).await?;
                self.take_over(&read);
                Err(error)
            }
            Some(Fault::Behind(error)) => self.carry_out(&read).await.and(Err(error)),
            None => {
                self.carry_out(&read).await?;
                self.take_over(&read);
                Ok(())
            }
        }
    }

    async fn principal(&self) -> Result<Principal> {
        self.principals.fetch_add(1, Ordering::Relaxed);
        Ok(Principal("app-1".into()))
    }
}
