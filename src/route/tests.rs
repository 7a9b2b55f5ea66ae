use super::{
    Binding, RouteError, Routed, Router, Template, clean,
    field::{Finder, Missing, Slot, extract},
};
use crate::event::{
    ByteBudget, Partition, RawBatch, RecordKind, RecordSpan, RejectReason, SourcePartition,
};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

/// (value, kind, named table)
type Record<'a> = (&'a str, RecordKind, Option<&'a str>);

fn event(value: &str) -> Record<'_> {
    (value, RecordKind::Event, None)
}

fn rejected() -> RecordKind {
    RecordKind::Rejected(RejectReason {
        code: "too_large",
        detail: "x".into(),
    })
}

fn batch(topic: &str, records: &[Record<'_>]) -> RawBatch {
    let mut slab = Vec::new();
    let mut tables: Vec<Arc<str>> = Vec::new();
    let spans = (0..)
        .zip(records)
        .map(|(offset, (value, kind, table))| {
            let start = slab.len() as u32;
            slab.extend_from_slice(value.as_bytes());
            RecordSpan {
                offset,
                value: start..slab.len() as u32,
                key: None,
                headers: None,
                event_time: 0,
                table: table.map_or(u32::MAX, |name| {
                    let at = tables.iter().position(|t| &**t == name);
                    at.unwrap_or_else(|| {
                        tables.push(name.into());
                        tables.len() - 1
                    }) as u32
                }),
                kind: kind.clone(),
            }
        })
        .collect::<Vec<_>>();
    RawBatch {
        partition: Arc::new(Partition {
            id: SourcePartition::new("p/s/x/0"),
            source: "s".into(),
            label: "s".into(),
            topic: topic.into(),
            number: 0,
        }),
        epoch: 1,
        start: 0,
        end: spans.len() as u64,
        slab: Bytes::from(slab),
        records: spans,
        tables,
        permit: ByteBudget::new(1 << 20).charge(1),
    }
}

fn router(template: &str, bindings: &[(&str, Option<&[&str]>)]) -> Router {
    let bindings = bindings
        .iter()
        .map(|(table, topics)| Binding {
            table: table.to_string(),
            topics: topics.map(|t| t.iter().map(|t| t.to_string()).collect()),
        })
        .collect();
    Router::new("web", template, bindings, 4).unwrap()
}

fn tables(routed: &Routed) -> Vec<(&str, Option<&[u32]>)> {
    routed
        .tables
        .iter()
        .map(|(name, select)| (&**name, select.as_deref()))
        .collect()
}

#[test]
fn topics_make_tables_without_a_look_at_the_records() {
    let mut r = router("{topic}", &[]);
    assert!(!r.is_fan_out());
    assert_eq!(r.fixed_table("a.b").as_deref(), Some("a.b"));
    let routed = r.route(&batch(
        "a/b",
        &[event("nonsense"), ("", RecordKind::Tombstone, None)],
    ));
    assert_eq!(tables(&routed), [("a_b", None)]);
    assert!(routed.unroutable.is_empty() && routed.skipped.is_empty());
    let mut fixed = router("all", &[]);
    assert_eq!(
        tables(&fixed.route(&batch("x", &[event("1")]))),
        [("all", None)]
    );
}

#[test]
fn no_event_lands_among_the_dead_letters() {
    let mut r = router("{topic}", &[]).with_reserved("rejected");
    assert_eq!(r.fixed_table("rejected"), None);
    assert_eq!(r.fixed_table("other").as_deref(), Some("other"));
    let routed = r.route(&batch(
        "rejected",
        &[event("1"), ("", RecordKind::Tombstone, None)],
    ));
    assert!(routed.tables.is_empty());
    assert_eq!(
        (routed.unroutable[0].0, routed.skipped.as_slice()),
        (0, &[1][..])
    );
}

#[test]
fn bound_tables_come_before_the_template() {
    let mut r = router(
        "{topic}",
        &[("one", Some(&["a", "b"])), ("two", Some(&["b"]))],
    );
    assert!(r.is_fan_out(), "topic b feeds two tables");
    assert_eq!(r.fixed_table("a").as_deref(), Some("one"));
    assert_eq!(r.fixed_table("b"), None);
    assert_eq!(r.fixed_table("c").as_deref(), Some("c"));
    assert_eq!(
        tables(&r.route(&batch("b", &[event("1")]))),
        [("one", None), ("two", None)]
    );
    assert_eq!(tables(&r.route(&batch("c", &[event("1")]))), [("c", None)]);

    let mut all = router("{type}", &[("_own", None)]);
    assert!(!all.is_fan_out());
    assert_eq!(
        tables(&all.route(&batch("", &[event("bad")]))),
        [("_own", None)]
    );
    assert!(router("{type}", &[("own", Some(&["a"]))]).is_fan_out());
    assert!(router("{topic}", &[("own", None), ("more", Some(&["a"]))]).is_fan_out());
    assert!(!router("{topic}", &[("own", Some(&["a"])), ("more", Some(&["b"]))]).is_fan_out());
}

#[test]
fn records_that_name_their_table() {
    let mut r = router("{table}", &[]);
    assert!(r.is_fan_out());
    let one = batch(
        "",
        &[
            ("1", RecordKind::Event, Some("a")),
            ("x", rejected(), Some("a")),
        ],
    );
    assert_eq!(tables(&r.route(&one)), [("a", None)]);
    let two = batch(
        "",
        &[
            ("1", RecordKind::Event, Some("a")),
            ("", RecordKind::Tombstone, Some("b")),
            ("x", rejected(), Some("b")),
            event("2"),
            ("3", RecordKind::Event, Some("a")),
        ],
    );
    let routed = r.route(&two);
    assert_eq!(
        tables(&routed),
        [("a", Some(&[0, 4][..])), ("b", Some(&[1, 2][..]))]
    );
    assert_eq!(routed.unroutable.len(), 1);
    assert_eq!(
        (routed.unroutable[0].0, routed.unroutable[0].1.code),
        (3, "unroutable")
    );
}

#[test]
fn fields_name_tables_and_what_has_none_is_kept_apart() {
    let mut r = router("ev_{context.kind}", &[]);
    let routed = r.route(&batch(
        "t",
        &[
            event(r#"{"x":[1,{"context":{"kind":"no"}}],"context":{"a":1,"k\u0069nd":"User Created"},"rest":oops"#),
            event(r#"{"context":{"kind":7}}"#),
            event(r#"{"context":{"kind":null}}"#),
            event(r#"{"context":{"kind":{}}}"#),
            event(r#"{"context":"kind"}"#),
            event(r#"{"context":{"kind":""}}"#),
            event(r#"{"other":}"#),
            ("", RecordKind::Tombstone, None),
            ("zz", rejected(), None),
            ("zz", rejected(), Some("named")),
            event(r#"{"context":{"kind":true}}"#),
            event("[]"),
        ],
    ));
    assert_eq!(
        tables(&routed),
        [
            ("ev_User_Created", Some(&[0][..])),
            ("ev_7", Some(&[1][..])),
            ("named", Some(&[9][..])),
            ("ev_true", Some(&[10][..]))
        ]
    );
    let why: Vec<(u32, &str)> = routed
        .unroutable
        .iter()
        .map(|(i, r)| (*i, r.code))
        .collect();
    assert_eq!(
        why,
        [
            (2, "unroutable"),
            (3, "unroutable"),
            (4, "unroutable"),
            (5, "unroutable"),
            (6, "malformed"),
            (8, "too_large"),
            (11, "unroutable")
        ]
    );
    assert_eq!(routed.skipped, [7]);
}

#[test]
fn long_names_and_too_many_tables() {
    let mut r = router("{t}", &[]);
    let many: Vec<String> = (0..6).map(|i| format!("{{\"t\":\"n{i}\"}}")).collect();
    let mut records: Vec<_> = many.iter().map(|m| event(m)).collect();
    let long = format!("{{\"t\":\"{}\"}}", "é".repeat(129));
    let longer = format!("{{\"t\":\"{}\"}}", "x".repeat(100_000));
    records.extend([event(&long), event(&longer)]);
    let routed = r.route(&batch("", &records));
    assert_eq!(routed.tables.len(), 4);
    let indexes: Vec<u32> = routed.unroutable.iter().map(|u| u.0).collect();
    assert_eq!(indexes, [4, 5, 6, 7]);
    assert!(routed.unroutable[0].1.detail.contains("max_tables"));
    assert!(routed.unroutable[3].1.detail.len() < 200);
    assert_eq!(r.route(&batch("", &records)), routed, "the same again");
}

#[test]
fn templates_are_checked_with_their_position() {
    for (template, at) in [
        ("a{", 1),
        ("a{b", 1),
        ("a}b", 1),
        ("é{}", 2),
        ("{a.}", 0),
        ("{a{b}", 0),
        ("", 0),
    ] {
        match Router::new("web", template, vec![], 10) {
            Err(RouteError::Template { at: found, .. }) => assert_eq!(found, at, "{template}"),
            other => panic!("{template}: {other:?}"),
        }
    }
    let error = Router::new("web", "a{", vec![], 10).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a `{` is not closed; write `{{` for a brace source=`web` table=`a{` at=`1`"
    );
    assert!(matches!(
        Router::new("web", &"x".repeat(200), vec![], 10),
        Err(RouteError::Name { .. })
    ));
    let twice = vec![
        Binding {
            table: "a".into(),
            topics: None,
        },
        Binding {
            table: "a".into(),
            topics: None,
        },
    ];
    assert!(matches!(
        Router::new("web", "x", twice, 10),
        Err(RouteError::BoundTwice { .. })
    ));
    assert!(Template::parse("web", "{{a}}_{ b . c }{topic}{b.c}").is_ok());
}

#[test]
fn a_damaged_value_on_the_way_to_a_field_is_left_to_the_rule() {
    let paths = [vec!["b".to_string(), "a".to_string()]];
    for text in [&b"{\"b\":\"{\xa9\"}"[..], b"{\"a\":1,\"b\":[\"\xff\"]}"] {
        let rule = extract(text, &paths, &mut Vec::new());
        let found = Finder::default().find(text, 0..text.len(), &paths);
        assert_eq!(found, rule, "{}", String::from_utf8_lossy(text));
    }
}

proptest! {
    #[test]
    fn any_template_is_taken_or_refused_without_a_panic(template in "[{}.a é]{0,12}") {
        if let Err(RouteError::Template { at, .. }) = Template::parse("s", &template) {
            prop_assert!(template.is_char_boundary(at));
        }
    }

    /// What the reader finds is what a whole parse finds.
    #[test]
    fn extraction_agrees_with_a_whole_parse(value in json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let paths: Vec<Vec<String>> = [vec!["a"], vec!["b", "a"], vec!["a", "a", "b"]]
            .map(|p| p.into_iter().map(String::from).collect())
            .to_vec();
        for path in paths {
            let mut at = Some(&value);
            for step in &path {
                at = at.and_then(|v| v.as_object()).and_then(|o| o.get(step));
            }
            let mut found = Vec::new();
            let got = extract(text.as_bytes(), std::slice::from_ref(&path), &mut found);
            match at {
                None | Some(serde_json::Value::Null) => prop_assert_eq!(got, Err(Missing::Absent(0))),
                Some(v) if v.is_object() || v.is_array() => prop_assert_eq!(got, Err(Missing::NotScalar(0))),
                Some(v) => {
                    let want = v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                    prop_assert_eq!(got, Ok(()));
                    prop_assert_eq!(&found[0], &Slot::Text(want));
                }
            }
        }
    }

    /// Passing over values finds what reading them finds, in good events and in damaged ones, whether
    /// bytes follow the event or not.
    #[test]
    fn the_finder_agrees_with_the_rule(
        value in json(),
        doubled in any::<bool>(),
        damage in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(&b"{}[]\",:\\ax0 .-\xff\n"[..]))),
        behind in 0usize..80,
    ) {
        let mut text = serde_json::to_vec(&value).unwrap();
        if doubled && text.starts_with(b"{\"") {
            // A name twice, and first with null.
            text.splice(1..1, *b"\"a\": null , \"b\":{\"a\":-0, \"c\":1.50},\"a\":12,");
        }
        if let Some((at, byte)) = damage {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let paths: Vec<Vec<String>> = [&["a"][..], &["b", "a"], &["a", "a", "b"], &["b"], &["b", "c"]]
            .map(|path| path.iter().map(|step| step.to_string()).collect())
            .to_vec();
        let mut slab = b"xx".to_vec();
        slab.extend_from_slice(&text);
        let span = 2..slab.len();
        slab.resize(span.end + behind, b'}');
        let mut finder = Finder::default();
        for paths in [&paths[..], &paths[..1], &paths[1..2], &paths[2..3], &paths[1..4]] {
            let mut found = Vec::new();
            let rule = extract(&text, paths, &mut found);
            prop_assert_eq!(finder.find(&slab, span.clone(), paths), rule.clone(), "{}", String::from_utf8_lossy(&text));
            if rule.is_ok() {
                prop_assert_eq!(&finder.found, &found);
            }
        }
    }

    /// Each record is in exactly one place.
    #[test]
    fn no_record_is_lost_or_doubled(
        records in prop::collection::vec((0usize..9, any::<bool>()), 0..40),
        template in prop::sample::select(&["{a}", "{table}", "{a}_{b.c}", "{topic}", "x{table}{a}"][..]),
    ) {
        let values = [r#"{"a":"x","b":{"c":1}}"#, r#"{"a":"y"}"#, r#"{"a":[]}"#, "{", "", r#"{"b":{"c":true},"a":3}"#];
        let records: Vec<Record<'_>> = records.iter().map(|&(n, named)| {
            let table = named.then_some(if n % 2 == 0 { "even" } else { "odd" });
            match n {
                6 => ("", RecordKind::Tombstone, table),
                7 | 8 => ("zz", rejected(), table),
                n => (values[n], RecordKind::Event, table),
            }
        }).collect();
        let raw = batch("topic", &records);
        let routed = router(template, &[]).route(&raw);
        let mut seen = vec![0u32; records.len()];
        let mut mark = |i: &u32| seen[*i as usize] += 1;
        for (table, select) in &routed.tables {
            let cleaned = clean(table);
            prop_assert_eq!(cleaned.as_deref(), Ok(&**table));
            match select {
                None => (0..records.len() as u32).for_each(|i| mark(&i)),
                Some(select) => {
                    prop_assert!(select.is_sorted() && !select.is_empty());
                    select.iter().for_each(&mut mark);
                }
            }
        }
        routed.unroutable.iter().for_each(|(i, _)| mark(i));
        routed.skipped.iter().for_each(&mut mark);
        prop_assert!(seen.iter().all(|&n| n == 1), "{:?}", seen);
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[a\"\\\\é\n]{0,4}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::vec(("[ab]", inner), 0..4)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}
