//! Ranges of a Kafka source into its tables, beside a daemon that reads the same topics or not.

use super::{
    super::{BackfillRange, Bound, Pipeline, intake::SourceIntake, serve::stop_token, sources},
    DRAIN,
    catalog::{self, Settled},
    close, rows,
};
use crate::{
    check::Report,
    commit::TableLog,
    config::{Config, SourceOptions},
    error::{Error, Kind, Result},
    event::{Assignment, Intake, Offset, Partition, SourceEvent},
    route::Router,
    source::{
        files::{
            KafkaRange, KafkaRanges, RunId,
            manifest::{Finished, RunStore},
            ranges::Reader,
        },
        kafka::{self, BoundedKafka, BoundedPartition, KafkaOptions},
    },
    telemetry::{self, Rates, Telemetry},
};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Rounds without any progress after which a run gives up.
const MAX_IDLE_ROUNDS: u32 = 10;

/// Lands ranges of a Kafka source, to their ends or until a signal.
///
/// # Errors
/// A range that another reader of the topic lands in the same table (rule 16); brokers that refuse;
/// a table that is refused. What is committed stays; the same call goes on from there.
pub async fn backfill_range(
    config: Config,
    telemetry: Telemetry,
    args: BackfillRange,
) -> Result<Report> {
    let stop = stop_token()?;
    let rates = Arc::new(Rates::default());
    let pipeline = Pipeline::open(Arc::new(config), rates.clone()).await?;
    let options = kafka_options(&pipeline, &args.source)?;
    let router = sources::router(&pipeline, &args.source, &options.table)?;
    let bounds = vec![format!("{:?}", args.from), format!("{:?}", args.to)];
    let run_id = match &args.run_id {
        Some(id) => RunId::new(id.clone())?,
        None => RunId::derive(&pipeline.config().pipeline, &args.source, &bounds),
    };
    let store = run_store(&pipeline, &router)?;
    let recorded = KafkaRanges::load(&store, &run_id).await?;
    let ranges = match recorded {
        Some(ranges) => ranges,
        None => {
            let ranges = capture(&pipeline, &options, &args, &bounds, run_id.clone()).await?;
            if args.dry_run {
                ranges
            } else {
                ranges.record(&store).await?.0
            }
        }
    };
    if ranges.source != args.source || ranges.bounds != bounds {
        return Err(Error::new(
            Kind::Config,
            format!(
                "this run id belongs to other bounds; choose another --run-id, run_id=`{run_id}` its_source=`{}` its_bounds=`{}`",
                ranges.source,
                ranges.bounds.join(" ")
            ),
        ));
    }
    let mut text = shown(&ranges);
    if KafkaRanges::load_finished(&store, &run_id).await?.is_some() {
        let _ = writeln!(text, "nothing to do: run {run_id} was finished before");
        return Ok(done(text, 0, Kind::InvalidData));
    }
    check_overlap(&pipeline, &router, &ranges, &store).await?;
    if args.dry_run {
        let _ = writeln!(text, "dry run {run_id}, nothing was written");
        return Ok(done(text, 0, Kind::InvalidData));
    }
    let live = telemetry.live.then(|| {
        let line = telemetry::live_line(rates, telemetry.screen.clone(), |_: &Rates| {});
        tokio::spawn(line)
    });
    let upkeep = pipeline.start_upkeep();
    let intake = SourceIntake::bounded(pipeline.tables().clone(), router);
    let run = Run {
        pipeline: &pipeline,
        options,
        source: &args.source,
        ranges: &ranges,
        run_id: &run_id,
        intake,
        stop: stop.clone(),
    };
    let outcome = run.to_the_end().await;
    if let Some(live) = live {
        live.abort();
        telemetry.screen.set_live("");
    }
    let settled = match &outcome {
        Ok(true) => catalog::settle(&pipeline, None, &telemetry, &stop).await,
        _ => Settled::not_asked(),
    };
    let committed = pipeline.shared().tally.committed();
    close(&pipeline, upkeep).await?;
    if !outcome? {
        let _ = writeln!(
            text,
            "stopped: the same command goes on from here, run {run_id}"
        );
        rows(&mut text, &committed);
        return Ok(done(text, 1, Kind::Unavailable));
    }
    let finished = Finished {
        run_id: run_id.clone(),
        lane_records: ranges.ranges.iter().map(|range| range.to).collect(),
    };
    KafkaRanges::record_finished(&store, &finished).await?;
    let _ = writeln!(text, "finished: run {run_id}");
    rows(&mut text, &committed);
    let mut report = done(text, committed.dead_letters, Kind::InvalidData);
    settled.tell(&mut report, &committed);
    Ok(report)
}

fn done(text: String, faults: u64, kind: Kind) -> Report {
    Report { text, faults, kind }
}

fn shown(ranges: &KafkaRanges) -> String {
    let mut text = String::new();
    for range in &ranges.ranges {
        let _ = writeln!(
            text,
            "{}/{}  [{}, {})",
            range.topic, range.partition, range.from, range.to
        );
    }
    text
}

