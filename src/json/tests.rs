//! Against `serde_json`, on every engine, at every place of a block.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn engines() -> Vec<Engine> {
    let mut engines = vec![Engine::Portable];
    if Engine::best() != Engine::Portable {
        engines.push(Engine::best());
    }
    engines
}

/// One text on one engine, with `behind` right behind it.
fn judged(engine: Engine, text: &[u8], behind: u8) -> Result<Kind, Fault> {
    if !is_utf8(text) {
        return Err(Fault::Utf8);
    }
    let mut slab = text.to_vec();
    slab.resize(text.len() + PAD, behind);
    let cursor = Cursor::new(&slab, 0..text.len()).unwrap();
    engine.run(nodes::Document { cursor, sink: () })
}

fn agrees(text: &[u8]) -> Result<(), String> {
    let theirs = serde_json::from_slice::<Value>(text);
    let ours = check(text);
    for engine in engines() {
        let behinds: &[u8] = &[
            0, b'"', b'\\', b'}', b']', b' ', b'7', b'e', b'.', b'[', b'{', b'u',
        ];
        for &behind in behinds.iter().take(if cfg!(miri) { 2 } else { usize::MAX }) {
            if judged(engine, text, behind) != ours {
                return Err(format!("{engine:?} with {behind:?} behind differs"));
            }
        }
    }
    let mut parser = Parser::default();
    let nodes = parser.parse(text);
    if nodes.as_ref().err() != ours.as_ref().err() {
        return Err("the parser differs from the check".into());
    }
    let kind = match &theirs {
        Ok(Value::Null) => Kind::Null,
        Ok(Value::Bool(_)) => Kind::Boolean,
        Ok(Value::Number(_)) => Kind::Number,
        Ok(Value::String(_)) => Kind::String,
        Ok(Value::Array(_)) => Kind::Array,
        Ok(Value::Object(_)) => Kind::Object,
        Err(error) if error.to_string().contains("number out of range") => return Ok(()),
        Err(_) => return ours.err().map(|_| ()).ok_or("accepts too much".into()),
    };
    if ours != Ok(kind) {
        return Err(format!("{ours:?} for {kind}"));
    }
    match (nodes, theirs) {
        (Ok(json), Ok(value)) if rebuilt(json, 0) == value => Ok(()),
        _ => Err("values differ".into()),
    }
}

