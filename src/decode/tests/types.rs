//! Type by type: what a column takes, and that the rest is kept as it was sent.

use super::*;

/// Each value either lands as given, or is kept and the column is null.
#[track_caller]
fn check(sql: &str, takes: &[(&str, Value)], keeps: &[&str]) {
    for (text, expected) in takes {
        let got = row(&[("c", sql)], &format!("{{\"c\":{text}}}"));
        assert_eq!(got, json!({ "c": expected }), "{text} into {sql}");
    }
    for text in keeps {
        let decoded = decode(&table(&[("c", sql)]), &[format!("{{\"c\": {text} }}")]);
        let rescued = decoded.rows.column(1).as_string::<i32>();
        assert!(decoded.rows.column(0).is_null(0), "{text} into {sql}");
        assert!(!rescued.is_null(0), "{text} into {sql} is not kept");
        assert_eq!(
            rescued.value(0),
            format!("{{\"c\":{text}}}"),
            "as it was sent"
        );
        assert_eq!(decoded.counts.rescued, 1);
        assert_eq!(decoded.counts.rescued_fields["c"], 1);
        assert_eq!(
            decoded.seen.conflicts.len(),
            1,
            "{text} into {sql} is reported"
        );
    }
    assert_eq!(row(&[("c", sql)], "{\"c\":null}"), json!({}));
    assert_eq!(row(&[("c", sql)], "{}"), json!({}));
}

#[test]
fn booleans() {
    check(
        "boolean",
        &[("true", true.into()), ("false", false.into())],
        &["1", "\"true\"", "[]", "{}"],
    );
}

#[test]
fn integers() {
    check(
        "byte",
        &[
            ("127", 127.into()),
            ("-128", (-128).into()),
            ("1.0", 1.into()),
        ],
        &["128", "-129", "0.5"],
    );
    check("short", &[("32767", 32_767.into())], &["32768", "\"1\""]);
    check(
        "integer",
        &[("-2147483648", i32::MIN.into()), ("1e3", 1_000.into())],
        &["2147483648", "true"],
    );
    check(
        "long",
        &[
            ("9223372036854775807", i64::MAX.into()),
            ("10.0", 10.into()),
            ("-0", 0.into()),
            ("120e-1", 12.into()),
        ],
        &[
            "9223372036854775808",
            "10.5",
            "1e400",
            "-1e-400",
            "\"10\"",
            "[1]",
            "{\"a\":1}",
            "99999999999999999999999999999999999999999999",
        ],
    );
}

#[test]
fn floating_point() {
    check(
        "float",
        &[("0.1", 0.1f32.into()), ("16777216", 16_777_216f32.into())],
        &["16777217", "0.123456789", "1e39"],
    );
    check(
        "double",
        &[
            ("0.1", 0.1.into()),
            ("1", 1.0.into()),
            ("9007199254740992", 9_007_199_254_740_992.0.into()),
            ("1e308", 1e308.into()),
            ("-0.0", (-0.0).into()),
        ],
        &[
            "9007199254740993",
            "1e400",
            "-1e400",
            "1e-400",
            "\"1\"",
            "12345678901234567890123",
        ],
    );
}

#[test]
fn decimals() {
    check(
        "decimal(10,2)",
        &[
            ("12.34", "12.34".into()),
            ("12.3", "12.30".into()),
            ("1e7", "10000000.00".into()),
            ("99999999.99", "99999999.99".into()),
            ("-0.010", "-0.01".into()),
        ],
        &["12.345", "100000000", "\"12.34\"", "1e400", "1e-3"],
    );
    check(
        "decimal(38,0)",
        &[("18446744073709551616", "18446744073709551616".into())],
        &["1e38"],
    );
}

#[test]
fn text_and_bytes() {
    check(
        "string",
        &[
            ("\"\"", "".into()),
            (
                r#""a\"\\\n\u00e9\ud83d\ude00\u0000""#,
                "a\"\\\né😀\0".into(),
            ),
            ("\"null\"", "null".into()),
        ],
        &["1", "true", "[\"a\"]", "{}", "1.50"],
    );
    check(
        "binary",
        &[
            ("\"aGk=\"", "aGk=".into()),
            ("\"aGk\"", "aGk=".into()),
            ("\"_-8=\"", "/+8=".into()),
            ("\"/+8\"", "/+8=".into()),
            ("\"\"", "".into()),
        ],
        &["\"a\"", "\"_+8=\"", "\"hé\"", "1", "\"aGl=\""],
    );
}

#[test]
fn times() {
    check(
        "date",
        &[("\"1970-01-02\"", 1.into())],
        &["\"1970-01-02T00:00:00Z\"", "1", "\"1970-13-01\""],
    );
    check(
        "timestamp",
        &[
            ("\"1970-01-01T00:00:01.5Z\"", 1_500_000.into()),
            ("\"1970-01-01T02:00:00+02:00\"", 0.into()),
            ("\"1970-01-01T00:00:00.0000010Z\"", 1.into()),
        ],
        &[
            "\"1970-01-01T00:00:00\"",
            "\"1970-01-01T00:00:00.0000001Z\"",
            "0",
            "\"now\"",
        ],
    );
    check(
        "timestamp_ntz",
        &[("\"1970-01-01T00:00:01\"", 1_000_000.into())],
        &["\"1970-01-01T00:00:01Z\"", "5"],
    );
}

