//! `[tables.NAME]` and `[table_defaults]`.

use super::{
    Findings, MIN_MEMORY_BUDGET_BYTES, check_place, check_table_name, kafka, registration,
};
use crate::{
    commit::{MAX_CLUSTER_COLUMNS, check_property},
    config::{
        conform::near,
        options::Config,
        source::SourceOptions,
        table::{MetadataColumn, Table, TableOptions, resolve},
        tree::join,
    },
    decode::MAX_EVENT_BYTES,
    schema::{ColumnOptions, OnConflict},
    storage::Stores,
};

/// Said with every type that does not read.
const TYPES: &str = "there are boolean, byte, short, integer, long, float, double, decimal(p,s), string, binary, date, timestamp, timestamp_ntz, struct<…>, array<…>, map<…> and json";

const RESCUED: &str = "_rescued_data";
const TIMESTAMP_UNITS: [&str; 4] = ["rfc3339", "seconds", "milliseconds", "microseconds"];
const MAX_PARTITION_COLUMNS: usize = 16;

pub(super) fn check(config: &Config, found: &mut Findings) {
    let defaults = &config.table_defaults;
    let not_default = [
        ("source", defaults.source.is_some()),
        ("topics", defaults.topics.is_some()),
        ("url", defaults.url.is_some()),
        ("table_name", defaults.table_name.is_some()),
        ("comment", defaults.comment.is_some()),
    ];
    for (key, set) in not_default {
        if set {
            found.add(
                join("table_defaults", key),
                "cannot hold for every table; set it in `[tables.NAME]`",
            );
        }
    }
    values("table_defaults", defaults, found);
    // What holds for tables that are not listed.
    let unlisted = resolve("", &config.lake.url, None, defaults);
    partition_columns("table_defaults", &unlisted, found);
    cluster_columns("table_defaults", &unlisted, found);
    registration::check("table_defaults", defaults, &unlisted, config, found);
    for (name, table) in &config.tables {
        let path = join("tables", name);
        if let Err(message) = check_table_name(name) {
            found.add(&path, message);
        }
        if *name == config.dead_letters.table {
            found.add(
                &path,
                "is the table of dead letters, whose schema and flushes are fixed; give `dead_letters.table` another name",
            );
        }
        values(&path, table, found);
        binding(&path, table, config, found);
        merged(name, &path, config, found);
    }
    overlaps(config, found);
    registration::letters(config, found);
    registration::apart(config, found);
}

/// What can be judged of each layer by itself.
fn values(path: &str, table: &TableOptions, found: &mut Findings) {
    let at = |key: &str| join(path, key);
    if let Some(seconds) = table.flush_interval_seconds {
        found.within(at("flush_interval_seconds"), seconds, 0.01, 86_400.0);
    }
    if let Some(bytes) = table.target_file_size_bytes {
        found.within(at("target_file_size_bytes"), bytes, 4 << 10, 8 << 30);
    }
    if let Some(rows) = table.max_commit_rows {
        found.within(at("max_commit_rows"), rows, 1, 1 << 40);
    }
    if let Some(columns) = table.max_columns {
        found.within(at("max_columns"), columns, 1, 100_000);
    }
    if let Some(depth) = table.max_depth {
        found.within(at("max_depth"), depth, 1, 100);
    }
    if let Some(bytes) = table.max_event_bytes {
        found.within(at("max_event_bytes"), bytes, 1, MAX_EVENT_BYTES);
    }
    if let Some(commits) = table.checkpoint_interval_commits {
        found.within(at("checkpoint_interval_commits"), commits, 1, 1 << 20);
    }
    if let Some(url) = &table.url
        && let Err(message) = check_place(url)
    {
        found.add(at("url"), message);
    }
    if let Some(ladder) = &table.on_conflict {
        on_conflict(&at("on_conflict"), ladder, found);
    }
    if let Some(columns) = &table.partition_by {
        layout(&at("partition_by"), columns, MAX_PARTITION_COLUMNS, found);
    }
    if let Some(columns) = &table.cluster_by {
        layout(&at("cluster_by"), columns, MAX_CLUSTER_COLUMNS, found);
    }
    for (key, value) in table.properties.iter().flatten() {
        if let Err(message) = check_property(key, value) {
            found.add(join(&at("properties"), key), message);
        }
    }
    if let Some(columns) = &table.columns {
        declared(&at("columns"), columns, found);
    }
    if let Some(columns) = &table.metadata_columns {
        for (index, column) in columns.iter().enumerate() {
            if columns[..index].contains(column) {
                found.add(
                    format!("{}[{index}]", at("metadata_columns")),
                    format!("is listed twice; column=`{}`", column.as_str()),
                );
            }
        }
    }
}

