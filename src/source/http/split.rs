//! From a body to its events, each judged.
//!
//! The rule, for every content type but `application/x-ndjson` (which is always lines):
//! 1. A body that begins with `[` is a JSON array; its elements are the events.
//! 2. Else, if its first line is a whole JSON value, or there is no second line, each line is an event.
//! 3. Else, if the body is one JSON value (an object printed over several lines), that is the event.
//! 4. Else, if any line is a whole JSON object, each line is an event, and bad lines are dead letters.
//! 5. Else the request is refused: nothing in it can be told apart.
//!
//! Empty lines are not events. `index` in an answer counts events from 0. An event is kept byte for
//! byte. It must be a JSON object in UTF-8; one that is not becomes a dead letter and the others land.

use crate::{
    event::RejectReason,
    json::{self, Fault, Kind},
};
use serde::de::IgnoredAny;
use std::ops::Range;

/// Where the events of a body lie.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) events: Vec<Range<u32>>,
    /// Ascending by index into `events`.
    pub(super) rejected: Vec<(u32, RejectReason)>,
}

/// Why a body has no events that could be told apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Malformed(String),
    TooMany,
}

/// What bounds a body's events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) event_bytes: u64,
    pub(super) events: usize,
}

/// Splits a body of less than 4 GiB. `lines`: the content type says NDJSON.
pub(super) fn split(body: &[u8], lines: bool, limits: Limits) -> Result<Split, Flaw> {
    let mut splitter = Splitter {
        body,
        utf8: json::is_utf8(body),
        limits,
        split: Split::default(),
    };
    let start = if body.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let whole = trimmed(body, start..body.len());
    if whole.is_empty() {
        return Ok(splitter.split);
    }
    if lines {
        splitter.lines(whole)?;
    } else if body[whole.start] == b'[' {
        splitter.array(whole)?;
    } else {
        match memchr::memchr(b'\n', &body[whole.clone()]) {
            Some(first) if !is_json(&body[whole.start..whole.start + first]) => {
                if is_json(&body[whole.clone()]) {
                    splitter.event(whole)?;
                } else if body[whole.clone()]
                    .split(|&byte| byte == b'\n')
                    .any(is_object)
                {
                    splitter.lines(whole)?;
                } else {
                    return Err(Flaw::Malformed(
                        "the body is neither one JSON value nor one JSON object a line".into(),
                    ));
                }
            }
            _ => splitter.lines(whole)?,
        }
    }
    Ok(splitter.split)
}

struct Splitter<'a> {
    body: &'a [u8],
    /// Whether the whole body is UTF-8, so that no event needs to be looked at again.
    utf8: bool,
    limits: Limits,
    split: Split,
}

