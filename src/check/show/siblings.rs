//! Values in sibling columns: `price__double` beside `price`.

use super::super::{
    files::{Added, Current},
    text,
};
use crate::schema;
use arrow::datatypes::{DataType, Field, Fields};
use serde_json::Value;
use std::fmt::Write;

/// Sibling columns shown.
const COLUMNS: usize = 50;

/// A column for the values that do not fit the column beside it.
#[derive(Debug, PartialEq)]
struct Sibling {
    /// As SQL would name it.
    name: String,
    /// Where statistics keep it: physical names.
    path: Vec<String>,
}

/// The section on sibling columns, where the table has any.
pub(super) fn section(out: &mut String, fields: &Fields, current: &Current) {
    let mut siblings = Vec::new();
    find(fields, "", &[], &mut siblings);
    if siblings.is_empty() {
        return;
    }
    out.push_str("\nvalues in sibling columns, which did not fit the column beside\n");
    let mut rows = vec![text::row(["VALUES", "COLUMN"])];
    for sibling in siblings.iter().take(COLUMNS) {
        let values = held(current, &sibling.path);
        let values = values.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
        rows.push(vec![values, sibling.name.clone()]);
    }
    out.push_str(&text::columns(2, &rows));
    if siblings.len() > COLUMNS {
        let _ = writeln!(out, "  and {} more columns", siblings.len() - COLUMNS);
    }
    let is_bare = |file: &&Added| file.stats.get("nullCount").is_none();
    let bare = current.files.iter().filter(is_bare).count();
    if bare > 0 {
        let _ = writeln!(
            out,
            "  without those of {} without statistics",
            text::count(bare as u64, "file", "files")
        );
    }
    if current.files.iter().any(|file| file.has_deletions) {
        out.push_str("  rows deleted in files that are still there are counted\n");
    }
    if let Some(version) = current.from_version {
        let _ = writeln!(
            out,
            "  in files added since version {version}; older ones are not counted"
        );
    }
}

fn find(fields: &Fields, within: &str, path: &[String], found: &mut Vec<Sibling>) {
    for field in fields {
        let name = format!("{within}{}", field.name());
        let mut path = path.to_vec();
        path.push(schema::physical_name(field).to_owned());
        if let DataType::Struct(below) = field.data_type() {
            find(below, &format!("{name}."), &path, found);
        }
        if is_sibling(field, fields) {
            found.push(Sibling { name, path });
        }
    }
}

fn is_sibling(field: &Field, beside: &Fields) -> bool {
    field
        .name()
        .rsplit_once("__")
        .is_some_and(|(base, kind)| !kind.is_empty() && beside.find(base).is_some())
}

/// `numRecords` less `nullCount` over the files; `None` where no file's statistics have the column. Where
/// some have it, the others were written before there was the column.
fn held(current: &Current, path: &[String]) -> Option<u64> {
    let mut held = None;
    for file in &current.files {
        let records = file.stats.get("numRecords").and_then(Value::as_u64);
        let nulls = file.stats.get("nullCount").and_then(|nulls| {
            path.iter()
                .try_fold(nulls, |at, name| at.get(name))
                .and_then(Value::as_u64)
        });
        if let Some((records, nulls)) = records.zip(nulls) {
            let values = records.saturating_sub(nulls);
            held = Some(held.unwrap_or(0_u64).saturating_add(values));
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn file(stats: &str) -> Added {
        Added {
            path: object_store::path::Path::from("f"),
            stats: serde_json::from_str(stats).unwrap(),
            has_deletions: false,
        }
    }

    #[test]
    fn siblings_are_columns_beside_their_own_and_count_what_is_not_null() {
        let field = |name: &str, of| Arc::new(Field::new(name, of, true));
        let item: Fields = vec![
            field("size", DataType::Int64),
            field("size__string", DataType::Utf8),
        ]
        .into();
        let fields: Fields = vec![
            field("price", DataType::Int64),
            field("price__double", DataType::Float64),
            field("price__date", DataType::Date32),
            field("alone__string", DataType::Utf8),
            field("item", DataType::Struct(item)),
        ]
        .into();
        let current = Current {
            files: vec![
                file(
                    r#"{"numRecords":5,"nullCount":{"price":1,"price__double":4,"item":{"size__string":2}}}"#,
                ),
                file(r#"{"numRecords":7,"nullCount":{"price":0}}"#),
                file("null"),
            ],
            from_version: Some(3),
        };
        let mut out = String::new();
        section(&mut out, &fields, &current);
        for line in [
            "  1        price__double\n",
            "  unknown  price__date\n",
            "  3        item.size__string\n",
            "of 1 file without statistics",
            "since version 3",
        ] {
            assert!(out.contains(line), "{out}");
        }
        assert!(!out.contains("alone"), "{out}");
        out.clear();
        section(&mut out, &Fields::empty(), &current);
        assert_eq!(out, "");
    }
}
