//! Version 0 of a table, with its first rows and positions (rule 6).
//!
//! Written by ourselves rather than by the kernel, whose create-table always asks for reader
//! version 3 and writer version 7: ours asks for no more than the columns need, so that old readers
//! open it.

use super::{
    account::{CommitAccount, MarkAccount},
    adds::encode_path,
    append::txns,
    error::{CommitError, Result},
    kernel::{KernelLog, engine_info},
    log::{Change, DeltaLog},
    options::CommitOptions,
    properties::{MAX_CLUSTER_COLUMNS, check_property},
    state::TableState,
};
use crate::schema::TableSchema;
use arrow::datatypes::{DataType, Field, Fields, Schema};
use delta_kernel::{engine::arrow_conversion::TryFromArrow, schema::StructType};
use object_store::{PutMode, PutOptions};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The domain of metadata that names clustering columns.
const CLUSTERING: &str = "delta.clustering";

impl KernelLog {
    /// Version 0, by a conditional PUT of our own.
    pub(super) async fn create(
        &self,
        change: &Arc<Change>,
        marks: &[MarkAccount],
    ) -> Result<Arc<TableState>> {
        let table = &self.inner;
        let id = uuid::Uuid::new_v4().to_string();
        let now = (table.options.clock)();
        let lines = version_zero(&table.name, change, marks, &table.options, &id, now)?;
        let options = PutOptions::from(PutMode::Create);
        table
            .location
            .store
            .put_opts(&table.commit_path(0), lines.into(), options)
            .await
            .map_err(|error| CommitError::store(&table.name, "create", error))?;
        let state = self.latest().await?;
        match state {
            Some(state) if state.metadata_id == id => {
                if state.version == 0 {
                    let mut positions = state.positions.lock();
                    positions.complete = true;
                    positions.known = txns(change, marks)
                        .into_iter()
                        .map(|(app_id, version)| (app_id, Some(version)))
                        .collect();
                }
                Ok(state)
            }
            _ => Err(table.conflict(0)),
        }
    }
}

/// The lines of `00000000000000000000.json`.
///
/// # Errors
/// [`CommitError::Unsupported`] for columns that Delta has no type for, or partitioning that leaves no
/// other column.
pub(super) fn version_zero(
    table: &str,
    change: &Change,
    marks: &[MarkAccount],
    options: &CommitOptions,
    id: &str,
    now: i64,
) -> Result<String> {
    let refuse = |message: String| CommitError::Unsupported {
        table: table.to_owned(),
        message: format!("the table cannot be made: {message}"),
    };
    let schema = &change.schema;
    check_partitioning(schema).map_err(refuse)?;
    check_clustering(schema, &options.cluster_by).map_err(refuse)?;
    for (key, value) in &options.table_properties {
        check_property(key, value)
            .map_err(|why| refuse(format!("the property {why}, property=`{key}`")))?;
    }
    let struct_type = StructType::try_from_arrow(&bare(&schema.columns))
        .map_err(|error| refuse(error.to_string()))?;
    let schema_string =
        serde_json::to_string(&struct_type).map_err(|error| refuse(error.to_string()))?;
    let account = serde_json::to_string(&CommitAccount::new(&change.ranges, marks))
        .map_err(|error| refuse(error.to_string()))?;
    let properties: BTreeMap<&str, &str> = options
        .table_properties
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();

    let is_clustered = !options.cluster_by.is_empty();
    let mut parameters = json!({
        "partitionBy": serde_json::to_string(&schema.partition_columns).unwrap_or_default(),
        "properties": serde_json::to_string(&properties).unwrap_or_default(),
        "isManaged": "false",
    });
    let mut metadata = json!({
        "id": id,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema_string,
        "partitionColumns": schema.partition_columns,
        "configuration": properties,
        "createdTime": now,
    });
    if is_clustered {
        parameters["clusterBy"] = serde_json::to_string(&options.cluster_by)
            .unwrap_or_default()
            .into();
    }
    if let Some(comment) = &options.table_comment {
        parameters["description"] = comment.as_str().into();
        metadata["description"] = comment.as_str().into();
    }
    let mut actions = vec![
        json!({"commitInfo": {
            "timestamp": now,
            "operation": "CREATE TABLE",
            "operationParameters": parameters,
            "operationMetrics": metrics(change),
            "isBlindAppend": true,
            "engineInfo": engine_info(),
            "txnId": uuid::Uuid::new_v4().to_string(),
            "userMetadata": account,
        }}),
        json!({"protocol": protocol(schema.columns.fields(), &properties, is_clustered)}),
        json!({"metaData": metadata}),
    ];
    if is_clustered {
        let columns: Vec<[&str; 1]> = options
            .cluster_by
            .iter()
            .map(|name| [name.as_str()])
            .collect();
        let configuration = json!({"clusteringColumns": columns, "domainName": CLUSTERING});
        actions.push(json!({"domainMetadata": {
            "domain": CLUSTERING,
            "configuration": configuration.to_string(),
            "removed": false,
        }}));
    }
    for file in &change.files {
        let mut add = json!({
            "path": encode_path(&file.path),
            "partitionValues": file
                .partition_values
                .iter()
                .map(|(name, value)| (name.clone(), match value.as_deref() {
                    None | Some("") => Value::Null,
                    Some(value) => Value::from(value),
                }))
                .collect::<serde_json::Map<_, _>>(),
            "size": file.size,
            "modificationTime": file.modification_time,
            "dataChange": true,
        });
        if !file.stats.is_empty() {
            add["stats"] = Value::from(file.stats.as_str());
        }
        actions.push(json!({ "add": add }));
    }
    let ranges = change
        .ranges
        .iter()
        .map(|range| (range.partition.id.app_id(), range.range.end));
    let marks = marks
        .iter()
        .map(|mark| (mark.app_id.as_str(), mark.version));
    for (app_id, version) in ranges.chain(marks) {
        actions.push(json!({"txn": {"appId": app_id, "version": version, "lastUpdated": now}}));
    }
    let mut lines = String::new();
    for action in actions {
        lines.push_str(&action.to_string());
        lines.push('\n');
    }
    Ok(lines)
}

