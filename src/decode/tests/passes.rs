//! The fast pass, on every engine, against the reference pass: the same rows, dead letters, counts and
//! findings, whatever the events are.
//!
//! Past 500 lines: the generators of events stand beside the tests that they feed.

use super::*;
use crate::{
    decode::Way,
    schema::{Evolution, OnConflict},
};
use proptest::{prelude::*, sample::select};

/// Decodes the batches one after the other in every way and compares all that comes out. Returns how
/// many events the fast pass gave up on.
pub(super) fn same(
    schema: &TableSchema,
    options: &DecodeOptions,
    batches: &[RoutedBatch],
    verdicts: &Verdicts,
) -> u64 {
    let decoder = |way| {
        let mut decoder =
            Decoder::new(Arc::new(schema.clone()), Arc::new(options.clone())).unwrap();
        decoder.by(way);
        decoder
    };
    let mut reference = decoder(Way::Reference);
    let mut others = [Way::Fast, Way::Portable].map(|way| (way, decoder(way)));
    for batch in batches {
        let expected = reference.decode(batch, verdicts, 5).unwrap();
        for (way, other) in &mut others {
            let got = other.decode(batch, verdicts, 5).unwrap();
            let texts = || String::from_utf8_lossy(&batch.raw.slab).into_owned();
            for column in got.rows.columns() {
                column.to_data().validate_full().unwrap();
            }
            assert_eq!(got.rows, expected.rows, "{way:?} {}", texts());
            assert_eq!(
                format!("{:?}", got.rejected),
                format!("{:?}", expected.rejected),
                "{way:?} {}",
                texts()
            );
            assert_eq!(got.counts, expected.counts, "{way:?} {}", texts());
            assert_eq!(got.seen, expected.seen, "{way:?} {}", texts());
            // The order in which fields were seen is the order of the columns to come.
            assert_eq!(
                format!("{:?}", evolve(schema, &got.seen, &options.policy)),
                format!("{:?}", evolve(schema, &expected.seen, &options.policy)),
                "{way:?} {}",
                texts()
            );
        }
    }
    others[0].1.given_up()
}

pub(super) fn same_texts<T: AsRef<[u8]>>(columns: &[(&str, &str)], texts: &[T]) -> u64 {
    let options = options(EvolutionPolicy::default());
    same(
        &table(columns),
        &options,
        &[batch(texts)],
        &Verdicts::default(),
    )
}

const TYPES: &[&str] = &[
    "boolean",
    "byte",
    "integer",
    "long",
    "float",
    "double",
    "decimal(10,2)",
    "decimal(38,18)",
    "string",
    "binary",
    "date",
    "timestamp",
    "timestamp_ntz",
    "array<long>",
    "array<string>",
    "map<string, double>",
    "map<string, struct<a: long, a__string: string>>",
    "struct<a: long, a__string: string, b: array<struct<c: long, d: timestamp>>>",
    "struct<`x.y`: string, inner: struct<z: double, z__boolean: boolean, z__struct: struct<q: long>>>",
];

const MORE_LEAVES: &[&str] = &[
    "123456789012345678",
    "1234567890123456789",
    "12345678.90",
    "-0.000",
    "0.1234567890123456789",
    "9007199254740992.5",
    "1.5",
    "-12.25",
    "99999999.99",
    "00",
    "1.",
    "-",
    "127",
    "128",
    "-129",
    "2147483648",
    "\"2024-02-30T00:00:00Z\"",
    "\"2024-01-01T00:00:00.5Z\"",
    "\"2024-01-01T00:00:59.123456Z\"",
    "\"2024-01-01T00:00:60Z\"",
    "\"2024-01-01 00:00:00.1234567Z\"",
    "\"2024-01-01T00:00:00+02:00\"",
    "\"2024-01-01T00:00:00.\"",
    "\"2024-01-01T00:01:02\"",
    "\"2024-01-01\"",
    "\"aGk=\"",
    "\"\\u0061Gk\"",
    "\"\\u0032024-01-01T00:00:00Z\"",
    "\"0123456789012345678901234567890123456789\\n\"",
    "\"01234567890123456789012345678é\"",
];

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(oracle::LEAVES).prop_map(str::to_string),
        4 => select(MORE_LEAVES).prop_map(str::to_string),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| f.to_string()),
        1 => (any::<u32>(), 0u32..1_000_000).prop_map(|(a, b)| format!("{a}.{b}")),
        1 => ".{0,40}".prop_map(|s| Value::from(s).to_string()),
    ]
}

