//! What one version of a table means to those who write into it.

use super::{error::Result, kernel::engine_info, options::CommitOptions, preflight};
use crate::{
    commit::CommitError,
    event::{Offset, PartitionColumn, WriteSpec},
    schema::TableSchema,
};
use arrow::datatypes::{Schema, SchemaRef};
use delta_kernel::{
    Engine,
    committer::FileSystemCommitter,
    crc::SetTransactionState,
    engine::arrow_conversion::TryIntoArrow,
    expressions::Scalar,
    schema::StructType,
    snapshot::SnapshotRef,
    table_features::{ColumnMappingMode, TableFeature},
    table_properties::TableProperties,
    transaction::UpdateTableOperation,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

/// The table at one version: schema, properties and positions, never the file list (invariant 6).
pub struct TableState {
    pub version: u64,
    /// `metaData.id`; positions are keyed by it (rule 6).
    pub metadata_id: String,
    pub schema: Arc<TableSchema>,
    pub spec: Arc<WriteSpec>,
    /// `metaData.configuration`.
    pub properties: Arc<BTreeMap<String, String>>,
    /// `(minReaderVersion, minWriterVersion)` and the features of both, sorted.
    pub protocol: Arc<ProtocolSummary>,
    pub(super) layout: Arc<Layout>,
    pub(super) snapshot: SnapshotRef,
    /// The snapshot does not list the log, and committing on it needs nothing of the log: see
    /// [`segment`](super::segment).
    pub(super) shed: bool,
    pub(super) positions: Mutex<Positions>,
}

/// A table's protocol, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolSummary {
    pub min_reader_version: i32,
    pub min_writer_version: i32,
    pub features: Vec<String>,
}

/// What is derived from metadata and protocol and kept over versions that do not change them.
#[derive(Debug)]
pub(super) struct Layout {
    /// The Arrow shape of the `stats` of an add: only columns that get statistics.
    pub(super) stats: SchemaRef,
    pub(super) column_mapping: ColumnMappingMode,
    /// How long removed files are kept, the shortest clean-up retention.
    pub(super) deleted_file_retention: Duration,
    pub(super) clustered: bool,
}

/// The `txn` versions of one snapshot, as far as they were read.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions {
    pub(super) known: HashMap<String, Option<Offset>>,
    /// What is not in `known` is not in the table.
    pub(super) complete: bool,
}

