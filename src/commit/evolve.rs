//! Schema changes, each a metadata commit of its own before the data (rule 7).

use super::{
    account::CommitAccount,
    append::commit_info,
    error::{CommitError, Result},
    kernel::engine_info,
    log::DeltaLog,
    sql,
    state::TableState,
    table_log::TableLog,
    upload::Evolved,
};
use crate::{error::Kind, schema::SchemaChange};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use delta_kernel::{
    Engine, KernelError,
    committer::FileSystemCommitter,
    engine::arrow_conversion::TryFromArrow,
    expressions::ColumnName,
    schema::StructField,
    table_features::ColumnMappingMode,
    transaction::{CommitResult, UpdateTableOperation},
};
use std::sync::Arc;

const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";

/// A column to add, as it is to stand in the table.
struct Addition {
    /// The path of the struct it goes to in the kernel's spelling, with `element` and `value` where
    /// a list or a map lies between; empty for the table itself.
    parent: Vec<String>,
    field: Field,
}

impl TableLog {
    /// Applies `changes` that were decided from `base`, in one version.
    ///
    /// Physical names on column-mapped tables are drawn once, here, so that an attempt whose answer
    /// was lost is recognised by them and never repeated under other names.
    ///
    /// # Errors
    /// Unsupported for what the log cannot be made to hold by us (a wider type, a column on a table
    /// with `allowColumnDefaults` or Iceberg compatibility), with the SQL that does it.
    pub async fn evolve(&self, base: &TableState, changes: &[SchemaChange]) -> Result<Evolved> {
        let unsupported = |message: &str| CommitError::Unsupported {
            table: self.name().to_owned(),
            message: format!("{message}; run: {}", statements(self.name(), changes)),
        };
        if changes
            .iter()
            .any(|change| matches!(change, SchemaChange::Widen { .. }))
        {
            return Err(unsupported(
                "a column's type is not widened through the log",
            ));
        }
        let additions: Arc<Vec<Addition>> = Arc::new(
            changes
                .iter()
                .filter_map(|change| match change {
                    SchemaChange::AddColumn { parent, field } => Some((parent, field)),
                    SchemaChange::Widen { .. } => None,
                })
                .map(|(parent, field)| Addition {
                    parent: kernel_path(base.schema.columns.fields(), parent),
                    field: named(field, base.layout.column_mapping),
                })
                .collect(),
        );
        let mut attempted = false;
        let mut failures = 0;
        // What to report should the change turn out not to stand.
        let mut fault: Option<CommitError> = None;
        loop {
            if failures > 0 {
                self.log.pause(failures).await;
            }
            let state = match self.load().await {
                Ok(Some(state)) => state,
                Ok(None) => {
                    return Err(CommitError::Gone {
                        table: self.name().to_owned(),
                    });
                }
                Err(error) if error.kind().is_retryable() && failures < MAX_FAILURES => {
                    failures += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if additions.is_empty()
                || attempted && additions.iter().all(|addition| stands(&state, addition))
            {
                return Ok(Evolved::Applied(state));
            }
            let same = state.snapshot.table_configuration().metadata()
                == base.snapshot.table_configuration().metadata();
            if !same {
                return Ok(Evolved::Moved(state));
            }
            match fault.take() {
                // The kernel judges a change before it writes anything.
                Some(CommitError::Log {
                    kind: Kind::Corrupt | Kind::Unsupported,
                    message,
                    ..
                }) => return Err(unsupported(&message)),
                Some(error) if !error.kind().is_retryable() || failures >= MAX_FAILURES => {
                    return Err(error);
                }
                _ => {}
            }
            attempted = true;
            match self.try_alter(state, additions.clone()).await {
                Ok(Some(state)) => return Ok(Evolved::Applied(state)),
                // Another version came first: that is progress of the table, not a failure of the store.
                Ok(None) => failures = failures.clamp(1, MAX_FAILURES - 1),
                Err(error) => {
                    failures += 1;
                    fault = Some(error);
                }
            }
        }
    }

    /// One attempt on `state`; `None` on a conflict.
    async fn try_alter(
        &self,
        state: Arc<TableState>,
        additions: Arc<Vec<Addition>>,
    ) -> Result<Option<Arc<TableState>>> {
        let after = self
            .log
            .blocking(move |table, engine| {
                let engine = engine.as_ref();
                // Positions hold for the version after their own alone.
                let Some(snapshot) = alter(engine, &table.name, &state, &additions)?
                    .filter(|found| found.version() == state.version + 1)
                else {
                    return Ok(None);
                };
                let options = &table.options;
                let after = TableState::read(&table.name, engine, snapshot, Some(&state), options)?;
                *after.positions.lock() = state.positions.lock().clone();
                Ok(Some(Arc::new(after)))
            })
            .await?;
        if let Some(after) = &after {
            self.log.keep(after);
        }
        Ok(after)
    }
}

/// Attempts against a store that does not answer before the change is given up; rows then wait in
/// `_rescued_data`, and the change is decided anew.
const MAX_FAILURES: u32 = 10;

/// One attempt; `None` on a conflict.
fn alter(
    engine: &dyn Engine,
    table: &str,
    state: &TableState,
    additions: &[Addition],
) -> Result<Option<delta_kernel::snapshot::SnapshotRef>> {
    let kernel = |error: KernelError| CommitError::kernel(table, "change the schema in", error);
    let mut builder =
        state
            .snapshot
            .clone()
            .update_table(UpdateTableOperation::AlterTable, engine_info(), false);
    for Addition { parent, field } in additions {
        let field =
            StructField::try_from_arrow(field).map_err(|error| kernel(KernelError::from(error)))?;
        builder = if parent.is_empty() {
            builder.add_column(field)
        } else {
            builder.add_column_at(ColumnName::new(parent), field)
        };
    }
    let account = serde_json::to_string(&CommitAccount::new(&[], &[]))
        .map_err(|error| CommitError::corrupt(table, "change the schema in", error))?;
    let (info, info_schema) = commit_info(table, account)?;
    let transaction = builder
        .with_commit_info(info, info_schema)
        .build(engine, Box::new(FileSystemCommitter::new()))
        .map_err(kernel)?;
    match transaction.commit(engine).map_err(kernel)? {
        CommitResult::Committed(committed) => Ok(committed.post_commit_snapshot().cloned()),
        CommitResult::Conflicted(_) => Ok(None),
        CommitResult::Retryable(retryable) => Err(kernel(retryable.error)),
    }
}

/// The path of a struct in the kernel's spelling: `element` below a list, `value` below a map.
fn kernel_path(columns: &Fields, path: &[String]) -> Vec<String> {
    let mut spelt = Vec::with_capacity(path.len());
    let mut fields = Some(columns.clone());
    for part in path {
        let Some(field) = fields
            .as_ref()
            .and_then(|fields| fields.iter().find(|field| field.name() == part))
        else {
            // `element` and the like given by the caller, or unknown: the kernel judges.
            if spelt.last() != Some(part) {
                spelt.push(part.clone());
            }
            continue;
        };
        spelt.push(part.clone());
        let mut data_type = field.data_type().clone();
        fields = loop {
            data_type = match data_type {
                DataType::Struct(fields) => break Some(fields),
                DataType::List(element) => {
                    spelt.push("element".into());
                    element.data_type().clone()
                }
                DataType::Map(entries, _) => match entries.data_type() {
                    DataType::Struct(pair) if pair.len() == 2 => {
                        spelt.push("value".into());
                        pair[1].data_type().clone()
                    }
                    _ => break None,
                },
                _ => break None,
            };
        };
    }
    spelt
}

/// The field as it will stand: nullable at every depth, with physical names of ours on a
/// column-mapped table.
fn named(field: &Field, mode: ColumnMappingMode) -> Field {
    let mut metadata = field.metadata().clone();
    metadata
        .retain(|key, _| !key.starts_with("delta.columnMapping.") && !key.starts_with("PARQUET:"));
    if mode != ColumnMappingMode::None {
        metadata.insert(
            PHYSICAL_NAME.into(),
            format!("col-{}", uuid::Uuid::new_v4()),
        );
    }
    Field::new(field.name(), named_type(field.data_type(), mode), true).with_metadata(metadata)
}

fn named_type(data_type: &DataType, mode: ColumnMappingMode) -> DataType {
    let bare = |field: &FieldRef, nullable: bool| {
        Field::new(field.name(), named_type(field.data_type(), mode), nullable)
    };
    match data_type {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| named(field, mode)).collect())
        }
        DataType::List(element) => DataType::List(bare(element, true).into()),
        DataType::Map(entries, sorted) => {
            let inner = match entries.data_type() {
                DataType::Struct(pair) => DataType::Struct(
                    pair.iter()
                        .enumerate()
                        .map(|(index, field)| bare(field, index > 0))
                        .collect(),
                ),
                other => other.clone(),
            };
            DataType::Map(Field::new(entries.name(), inner, false).into(), *sorted)
        }
        other => other.clone(),
    }
}

