//! A table that grows with its events.

use super::*;
use crate::schema::{Evolution, OnConflict};

fn columns(schema: &TableSchema) -> Vec<String> {
    schema
        .columns
        .fields()
        .iter()
        .filter(|field| field.name() != "_rescued_data")
        .map(|field| {
            let sql = crate::schema::types::to_sql(field.data_type()).unwrap();
            format!("{}: {sql}", field.name())
        })
        .collect()
}

fn values(decoded: &Decoded) -> Vec<Value> {
    rows(&decoded.rows).into_iter().map(Value::Object).collect()
}

#[test]
fn a_first_batch_makes_the_table() {
    let policy = EvolutionPolicy {
        infer_timestamps: true,
        ..Default::default()
    };
    let texts = [
        r#"{"user":{"id":7,"tags":["a"],"plan":null},"at":"2024-01-01T00:00:00Z","n":1}"#,
        r#"{"n":2.5,"user":{"id":8,"address":{"city":"Ulm"}},"items":[{"sku":"x","qty":1}],"later":{}}"#,
    ];
    let (schema, decoded) = decode_evolving(table(&[]), &policy, &texts);
    assert_eq!(
        columns(&schema),
        [
            "user: struct<id: long, tags: array<string>, address: struct<city: string>>",
            "at: timestamp",
            "n: double",
            "items: array<struct<sku: string, qty: long>>",
        ]
    );
    assert_eq!(
        decoded.counts.rescued_fields.keys().collect::<Vec<_>>(),
        ["later"]
    );
}

#[test]
fn integers_first_and_fractions_ever_after_are_seen() {
    let (schema, _) = decode_evolving(
        table(&[]),
        &EvolutionPolicy::default(),
        &[r#"{"price":10}"#],
    );
    let (schema, decoded) = decode_evolving(
        schema,
        &EvolutionPolicy::default(),
        &[r#"{"price":9.99}"#, r#"{"price":11.0}"#],
    );
    assert_eq!(columns(&schema), ["price: long", "price__double: double"]);
    assert_eq!(
        values(&decoded),
        [json!({"price__double": 9.99}), json!({"price": 11})]
    );
    let seen = decode(&table(&[("price", "long")]), &[r#"{"price":9.99}"#]).seen;
    let warnings = evolve(
        &table(&[("price", "long")]),
        &seen,
        &EvolutionPolicy::default(),
    )
    .warnings;
    assert_eq!(
        warnings,
        ["values do not fit their column: field=`price` type=`long` found=`double` values=`1`"]
    );
}

#[test]
fn widening_where_the_table_can() {
    let policy = EvolutionPolicy {
        widening: true,
        ..Default::default()
    };
    let (schema, decoded) = decode_evolving(
        table(&[("a", "integer"), ("s", "struct<f: float>")]),
        &policy,
        &[r#"{"a":5000000000,"s":{"f":0.123456789}}"#],
    );
    assert_eq!(columns(&schema), ["a: long", "s: struct<f: double>"]);
    assert_eq!(decoded.counts.rescued, 0);
}

#[test]
fn fields_inside_lists_and_maps_grow_too() {
    let start = table(&[
        ("l", "array<struct<a: long>>"),
        ("m", "map<string, struct<a: long>>"),
    ]);
    let texts = [r#"{"l":[{"a":1,"b":"x"}],"m":{"k":{"c":[1.5],"a":"text"}}}"#];
    let (schema, decoded) = decode_evolving(start, &EvolutionPolicy::default(), &texts);
    assert_eq!(
        columns(&schema),
        [
            "l: array<struct<a: long, b: string>>",
            "m: map<string, struct<a: long, a__string: string, c: array<double>>>",
        ]
    );
    assert_eq!(
        values(&decoded),
        [json!({"l": [{"a": 1, "b": "x"}], "m": {"k": {"c": [1.5], "a__string": "text"}}})]
    );
}

#[test]
fn what_may_not_grow_is_kept() {
    let texts = [r#"{"a":1,"b":{"c":{"d":1}}}"#];
    for (evolution, seen) in [(Evolution::Plan, true), (Evolution::None, false)] {
        let policy = EvolutionPolicy {
            evolution,
            ..Default::default()
        };
        let (schema, decoded) = decode_evolving(table(&[]), &policy, &texts);
        assert!(columns(&schema).is_empty());
        assert_eq!(
            values(&decoded),
            [json!({"_rescued_data": {"a": 1, "b": {"c": {"d": 1}}}})]
        );
        assert_eq!(!decoded.seen.is_empty(), seen);
    }
    let shallow = EvolutionPolicy {
        max_depth: 2,
        ..Default::default()
    };
    let (_, decoded) = decode_evolving(table(&[]), &shallow, &[r#"{"b":{"c":{"d":1},"e":2}}"#]);
    assert_eq!(
        values(&decoded),
        [json!({"b": {"e": 2}, "_rescued_data": {"b.c": {"d": 1}}})]
    );
}

#[test]
fn reject_after_sibling_rejects_what_has_no_sibling() {
    let policy = EvolutionPolicy {
        on_conflict: vec![OnConflict::Sibling, OnConflict::Reject],
        ..Default::default()
    };
    let start = table(&[("a", "double"), ("b", "long")]);
    let texts = [r#"{"a":1e400}"#, r#"{"b":"x"}"#];
    let (schema, decoded) = decode_evolving(start, &policy, &texts);
    assert_eq!(
        columns(&schema),
        ["a: double", "b: long", "b__string: string"]
    );
    assert_eq!(decoded.rejected.len(), 1);
    assert_eq!(
        &*decoded.rejected[0].reason.detail,
        "a value does not fit its column: field=`a` type=`double` found=`number`"
    );
}
