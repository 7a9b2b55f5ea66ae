//! The end of a one-shot run: its tables are registered and have their columns, as far as their catalogs let them.

use super::super::{Pipeline, tally::Committed};
use crate::{check::Report, control::Waiting, error::Kind, telemetry::Telemetry};
use std::{collections::BTreeSet, fmt::Write, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest to wait: a warehouse may take 20 minutes to start.
const LIMIT: Duration = Duration::from_secs(25 * 60);
const POLL: Duration = Duration::from_millis(250);

/// What catalogs lack after everything landed; `None` where no table is in a catalog.
pub(crate) struct Settled(Option<Vec<Waiting>>);

/// Has the open tables, `also` and the dead letters registered, and waits until their catalogs have what they are to have: until the
/// limit, a signal, a failure of the pipeline, or until nothing is left that waiting alone could bring.
pub(crate) async fn settle(
    pipeline: &Pipeline,
    also: Option<&str>,
    telemetry: &Telemetry,
    stop: &CancellationToken,
) -> Settled {
    let tables = pipeline.tables();
    let open = tables.open_names();
    let ledger = &*pipeline.shared().ledger.name;
    let open = open.iter().map(|name| &**name);
    // The first letters may have landed a moment ago.
    let names: BTreeSet<&str> = open.chain(also).chain([ledger]).collect();
    let is_registered = |name: &&str| pipeline.config().table(name).registration.is_some();
    if !names.iter().any(is_registered) {
        return Settled(None);
    }
    let mut untold = Vec::new();
    for name in names {
        if let Err(error) = tables.register(name).await {
            untold.push(Waiting {
                table: name.to_owned(),
                changes: 0,
                is_tried: false,
                problem: Some((
                    error.kind(),
                    format!("the catalog is not told of the table: {error}"),
                )),
            });
        }
    }
    // Nobody sees to the tables of a pipeline that failed.
    let cancel = &pipeline.shared().cancel;
    let began = Instant::now();
    loop {
        let waiting = tables.catalogs().waiting();
        let is_over = stop.is_cancelled() || cancel.is_cancelled() || began.elapsed() > LIMIT;
        if is_over || !waiting.iter().any(Waiting::may_come) {
            telemetry.screen.set_live("");
            untold.extend(waiting);
            return Settled(Some(untold));
        }
        if telemetry.live {
            telemetry.screen.set_live(&format!(
                "everything landed; waiting {} s for the warehouse to see to {} tables",
                began.elapsed().as_secs(),
                waiting.len()
            ));
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = stop.cancelled() => {}
            () = cancel.cancelled() => {}
        }
    }
}

impl Settled {
    /// Of a run that did not get that far.
    pub(super) fn not_asked() -> Self {
        Self(None)
    }

    /// Adds it to a run's report. What failed in the run itself is the graver fault.
    pub(crate) fn tell(&self, report: &mut Report, committed: &Committed) {
        let Some(waiting) = &self.0 else {
            return;
        };
        let text = &mut report.text;
        if waiting.is_empty() {
            // Which columns are to come is known of what was read.
            let columns = match committed.rows > 0 {
                true => " and their columns",
                false => "",
            };
            let _ = writeln!(text, "catalog    has the tables{columns}");
        }
        for table in waiting {
            let lacking = match table.changes {
                0 => "or its latest schema".to_owned(),
                n => format!("with {n} columns or types to come"),
            };
            let _ = write!(text, "catalog    lacks {} {lacking}", table.table);
            if let Some((_, problem)) = &table.problem {
                let _ = write!(text, ": {problem}");
            }
            text.push('\n');
        }
        if !waiting.is_empty() {
            let _ = writeln!(text, "           `alluvium schema apply` does what is left");
        }
        if committed.rescued_rows > 0 {
            let _ = writeln!(
                text,
                "           {} rows keep fields in _rescued_data: they did not fit, or landed before their columns",
                committed.rescued_rows
            );
        }
        if report.faults == 0
            && let Some(first) = waiting.first()
        {
            report.faults = waiting.len() as u64;
            report.kind = match &first.problem {
                Some((Kind::InvalidData, _)) => Kind::Unsupported,
                Some((kind, _)) => *kind,
                None => Kind::Unavailable,
            };
        }
    }
}
