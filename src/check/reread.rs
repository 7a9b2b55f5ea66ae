//! What counts alone do not decide, asked of the source itself.

use super::{
    audit::{SourceReport, Why},
    audits::{highest, lost, prove},
    text,
};
use crate::{
    config::Config,
    error::{Error, Result},
    event::{ByteBudget, OffsetRange, RecordKind},
    source::{
        kafka::{self, BoundedKafka, BoundedPartition, KafkaOptions, MagicByte, TopicRange},
        spool,
    },
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The most offsets read again in one audit.
const MAX_OFFSETS: u64 = 20_000_000;
/// How long brokers may take to tell what they have, and to give one range.
const ANSWER: Duration = Duration::from_secs(30);
const READ: Duration = Duration::from_secs(300);
/// Bytes held while reading.
const BUDGET: u64 = 64 << 20;

/// Reads undecided ranges of a Kafka source again and counts their records. Returns what was looked
/// at and what was not, for people.
pub(super) async fn kafka(
    config: &Config,
    source: &str,
    options: &KafkaOptions,
    report: &mut SourceReport,
) -> Vec<String> {
    let mut notes = Vec::new();
    let open: u64 = report
        .partitions
        .iter()
        .flat_map(|p| &p.undecided)
        .filter(|one| one.landed.is_some())
        .map(|one| one.range.span())
        .sum();
    if open == 0 {
        notes.push("not read again: counts leave nothing that reading it would decide".into());
        return notes;
    }
    let options = KafkaOptions {
        // What is counted need not be decoded.
        magic_byte: MagicByte::DeadLetter,
        ..options.clone()
    };
    let asked = kafka::resolve(
        &options,
        source,
        kafka::Bound::Earliest,
        kafka::Bound::Latest,
    );
    let there: BTreeMap<String, TopicRange> = match timeout(ANSWER, asked).await {
        Ok(Ok(ranges)) => ranges
            .into_iter()
            .map(|range| {
                let (topic, id) = (&range.topic, &range.topic_id);
                let partition =
                    kafka::partition(&config.pipeline, source, topic, id, range.partition);
                (partition.id.app_id().to_owned(), range)
            })
            .collect(),
        Ok(Err(error)) => {
            notes.push(format!(
                "not read again, the brokers do not answer: {error}"
            ));
            return notes;
        }
        Err(_) => {
            notes.push("not read again: the brokers did not answer within 30 seconds".into());
            return notes;
        }
    };
    let mut left = MAX_OFFSETS;
    let SourceReport {
        partitions,
        findings,
        ..
    } = report;
    for proof in partitions {
        let app_id = proof.app_id.clone();
        for one in std::mem::take(&mut proof.undecided) {
            let name = format!("{app_id} [{}, {})", one.range.start, one.range.end);
            let Some(landed) = one.landed else {
                proof.undecided.push(one);
                continue;
            };
            let held = there.get(&app_id);
            let why_not = match held {
                None => Some("the topic is gone or was made anew".to_owned()),
                Some(held) if held.from > one.range.start => Some(format!(
                    "retention has deleted what lies below {}",
                    held.from
                )),
                Some(held) if held.to < one.range.end => {
                    Some(format!("the topic ends at {}", held.to))
                }
                Some(_) if one.range.span() > left => Some(format!(
                    "an audit reads at most {MAX_OFFSETS} offsets again"
                )),
                Some(_) => None,
            };
            let read = match (why_not, held) {
                (None, Some(held)) => {
                    left -= one.range.span();
                    match timeout(READ, records(&options, source, config, held, one.range)).await {
                        Ok(Ok(n)) => Ok(n),
                        Ok(Err(error)) => Err(error.to_string()),
                        Err(_) => Err("it took more than five minutes".to_owned()),
                    }
                }
                (why_not, _) => Err(why_not.unwrap_or_default()),
            };
            match read {
                Err(why) => {
                    notes.push(format!("{name} not read again: {why}"));
                    proof.undecided.push(one);
                }
                Ok(n) if n == landed => {
                    notes.push(format!(
                        "{name} read again: {}, and so many are accounted for",
                        text::count(n, "record", "records")
                    ));
                    prove(proof, one.range);
                }
                Ok(n) if n > landed => {
                    notes.push(format!(
                        "{name} read again: {}, but only {landed} are accounted for",
                        text::count(n, "record", "records")
                    ));
                    findings.push(lost(&app_id, one.range, n - landed));
                }
                Ok(n) => {
                    notes.push(format!(
                        "{name} read again: only {n} are there of {landed} accounted for, as after a compaction: \
                         none is missing, but this no longer shows it"
                    ));
                    proof.undecided.push(one);
                }
            }
        }
    }
    notes
}

/// How many records, tombstones left out, a range of a topic holds.
async fn records(
    options: &KafkaOptions,
    source: &str,
    config: &Config,
    held: &TopicRange,
    range: OffsetRange,
) -> Result<u64> {
    let partition = kafka::partition(
        &config.pipeline,
        source,
        &held.topic,
        &held.topic_id,
        held.partition,
    );
    let bounded = BoundedPartition {
        topic: Arc::clone(&held.topic),
        topic_id: Arc::clone(&held.topic_id),
        number: held.partition,
        from: range.start,
        to: range.end,
        partition: Arc::new(partition),
        epoch: 0,
    };
    let mut reading = BoundedKafka::start(options, source, vec![bounded], ByteBudget::new(BUDGET))?;
    let mut n = 0;
    while let Some(batch) = reading.next().await {
        let batch = batch?;
        let records = batch.records.iter();
        n += records.filter(|r| r.kind != RecordKind::Tombstone).count() as u64;
    }
    Ok(n)
}

/// Reads off the spool's folder what it still holds, without taking its lock.
pub(super) async fn spool(config: &Config, source: &str, report: &SourceReport) -> Vec<String> {
    let folder = config.spool_path().join(source);
    let looked = {
        let folder = folder.clone();
        tokio::task::spawn_blocking(move || spool::look(&folder)).await
    };
    let state = match looked {
        Ok(Ok(Some(state))) => state,
        Ok(Ok(None)) => {
            return vec![format!(
                "not looked at: there is no spool here, path=`{}`",
                folder.display()
            )];
        }
        Ok(Err(error)) => return vec![format!("not looked at: {}", Error::from(error))],
        Err(error) => return vec![format!("not looked at: {error}")],
    };
    let mut notes = vec![match state.oldest {
        Some(oldest) => format!(
            "the spool holds events from sequence {oldest} on, in {} ({})",
            text::count(state.segments, "segment", "segments"),
            text::bytes(state.bytes)
        ),
        None => format!(
            "the spool is empty: everything below sequence {} is committed",
            state.low_water.max(state.sequence_floor)
        ),
    }];
    for proof in &report.partitions {
        let Some(identity) = state.identities.iter().find(|i| i.app_id == proof.app_id) else {
            continue;
        };
        let first = state.oldest.unwrap_or(state.low_water).max(identity.first);
        let top = highest(&report.tables, &proof.app_id);
        if top < first {
            notes.push(format!(
                "{}: tables stand at {top}, and the spool has let go of [{top}, {first})",
                proof.app_id
            ));
        }
        for one in &proof.undecided {
            if one.range.end > first && one.why != Why::Reset {
                notes.push(format!(
                    "{}: the events of [{}, {}) are still in the spool's files",
                    proof.app_id,
                    one.range.start.max(first),
                    one.range.end
                ));
            }
        }
        let gone: u64 = proof
            .undecided
            .iter()
            .filter(|one| one.range.start < first)
            .map(|one| one.range.end.min(first) - one.range.start)
            .sum();
        if gone > 0 {
            notes.push(format!(
                "{}: {gone} undecided sequence numbers are no longer in the spool, so it cannot tell whether they \
                 held events; numbers that a crash gave up hold none",
                proof.app_id
            ));
        }
    }
    notes
}
