//! How the first files of a table are written, before there is a snapshot to ask.

use super::CommitOptions;
use crate::{
    event::{PartitionColumn, WriteSpec},
    schema::TableSchema,
};
use arrow::datatypes::{DataType, Field, Schema};
use std::sync::Arc;

/// `delta.dataSkippingNumIndexedCols` of a table without the property (protocol, "Per-file
/// Statistics"): leaf columns count, partition columns do not.
const INDEXED_COLUMNS: usize = 32;
const INDEXED_COLUMNS_KEY: &str = "delta.dataSkippingNumIndexedCols";

/// The spec of a table that [`TableLog::commit`](super::TableLog::commit) will make from `schema`:
/// no column mapping, no properties.
pub fn new_table_spec(schema: &TableSchema) -> WriteSpec {
    spec_of_new_table(schema, &CommitOptions::default())
}

/// The same of a table that is made with the properties and clustering of `options`: columns it is clustered by have
/// statistics wherever they stand.
pub fn spec_of_new_table(schema: &TableSchema, options: &CommitOptions) -> WriteSpec {
    let indexed = match options.table_properties.get(INDEXED_COLUMNS_KEY) {
        None => INDEXED_COLUMNS,
        // -1 is all of them.
        Some(count) => count.parse().unwrap_or(usize::MAX),
    };
    let fields = schema.columns.fields();
    let is_partition = |field: &Field| schema.partition_columns.contains(field.name());
    let projection: Vec<usize> = (0..fields.len())
        .filter(|i| !is_partition(&fields[*i]))
        .collect();
    let physical: Vec<Field> = projection
        .iter()
        .map(|i| Field::new(fields[*i].name(), fields[*i].data_type().clone(), true))
        .collect();
    let mut stats_columns = Vec::new();
    let mut counted = 0;
    for field in &physical {
        leaves(
            field,
            indexed,
            &mut Vec::new(),
            &mut counted,
            &mut stats_columns,
        );
    }
    for name in &options.cluster_by {
        let path = vec![name.clone()];
        if !stats_columns.contains(&path) {
            stats_columns.push(path);
        }
    }
    let partition_columns = schema
        .partition_columns
        .iter()
        .filter_map(|name| {
            Some(PartitionColumn {
                index: fields.iter().position(|field| field.name() == name)?,
                logical_name: name.clone(),
                physical_name: name.clone(),
            })
        })
        .collect();
    WriteSpec {
        logical: schema.columns.clone(),
        physical: Arc::new(Schema::new(physical)),
        projection,
        partition_columns,
        stats_columns,
        random_prefix_length: None,
        fingerprint: schema.fingerprint,
    }
}

/// Leaves in schema order; a list or map is one, and gets no statistics of its own.
fn leaves(
    field: &Field,
    indexed: usize,
    path: &mut Vec<String>,
    counted: &mut usize,
    found: &mut Vec<Vec<String>>,
) {
    if *counted >= indexed {
        return;
    }
    path.push(field.name().clone());
    match field.data_type() {
        DataType::Struct(children) => {
            for child in children {
                leaves(child, indexed, path, counted, found);
            }
        }
        DataType::List(_) | DataType::Map(..) => *counted += 1,
        _ => {
            *counted += 1;
            found.push(path.clone());
        }
    }
    path.pop();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_32_leaves_get_statistics_and_partition_columns_no_place_in_the_file() {
        let inner = vec![
            Field::new("x", DataType::Int64, true),
            Field::new_list("l", Field::new("element", DataType::Int64, true), true),
        ];
        let mut fields = vec![
            Field::new("day", DataType::Date32, true),
            Field::new("s", DataType::Struct(inner.into()), true),
        ];
        fields.extend((0..40).map(|i| Field::new(format!("c{i}"), DataType::Utf8, true)));
        let schema = TableSchema::new(Arc::new(Schema::new(fields)), vec!["day".into()]);
        let spec = new_table_spec(&schema);
        assert_eq!(spec.physical.fields().len(), 41);
        assert_eq!(spec.projection[0], 1);
        assert_eq!(
            spec.stats_columns.len(),
            31,
            "the list takes one of the 32 places"
        );
        assert_eq!(spec.stats_columns[0], ["s", "x"]);
        assert_eq!(spec.partition_columns[0].index, 0);

        let options = CommitOptions {
            cluster_by: vec!["c39".into(), "c0".into()],
            table_properties: [(INDEXED_COLUMNS_KEY.to_owned(), "3".to_owned())].into(),
            ..CommitOptions::default()
        };
        let spec = spec_of_new_table(&schema, &options);
        assert_eq!(
            spec.stats_columns,
            [vec!["s", "x"], vec!["c0"], vec!["c39"]]
        );
    }
}
