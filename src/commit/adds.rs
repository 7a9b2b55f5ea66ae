//! `add` actions of data files: paths, partition values and statistics as the protocol spells them.

use super::error::{CommitError, Result};
use crate::event::DataFile;
use arrow::{
    array::{
        Array, ArrayRef, Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray,
        StringBuilder, StructArray,
    },
    datatypes::{DataType, Field, Schema, SchemaRef},
    json::ReaderBuilder,
};
use std::{fmt::Write, sync::Arc};

/// The add metadata that the kernel takes (`Transaction::add_files_schema`), a row per file.
///
/// # Errors
/// [`CommitError::Statistics`] where a file's statistics are not JSON of the table's types.
pub(super) fn batch(table: &str, files: &[DataFile], stats: &SchemaRef) -> Result<RecordBatch> {
    let paths: StringArray = files
        .iter()
        .map(|file| Some(encode_path(&file.path)))
        .collect();
    let sizes: Int64Array = files.iter().map(|file| to_i64(file.size)).collect();
    let times: Int64Array = files.iter().map(|file| file.modification_time).collect();
    let partition_values =
        partition_values(files).map_err(|error| CommitError::corrupt(table, "write to", error))?;
    let stats = statistics(table, files, stats)?;
    let schema = Schema::new(vec![
        Field::new("path", DataType::Utf8, false),
        Field::new(
            "partitionValues",
            partition_values.data_type().clone(),
            false,
        ),
        Field::new("size", DataType::Int64, false),
        Field::new("modificationTime", DataType::Int64, false),
        Field::new("stats", stats.data_type().clone(), true),
    ]);
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(paths),
            partition_values,
            Arc::new(sizes),
            Arc::new(times),
            stats,
        ],
    )
    .map_err(|error| CommitError::corrupt(table, "write to", error))
}

fn to_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn partition_values(files: &[DataFile]) -> Result<ArrayRef, arrow::error::ArrowError> {
    let names = MapFieldNames {
        entry: "key_value".into(),
        key: "key".into(),
        value: "value".into(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for file in files {
        for (name, value) in &file.partition_values {
            builder.keys().append_value(name);
            // An empty string is null in the protocol's spelling.
            builder
                .values()
                .append_option(value.as_deref().filter(|value| !value.is_empty()));
        }
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

/// Reads the files' statistics as the table's types, so that the kernel can check those that a
/// table requires; it spells them as JSON again.
fn statistics(table: &str, files: &[DataFile], schema: &SchemaRef) -> Result<ArrayRef> {
    let fault = |file: &DataFile, message: String| CommitError::Statistics {
        table: table.to_owned(),
        path: file.path.clone(),
        message,
    };
    let arrow = |error| CommitError::corrupt(table, "write to", error);
    let mut decoder = ReaderBuilder::new(schema.clone())
        .with_batch_size(files.len().max(1))
        .build_decoder()
        .map_err(arrow)?;
    for file in files {
        let text = match file.stats.trim() {
            "" => "{}",
            text => text,
        };
        let read = decoder
            .decode(text.as_bytes())
            .map_err(|error| fault(file, error.to_string()))?;
        // One object a file; more, or a part of one, would shift the rows of the others.
        if read != text.len() || decoder.has_partial_record() {
            return Err(fault(file, "not one JSON object".into()));
        }
    }
    let batch = decoder.flush().map_err(|error| match files {
        [file] => fault(file, error.to_string()),
        _ => first_fault(table, files, schema).unwrap_or_else(|| arrow(error)),
    })?;
    let batch = match batch {
        Some(batch) if batch.num_rows() == files.len() => batch,
        _ => {
            return Err(CommitError::corrupt(
                table,
                "write to",
                "statistics and files differ in number",
            ));
        }
    };
    Ok(Arc::new(StructArray::from(batch)))
}

/// Names the file whose statistics do not read.
fn first_fault(table: &str, files: &[DataFile], schema: &SchemaRef) -> Option<CommitError> {
    files
        .iter()
        .find_map(|file| statistics(table, std::slice::from_ref(file), schema).err())
}

/// The `path` of an add: relative, each byte that is not unreserved in a URI percent-encoded, once.
pub(super) fn encode_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 8);
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b'=' => {
                encoded.push(char::from(byte));
            }
            _ => {
                // Writing to a String does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SchemaFingerprint;
    use arrow::array::AsArray;

    fn file(path: &str, stats: &str) -> DataFile {
        DataFile {
            path: path.into(),
            size: 1,
            rows: 1,
            modification_time: 2,
            partition_values: [("p".to_owned(), Some(String::new()))].into(),
            stats: stats.into(),
            fingerprint: SchemaFingerprint(0),
        }
    }

    fn schema() -> SchemaRef {
        let value = DataType::Struct(vec![Field::new("a", DataType::Int64, true)].into());
        Arc::new(Schema::new(vec![
            Field::new("numRecords", DataType::Int64, true),
            Field::new("minValues", value, true),
        ]))
    }

    #[test]
    fn paths_are_encoded_exactly_once() {
        assert_eq!(
            encode_path("p=a%20b/part-1.zstd.parquet"),
            "p=a%2520b/part-1.zstd.parquet"
        );
        assert_eq!(encode_path("p=a:b+c ü"), "p=a%3Ab%2Bc%20%C3%BC");
    }

    #[test]
    fn a_row_per_file_with_empty_partition_values_as_null() {
        let files = [
            file("a", r#"{"numRecords":3,"minValues":{"a":1}}"#),
            file("b", ""),
        ];
        let batch = batch("t", &files, &schema()).unwrap();
        assert_eq!(batch.num_rows(), 2);
        let map = batch.column(1).as_map();
        assert!(map.value(0).column(1).is_null(0));
        let stats = batch.column(4).as_struct();
        assert_eq!(
            stats
                .column(0)
                .as_primitive::<arrow::datatypes::Int64Type>()
                .value(0),
            3
        );
        assert!(stats.column(0).is_null(1));
    }

    #[test]
    fn bad_statistics_name_their_file() {
        for bad in [r#"{"numRecords":"x"}"#, "{", "{}{}", "[]"] {
            let files = [file("good", "{}"), file("bad", bad)];
            let error = batch("t", &files, &schema()).unwrap_err();
            assert!(error.to_string().contains("bad"), "{error}");
        }
    }
}
