//! The columns Alluvium itself puts into a table: where a row came from, and what did not fit.

use super::{ColumnOptions, SchemaChange, SchemaError, TableSchema, names, types};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use std::{collections::HashSet, sync::Arc};

/// The column that keeps values which fit no other: a JSON object of field path to original value.
pub const RESCUED_DATA: &str = "_rescued_data";

/// A column that says where and when a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetadataColumn {
    /// `_source` string: the source's name with its topic or spool.
    Source,
    /// `_partition` integer.
    Partition,
    /// `_offset` long.
    Offset,
    /// `_index` integer: which row of the record.
    Index,
    /// `_event_time` timestamp: Kafka's, or the time of receipt.
    EventTime,
    /// `_ingested_at` timestamp: when the batch was decoded.
    IngestedAt,
    /// `_key` string: the record's key.
    Key,
    /// `_headers` string: a JSON object.
    Headers,
}

impl MetadataColumn {
    pub const ALL: [MetadataColumn; 8] = [
        MetadataColumn::Source,
        MetadataColumn::Partition,
        MetadataColumn::Offset,
        MetadataColumn::Index,
        MetadataColumn::EventTime,
        MetadataColumn::IngestedAt,
        MetadataColumn::Key,
        MetadataColumn::Headers,
    ];

    /// Those that rows carry unless the configuration says otherwise: all but key and headers.
    pub const DEFAULT: [MetadataColumn; 6] = [
        MetadataColumn::Source,
        MetadataColumn::Partition,
        MetadataColumn::Offset,
        MetadataColumn::Index,
        MetadataColumn::EventTime,
        MetadataColumn::IngestedAt,
    ];

    pub fn name(self) -> &'static str {
        match self {
            MetadataColumn::Source => "_source",
            MetadataColumn::Partition => "_partition",
            MetadataColumn::Offset => "_offset",
            MetadataColumn::Index => "_index",
            MetadataColumn::EventTime => "_event_time",
            MetadataColumn::IngestedAt => "_ingested_at",
            MetadataColumn::Key => "_key",
            MetadataColumn::Headers => "_headers",
        }
    }

    pub fn data_type(self) -> DataType {
        match self {
            MetadataColumn::Source | MetadataColumn::Key | MetadataColumn::Headers => {
                DataType::Utf8
            }
            MetadataColumn::Partition | MetadataColumn::Index => DataType::Int32,
            MetadataColumn::Offset => DataType::Int64,
            MetadataColumn::EventTime | MetadataColumn::IngestedAt => types::timestamp(),
        }
    }

    /// Whether a column of this type can hold it: its own type, or binary for a key.
    pub fn fits(self, data_type: &DataType) -> bool {
        *data_type == self.data_type()
            || (self == MetadataColumn::Key && *data_type == DataType::Binary)
    }

    fn field(self) -> FieldRef {
        Arc::new(Field::new(self.name(), self.data_type(), true))
    }
}

impl std::str::FromStr for MetadataColumn {
    type Err = SchemaError;

    fn from_str(name: &str) -> Result<Self, SchemaError> {
        Self::ALL
            .into_iter()
            .find(|column| column.name() == name)
            .ok_or_else(|| SchemaError::UnknownMetadataColumn(name.to_string()))
    }
}

/// The `_rescued_data` column.
pub fn rescued_field() -> FieldRef {
    Arc::new(Field::new(RESCUED_DATA, DataType::Utf8, true))
}

/// The schema of a new table before its events are seen: declared columns, metadata columns,
/// `_rescued_data`. What the first batch brings is added by [`super::evolve`].
///
/// Errors: a bad or doubled name, a bad type, a partition column that is neither declared nor a
/// metadata column, has no plain type, or leaves no other column.
pub fn base_schema(
    declared: &[ColumnOptions],
    metadata: &[MetadataColumn],
    partition_by: &[String],
) -> Result<TableSchema, SchemaError> {
    let mut fields = declared_fields(declared)?;
    fields.extend(metadata.iter().map(|column| column.field()));
    fields.push(rescued_field());

    let mut seen = HashSet::new();
    for field in &fields {
        if !seen.insert(names::fold(field.name())) {
            return Err(SchemaError::Duplicate(field.name().clone()));
        }
    }
    for name in partition_by {
        let Some(field) = fields.iter().find(|field| field.name() == name) else {
            return Err(SchemaError::UndeclaredPartitionColumn(name.clone()));
        };
        if field.data_type().is_nested() {
            return Err(SchemaError::PartitionType {
                column: name.clone(),
                data_type: types::to_sql(field.data_type())?,
            });
        }
        if name == RESCUED_DATA || partition_by.iter().filter(|other| *other == name).count() > 1 {
            return Err(SchemaError::Duplicate(name.clone()));
        }
    }
    if partition_by.len() >= fields.len() {
        return Err(SchemaError::OnlyPartitionColumns(partition_by.join(", ")));
    }
    Ok(TableSchema::new(
        Arc::new(Schema::new(fields)),
        partition_by.to_vec(),
    ))
}

