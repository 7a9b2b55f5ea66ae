//! Reports for people.

use super::{FanOutProof, Finding, PartitionProof, ResetRecord, SourceReport, TableReport};
use crate::event::OffsetRange;
use std::fmt;

impl fmt::Display for TableReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.versions {
            Some((first, last)) => {
                write!(f, "table {}: versions {first} to {last}", self.table)?;
                if self.foreign_versions > 0 {
                    write!(f, ", {} of them by other writers", self.foreign_versions)?;
                }
                writeln!(f)?;
            }
            None => writeln!(f, "table {}: no versions", self.table)?,
        }
        for partition in &self.partitions {
            let found = self.findings.iter().any(|x| x.app_id == partition.app_id);
            let reset = self
                .resets
                .iter()
                .any(|(_, reset)| reset.app_id == partition.app_id);
            let state = match (found, reset) {
                (true, _) => "with findings",
                (false, true) => "proved but for the resets below",
                (false, false) => "proved",
            };
            writeln!(f, "  {}", line(partition, state))?;
        }
        for (version, reset) in &self.resets {
            writeln!(f, "  reset in version {version}: {}", told(reset))?;
        }
        for text in &self.unprovable {
            writeln!(f, "  not provable: {text}")?;
        }
        findings(f, &self.findings)?;
        match self.findings.len() {
            0 if self.partitions.is_empty() => writeln!(f, "  nothing of ours to prove"),
            0 if self.resets.is_empty() => {
                writeln!(f, "  every offset above is accounted for exactly once")
            }
            0 => writeln!(
                f,
                "  every offset above is accounted for exactly once, but for what the resets gave up or read again"
            ),
            n => writeln!(
                f,
                "  {}",
                super::super::text::count(n as u64, "finding", "findings")
            ),
        }
    }
}

impl fmt::Display for SourceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for table in &self.tables {
            write!(f, "{table}")?;
        }
        let tables = super::super::text::count(self.tables.len() as u64, "table", "tables");
        writeln!(f, "all together, {tables}:")?;
        for partition in &self.partitions {
            write!(f, "{partition}")?;
        }
        findings(f, &self.findings)?;
        match self.findings.len() {
            0 => Ok(()),
            n => writeln!(
                f,
                "  {}",
                super::super::text::count(n as u64, "finding", "findings")
            ),
        }
    }
}

impl fmt::Display for FanOutProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            app_id,
            table,
            proved,
            undecided,
            pending,
        } = self;
        write!(f, "  {app_id}")?;
        if let Some(table) = table {
            write!(f, " in table {table}")?;
        }
        write!(f, ":")?;
        let shown: Vec<String> = proved.iter().map(range).collect();
        match shown.is_empty() {
            true => write!(f, " nothing proved")?,
            false => write!(f, " proved {}", shown.join(" "))?,
        }
        for one in undecided {
            write!(f, "; undecided {}: {}", range(&one.range), one.why)?;
        }
        if let Some(pending) = pending {
            write!(f, "; above the low-water mark {}", range(pending))?;
        }
        writeln!(f)
    }
}

/// What a reset did to the offsets between.
fn told(reset: &ResetRecord) -> String {
    let ResetRecord { app_id, from, to } = reset;
    match *from {
        None => format!("{app_id} set to {to}, where it had no position"),
        Some(from) if from < *to => {
            format!("{app_id} from {from} to {to}; [{from}, {to}) was given up")
        }
        Some(from) if from > *to => {
            format!("{app_id} from {from} to {to}; rows of [{to}, {from}) may stand twice")
        }
        Some(from) => format!("{app_id} set to {from}, where it was"),
    }
}

fn findings(f: &mut fmt::Formatter<'_>, findings: &[Finding]) -> fmt::Result {
    for finding in findings {
        writeln!(f, "  FOUND {}: {}", finding.place(), finding.what())?;
        writeln!(f, "    {}", finding.remedy())?;
    }
    Ok(())
}

fn range(range: &OffsetRange) -> String {
    format!("[{}, {})", range.start, range.end)
}

/// The partition in one line; counts that are 0 are left out.
fn line(partition: &PartitionProof, state: &str) -> String {
    let counts = &partition.counts;
    let count = super::super::text::count;
    let mut text = format!(
        "{}: {} {state} in {} since version {}: {}, {}",
        partition.app_id,
        range(&partition.window),
        count(partition.ranges as u64, "range", "ranges"),
        partition.from_version,
        count(counts.records, "record", "records"),
        count(counts.rows, "row", "rows")
    );
    for (n, name) in [
        (counts.rescued, "with rescued values"),
        (counts.dead_letters, "in the dead letters"),
        (counts.skipped, "skipped"),
        (
            counts.elsewhere,
            if partition.app_id.contains("!dead/") {
                "other offsets"
            } else {
                "in other tables"
            },
        ),
        (counts.gaps, "without a record"),
        (counts.unread, "committed before and not read again"),
    ] {
        if n > 0 {
            text += &format!(", {n} {name}");
        }
    }
    text
}
