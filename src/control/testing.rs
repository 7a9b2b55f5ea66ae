//! A reader of the statements we write, as far as tests act on them. It shares no code with their writer.

use crate::schema::types;
use arrow::datatypes::{DataType, Field};
use std::{iter::Peekable, str::Chars};

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
    Comment(Vec<String>, String),
    Sync(Vec<String>),
    Detail(Vec<String>),
    CurrentUser,
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
        } else if self.words("COMMENT ON TABLE") {
            let table = self.path();
            assert!(self.words("IS"));
            Read::Comment(table, self.text())
        } else if self.words("MSCK REPAIR TABLE") {
            let table = self.path();
            assert!(self.words("SYNC METADATA"));
            Read::Sync(table)
        } else if self.words("DESCRIBE DETAIL") {
            Read::Detail(self.path())
        } else {
            assert!(self.words("SELECT CURRENT_USER"));
            self.sign('(');
            self.sign(')');
            Read::CurrentUser
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