/// The value that the nodes spell.
fn rebuilt(json: Json<'_>, at: u32) -> Value {
    match json.kind(at) {
        NodeKind::Object => json
            .members(at)
            .map(|(key, value)| (json.string(key).unwrap().into_owned(), rebuilt(json, value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        NodeKind::Array => json.elements(at).map(|at| rebuilt(json, at)).collect(),
        NodeKind::Plain | NodeKind::Escaped => json.string(at).unwrap().into_owned().into(),
        _ => serde_json::from_str(json.text(at)).unwrap(),
    }
}

#[test]
fn strings_ending_anywhere_in_a_block() {
    // Under Miri only around the ends of blocks.
    for length in (0..140).filter(|n| !cfg!(miri) || (n % 32 + 1) % 32 < 2) {
        let plain = "x".repeat(length);
        for tail in [
            "",
            "\\n",
            "\\u00e9",
            "\\ud83d\\ude00",
            "é",
            "\\\\",
            "\\\"",
            "\u{1}",
            "\\",
            "\\ud83d",
        ] {
            for text in [
                format!("\"{plain}{tail}\""),
                format!("{{\"{plain}{tail}\":1}}"),
                format!("\"{tail}{plain}"),
                format!("{}[{}]", " ".repeat(length), "7".repeat(length)),
            ] {
                agrees(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text}"));
            }
        }
    }
}

#[test]
fn strings_are_copied_unescaped() {
    for engine in engines() {
        for length in (0..100).filter(|n| !cfg!(miri) || n % 32 > 29) {
            let expected = format!("{}\"é\u{1f600}\n{}", "a".repeat(length), "b".repeat(40));
            let text = Value::from(expected.clone()).to_string();
            let escaped = text.replace('\u{1f600}', "\\uD83D\\ude00");
            for text in [text, escaped] {
                struct Push<'a>(Cursor<'a>, Blocks);
                impl Task for Push<'_> {
                    type Out = Result<Blocks, Stop>;
                    #[inline(always)]
                    fn run<S: Simd>(mut self, simd: S) -> Self::Out {
                        push_string(simd, &mut self.0, &mut self.1).map(|()| self.1)
                    }
                }
                let mut padded = Padded::default();
                let cursor = padded.cursor(text.as_bytes(), 0..text.len()).unwrap();
                let mut before = Blocks::default();
                before.extend_from_slice(b"before ");
                let out = engine.run(Push(cursor, before)).unwrap();
                assert_eq!(out.as_slice(), format!("before {expected}").as_bytes());
            }
        }
    }
}

#[test]
fn values_end_where_they_end() {
    let text = b"  [1, {\"a\":\"]\"}] , 12";
    assert_eq!(value(text, 2..text.len()), Ok((Kind::Array, 16)));
    assert_eq!(value(text, 19..text.len()), Ok((Kind::Number, 21)));
    assert_eq!(value(text, 19..20), Ok((Kind::Number, 20)));
    assert_eq!(value(text, 2..15), Err(Fault::Syntax));
    assert_eq!(value(text, 5..5), Err(Fault::Syntax));
    assert_eq!(value(text, 5..500), Err(Fault::Syntax));
}

#[test]
fn a_text_in_a_slab_is_judged_alone() {
    let slab = format!("{}{}{}", r#"{"a":1}"#.repeat(3), "12", "34".repeat(60));
    for at in [0, 7, 14] {
        assert_eq!(
            check_in(slab.as_bytes(), at..at + 7, true),
            Ok(Kind::Object)
        );
        assert_eq!(
            check_in(slab.as_bytes(), at..at + 6, true),
            Err(Fault::Syntax)
        );
        assert_eq!(
            check_in(slab.as_bytes(), at..at + 8, true),
            Err(Fault::Syntax)
        );
    }
    for end in 22..slab.len() {
        assert_eq!(check_in(slab.as_bytes(), 21..end, true), Ok(Kind::Number));
    }
    assert_eq!(check_in(slab.as_bytes(), 3..3, true), Err(Fault::Syntax));
    assert_eq!(check_in(b"\"\xc3\"", 0..3, false), Err(Fault::Utf8));
}

#[test]
fn patterns_compare_no_more_than_they_hold() {
    for engine in engines() {
        struct Begins<'a>(&'a [u8; BLOCK], Pattern, u32);
        impl Task for Begins<'_> {
            type Out = bool;
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) -> bool {
                simd.begins(self.0, &self.1, self.2)
            }
        }
        let block: [u8; BLOCK] = std::array::from_fn(|i| i as u8);
        for any_first in [0, 1] {
            assert!(!engine.run(Begins(&block, Pattern::never(), any_first)));
            assert!(!engine.run(Begins(&[0; BLOCK], Pattern::never(), any_first)));
        }
        for length in 0..40 {
            let same: Vec<u8> = (0..length).collect();
            assert!(engine.run(Begins(&block, Pattern::new(&same), 0)));
            for wrong in 0..usize::from(length).min(BLOCK) {
                let mut other = same.clone();
                other[wrong] ^= 0x80;
                assert!(!engine.run(Begins(&block, Pattern::new(&other), 0)));
                let without_first = engine.run(Begins(&block, Pattern::new(&other), 1));
                assert_eq!(without_first, wrong == 0);
            }
        }
    }
}

#[test]
fn digits_eight_at_a_time() {
    for text in [
        "",
        "7",
        "12345678",
        "123456789",
        "1234567890123456",
        "18446744073709551615",
        "99999999x9",
        "/1",
        "1:",
    ] {
        let mut padded = Padded::default();
        let mut cursor = padded.cursor(text.as_bytes(), 0..text.len()).unwrap();
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        let expected = digits.parse().unwrap_or(0);
        assert_eq!(
            digit_run(&mut cursor),
            Ok((expected, digits.len())),
            "{text}"
        );
        assert_eq!(cursor.left(), text.len() - digits.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1_000 }))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        agrees(&bytes).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn almost_json(text in r#"([\[\]{},:"0-9.eE+\-\\u]|true|null|\\u[dD][89cC]00|"a"|"abcdefghijklmnopqrstuvwxyz"|\\n| {1,40}){0,24}"#) {
        agrees(text.as_bytes()).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn json_with_one_byte_changed(
        value in leaf().prop_recursive(4, 24, 5, |inner| prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((".{0,40}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), proptest::sample::select(&b"\"\\{}[],: 09eE.-"[..])],
        pretty in any::<bool>(),
    ) {
        let text = match pretty {
            true => serde_json::to_string_pretty(&value).unwrap(),
            false => value.to_string(),
        };
        agrees(text.as_bytes()).map_err(TestCaseError::fail)?;
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        agrees(&bytes).map_err(TestCaseError::fail)?;
        agrees(&bytes[..at]).map_err(TestCaseError::fail)?;
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,70}".prop_map(Value::from),
    ]
}

