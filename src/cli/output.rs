//! What commands print.

use crate::{
    check::Report,
    config::Config,
    error::{Error, Kind, Result},
};
use std::io::{self, Write};

/// Writes to stdout. A reader that has gone (`| head`) is not an error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Unavailable, "cannot write to stdout").with_source(error))
        }
        _ => Ok(()),
    }
}

/// Where rejected records are kept.
pub(super) struct DeadLetters {
    table: String,
    place: String,
}

impl DeadLetters {
    pub(super) fn of(config: &Config) -> Self {
        let table = &config.dead_letters.table;
        Self {
            table: table.clone(),
            place: config.table(table).url,
        }
    }
}

/// Prints what a backfill did. Records that it rejected are its faults, and are told with where they are.
pub(super) fn backfill(found: Report, letters: &DeadLetters) -> Result<()> {
    show(&found)?;
    if found.faults == 0 {
        return Ok(());
    }
    if found.kind != Kind::InvalidData {
        return Err(Error::new(
            found.kind,
            "not all is done, see above: the same command goes on with the inputs that are left, `alluvium schema apply` with what a catalog lacks",
        ));
    }
    let records = match found.faults {
        1 => "one record was rejected".to_owned(),
        n => format!("{n} records were rejected"),
    };
    let place = letters.place.replace('\'', "''");
    Err(Error::new(
        found.kind,
        format!(
            "{records}; each is kept with its reason, see them with: select \"table\", reason, detail, value from delta_scan('{place}'), table=`{}`",
            letters.table
        ),
    ))
}

/// Prints a report; its faults become the command's error.
pub(super) fn report(report: Report) -> Result<()> {
    show(&report)?;
    faults(&report)
}

/// Prints one JSON document instead of a report's text; the report's faults become the command's error.
pub(super) fn json(document: &serde_json::Value, report: &Report) -> Result<()> {
    print(&format!("{document:#}\n"))?;
    faults(report)
}

fn show(report: &Report) -> Result<()> {
    let mut text = report.text.clone();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    print(&text)
}

fn faults(report: &Report) -> Result<()> {
    match report.faults {
        0 => Ok(()),
        1 => Err(Error::new(report.kind, "one fault, told above")),
        n => Err(Error::new(report.kind, format!("{n} faults, told above"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(faults: u64, kind: Kind) -> String {
        let letters = DeadLetters {
            table: "_dead_letters".into(),
            place: "./it's/_dead_letters".into(),
        };
        let found = Report {
            text: String::new(),
            faults,
            kind,
        };
        backfill(found, &letters).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn rejected_records_are_told_with_where_they_are() {
        assert_eq!(rejected(0, Kind::InvalidData), "");
        let told = rejected(2, Kind::InvalidData);
        assert!(told.starts_with("2 records were rejected"), "{told}");
        assert!(
            told.contains("from delta_scan('./it''s/_dead_letters')"),
            "{told}"
        );
        assert!(told.ends_with("table=`_dead_letters`"), "{told}");
        assert!(rejected(1, Kind::Unavailable).contains("the same command goes on"));
    }
}