fn on_conflict(path: &str, ladder: &[OnConflict], found: &mut Findings) {
    let last = |step: &OnConflict| matches!(step, OnConflict::Rescue | OnConflict::Reject);
    match ladder.iter().position(last) {
        None => found.add(
            path,
            "must end with `rescue` or `reject`, for a value that the others cannot place",
        ),
        Some(at) if at + 1 < ladder.len() => found.add(
            path,
            "has steps after `rescue` or `reject`, which are never reached",
        ),
        Some(_) => {}
    }
    for (index, step) in ladder.iter().enumerate() {
        if ladder[..index].contains(step) {
            found.add(format!("{path}[{index}]"), "is listed twice");
        }
    }
}

/// Columns that rows are laid out by.
fn layout(path: &str, columns: &[String], max: usize, found: &mut Findings) {
    if columns.len() > max {
        found.add(
            path,
            format!("has at most {max} columns, not {}", columns.len()),
        );
    }
    for (index, column) in columns.iter().enumerate() {
        let at = format!("{path}[{index}]");
        if column.is_empty() {
            found.add(&at, "is empty; name a column");
        }
        if column == RESCUED {
            found.add(&at, "rows are not laid out by it; it differs in every row");
        }
        if columns[..index]
            .iter()
            .any(|other| same_name(other, column))
        {
            found.add(&at, format!("is listed twice; column=`{column}`"));
        }
    }
}

fn declared(path: &str, columns: &[ColumnOptions], found: &mut Findings) {
    for (index, column) in columns.iter().enumerate() {
        let at = |key: &str| format!("{path}[{index}].{key}");
        let ours = MetadataColumn::ALL
            .iter()
            .map(|c| c.as_str())
            .chain([RESCUED]);
        if column.name.is_empty() || column.name.len() > 255 {
            found.add(at("name"), "has 1 to 255 bytes");
        }
        if let Some(c) = column
            .name
            .chars()
            .find(|c| " ,;{}()=".contains(*c) || c.is_control())
        {
            found.add(
                at("name"),
                format!("holds a character that Delta does not take in names without column mapping: {c:?}; take the value from such a field with `field`"),
            );
        }
        if ours.into_iter().any(|name| same_name(name, &column.name)) {
            found.add(
                at("name"),
                format!(
                    "is a column Alluvium fills itself; column=`{}`",
                    column.name
                ),
            );
        }
        if columns[..index]
            .iter()
            .any(|other| same_name(&other.name, &column.name))
        {
            found.add(
                at("name"),
                format!(
                    "is declared twice, and Delta does not tell upper from lower case; column=`{}`",
                    column.name
                ),
            );
        }
        if let Err(error) = column.data_type.to_arrow() {
            found.add(at("type"), format!("{error}; {TYPES}"));
        }
        if let Some(field) = &column.field
            && field.split('.').any(str::is_empty)
        {
            found.add(
                at("field"),
                "is the path of a field, dots between its parts",
            );
        }
        if let Some(unit) = &column.timestamp_unit {
            if !TIMESTAMP_UNITS.contains(&unit.as_str()) {
                let hint = near(unit, &TIMESTAMP_UNITS).unwrap_or_default();
                found.add(
                    at("timestamp_unit"),
                    format!("must be one of `rfc3339`, `seconds`, `milliseconds`, `microseconds`, not `{unit}`{hint}"),
                );
            }
            let data_type = column.data_type.0.trim().to_ascii_lowercase();
            if !data_type.starts_with("timestamp") && data_type != "date" {
                found.add(
                    at("timestamp_unit"),
                    "says how a number becomes a time; this column is of another type",
                );
            }
        }
    }
}

