//! Names of pipelines, sources and tables, and templates of table names.

use crate::route::Template;

/// Folder names on every store, and readable in a URL.
const MAX_TABLE_NAME_BYTES: usize = 128;
const MAX_PART_BYTES: usize = 64;

/// Whether a name can be a table's: ASCII letters, digits, `_`, `-` and `.`, not first a dot, at most
/// 128 bytes.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_table_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a table's name is empty".into());
    }
    if name.len() > MAX_TABLE_NAME_BYTES {
        return Err(format!(
            "a table's name has at most {MAX_TABLE_NAME_BYTES} bytes, not {}",
            name.len()
        ));
    }
    if name.starts_with('.') {
        return Err("a table's name does not begin with a dot, which hides its folder".into());
    }
    if name == "adobe-managed-staging" {
        return Err("Adobe keeps that folder of a landing zone for itself".into());
    }
    if name == "_alluvium_probe" {
        return Err("`alluvium check` keeps that folder for what it tries".into());
    }
    match name.chars().find(|c| !is_name_char(*c)) {
        Some(c) => Err(format!(
            "a table's name has letters, digits, `_`, `-` and `.` only, not {c:?}; name=`{name}`"
        )),
        None => Ok(()),
    }
}

pub(super) fn check_pipeline_name(name: &str) -> Result<(), String> {
    check_part(name, "a pipeline's name")
}

/// A store's name stands in metrics and logs.
pub(super) fn check_store_name(name: &str) -> Result<(), String> {
    check_label(name, "a store's name")
}

/// A connection's name stands in metrics and logs.
pub(super) fn check_connection_name(name: &str) -> Result<(), String> {
    check_label(name, "a connection's name")
}

fn check_label(name: &str, what: &str) -> Result<(), String> {
    let legal = !name.is_empty() && name.len() <= MAX_PART_BYTES && name.chars().all(is_name_char);
    match legal {
        true => Ok(()),
        false => Err(format!(
            "{what} has 1 to {MAX_PART_BYTES} letters, digits, `_`, `-` and `.`"
        )),
    }
}

/// `backfill` begins the positions of backfills.
pub(super) fn check_source_name(name: &str) -> Result<(), String> {
    check_part(name, "a source's name")?;
    if name == "backfill" || name.starts_with("backfill-") {
        return Err("a source's name does not begin with `backfill`: positions of backfills are kept under it".into());
    }
    Ok(())
}

/// A part of a position, so no `/`, `#` or `!`, which join the parts.
fn check_part(name: &str, what: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_PART_BYTES {
        return Err(format!(
            "{what} has 1 to {MAX_PART_BYTES} bytes, not {}",
            name.len()
        ));
    }
    match name.chars().find(|c| !is_name_char(*c)) {
        Some(c) => Err(format!(
            "{what} has letters, digits, `_`, `-` and `.` only, not {c:?}; it is part of every position"
        )),
        None => Ok(()),
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// A template of table names, as the router reads it; one without a placeholder is a table.
pub(super) fn check_template(origin: &str, template: &str, ledger: &str) -> Result<(), String> {
    Template::parse(origin, template).map_err(|error| error.to_string())?;
    if !template.contains(['{', '}']) {
        check_table_name(template)?;
        if template == ledger {
            return Err("is the table of dead letters; events need another".into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names() {
        for good in ["clicks", "_dead_letters", "a.b-c_9", "A", &"x".repeat(128)] {
            assert_eq!(check_table_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ".hidden",
            "a/b",
            "..",
            "a b",
            "é",
            "a\0",
            "adobe-managed-staging",
            "_alluvium_probe",
            &"x".repeat(129),
        ] {
            assert!(check_table_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn templates() {
        for good in [
            "{table}",
            "{topic}",
            "events_{meta.type}",
            "{a}.{b}",
            "fixed",
            "a-{b}",
        ] {
            assert_eq!(
                check_template("web", good, "_dead_letters"),
                Ok(()),
                "{good}"
            );
        }
        for bad in [
            "",
            "{",
            "}",
            "{}",
            "{a",
            "a}",
            "{a..b}",
            "a/b",
            ".a",
            "_dead_letters",
            "{a{b}}",
        ] {
            assert!(
                check_template("web", bad, "_dead_letters").is_err(),
                "{bad}"
            );
        }
    }
}
