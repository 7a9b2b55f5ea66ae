//! What a backfill would do, without writing anything.

use super::{
    super::{BackfillFiles, Pipeline, settings::TableSettings},
    files::plan_args,
};
use crate::{
    check::Report,
    config::Config,
    decode::{Decoder, Verdicts},
    error::{Error, Kind, Result},
    event::RoutedBatch,
    schema::{self, Seen, TableSchema},
    source::files,
    telemetry::Rates,
};
use std::{fmt::Write, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Records of each file that the schema is inferred from.
const SAMPLE_RECORDS: usize = 1_000;

/// What would happen.
#[derive(Default)]
struct Found {
    sampled: u64,
    rescued: u64,
    dead_letters: u64,
    warnings: Vec<String>,
}

/// Reads a sample of every file, counts the rest, infers the schema.
///
/// # Errors
/// Those of the plan and of a table that is refused.
pub(super) async fn dry_run(config: Config, args: BackfillFiles) -> Result<Report> {
    let pipeline = Pipeline::open(Arc::new(config), Arc::new(Rates::default())).await?;
    let plan = files::plan(plan_args(
        &pipeline,
        &args,
        false,
        CancellationToken::new(),
    )?)
    .await?;
    let sample = files::sample(&plan, &pipeline.shared().budget, SAMPLE_RECORDS, true).await?;
    let settings = TableSettings::new(pipeline.config(), &args.table)?;
    let state = pipeline.tables().log(&args.table)?.load().await?;
    let before = match &state {
        Some(state) => {
            let missing = settings.missing_columns(&state.schema)?;
            state.schema.apply(&missing)?
        }
        None => settings.base_schema()?,
    };
    let batches: Vec<RoutedBatch> = sample
        .batches
        .into_iter()
        .map(|raw| RoutedBatch {
            raw: Arc::new(raw),
            select: None,
        })
        .collect();
    let known: Vec<String> = match &state {
        Some(state) => names(&state.schema),
        None => Vec::new(),
    };
    let inferred = tokio::task::spawn_blocking(move || infer(before, &settings, &batches)).await;
    let (schema, found) = inferred
        .map_err(|error| Error::new(Kind::Bug, "the dry run panicked").with_source(error))??;
    pipeline.shared().cancel.cancel();
    let run_id = plan.manifest.run_id.as_str();
    let mut text = format!("dry run {run_id}, nothing was written\n\nfiles\n");
    let mut faults = 0;
    for file in &sample.files {
        let count = match (&file.problem, file.records) {
            (Some(problem), _) => {
                faults += 1;
                format!("does not read to its end: {problem}")
            }
            (None, Some(records)) => format!("{records} records"),
            (None, None) => "not counted".into(),
        };
        let _ = writeln!(
            text,
            "  {}  {}, {} bytes, {count}",
            file.path,
            file.format.as_str(),
            file.size
        );
    }
    let made = if state.is_some() {
        "exists"
    } else {
        "would be made"
    };
    let _ = writeln!(text, "\ntable {} ({made})", args.table);
    for field in schema.columns.fields() {
        let data_type = schema::types::to_sql(field.data_type())?;
        let new = if known.contains(field.name()) {
            ""
        } else {
            "  new"
        };
        let _ = writeln!(text, "  {} {data_type}{new}", field.name());
    }
    let Found {
        sampled,
        rescued,
        dead_letters,
        warnings,
    } = found;
    let _ = writeln!(
        text,
        "\nof the first records of each file, {sampled} would be rows ({rescued} with rescued values), {dead_letters} dead letters"
    );
    for warning in warnings {
        let _ = writeln!(text, "  {warning}");
    }
    Ok(Report {
        text,
        faults,
        kind: Kind::InvalidData,
    })
}

fn names(schema: &TableSchema) -> Vec<String> {
    schema
        .columns
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect()
}

fn infer(
    before: TableSchema,
    settings: &TableSettings,
    batches: &[RoutedBatch],
) -> Result<(TableSchema, Found)> {
    let mut schema = Arc::new(before);
    let mut warnings = Vec::new();
    loop {
        let mut run = Found::default();
        let mut decoder = Decoder::new(schema.clone(), settings.decode.clone())?;
        let mut seen = Seen::default();
        for batch in batches {
            let decoded = decoder.decode(batch, &Verdicts::default(), 0)?;
            run.sampled += decoded.counts.records;
            run.rescued += decoded.counts.rescued;
            run.dead_letters += decoded.counts.dead_letters;
            seen.merge(decoded.seen);
        }
        let evolution = schema::evolve(&schema, &seen, &settings.evolution);
        warnings.extend(evolution.warnings);
        if evolution.changes.is_empty() {
            warnings.dedup();
            run.warnings = warnings;
            return Ok(((*schema).clone(), run));
        }
        schema = Arc::new(schema.apply(&evolution.changes)?);
    }
}