fn kafka_options(pipeline: &Pipeline, source: &str) -> Result<KafkaOptions> {
    match pipeline.config().sources.get(source) {
        Some(SourceOptions::Kafka(options)) => Ok(options.clone()),
        Some(_) => Err(Error::new(
            Kind::Config,
            format!("only sources of type `kafka` have ranges to backfill, source=`{source}`"),
        )),
        None => Err(Error::new(
            Kind::Config,
            format!(
                "the configuration has no such source; see `alluvium config show`, source=`{source}`"
            ),
        )),
    }
}

/// Below the table's folder, or the ledger's where the source feeds several.
fn run_store(pipeline: &Pipeline, router: &Router) -> Result<RunStore> {
    let config = pipeline.config();
    let name = router.only_table().map_or_else(
        || config.dead_letters.table.clone(),
        |table| table.to_string(),
    );
    let url = config.tables.get(&name).and_then(|t| t.url.clone());
    let location = pipeline
        .lake()
        .table(&name, url.as_deref())
        .map_err(Error::from)?;
    Ok(RunStore {
        store: location.store,
        root: location.root,
    })
}

async fn capture(
    pipeline: &Pipeline,
    options: &KafkaOptions,
    args: &BackfillRange,
    bounds: &[String],
    run_id: RunId,
) -> Result<KafkaRanges> {
    let from = args.from.clone().unwrap_or(Bound::Earliest);
    let to = args.to.clone().unwrap_or(Bound::Latest);
    let resolved = kafka::resolve(
        options,
        &args.source,
        everywhere(&from, kafka::Bound::Earliest),
        everywhere(&to, kafka::Bound::Latest),
    )
    .await?;
    let mut ranges = Vec::new();
    for range in resolved {
        let (Some(from), Some(to)) = (
            by_partition(&from, range.partition, range.from),
            by_partition(&to, range.partition, range.to),
        ) else {
            continue;
        };
        ranges.push(KafkaRange {
            topic: range.topic.to_string(),
            topic_id: range.topic_id.to_string(),
            partition: range.partition,
            from: from.max(range.from),
            to: to.min(range.to),
        });
    }
    Ok(KafkaRanges::new(
        run_id,
        &pipeline.config().pipeline,
        &args.source,
        bounds.to_vec(),
        ranges,
    )?)
}

/// A bound that holds in every partition; offsets by partition are cut out of the widest.
pub(in crate::pipeline) fn everywhere(bound: &Bound, widest: kafka::Bound) -> kafka::Bound {
    match bound {
        Bound::Earliest => kafka::Bound::Earliest,
        Bound::Latest => kafka::Bound::Latest,
        Bound::Offset(offset) => kafka::Bound::Offset(*offset),
        Bound::Timestamp(time) => kafka::Bound::Time(*time),
        Bound::Offsets(_) => widest,
    }
}

/// The bound of one partition; `None`: it is not among those named.
fn by_partition(bound: &Bound, partition: i32, resolved: Offset) -> Option<Offset> {
    match bound {
        Bound::Offsets(offsets) => offsets.get(&partition).copied(),
        _ => Some(resolved),
    }
}

/// Refuses ranges that others have landed, or will, in a table this run writes.
async fn check_overlap(
    pipeline: &Pipeline,
    router: &Router,
    ranges: &KafkaRanges,
    store: &RunStore,
) -> Result<()> {
    let config = pipeline.config();
    let tables = match router.only_table() {
        Some(table) => vec![table.to_string()],
        None => {
            let mut names = pipeline.lake().tables().await.map_err(Error::from)?;
            names.extend(config.tables.keys().cloned());
            names.sort();
            names.dedup();
            names
        }
    };
    let starts = pipeline
        .shared()
        .ledger
        .log()
        .all_positions()
        .await
        .map_err(Error::from)?;
    for table in tables {
        if table == config.dead_letters.table {
            continue;
        }
        let log = pipeline.tables().log(&table)?;
        let readers = readers(&log, &starts, store).await?;
        ranges.check_overlap(&table, &readers)?;
    }
    Ok(())
}

/// Everybody who lands records in a table, with where they began, stand and will stop.
async fn readers(
    log: &TableLog,
    ledger: &BTreeMap<String, Offset>,
    store: &RunStore,
) -> Result<Vec<Reader>> {
    let positions = log.all_positions().await.map_err(Error::from)?;
    let mut began: BTreeMap<String, Offset> = BTreeMap::new();
    for record in log.history().await.map_err(Error::from)? {
        for range in record
            .account
            .into_iter()
            .flat_map(|account| account.ranges)
        {
            // The first range of an app id begins where its reading did.
            if range.expected.is_none() {
                began.insert(range.partition, range.start);
            }
        }
    }
    let mut readers = Vec::new();
    for (app_id, end) in positions {
        let start = began
            .get(&app_id)
            .or_else(|| ledger.get(&format!("{app_id}!start")))
            .copied();
        let until = match run_id_of(&app_id) {
            Some(run_id) => KafkaRanges::load(store, &run_id)
                .await?
                .and_then(|ranges| ranges.end_of(&app_id)),
            None => None,
        };
        readers.push(Reader {
            app_id,
            start,
            end,
            until,
        });
    }
    Ok(readers)
}

