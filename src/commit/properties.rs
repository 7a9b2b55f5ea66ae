//! Which properties a table of ours may be made with.

use super::preflight::check_interval;
use crate::schema::names::fold;

/// The most columns that a table may be clustered by.
pub const MAX_CLUSTER_COLUMNS: usize = 4;

/// Properties that hold without anything we would have to write otherwise, by what their values are.
const KNOWN: [(&str, Value); 14] = [
    ("delta.appendOnly", Value::Switch),
    ("delta.autoOptimize.autoCompact", Value::Any),
    ("delta.autoOptimize.optimizeWrite", Value::Switch),
    ("delta.checkpointPolicy", Value::Of(&["classic", "v2"])),
    ("delta.dataSkippingNumIndexedCols", Value::Count),
    ("delta.deletedFileRetentionDuration", Value::Interval),
    ("delta.enableChangeDataFeed", Value::Switch),
    ("delta.enableDeletionVectors", Value::Switch),
    ("delta.enableExpiredLogCleanup", Value::Switch),
    ("delta.enableTypeWidening", Value::Switch),
    (
        "delta.isolationLevel",
        Value::Of(&["Serializable", "WriteSerializable"]),
    ),
    ("delta.logRetentionDuration", Value::Interval),
    ("delta.targetFileSize", Value::Any),
    ("delta.tuneFileSizesForRewrites", Value::Switch),
];

const BY_SQL: &str = "is not given to new tables; create the table with SQL first";
const FOLLOWS: &str = "follows from columns, properties and `cluster_by`";

/// What is refused for a reason of its own; a name that ends with a dot is that of all below it.
const REFUSED: [(&str, &str); 13] = [
    (
        "delta.setTransactionRetentionDuration",
        "makes the table forget positions, and events would land twice",
    ),
    (
        "delta.checkpointInterval",
        "is not what checkpoints go by; set `checkpoint_interval_commits`",
    ),
    ("delta.columnMapping.", BY_SQL),
    ("delta.enableRowTracking", BY_SQL),
    ("delta.enableInCommitTimestamps", BY_SQL),
    ("delta.enableIcebergCompatV1", BY_SQL),
    ("delta.enableIcebergCompatV2", BY_SQL),
    ("delta.enableIcebergCompatV3", BY_SQL),
    ("delta.universalFormat.", BY_SQL),
    (
        "delta.constraints.",
        "is a constraint, and constraints are not evaluated",
    ),
    ("delta.feature.", FOLLOWS),
    ("delta.minReaderVersion", FOLLOWS),
    ("delta.minWriterVersion", FOLLOWS),
];

#[derive(Clone, Copy)]
enum Value {
    Any,
    /// `true` or `false`.
    Switch,
    Of(&'static [&'static str]),
    /// −1 (all) or a number of columns.
    Count,
    /// `interval 7 days`.
    Interval,
}

/// Whether a new table may have a property, of these names and values alone where they are Delta's.
///
/// # Errors
/// Why not, as what is said of a key.
pub fn check_property(key: &str, value: &str) -> Result<(), String> {
    if key.trim().is_empty() {
        return Err("is empty; name a property".into());
    }
    let refused = REFUSED.iter().find(|(name, _)| match name.ends_with('.') {
        true => key.starts_with(name),
        false => key == *name,
    });
    if let Some((_, why)) = refused {
        return Err((*why).to_owned());
    }
    if !fold(key).starts_with("delta.") {
        return Ok(());
    }
    let Some((_, wanted)) = KNOWN.iter().find(|(name, _)| *name == key) else {
        let names: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "is none of the properties of Delta that a new table is made with; those are {}; set another with `ALTER TABLE … SET TBLPROPERTIES` once the table is there",
            names.join(", ")
        ));
    };
    match wanted {
        Value::Any => Ok(()),
        Value::Switch if matches!(value, "true" | "false") => Ok(()),
        Value::Switch => Err(format!("is `true` or `false`, not `{value}`")),
        Value::Of(values) if values.contains(&value) => Ok(()),
        Value::Of(values) => Err(format!("is one of {}, not `{value}`", values.join(", "))),
        Value::Count if value == "-1" || value.parse::<u32>().is_ok() => Ok(()),
        Value::Count => Err(format!(
            "is a number of columns, or -1 for all, not `{value}`"
        )),
        Value::Interval => check_interval(key, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_promise_is_refused_with_the_reason() {
        for (key, value, why) in [
            (
                "delta.setTransactionRetentionDuration",
                "interval 7 days",
                "land twice",
            ),
            (
                "delta.columnMapping.mode",
                "name",
                "create the table with SQL",
            ),
            ("delta.enableIcebergCompatV2", "true", "create the table"),
            (
                "delta.checkpointInterval",
                "10",
                "checkpoint_interval_commits",
            ),
            ("delta.constraints.positive", "id > 0", "not evaluated"),
            ("delta.feature.deletionVectors", "supported", "follows from"),
            ("delta.minReaderVersion", "3", "follows from"),
            ("delta.appendonly", "true", "is none of"),
            ("delta.appendOnly", "yes", "`true` or `false`"),
            ("delta.checkpointPolicy", "v3", "classic, v2"),
            (
                "delta.dataSkippingNumIndexedCols",
                "-2",
                "number of columns",
            ),
            (
                "delta.deletedFileRetentionDuration",
                "1 week",
                "interval 7 days",
            ),
            (
                "delta.deletedFileRetentionDuration",
                "interval 5 minutes",
                "before a commit",
            ),
            (" ", "x", "empty"),
        ] {
            let told = check_property(key, value).unwrap_err();
            assert!(told.contains(why), "{key}: {told}");
        }
        for (key, value) in [
            ("delta.appendOnly", "true"),
            ("delta.enableChangeDataFeed", "false"),
            ("delta.dataSkippingNumIndexedCols", "-1"),
            ("delta.logRetentionDuration", "interval 30 days"),
            ("delta.autoOptimize.autoCompact", "auto"),
            ("team", "clicks"),
        ] {
            assert_eq!(check_property(key, value), Ok(()), "{key}");
        }
    }
}