const NAMES: &[&str] = &[
    "a",
    "b",
    "c",
    "d",
    "x.y",
    "inner",
    "z",
    "q",
    "a__string",
    "z__struct",
    "\\u0061",
    "u",
    "unknown field",
    "",
    "a_name_that_is_longer_than_a_block_of_bytes",
    "a_name_that_is_longer_than_a_block_of_bytez",
];

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (
        select(NAMES),
        value,
        select(
            &[
                "",
                "",
                "",
                " ",
                "\n\t",
                "                                  ",
            ][..],
        ),
    );
    proptest::collection::vec(member, 0..8).prop_map(|members| {
        let mut out = String::from("{");
        for (i, (name, value, space)) in members.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            out.push_str(&format!(
                "{comma}{space}\"{name}\"{space}:{space}{value}{space}"
            ));
        }
        out.push('}');
        out
    })
}

fn value() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|v| format!("[{}]", v.join(","))),
            object(inner),
        ]
    })
}

/// An event, mostly JSON.
fn event() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![4 => object(value()), 1 => oracle::text()];
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0u8..10);
    (text, change).prop_map(|(text, (at, byte, how))| {
        let mut bytes = text.into_bytes();
        let at = match bytes.len() {
            0 => return bytes,
            length => at.index(length),
        };
        match how {
            0 => bytes[at] = byte,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, byte),
            _ => {}
        }
        bytes
    })
}

fn columns() -> impl Strategy<Value = Vec<ColumnOptions>> {
    let names = select(
        &[
            "a",
            "b",
            "c",
            "d",
            "a__string",
            "a__struct",
            "a_name_that_is_longer_than_a_block_of_bytes",
        ][..],
    );
    let field = prop_oneof![
        6 => Just(None),
        1 => select(&["a", "b", "u", "b.a", "b.inner.z", "c.x", "d.a"][..]).prop_map(Some),
    ];
    let column = (
        select(TYPES),
        field,
        any::<bool>(),
        select(&["rfc3339", "seconds", "milliseconds"][..]),
    );
    proptest::collection::btree_map(names, column, 0..6).prop_map(|columns| {
        columns
            .into_iter()
            .map(|(name, (sql, field, json, unit))| {
                let mut column = declared(name, if json && sql == "string" { "json" } else { sql });
                column.field = field.map(str::to_string);
                column.timestamp_unit = Some(unit.to_string());
                column
            })
            .collect()
    })
}

fn policy() -> impl Strategy<Value = EvolutionPolicy> {
    use OnConflict::{Reject, Rescue, Sibling, Widen};
    let ladder = select(vec![
        vec![Widen, Sibling, Rescue],
        vec![Widen, Sibling, Rescue],
        vec![Rescue],
        vec![Sibling, Reject],
        vec![Reject],
    ]);
    let evolution = select(vec![Evolution::Auto, Evolution::Plan, Evolution::None]);
    (ladder, evolution, 3usize..40).prop_map(|(on_conflict, evolution, max_columns)| {
        EvolutionPolicy {
            on_conflict,
            evolution,
            max_columns,
            ..Default::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 600 }))]

    #[test]
    fn make_the_same_of_any_events(
        columns in columns(),
        policy in policy(),
        first in proptest::collection::vec(event(), 1..10),
        second in proptest::collection::vec(event(), 0..6),
        until in prop_oneof![4 => Just(0u64), 1 => 98u64..106],
        max_event_bytes in prop_oneof![4 => Just(1u64 << 20), 1 => 10u64..200],
        skipped in any::<u8>(),
        padded in any::<bool>(),
    ) {
        let schema = base_schema(&columns, &[MetadataColumn::Offset, MetadataColumn::Key], &[]).unwrap();
        let options = DecodeOptions {
            columns,
            metadata_columns: vec![MetadataColumn::Offset, MetadataColumn::Key],
            max_event_bytes,
            ..options(policy)
        };
        let mut first = batch(&first);
        let raw = Arc::get_mut(&mut first.raw).unwrap();
        if padded {
            raw.slab = [&raw.slab[..], b"\",\xff}]\"", &[b'7'; 90]].concat().into();
            let end = raw.slab.len() as u32;
            for (i, record) in raw.records.iter_mut().enumerate() {
                record.key = (i % 3 == 1).then_some(end - 93..end - 1);
                if i % 3 == 2 {
                    record.key = Some(end - 97..end - 94);
                }
            }
        }
        first.select = (skipped > 127).then(|| {
            (0..raw.records.len() as u32).filter(|i| skipped & (1 << (i % 8)) == 0).collect()
        });
        let verdicts = Verdicts { until, dead: [(100, 0)].into() };
        same(&schema, &options, &[first, batch(&second)], &verdicts);
    }

    #[test]
    fn make_the_same_as_tables_grow(
        schema in oracle::start(),
        policy in policy(),
        texts in proptest::collection::vec(oracle::text(), 1..6),
    ) {
        let options = options(policy.clone());
        let batch = batch(&texts);
        let mut schema = schema;
        for _ in 0..3 {
            same(&schema, &options, &[batch.clone(), batch.clone()], &Verdicts::default());
            let mut decoder = Decoder::new(Arc::new(schema.clone()), Arc::new(options.clone())).unwrap();
            let seen = decoder.decode(&batch, &Verdicts::default(), 0).unwrap().seen;
            schema = schema.apply(&evolve(&schema, &seen, &policy).changes).unwrap();
        }
    }
}

