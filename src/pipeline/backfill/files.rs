//! Files into one table.

use super::{super::{Pipeline, intake::SourceIntake, tally::Committed}, DRAIN, close};
use crate::{
    config::Config,
    error::{Error, Result},
    event::Intake,
    route::{Binding, Router},
    source::files::{self, CsvType, PlanArgs, Progress, RunArgs, RunId, Summary, manifest::RunStore},
    telemetry::Rates,
};
use arrow::datatypes::DataType;
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;

/// What `alluvium backfill --table` is asked to do.
#[derive(Clone, Debug)]
pub struct BackfillFiles {
    pub table: String,
    /// Paths, globs, folders, `file:` URLs.
    pub inputs: Vec<String>,
    pub run_id: Option<RunId>,
    pub lanes: Option<usize>,
    /// Whether a progress bar may be drawn.
    pub terminal: bool,
}

/// What a run did.
#[derive(Clone, Debug)]
pub struct FilesSummary {
    pub read: Summary,
    pub committed: Committed,
}

/// Runs to the end of the inputs, or until `stop`.
///
/// # Errors
/// Inputs that changed since the run began, files that do not read to their end, a table that is
/// refused. What is committed stays; the same call goes on from there.
pub async fn backfill_files(
    config: Config,
    args: BackfillFiles,
    rates: Arc<Rates>,
    stop: CancellationToken,
) -> Result<FilesSummary> {
    let pipeline = Pipeline::open(Arc::new(config), rates).await?;
    let plan = files::plan(plan_args(&pipeline, &args, true)?).await?;
    let upkeep = pipeline.start_upkeep();
    let binding = Binding {
        table: args.table.as_str().into(),
        topics: Vec::new(),
    };
    let router = Router::new("backfill", "{table}", vec![binding], 1)?;
    let intake = SourceIntake::new(pipeline.tables().clone(), router, false);
    let progress = Progress::new(plan.manifest.total_bytes(), args.terminal);
    let run = RunArgs {
        plan,
        stop,
        drain_limit: DRAIN,
    };
    let read = files::run(
        run,
        intake as Arc<dyn Intake>,
        pipeline.shared().budget.clone(),
        progress,
    )
    .await;
    let committed = pipeline.shared().tally.committed();
    close(&pipeline, upkeep).await?;
    Ok(FilesSummary {
        read: read?,
        committed,
    })
}

pub(super) fn plan_args(
    pipeline: &Pipeline,
    args: &BackfillFiles,
    record: bool,
) -> Result<PlanArgs> {
    let config = pipeline.config();
    let table = config.table(&args.table);
    let url = config.tables.get(&args.table).and_then(|t| t.url.clone());
    let location = pipeline
        .lake()
        .table(&args.table, url.as_deref())
        .map_err(Error::from)?;
    let mut csv_types = BTreeMap::new();
    for column in &table.columns {
        if column.field.is_none() {
            csv_types.insert(column.name.clone(), csv_type(&column.data_type.to_arrow()?));
        }
    }
    Ok(PlanArgs {
        pipeline: config.pipeline.clone(),
        table: args.table.clone(),
        inputs: args.inputs.clone(),
        run_id: args.run_id.clone(),
        lanes: args.lanes,
        store: RunStore {
            store: location.store,
            root: location.root,
        },
        csv_types,
        record,
    })
}

/// How a declared column's CSV text becomes JSON: as a literal, or as a string that the decoder parses.
fn csv_type(data_type: &DataType) -> CsvType {
    match data_type {
        DataType::Boolean => CsvType::Boolean,
        data_type if data_type.is_numeric() => CsvType::Number,
        _ => CsvType::Text,
    }
}
