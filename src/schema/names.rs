//! Names that a Delta table takes without column mapping, and tables' names from events.

use arrow::datatypes::Field;

/// Field metadata: the event's field that feeds the column, where its name is not the column's.
pub const EVENT_FIELD: &str = "alluvium.field";

/// The longest column or table name made from an event, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Whether Parquet and Delta without column mapping take the name (protocol, "Column Mapping").
pub fn is_valid_column_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(is_forbidden)
}

fn is_forbidden(c: char) -> bool {
    matches!(c, ' ' | ',' | ';' | '{' | '}' | '(' | ')' | '=') || c.is_control()
}

/// The name with `_` for each character that a column name cannot hold; `_` for an empty one.
pub fn safe_column_name(name: &str) -> String {
    if name.is_empty() {
        return "_".into();
    }
    name.chars()
        .map(|c| if is_forbidden(c) { '_' } else { c })
        .collect()
}

/// A table's name from an event's text, safe as one folder name on every store.
///
/// ASCII letters, digits, `_`, `-` and inner dots stay; whatever else becomes `_`. A leading dot
/// becomes `_` too, since readers and the spool take dotted folders as hidden. At most 255 bytes.
/// `None` when nothing of it is left but underscores and dots.
pub fn safe_table_name(text: &str) -> Option<String> {
    let mut name: String = text
        .trim()
        .chars()
        .take(MAX_NAME_BYTES)
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') {
                c
            } else {
                '_'
            }
        })
        .collect();
    if name.starts_with('.') {
        name.replace_range(0..1, "_");
    }
    while name.ends_with('.') {
        name.pop();
    }
    name.chars()
        .any(|c| c.is_ascii_alphanumeric())
        .then_some(name)
}

/// How column names are compared: Delta's are case-insensitive.
pub fn fold(name: &str) -> String {
    name.to_lowercase()
}

/// The event's field that feeds a column.
pub fn event_field(field: &Field) -> &str {
    field
        .metadata()
        .get(EVENT_FIELD)
        .map_or(field.name().as_str(), String::as_str)
}

/// What a column's comment says about the event's field that feeds it, where a table's schema is changed by
/// SQL, which reaches no other metadata of a column.
pub fn event_field_comment(name: &str) -> String {
    format!("{COMMENT_START}{}", serde_json::Value::from(name))
}

const COMMENT_START: &str = "event field ";

/// The event's field that a comment names, as the whole of it or in parentheses at its end.
pub fn event_field_of_comment(comment: &str) -> Option<String> {
    if let Some(text) = comment.strip_prefix(COMMENT_START) {
        return serde_json::from_str(text).ok();
    }
    let inside = comment.strip_suffix(')')?;
    let start = format!("({COMMENT_START}");
    inside
        .match_indices(&start)
        .find_map(|(at, _)| serde_json::from_str(&inside[at + start.len()..]).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_names_lose_what_parquet_forbids() {
        assert_eq!(
            safe_column_name("a b,c;d{e}f(g)h\ni\tj=k"),
            "a_b_c_d_e_f_g_h_i_j_k"
        );
        assert_eq!(safe_column_name("größe.x-y"), "größe.x-y");
        assert_eq!(safe_column_name(""), "_");
        for name in ["", " ", "a\u{0}", "a=b"] {
            assert!(!is_valid_column_name(name), "{name:?}");
            assert!(is_valid_column_name(&safe_column_name(name)));
        }
    }

    #[test]
    fn a_comment_names_the_events_field() {
        for name in ["a b", "a\"b", "a)\n", "", "event field \"x\"", "größe {"] {
            let comment = event_field_comment(name);
            assert_eq!(event_field_of_comment(&comment).as_deref(), Some(name));
            let beside = format!("The size ({comment})");
            assert_eq!(event_field_of_comment(&beside).as_deref(), Some(name));
        }
        for comment in [
            "",
            "the event field \"x\"",
            "event field x",
            "(event field \"x\"",
        ] {
            assert_eq!(event_field_of_comment(comment), None, "{comment}");
        }
    }

    #[test]
    fn table_names_cannot_leave_their_folder() {
        assert_eq!(
            safe_table_name("Order Completed").as_deref(),
            Some("Order_Completed")
        );
        assert_eq!(
            safe_table_name("../../etc/passwd").as_deref(),
            Some("_._.._etc_passwd")
        );
        assert_eq!(safe_table_name("events.v1").as_deref(), Some("events.v1"));
        assert_eq!(safe_table_name("a..").as_deref(), Some("a"));
        for text in ["", "  ", "..", "/", "___", "日本"] {
            assert_eq!(safe_table_name(text), None, "{text:?}");
        }
        assert!(safe_table_name(&"x".repeat(1_000)).is_some_and(|n| n.len() == MAX_NAME_BYTES));
    }
}
