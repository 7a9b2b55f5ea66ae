//! Results of statements, chunk by chunk: a table, one JSON document, CSV, an Arrow stream.

use super::{
    session::Session,
    show::{cell, table},
};
use crate::{
    databricks::statements::{Chunk, Column, Outcome, Results, Statements},
    error::{Error, Kind, Result},
};
use arrow::ipc::{reader::StreamReader, writer::StreamWriter};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::Path,
};

/// Rows of a table on a terminal; the other forms have all.
const MOST_SHOWN: usize = 1_000;

/// The form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// Columns for people; the first thousand rows
    Table,
    /// One document: `columns`, and `rows` as arrays of texts and nulls
    Json,
    /// As the service writes it, with a head
    Csv,
    /// One Arrow IPC stream
    Arrow,
}

/// Where bytes go: stdout, or a file.
pub(super) struct Sink {
    out: Box<dyn Write>,
    /// The file that bytes go to, until the first of them: what stood in it stays as long as there is nothing to take its place.
    old: Option<File>,
    name: String,
    /// It is stdout, and people look at it.
    terminal: bool,
    /// Where it goes was told.
    told: bool,
    /// Whoever read stdout has gone (`| head`), so the rest is not wanted.
    gone: bool,
}

impl Sink {
    /// # Errors
    /// Config for a file that cannot be made, and for `binary` on a terminal.
    pub(super) fn open(output: Option<&Path>, binary: bool) -> Result<Self> {
        let file = output.filter(|path| *path != Path::new("-"));
        let name = file.map_or_else(|| "stdout".to_owned(), |path| path.display().to_string());
        let opened = file.map(|path| {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            let regular = file.metadata()?.is_file();
            let old = regular.then(|| file.try_clone()).transpose()?;
            Ok((file, old))
        });
        let opened = opened.transpose().map_err(|error: io::Error| {
            Error::new(
                Kind::Config,
                format!("cannot write: {error}, file=`{name}`"),
            )
        })?;
        let terminal = opened.is_none() && io::stdout().is_terminal();
        let (out, old): (Box<dyn Write>, _) = match opened {
            Some((file, old)) => (Box::new(io::BufWriter::new(file)), old),
            None => (Box::new(io::stdout()), None),
        };
        let sink = Self {
            terminal,
            out,
            old,
            name,
            told: output.is_some(),
            gone: false,
        };
        match binary {
            true => sink.binary(),
            false => Ok(sink),
        }
    }

    /// The same, unless it is a terminal, which bytes would spoil.
    fn binary(self) -> Result<Self> {
        match self.terminal {
            true => Err(Error::new(
                Kind::Config,
                "this is binary and stdout is a terminal: give a file with --output, or a pipe",
            )),
            false => Ok(self),
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match self.gone {
            true => Ok(()),
            false => self.replace().and_then(|()| self.out.write_all(bytes)),
        };
        self.settle(written)
    }

    pub(super) fn end(mut self) -> Result<()> {
        let flushed = self.replace().and_then(|()| self.out.flush());
        self.settle(flushed)
    }

    fn replace(&mut self) -> io::Result<()> {
        self.old.take().map_or(Ok(()), |file| file.set_len(0))
    }

    fn settle(&mut self, written: io::Result<()>) -> Result<()> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.gone = true;
                Ok(())
            }
            Err(error) => Err(Error::new(
                Kind::Unavailable,
                format!("cannot write: {error}, file=`{}`", self.name),
            )),
            Ok(()) => Ok(()),
        }
    }
}