pub(super) const WIDE: &[(&str, &str)] = &[
    ("a", "long"),
    ("a__string", "string"),
    ("b", "string"),
    ("c", "double"),
    ("d", "struct<a: long, b: string, e: array<struct<f: long>>>"),
    ("l", "array<string>"),
    ("m", "map<string, long>"),
    ("t", "timestamp"),
    ("y", "boolean"),
];

#[test]
#[rustfmt::skip]
fn make_the_same_of_hostile_texts() {
    let mut texts: Vec<Vec<u8>> = [
        "{}", " { } ", "{\"a\":1}", "{\"a\":1,}", "{,}", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1}}", "{\"a\":1} x", "{\"a\":1}{", "",
        "{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":\"x\"}", "{\"a\":\"x\",\"a\":2}", "{\"a\":null,\"a\":3}", "{\"a\":3,\"a\":null}",
        "{\"d\":{\"a\":1,\"a\":2}}", "{\"d\":{\"a\":1},\"d\":{\"b\":\"x\"}}", "{\"d\":{\"e\":[{\"f\":1,\"f\":2}]}}", "{\"m\":{\"k\":1,\"k\":2}}",
        "{\"m\":{\"k\":1,\"\\u006b\":2}}", "{\"u\":1,\"u\":2}", "{\"u\":1,\"u\":null}", "{\"d\":{\"u\":1,\"u\":2}}", "{\"u\":{\"v\":1,\"v\":2}}",
        "{\"a\":\"x\",\"a__string\":\"own\"}", "{\"a__string\":null,\"a\":\"x\"}", "{\"a__string\":1,\"a\":\"x\"}", "{\"a\":\"x\",\"a__string\":[]}",
        "{\"\":1}", "{\"\":{\"\":{}}}", "{\"a\\u0000\":1}", "{\"a\u{1}\":1}", "{\"b\":\"\u{1}\"}", "{\"b\":\"\u{7f}\"}", "{\"u\":\"\u{1f}\"}",
        "{\"b\":\"\\ud800\"}", "{\"b\":\"\\udc00\"}", "{\"b\":\"\\ud83d\\ude00\"}", "{\"u\":\"\\ud800\\u0041\"}", "{\"\\ud800\":1}", "{\"b\":\"\\x\"}",
        "{\"a\":9223372036854775807}", "{\"a\":9223372036854775808}", "{\"a\":-9223372036854775808}", "{\"a\":-9223372036854775809}",
        "{\"a\":123456789012345678901234567890}", "{\"a\":1e3}", "{\"a\":1E+3}", "{\"a\":1e400}", "{\"a\":01}", "{\"a\":-}", "{\"a\":- 1}", "{\"a\":+1}",
        "{\"a\":1.0}", "{\"a\":1.}", "{\"a\":.5}", "{\"a\":0x1}", "{\"a\":-0}", "{\"c\":-0}", "{\"c\":-0.0}", "{\"c\":1e308}", "{\"c\":1e309}", "{\"c\":5e-324}",
        "{\"c\":1e-400}", "{\"c\":9007199254740993}", "{\"c\":9007199254740992}", "{\"c\":0.1}", "{\"c\":123456789.123456789}", "{\"c\":00.1}", "{\"c\":1.5e}",
        "{\"c\":NaN}", "{\"c\":Infinity}", "{\"y\":true}", "{\"y\":truefalse}", "{\"y\":tru}", "{\"y\":nul}", "{\"y\":nulll}", "{\"y\":False}",
        "{\"t\":\"2024-01-01T00:00:00Z\"}", "{\"t\":\"2024-01-01T00:00:00\\u005a\"}", "{\"t\":\"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0:00Z\"}", "{\"t\":\"2024-01-01T24:00:00Z\"}",
        "{\"l\":[]}", "{\"l\":[\"a\",]}", "{\"l\":[,]}", "{\"l\":[\"a\" \"b\"]}", "{\"l\":[\"a\",1]}", "{\"l\":[null,\"a\"]}", "{\"l\":[\"a\"}", "{\"l\":{\"0\":\"a\"}}",
        "{\"m\":[]}", "{\"m\":{\"k\":null}}", "{\"m\":{\"k\":\"x\"}}", "{\"m\":{\"k\" 1}}", "{\"m\":{1:1}}", "{\"m\":{\"k\":1,}}",
        "{\"d\":[]}", "{\"d\":null}", "{\"d\":{\"a\":\"x\",\"z\":[1,{\"q\":2}]}}", "{\"d\":{\"e\":[{\"f\":\"x\"},{\"g\":1},null]}}", "{\"d\":{\"e\":[{\"f\":\"x\"},7]}}",
        "{\"a\":1,\"b\":\"x\"", "{\"a\":1,\"b\":\"x", "{\"a\":1,\"b", "{\"a\":1 \"b\":2}", "[]", "7", "\"x\"", "null", "\u{feff}{}", "{\"a\":1}\0", "{\"é\":\"ü\"}",
        "{ \"a\" : 1 , \"b\" : \"x\" }", "{\r\n\t\"a\"\n:\n1\r\n}\r\n",
    ].map(|text| text.as_bytes().to_vec()).to_vec();
    for depth in [1, 124, 125, 126, 127, 128, 129, 500] {
        for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
            for field in ["u", "l", "d", "m", "b"] {
                texts.push(format!("{{\"{field}\":{}1{}}}", open.repeat(depth), close.repeat(depth)).into_bytes());
            }
        }
    }
    for place in ["{\"b\":\"\u{fe}\"}", "{\"u\":\"\u{fe}\"}", "{\"\u{fe}\":1}", "{\"a\":1}\u{fe}", "{\"m\":{\"\u{fe}\":1}}", "{\"u\":[{\"\u{fe}\":1}]}"] {
        for bad in [&b"\xff"[..], b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"] {
            let parts: Vec<&[u8]> = place.split('\u{fe}').map(str::as_bytes).collect();
            texts.push(parts.join(bad));
        }
    }
    for columns in [WIDE, &[], &[("u", "string"), ("k", "long")]] {
        same_texts(columns, &texts);
        for text in &texts {
            same_texts(columns, &[text]);
        }
    }
}

