//! A table of a clickstream's shape, with the options that the daemon has, and appends to it.

use super::counting::{Counters, Counts};
use alluvium::{
    commit::{CommitOptions, CommitOutcome, TableLog, Upload},
    event::{CommitRange, Counts as Account, DataFile, OffsetRange, Partition, SourcePartition},
    schema::TableSchema,
    storage::TableLocation,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use std::{collections::BTreeMap, fmt::Write, sync::Arc};
use tokio_util::sync::CancellationToken;

const FILES_PER_COMMIT: usize = 10_000;

/// A table and the position that its one source partition has reached.
pub(crate) struct Table {
    pub(crate) log: TableLog,
    counters: Arc<Counters>,
    schema: Arc<TableSchema>,
    partition: Arc<Partition>,
    position: Option<u64>,
}

impl Table {
    pub(crate) fn new((location, counters): (TableLocation, Arc<Counters>)) -> Self {
        let mut fields: Vec<Field> = (0..6)
            .map(|number| Field::new(format!("text_{number}"), DataType::Utf8, true))
            .collect();
        fields.extend((0..6).map(|n| Field::new(format!("number_{n}"), DataType::Int64, true)));
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        fields.extend((0..3).map(|n| Field::new(format!("time_{n}"), time.clone(), true)));
        Self {
            log: TableLog::new(location, "t", CommitOptions::default()),
            counters,
            schema: Arc::new(TableSchema::new(Arc::new(Schema::new(fields)), Vec::new())),
            partition: Arc::new(Partition {
                id: SourcePartition::new("default/bench/t#0/0"),
                source: "bench".into(),
                label: "bench".into(),
                topic: "t".into(),
                number: 0,
            }),
            position: None,
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counters.now()
    }

    /// Adds files in few commits.
    pub(crate) async fn fill(&mut self, files: usize) {
        let mut left = files;
        while left > 0 {
            let now = left.min(FILES_PER_COMMIT);
            self.append(now).await;
            left -= now;
        }
    }

    /// One commit of so many files.
    pub(crate) async fn append(&mut self, files: usize) {
        let start = self.position.unwrap_or(0);
        let end = start + files as u64;
        let files = (start..end).map(|number| self.file(number)).collect();
        let upload = Upload {
            earlier: Vec::new(),
            files,
            schema: self.schema.clone(),
            ranges: vec![CommitRange {
                partition: self.partition.clone(),
                expected: self.position,
                range: OffsetRange { start, end },
                counts: Account::default(),
            }],
            marks: Vec::new(),
        };
        let outcome = self.log.commit(upload, CancellationToken::new()).await;
        assert!(
            matches!(outcome, Ok(CommitOutcome::Committed { .. })),
            "{outcome:?}"
        );
        self.position = Some(end);
    }

    fn file(&self, number: u64) -> DataFile {
        let mut stats = r#"{"numRecords":1000"#.to_owned();
        for (key, add) in [("minValues", 0), ("maxValues", 977)] {
            let value = number * 1000 + add;
            let _ = write!(stats, r#","{key}":{{"#);
            for column in 0..6 {
                let _ = write!(
                    stats,
                    r#""text_{column}":"value {value:012}","number_{column}":{value},"#
                );
            }
            for column in 0..3 {
                let comma = if column < 2 { "," } else { "}" };
                let second = value % 60;
                let _ = write!(
                    stats,
                    r#""time_{column}":"2026-11-21T12:00:{second:02}.000Z"{comma}"#
                );
            }
        }
        stats.push_str(r#","nullCount":{"#);
        for column in 0..6 {
            let _ = write!(stats, r#""text_{column}":0,"number_{column}":{column},"#);
        }
        stats.push_str(r#""time_0":0,"time_1":0,"time_2":0}}"#);
        DataFile {
            path: format!(
                "{:016x}-{number:08}.zstd.parquet",
                number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ),
            size: 1_000_000 + number,
            rows: 1000,
            modification_time: chrono::Utc::now().timestamp_millis(),
            partition_values: BTreeMap::new(),
            stats,
            fingerprint: self.schema.fingerprint,
        }
    }
}
