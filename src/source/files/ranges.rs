//! A backfill of Kafka ranges: bounds fixed at its start, and never where others read
//! (exactly-once.md, rule 16).
//!
//! The manifest is `_alluvium/backfill-kafka-<run id>.json` below the folder of the table, or of the
//! ledger where the source feeds several. Beside it, `backfill-kafka-<run id>.finished.json` is made when
//! every range is committed to its end: runs of files have other names, for one id may name a run of each.

use super::{
    FilesError,
    manifest::{Finished, MANIFEST_FORMAT, RunId, RunStore},
};
use crate::event::{Offset, Partition, SourcePartition};
use serde::{Deserialize, Serialize};

/// `[from, to)` of one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaRange {
    pub topic: String,
    /// Kafka's id of the topic: a recreated topic is another.
    pub topic_id: String,
    pub partition: i32,
    pub from: Offset,
    /// Captured when the run began; records that came later are not the run's.
    pub to: Offset,
}

/// The bounds of a run. They never change: a resumed run reads the same offsets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KafkaRanges {
    pub format: u32,
    pub run_id: RunId,
    pub pipeline: String,
    /// The configuration's name of the source.
    pub source: String,
    /// `--from` and `--to` as given.
    pub bounds: Vec<String>,
    /// Sorted by topic and partition.
    pub ranges: Vec<KafkaRange>,
}

/// What an app id has read, or will, of a partition in one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    pub app_id: String,
    /// Where it began: the first range of commit metadata, or the ledger's start. `None`: not known
    /// any more, since the log was cleaned.
    pub start: Option<Offset>,
    /// Its position.
    pub end: Offset,
    /// Where it will stop: `None` for a daemon, the manifest's `to` for another backfill.
    pub until: Option<Offset>,
}

impl KafkaRange {
    /// `<pipeline>/backfill-<run id>/<topic>#<topic id>/<partition>`
    pub fn app_id(&self, pipeline: &str, run_id: &RunId) -> String {
        format!(
            "{pipeline}/backfill-{run_id}/{}#{}/{}",
            self.topic, self.topic_id, self.partition
        )
    }

    pub fn source_partition(&self, pipeline: &str, run_id: &RunId, source: &str) -> Partition {
        Partition {
            id: SourcePartition::new(self.app_id(pipeline, run_id)),
            source: source.into(),
            label: format!("{source}/{}", self.topic).into(),
            topic: self.topic.as_str().into(),
            number: self.partition,
        }
    }
}

impl KafkaRanges {
    /// Sorts and checks the ranges; a partition with nothing to read is left out.
    pub fn new(
        run_id: RunId,
        pipeline: &str,
        source: &str,
        bounds: Vec<String>,
        mut ranges: Vec<KafkaRange>,
    ) -> Result<Self, FilesError> {
        ranges.retain(|r| r.from != r.to);
        if let Some(bad) = ranges.iter().find(|r| r.from > r.to) {
            return Err(FilesError::EmptyRange {
                topic: bad.topic.clone(),
                partition: bad.partition,
                from: bad.from,
                to: bad.to,
            });
        }
        ranges
            .sort_by(|a, b| (&a.topic, a.partition, a.from).cmp(&(&b.topic, b.partition, b.from)));
        let same =
            |a: &KafkaRange, b: &KafkaRange| a.topic == b.topic && a.partition == b.partition;
        if let Some(pair) = ranges.windows(2).find(|w| same(&w[0], &w[1])) {
            return Err(FilesError::Overlap(format!(
                "a partition stands twice in the ranges; give one range each topic=`{}` partition=`{}`",
                pair[0].topic, pair[0].partition
            )));
        }
        Ok(Self {
            format: MANIFEST_FORMAT,
            run_id,
            pipeline: pipeline.to_owned(),
            source: source.to_owned(),
            bounds,
            ranges,
        })
    }

    /// The recorded bounds of this run, if it began before.
    pub async fn load(store: &RunStore, run_id: &RunId) -> Result<Option<Self>, FilesError> {
        store
            .load(&store.object(&format!("backfill-kafka-{run_id}.json")))
            .await
    }

