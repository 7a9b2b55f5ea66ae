//! The evolution decision.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn unknown_fields_become_columns() {
    let mut seen = Seen::default();
    let table = schema(&[("id", "long"), ("items", "array<struct<sku: string>>")]);
    unknown(
        &mut seen,
        "",
        serde_json::json!({"b": true, "l": 1, "d": 1.5, "s": "x", "t": "2024-01-01T00:00:00Z", "big": u64::MAX,
            "o": {"x": 1, "n": null}, "xs": [1, 2.5], "os": [{"a": 1}, {"b": "x"}], "none": null, "empty": [], "eo": {}, "en": [[]]}),
    );
    unknown(&mut seen, "items.element", serde_json::json!({"qty": 3}));
    let policy = EvolutionPolicy {
        infer_timestamps: true,
        ..Default::default()
    };
    let mut got = evolved(&table, &seen, &policy);
    got.sort();
    assert_eq!(
        got,
        [
            "b: boolean",
            "big: decimal(38,0)",
            "d: double",
            "items.element.qty: long",
            "l: long",
            "o: struct<x: long>",
            "os: array<struct<a: long, b: string>>",
            "s: string",
            "t: timestamp",
            "xs: array<double>",
        ]
    );
    let plain = EvolutionPolicy::default();
    assert!(evolved(&table, &seen, &plain).contains(&"t: string".to_string()));
}

#[test]
fn columns_come_in_the_order_first_seen() {
    let mut seen = Seen::default();
    for name in ["z", "a", "m"] {
        unknown(&mut seen, "", serde_json::json!({name: 1}));
    }
    assert_eq!(
        evolved(&schema(&[]), &seen, &EvolutionPolicy::default()),
        ["z: long", "a: long", "m: long"]
    );
}

#[test]
fn integers_mixed_with_doubles_are_doubles_and_the_most_frequent_kind_wins() {
    let mut seen = Seen::default();
    for event in [
        serde_json::json!({"n": 1, "m": "x"}),
        serde_json::json!({"n": 1.5, "m": 1}),
        serde_json::json!({"n": 2, "m": 2}),
    ] {
        unknown(&mut seen, "", event);
    }
    assert_eq!(
        evolved(&schema(&[]), &seen, &EvolutionPolicy::default()),
        ["m: long", "n: double"]
    );
}

#[test]
fn names_that_collide_make_no_column() {
    let table = schema(&[("Price", "double"), ("a_b", "long")]);
    let mut seen = Seen::default();
    for name in ["price", "a b", "c d", "c_d", "X", "x", ""] {
        unknown(&mut seen, "", serde_json::json!({name: 1}));
    }
    let outcome = evolve(&table, &seen, &EvolutionPolicy::default());
    assert_eq!(lines(&outcome.changes), ["c_d: long", "X: long", "_: long"]);
    assert_eq!(outcome.warnings.len(), 4, "{:?}", outcome.warnings);
    let grown = table.apply(&outcome.changes).unwrap();
    assert_eq!(
        names::event_field(grown.columns.field(4)),
        "",
        "the event's name is kept"
    );
    assert_eq!(names::event_field(grown.columns.field(2)), "c_d");
}

#[test]
fn caps_hold() {
    let mut seen = Seen::default();
    unknown(
        &mut seen,
        "",
        serde_json::json!({"a": {"b": {"c": 1}, "d": 2}, "e": 1, "f": 1}),
    );
    let shallow = EvolutionPolicy {
        max_depth: 2,
        ..Default::default()
    };
    assert_eq!(
        evolved(&schema(&[]), &seen, &shallow),
        ["a: struct<d: long>", "e: long", "f: long"]
    );
    let few = EvolutionPolicy {
        max_columns: 2,
        ..Default::default()
    };
    assert_eq!(evolved(&schema(&[]), &seen, &few), ["e: long", "f: long"]);
    let full = EvolutionPolicy {
        max_columns: 1,
        ..Default::default()
    };
    assert!(evolved(&schema(&[("x", "long")]), &seen, &full).is_empty());
}

#[test]
fn the_ladder_is_climbed_in_order() {
    let table = schema(&[
        ("n", "integer"),
        ("o", "struct<x: long>"),
        ("n__string", "string"),
    ]);
    let mut seen = Seen::default();
    conflict(&mut seen, "n", serde_json::json!(1i64 << 40));
    conflict(&mut seen, "o.x", serde_json::json!(1.5));
    conflict(&mut seen, "o", serde_json::json!("text"));
    let policy = EvolutionPolicy::default();
    assert_eq!(
        evolved(&table, &seen, &policy),
        ["n__long: long", "o__string: string", "o.x__double: double"]
    );
    let wide = EvolutionPolicy {
        widening: true,
        ..Default::default()
    };
    assert_eq!(
        evolved(&table, &seen, &wide),
        ["n -> long", "o__string: string", "o.x__double: double"],
        "Delta has no long to double"
    );
    for rung in [OnConflict::Rescue, OnConflict::Reject] {
        let policy = EvolutionPolicy {
            on_conflict: vec![rung, OnConflict::Sibling],
            ..Default::default()
        };
        let outcome = evolve(&table, &seen, &policy);
        assert!(outcome.changes.is_empty());
        assert_eq!(outcome.warnings.len(), 3);
    }
}