/// Whether the column stands in the table as our own attempt would have left it.
fn stands(state: &TableState, addition: &Addition) -> bool {
    let mut fields = state.schema.columns.fields().clone();
    for part in &addition.parent {
        let next = fields
            .iter()
            .find(|field| field.name() == part)
            .map(|field| field.data_type().clone());
        fields = match next {
            Some(DataType::Struct(inner)) => inner,
            Some(DataType::List(element)) => vec![element].into(),
            Some(DataType::Map(entries, _)) => match entries.data_type() {
                DataType::Struct(pair) => pair.clone(),
                _ => return false,
            },
            // `element` of a list of structs was stepped into by the name of its only field.
            _ => return false,
        };
    }
    fields.iter().any(|field| {
        field.name() == addition.field.name()
            && (state.layout.column_mapping == ColumnMappingMode::None
                || crate::schema::physical_name(field)
                    == crate::schema::physical_name(&addition.field))
    })
}

fn statements(table: &str, changes: &[SchemaChange]) -> String {
    changes
        .iter()
        .map(|change| match change {
            SchemaChange::AddColumn { parent, field } => {
                let mut path = parent.clone();
                path.push(field.name().clone());
                format!(
                    "ALTER TABLE {table} ADD COLUMNS ({} {})",
                    sql::path(&path),
                    sql::data_type(field.data_type())
                )
            }
            SchemaChange::Widen { path, to } => format!(
                "ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true'); ALTER TABLE {table} ALTER COLUMN {} TYPE {}",
                sql::path(path),
                sql::data_type(to)
            ),
        })
        .collect::<Vec<_>>()
        .join("; ")
}
