//! Files into one table.

use super::{
    super::{BackfillFiles, Pipeline, intake::SourceIntake, serve::stop_token, tally::Committed},
    DRAIN,
    catalog::{self, Settled},
    close, dry_run, rows,
};
use crate::{
    check::Report,
    config::Config,
    error::{Error, Kind, Result},
    event::Intake,
    route::{Binding, Router},
    source::files::{
        self, CsvType, PlanArgs, Progress, RunArgs, RunId, Summary, manifest::RunStore,
    },
    telemetry::{Rates, Telemetry},
};
use arrow::datatypes::DataType;
use std::{collections::BTreeMap, fmt::Write, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Lands files in a table, to the end of the inputs or until a signal.
///
/// # Errors
/// Inputs that changed since the run began, files that do not read to their end, a table that is
/// refused. What is committed stays; the same call goes on from there.
pub async fn backfill_files(
    config: Config,
    telemetry: Telemetry,
    args: BackfillFiles,
) -> Result<Report> {
    if args.dry_run {
        return dry_run::dry_run(config, args).await;
    }
    let stop = stop_token()?;
    let pipeline = Pipeline::open(Arc::new(config), Arc::new(Rates::default())).await?;
    let plan = files::plan(plan_args(&pipeline, &args, true, stop.clone())?).await?;
    let upkeep = pipeline.start_upkeep();
    let binding = Binding {
        table: args.table.clone(),
        topics: None,
    };
    let router = Router::new("backfill", "{table}", vec![binding], 1)?;
    let intake = SourceIntake::bounded(pipeline.tables().clone(), router);
    let progress = Progress::new(plan.manifest.total_bytes(), telemetry.live);
    let run = RunArgs {
        plan,
        stop: stop.clone(),
        drain_limit: DRAIN,
    };
    let budget = pipeline.shared().budget.clone();
    let read = files::run(run, intake as Arc<dyn Intake>, budget, progress).await;
    let settled = match &read {
        Ok(read) if read.complete => {
            catalog::settle(&pipeline, Some(&args.table), &telemetry, &stop).await
        }
        _ => Settled::not_asked(),
    };
    let committed = pipeline.shared().tally.committed();
    close(&pipeline, upkeep).await?;
    let read = read?;
    let mut report = Report {
        text: text(&args.table, &read, &committed),
        faults: committed.dead_letters + u64::from(!read.complete),
        kind: if read.complete {
            Kind::InvalidData
        } else {
            Kind::Unavailable
        },
    };
    settled.tell(&mut report, &committed);
    Ok(report)
}

fn text(table: &str, read: &Summary, committed: &Committed) -> String {
    let mut text = String::new();
    if read.already_complete {
        let _ = writeln!(
            text,
            "nothing to do: run {} was finished before, {} records from {} files are in `{table}`",
            read.run_id, read.committed, read.files
        );
        return text;
    }
    if read.resumed_at > 0 {
        let _ = writeln!(
            text,
            "went on with run {} at record {}",
            read.run_id, read.resumed_at
        );
    }
    let state = if read.complete { "finished" } else { "stopped" };
    let _ = writeln!(
        text,
        "{state}: {} records of {} files in `{table}`, run {}",
        read.committed, read.files, read.run_id
    );
    rows(&mut text, committed);
    if !read.complete {
        let _ = writeln!(text, "the same command goes on from here");
    }
    text
}

pub(super) fn plan_args(
    pipeline: &Pipeline,
    args: &BackfillFiles,
    record: bool,
    stop: CancellationToken,
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
        stores: Arc::new(pipeline.lake().stores().clone()),
        stop,
        run_id: args.run_id.clone().map(RunId::new).transpose()?,
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
