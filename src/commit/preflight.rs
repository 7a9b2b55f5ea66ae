//! Which tables are refused before the first byte (invariant 8), each with what mends it.

use super::{
    error::{CommitError, Result},
    options::{CommitOptions, MAX_COLUMNS},
    sql,
};
use arrow::datatypes::{DataType, Field, Fields};
use delta_kernel::{actions::Protocol, table_features::TableFeature};
use std::{collections::HashMap, time::Duration};

/// Checks protocol, properties and columns of a table that we are to write.
///
/// # Errors
/// [`CommitError::Unsupported`], naming the feature, property or columns and the statement that
/// takes them away.
pub(super) fn check(
    table: &str,
    protocol: &Protocol,
    configuration: &HashMap<String, String>,
    transaction_retention: Option<Duration>,
    columns: &Fields,
    options: &CommitOptions,
) -> Result<()> {
    let refuse = |message: String| {
        Err(CommitError::Unsupported {
            table: table.to_owned(),
            message,
        })
    };
    if let Some(message) = protocol_refusal(table, protocol, configuration) {
        return refuse(message);
    }
    if let Some(message) = interval_refusal(table, configuration) {
        return refuse(message);
    }
    if let Some(message) = retention_refusal(table, transaction_retention, options.source_retention)
    {
        return refuse(message);
    }
    let mut found = Columns::default();
    found.walk(&mut Vec::new(), columns);
    if found.count > MAX_COLUMNS {
        return refuse(format!(
            "the table has too many columns, columns=`{}` max=`{MAX_COLUMNS}`",
            found.count
        ));
    }
    found
        .required
        .retain(|path| !(path.len() == 1 && options.guaranteed_columns.contains(&path[0])));
    if !found.required.is_empty() {
        let drops: Vec<String> = found
            .required
            .iter()
            .map(|path| {
                format!(
                    "ALTER TABLE {table} ALTER COLUMN {} DROP NOT NULL",
                    sql::path(path)
                )
            })
            .collect();
        return refuse(format!(
            "events may lack columns that the table declares NOT NULL; run: {}; columns=`{}`",
            drops.join("; "),
            joined(&found.required)
        ));
    }
    if !found.invariants.is_empty() {
        return refuse(format!(
            "the table has column invariants, which are not evaluated; recreate these columns without them, columns=`{}`",
            joined(&found.invariants)
        ));
    }
    if !found.defaults.is_empty() {
        let drops: Vec<String> = found
            .defaults
            .iter()
            .map(|path| {
                format!(
                    "ALTER TABLE {table} ALTER COLUMN {} DROP DEFAULT",
                    sql::path(path)
                )
            })
            .collect();
        return refuse(format!(
            "the table has column defaults, which are not evaluated; run: {}; columns=`{}`",
            drops.join("; "),
            joined(&found.defaults)
        ));
    }
    Ok(())
}

fn joined(paths: &[Vec<String>]) -> String {
    paths
        .iter()
        .map(|path| path.join("."))
        .collect::<Vec<_>>()
        .join(", ")
}

fn protocol_refusal(
    table: &str,
    protocol: &Protocol,
    configuration: &HashMap<String, String>,
) -> Option<String> {
    let writer = protocol.min_writer_version();
    if (3..=6).contains(&writer) {
        return Some(format!(
            "writer versions 3 to 6 imply features that are not written, used or not; \
             run: ALTER TABLE {table} SET TBLPROPERTIES ('delta.minReaderVersion' = '3', 'delta.minWriterVersion' = '7'), \
             then ALTER TABLE {table} DROP FEATURE for those of checkConstraints, generatedColumns and identityColumns it lists, writer_version=`{writer}`"
        ));
    }
    if writer > 7 {
        return Some(format!(
            "the table needs a newer writer; use a newer release, writer_version=`{writer}`"
        ));
    }
    protocol
        .writer_features()
        .unwrap_or_default()
        .iter()
        .chain(protocol.reader_features().unwrap_or_default())
        .find_map(|feature| feature_refusal(table, feature, configuration))
}

fn feature_refusal(
    table: &str,
    feature: &TableFeature,
    configuration: &HashMap<String, String>,
) -> Option<String> {
    let name = feature_name(feature);
    let remedy = match feature {
        TableFeature::CheckConstraints => {
            let mut constraints: Vec<&str> = configuration
                .keys()
                .filter_map(|key| key.strip_prefix("delta.constraints."))
                .collect();
            constraints.sort_unstable();
            let drops: String = constraints
                .iter()
                .map(|name| format!("ALTER TABLE {table} DROP CONSTRAINT {name}; "))
                .collect();
            format!("run: {drops}ALTER TABLE {table} DROP FEATURE checkConstraints")
        }
        TableFeature::GeneratedColumns | TableFeature::IdentityColumns => format!(
            "make a table without such columns and land there (CREATE TABLE … AS SELECT * FROM {table})"
        ),
        TableFeature::CatalogManaged | TableFeature::CatalogOwnedPreview => format!(
            "its commits belong to a catalog; land in an external table, or run: ALTER TABLE {table} DROP FEATURE {name}"
        ),
        TableFeature::IcebergCompatV1 => format!(
            "run: ALTER TABLE {table} SET TBLPROPERTIES ('delta.enableIcebergCompatV1' = 'false'); ALTER TABLE {table} DROP FEATURE {name}"
        ),
        TableFeature::GeospatialType => {
            "make a table without geospatial columns and land there".to_owned()
        }
        TableFeature::AdaptiveMetadataPreview | TableFeature::IcebergNativeV4Preview => {
            format!("run: ALTER TABLE {table} DROP FEATURE {name}")
        }
        TableFeature::Unknown(_) => {
            format!("run: ALTER TABLE {table} DROP FEATURE {name}, or use a newer release")
        }
        _ => return None,
    };
    Some(format!(
        "the table has a feature that is not written; {remedy}; feature=`{name}`"
    ))
}