/// `operationMetrics`: texts, as table history has them.
pub(super) fn metrics(change: &Change) -> BTreeMap<&'static str, String> {
    let rows: u64 = change.files.iter().map(|file| file.rows).sum();
    let bytes: u64 = change.files.iter().map(|file| file.size).sum();
    [
        ("numFiles", change.files.len().to_string()),
        ("numOutputRows", rows.to_string()),
        ("numOutputBytes", bytes.to_string()),
    ]
    .into()
}

fn check_partitioning(schema: &TableSchema) -> Result<(), String> {
    for name in &schema.partition_columns {
        let Ok(field) = schema.columns.field_with_name(name) else {
            return Err(format!(
                "a partition column that is no column, column=`{name}`"
            ));
        };
        if field.data_type().is_nested() {
            return Err(format!(
                "a partition column must be of a simple type, column=`{name}`"
            ));
        }
    }
    if !schema.partition_columns.is_empty()
        && schema.partition_columns.len() >= schema.columns.fields().len()
    {
        return Err("a table needs a column that it is not partitioned by".into());
    }
    Ok(())
}

/// Delta keeps statistics of clustering columns, so they have plain types (protocol, "Clustered Table").
fn check_clustering(schema: &TableSchema, cluster_by: &[String]) -> Result<(), String> {
    if !cluster_by.is_empty() && !schema.partition_columns.is_empty() {
        return Err("it is partitioned or clustered, not both".into());
    }
    if cluster_by.len() > MAX_CLUSTER_COLUMNS {
        return Err(format!(
            "it may be clustered by at most {MAX_CLUSTER_COLUMNS} columns"
        ));
    }
    for name in cluster_by {
        match schema.columns.field_with_name(name) {
            Err(_) => {
                return Err(format!(
                    "a clustering column that is no column, column=`{name}`"
                ));
            }
            Ok(field) if field.data_type().is_nested() => {
                return Err(format!(
                    "a clustering column must be of a simple type, column=`{name}`"
                ));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// The least protocol that the columns and properties need. Features are listed only where one
/// needs them, as then reader version 3 and writer version 7 are.
fn protocol(columns: &Fields, properties: &BTreeMap<&str, &str>, is_clustered: bool) -> Value {
    let on = |key: &str| {
        properties
            .get(key)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    };
    let mut reader: Vec<&str> = Vec::new();
    let mut writer: Vec<&str> = Vec::new();
    if any_type(columns, &|data_type| {
        matches!(data_type, DataType::Timestamp(_, None))
    }) {
        reader.push("timestampNtz");
        writer.push("timestampNtz");
    }
    for (property, feature, reads) in [
        ("delta.enableDeletionVectors", "deletionVectors", true),
        ("delta.enableTypeWidening", "typeWidening", true),
        ("delta.enableChangeDataFeed", "changeDataFeed", false),
    ] {
        if on(property) {
            writer.push(feature);
            if reads {
                reader.push(feature);
            }
        }
    }
    if properties.get("delta.checkpointPolicy") == Some(&"v2") {
        reader.push("v2Checkpoint");
        writer.push("v2Checkpoint");
    }
    if is_clustered {
        writer.extend(["clustering", "domainMetadata"]);
    }
    if writer.is_empty() {
        return json!({"minReaderVersion": 1, "minWriterVersion": 2});
    }
    // Features that writer version 2 implies are listed where features are.
    writer.extend(["appendOnly", "invariants"]);
    if reader.is_empty() {
        return json!({"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": writer});
    }
    json!({
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": reader,
        "writerFeatures": writer,
    })
}

fn any_type(fields: &Fields, wanted: &dyn Fn(&DataType) -> bool) -> bool {
    fields.iter().any(|field| any_type_of(field, wanted))
}

fn any_type_of(field: &Field, wanted: &dyn Fn(&DataType) -> bool) -> bool {
    wanted(field.data_type())
        || match field.data_type() {
            DataType::Struct(fields) => any_type(fields, wanted),
            DataType::List(element) | DataType::Map(element, _) => any_type_of(element, wanted),
            _ => false,
        }
}

/// The columns without what Delta keeps for column mapping, as a new table maps none, and all of
/// them nullable, as events may lack any.
fn bare(columns: &Schema) -> Schema {
    Schema::new(strip_all(columns.fields()))
}

fn strip_all(fields: &Fields) -> Fields {
    fields
        .iter()
        .map(|field| strip(field).with_nullable(true))
        .collect()
}

/// Keeps the field's own nullability, as keys and entries of maps are never null.
fn strip(field: &Field) -> Field {
    let metadata = field
        .metadata()
        .iter()
        .filter(|(key, _)| !key.starts_with("delta.columnMapping.") && !key.starts_with("PARQUET:"))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(strip_all(fields)),
        DataType::List(element) => DataType::List(strip(element).with_nullable(true).into()),
        DataType::Map(entries, sorted) => {
            let inner = match entries.data_type() {
                DataType::Struct(pair) => DataType::Struct(
                    pair.iter()
                        .enumerate()
                        .map(|(index, field)| strip(field).with_nullable(index > 0))
                        .collect(),
                ),
                other => other.clone(),
            };
            let entries = Field::new(entries.name(), inner, entries.is_nullable());
            DataType::Map(entries.into(), *sorted)
        }
        other => other.clone(),
    };
    Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protocol_of(fields: Vec<Field>, properties: &[(&str, &str)]) -> Value {
        protocol(&fields.into(), &properties.iter().copied().collect(), false)
    }

    #[test]
    fn the_protocol_asks_for_no_more_than_is_needed() {
        let plain = vec![Field::new("a", DataType::Int64, true)];
        assert_eq!(
            protocol_of(plain.clone(), &[]),
            json!({"minReaderVersion": 1, "minWriterVersion": 2})
        );
        let ntz = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None);
        let nested = DataType::Struct(vec![Field::new("t", ntz, true)].into());
        let found = protocol_of(vec![Field::new("s", nested, true)], &[]);
        assert_eq!(found["readerFeatures"], json!(["timestampNtz"]));
        let vectors = protocol_of(plain.clone(), &[("delta.enableDeletionVectors", "true")]);
        assert_eq!(vectors["minReaderVersion"], 3);
        let feed = protocol_of(plain.clone(), &[("delta.enableChangeDataFeed", "true")]);
        assert_eq!(feed["minReaderVersion"], 1);
        let clustered = protocol(&plain.into(), &BTreeMap::new(), true);
        assert_eq!(clustered["minReaderVersion"], 1);
        assert_eq!(clustered["writerFeatures"][0], "clustering");
    }
}