#[test]
fn timestamps_from_numbers() {
    let one = |unit: &str, text: &str| {
        let mut column = declared("t", "timestamp");
        column.timestamp_unit = Some(unit.into());
        let mut options = options(EvolutionPolicy::default());
        options.columns = vec![column];
        let decoded = decode_with(
            &table(&[("t", "timestamp")]),
            options,
            &[format!("{{\"t\":{text}}}")],
        );
        read(decoded.rows.column(0), 0)
    };
    assert_eq!(one("seconds", "1.5"), json!(1_500_000));
    assert_eq!(
        one("milliseconds", "1700000000123"),
        json!(1_700_000_000_123_000_i64)
    );
    assert_eq!(one("microseconds", "7"), json!(7));
    assert_eq!(one("seconds", "\"1970-01-01T00:00:01Z\""), json!(1_000_000));
    assert_eq!(one("microseconds", "0.5"), Value::Null);
    assert_eq!(one("rfc3339", "5"), Value::Null);

    let mut column = declared("t", "timestamp");
    column.timestamp_unit = Some("fortnights".into());
    let options = DecodeOptions {
        columns: vec![column],
        ..options(EvolutionPolicy::default())
    };
    let error = Decoder::new(Arc::new(table(&[("t", "timestamp")])), Arc::new(options)).err();
    assert!(matches!(error, Some(DecodeError::TimestampUnit { .. })));
}

#[test]
fn structs_keep_what_fits() {
    let columns = [("s", "struct<a: long, b: struct<c: string>>")];
    assert_eq!(
        row(&columns, r#"{"s":{"a":"x","b":{"c":"y","d":1},"e":[2]}}"#),
        json!({"s": {"b": {"c": "y"}}, "_rescued_data": {"s.a": "x", "s.b.d": 1, "s.e": [2]}})
    );
    assert_eq!(
        row(&columns, r#"{"s":[1]}"#),
        json!({"_rescued_data": {"s": [1]}})
    );
    assert_eq!(row(&columns, r#"{"s":{}}"#), json!({"s": {}}));
}

#[test]
fn lists_are_taken_whole_or_kept_whole() {
    let columns = [
        ("xs", "array<long>"),
        ("os", "array<struct<a: long>>"),
        ("nn", "array<array<string>>"),
    ];
    assert_eq!(
        row(
            &columns,
            r#"{"xs":[1,null,3.0],"os":[{"a":1},null,{}],"nn":[["x"],[],null]}"#
        ),
        json!({"xs": [1, null, 3], "os": [{"a": 1}, null, {}], "nn": [["x"], [], null]})
    );
    assert_eq!(
        row(
            &columns,
            r#"{"xs":[1,"2"],"os":[{"a":1},7],"nn":[["x",1]]}"#
        ),
        json!({"_rescued_data": {"xs": [1, "2"], "os": [{"a": 1}, 7], "nn": [["x", 1]]}})
    );
    assert_eq!(
        row(&columns, r#"{"os":[{"a":1},{"a":"x","b":true}],"xs":[]}"#),
        json!({"xs": [], "os": [{"a": 1}, {}], "_rescued_data": {"os[1].a": "x", "os[1].b": true}})
    );
}

#[test]
fn maps() {
    let columns = [
        ("m", "map<string, long>"),
        ("o", "map<string, struct<a: long>>"),
    ];
    assert_eq!(
        row(
            &columns,
            r#"{"m":{"a":1,"b":null,"a":3},"o":{"k.1":{"a":"x"}}}"#
        ),
        json!({"m": {"a": 3, "b": null}, "o": {"k.1": {}}, "_rescued_data": {"o.`k.1`.a": "x"}})
    );
    assert_eq!(
        row(&columns, r#"{"m":{"a":"x","b":1}}"#),
        json!({"_rescued_data": {"m": {"a": "x", "b": 1}}})
    );
    assert_eq!(
        row(&columns, r#"{"m":{},"o":[]}"#),
        json!({"m": {}, "_rescued_data": {"o": []}})
    );
}

#[test]
fn json_columns_take_anything() {
    let mut options = options(EvolutionPolicy::default());
    options.columns = vec![declared("j", "json")];
    let texts = [
        r#"{"j":{"a": [1, "x"]}}"#,
        r#"{"j":"x"}"#,
        r#"{"j":null}"#,
        r#"{"j": 1e400 }"#,
    ];
    let decoded = decode_with(&table(&[("j", "json")]), options, &texts);
    let values: Vec<Value> = (0..4).map(|i| read(decoded.rows.column(0), i)).collect();
    assert_eq!(
        values,
        [
            json!(r#"{"a": [1, "x"]}"#),
            json!("\"x\""),
            Value::Null,
            json!("1e400")
        ]
    );
    assert_eq!(decoded.counts.rescued, 0);
}