/// The feature as the protocol spells it, ours or not.
pub(super) fn feature_name(feature: &TableFeature) -> &str {
    match feature {
        TableFeature::Unknown(name) => name,
        known => known.as_ref(),
    }
}

/// Rule 12: a table that forgets positions before the source forgets the records would have them
/// landed twice.
fn retention_refusal(
    table: &str,
    transactions: Option<Duration>,
    source: Option<Duration>,
) -> Option<String> {
    let transactions = transactions?;
    if source.is_some_and(|source| transactions >= source) {
        return None;
    }
    Some(format!(
        "delta.setTransactionRetentionDuration makes the table forget positions, and events would land twice; \
         run: ALTER TABLE {table} UNSET TBLPROPERTIES ('delta.setTransactionRetentionDuration'), seconds=`{}`",
        transactions.as_secs()
    ))
}

/// The least time for which removed files are kept: a commit must be made within half of it (rule 8).
const LEAST_FILE_RETENTION: Duration = Duration::from_secs(3_600);

/// Retentions that the kernel would read otherwise than Spark does, and one no commit can be made within.
///
/// Spark takes `7 days` and sums of several units as well; the kernel takes the first for none and of the second
/// the first unit alone. A retention taken for longer than it is loses events.
fn interval_refusal(table: &str, configuration: &HashMap<String, String>) -> Option<String> {
    let files = "delta.deletedFileRetentionDuration";
    for key in [files, "delta.setTransactionRetentionDuration"] {
        let Some(value) = configuration.get(key) else {
            continue;
        };
        let Some(interval) = plain_interval(value) else {
            return Some(format!(
                "the table has a duration that readers understand differently; write a number and one unit up to weeks, \
                 as in: ALTER TABLE {table} SET TBLPROPERTIES ('{key}' = 'interval 7 days'), {key}=`{value}`"
            ));
        };
        if key == files && interval < LEAST_FILE_RETENTION {
            return Some(format!(
                "the table lets files be deleted before a commit can name them; \
                 run: ALTER TABLE {table} SET TBLPROPERTIES ('{key}' = 'interval 7 days'), {key}=`{value}`"
            ));
        }
    }
    None
}

/// The same of a property that a table is to be made with.
pub(super) fn check_interval(key: &str, value: &str) -> std::result::Result<(), String> {
    match plain_interval(value) {
        None => Err(format!(
            "is a duration that readers understand differently; write a number and one unit up to weeks, as in `interval 7 days`, not `{value}`"
        )),
        Some(interval)
            if key == "delta.deletedFileRetentionDuration" && interval < LEAST_FILE_RETENTION =>
        {
            Err(format!(
                "lets files be deleted before a commit can name them; give it a time as `interval 7 days`, not `{value}`"
            ))
        }
        Some(_) => Ok(()),
    }
}

/// `interval N UNIT` in lower case: what every reader takes for the same.
fn plain_interval(text: &str) -> Option<Duration> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let ["interval", number, unit] = words[..] else {
        return None;
    };
    let number: u32 = number.parse().ok()?;
    let unit = match unit.strip_suffix('s').unwrap_or(unit) {
        "nanosecond" => Duration::from_nanos(1),
        "microsecond" => Duration::from_micros(1),
        "millisecond" => Duration::from_millis(1),
        "second" => Duration::from_secs(1),
        "minute" => Duration::from_secs(60),
        "hour" => Duration::from_secs(3_600),
        "day" => Duration::from_secs(24 * 3_600),
        "week" => Duration::from_secs(7 * 24 * 3_600),
        _ => return None,
    };
    unit.checked_mul(number)
}

/// Columns that a writer must mind, by path of logical names.
#[derive(Default)]
struct Columns {
    count: usize,
    required: Vec<Vec<String>>,
    invariants: Vec<Vec<String>>,
    defaults: Vec<Vec<String>>,
}

impl Columns {
    fn walk(&mut self, path: &mut Vec<String>, fields: &Fields) {
        for field in fields {
            self.field(path, field, !field.is_nullable());
        }
    }

    fn field(&mut self, path: &mut Vec<String>, field: &Field, required: bool) {
        self.count += 1;
        path.push(field.name().clone());
        if required {
            self.required.push(path.clone());
        }
        if field.metadata().contains_key("delta.invariants") {
            self.invariants.push(path.clone());
        }
        if field.metadata().contains_key("CURRENT_DEFAULT") {
            self.defaults.push(path.clone());
        }
        match field.data_type() {
            DataType::Struct(fields) => self.walk(path, fields),
            DataType::List(element) => self.field(path, element, !element.is_nullable()),
            DataType::Map(entries, _) => {
                if let DataType::Struct(entries) = entries.data_type() {
                    for (index, entry) in entries.iter().enumerate() {
                        // A map's key is never null: JSON objects have no null keys.
                        self.field(path, entry, index > 0 && !entry.is_nullable());
                    }
                }
            }
            _ => {}
        }
        path.pop();
    }
}