#[test]
fn siblings_take_structs_and_lists_but_have_none_of_their_own() {
    let table = schema(&[
        ("a", "long"),
        ("a__long", "long"),
        ("b", "string"),
        ("xs", "array<long>"),
    ]);
    let mut seen = Seen::default();
    conflict(&mut seen, "a__long", serde_json::json!("x"));
    conflict(&mut seen, "a", serde_json::json!(u64::MAX));
    conflict(&mut seen, "b", serde_json::json!({"k": [1]}));
    conflict(&mut seen, "b", serde_json::json!({}));
    conflict(&mut seen, "xs", serde_json::json!(["x"]));
    conflict(&mut seen, "xs", serde_json::json!([]));
    assert_eq!(
        evolved(&table, &seen, &EvolutionPolicy::default()),
        [
            "a__decimal: decimal(38,0)",
            "b__struct: struct<k: array<long>>",
            "xs__list: array<string>"
        ]
    );
}

#[test]
fn plan_proposes_and_none_does_nothing() {
    let mut seen = Seen::default();
    unknown(&mut seen, "", serde_json::json!({"a": 1}));
    let decide = |evolution| {
        evolve(
            &schema(&[]),
            &seen,
            &EvolutionPolicy {
                evolution,
                ..Default::default()
            },
        )
    };
    assert_eq!(lines(&decide(Evolution::Plan).proposals), ["a: long"]);
    assert!(decide(Evolution::Plan).changes.is_empty());
    assert_eq!(decide(Evolution::None), Evolved::default());
}

#[test]
fn what_is_seen_is_bounded() {
    let mut seen = Seen::default();
    for i in 0..Seen::MAX_FIELDS + 5 {
        unknown(&mut seen, "", serde_json::json!({format!("f{i}"): 1}));
    }
    assert_eq!(seen.overflow(), 5);
    let policy = EvolutionPolicy {
        max_columns: 100,
        ..Default::default()
    };
    assert_eq!(evolved(&schema(&[]), &seen, &policy).len(), 100);
}

#[test]
fn delta_widening_only() {
    let policy = EvolutionPolicy {
        widening: true,
        ..Default::default()
    };
    for (from, to, allowed) in [
        ("byte", "long", true),
        ("integer", "double", true),
        ("long", "double", false),
        ("float", "double", true),
        ("date", "timestamp_ntz", true),
        ("date", "timestamp", false),
        ("integer", "decimal(10,0)", true),
        ("long", "decimal(19,0)", false),
        ("long", "decimal(20,0)", true),
        ("decimal(10,2)", "decimal(12,4)", true),
        ("decimal(10,2)", "decimal(11,4)", false),
        ("decimal(10,2)", "decimal(12,1)", false),
        ("long", "integer", false),
    ] {
        assert_eq!(
            policy.can_widen(&column_type(from), &column_type(to)),
            allowed,
            "{from} {to}"
        );
    }
    assert!(!EvolutionPolicy::default().can_widen(&DataType::Int8, &DataType::Int64));
}

fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-1e9..1e9f64).prop_map(Into::into),
        "[a-c]{0,2}".prop_map(Into::into),
        Just("2024-01-01T00:00:00Z".into()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            proptest::collection::btree_map("[aAb .]{1,2}", inner, 0..3)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_order_of_events_does_not_matter(
        events in proptest::collection::vec(proptest::collection::btree_map("[aAbn ]{1,2}", value(), 0..4), 1..6),
        cut in 0usize..6,
    ) {
        let seen = |events: &[BTreeMap<String, serde_json::Value>]| {
            let mut seen = Seen::default();
            for event in events {
                unknown(&mut seen, "", serde_json::Value::Object(event.clone().into_iter().collect()));
                if let Some(value) = event.get("n") {
                    conflict(&mut seen, "n", value.clone());
                }
            }
            seen
        };
        let table = schema(&[("n", "long")]);
        let policy = EvolutionPolicy { infer_timestamps: true, ..Default::default() };
        let forward = seen(&events);
        let mut reversed = events.clone();
        reversed.reverse();
        let cut = cut.min(reversed.len());
        let mut merged = seen(&reversed[..cut]);
        merged.merge(seen(&reversed[cut..]));
        prop_assert_eq!(&merged, &forward);

        // Compared as sets at every level: struct fields come in the order first seen.
        fn sorted(data_type: &DataType) -> String {
            match data_type {
                DataType::Struct(fields) => {
                    let mut fields: Vec<String> = fields.iter().map(|f| format!("{}:{}:{}", f.name(), names::event_field(f), sorted(f.data_type()))).collect();
                    fields.sort();
                    format!("{fields:?}")
                }
                DataType::List(element) => format!("[{}]", sorted(element.data_type())),
                other => other.to_string(),
            }
        }
        let columns = |seen: &Seen| {
            let evolved = evolve(&table, seen, &policy);
            let grown = table.apply(&evolved.changes).expect("what is decided applies");
            sorted(&DataType::Struct(grown.columns.fields().clone()))
        };
        prop_assert_eq!(columns(&merged), columns(&forward));
    }
}