/// For Arrow's writer.
impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes)
            .map_err(|error| io::Error::other(error.to_string()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints the result of a statement that has succeeded. `sink`: opened by the caller, before it asks for what cannot be put there.
pub(super) async fn print(
    session: &Session,
    outcome: Outcome,
    form: Option<Form>,
    mut sink: Sink,
) -> Result<()> {
    let statement = outcome.statement.clone();
    let mut results = Statements::new(&session.workspace).results(outcome)?;
    match (results.manifest().format.as_str(), form) {
        ("CSV", _) => {
            while let Some(chunk) = next(&mut results, &sink).await? {
                match chunk {
                    Chunk::Bytes(bytes) => sink.put(&bytes)?,
                    Chunk::Rows(_) => return Err(unexpected("rows where CSV was asked for")),
                }
            }
            sink.end()
        }
        ("ARROW_STREAM", _) => arrow(&mut results, sink.binary()?).await,
        (_, Some(Form::Table)) => people(&mut results, sink).await,
        (_, None) if !session.show.is_json() && !sink.told => people(&mut results, sink).await,
        _ => {
            let head = json!({
                "statement_id": statement,
                "state": "SUCCEEDED",
                "columns": columns(&results.manifest().schema.columns),
                "total_row_count": results.manifest().total_row_count,
                "truncated": results.manifest().truncated,
            });
            programs(&mut results, &head, sink).await
        }
    }
}

async fn next(results: &mut Results, sink: &Sink) -> Result<Option<Chunk>> {
    match sink.gone {
        true => Ok(None),
        false => Ok(results.next().await?),
    }
}

fn columns(columns: &[Column]) -> Value {
    let column = |column: &Column| json!({"name": column.name, "type": column.type_text});
    columns.iter().map(column).collect()
}

/// `head` with `rows` as its last field, a row a line; no more than one chunk is held.
async fn programs(results: &mut Results, head: &Value, mut sink: Sink) -> Result<()> {
    let head = head.to_string();
    let open = head.strip_suffix('}').unwrap_or(&head);
    sink.put(format!("{open},\"rows\":[").as_bytes())?;
    let mut between = "\n";
    while let Some(chunk) = next(results, &sink).await? {
        let Chunk::Rows(rows) = chunk else {
            return Err(unexpected("bytes where rows were asked for"));
        };
        let mut text = String::new();
        for row in &rows {
            text.push_str(between);
            text.push_str(&json!(row).to_string());
            between = ",\n";
        }
        sink.put(text.as_bytes())?;
    }
    sink.put(b"]}\n")?;
    sink.end()
}

async fn people(results: &mut Results, mut sink: Sink) -> Result<()> {
    let names: Vec<String> = results
        .manifest()
        .schema
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let (total, truncated) = (
        results.manifest().total_row_count,
        results.manifest().truncated,
    );
    let mut shown: Vec<Vec<String>> = Vec::new();
    'chunks: while let Some(chunk) = results.next().await? {
        let Chunk::Rows(rows) = chunk else {
            return Err(unexpected("bytes where rows were asked for"));
        };
        for row in rows {
            if shown.len() == MOST_SHOWN {
                break 'chunks;
            }
            shown.push(
                row.iter()
                    .map(|value| value.as_deref().map_or_else(|| "NULL".to_owned(), cell))
                    .collect(),
            );
        }
    }
    let count = shown.len() as u64;
    if names.is_empty() {
        sink.put(b"done\n")?;
    } else {
        let head: Vec<&str> = names.iter().map(String::as_str).collect();
        sink.put(table(&head, shown).as_bytes())?;
    }
    if total > count {
        sink.put(
            format!("{count} of {total} rows; --format json or csv has them all\n").as_bytes(),
        )?;
    }
    if truncated {
        sink.put(b"the service cut the result off at a limit\n")?;
    }
    sink.end()
}

/// The service's chunks are streams of their own; readers want one.
async fn arrow(results: &mut Results, sink: Sink) -> Result<()> {
    let broken = |error: arrow::error::ArrowError| {
        unexpected(&format!("a chunk that is no Arrow stream: {error}"))
    };
    let mut writer: Option<StreamWriter<Sink>> = None;
    let mut sink = Some(sink);
    while let Some(chunk) = results.next().await? {
        let Chunk::Bytes(bytes) = chunk else {
            return Err(unexpected("rows where an Arrow stream was asked for"));
        };
        let reader = StreamReader::try_new(bytes.as_ref(), None).map_err(broken)?;
        if let Some(sink) = sink.take() {
            writer = Some(StreamWriter::try_new(sink, &reader.schema()).map_err(broken)?);
        }
        for batch in reader {
            if let Some(writer) = &mut writer {
                writer.write(&batch.map_err(broken)?).map_err(broken)?;
            }
        }
    }
    match writer {
        Some(writer) => writer.into_inner().map_err(broken)?.end(),
        None => sink.map_or(Ok(()), Sink::end),
    }
}

fn unexpected(what: &str) -> Error {
    Error::new(Kind::Unavailable, format!("the service answered {what}"))
}