#[test]
fn make_the_same_at_every_place_of_a_block_and_of_a_slab() {
    // Under Miri only around the ends of blocks.
    for length in (0..100).filter(|n| !cfg!(miri) || (n % 32 + 1) % 32 < 2) {
        let x = "x".repeat(length);
        let texts = [
            format!("{{\"b\":\"{x}\",\"a\":1}}"),
            format!("{{\"b\":\"{x}\\n{x}é\"}}"),
            format!("{{\"{x}\":\"{x}\",\"d\":{{\"{x}\":{length}}}}}"),
            format!("{{\"b\":\"{x}é\"}}"),
            format!(
                "{}{{\"l\":[\"{x}\",\"\\u00e9{x}\"],\"m\":{{\"{x}\":1}}}}",
                " ".repeat(length)
            ),
            format!("{{\"a\":{}}}", "1".repeat(length.max(1))),
            format!("{{\"c\":0.{}1}}", "0".repeat(length)),
        ];
        assert_eq!(same_texts(WIDE, &texts), 0, "{length}");
        // Cut short with the rest behind, so that reading on would find an end.
        let whole = texts.concat();
        let mut batch = batch(&[&whole]);
        let raw = Arc::get_mut(&mut batch.raw).unwrap();
        let record = raw.records[0].clone();
        raw.records = (0..60.min(whole.len() as u32))
            .map(|cut| RecordSpan {
                value: 0..cut,
                ..record.clone()
            })
            .collect();
        let options = options(EvolutionPolicy::default());
        same(&table(WIDE), &options, &[batch], &Verdicts::default());
    }
}