impl fmt::Debug for TableState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableState")
            .field("version", &self.version)
            .field("metadata_id", &self.metadata_id)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl TableState {
    /// Reads what `snapshot` means. `before` is an earlier state of the table, whose layout holds
    /// on where metadata and protocol are the same.
    ///
    /// # Errors
    /// [`CommitError::Unsupported`] for a table we do not write correctly.
    pub(super) fn read(
        table: &str,
        engine: &dyn Engine,
        snapshot: SnapshotRef,
        before: Option<&TableState>,
        options: &CommitOptions,
    ) -> Result<Self> {
        let configuration = snapshot.table_configuration();
        let metadata = configuration.metadata();
        if let Some(before) = before
            && !before.layout.clustered
            && before.snapshot.table_configuration().metadata() == metadata
            && before.snapshot.table_configuration().protocol() == configuration.protocol()
        {
            return Ok(before.at(snapshot));
        }
        let kernel = |error| CommitError::kernel(table, "read", error);
        let corrupt = |error: arrow::error::ArrowError| CommitError::corrupt(table, "read", error);
        let columns = arrow_schema(&snapshot.schema()).map_err(corrupt)?;
        let properties = snapshot.table_properties();
        preflight::check(
            table,
            configuration.protocol(),
            metadata.configuration(),
            properties.set_transaction_retention_duration,
            columns.fields(),
            options,
        )?;
        // The kernel's own checks of features, property by property, and its view of the layout.
        let transaction = snapshot
            .clone()
            .update_table(UpdateTableOperation::StreamingUpdate, engine_info(), true)
            .build(engine, Box::new(FileSystemCommitter::new()))
            .map_err(kernel)?;
        let partition_names = transaction.logical_partition_columns().to_vec();
        let write_state = transaction.write_state().map_err(kernel)?;
        let mut nulls = HashMap::new();
        for name in &partition_names {
            if let Some(field) = snapshot.schema().field(name) {
                nulls.insert(name.clone(), Scalar::Null(field.data_type().clone()));
            }
        }
        let mut context = write_state.write_context_builder();
        if !partition_names.is_empty() {
            context = context.with_partition_values(nulls);
        }
        let context = context.build().map_err(kernel)?;
        let physical = arrow_schema(context.physical_data_schema()).map_err(corrupt)?;
        let stats: Arc<StructType> = transaction.stats_schema().map_err(kernel)?;
        let stats = arrow_schema(&stats).map_err(corrupt)?;
        let column_mapping = context.column_mapping_mode();

        let schema = Arc::new(TableSchema::new(columns.clone(), partition_names));
        let physical_of = |index: usize| -> &str {
            let field = columns.field(index);
            match column_mapping {
                ColumnMappingMode::None => field.name(),
                _ => crate::schema::physical_name(field),
            }
        };
        let position = |wanted: &str| {
            (0..columns.fields().len())
                .find(|index| physical_of(*index) == wanted)
                .ok_or_else(|| {
                    CommitError::corrupt(
                        table,
                        "read",
                        format!(
                            "the schema has no column of this physical name, column=`{wanted}`"
                        ),
                    )
                })
        };
        let projection = physical
            .fields()
            .iter()
            .map(|field| position(field.name()))
            .collect::<Result<Vec<usize>>>()?;
        let partition_columns = schema
            .partition_columns
            .iter()
            .map(|name| {
                let index = columns.index_of(name).map_err(corrupt)?;
                Ok(PartitionColumn {
                    index,
                    logical_name: name.clone(),
                    physical_name: physical_of(index).to_owned(),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let spec = Arc::new(WriteSpec {
            logical: columns.clone(),
            physical,
            projection,
            partition_columns,
            stats_columns: write_state
                .stats_columns()
                .iter()
                .map(|name| name.path().to_vec())
                .collect(),
            random_prefix_length: random_prefix_length(properties, column_mapping),
            fingerprint: schema.fingerprint,
        });
        let protocol = configuration.protocol();
        let mut features: Vec<String> = protocol
            .writer_features()
            .unwrap_or_default()
            .iter()
            .chain(protocol.reader_features().unwrap_or_default())
            .map(|feature| preflight::feature_name(feature).to_owned())
            .collect();
        features.sort_unstable();
        features.dedup();
        Ok(Self {
            version: snapshot.version(),
            metadata_id: metadata.id().to_owned(),
            schema,
            spec,
            properties: Arc::new(
                metadata
                    .configuration()
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect(),
            ),
            protocol: Arc::new(ProtocolSummary {
                min_reader_version: protocol.min_reader_version(),
                min_writer_version: protocol.min_writer_version(),
                features,
            }),
            layout: Arc::new(Layout {
                stats,
                column_mapping,
                deleted_file_retention: properties
                    .deleted_file_retention_duration
                    .unwrap_or(Duration::from_secs(7 * 24 * 3600)),
                clustered: configuration.is_feature_supported(&TableFeature::ClusteredTable),
            }),
            positions: Mutex::new(Positions::of(&snapshot)),
            shed: before.is_some_and(|before| before.still_shed(&snapshot)),
            snapshot,
        })
    }

    /// This state at another snapshot of the same metadata and protocol; positions only as the
    /// snapshot has them at hand.
    pub(super) fn at(&self, snapshot: SnapshotRef) -> Self {
        Self {
            version: snapshot.version(),
            metadata_id: self.metadata_id.clone(),
            schema: self.schema.clone(),
            spec: self.spec.clone(),
            properties: self.properties.clone(),
            protocol: self.protocol.clone(),
            layout: self.layout.clone(),
            positions: Mutex::new(Positions::of(&snapshot)),
            shed: self.still_shed(&snapshot),
            snapshot,
        }
    }
}

impl Positions {
    /// Those that the snapshot knows without reading: its checksum's, where that has them all.
    pub(super) fn of(snapshot: &SnapshotRef) -> Self {
        let Some(crc) = snapshot.crc_at_version() else {
            return Self::default();
        };
        let SetTransactionState::Complete(all) = &crc.set_transaction_state else {
            return Self::default();
        };
        let known: HashMap<String, Option<Offset>> = all
            .iter()
            .filter_map(|(app_id, txn)| {
                Some((app_id.clone(), Some(Offset::try_from(txn.version()).ok()?)))
            })
            .collect();
        // Where the table forgets positions, or one is no offset, the kernel is to be asked.
        let complete = known.len() == all.len()
            && snapshot
                .table_properties()
                .set_transaction_retention_duration
                .is_none();
        if complete {
            Self { known, complete }
        } else {
            Self::default()
        }
    }
}

fn random_prefix_length(
    properties: &TableProperties,
    column_mapping: ColumnMappingMode,
) -> Option<usize> {
    (column_mapping != ColumnMappingMode::None || properties.randomize_file_prefixes == Some(true))
        .then(|| {
            properties
                .random_prefix_length
                .and_then(|length| usize::try_from(length.get()).ok())
                .unwrap_or(2)
        })
}

fn arrow_schema(schema: &StructType) -> Result<SchemaRef, arrow::error::ArrowError> {
    let schema: Schema = schema.try_into_arrow()?;
    Ok(Arc::new(schema))
}
