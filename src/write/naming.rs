//! What files are called.

use crate::event::WriteSpec;
use std::fmt::Write;

/// What Hive and Spark call the folder of null.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// File systems end a name at 255 bytes; object stores end a path at 1,024.
const LONGEST_FOLDER: usize = 255;
const LONGEST_FOLDERS: usize = 600;

/// How long a prefix is where folders would be too long and the table names no length; Delta's own default.
const PREFIX_LENGTH: usize = 2;

/// A new, unique path for a file with these partition values, relative to the table's root.
///
/// It is a plain path, as the store takes it: a `%` in it stands for itself. Hive-style folders hold escapes such
/// as `a=x%2Fy`; in the log, whose paths are URL-encoded, the same folder reads `a=x%252Fy`.
///
/// Readers take partition values from the log, never from folders, so where values are too long for folder names
/// the file goes below a random prefix, as it does where the table asks for one.
pub(super) fn new_path(spec: &WriteSpec, values: &[Option<String>], suffix: &str) -> String {
    let file = format!("part-{}{suffix}", uuid::Uuid::new_v4());
    if let Some(length) = spec.random_prefix_length {
        return format!("{}/{file}", random_prefix(length.max(1)));
    }
    let mut path = String::new();
    for (column, value) in spec.partition_columns.iter().zip(values) {
        let start = path.len();
        escape(&column.physical_name, &mut path);
        path.push('=');
        match value.as_deref() {
            None | Some("") => path.push_str(NULL_FOLDER),
            Some(value) => escape(value, &mut path),
        }
        if path.len() - start > LONGEST_FOLDER || path.len() > LONGEST_FOLDERS {
            return format!("{}/{file}", random_prefix(PREFIX_LENGTH));
        }
        path.push('/');
    }
    path + &file
}

/// The same folders with a new name of the file.
pub(super) fn renamed(path: &str) -> String {
    const UUID_CHARS: usize = 36;
    let (folders, file) = match path.rsplit_once('/') {
        Some((folders, file)) => (Some(folders), file),
        None => (None, path),
    };
    let suffix = file
        .strip_prefix("part-")
        .and_then(|rest| rest.get(UUID_CHARS..))
        .unwrap_or(".parquet");
    let file = format!("part-{}{suffix}", uuid::Uuid::new_v4());
    match folders {
        Some(folders) => format!("{folders}/{file}"),
        None => file,
    }
}

fn random_prefix(length: usize) -> String {
    std::iter::repeat_with(fastrand::alphanumeric)
        .take(length)
        .collect()
}

/// Hive's `FileUtils.escapePathName`, which is Spark's `ExternalCatalogUtils.escapePathName`: control characters
/// and those with a meaning in paths and URLs become `%` and two upper-case hexadecimal digits.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{:02X}", c as u32);
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{PartitionColumn, SchemaFingerprint};
    use arrow::datatypes::Schema;
    use std::sync::Arc;

    fn spec(columns: &[&str], random_prefix_length: Option<usize>) -> WriteSpec {
        WriteSpec {
            logical: Arc::new(Schema::empty()),
            physical: Arc::new(Schema::empty()),
            projection: vec![],
            partition_columns: columns
                .iter()
                .enumerate()
                .map(|(index, name)| PartitionColumn {
                    index,
                    logical_name: (*name).into(),
                    physical_name: (*name).into(),
                })
                .collect(),
            stats_columns: vec![],
            random_prefix_length,
            fingerprint: SchemaFingerprint(0),
        }
    }

    fn folders(columns: &[&str], values: &[Option<&str>]) -> String {
        let values: Vec<_> = values.iter().map(|v| v.map(str::to_owned)).collect();
        let path = new_path(&spec(columns, None), &values, ".zstd.parquet");
        let (folders, file) = path.rsplit_once('/').unwrap_or(("", &path));
        let uuid = file
            .strip_prefix("part-")
            .and_then(|f| f.strip_suffix(".zstd.parquet"));
        assert!(
            uuid.is_some_and(|u| uuid::Uuid::parse_str(u).is_ok()),
            "{file}"
        );
        folders.to_owned()
    }

    #[test]
    fn folders_are_spelled_as_hive_and_spark_do() {
        let cases = [
            ("2026-01-01", "a=2026-01-01"),
            ("x/y", "a=x%2Fy"),
            ("100%", "a=100%25"),
            ("%2F", "a=%252F"),
            ("a=b:c", "a=a%3Db%3Ac"),
            (
                "2026-01-01T00:00:00.000000Z",
                "a=2026-01-01T00%3A00%3A00.000000Z",
            ),
            ("a b", "a=a b"),
            ("München 日本 🎵", "a=München 日本 🎵"),
            ("\0\u{1}\t\n\r\u{7f}", "a=%00%01%09%0A%0D%7F"),
            ("\"#'*?\\{[]^", "a=%22%23%27%2A%3F%5C%7B%5B%5D%5E"),
            ("}~@!()&+$;,<>|`", "a=}~@!()&+$;,<>|`"),
            ("..", "a=.."),
        ];
        for (value, expected) in cases {
            assert_eq!(folders(&["a"], &[Some(value)]), expected);
        }
        assert_eq!(folders(&["a"], &[None]), "a=__HIVE_DEFAULT_PARTITION__");
        assert_eq!(folders(&["a"], &[Some("")]), "a=__HIVE_DEFAULT_PARTITION__");
        assert_eq!(
            folders(&["d", "x/y"], &[Some("1"), None]),
            "d=1/x%2Fy=__HIVE_DEFAULT_PARTITION__"
        );
        assert_eq!(folders(&[], &[]), "");
    }

    #[test]
    fn a_new_name_keeps_folders_and_suffix() {
        for folder in ["a=x%2Fy/b=1/", "xY/", ""] {
            let path = format!("{folder}part-{}.zstd.parquet", uuid::Uuid::new_v4());
            let new = renamed(&path);
            assert_eq!(new.len(), path.len());
            assert!(new != path && new.starts_with(folder) && new.ends_with(".zstd.parquet"));
        }
        assert!(renamed("part-1.parquet").ends_with(".parquet"));
    }

    #[test]
    fn every_folder_name_is_one_that_stores_take() {
        for c in (0..=0x2ff).filter_map(char::from_u32) {
            let path = folders(&["a"], &[Some(&c.to_string())]);
            assert_eq!(
                object_store::path::Path::parse(&path).unwrap().as_ref(),
                path
            );
            assert_eq!(path.matches('/').count(), 0);
        }
    }

    #[test]
    fn long_values_and_tables_that_ask_get_a_random_prefix() {
        let long = "x".repeat(300);
        assert_eq!(folders(&["a"], &[Some(&long)]).len(), PREFIX_LENGTH);
        let slashes = "/".repeat(90);
        assert_eq!(folders(&["a"], &[Some(&slashes)]).len(), PREFIX_LENGTH);
        let half = "x".repeat(200);
        let many = [Some(half.as_str()); 4];
        assert_eq!(folders(&["a", "b", "c", "d"], &many).len(), PREFIX_LENGTH);
        let path = new_path(&spec(&["a"], Some(6)), &[Some("1".into())], ".parquet");
        let (prefix, _) = path.split_once('/').unwrap();
        assert!(prefix.len() == 6 && prefix.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