/// Which source and topics a table takes.
fn binding(path: &str, table: &TableOptions, config: &Config, found: &mut Findings) {
    let at = |key: &str| join(path, key);
    let Some(name) = &table.source else {
        if table.topics.is_some() {
            found.add(at("topics"), "chooses topics of `source`, which is missing");
        }
        return;
    };
    let Some(source) = config.sources.get(name) else {
        let known: Vec<&str> = config.sources.keys().map(String::as_str).collect();
        let hint = near(name, &known).unwrap_or_else(|| match known.is_empty() {
            true => "; there is no source".to_owned(),
            false => format!("; sources=`{}`", known.join(", ")),
        });
        found.add(
            at("source"),
            format!("there is no `[sources.{name}]`{hint}"),
        );
        return;
    };
    let Some(topics) = &table.topics else { return };
    let SourceOptions::Kafka(kafka) = source else {
        found.add(
            at("topics"),
            format!("chooses topics, and `sources.{name}` is not of Kafka"),
        );
        return;
    };
    if topics.is_empty() {
        found.add(
            at("topics"),
            "is empty; name topics, or leave the key out for all",
        );
    }
    let by_pattern = kafka.topics.iter().any(|topic| topic.starts_with('^'));
    for (index, topic) in topics.iter().enumerate() {
        let at = format!("{}[{index}]", at("topics"));
        if topic.starts_with('^') {
            found.add(
                &at,
                "names topics one by one; patterns go into the source's `topics`",
            );
        } else if let Err(message) = kafka::check_topic(topic) {
            found.add(&at, message);
        } else if !by_pattern && !kafka.topics.contains(topic) {
            found.add(
                &at,
                format!(
                    "is not read by the source; add it to `sources.{name}.topics`; topic=`{topic}`"
                ),
            );
        }
    }
}

/// What can be judged only of the resolved table.
fn merged(name: &str, path: &str, config: &Config, found: &mut Findings) {
    let table = config.table(name);
    // The defaults are judged once, where they are.
    let defaults = &config.table_defaults;
    let own = config.tables.get(name);
    if own.is_some_and(|own| {
        own.partition_by.is_some() || own.columns.is_some() || own.metadata_columns.is_some()
    }) || defaults.partition_by.is_none()
    {
        partition_columns(path, &table, found);
    }
    if own.is_some_and(|own| {
        own.cluster_by.is_some()
            || own.partition_by.is_some()
            || own.columns.is_some()
            || own.metadata_columns.is_some()
    }) {
        cluster_columns(path, &table, found);
    }
    if let Some(own) = own {
        registration::check(path, own, &table, config, found);
    }
    let kept = [MetadataColumn::Headers, MetadataColumn::Key];
    if let Some(column) = kept
        .into_iter()
        .find(|column| table.metadata_columns.contains(column))
        && let Some(source) = &table.source
        && let Some(SourceOptions::Kafka(kafka)) = config.sources.get(source)
        && !kafka.keep_headers
    {
        found.add(
            join(path, "metadata_columns"),
            format!("`{}` stays empty unless the source keeps headers and keys; set `sources.{source}.keep_headers = true`", column.as_str()),
        );
    }
    if table.max_event_bytes > config.memory_budget_bytes.max(MIN_MEMORY_BUDGET_BYTES) {
        found.add(
            join(path, "max_event_bytes"),
            format!(
                "one event would not fit the memory budget; memory_budget_bytes=`{}`",
                config.memory_budget_bytes
            ),
        );
    }
}

/// Folders are named by columns that are there before the first event, of types with a short plain text.
fn partition_columns(path: &str, table: &Table, found: &mut Findings) {
    const UNFIT: [&str; 5] = ["struct", "array", "map", "json", "binary"];
    for column in &table.partition_by {
        match column_of(table, column) {
            Ok(of) if UNFIT.iter().any(|unfit| of.starts_with(unfit)) => found.add(
                join(path, "partition_by"),
                format!("a column of this type cannot make folders; column=`{column}` type=`{of}`"),
            ),
            Ok(_) | Err(Lack::Told) => {}
            Err(lack) => found.add(
                join(path, "partition_by"),
                lack.told(
                    "a partition column",
                    "a table that exists keeps its own partitioning and needs no `partition_by`",
                    path,
                    column,
                ),
            ),
        }
    }
}

