//! The columns of a kind of events as tables and as Arrow.

use super::Kind;
use alluvium::schema::{
    ColumnOptions, ColumnType, MetadataColumn, RESCUED_DATA, TableSchema, base_schema,
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use std::sync::Arc;

/// A table of Alluvium: the events' columns, the default metadata columns, `_rescued_data`.
pub fn table(kind: Kind) -> TableSchema {
    base(kind, &MetadataColumn::DEFAULT)
}

/// The events' columns alone.
pub fn columns(kind: Kind) -> SchemaRef {
    let schema = base(kind, &[]).columns;
    let own = |field: &&Arc<Field>| field.name() != RESCUED_DATA;
    Arc::new(Schema::new(
        schema
            .fields()
            .iter()
            .filter(own)
            .cloned()
            .collect::<Vec<_>>(),
    ))
}

/// A table of Alluvium: the events' columns, these metadata columns, `_rescued_data`.
pub fn base(kind: Kind, metadata: &[MetadataColumn]) -> TableSchema {
    let declared: Vec<_> = kind
        .columns()
        .map(|(name, data_type)| ColumnOptions {
            name: name.into(),
            data_type: ColumnType(data_type.into()),
            field: None,
            timestamp_unit: None,
            comment: None,
        })
        .collect();
    base_schema(&declared, metadata, &[]).expect("columns that are all of known types")
}