    /// Records the bounds, or reads those of whoever recorded first; whether this call made them.
    pub async fn record(self, store: &RunStore) -> Result<(Self, bool), FilesError> {
        let path = store.object(&format!("backfill-kafka-{}.json", self.run_id));
        if store.create(&path, &self).await? {
            return Ok((self, true));
        }
        match Self::load(store, &self.run_id).await? {
            Some(winner) => Ok((winner, false)),
            None => Err(FilesError::ManifestCorrupt {
                path: path.to_string(),
                problem: "it was there and then was not".into(),
            }),
        }
    }

    /// What is recorded of this run if it is finished.
    pub async fn load_finished(
        store: &RunStore,
        run_id: &RunId,
    ) -> Result<Option<Finished>, FilesError> {
        store
            .load(&store.object(&format!("backfill-kafka-{run_id}.finished.json")))
            .await
    }

    pub async fn record_finished(store: &RunStore, finished: &Finished) -> Result<(), FilesError> {
        let name = format!("backfill-kafka-{}.finished.json", finished.run_id);
        store
            .create(&store.object(&name), finished)
            .await
            .map(|_| ())
    }

    /// Where the reader of this app id will stop, if it is one of this run's.
    pub fn end_of(&self, app_id: &str) -> Option<Offset> {
        self.ranges
            .iter()
            .find(|range| range.app_id(&self.pipeline, &self.run_id) == app_id)
            .map(|range| range.to)
    }