/// The number that eight bytes begin with and end with one of `,}]`, if JSON has it so.
fn spelled(bytes: &[u8; 8]) -> Option<&str> {
    let length = bytes
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b'.'))?;
    let (number, behind) = bytes.split_at(length);
    let number = str::from_utf8(number).ok()?;
    let value: Value = serde_json::from_str(number).ok()?;
    (value.is_number() && b",}]".contains(behind.first()?)).then_some(number)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 }))]

    #[test]
    fn short_numbers(text in "[0-9]{0,7}[.]?[0-9]{0,6}[,}\\]e: ]{1,8}.{8}") {
        let bytes = text.as_bytes().first_chunk::<8>().unwrap();
        let word = u64::from_le_bytes(*bytes);
        let number = spelled(bytes);
        let integer = number.filter(|number| !number.contains('.'));
        prop_assert_eq!(
            short_integer(word),
            integer.map(|number| (number.parse().unwrap(), number.len()))
        );
        let expected = number.map(|number| {
            let places = number.split_once('.').map_or(0, |(_, places)| places.len());
            (number.replace('.', "").parse().unwrap(), places, number.len())
        });
        prop_assert_eq!(short_number(word), expected);
    }

    #[test]
    fn clocks(hours in 0u32..30, minutes in 0u32..70, seconds in 0u32..70, at in 0usize..8, byte in any::<u8>()) {
        let mut text = *format!("{hours:02}:{minutes:02}:{seconds:02}").as_bytes().first_chunk::<8>().unwrap();
        let micros = u64::from((hours * 60 + minutes) * 60 + seconds) * 1_000_000;
        let expected = (hours < 24 && minutes < 60 && seconds < 60).then_some(micros);
        prop_assert_eq!(clock(text), expected);
        let is_digit = text[at].is_ascii_digit();
        text[at] = byte;
        if is_digit != byte.is_ascii_digit() {
            prop_assert_eq!(clock(text), None);
        }
    }

    #[test]
    fn milliseconds(number in 0u64..1_000, at in 0usize..6, byte in any::<u8>(), behind in any::<[u8; 2]>()) {
        let mut text = *format!(".{number:03}Z\"..").as_bytes().first_chunk::<8>().unwrap();
        text[6..].copy_from_slice(&behind);
        prop_assert_eq!(millis(u64::from_le_bytes(text)), Some(number));
        if byte != text[at] && !byte.is_ascii_digit() {
            text[at] = byte;
            prop_assert_eq!(millis(u64::from_le_bytes(text)), None);
        }
    }
}

/// Whether the text is UTF-8, by the engine's blocks.
fn is_text_by(engine: Engine, text: &[u8]) -> bool {
    struct All<'a>(Cursor<'a>);
    impl Task for All<'_> {
        type Out = bool;
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> bool {
            let mut end = self.0;
            end.advance(end.left()).is_ok() && is_text(simd, self.0, end)
        }
    }
    let mut padded = Padded::default();
    // What stands behind the text must not count.
    let slab = [text, &[0x80; PAD]].concat();
    let cursor = padded.cursor(&slab, 0..text.len()).unwrap();
    engine.run(All(cursor))
}

#[test]
fn sequences_of_any_two_bytes_are_judged_as_utf8() {
    for engine in engines() {
        for at in [0, 28, 29, 30, 31, 32, 61]
            .into_iter()
            .take(if cfg!(miri) { 1 } else { 7 })
        {
            for pair in 0..=u16::MAX {
                let [first, second] = pair.to_be_bytes();
                if cfg!(miri) && (first % 16 != 0 || second % 16 != 0) {
                    continue;
                }
                for tail in [&b""[..], &[0x80], &[0xbf, 0xbf], &[0x80, 0x80, b'a']] {
                    let mut text = vec![b'a'; at];
                    text.extend([first, second]);
                    text.extend(tail);
                    assert_eq!(
                        is_text_by(engine, &text),
                        str::from_utf8(&text).is_ok(),
                        "{engine:?} {text:x?}"
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 20 } else { 2_000 }))]

    #[test]
    fn texts_with_bytes_changed_are_judged_as_utf8(
        text in "[a-zé€𐍈\u{7ff}\u{800}\u{d7ff}\u{e000}\u{10ffff}]{0,60}",
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut text = text.into_bytes();
        for (at, byte) in changes {
            if !text.is_empty() {
                let at = at.index(text.len());
                text[at] = byte;
            }
        }
        for engine in engines() {
            prop_assert_eq!(is_text_by(engine, &text), str::from_utf8(&text).is_ok());
        }
    }
}