fn declared_fields(declared: &[ColumnOptions]) -> Result<Vec<FieldRef>, SchemaError> {
    declared
        .iter()
        .map(|column| {
            if !names::is_valid_column_name(&column.name) {
                return Err(SchemaError::BadName(column.name.clone()));
            }
            let mut field = Field::new(&column.name, column.data_type.to_arrow()?, true);
            if let Some(comment) = &column.comment {
                field = field.with_metadata([("comment".to_string(), comment.clone())].into());
            }
            Ok(Arc::new(field))
        })
        .collect()
}

/// What a table somebody else made lacks: the metadata columns wanted and `_rescued_data`.
///
/// Errors when a column of such a name has another type.
pub fn missing_columns(
    table: &TableSchema,
    metadata: &[MetadataColumn],
) -> Result<Vec<SchemaChange>, SchemaError> {
    let wanted = metadata
        .iter()
        .map(|column| (column.field(), Some(*column)))
        .chain([(rescued_field(), None)]);
    let mut changes = Vec::new();
    for (field, column) in wanted {
        let folded = names::fold(field.name());
        let found = table
            .columns
            .fields()
            .iter()
            .find(|other| names::fold(other.name()) == folded);
        match found {
            None => changes.push(SchemaChange::AddColumn {
                parent: Vec::new(),
                field,
            }),
            Some(other)
                if other.name() == field.name()
                    && (other.data_type() == field.data_type()
                        || column.is_some_and(|c| c.fits(other.data_type()))) => {}
            Some(other) => return Err(other_type(other, &field)),
        }
    }
    Ok(changes)
}

/// The declared columns that a table lacks.
///
/// Errors when the table has one with another type: the table's own type cannot be changed here.
pub fn missing_declared(
    table: &TableSchema,
    declared: &[ColumnOptions],
) -> Result<Vec<SchemaChange>, SchemaError> {
    let mut changes = Vec::new();
    for field in declared_fields(declared)? {
        let folded = names::fold(field.name());
        let found = table
            .columns
            .fields()
            .iter()
            .find(|other| names::fold(other.name()) == folded);
        match found {
            None => changes.push(SchemaChange::AddColumn {
                parent: Vec::new(),
                field,
            }),
            Some(other) if other.name() == field.name() && may_be(&field, other) => {}
            Some(other) => return Err(other_type(other, &field)),
        }
    }
    Ok(changes)
}

/// Whether a table's column is the declared one: structs may have gained fields.
fn may_be(declared: &Field, found: &Field) -> bool {
    match (declared.data_type(), found.data_type()) {
        (DataType::Struct(declared), DataType::Struct(found)) => declared.iter().all(|field| {
            found
                .iter()
                .any(|other| other.name() == field.name() && may_be(field, other))
        }),
        (DataType::List(declared), DataType::List(found)) => may_be(declared, found),
        (DataType::Map(declared, _), DataType::Map(found, _)) => may_be(declared, found),
        (declared, found) => declared == found,
    }
}

fn other_type(found: &Field, needed: &Field) -> SchemaError {
    let sql = |field: &Field| {
        types::to_sql(field.data_type()).unwrap_or_else(|_| field.data_type().to_string())
    };
    SchemaError::ColumnType {
        column: found.name().clone(),
        found: sql(found),
        needed: sql(needed),
    }
}

/// The dead-letter table: one row a rejected record, with its original bytes in `value`.
pub fn dead_letter_schema() -> TableSchema {
    let column = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
    let mut fields = vec![column("source_partition", DataType::Utf8)];
    fields.extend(MetadataColumn::DEFAULT.map(MetadataColumn::field));
    fields.push(column("table", DataType::Utf8));
    fields.push(column("reason", DataType::Utf8));
    fields.push(column("detail", DataType::Utf8));
    fields.push(column("value", DataType::Binary));
    TableSchema::new(Arc::new(Schema::new(fields)), Vec::new())
}
