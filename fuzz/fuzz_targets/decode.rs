//! Any bytes as two events: no panic, no error, one row or one dead letter each, and malformed only where serde_json
//! says so; the fast pass, on every engine, makes what the reference pass makes, and a row says what serde_json reads of
//! its event. What the events show is then made room for, and the events decoded again in the grown schema.

#![no_main]

// Shared with the unit tests.
#[path = "../../src/decode/tests/rebuild.rs"]
mod rebuild;

use alluvium::{
    decode::{DecodeOptions, Decoded, Decoder, Verdicts, Way},
    event::{ByteBudget, Partition, RawBatch, RecordKind, RecordSpan, RoutedBatch, SourcePartition},
    schema::{self, ColumnOptions, ColumnType, MetadataColumn, TableSchema, base_schema, evolve},
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

/// Tables to begin with; the first byte of the input chooses.
const TABLES: [&[(&str, &str)]; 3] = [
    &[],
    &[
        ("a", "long"),
        ("b", "string"),
        ("c", "double"),
        ("d", "struct<a: long, b: string, e: array<struct<f: long>>>"),
        ("t", "timestamp"),
        ("y", "boolean"),
    ],
    &[
        ("a", "string"),
        ("a__long", "long"),
        ("b", "map<string, array<long>>"),
        ("c", "decimal(20,5)"),
        ("d", "json"),
        ("e", "float"),
        ("t", "date"),
    ],
];

fn batch(slab: &[u8], events: &[std::ops::Range<usize>]) -> RoutedBatch {
    let record = |(i, range): (usize, &std::ops::Range<usize>)| RecordSpan {
        offset: i as u64,
        value: range.start as u32..range.end as u32,
        key: None,
        headers: None,
        event_time: 0,
        table: u32::MAX,
        kind: RecordKind::Event,
    };
    RoutedBatch {
        raw: Arc::new(RawBatch {
            partition: Arc::new(Partition {
                id: SourcePartition::new("fuzz/web/spool-1"),
                source: "web".into(),
                label: "web/spool-1".into(),
                topic: "".into(),
                number: 0,
            }),
            epoch: 1,
            start: 0,
            end: events.len() as u64,
            slab: slab.to_vec().into(),
            records: events.iter().enumerate().map(record).collect(),
            tables: Vec::new(),
            permit: ByteBudget::new(1 << 30).charge(0),
        }),
        select: None,
    }
}

fn decode(schema: &TableSchema, options: &Arc<DecodeOptions>, batch: &RoutedBatch) -> Decoded {
    let by = |way| {
        let mut decoder = Decoder::new(Arc::new(schema.clone()), Arc::clone(options)).expect("a schema of ours");
        decoder.by(way);
        // Twice, so that what it has learned is used.
        decoder.decode(batch, &Verdicts::default(), 0).expect("no event makes an error");
        decoder.decode(batch, &Verdicts::default(), 0).expect("no event makes an error")
    };
    let decoded = by(Way::Reference);
    for other in [by(Way::Fast), by(Way::Portable)] {
        for column in other.rows.columns() {
            column.to_data().validate_full().expect("valid arrays");
        }
        assert_eq!(other.rows, decoded.rows);
        assert_eq!(other.counts, decoded.counts);
        assert_eq!(other.seen, decoded.seen);
        assert_eq!(format!("{:?}", other.rejected), format!("{:?}", decoded.rejected));
    }
    let events = batch.raw.records.len();
    assert_eq!(decoded.counts.offsets(), events as u64);
    assert_eq!(decoded.rows.num_rows() + decoded.rejected.len(), events);
    decoded
}

/// `texts`: the columns of JSON text.
fn against_serde_json(batch: &RoutedBatch, decoded: &Decoded, texts: &[&str]) {
    let columns = decoded.rows.schema();
    let mut rows = 0..decoded.rows.num_rows();
    for record in &batch.raw.records {
        let letter = decoded.rejected.iter().find(|letter| letter.offset == record.offset).map(|letter| letter.reason.code);
        let at = letter.is_none().then(|| rows.next().expect("a row"));
        match serde_json::from_slice::<serde_json::Value>(batch.raw.value(record)) {
            Ok(event @ serde_json::Value::Object(_)) => {
                let mut row = rebuild::row(&decoded.rows, at.expect("no dead letter"));
                row.retain(|name, _| MetadataColumn::DEFAULT.iter().all(|column| column.name() != name));
                rebuild::assert_says(columns.fields(), texts, row, &event);
            }
            Ok(_) => assert_eq!(letter, Some("not_an_object")),
            // A number beyond a double is kept as text.
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(_) => assert!(matches!(letter, Some("malformed" | "too_deep" | "invalid_utf8")), "{letter:?}"),
        }
    }
    assert_eq!(rows.len(), 0);
}

fuzz_target!(|input: &[u8]| {
    let Some((choice, slab)) = input.split_first() else { return };
    let table = TABLES[usize::from(*choice) % TABLES.len()];
    let texts: Vec<&str> = table.iter().filter(|(_, sql)| *sql == "json").map(|(name, _)| *name).collect();
    let columns: Vec<ColumnOptions> = table
        .iter()
        .map(|(name, sql)| ColumnOptions {
            name: name.to_string(),
            data_type: ColumnType(sql.to_string()),
            field: None,
            timestamp_unit: None,
            comment: None,
        })
        .collect();
    let schema = base_schema(&columns, MetadataColumn::DEFAULT.as_slice(), &[]).expect("a schema of ours");
    let options = Arc::new(DecodeOptions { columns, ..DecodeOptions::default() });
    // The first line and the rest: what follows an event must not matter to it.
    let cut = slab.iter().position(|byte| *byte == b'\n').unwrap_or(slab.len());
    let batch = batch(slab, &[0..cut, cut..slab.len()]);
    let first = decode(&schema, &options, &batch);
    against_serde_json(&batch, &first, &texts);
    let changes = evolve(&schema, &first.seen, &options.policy).changes;
    let grown = schema.apply(&changes).expect("changes of ours fit");
    let again = decode(&grown, &options, &batch);
    assert_eq!(again.rejected.len(), first.rejected.len());
    against_serde_json(&batch, &again, &texts);
    assert!(schema.fits(&grown));
});
