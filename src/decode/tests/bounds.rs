//! What hostile events may cost, and columns that claim one field.

use super::{
    passes::{WIDE, same, same_texts},
    *,
};
use crate::schema::EVENT_FIELD;
use arrow::datatypes::Schema;

const NESTED: &[(&str, &str)] = &[("m", "map<string, struct<l: array<struct<a: long>>>>")];

/// A map whose one key is `key`, as JSON spells it, with so many unknown fields below.
fn below_a_key(key: &str, unknown: usize) -> String {
    let inner = vec!["{\"u\":1}"; unknown].join(",");
    format!("{{\"m\":{{\"{key}\":{{\"l\":[{inner}]}}}}}}")
}

#[test]
fn a_long_map_key_is_not_copied_for_all_that_is_below_it() {
    // Tens of gigabytes, if it were.
    let (length, unknown) = if cfg!(miri) {
        (2_000, 50)
    } else {
        (512 << 10, 50_000)
    };
    let text = below_a_key(&"k".repeat(length), unknown);
    assert!(text.len() < 1 << 20);
    same_texts(NESTED, &[text]);
    let small = below_a_key(&"k".repeat(100), 7);
    assert_eq!(same_texts(NESTED, &[small]), 0);
}

#[test]
fn what_is_kept_is_weighed_as_it_is_written() {
    let texts: Vec<String> = (1..500)
        .step_by(if cfg!(miri) { 100 } else { 1 })
        .map(|n| below_a_key(&"\\\"".repeat(n), 7))
        .collect();
    let given_up = same_texts(NESTED, &texts);
    assert!((1..400).contains(&given_up), "{given_up}");
    let decoded = decode(&table(NESTED), &texts);
    let rescued = decoded.rows.column_by_name("_rescued_data").unwrap();
    for (text, kept) in texts
        .iter()
        .zip(rescued.as_string::<i32>().iter().flatten())
    {
        let whole = kept.starts_with("{\"_record\"");
        assert!(whole || kept.len() <= text.len() * 4 + 1_024, "{kept}");
    }
}

#[test]
fn names_that_no_column_can_have_are_not_remembered() {
    let name = |length| format!("{{\"{}\":1,\"a\":2}}", "n".repeat(length));
    assert_eq!(same_texts(WIDE, &[name(255)]), 0);
    assert_eq!(same_texts(WIDE, &[name(256), name(100_000)]), 2);
}

#[test]
#[cfg_attr(miri, ignore = "thousands of events")]
fn names_are_remembered_up_to_so_many_bytes() {
    let texts: Vec<String> = (0..2_000)
        .map(|i| format!("{{\"{i:0>250}\":1,\"a\":2}}"))
        .collect();
    let options = options(EvolutionPolicy::default());
    let verdicts = Verdicts::default();
    let long = batch(&texts);
    let given_up = same(
        &table(WIDE),
        &options,
        std::slice::from_ref(&long),
        &verdicts,
    );
    assert!((1..2_000).contains(&given_up), "{given_up}");
    // The next batch begins with none.
    let short = batch(&[r#"{"new":1}"#]);
    let after = same(&table(WIDE), &options, &[long, short], &verdicts);
    assert_eq!(after, given_up);
}

#[test]
fn of_two_columns_that_claim_a_field_the_first_has_it_in_any_order() {
    let mut schema = table(&[("a", "long"), ("c", "long"), ("b", "long"), ("d", "string")]);
    let fields = schema.columns.fields().iter().map(|field| {
        let mut field = field.as_ref().clone();
        if field.name() == "b" {
            field.set_metadata([(EVENT_FIELD.to_string(), "a".to_string())].into());
        }
        field
    });
    schema.columns = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let texts = [
        r#"{"a":1,"c":2,"b":3,"d":"x"}"#,
        r#"{"c":2,"a":1,"d":"x","b":3}"#,
        r#"{"c":2,"a":null}"#,
        r#"{"c":2,"a":"x"}"#,
        r#"{"d":"x","b":3,"c":2,"a":1}"#,
        r#"{"c":2,"a":1,"a":4}"#,
    ];
    let batch = batch(&texts);
    let options = options(EvolutionPolicy::default());
    same(&schema, &options, &[batch], &Verdicts::default());
    let rows = rows(&decode(&schema, &texts).rows);
    assert_eq!(rows[1]["a"], 1);
    assert_eq!(rows[5]["a"], 4);
    assert!(rows.iter().all(|row| !row.contains_key("b")));
}

#[test]
#[cfg_attr(miri, ignore = "two gigabytes")]
fn after_a_batch_that_cannot_be_finished_the_next_begins_anew() {
    let texts = [r#"{"a":1,"b":"x"}"#, r#"{"b":"y","a":2}"#];
    let first = table(&[]);
    let seen = decode(&first, &texts).seen;
    let changes = evolve(&first, &seen, &EvolutionPolicy::default()).changes;
    // Columns that came later stand behind `_rescued_data`.
    let schema = Arc::new(first.apply(&changes).unwrap());
    assert_eq!(schema.columns.field(0).name(), "_rescued_data");
    let options = Arc::new(options(EvolutionPolicy::default()));
    let mut decoder = Decoder::new(Arc::clone(&schema), options).unwrap();
    decoder.rescued.overfill();
    let error = decoder
        .decode(&batch(&texts), &Verdicts::default(), 0)
        .unwrap_err();
    assert!(
        matches!(error, DecodeError::BatchTooLarge { .. }),
        "{error}"
    );
    let after = decoder
        .decode(&batch(&texts[1..]), &Verdicts::default(), 0)
        .unwrap();
    assert_eq!(after.rows, decode(&schema, &texts[1..]).rows);
}
