//! Texts judged as serde_json judges them.

use crate::decode::json::Parser;
use proptest::prelude::*;

fn agrees(bytes: &[u8]) -> Result<(), String> {
    let ours = Parser::default()
        .parse(bytes)
        .map(|json| json.text(0).to_string());
    let theirs = serde_json::from_slice::<serde_json::Value>(bytes);
    match (&ours, &theirs) {
        (Ok(text), Ok(value)) => {
            let again: serde_json::Value = serde_json::from_str(text).unwrap();
            (again == *value)
                .then_some(())
                .ok_or("values differ".into())
        }
        (Err(reason), Err(error)) if *reason.detail == error.to_string() => Ok(()),
        (Ok(_), Err(error)) if error.to_string().contains("number out of range") => Ok(()),
        other => Err(format!(
            "{other:?} for {:?}",
            String::from_utf8_lossy(bytes)
        )),
    }
}

#[test]
#[rustfmt::skip]
fn judges_hostile_texts_as_serde_json_does() {
    let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let texts = [
        "", " ", "{", "}", "[]", "{}", "{}{}", "{} x", "[1,]", "[,1]", "{\"a\":1,}", "{\"a\"}", "{\"a\":}", "{a:1}",
        "{'a':1}", "{\"a\" :\t1\r\n}", "01", "-", "-0", "-01", "1.", ".5", "+1", "1e", "1e+", "1e5", "1E-5", "0e0",
        "0.0", "1e400", "-1e400", "1e-400", "NaN", "Infinity", "nul", "nulll", "true", "truefalse", "tru", "\"",
        "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u123g\"", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\u0041\"",
        "\"\\ud83d\\ude00\"", "\"\\ud800x\"", "\"\\uD800\\", "\"\\u0000\"", "\"\u{1}\"", "\"\t\"", "\"\u{7f}\"",
        "\u{feff}{}", "\u{a0}1", "18446744073709551616", "\"\\/\\b\\f\\n\\r\\t\"", "{\"a\":1,\"a\":2}", "/* c */1",
        "\0", "{\"\\u0061\":1,\"a\":2}", "\"\\u\"", "[\"a\" 1]",
    ];
    for text in texts {
        agrees(text.as_bytes()).unwrap();
    }
    for n in [1, 126, 127, 128, 129, 5_000] {
        agrees(nest(n).as_bytes()).unwrap();
        agrees(format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n)).as_bytes()).unwrap();
    }
    agrees(b"\"\xff\"").unwrap();
    agrees(b"\"\xed\xa0\x80\"").unwrap();
    agrees(b"{\"a\":\"\xc3\"}").unwrap();
    agrees("9".repeat(400).as_bytes()).unwrap();
}

#[test]
fn codes_say_why() {
    let code = |bytes: &[u8]| Parser::default().parse(bytes).err().map(|r| r.code);
    assert_eq!(code(b"{"), Some("malformed"));
    assert_eq!(code(b"\"\xff\""), Some("invalid_utf8"));
    assert_eq!(code("[".repeat(200).as_bytes()), Some("too_deep"));
    assert_eq!(code(b"1e400"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 }))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        agrees(&bytes).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn almost_json(text in r#"([\[\]{},:"0-9.eE+\-\\u]|true|null|\\u[dD][89cC]00|"a"|\\n| ){0,24}"#) {
        agrees(text.as_bytes()).map_err(TestCaseError::fail)?;
    }
}
