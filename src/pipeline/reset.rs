//! Setting positions by hand: the way on after lost or recreated offsets (rules 13 and identity).

use super::{Bound, Pipeline, ResetPlan, ResetPositions, backfill::everywhere, sources};
use crate::{
    config::{Config, SourceOptions},
    error::{Error, Kind, Result},
    event::{Offset, SourcePartition},
    source::kafka,
    telemetry::Rates,
};
use std::{fmt::Write, sync::Arc};

/// One position to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    partition: SourcePartition,
    from: Option<Offset>,
    to: Offset,
    /// Other tables that the partition feeds and that stand below `to`: the mark moves over what they
    /// lack.
    behind: Vec<(String, Offset)>,
}

/// Looks the topic up, and tells what the reset would lose or double.
///
/// # Errors
/// A source that is not Kafka's, a table the source does not feed, brokers that do not answer.
pub async fn plan_reset(config: &Config, request: &ResetPositions) -> Result<ResetPlan> {
    let moves = moves(config, request).await?;
    let mut text = String::new();
    for one in &moves {
        let effect = match one.from {
            None => "no position yet: reading begins there".into(),
            Some(from) if one.to > from => format!(
                "LOSES {} offsets: [{from}, {}) will not be read",
                one.to - from,
                one.to
            ),
            Some(from) if one.to < from => format!(
                "DOUBLES rows: [{}, {from}) is in the table and will be read again, {} offsets",
                one.to,
                from - one.to
            ),
            Some(_) => "no change".into(),
        };
        let from = one.from.map_or("none".into(), |from| from.to_string());
        let _ = writeln!(text, "{}\n  {from} -> {}  {effect}", one.partition, one.to);
        for (table, stands) in &one.behind {
            let _ = writeln!(
                text,
                "  LOSES for table `{table}`: [{stands}, {}) will not be read, whatever of it belongs there",
                one.to
            );
        }
    }
    let _ = writeln!(
        text,
        "in table `{}` and in the ledger `{}`; stop the daemons of pipeline `{}` first",
        request.table, config.dead_letters.table, config.pipeline
    );
    Ok(ResetPlan {
        request: request.clone(),
        text,
    })
}

/// Does what the plan says, looking everything up again.
///
/// # Errors
/// As [`plan_reset`]; those of the commits.
pub async fn apply_reset(config: &Config, plan: ResetPlan) -> Result<()> {
    let moves = moves(config, &plan.request).await?;
    let pipeline = Pipeline::open(Arc::new(config.clone()), Arc::new(Rates::default())).await?;
    let table: Vec<(String, Offset)> = moves
        .iter()
        .map(|one| (one.partition.app_id().to_owned(), one.to))
        .collect();
    let ledger = pipeline.shared().ledger.log();
    let marks: Vec<(String, Offset)> = moves
        .iter()
        .flat_map(|one| {
            [
                (one.partition.low_water_app_id(), one.to),
                (one.partition.start_app_id(), one.to),
            ]
        })
        .collect();
    let done = async {
        // The ledger first: a start that is known, and a mark that is no higher than the tables'.
        pipeline
            .shared()
            .ledger
            .write_marks(super::ledger::marks(marks.iter().cloned()))
            .await?;
        ledger.reset_positions(&marks).await?;
        let log = pipeline.tables().log(&plan.request.table)?;
        if log.load().await?.is_some() {
            log.reset_positions(&table).await?;
        }
        Ok::<_, Error>(())
    };
    let done = done.await;
    pipeline.shared().cancel.cancel();
    done
}

async fn moves(config: &Config, request: &ResetPositions) -> Result<Vec<Move>> {
    let Some(SourceOptions::Kafka(options)) = config.sources.get(&request.source) else {
        return Err(Error::new(
            Kind::Config,
            format!(
                "positions can be reset for a Kafka source of the configuration only, source=`{}`",
                request.source
            ),
        ));
    };
    let bound = everywhere(&request.to, kafka::Bound::Latest);
    let ranges = kafka::resolve(options, &request.source, bound, kafka::Bound::Latest).await?;
    let pipeline = Pipeline::open(Arc::new(config.clone()), Arc::new(Rates::default())).await?;
    let log = pipeline.tables().log(&request.table)?;
    let router = sources::router(&pipeline, &request.source, &options.table)?;
    let mut moves = Vec::new();
    for range in ranges {
        let asked = request.topic.as_deref().is_none_or(|t| *t == *range.topic)
            && (request.partitions.is_empty() || request.partitions.contains(&range.partition));
        let to = match &request.to {
            Bound::Offsets(offsets) => offsets.get(&range.partition).copied(),
            _ => Some(range.from),
        };
        let (true, Some(to)) = (asked, to) else {
            continue;
        };
        if let Some(table) = router.fixed_table(&range.topic)
            && *table != *request.table
        {
            return Err(Error::new(
                Kind::Config,
                format!(
                    "the topic goes to another table; name that one, or its topic by --topic, topic=`{}` table=`{table}`",
                    range.topic
                ),
            ));
        }
        let partition = kafka::partition(
            &config.pipeline,
            &request.source,
            &range.topic,
            &range.topic_id,
            range.partition,
        )
        .id;
        let from = log
            .positions(&[partition.app_id().to_owned()], true)
            .await?
            .into_iter()
            .next()
            .flatten();
        let behind = if router.is_fan_out() {
            let all = pipeline.tables().all_positions(&partition).await?;
            all.into_iter()
                .filter(|(table, stands)| *table != request.table && *stands < to)
                .collect()
        } else {
            Vec::new()
        };
        moves.push(Move {
            partition,
            from,
            to,
            behind,
        });
    }
    pipeline.shared().cancel.cancel();
    if moves.is_empty() {
        return Err(Error::new(
            Kind::Config,
            "no partition of the source is meant by this; look at --topic, --partition and --to",
        ));
    }
    Ok(moves)
}
