//! Results of the format ARROW_STREAM.

use super::{Error, Result};
use arrow::{
    array::RecordBatch,
    ipc::reader::StreamReader,
    util::display::{ArrayFormatter, FormatOptions},
};

/// The batches of one chunk.
pub(super) fn batches(bytes: &[u8]) -> Result<Vec<RecordBatch>> {
    let broken = |error: arrow::error::ArrowError| {
        Error::unexpected(format!("a chunk of the result is no Arrow stream: {error}"))
    };
    let reader = StreamReader::try_new(bytes, None).map_err(broken)?;
    reader.map(|batch| batch.map_err(broken)).collect()
}

/// Its rows as text, `None` for NULL.
pub(super) fn rows(bytes: &[u8]) -> Result<Vec<Vec<Option<String>>>> {
    let options = FormatOptions::default();
    let mut rows = Vec::new();
    for batch in batches(bytes)? {
        let columns = batch.columns();
        let shown = |error: arrow::error::ArrowError| {
            Error::unexpected(format!("a value of the result cannot be shown: {error}"))
        };
        let formatters: Vec<ArrayFormatter<'_>> = columns
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).map_err(shown))
            .collect::<Result<_>>()?;
        for row in 0..batch.num_rows() {
            let value = |(column, formatter): (_, &ArrayFormatter<'_>)| {
                let column: &arrow::array::ArrayRef = column;
                match column.is_null(row) {
                    true => Ok(None),
                    false => formatter
                        .value(row)
                        .try_to_string()
                        .map(Some)
                        .map_err(shown),
                }
            };
            rows.push(
                columns
                    .iter()
                    .zip(&formatters)
                    .map(value)
                    .collect::<Result<_>>()?,
            );
        }
    }
    Ok(rows)
}