/// A table is clustered by columns that are there before the first event, of types with statistics.
fn cluster_columns(path: &str, table: &Table, found: &mut Findings) {
    const UNFIT: [&str; 7] = [
        "struct", "array", "map", "json", "binary", "boolean", "bool",
    ];
    let at = join(path, "cluster_by");
    if !table.cluster_by.is_empty() && !table.partition_by.is_empty() {
        found.add(
            &at,
            "a table is partitioned or clustered, not both; leave out this or `partition_by`",
        );
    }
    for column in &table.cluster_by {
        match column_of(table, column) {
            Ok(of) if UNFIT.iter().any(|unfit| of.starts_with(unfit)) => found.add(
                &at,
                format!(
                    "a column of this type has no statistics to cluster by; column=`{column}` type=`{of}`"
                ),
            ),
            Ok(_) | Err(Lack::Told) => {}
            Err(lack) => found.add(
                &at,
                lack.told(
                    "a column to cluster by",
                    "a table that exists keeps its own clustering and needs no `cluster_by`",
                    path,
                    column,
                ),
            ),
        }
    }
}

/// Why a column is not there before the first event.
enum Lack {
    /// A metadata column that the table leaves out.
    LeftOut,
    Undeclared,
    /// Told where its name is judged.
    Told,
}

impl Lack {
    fn told(&self, what: &str, exists: &str, path: &str, column: &str) -> String {
        match self {
            Lack::LeftOut => {
                format!("is not among the table's `metadata_columns`; column=`{column}`")
            }
            Lack::Told => String::new(),
            Lack::Undeclared => format!(
                "{what} must be declared: add `[[{path}.columns]]` with its name and type ({exists}); column=`{column}`"
            ),
        }
    }
}

/// The declared type of a column, in lower case; empty of a metadata column.
fn column_of(table: &Table, column: &str) -> Result<String, Lack> {
    let declared = table.columns.iter().find(|c| same_name(&c.name, column));
    let metadata = MetadataColumn::ALL.iter().find(|c| c.as_str() == column);
    match (declared, metadata) {
        (Some(declared), _) => Ok(declared.data_type.0.trim().to_ascii_lowercase()),
        (None, Some(metadata)) if !table.metadata_columns.contains(metadata) => Err(Lack::LeftOut),
        (None, Some(_)) => Ok(String::new()),
        (None, None) if column.is_empty() || column == RESCUED => Err(Lack::Told),
        (None, None) => Err(Lack::Undeclared),
    }
}

/// Two tables that want the same events, or lie in the same place.
fn overlaps(config: &Config, found: &mut Findings) {
    let tables: Vec<_> = config.tables.iter().collect();
    // What is wrong with the stores is told where they are judged.
    let stores = Stores::new(&config.stores).unwrap_or_default();
    let place = |name: &str| stores.canonical(&config.table(name).url);
    let places: Vec<(String, &str)> = tables
        .iter()
        .map(|(name, _)| name.as_str())
        .chain([config.dead_letters.table.as_str()])
        .map(|name| (place(name), name))
        .collect();
    for (index, (name, table)) in tables.iter().enumerate() {
        let path = join("tables", name);
        let url = place(name);
        let other = places
            .iter()
            .find(|(place, other)| *place == url && *other != name.as_str());
        if let (Some((_, other)), true) = (other, table.url.is_some()) {
            found.add(
                join(&path, "url"),
                format!("is the place of another table; table=`{other}`"),
            );
        }
        let Some(source) = &table.source else {
            continue;
        };
        for (other_name, other) in &tables[..index] {
            if other.source.as_ref() != Some(source) {
                continue;
            }
            let shared = match (&table.topics, &other.topics) {
                (Some(these), Some(those)) => {
                    these.iter().find(|topic| those.contains(topic)).cloned()
                }
                _ => Some("*".to_owned()),
            };
            if let Some(topic) = shared {
                found.add(
                    join(&path, "source"),
                    format!("an event goes to one table, and this one wants the same as `tables.{other_name}`; divide the source by `topics`; source=`{source}` topic=`{topic}`"),
                );
            }
        }
    }
}

/// Delta's names are the same when only their case differs.
fn same_name(a: &str, b: &str) -> bool {
    crate::schema::names::fold(a) == crate::schema::names::fold(b)
}