    /// Refuses ranges of which another reader of the same topic has committed, or will commit, any
    /// offset to the same table. `readers`: all app ids of that table and of the ledger's starts;
    /// those of other topics and of this run itself are passed over.
    pub fn check_overlap(&self, table: &str, readers: &[Reader]) -> Result<(), FilesError> {
        let mut problems = Vec::new();
        for range in &self.ranges {
            let own = range.app_id(&self.pipeline, &self.run_id);
            for reader in readers {
                if reader.app_id != own && reads(&reader.app_id, range) {
                    problems.extend(conflict(range, reader));
                }
            }
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(FilesError::Overlap(format!(
            "the range overlaps what others land in this table, so rows would stand twice: {} table=`{table}`",
            problems.join("; ")
        )))
    }
}

/// Whether the app id is a reader of the range's partition: `…/<topic>#<topic id>/<partition>`.
fn reads(app_id: &str, range: &KafkaRange) -> bool {
    let Some((rest, partition)) = app_id.rsplit_once('/') else {
        return false;
    };
    // Neither a topic's name nor its id contains `/` or `#`.
    let topic = rest.rsplit_once('/').map_or(rest, |(_, topic)| topic);
    partition.parse() == Ok(range.partition)
        && topic.split_once('#') == Some((range.topic.as_str(), range.topic_id.as_str()))
}

fn conflict(range: &KafkaRange, reader: &Reader) -> Option<String> {
    let KafkaRange {
        topic,
        partition,
        from,
        to,
        ..
    } = range;
    let name = &reader.app_id;
    let begin = reader.start.unwrap_or(0);
    let until = reader.until.unwrap_or(Offset::MAX).max(reader.end);
    // A reader of nothing (begun and ended at one offset) is in nobody's way.
    if begin >= until || *to <= begin || *from >= until {
        return None;
    }
    let shown = format!("{topic}/{partition} [{from}, {to})");
    Some(match reader.start {
        None if *from < reader.end => format!(
            "{shown}: `{name}` stands at {} and the log no longer tells where it began; what is below \
             can be read only into another table",
            reader.end
        ),
        Some(start) if *from < reader.end && *to > start => format!(
            "{shown}: `{name}` has committed [{start}, {}); end at --to {start} at the latest{}",
            reader.end,
            match reader.until {
                Some(_) => format!(", or begin at --from {until}"),
                None => String::new(),
            }
        ),
        _ => format!(
            "{shown}: `{name}` stands at {} and reads on from there; {}",
            reader.end,
            match reader.until {
                Some(until) => format!("begin at --from {until}"),
                None => "it will land these offsets itself".to_owned(),
            }
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn range(from: Offset, to: Offset) -> KafkaRange {
        KafkaRange {
            topic: "clicks".into(),
            topic_id: "id1".into(),
            partition: 3,
            from,
            to,
        }
    }

    fn ranges(from: Offset, to: Offset) -> KafkaRanges {
        let id = RunId::new("r1").unwrap();
        KafkaRanges::new(id, "default", "clicks", vec![], vec![range(from, to)]).unwrap()
    }

    fn daemon(start: Option<Offset>, end: Offset) -> Reader {
        Reader {
            app_id: "default/clicks/clicks#id1/3".into(),
            start,
            end,
            until: None,
        }
    }

    #[test]
    fn rule_16_below_a_daemons_start_is_free_and_nothing_else() {
        let d = [daemon(Some(100), 150)];
        assert!(ranges(0, 100).check_overlap("t", &d).is_ok());
        for (from, to) in [(0, 101), (100, 120), (140, 160), (150, 160), (1000, 1001)] {
            let error = ranges(from, to).check_overlap("t", &d).unwrap_err();
            assert!(
                error.to_string().contains("default/clicks/clicks#id1/3"),
                "{error}"
            );
        }
        assert!(
            ranges(0, 10)
                .check_overlap("t", &[daemon(None, 150)])
                .is_err()
        );
    }

    #[test]
    fn other_topics_partitions_and_the_run_itself_do_not_count() {
        let mut others = vec![];
        for id in [
            "default/clicks/clicks#id2/3",
            "default/clicks/clicks#id1/4",
            "default/clicks/other#id1/3",
            "default/backfill-r1/clicks#id1/3",
            "default/web/spool-x",
            "plain",
        ] {
            others.push(Reader {
                app_id: id.into(),
                ..daemon(Some(0), 500)
            });
        }
        assert!(ranges(0, 100).check_overlap("t", &others).is_ok());
        others.push(Reader {
            app_id: "other/pipeline/with/slashes/clicks#id1/3".into(),
            ..daemon(Some(50), 60)
        });
        assert!(ranges(0, 100).check_overlap("t", &others).is_err());
    }

    #[test]
    fn another_backfill_counts_up_to_its_own_bounds() {
        let other = [Reader {
            app_id: "default/backfill-r0/clicks#id1/3".into(),
            start: Some(10),
            end: 15,
            until: Some(20),
        }];
        assert!(ranges(0, 10).check_overlap("t", &other).is_ok());
        assert!(ranges(20, 30).check_overlap("t", &other).is_ok());
        let nothing = [Reader {
            start: Some(25),
            end: 25,
            until: Some(25),
            ..other[0].clone()
        }];
        assert!(ranges(20, 30).check_overlap("t", &nothing).is_ok());
        let error = ranges(16, 30).check_overlap("t", &other).unwrap_err();
        assert!(error.to_string().contains("--from 20"), "{error}");
    }

    #[test]
    fn ranges_are_checked_when_made() {
        let id = RunId::new("r1").unwrap();
        let new = |r| KafkaRanges::new(id.clone(), "p", "s", vec![], r);
        assert!(matches!(
            new(vec![range(2, 1)]),
            Err(FilesError::EmptyRange { .. })
        ));
        assert!(new(vec![range(1, 1)]).unwrap().ranges.is_empty());
        assert!(matches!(
            new(vec![range(0, 1), range(1, 2)]),
            Err(FilesError::Overlap(_))
        ));
    }

    /// One id may name a run of files and one of ranges: neither is finished by the other's end.
    #[tokio::test]
    async fn a_run_of_files_finishes_no_run_of_ranges() {
        let store = RunStore {
            store: Arc::new(InMemory::new()),
            root: "table".into(),
        };
        for ranges_first in [false, true] {
            let run_id = RunId::new(format!("r-{ranges_first}")).unwrap();
            let finished = Finished {
                run_id: run_id.clone(),
                lane_records: vec![7],
            };
            if ranges_first {
                KafkaRanges::record_finished(&store, &finished)
                    .await
                    .unwrap();
            } else {
                store.record_finished(&finished).await.unwrap();
            }
            let ranges = KafkaRanges::load_finished(&store, &run_id).await.unwrap();
            let files = store.load_finished(&run_id).await.unwrap();
            let want = match ranges_first {
                true => (Some(finished), None),
                false => (None, Some(finished)),
            };
            assert_eq!((ranges, files), want);
        }
    }

    proptest! {
        /// Refused exactly when some offset is in both.
        #[test]
        fn rule_16_overlap_is_an_offset_in_common(from in 0u64..40, len in 1u64..20, start in 0u64..40, done in 0u64..20, more in 0u64..20) {
            let reader = Reader { until: Some(start + done + more), ..daemon(Some(start), start + done) };
            let common = (from..from + len).any(|o| (start..start + done + more).contains(&o));
            prop_assert_eq!(ranges(from, from + len).check_overlap("t", &[reader]).is_err(), common);
        }
    }
}
