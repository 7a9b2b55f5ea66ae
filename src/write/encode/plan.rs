//! How a table's schema becomes columns: made once for a writer, shared by its files.

use super::column::Column;
use super::values::Values;
use crate::event::WriteSpec;
use crate::write::{
    Error, Result,
    options::{Compression, ValueEncoding, WriteOptions},
    stats::FileStats,
};
use arrow::datatypes::{DataType, Field, Fields};
use parquet::{
    arrow::ArrowSchemaConverter,
    basic::{LogicalType, Type},
    schema::types::{ColumnDescPtr, SchemaDescriptor},
};
use std::sync::Arc;

/// Memory that the pages in the making of one file may use together, before they are encoded; each page has its share.
const FILE_PAGES: usize = 16 << 20;
const LARGEST_PAGE: usize = 512 << 10;
const SMALLEST_PAGE: usize = 32 << 10;

pub(in crate::write) struct Plan {
    pub(super) schema: Arc<SchemaDescriptor>,
    pub(super) nodes: Vec<Node>,
    /// For each Parquet column the leaf of the file's statistics that it feeds.
    pub(super) stats: Vec<Option<usize>>,
    /// Without any row.
    pub(super) no_stats: FileStats,
    pub(super) max_row_group_rows: usize,
    pub(super) max_row_group_bytes: usize,
    /// Memory that a page's values and levels may use before they are encoded.
    pub(super) page_bytes: usize,
    /// Values of a column taken at once, in bytes: a page in the making grows by at most about this much.
    pub(super) step_bytes: usize,
    encoding: ValueEncoding,
    compression: Compression,
}

/// A field of the schema.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) nullable: bool,
    /// The leaf of the file's statistics that counts this node's nulls. Columns of Parquet have theirs in [`Plan::stats`].
    pub(super) stat: Option<usize>,
    pub(super) content: Content,
}

pub(super) enum Content {
    /// Index of the Parquet column.
    Leaf(usize),
    Struct(Vec<Node>),
    List(Box<Node>),
    /// Keys and values.
    Map(Box<(Node, Node)>),
}

impl Plan {
    /// Errors: `Unsupported` for a column of a type that Delta does not have.
    pub(in crate::write) fn new(spec: &WriteSpec, options: &WriteOptions) -> Result<Self> {
        let failed = |source| Error::Encode {
            path: String::new(),
            source,
        };
        // Names within lists and maps as the Parquet specification wants them.
        let converter = ArrowSchemaConverter::new()
            .with_coerce_types(true)
            .schema_root("schema");
        let schema = Arc::new(converter.convert(&spec.physical).map_err(failed)?);
        let no_stats = FileStats::new(&spec.physical, &spec.stats_columns);
        let mut builder = Builder {
            schema: &schema,
            no_stats: &no_stats,
            stats: Vec::new(),
        };
        let nodes = builder.nodes(spec.physical.fields(), &mut Some(Vec::new()), (0, 0))?;
        let stats = builder.stats;
        let page = FILE_PAGES / schema.num_columns().max(1);
        Ok(Self {
            page_bytes: page.clamp(SMALLEST_PAGE, LARGEST_PAGE),
            step_bytes: LARGEST_PAGE / 2,
            schema,
            nodes,
            stats,
            no_stats,
            max_row_group_rows: options.max_row_group_rows.max(1),
            max_row_group_bytes: options.max_row_group_bytes.max(1),
            encoding: options.encoding,
            compression: options.compression,
        })
    }

    /// Empty columns of a new file.
    pub(super) fn columns(&self) -> Vec<Column> {
        let columns = self.schema.columns();
        let column = |descr: &ColumnDescPtr| {
            let values = values(descr, self.encoding)?;
            Some(Column::new(
                descr.clone(),
                values,
                self.compression,
                self.page_bytes,
            ))
        };
        columns.iter().filter_map(column).collect()
    }
}

/// `None` for a type that no column of ours has.
fn values(descr: &ColumnDescPtr, encoding: ValueEncoding) -> Option<Values> {
    let text = matches!(descr.logical_type_ref(), Some(LogicalType::String));
    let physical = descr.physical_type();
    let width = match physical {
        Type::FIXED_LEN_BYTE_ARRAY => usize::try_from(descr.type_length()).ok()?,
        _ => 0,
    };
    Values::new(physical, width, text, encoding)
}

struct Builder<'a> {
    schema: &'a SchemaDescriptor,
    no_stats: &'a FileStats,
    stats: Vec<Option<usize>>,
}

impl Builder<'_> {
    /// `path`: child indices from the root, `None` within lists and maps. `levels`: of definition and repetition, above.
    fn nodes(
        &mut self,
        fields: &Fields,
        path: &mut Option<Vec<usize>>,
        levels: (i16, i16),
    ) -> Result<Vec<Node>> {
        let mut nodes = Vec::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            if let Some(path) = path {
                path.push(index);
            }
            nodes.push(self.node(field, path, levels)?);
            if let Some(path) = path {
                path.pop();
            }
        }
        Ok(nodes)
    }

    fn node(
        &mut self,
        field: &Field,
        path: &mut Option<Vec<usize>>,
        (definition, repetition): (i16, i16),
    ) -> Result<Node> {
        let stat = path.as_deref().and_then(|path| self.no_stats.leaf_at(path));
        let here = definition + i16::from(field.is_nullable());
        let repeated = (here + 1, repetition + 1);
        let content = match field.data_type() {
            DataType::Struct(fields) => {
                Content::Struct(self.nodes(fields, path, (here, repetition))?)
            }
            DataType::List(element) => {
                Content::List(Box::new(self.node(element, &mut None, repeated)?))
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    let key = self.node(&fields[0], &mut None, repeated)?;
                    let value = self.node(&fields[1], &mut None, repeated)?;
                    Content::Map(Box::new((key, value)))
                }
                _ => return Err(unsupported(field)),
            },
            data_type => {
                let index = self.stats.len();
                self.stats.push(stat);
                let columns = self.schema.columns();
                let fits = columns.get(index).is_some_and(|column| {
                    (column.max_def_level(), column.max_rep_level()) == (here, repetition)
                        && here <= i16::from(u8::MAX)
                        && values(column, ValueEncoding::Plain).is_some()
                });
                if !fits || !is_leaf(data_type) {
                    return Err(unsupported(field));
                }
                Content::Leaf(index)
            }
        };
        Ok(Node {
            name: field.name().clone(),
            nullable: field.is_nullable(),
            stat,
            content,
        })
    }
}

/// The types that `schema/types.rs` makes of Delta's, and other layouts of strings.
fn is_leaf(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Boolean
            | Int8
            | Int16
            | Int32
            | Int64
            | Float32
            | Float64
            | Decimal128(..)
            | Date32
            | Timestamp(arrow::datatypes::TimeUnit::Microsecond, _)
    ) || is_bytes(data_type)
}

/// Strings and binary values in any layout.
pub(super) fn is_bytes(data_type: &DataType) -> bool {
    use DataType::*;
    matches!(
        data_type,
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView
    )
}

fn unsupported(field: &Field) -> Error {
    Error::Type {
        column: field.name().clone(),
        data_type: field.data_type().to_string(),
    }
}
