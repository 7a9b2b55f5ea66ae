//! Table names that are safe as folder names.

/// The longest name. Longer ones are refused, not cut: two could become one.
pub const MAX_NAME_BYTES: usize = 128;

/// A folder that another owns: Adobe's, in a data landing zone.
const OTHERS: &str = "adobe-managed-staging";

/// A table's name from the text of a topic, path or field. ASCII letters, digits, `_`, `-` and `.` stay,
/// the case too; every other character becomes `_`, so different texts may share a table. A name that
/// would begin with `_` or `.` (kept for our own tables and for hidden files) gets a `t` before it.
/// `Err` says why there is no name: empty, too long or another's.
pub fn clean(text: &str) -> Result<String, &'static str> {
    if text.is_empty() {
        return Err("the name is empty");
    }
    let mut name = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        let keep = c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let c = if keep { c } else { '_' };
        if name.is_empty() && matches!(c, '_' | '.') {
            name.push('t');
        }
        name.push(c);
        if name.len() > MAX_NAME_BYTES {
            return Err("the name is longer than 128 bytes");
        }
    }
    match name == OTHERS {
        true => Err("Adobe keeps that folder of a landing zone for itself"),
        false => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples() {
        for (text, name) in [
            ("clicks", "clicks"),
            ("App.User-Created_2", "App.User-Created_2"),
            ("a/b c", "a_b_c"),
            ("../../etc", "t.._.._etc"),
            ("_dead_letters", "t_dead_letters"),
            ("é", "t_"),
            (".hidden", "t.hidden"),
        ] {
            assert_eq!(clean(text).unwrap(), name);
        }
        assert!(clean("").is_err());
        assert!(clean("adobe-managed-staging").is_err());
        assert!(clean(&"x".repeat(128)).is_ok());
        assert!(clean(&"x".repeat(129)).is_err());
    }

    proptest! {
        #[test]
        fn every_name_is_safe_and_stays(text in "\\PC{1,140}|[/._a]{1,10}") {
            if let Ok(name) = clean(&text) {
                prop_assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES);
                prop_assert!(!name.starts_with(['.', '_']));
                prop_assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b)));
                prop_assert_eq!(clean(&name).unwrap(), name);
            }
        }
    }
}
