//! What a file is: by its name, then by its first bytes.

use super::{
    FilesError,
    csv::CsvReader,
    csv_types::CsvTypes,
    input::{Input, ReadAhead, Reading},
    json_stream::{JsonStreamReader, Layout},
    ndjson::NdjsonReader,
    parquet::ParquetReader,
    records::RecordReader,
    text::{TextFile, io_failed, is_space},
};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use std::path::Path;

/// How records lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One JSON value a line.
    Ndjson,
    /// One JSON array.
    JsonArray,
    /// JSON values one after another, over several lines each.
    JsonSequence,
    Csv,
    /// CSV with tabs.
    Tsv,
    Parquet,
}

impl Format {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::JsonArray => "json array",
            Self::JsonSequence => "json values",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Parquet => "parquet",
        }
    }

    /// The separator, if it is a kind of CSV.
    pub(crate) fn separator(self) -> Option<u8> {
        match self {
            Self::Csv => Some(b','),
            Self::Tsv => Some(b'\t'),
            _ => None,
        }
    }
}

/// What the file's bytes are wrapped in. Parquet compresses inside, so for it this is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

/// Tells the format. Compression is what the first bytes say, whatever the name; the format is the
/// extension's before `.gz` or `.zst`, and what the content begins with for `.json` and for unknown names.
pub(crate) fn detect(
    input: &Input,
    reading: &Reading,
) -> Result<(Format, Compression), FilesError> {
    let path: &str = input.name();
    let reading = Reading {
        ahead: ReadAhead::HEAD,
        ..reading.clone()
    };
    let mut source = input.open(&reading)?;
    let head = source
        .peek(4)
        .map_err(|e| io_failed(path, Compression::None, 0, e))?;
    if head.starts_with(b"PAR1") {
        return Ok((Format::Parquet, Compression::None));
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return Err(FilesError::Utf16(path.to_owned()));
    }
    let compression = if head.starts_with(b"\x1f\x8b") {
        Compression::Gzip
    } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
        Compression::Zstd
    } else {
        Compression::None
    };
    let by_content = || {
        let text = TextFile::over(source, path, compression, &reading)?;
        by_content(text)
    };
    let format = match extension(path).as_deref() {
        Some("ndjson" | "jsonl") => Format::Ndjson,
        Some("csv") => Format::Csv,
        Some("tsv") => Format::Tsv,
        Some("parquet" | "pq") => {
            return Err(FilesError::Damaged {
                path: path.to_owned(),
                records: 0,
                problem: "the file is not Parquet: it does not begin with PAR1".into(),
            });
        }
        Some("json") => by_content()?.unwrap_or(Format::Ndjson),
        _ => by_content()?.ok_or_else(|| FilesError::UnknownFormat(path.to_owned()))?,
    };
    Ok((format, compression))
}

/// Whether a folder's file of this name is taken as input.
pub(crate) fn is_known_name(path: &Path) -> bool {
    path.to_str().and_then(extension).is_some_and(|extension| {
        matches!(
            extension.as_str(),
            "ndjson" | "jsonl" | "json" | "csv" | "tsv" | "parquet" | "pq"
        )
    })
}

/// Opens an input at its first record.
pub(crate) fn open(
    input: &Input,
    format: Format,
    compression: Compression,
    types: &CsvTypes,
    reading: &Reading,
) -> Result<Box<dyn RecordReader>, FilesError> {
    let text = || TextFile::open(input, compression, reading);
    let csv = |separator| CsvReader::open(input, compression, separator, types, reading);
    Ok(match format {
        Format::Ndjson => Box::new(NdjsonReader::new(text()?)),
        Format::JsonArray => Box::new(JsonStreamReader::new(text()?, Layout::Array)),
        Format::JsonSequence => Box::new(JsonStreamReader::new(text()?, Layout::Sequence)),
        Format::Csv => Box::new(csv(b',')?),
        Format::Tsv => Box::new(csv(b'\t')?),
        Format::Parquet => Box::new(ParquetReader::open(input, reading)?),
    })
}

/// The extension in lower case, before that of the compression.
fn extension(path: &str) -> Option<String> {
    let name = Path::new(path).file_name()?.to_str()?.to_ascii_lowercase();
    let name = name
        .strip_suffix(".gz")
        .or_else(|| name.strip_suffix(".gzip"))
        .or_else(|| name.strip_suffix(".zst"))
        .or_else(|| name.strip_suffix(".zstd"))
        .unwrap_or(&name);
    name.rsplit_once('.')
        .map(|(_, extension)| extension.to_owned())
}

/// `None` where the text begins with neither an array nor an object. An object that goes on past its
/// first line is one of a sequence; otherwise lines are records, so that a broken one harms no other.
fn by_content(mut text: TextFile) -> Result<Option<Format>, FilesError> {
    loop {
        let bytes = text.fill()?;
        if bytes.is_empty() {
            return Ok(Some(Format::Ndjson));
        }
        let Some(at) = bytes.iter().position(|&b| !is_space(b)) else {
            let n = bytes.len();
            text.consume(n);
            continue;
        };
        let rest = &bytes[at..];
        return Ok(match rest.first() {
            Some(b'[') => Some(Format::JsonArray),
            Some(b'{') => {
                let line = memchr::memchr(b'\n', rest).map_or(rest, |end| &rest[..end]);
                let continues =
                    serde_json::from_slice::<IgnoredAny>(line).is_err_and(|e| e.is_eof());
                Some(match continues {
                    true => Format::JsonSequence,
                    false => Format::Ndjson,
                })
            }
            _ => None,
        });
    }
}
