//! Rules of whole records: dead letters, verdicts, the ladder, names, proportions.

use super::*;
use crate::{
    event::RejectReason,
    schema::{Evolution, OnConflict},
};
use std::collections::HashSet;

#[test]
fn what_is_no_object_is_a_dead_letter() {
    let texts: [&[u8]; 7] = [
        b"{\"a\":1}",
        b"[1]",
        b"{\"a\":",
        b"\"x\"",
        b"{\"a\":\"\xff\"}",
        b"{} {}",
        b"",
    ];
    let decoded = decode(&table(&[("a", "long")]), &texts);
    let got: Vec<(u64, &str)> = decoded
        .rejected
        .iter()
        .map(|l| (l.offset, l.reason.code))
        .collect();
    assert_eq!(
        got,
        [
            (101, "not_an_object"),
            (102, "malformed"),
            (103, "not_an_object"),
            (104, "invalid_utf8"),
            (105, "malformed"),
            (106, "malformed")
        ]
    );
    assert_eq!(
        &*decoded.rejected[1].reason.detail,
        "EOF while parsing a value at line 1 column 5"
    );
    assert_eq!(&decoded.rejected[3].value[..], texts[4]);
    assert_eq!(&*decoded.rejected[0].table, "clicks");
    assert_eq!(decoded.counts.records, 1);
    assert_eq!(decoded.counts.dead_letters, 6);
}

fn judged(kinds: &[(RecordKind, &str)], options: DecodeOptions, verdicts: &Verdicts) -> Decoded {
    let texts: Vec<&str> = kinds.iter().map(|(_, text)| *text).collect();
    let mut batch = batch(&texts);
    let raw = Arc::get_mut(&mut batch.raw).unwrap();
    for (record, (kind, _)) in raw.records.iter_mut().zip(kinds) {
        record.kind = kind.clone();
    }
    let mut decoder = Decoder::new(Arc::new(table(&[("a", "long")])), Arc::new(options)).unwrap();
    decoder.decode(&batch, verdicts, 5).unwrap()
}

fn refused() -> RecordKind {
    RecordKind::Rejected(RejectReason {
        code: "unroutable",
        detail: "nowhere".into(),
    })
}

#[test]
fn tombstones_are_skipped_and_a_source_verdict_stands() {
    let options = DecodeOptions {
        max_event_bytes: 10,
        ..options(EvolutionPolicy::default())
    };
    let decoded = judged(
        &[
            (RecordKind::Tombstone, ""),
            (refused(), "{\"a\":1}"),
            (RecordKind::Event, "{\"a\":12345}"),
            (RecordKind::Event, "{\"a\":1234}"),
        ],
        options,
        &Verdicts::default(),
    );
    let codes: Vec<&str> = decoded.rejected.iter().map(|l| l.reason.code).collect();
    assert_eq!(codes, ["unroutable", "too_large"]);
    assert_eq!((decoded.counts.skipped, decoded.counts.records), (1, 1));
}