/// They are read in one call, as long as nothing is left over of them.
#[test]
fn objects_that_follow_one_another_in_a_list() {
    let columns = &[
        ("n", "long"),
        (
            "r",
            "array<struct<a: long, s: struct<b: long, l: array<struct<c: string, d: long>>>, z: string>>",
        ),
    ];
    let texts = [
        r#"{"r":[{"a":1,"s":{"b":1,"l":[{"c":"x","d":1},{"c":"y","d":2},{"c":"z","d":3}]},"z":"p"},{"a":2,"s":{"b":2,"l":[{"c":"q","d":4}]},"z":"r"}],"n":1}"#,
        r#"{"r":[{"a":1},{"a":2},{"a":3},{},{"a":4}, {"a":5},{"a":6} ,{"a":7}],"n":2}"#,
        r#"{"r":[{"s":{"l":[]},"a":1},{"z":"x","a":2},{"a":null},null,{"s":{"l":[{},{"d":1},{"c":null}]}},{"s":null}]}"#,
        r#"{"r":[{"a":1},{"a":"x"},{"a":3,"u":[{"a":4},{"a":5}]},{"a":6},{"s":{"l":[{"d":1},{"d":[]},{"d":2,"v":1},{"d":3}]}}]}"#,
        r#"{"r":[],"n":3}"#,
    ];
    assert_eq!(same_texts(columns, &texts), 0);
    let given_up = [
        r#"{"r":[{"a":1},{"a":2,"a":3},{"a":4}]}"#,
        r#"{"r":[{"a":1},{"a":2},7,{"a":4}]}"#,
        r#"{"r":[{"a":1},{"a":2},{"a":3}"#,
        r#"{"r":[{"a":1},{"a":2},{"s":{"l":[{"c":"x"},{"c":"y"}"#,
    ];
    assert_eq!(same_texts(columns, &given_up), 4);
    let all: Vec<&str> = texts.into_iter().chain(given_up).collect();
    assert_eq!(same_texts(columns, &[&all[..], &all[..]].concat()), 8);
}

