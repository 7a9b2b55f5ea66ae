//! The results of a statement, chunk by chunk.

use super::{
    Column, Error, Format, Kind, Manifest, Outcome, Result, Statements,
    answer::{Link, ResultData},
    arrow_stream,
    run::at,
};
use crate::databricks::{Call, StatementId};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::collections::VecDeque;

/// A link that ends within so many seconds is asked for anew rather than tried.
const MARGIN_SECONDS: i64 = 30;
/// How often a chunk's link is asked for anew.
const MOST_LINKS: u32 = 3;

/// One chunk of a result.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// Rows of values as text, `None` for NULL.
    Rows(Vec<Vec<Option<String>>>),
    /// The bytes of a file in the format that was asked for. The first of CSV begins with the header, the others do not;
    /// each of ARROW_STREAM is a stream of its own.
    Bytes(Bytes),
}

/// All rows of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<String>>>,
    /// Whether a limit cut it off.
    pub truncated: bool,
}

impl Rows {
    /// The values of the column with this name.
    pub fn column<'a>(
        &'a self,
        name: &str,
    ) -> Option<impl Iterator<Item = Option<&'a str>> + use<'a>> {
        let at = self
            .columns
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))?;
        Some(self.rows.iter().map(move |row| row.get(at)?.as_deref()))
    }
}

/// The chunks of a result, in their order.
#[derive(Debug)]
pub struct Results {
    statements: Statements,
    id: StatementId,
    manifest: Manifest,
    /// What came and was not handed out.
    here: Option<Vec<Vec<Option<String>>>>,
    links: VecDeque<Link>,
    /// The chunk to ask for next.
    next: Option<u64>,
    /// The last chunk that was handed out or is about to be.
    last: Option<u64>,
}

impl Statements {
    /// The results of a statement; nothing is asked for yet.
    ///
    /// Errors: `NotFound` if they can no longer be read.
    pub fn results(&self, outcome: Outcome) -> Result<Results> {
        if outcome.closed {
            return Err(Error::told(
                Kind::NotFound,
                format!(
                    "the results are closed, an hour after success at the latest; run the statement again, statement=`{}`",
                    outcome.statement
                ),
            ));
        }
        let mut results = Results {
            statements: self.clone(),
            id: outcome.statement,
            manifest: outcome.manifest.unwrap_or_default(),
            here: None,
            links: VecDeque::new(),
            next: None,
            last: None,
        };
        results.take(outcome.first)?;
        Ok(results)
    }

    /// All rows of a result, which must fit into memory; of CSV the values have no types and no NULL.
    pub async fn rows(&self, outcome: Outcome) -> Result<Rows> {
        let mut results = self.results(outcome)?;
        let mut rows = Rows {
            columns: results.manifest.schema.columns.clone(),
            rows: Vec::new(),
            truncated: results.manifest.truncated,
        };
        let mut header = true;
        while let Some(chunk) = results.next().await? {
            match chunk {
                Chunk::Rows(chunk) => rows.rows.extend(chunk),
                Chunk::Bytes(bytes) if results.manifest.format == Format::Csv.to_string() => {
                    rows.rows.extend(csv_rows(&bytes, header)?);
                }
                Chunk::Bytes(bytes) => rows.rows.extend(arrow_stream::rows(&bytes)?),
            }
            header = false;
        }
        Ok(rows)
    }
}

impl Results {
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The next chunk, `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Chunk>> {
        loop {
            if let Some(rows) = self.here.take() {
                return Ok(Some(Chunk::Rows(rows)));
            }
            if let Some(link) = self.links.pop_front() {
                return self.fetch(link).await.map(Some);
            }
            let Some(next) = self.next.take() else {
                return Ok(None);
            };
            let data = self.ask(next).await?;
            self.take(data)?;
        }
    }

    /// What an answer brings, and what comes after it.
    fn take(&mut self, data: ResultData) -> Result<()> {
        let links = data.external_links.unwrap_or_default();
        let came = data
            .chunk_index
            .or_else(|| links.first().map(|link| link.chunk_index));
        let came = came.or_else(|| {
            data.data_array
                .is_some()
                .then_some(self.last.map_or(0, |last| last + 1))
        });
        let next = match links.last() {
            Some(link) => link.next_chunk_index,
            None => data.next_chunk_index,
        };
        let reached = links.iter().map(|link| link.chunk_index).chain(came).max();
        // A service that leads in a circle would be followed for ever.
        if let Some(next) = next
            && reached.is_none_or(|reached| next <= reached)
        {
            return Err(Error::unexpected(format!(
                "the chunks of the result do not go on, statement=`{}` chunk=`{}` next=`{next}`",
                self.id,
                reached.unwrap_or_default()
            )));
        }
        self.last = reached.or(self.last);
        self.here = data.data_array;
        self.links = links.into();
        self.next = next;
        Ok(())
    }

    async fn ask(&self, chunk: u64) -> Result<ResultData> {
        let call = Call::get(at(&self.id, &format!("/result/chunks/{chunk}")));
        self.statements.workspace.send(call).await
    }

    /// A chunk by its link; a link that has expired is asked for anew.
    async fn fetch(&self, mut link: Link) -> Result<Chunk> {
        let mut asked = 0;
        loop {
            let headers = link.http_headers.clone().unwrap_or_default();
            let fetched = match has_ended(&link) && asked < MOST_LINKS {
                true => None,
                false => Some(
                    self.statements
                        .workspace
                        .fetch_external(&link.external_link, &headers)
                        .await,
                ),
            };
            match fetched {
                Some(Ok(bytes)) => return self.read(bytes),
                Some(Err(error)) if asked >= MOST_LINKS || !of_the_link(error.kind()) => {
                    return Err(error);
                }
                _ => {}
            }
            asked += 1;
            link = self.renewed(link.chunk_index).await?;
        }
    }

    async fn renewed(&self, chunk: u64) -> Result<Link> {
        let links = self.ask(chunk).await?.external_links.unwrap_or_default();
        links
            .into_iter()
            .find(|link| link.chunk_index == chunk)
            .ok_or_else(|| {
                Error::unexpected(format!(
                    "the service gives no link to the chunk, statement=`{}` chunk=`{chunk}`",
                    self.id
                ))
            })
    }

    fn read(&self, bytes: Bytes) -> Result<Chunk> {
        if self.manifest.format != Format::JsonArray.to_string() {
            return Ok(Chunk::Bytes(bytes));
        }
        serde_json::from_slice(&bytes).map(Chunk::Rows).map_err(|error| {
            // The parser's error could quote a value.
            Error::unexpected(format!(
                "a chunk of the result is no JSON array of rows, statement=`{}` line=`{}` column=`{}`",
                self.id,
                error.line(),
                error.column()
            ))
        })
    }
}

/// By its own word and our clock.
fn has_ended(link: &Link) -> bool {
    let ends = link
        .expiration
        .as_deref()
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    ends.is_some_and(|ends| (ends.to_utc() - Utc::now()).num_seconds() < MARGIN_SECONDS)
}

/// What storage answers to a link that has ended.
fn of_the_link(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::PermissionDenied | Kind::Unauthenticated | Kind::NotFound | Kind::InvalidParameter
    )
}

fn csv_rows(bytes: &[u8], header: bool) -> Result<Vec<Vec<Option<String>>>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(header)
        .flexible(true)
        .from_reader(bytes);
    let row = |record: csv::Result<csv::StringRecord>| {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            Error::unexpected(format!("a chunk of the result is no CSV, line=`{line}`"))
        })?;
        Ok(record.iter().map(|value| Some(value.to_owned())).collect())
    };
    reader.records().map(row).collect()
}
