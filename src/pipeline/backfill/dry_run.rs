//! What a backfill would do, without writing anything.

use super::{super::{Pipeline, settings::TableSettings}, files::{BackfillFiles, plan_args}};
use crate::{
    config::Config,
    decode::{Decoder, Verdicts},
    error::{Error, Kind, Result},
    event::RoutedBatch,
    schema::{self, Seen, TableSchema},
    source::files::{self, FileSample},
    telemetry::Rates,
};
use std::sync::Arc;

/// Records of each file that the schema is inferred from.
const SAMPLE_RECORDS: usize = 1_000;

/// What would happen.
#[derive(Debug)]
pub struct DryRun {
    pub run_id: String,
    pub table: String,
    /// Whether the table exists.
    pub exists: bool,
    pub files: Vec<FileSample>,
    /// The table's columns after the sampled records, with their SQL types.
    pub columns: Vec<(String, String)>,
    /// Of these, the ones the run would add to the table.
    pub new_columns: Vec<String>,
    pub sampled: u64,
    pub rescued: u64,
    pub dead_letters: u64,
    pub warnings: Vec<String>,
}

/// Reads a sample of every file, counts the rest, infers the schema.
///
/// # Errors
/// Those of the plan and of a table that is refused.
pub async fn dry_run(config: Config, args: BackfillFiles) -> Result<DryRun> {
    let pipeline = Pipeline::open(Arc::new(config), Arc::new(Rates::default())).await?;
    let plan = files::plan(plan_args(&pipeline, &args, false)?).await?;
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
    let mut run = DryRun {
        run_id: plan.manifest.run_id.as_str().to_owned(),
        table: args.table.clone(),
        exists: state.is_some(),
        files: sample.files,
        columns: Vec::new(),
        new_columns: Vec::new(),
        sampled: 0,
        rescued: 0,
        dead_letters: 0,
        warnings: Vec::new(),
    };
    let known: Vec<String> = match &state {
        Some(state) => names(&state.schema),
        None => Vec::new(),
    };
    let schema = tokio::task::spawn_blocking(move || {
        let schema = infer(before, &settings, &batches, &mut run)?;
        Ok::<_, Error>((schema, run))
    })
    .await
    .map_err(|error| Error::new(Kind::Bug, "the dry run panicked").with_source(error))?;
    let (schema, mut run) = schema?;
    for field in schema.columns.fields() {
        let data_type = schema::types::to_sql(field.data_type())?;
        run.columns.push((field.name().clone(), data_type));
    }
    run.new_columns = names(&schema)
        .into_iter()
        .filter(|name| !known.contains(name))
        .collect();
    pipeline.shared().cancel.cancel();
    Ok(run)
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
    run: &mut DryRun,
) -> Result<TableSchema> {
    let mut schema = Arc::new(before);
    loop {
        let mut decoder = Decoder::new(schema.clone(), settings.decode.clone())?;
        let mut seen = Seen::default();
        (run.sampled, run.rescued, run.dead_letters) = (0, 0, 0);
        for batch in batches {
            let decoded = decoder.decode(batch, &Verdicts::default(), 0)?;
            run.sampled += decoded.counts.records;
            run.rescued += decoded.counts.rescued;
            run.dead_letters += decoded.counts.dead_letters;
            seen.merge(decoded.seen);
        }
        let evolution = schema::evolve(&schema, &seen, &settings.evolution);
        run.warnings.extend(evolution.warnings);
        run.warnings.dedup();
        if evolution.changes.is_empty() {
            return Ok(Arc::unwrap_or_clone(schema));
        }
        schema = Arc::new(schema.apply(&evolution.changes)?);
    }
}
