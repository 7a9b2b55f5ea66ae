//! Another writer of a table: plain commits by the protocol, each at the next free version.

use super::lake::Table;
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
};

/// Commits what `actions` makes of the newest version, again after every race lost. Returns the version.
pub(crate) fn commit(root: &Path, actions: impl Fn(&Table) -> Vec<Value>) -> usize {
    loop {
        let table = Table::at(root);
        let mut text = format!(
            "{}\n",
            json!({"commitInfo": {"operation": "TEST", "timestamp": 0}})
        );
        for action in actions(&table) {
            text.push_str(&format!("{action}\n"));
        }
        let version = table.versions.len();
        let log = root.join("_delta_log");
        let staged = log.join(format!(".{version}.staged"));
        fs::create_dir_all(&log).expect("a log folder");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&staged)
            .expect("a staged commit");
        file.write_all(text.as_bytes()).expect("a staged commit");
        // A hard link is made whole or not at all, and never over another commit.
        let linked = fs::hard_link(&staged, log.join(format!("{version:020}.json")));
        fs::remove_file(&staged).expect("the staged commit goes");
        if linked.is_ok() {
            return version;
        }
    }
}

/// A new `metaData` with the schema's fields changed.
pub(crate) fn with_fields(table: &Table, change: impl Fn(&mut Vec<Value>)) -> Value {
    let mut meta_data = table.meta_data.clone();
    let text = meta_data["schemaString"].as_str().expect("a schema");
    let mut schema: Value = serde_json::from_str(text).expect("a schema");
    change(schema["fields"].as_array_mut().expect("fields"));
    meta_data["schemaString"] = schema.to_string().into();
    json!({"metaData": meta_data})
}

pub(crate) fn field(name: &str, data_type: &str, nullable: bool) -> Value {
    json!({"name": name, "type": data_type, "nullable": nullable, "metadata": {}})
}

/// Version 0 of a table with these fields, writer features and properties.
pub(crate) fn create(root: &Path, fields: &[Value], features: &[&str], properties: Value) {
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    let protocol = if features.is_empty() {
        json!({"minReaderVersion": 1, "minWriterVersion": 2})
    } else {
        json!({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": features})
    };
    let meta_data = json!({
        "id": "0e4a2cf1-7b61-4b35-9d35-6f5b5bb3a7c1", "format": {"provider": "parquet", "options": {}},
        "schemaString": schema, "partitionColumns": [], "configuration": properties, "createdTime": 0,
    });
    commit(root, |_| {
        vec![
            json!({"protocol": protocol}),
            json!({"metaData": meta_data}),
        ]
    });
}