#[test]
fn rule_11_verdicts_are_final() {
    let options = DecodeOptions {
        max_event_bytes: 12,
        policy: EvolutionPolicy {
            on_conflict: vec![OnConflict::Reject],
            ..Default::default()
        },
        ..options(EvolutionPolicy::default())
    };
    let records = [
        (RecordKind::Event, "{\"a\":1}"), // 100: a dead letter then, so now
        (RecordKind::Event, "{\"a\":1000000000}"), // 101: a row then, too large now
        (RecordKind::Event, "{\"a\":\"x\"}"), // 102: a row then, a conflict now
        (RecordKind::Event, "{\"a"),      // 103: whatever it was, it must be a row
        (RecordKind::Event, "[1]"),       // 104
        (RecordKind::Event, "\u{1}\""),   // 105
        (refused(), "{\"a\":2}"),         // 106
        (RecordKind::Tombstone, ""),      // 107: skipped then too
        (RecordKind::Event, "{\"a\":\"x\"}"), // 108: not judged before
    ];
    let verdicts = Verdicts {
        until: 108,
        dead: HashSet::from([(100, 0)]),
    };
    let decoded = judged(&records, options, &verdicts);
    let rows: Vec<Value> = rows(&decoded.rows).into_iter().map(Value::Object).collect();
    assert_eq!(
        rows,
        [
            json!({"a": 1_000_000_000}),
            json!({"_rescued_data": {"a": "x"}}),
            json!({"_rescued_data": {"_record": "{\"a"}}),
            json!({"_rescued_data": {"_record": "[1]"}}),
            json!({"_rescued_data": {"_record": "\u{1}\""}}),
            json!({"_rescued_data": {"_record": "{\"a\":2}"}}),
        ]
    );
    assert_eq!(
        decoded.rejected.len(),
        1,
        "the old dead letter is in its table already"
    );
    assert_eq!(decoded.rejected[0].offset, 108);
    assert_eq!(decoded.counts.dead_letters, 2);
    assert_eq!(decoded.counts.offsets(), records.len() as u64);

    let bytes = Decoder::new(
        Arc::new(table(&[])),
        Arc::new(super::options(EvolutionPolicy::default())),
    )
    .unwrap()
    .decode(
        &batch(&[b"\xff\xfe"]),
        &Verdicts {
            until: 200,
            dead: HashSet::new(),
        },
        0,
    )
    .unwrap();
    assert_eq!(
        Value::Object(super::rows(&bytes.rows).remove(0)),
        json!({"_rescued_data": {"_record_base64": "//4="}})
    );
}

#[test]
fn reject_waits_for_the_rungs_before_it() {
    let codes = |on_conflict: &[OnConflict], evolution, columns: &[(&str, &str)]| {
        let policy = EvolutionPolicy {
            on_conflict: on_conflict.to_vec(),
            evolution,
            ..Default::default()
        };
        let texts = ["{\"a\":1}", "{\"a\":\"x\",\"u\":1}", "{\"a\":2}"];
        let decoded = decode_with(&table(columns), options(policy), &texts);
        assert_eq!(
            decoded.counts.rescued_fields.get("u"),
            (decoded.rejected.is_empty()).then_some(&1)
        );
        (decoded.rejected.len(), rows(&decoded.rows).len())
    };
    use OnConflict::{Reject, Rescue, Sibling, Widen};
    let alone = [("a", "long")];
    let with_sibling = [("a", "long"), ("a__string", "string")];
    assert_eq!(codes(&[Reject], Evolution::Auto, &alone), (1, 2));
    assert_eq!(
        codes(&[Widen, Reject], Evolution::Auto, &alone),
        (1, 2),
        "this table cannot widen"
    );
    assert_eq!(
        codes(&[Sibling, Reject], Evolution::Auto, &alone),
        (0, 3),
        "the sibling is to come"
    );
    assert_eq!(
        codes(&[Sibling, Reject], Evolution::None, &alone),
        (1, 2),
        "it never will"
    );
    assert_eq!(
        codes(&[Sibling, Reject], Evolution::Auto, &with_sibling),
        (0, 3)
    );
    assert_eq!(codes(&[Rescue, Reject], Evolution::Auto, &alone), (0, 3));
}