/// The run id of `<pipeline>/backfill-<run id>/…`.
fn run_id_of(app_id: &str) -> Option<RunId> {
    let run = app_id.split('/').nth(1)?.strip_prefix("backfill-")?;
    RunId::new(run).ok()
}

struct Run<'a> {
    pipeline: &'a Pipeline,
    options: KafkaOptions,
    source: &'a str,
    ranges: &'a KafkaRanges,
    run_id: &'a RunId,
    intake: Arc<SourceIntake>,
    stop: CancellationToken,
}

impl Run<'_> {
    /// Rounds of assign, read, drain, until every low-water mark is at its end. True: complete.
    async fn to_the_end(&self) -> Result<bool> {
        let pipeline = &self.pipeline.config().pipeline;
        let mut left: Vec<(Arc<Partition>, KafkaRange)> = self
            .ranges
            .ranges
            .iter()
            .map(|range| {
                let partition = range.source_partition(pipeline, self.run_id, self.source);
                (Arc::new(partition), range.clone())
            })
            .collect();
        let mut idle = 0;
        while !left.is_empty() {
            let before = left.len();
            let progressed = self.round(&mut left).await?;
            if self.stop.is_cancelled() || self.pipeline.shared().cancel.is_cancelled() {
                return Ok(left.is_empty());
            }
            idle = if progressed || left.len() < before {
                0
            } else {
                idle + 1
            };
            if idle == MAX_IDLE_ROUNDS {
                return Err(Error::new(
                    Kind::Fenced,
                    "another writer keeps moving this run's positions; is the same backfill running twice?",
                ));
            }
        }
        Ok(true)
    }

    /// Reads what is left once. Partitions that are committed to their end leave `left`.
    async fn round(&self, left: &mut Vec<(Arc<Partition>, KafkaRange)>) -> Result<bool> {
        let partitions: Vec<_> = left
            .iter()
            .map(|(partition, _)| partition.clone())
            .collect();
        let assigned = self.intake.assign(partitions.clone()).await?;
        let ranges: BTreeMap<&str, &KafkaRange> = left
            .iter()
            .map(|(partition, range)| (partition.id.app_id(), range))
            .collect();
        let from = |assignment: &Assignment| -> Offset {
            let range = ranges.get(assignment.partition.id.app_id());
            assignment
                .resume
                .unwrap_or_else(|| range.map_or(0, |range| range.from))
        };
        let fresh: Vec<_> = assigned
            .iter()
            .filter(|assignment| assignment.resume.is_none())
            .map(|assignment| (assignment.clone(), from(assignment)))
            .collect();
        self.intake.record_start(fresh).await?;
        let bounded: Vec<BoundedPartition> = assigned
            .iter()
            .filter_map(|assignment| {
                let range = ranges.get(assignment.partition.id.app_id())?;
                Some(BoundedPartition {
                    topic: range.topic.as_str().into(),
                    topic_id: range.topic_id.as_str().into(),
                    number: range.partition,
                    from: from(assignment),
                    to: range.to,
                    partition: assignment.partition.clone(),
                    epoch: assignment.epoch,
                })
            })
            .collect();
        let began: BTreeMap<String, Offset> = bounded
            .iter()
            .map(|one| (one.partition.id.app_id().to_owned(), one.from))
            .collect();
        let done_before: Vec<String> = bounded
            .iter()
            .filter(|one| one.from >= one.to)
            .map(|one| one.partition.id.app_id().to_owned())
            .collect();
        self.read(bounded).await?;
        let acked = self.intake.drain(&partitions, DRAIN).await;
        let mut progressed = false;
        for one in acked {
            let id = one.partition.id.app_id();
            progressed |= began.get(id).is_some_and(|from| one.low_water > *from);
            left.retain(|(partition, range)| {
                partition.id.app_id() != id || one.low_water < range.to
            });
        }
        left.retain(|(partition, _)| !done_before.iter().any(|id| id == partition.id.app_id()));
        Ok(progressed)
    }

    async fn read(&self, ranges: Vec<BoundedPartition>) -> Result<()> {
        let budget = self.pipeline.shared().budget.clone();
        let mut reader = BoundedKafka::start(&self.options, self.source, ranges, budget)?;
        loop {
            tokio::select! {
                batch = reader.next() => match batch {
                    // A batch of an epoch that has ended is dropped; the next round reads it again.
                    Some(batch) => self.intake.send(batch?).await?,
                    None => return Ok(()),
                },
                event = self.intake.event() => if let Some(SourceEvent::Rewind { partition, .. }) = event {
                    tracing::info!(partition = %partition.id, "reading again what was not committed");
                },
                () = self.stop.cancelled() => return Ok(()),
                () = self.pipeline.shared().cancel.cancelled() => return Ok(()),
            }
        }
    }
}
