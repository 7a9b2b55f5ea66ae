//! Bounds of strings: prefixes, and the JSON of strings.

/// The longest prefix stated, in characters (Delta's `dataSkippingStringPrefixLength`).
const PREFIX: usize = 32;

/// How far past it to look for a character that can be rounded up.
const LONGEST: usize = 2 * PREFIX;

/// A string's part that can matter to a lower bound. Order is kept: `a <= b` gives `prefix(a) <= prefix(b)`.
pub(super) fn min_prefix(text: &str) -> &str {
    prefix(text, PREFIX)
}

/// A string's part that can matter to an upper bound; see [`upper_bound`].
pub(super) fn max_prefix(text: &str) -> &str {
    prefix(text, LONGEST + 1)
}

fn prefix(text: &str, chars: usize) -> &str {
    if text.len() <= chars {
        return text;
    }
    match text.char_indices().nth(chars) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// A short string not below `max`, of which [`max_prefix`] is enough.
///
/// As Delta's `StatisticsCollection.truncateMaxStringAgg`: the prefix and one more character that is not below the
/// one cut off, U+007F for those below it and U+10FFFF for others. A U+10FFFF in the way is kept and the next
/// character tried. `None` if there is no room to round up.
pub(super) fn upper_bound(max: &str) -> Option<String> {
    for (taken, (end, cut)) in max.char_indices().enumerate().skip(PREFIX) {
        if taken > LONGEST - 1 {
            return None;
        }
        if cut != char::MAX {
            let last = if cut < '\u{7f}' { '\u{7f}' } else { char::MAX };
            return Some(format!("{}{last}", &max[..end]));
        }
    }
    Some(max.to_owned())
}

/// `text` as a JSON string, quotes included.
pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_strings_are_stated_whole() {
        for text in [
            "",
            "a",
            &"x".repeat(32),
            &"é".repeat(32),
            &"\u{10FFFF}".repeat(32),
        ] {
            assert_eq!(min_prefix(text), text);
            assert_eq!(upper_bound(max_prefix(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn long_strings_are_rounded_up() {
        let bound = |text: &str| upper_bound(max_prefix(text));
        let x = "x".repeat(32);
        assert_eq!(bound(&format!("{x}y")), Some(format!("{x}\u{7f}")));
        assert_eq!(bound(&format!("{x}\u{7f}")), Some(format!("{x}\u{10FFFF}")));
        assert_eq!(bound(&format!("{x}é")), Some(format!("{x}\u{10FFFF}")));
        let top = "\u{10FFFF}";
        assert_eq!(
            bound(&format!("{x}{top}y")),
            Some(format!("{x}{top}\u{7f}"))
        );
        assert_eq!(bound(&format!("{x}{top}")), Some(format!("{x}{top}")));
        assert_eq!(bound(&top.repeat(200)), None);
        assert_eq!(min_prefix(&format!("{x}y")), x);
    }

    proptest! {
        #[test]
        fn bounds_hold(text in "[\u{0}-\u{80}é\u{10FFFE}\u{10FFFF}]{0,80}") {
            prop_assert!(min_prefix(&text) <= text.as_str());
            prop_assert!(min_prefix(&text).chars().count() <= PREFIX);
            let from_whole = upper_bound(&text);
            prop_assert_eq!(&from_whole, &upper_bound(max_prefix(&text)));
            if let Some(bound) = from_whole {
                prop_assert!(bound >= text);
                prop_assert!(bound.chars().count() <= LONGEST + 1);
            }
        }

        #[test]
        fn prefixes_keep_the_order(a in "[ab\u{10FFFF}]{0,80}", b in "[ab\u{10FFFF}]{0,80}") {
            if a <= b {
                prop_assert!(min_prefix(&a) <= min_prefix(&b));
                prop_assert!(max_prefix(&a) <= max_prefix(&b));
            }
        }
    }
}