#[test]
fn siblings_take_what_the_column_does_not() {
    let columns = [
        ("a__string", "string"),
        ("a", "long"),
        ("s", "struct<x: long, x__double: double>"),
    ];
    assert_eq!(row(&columns, r#"{"a":"x"}"#), json!({"a__string": "x"}));
    assert_eq!(
        row(&columns, r#"{"a":1.5,"s":{"x":1.5}}"#),
        json!({"s": {"x__double": 1.5}, "_rescued_data": {"a": 1.5}})
    );
    assert_eq!(
        row(&columns, r#"{"a__string":"own","a":"x"}"#),
        json!({"a__string": "own", "_rescued_data": {"a": "x"}}),
        "the event's own field comes first"
    );
    assert_eq!(
        row(&columns, r#"{"a__string":1}"#),
        json!({"_rescued_data": {"a__string": 1}})
    );
}

#[test]
fn doubled_keys_last_wins() {
    let columns = [("a", "long"), ("s", "struct<x: long>")];
    assert_eq!(
        row(
            &columns,
            r#"{"a":"x","a":2,"u":1,"u":2,"s":{"x":1},"s":{"y":1,"\u0079":2}}"#
        ),
        json!({"a": 2, "s": {}, "_rescued_data": {"u": 2, "s.y": 2}})
    );
    assert_eq!(row(&columns, r#"{"a":2,"\u0061":null}"#), json!({}));
}

#[test]
fn names_are_mapped_and_never_guessed() {
    let mut seen_table = table(&[]);
    let decoded = decode(&seen_table, &[r#"{"a b":1,"Q":1}"#]);
    let changes = evolve(&seen_table, &decoded.seen, &EvolutionPolicy::default()).changes;
    seen_table = seen_table.apply(&changes).unwrap();
    let got = decode(&seen_table, &[r#"{"a b":1,"a_b":2,"Q":3,"q":4}"#]);
    assert_eq!(
        Value::Object(rows(&got.rows).remove(0)),
        json!({"a_b": 1, "Q": 3, "_rescued_data": {"a_b": 2, "q": 4}})
    );
    assert!(
        evolve(&seen_table, &got.seen, &EvolutionPolicy::default())
            .changes
            .is_empty()
    );
}

#[test]
fn places_in_rescued_data_are_unique() {
    assert_eq!(
        row(
            &[("a", "struct<x: long>")],
            r#"{"a":{"b":1},"a.b":2,"`a.b`":3,"":4,"a[0]":5}"#
        ),
        json!({"a": {}, "_rescued_data": {"a.b": 1, "`a.b`": 2, "```a.b```": 3, "``": 4, "`a[0]`": 5}})
    );
}

#[test]
fn what_is_kept_stays_in_proportion() {
    let name = "n".repeat(2_000);
    let inner: String = (0..2_000).map(|i| format!("\"u{i}\":{i},")).collect();
    let text = format!("{{\"{name}\":{{{inner}\"x\":1}},\"a\":1}}");
    let schema = table(&[("a", "long"), (&name, "struct<x: long>")]);
    let decoded = decode(&schema, &[text.as_str(), "{\"a\":2}"]);
    let rows = rows(&decoded.rows);
    assert_eq!(rows[0]["_rescued_data"], json!({ "_record": text }));
    assert_eq!(rows[0].len(), 1);
    assert_eq!(rows[1]["a"], 2);
    assert_eq!(decoded.counts.rescued_fields.len(), 1);
}

#[test]
fn counted_paths_are_bounded() {
    let texts: Vec<String> = (0..1_000).map(|i| format!("{{\"f{i}\":1}}")).collect();
    let decoded = decode(&table(&[]), &texts);
    assert_eq!(decoded.counts.rescued_fields.len(), 201);
    assert_eq!(decoded.counts.rescued_fields.values().sum::<u64>(), 1_000);
}

#[test]
fn a_decoder_starts_anew_with_each_batch() {
    let schema = Arc::new(table(&[
        ("a", "array<struct<b: long>>"),
        ("m", "map<string, long>"),
    ]));
    let mut decoder = Decoder::new(schema, Arc::new(options(EvolutionPolicy::default()))).unwrap();
    let texts = [r#"{"a":[{"b":1},{"b":"x"}],"m":{"k":1},"u":1}"#, "x"];
    let first = decoder
        .decode(&batch(&texts), &Verdicts::default(), 0)
        .unwrap();
    let second = decoder
        .decode(&batch(&texts), &Verdicts::default(), 0)
        .unwrap();
    assert_eq!(first.rows, second.rows);
    assert_eq!(first.counts, second.counts);
    assert_eq!(first.seen, second.seen);
}

#[test]
fn a_batch_past_the_limit_is_an_error_not_a_panic() {
    let text = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let mut batch = batch(&[text]);
    let raw = Arc::get_mut(&mut batch.raw).unwrap();
    raw.records = vec![raw.records[0].clone(); 128];
    let mut decoder = Decoder::new(
        Arc::new(table(&[])),
        Arc::new(options(EvolutionPolicy::default())),
    )
    .unwrap();
    let error = decoder.decode(&batch, &Verdicts::default(), 0).unwrap_err();
    assert!(
        matches!(error, DecodeError::BatchTooLarge { .. }),
        "{error}"
    );
}
