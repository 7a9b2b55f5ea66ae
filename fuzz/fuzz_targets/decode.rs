//! Any bytes as one event: no panic, no error, one row or one dead letter, and malformed only where serde_json says so.
//! What the event shows is then made room for, and the event decoded again in the grown schema.

#![no_main]

use alluvium::{
    decode::{DecodeOptions, Decoded, Decoder, Verdicts},
    event::{ByteBudget, Partition, RawBatch, RecordKind, RecordSpan, RoutedBatch, SourcePartition},
    schema::{MetadataColumn, TableSchema, base_schema, evolve},
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

fn batch(event: &[u8]) -> RoutedBatch {
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
            end: 1,
            slab: event.to_vec().into(),
            records: vec![RecordSpan {
                offset: 0,
                value: 0..event.len() as u32,
                key: None,
                headers: None,
                event_time: 0,
                table: u32::MAX,
                kind: RecordKind::Event,
            }],
            tables: Vec::new(),
            permit: ByteBudget::new(1 << 30).charge(0),
        }),
        select: None,
    }
}

fn decode(schema: &TableSchema, options: &Arc<DecodeOptions>, batch: &RoutedBatch) -> Decoded {
    let mut decoder = Decoder::new(Arc::new(schema.clone()), Arc::clone(options)).expect("a schema of ours");
    let decoded = decoder.decode(batch, &Verdicts::default(), 0).expect("no event makes an error");
    assert_eq!(decoded.counts.offsets(), 1);
    assert_eq!(decoded.rows.num_rows() + decoded.rejected.len(), 1);
    decoded
}

fuzz_target!(|event: &[u8]| {
    let options = Arc::new(DecodeOptions::default());
    let schema = base_schema(&[], MetadataColumn::DEFAULT.as_slice(), &[]).expect("the default schema");
    let batch = batch(event);
    let first = decode(&schema, &options, &batch);
    let letter = first.rejected.first().map(|letter| letter.reason.code);
    match serde_json::from_slice::<serde_json::Value>(event) {
        Ok(serde_json::Value::Object(_)) => assert_eq!(letter, None),
        Ok(_) => assert_eq!(letter, Some("not_an_object")),
        // A number beyond a double is kept as text.
        Err(error) if error.to_string().starts_with("number out of range") => {}
        Err(_) => assert!(matches!(letter, Some("malformed" | "too_deep")), "{letter:?}"),
    }
    let changes = evolve(&schema, &first.seen, &options.policy).changes;
    let grown = schema.apply(&changes).expect("changes of ours fit");
    let again = decode(&grown, &options, &batch);
    assert_eq!(again.rejected.len(), first.rejected.len());
    assert!(schema.fits(&grown));
});