impl Splitter<'_> {
    fn lines(&mut self, whole: Range<usize>) -> Result<(), Flaw> {
        let mut start = whole.start;
        while start < whole.end {
            let end = memchr::memchr(b'\n', &self.body[start..whole.end])
                .map_or(whole.end, |n| start + n);
            let line = trimmed(self.body, start..end);
            if !line.is_empty() {
                self.event(line)?;
            }
            start = end + 1;
        }
        Ok(())
    }

    /// Finds the commas between elements by brackets and strings alone, so that one bad element does
    /// not take the others with it.
    fn array(&mut self, whole: Range<usize>) -> Result<(), Flaw> {
        let bytes = self.body;
        let mut depth = 0usize;
        let mut start = whole.start + 1;
        let mut at = start;
        while at < whole.end {
            match bytes[at] {
                b'"' => {
                    at = string_end(&bytes[..whole.end], at).ok_or_else(|| {
                        Flaw::Malformed("a string of the array does not end".into())
                    })?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b']' if depth == 0 => {
                    let element = trimmed(bytes, start..at);
                    if !element.is_empty() {
                        self.event(element)?;
                    } else if !self.split.events.is_empty() {
                        return Err(Flaw::Malformed(format!(
                            "the array has an empty element, byte=`{at}`"
                        )));
                    }
                    return if at + 1 == whole.end {
                        Ok(())
                    } else {
                        Err(Flaw::Malformed(format!(
                            "text follows the array, byte=`{}`",
                            at + 1
                        )))
                    };
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b',' if depth == 0 => {
                    let element = trimmed(bytes, start..at);
                    if element.is_empty() {
                        return Err(Flaw::Malformed(format!(
                            "the array has an empty element, byte=`{at}`"
                        )));
                    }
                    self.event(element)?;
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        Err(Flaw::Malformed("the array does not end".into()))
    }

    fn event(&mut self, range: Range<usize>) -> Result<(), Flaw> {
        if self.split.events.len() >= self.limits.events {
            return Err(Flaw::TooMany);
        }
        if let Err(reason) = self.judge(range.clone()) {
            self.split
                .rejected
                .push((self.split.events.len() as u32, reason));
        }
        self.split.events.push(range.start as u32..range.end as u32);
        Ok(())
    }

    /// The verdict is the decoder's ([`json`]), so that no event is taken here only to become a dead letter there.
    fn judge(&self, range: Range<usize>) -> Result<(), RejectReason> {
        let limit = self.limits.event_bytes;
        if range.len() as u64 > limit {
            let detail = format!("the event is {} bytes, more than {limit}", range.len());
            return Err(reason("too_large", detail));
        }
        match json::check_in(self.body, range.clone(), self.utf8) {
            Ok(Kind::Object) => Ok(()),
            Ok(_) => Err(reason("not_an_object", "an event is a JSON object".into())),
            Err(fault) => Err(reason(fault.code(), detail(fault, &self.body[range]))),
        }
    }
}

fn reason(code: &'static str, detail: String) -> RejectReason {
    RejectReason {
        code,
        detail: detail.into(),
    }
}

#[cold]
fn detail(fault: Fault, event: &[u8]) -> String {
    match (fault, std::str::from_utf8(event)) {
        (Fault::Utf8, Err(error)) => format!("not UTF-8 at byte {}", error.valid_up_to()),
        (Fault::Deep, _) => format!("the event nests deeper than {}", json::MAX_DEPTH),
        _ => fault.detail(event),
    }
}

/// Whether it is one JSON value, however deep and whatever its strings hold: only to tell apart where events are.
fn is_json(bytes: &[u8]) -> bool {
    json::check(bytes).is_ok() || serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

fn is_object(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{') && is_json(bytes)
}

/// The range without JSON's white space at both ends.
fn trimmed(body: &[u8], range: Range<usize>) -> Range<usize> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let bytes = &body[range.clone()];
    let Some(front) = bytes.iter().position(|byte| !is_space(byte)) else {
        return range.start..range.start;
    };
    let back = bytes.iter().rev().take_while(|byte| is_space(byte)).count();
    range.start + front..range.end - back
}

/// Behind the quote that ends the string that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let next = from + memchr::memchr2(b'"', b'\\', bytes.get(from..)?)?;
        if bytes[next] == b'"' {
            return Some(next + 1);
        }
        from = next + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        event_bytes: 1_000,
        events: 100,
    };

    /// Each event's text with its code, `ok` for a good one.
    fn events(body: &[u8], lines: bool) -> Result<Vec<(String, &'static str)>, Flaw> {
        let split = split(body, lines, LIMITS)?;
        Ok(split
            .events
            .iter()
            .enumerate()
            .map(|(index, range)| {
                let text = String::from_utf8_lossy(&body[range.start as usize..range.end as usize])
                    .into_owned();
                let reason = split
                    .rejected
                    .iter()
                    .find(|(event, _)| *event as usize == index);
                (text, reason.map_or("ok", |(_, reason)| reason.code))
            })
            .collect())
    }

    fn check(body: &str, expected: &[(&str, &'static str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(text, code)| (text.to_string(), *code))
            .collect();
        assert_eq!(events(body.as_bytes(), false).unwrap(), expected, "{body}");
    }

    #[test]
    fn every_form_of_a_body() {
        check("", &[]);
        check(" \n\n ", &[]);
        check("[]", &[]);
        check("\u{feff}{\"a\":1}", &[("{\"a\":1}", "ok")]);
        check(
            "{\"a\":1}\r\n\n{\"b\":2}\n",
            &[("{\"a\":1}", "ok"), ("{\"b\":2}", "ok")],
        );
        check("{\n  \"a\": 1\n}\n", &[("{\n  \"a\": 1\n}", "ok")]);
        check(
            " [ {\"a\":\"],[\\\"\"} ,\n{\"b\":[1,2]} ] ",
            &[("{\"a\":\"],[\\\"\"}", "ok"), ("{\"b\":[1,2]}", "ok")],
        );
    }

    #[test]
    fn bad_events_do_not_take_the_good_ones_along() {
        check(
            "{\"a\":}\n{\"b\":2}\n7\n",
            &[
                ("{\"a\":}", "malformed"),
                ("{\"b\":2}", "ok"),
                ("7", "not_an_object"),
            ],
        );
        check(
            "[{\"a\":},{\"b\":2},[1],null]",
            &[
                ("{\"a\":}", "malformed"),
                ("{\"b\":2}", "ok"),
                ("[1]", "not_an_object"),
                ("null", "not_an_object"),
            ],
        );
        check("hello", &[("hello", "malformed")]);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1_000));
        check(&long, &[(&long, "too_large")]);
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(128), "]".repeat(128));
        check(&deep, &[(&deep, "too_deep")]);
        let fits = format!(
            "{{\"a\":{}{},\"s\":\"{}\"}}",
            "[".repeat(126),
            "]".repeat(126),
            "[".repeat(200)
        );
        check(&fits, &[(&fits, "ok")]);
        let found = events(b"{\"a\":\"\xff\"}\n{\"b\":1}", false).unwrap();
        assert_eq!((found[0].1, found[1].1), ("invalid_utf8", "ok"));
    }

    #[test]
    fn lines_are_lines_when_the_content_type_says_so() {
        let found = events(b"[{\"a\":1}]\n{\"b\":1}", true).unwrap();
        assert_eq!((found[0].1, found[1].1), ("not_an_object", "ok"));
    }

    #[test]
    fn a_body_that_cannot_be_told_apart_is_refused() {
        for body in [
            "[{\"a\":1}",
            "[{\"a\":1},]",
            "[,{}]",
            "[{}] {}",
            "[\"a",
            "{\n\"a\": 1,\n",
            "[\"\\",
        ] {
            assert!(
                matches!(events(body.as_bytes(), false), Err(Flaw::Malformed(_))),
                "{body}"
            );
        }
        assert_eq!(
            split("{}\n".repeat(101).as_bytes(), false, LIMITS),
            Err(Flaw::TooMany)
        );
    }

    /// The code of one event alone, `ok` for a good one.
    fn verdict(event: &[u8]) -> &'static str {
        let limits = Limits {
            event_bytes: 10_000,
            events: 10,
        };
        let split = split(event, true, limits).unwrap();
        assert_eq!(split.events.len(), 1);
        let rejected = split.rejected.first();
        rejected.map_or("ok", |(_, reason)| reason.code)
    }

    #[test]
    fn the_deepest_event_is_as_deep_as_the_decoders() {
        for (depth, code) in [
            (126, "ok"),
            (127, "ok"),
            (128, "too_deep"),
            (129, "too_deep"),
        ] {
            let inner = depth - 1;
            for event in [
                format!("{}0{}", "{\"a\":".repeat(depth), "}".repeat(depth)),
                format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner)),
            ] {
                assert_eq!(verdict(event.as_bytes()), code, "{depth}");
                let value = serde_json::from_str::<serde_json::Value>(&event);
                assert_eq!(value.is_ok(), code == "ok", "{depth}");
                let body = format!("[{event}]");
                let found = events(body.as_bytes(), false).unwrap();
                assert_eq!(found[0].1, code, "{depth}, in an array");
            }
        }
    }

    #[test]
    fn verdicts_are_the_decoders() {
        for (event, code) in [
            ("{\"a\":\"\\ud800\"}", "malformed"),
            ("{\"a\":\"\\ud83d\\ude00\"}", "ok"),
            ("{\"a\":1e999,\"b\":123456789012345678901234567890}", "ok"),
            ("{\"a\":01}", "malformed"),
            ("{\"a\":1} x", "malformed"),
            ("{\"a\":\"\u{1}\"}", "malformed"),
        ] {
            assert_eq!(verdict(event.as_bytes()), code, "{event}");
        }
    }

    proptest! {
        #[test]
        fn a_good_event_is_an_object_that_serde_json_reads(event in proptest::collection::vec(
            prop_oneof![8 => proptest::sample::select(&b"{}[]\",:\\u0eE+-.dDaf truefalsn \t"[..]), 1 => any::<u8>()], 0..60), slack in 0usize..70) {
            let mut body = b"{\"a\":".to_vec();
            body.extend(event);
            body.push(b'}');
            let event = body.clone();
            body.resize(event.len() + slack, b' ');
            let splitter = Splitter { body: &body, utf8: json::is_utf8(&body), limits: LIMITS, split: Split::default() };
            let good = splitter.judge(0..event.len()).is_ok();
            match serde_json::from_slice::<serde_json::Value>(&event) {
                Ok(value) => prop_assert_eq!(good, value.is_object()),
                // Numbers beyond a double are kept as text.
                Err(error) if error.to_string().contains("out of range") => {}
                Err(_) => prop_assert!(!good),
            }
        }

        #[test]
        fn any_bytes_are_split_without_panic_and_in_order(body in proptest::collection::vec(
            prop_oneof![Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b'\\'), Just(b','), Just(b'\n'), any::<u8>()], 0..200), lines: bool) {
            if let Ok(split) = split(&body, lines, LIMITS) {
                let mut at = 0;
                for range in &split.events {
                    prop_assert!(at <= range.start && range.start < range.end && range.end as usize <= body.len());
                    at = range.end;
                }
            }
        }

        #[test]
        fn an_array_gives_what_its_lines_give(values in proptest::collection::vec("\\{\"[a-z\\[\\],]{0,5}\":[0-9]\\}", 1..20)) {
            let array = format!("[{}]", values.join(", "));
            prop_assert_eq!(events(array.as_bytes(), false).unwrap(), events(values.join("\n").as_bytes(), true).unwrap());
        }
    }
}
