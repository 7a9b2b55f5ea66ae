//! Against `serde_json::Value`: whatever an event holds is in a column or in `_rescued_data`, once,
//! and an event is refused only where serde_json refuses it.

use super::*;
use crate::schema::{Evolution, OnConflict};
use proptest::prelude::*;

/// Checks each event that is one; returns how many rows there were.
fn check(schema: &TableSchema, decoded: &Decoded, texts: &[String]) {
    let mut rows = rows(&decoded.rows).into_iter();
    for (i, text) in texts.iter().enumerate() {
        let letter = decoded.rejected.iter().find(|l| l.offset == 100 + i as u64);
        let event = match serde_json::from_str::<Value>(text) {
            Ok(event @ Value::Object(_)) => event,
            Ok(_) => {
                assert_eq!(letter.unwrap().reason.code, "not_an_object");
                continue;
            }
            Err(error) => {
                assert_eq!(*letter.unwrap().reason.detail, error.to_string());
                continue;
            }
        };
        assert!(letter.is_none(), "{text}: {letter:?}");
        rebuild::assert_says(
            schema.columns.fields(),
            &[],
            rows.next().expect("a row"),
            &event,
        );
    }
    assert!(rows.next().is_none());
}

pub(super) const LEAVES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "-7",
    "10.0",
    "1e3",
    "10.5",
    "1.5e-7",
    "0.1",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890123456789012",
    "1e22",
    "1e300",
    "[]",
    "{}",
    "\"\"",
    "\"x\"",
    "\"1\"",
    "\"null\"",
    r#""\u0041\n\"\\\/""#,
    r#""\ud83d\ude00""#,
    "\"é😀\u{7f}\"",
    "\"2024-01-01T00:00:00Z\"",
    "\"2024-01-01T00:00:00.123456789Z\"",
    "\"2024-01-01T00:00:00\"",
];

const KEYS: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "a",
    "b",
    "c",
    "d",
    "A",
    "s",
    "a.b",
    "x y",
    "x_y",
    "`q`",
    "",
    r"\u0061",
    "k[0]",
    "_rescued_data",
    "a__string",
    "a__long",
    "é",
];

const TYPES: &[&str] = &[
    "boolean",
    "byte",
    "long",
    "double",
    "string",
    "struct<a: long, b: string, c: struct<d: double>>",
    "struct<a: string, a__long: long>",
    "array<long>",
    "array<struct<a: long, b: array<string>>>",
    "array<array<string>>",
    "map<string, long>",
    "map<string, struct<a: long>>",
    "decimal(38,0)",
];

pub(super) fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => proptest::sample::select(LEAVES).prop_map(str::to_string),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:e}")),
        1 => ".{0,8}".prop_map(|s| Value::from(s).to_string()),
    ];
    let value = leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|v| format!("[ {}]", v.join(" ,\n"))),
            members(inner.clone()),
            members(inner),
        ]
    });
    prop_oneof![9 => members(value), 1 => ".{0,12}"]
}

fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    proptest::collection::vec((proptest::sample::select(KEYS), value), 0..6).prop_map(|members| {
        let members: Vec<String> = members
            .iter()
            .map(|(k, v)| format!("\"{k}\" : {v}"))
            .collect();
        format!("{{\t{}}}", members.join(","))
    })
}

pub(super) fn start() -> impl Strategy<Value = TableSchema> {
    proptest::collection::btree_map(
        proptest::sample::select(&["a", "b", "c", "d", "a__string"][..]),
        proptest::sample::select(TYPES),
        0..5,
    )
    .prop_map(|columns| {
        let columns: Vec<(&str, &str)> = columns.into_iter().collect();
        table(&columns)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 400 }))]

    #[test]
    fn nothing_is_lost_or_doubled(
        schema in start(),
        texts in proptest::collection::vec(text(), 1..8),
        infer_timestamps in any::<bool>(),
        max_columns in 3usize..40,
        max_depth in 1usize..6,
        sibling in any::<bool>(),
    ) {
        let fixed = EvolutionPolicy { evolution: Evolution::None, ..Default::default() };
        check(&schema, &decode_with(&schema, options(fixed), &texts), &texts);

        let on_conflict = match sibling {
            true => vec![OnConflict::Widen, OnConflict::Sibling, OnConflict::Rescue],
            false => vec![OnConflict::Rescue],
        };
        let policy = EvolutionPolicy { infer_timestamps, max_columns, max_depth, on_conflict, ..Default::default() };
        let first = decode_with(&schema, options(policy.clone()), &texts);
        let (grown, last) = decode_evolving(schema.clone(), &policy, &texts);
        check(&grown, &last, &texts);

        // Rows decoded before the change say the same in the newer schema.
        let moved = reproject(&first.rows, &grown).unwrap();
        prop_assert_eq!(rows(&moved), rows(&first.rows));
        prop_assert!(schema.fits(&grown));
    }

    #[test]
    fn no_bytes_make_it_panic(schema in start(), texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..4), until in 98u64..106) {
        let mut decoder = Decoder::new(Arc::new(schema), Arc::new(options(EvolutionPolicy::default()))).unwrap();
        let verdicts = Verdicts { until, ..Default::default() };
        let decoded = decoder.decode(&batch(&texts), &verdicts, 0).unwrap();
        prop_assert_eq!(decoded.counts.offsets(), texts.len() as u64);
        prop_assert_eq!(decoded.rows.num_rows() as u64, decoded.counts.rows);
        prop_assert!(decoded.counts.rows >= texts.len().min(until.saturating_sub(100) as usize) as u64, "a verdict is final");
    }
}

#[test]
fn numbers_beyond_a_double_are_kept_not_refused() {
    let text = r#"{"a":1e400,"b":-1e999,"u":[1e400]}"#;
    let decoded = decode(&table(&[("a", "double"), ("b", "long")]), &[text]);
    let rescued = decoded.rows.column(2).as_string::<i32>().value(0);
    assert_eq!(rescued, r#"{"u":[1e400],"a":1e400,"b":-1e999}"#);
}

#[test]
fn integers_in_a_column_of_decimals_with_places() {
    let schema = table(&[("a", "decimal(20,5)")]);
    let texts = ["0", "30909", "-7", "10.5", "9223372036854775807"];
    let texts = texts.map(|number| format!("{{\"a\":{number}}}"));
    let fixed = EvolutionPolicy {
        evolution: Evolution::None,
        ..Default::default()
    };
    check(
        &schema,
        &decode_with(&schema, options(fixed), &texts),
        &texts,
    );
}
