//! Whether the tables that are there can be appended to.

use super::Section;
use crate::{
    check::{open, rescued},
    config::Config,
    error::{Kind, Result},
    pipeline::TableSettings,
    schema::{self, TableSchema},
};
use futures::{StreamExt, stream};

/// Tables loaded at once.
const AT_ONCE: usize = 8;

/// The tables of the configuration, and the others of the lake.
pub(super) async fn probe(config: &Config) -> Section {
    let mut section = Section::new("tables");
    let lake = match open::lake(config) {
        Ok(lake) => lake,
        Err(_) => {
            section.note("not looked at: the lake does not open");
            return section;
        }
    };
    let names = match open::all_names(config, &lake).await {
        Ok(names) => names,
        Err(error) => {
            section.error(&error);
            return section;
        }
    };
    if names.is_empty() {
        section.fine("none yet: each is made with its first events");
    }
    let looked: Vec<(String, Result<Section>)> = stream::iter(names)
        .map(|name| {
            let lake = &lake;
            async move {
                let found = one(config, lake, &name).await;
                (name, found)
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    for (_, found) in looked {
        match found {
            Ok(one) => section.lines.extend(one.lines),
            Err(error) => section.error(&error),
        }
    }
    section
}

async fn one(config: &Config, lake: &crate::storage::Lake, name: &str) -> Result<Section> {
    let mut section = Section::new(name);
    let Some(table) = open::find(config, lake, name).await? else {
        let settings = TableSettings::new(config, name)?;
        let base = settings.base_schema()?;
        section.fine(format!(
            "{name}: not there yet, will be made with its first events ({} columns before theirs)",
            base.columns.fields().len()
        ));
        return Ok(section);
    };
    let state = &table.state;
    let mut missing = table.settings.missing_columns(&state.schema)?;
    let declared = config.table(name).columns;
    missing.extend(schema::missing_declared(&state.schema, &declared)?);
    if missing.is_empty() {
        section.fine(format!(
            "{name}: version {}, can be appended to",
            state.version
        ));
    } else if table.settings.may_evolve() {
        section.note(format!(
            "{name}: version {}, lacks {}, which are added before the first row",
            state.version,
            crate::check::text::count(missing.len() as u64, "column", "columns")
        ));
    } else {
        section.fault(
            Kind::Unsupported,
            format!(
                "{name}: the table lacks columns its rows need, and its evolution is not `auto`"
            ),
            format!("run: {}", rescued::statements(name, &missing).join("; ")),
        );
    }
    Ok(section)
}

/// The dead-letter table: its shape is fixed.
pub(super) async fn dead_letters(config: &Config) -> Section {
    let name = &config.dead_letters.table;
    let mut section = Section::new(format!("dead letters {name}"));
    let found = async {
        let lake = open::lake(config)?;
        open::find(config, &lake, name).await
    };
    match found.await {
        Ok(None) => section.fine("not there yet, will be made when it is needed"),
        Ok(Some(table)) if fits(&table.state.schema) => section.fine(format!(
            "version {}, has the columns of a dead-letter table",
            table.state.version
        )),
        Ok(Some(_)) => section.fault(
            Kind::Unsupported,
            format!("the table lacks columns it needs or has them in other types, table=`{name}`"),
            "move it away, or name another by dead_letters.table",
        ),
        Err(error) => section.error(&error),
    }
    section
}

fn fits(table: &TableSchema) -> bool {
    schema::dead_letter_schema().fits(table)
}
