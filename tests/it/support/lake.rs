//! Reads a Delta table by the protocol's own words, with nothing of Alluvium: it judges it.
//!
//! Replays every JSON commit (no log here is ever cleaned, so checkpoints need not be read), then reads the
//! Parquet files that are still active.

use arrow::{array::RecordBatch, json::LineDelimitedWriter};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

pub(crate) type Row = Map<String, Value>;

pub(crate) struct Table {
    root: PathBuf,
    /// Each version's actions.
    pub(crate) versions: Vec<Vec<Value>>,
    /// The active files' `add` actions, by path.
    pub(crate) adds: BTreeMap<String, Value>,
    pub(crate) meta_data: Value,
    pub(crate) protocol: Value,
    /// `txn` versions by app id.
    pub(crate) positions: BTreeMap<String, i64>,
}

impl Table {
    /// A table without a log has no versions.
    pub(crate) fn at(root: &Path) -> Self {
        let mut table = Self {
            root: root.to_owned(),
            versions: Vec::new(),
            adds: BTreeMap::new(),
            meta_data: Value::Null,
            protocol: Value::Null,
            positions: BTreeMap::new(),
        };
        for version in 0.. {
            let file = root.join(format!("_delta_log/{version:020}.json"));
            let Ok(text) = fs::read_to_string(file) else {
                break;
            };
            let actions: Vec<Value> = text
                .lines()
                .map(|line| serde_json::from_str(line).expect("an action"))
                .collect();
            actions.iter().for_each(|action| table.replay(action));
            table.versions.push(actions);
        }
        table
    }

    fn replay(&mut self, action: &Value) {
        if let Some(add) = action.get("add") {
            let path = add["path"].as_str().expect("a path").to_owned();
            let twice = self.adds.insert(path, add.clone());
            assert!(twice.is_none(), "a file was added twice: {add}");
        } else if let Some(remove) = action.get("remove") {
            self.adds.remove(remove["path"].as_str().expect("a path"));
        } else if let Some(meta_data) = action.get("metaData") {
            self.meta_data = meta_data.clone();
        } else if let Some(protocol) = action.get("protocol") {
            self.protocol = protocol.clone();
        } else if let Some(txn) = action.get("txn") {
            let id = txn["appId"].as_str().expect("an app id").to_owned();
            let version = txn["version"].as_i64().expect("a position");
            if let Some(before) = self.positions.insert(id, version) {
                assert!(before <= version, "a position went back: {before} {txn}");
            }
        }
    }

    /// The columns' names and types, as the log has them.
    pub(crate) fn columns(&self) -> BTreeMap<String, Value> {
        let text = self.meta_data["schemaString"].as_str().expect("a schema");
        let schema: Value = serde_json::from_str(text).expect("a schema");
        let fields = schema["fields"].as_array().expect("fields").iter();
        fields
            .map(|field| {
                let name = field["name"].as_str().expect("a name").to_owned();
                (name, field["type"].clone())
            })
            .collect()
    }

    /// Every row, nulls left out, partition values as the log's text. Files whose statistics do not count
    /// their rows rightly fail.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (path, add) in &self.adds {
            let file = self.root.join(decoded(path));
            let found = parquet_rows(&file);
            let stats: Value =
                serde_json::from_str(add["stats"].as_str().unwrap_or("{}")).expect("statistics");
            if let Some(counted) = stats["numRecords"].as_u64() {
                assert_eq!(counted, found.len() as u64, "numRecords of {path}");
            }
            assert_eq!(
                add["size"].as_u64(),
                file.metadata().ok().map(|m| m.len()),
                "size of {path}"
            );
            let values = add["partitionValues"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            rows.extend(found.into_iter().map(|mut row| {
                row.extend(values.clone());
                row
            }));
        }
        rows
    }

    /// The values of a whole-number column, ascending.
    pub(crate) fn numbers(&self, column: &str) -> Vec<i64> {
        let mut numbers: Vec<i64> = self
            .rows()
            .iter()
            .map(|row| row[column].as_i64().expect("a number"))
            .collect();
        numbers.sort_unstable();
        numbers
    }

    /// The only row that has this value in this column.
    pub(crate) fn row(&self, column: &str, value: impl Into<Value>) -> Row {
        let value = value.into();
        let mut found: Vec<Row> = self
            .rows()
            .into_iter()
            .filter(|row| row.get(column) == Some(&value))
            .collect();
        assert_eq!(found.len(), 1, "{column} = {value}: {found:?}");
        found.remove(0)
    }
}

/// The rows of a Parquet file, nulls left out; binary as hexadecimal digits.
pub(crate) fn parquet_rows(file: &Path) -> Vec<Row> {
    let input = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let batches: Vec<RecordBatch> = ParquetRecordBatchReaderBuilder::try_new(input)
        .and_then(|builder| builder.build())
        .expect("a Parquet file")
        .collect::<Result<_, _>>()
        .expect("record batches");
    let mut text = Vec::new();
    let mut writer = LineDelimitedWriter::new(&mut text);
    writer
        .write_batches(&batches.iter().collect::<Vec<_>>())
        .and_then(|()| writer.finish())
        .expect("rows as JSON");
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("a row"))
        .collect()
}

/// Paths in the log are URLs.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%')
            .then(|| tail.get(..2))
            .flatten()
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).expect("a path in UTF-8")
}

/// What hexadecimal digits stand for.
pub(crate) fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("binary as text");
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hexadecimal digits"))
        .collect()
}
