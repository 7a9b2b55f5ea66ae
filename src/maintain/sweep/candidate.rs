//! Which objects below a table's folder may be orphans.

use crate::{commit::TableState, storage::TableLocation};
use object_store::path::Path;

/// The folder of the probes of `alluvium check`.
pub(super) const PROBES: &str = "_alluvium_probe";
/// Adobe's own folder of a landing zone.
const MANAGED_STAGING: &str = "adobe-managed-staging";
const LOG: &str = "_delta_log";

/// What an object is to a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A data file, an orphan if no version names it.
    Data,
    /// What a probe of `alluvium check` left.
    Probe,
    /// The log of another table.
    OtherTable,
    /// Not ours to judge: the log, hidden files and folders, deletion vectors, change data, what is no Parquet.
    Other,
}

/// A table's folder.
pub(super) struct Below {
    root: Path,
    partition_columns: Vec<String>,
}

impl Below {
    pub(super) fn new(location: &TableLocation, state: &TableState) -> Self {
        let columns = &state.spec.partition_columns;
        Self {
            root: location.root.clone(),
            partition_columns: columns
                .iter()
                .flat_map(|c| [c.logical_name.clone(), c.physical_name.clone()])
                .collect(),
        }
    }

    pub(super) fn class(&self, object: &Path) -> Class {
        let Some(parts) = object.prefix_match(&self.root) else {
            return Class::Other;
        };
        let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
        let Some((file, folders)) = parts.split_last() else {
            return Class::Other;
        };
        match folders.first().map(String::as_str) {
            Some(LOG | MANAGED_STAGING) => return Class::Other,
            Some(PROBES) if folders.len() == 1 && is_probe(file) => return Class::Probe,
            _ => {}
        }
        if folders.iter().any(|folder| folder == LOG) {
            return Class::OtherTable;
        }
        let is_hidden = |name: &String| name.starts_with(['_', '.']) && !self.is_partition(name);
        if is_hidden(file) || folders.iter().any(is_hidden) || !file.ends_with(".parquet") {
            return Class::Other;
        }
        Class::Data
    }

    /// A folder of partition values, whose column's name may begin like that of a hidden one.
    fn is_partition(&self, folder: &str) -> bool {
        folder
            .split_once('=')
            .is_some_and(|(column, _)| self.partition_columns.iter().any(|known| known == column))
    }
}

/// What `alluvium check` and the start of a daemon name their objects.
fn is_probe(file: &str) -> bool {
    file.starts_with("probe-") || file.starts_with("start-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_files_are_judged() {
        let below = Below {
            root: Path::from("lake/t"),
            partition_columns: vec!["_day".into()],
        };
        for (object, class) in [
            ("lake/t/part-1.parquet", Class::Data),
            ("lake/t/a=x%2Fy/b=1/part-1.zstd.parquet", Class::Data),
            ("lake/t/_day=1/part-1.parquet", Class::Data),
            ("lake/t/xY/part-1.parquet", Class::Data),
            ("lake/t/_other=1/part-1.parquet", Class::Other),
            ("lake/t/_delta_log/0.checkpoint.parquet", Class::Other),
            ("lake/t/_delta_log/_sidecars/1.parquet", Class::Other),
            ("lake/t/_change_data/cdc-1.parquet", Class::Other),
            ("lake/t/_delta_index/1.parquet", Class::Other),
            ("lake/t/.tmp/1.parquet", Class::Other),
            ("lake/t/_temporary/0/part-1.parquet", Class::Other),
            ("lake/t/.part-1.parquet", Class::Other),
            ("lake/t/deletion_vector_1.bin", Class::Other),
            ("lake/t/part-1.parquet.crc", Class::Other),
            ("lake/t/adobe-managed-staging/1.parquet", Class::Other),
            ("lake/t/_alluvium_probe/probe-1", Class::Probe),
            ("lake/t/_alluvium_probe/start-1", Class::Probe),
            ("lake/t/_alluvium_probe/part-1.parquet", Class::Other),
            (
                "lake/t/_alluvium_probe/_delta_log/0.json",
                Class::OtherTable,
            ),
            ("lake/t/u/_delta_log/0.json", Class::OtherTable),
            ("lake/u/part-1.parquet", Class::Other),
            ("lake/t", Class::Other),
        ] {
            assert_eq!(
                below.class(&Path::parse(object).unwrap()),
                class,
                "{object}"
            );
        }
    }

    #[test]
    fn a_table_at_the_root_of_a_store() {
        let below = Below {
            root: Path::default(),
            partition_columns: Vec::new(),
        };
        assert_eq!(below.class(&Path::from("a.parquet")), Class::Data);
        assert_eq!(
            below.class(&Path::from("_delta_log/0.parquet")),
            Class::Other
        );
    }
}