#[test]
fn the_fast_pass_takes_what_careless_clients_send() {
    let texts = [
        r#"{"a":1,"b":"x","c":1.5,"d":{"a":1,"b":"y","e":[{"f":1}]},"l":["p"],"m":{"k":1},"t":"2024-01-01T00:00:00Z","y":true}"#,
        r#"{"y":false,"t":"2024-01-01T00:00:00.5+01:00","b":"é\n\ud83d\ude00","a":null}"#,
        r#"{ "l" : [ "a" , null ] , "u" : {"v":[1]} , "d" : {"w":1,"b":null} }"#,
        r#"{"a":"no number","c":"x","b":7,"l":"x","m":[],"d":{"e":{},"a":"x"},"t":"soon","y":0}"#,
        r#"{"\u0061":2,"d":{"e":[{"f":"x","g":[]},{"f":1e2}]},"c":1e-7,"u":null}"#,
        "{}",
    ];
    assert_eq!(same_texts(WIDE, &texts), 0);
    let given_up = same_texts(WIDE, &[r#"{"a":1,"a":2}"#, r#"{"l":[1]}"#, "x"]);
    assert_eq!(given_up, 3, "these take the reference pass");
}

#[test]
fn a_name_that_needs_escapes_is_taken_by_its_escapes_alone() {
    for (escaped, raw) in [
        (r#"{"a\"b":1}"#, r#"{"a"b":2}"#),
        (r#"{"a\nb":1}"#, "{\"a\nb\":2}"),
        (r#"{"a\\b":1}"#, r#"{"a\b":2}"#),
    ] {
        let policy = EvolutionPolicy::default();
        let (schema, _) = decode_evolving(table(&[("z", "long")]), &policy, &[escaped]);
        let batches = [batch(&[escaped, escaped, raw, escaped])];
        same(&schema, &options(policy), &batches, &Verdicts::default());
    }
}

#[test]
fn keys_in_a_new_order_within_a_batch() {
    let texts: Vec<String> = (0..200)
        .map(|i| {
            let mut fields = [
                "\"a\":1",
                "\"b\":\"x\"",
                "\"c\":2.5",
                "\"y\":true",
                "\"new\":[1]",
                "\"d\":{\"b\":\"z\",\"a\":3}",
            ];
            fields.rotate_left(i / 7 % 6);
            fields.swap(i % 6, i / 3 % 6);
            format!("{{{}}}", fields[..6 - i % 3].join(","))
        })
        .collect();
    assert_eq!(same_texts(WIDE, &texts), 0);
    assert_eq!(
        same_texts(&[("d", "struct<a: long>"), ("new", "array<long>")], &texts),
        0
    );
}

#[test]
#[cfg_attr(miri, ignore = "thousands of events")]
fn more_unknown_names_than_are_remembered() {
    let options = options(EvolutionPolicy::default());
    let batches: Vec<RoutedBatch> = (0..3)
        .map(|b| {
            let texts: Vec<String> = (0..1_500)
                .map(|i| {
                    format!(
                        "{{\"a\":1,\"k{}\":{{\"x\":1}},\"d\":{{\"k{i}\":\"v\"}}}}",
                        b * 700 + i
                    )
                })
                .collect();
            batch(&texts)
        })
        .collect();
    same(&table(WIDE), &options, &batches, &Verdicts::default());
}

#[test]
fn a_sibling_for_great_integers_takes_them_wherever_it_stands() {
    for columns in [
        [("a__decimal", "decimal(38,0)"), ("a", "long")],
        [("a", "long"), ("a__decimal", "decimal(38,0)")],
    ] {
        let text = r#"{"a":18446744073709551616}"#;
        assert_eq!(
            row(&columns, text),
            json!({"a__decimal": "18446744073709551616"})
        );
        same_texts(&columns, &[text]);
    }
}

/// A byte that no UTF-8 has, half a character and a surrogate, at each place of events that have keys and values of all kinds.
#[test]
fn make_the_same_of_what_is_not_utf8() {
    let columns = [
        ("a", "string"),
        ("b", "struct<c: string, d: long>"),
        ("m", "map<string, string>"),
        ("l", "array<string>"),
        ("t", "timestamp"),
    ];
    let event = r#"{"a":"plain, and longer than a block of text is","b":{"c":"é\n","d":"no"},"m":{"k":"v"},"l":["x","\u00e9"],"t":"2024-01-01T00:00:00Z","new":{"in":["y"]},"z":"w"}"#;
    let broken = [
        &b"\xff"[..],
        b"\xc3",
        b"\xa9",
        b"\xed\xa0\x80",
        b"\xe2\x82",
        "€".as_bytes(),
    ];
    let mut events = vec![event.as_bytes().to_vec()];
    for at in (0..=event.len()).filter(|at| !cfg!(miri) || at % 16 == 3) {
        for bytes in broken {
            let (head, tail) = event.as_bytes().split_at(at);
            events.push([head, bytes, tail].concat());
        }
    }
    same_texts(&columns, &events);
}

/// Fields whose keys are not foreseen as bytes: bytes that stand where such a key would are no key.
#[test]
fn what_is_not_utf8_is_no_key() {
    let long = "a_name_of_more_than_twenty_eight_bytes";
    let columns = [
        (long, "string"),
        ("b", "long"),
        ("s", "struct<c: string, d: long>"),
    ];
    let mut events: Vec<Vec<u8>> = Vec::new();
    for (name, rest) in [
        (long, r#""b":2"#),
        (r#"a_q\u0075ote"#, r#""b":2"#),
        ("b", r#""s":{}"#),
    ] {
        for value in [r#""gotcha""#, "1", "null"] {
            for key in [&b"\xff"[..], b"\x00", b"", b"\xff\xff:"] {
                let whole = format!(r#"{{"{name}":{value},{rest}}}"#).into_bytes();
                events.push(whole);
                events.push([b"{", key, value.as_bytes(), b",", rest.as_bytes(), b"}"].concat());
                events.push([b"{", rest.as_bytes(), b",", key, value.as_bytes(), b"}"].concat());
                let inner = [&b"{\"s\":{"[..], key, value.as_bytes(), b"}}"].concat();
                events.push(inner);
            }
        }
    }
    same_texts(&columns, &events);
    let gotcha = [&b"{\xff\"gotcha\",\"b\":2}"[..]];
    let decoded = decode(&table(&columns), &gotcha);
    assert_eq!((decoded.counts.rows, decoded.rejected.len()), (0, 1));
}

/// Maps whose keys have spaces before their colons, as some printers make them, are read in the fast pass too.
#[test]
fn keys_of_maps_may_have_spaces_before_their_colons() {
    let texts: Vec<String> = (0..64)
        .map(|i| format!(r#"{{"m":{{"k" : "{i}","l"  :"x"}}}}"#))
        .collect();
    assert_eq!(same_texts(&[("m", "map<string, string>")], &texts), 0);
}
