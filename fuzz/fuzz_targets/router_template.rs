//! A template, a line end, then events a line each: any template parses or is refused in words, and every record goes to one
//! table, with a legal name, or is told to be unroutable.

#![no_main]

use alluvium::{
    event::{ByteBudget, Partition, RawBatch, RecordKind, RecordSpan, SourcePartition},
    route::{Router, clean},
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

const MAX_TABLES: usize = 4;

fuzz_target!(|input: &str| {
    let (template, events) = input.split_once('\n').unwrap_or((input, ""));
    let mut router = match Router::new("fuzz", template, Vec::new(), MAX_TABLES) {
        Ok(router) => router,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let (mut slab, mut records) = (Vec::new(), Vec::new());
    for (offset, event) in events.lines().enumerate() {
        let start = slab.len() as u32;
        slab.extend_from_slice(event.as_bytes());
        records.push(RecordSpan {
            offset: offset as u64,
            value: start..slab.len() as u32,
            key: None,
            headers: None,
            event_time: 0,
            table: if offset % 2 == 0 { 0 } else { u32::MAX },
            kind: RecordKind::Event,
        });
    }
    let raw = RawBatch {
        partition: Arc::new(Partition {
            id: SourcePartition::new("fuzz/k/t#1/0"),
            source: "k".into(),
            label: "t".into(),
            topic: "t".into(),
            number: 0,
        }),
        epoch: 1,
        start: 0,
        end: records.len() as u64,
        slab: slab.into(),
        records,
        tables: vec!["named".into()],
        permit: ByteBudget::new(1 << 30).charge(0),
    };
    let routed = router.route(&raw);
    assert!(routed.tables.len() <= MAX_TABLES);
    for (table, _) in &routed.tables {
        assert_eq!(clean(table).as_deref(), Ok(&**table), "a table's name is clean");
    }
    assert_eq!(router.route(&raw).tables.len(), routed.tables.len());
});
