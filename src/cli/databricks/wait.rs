//! Waits with progress on stderr, and what Ctrl-C means while something waits.

use super::{super::args::duration, session::Session};
use crate::{
    databricks::{
        self,
        wait::{Progress, Waiting},
    },
    error::Result,
    telemetry::Telemetry,
};
use parking_lot::Mutex;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a state may stay before it is told again where there is no terminal.
const AGAIN: Duration = Duration::from_secs(30);

/// `--wait` and its limit.
#[derive(Debug, clap::Args)]
pub(super) struct WaitArgs {
    /// Wait until it is done, with progress on stderr
    #[arg(long)]
    pub(super) wait: bool,

    #[command(flatten)]
    pub(super) limit: LimitArgs,
}

/// The limit alone, of what waits anyway.
#[derive(Debug, clap::Args)]
pub(super) struct LimitArgs {
    /// How long to wait at most, as in 90s or 30m; by default 20m, for a statement a day
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    wait_timeout: Option<Duration>,
}

impl WaitArgs {
    pub(super) fn waiting(&self, session: &Session) -> Waiting {
        self.limit.waiting(session)
    }

    /// What was begun: as it is once the wait is over, with --wait, else as `now` has it.
    pub(super) async fn outcome<T>(
        &self,
        session: &Session,
        waited: impl AsyncFnOnce(&Waiting) -> databricks::Result<T>,
        now: impl Future<Output = databricks::Result<T>>,
    ) -> Result<T> {
        let _line = Line(&session.telemetry);
        Ok(match self.wait {
            true => waited(&self.waiting(session)).await?,
            false => now.await?,
        })
    }
}

impl LimitArgs {
    pub(super) fn waiting(&self, session: &Session) -> Waiting {
        let waiting = progress(Waiting::default(), &session.telemetry);
        match self.wait_timeout {
            Some(limit) => waiting.limit(limit),
            None => waiting,
        }
    }

    pub(super) fn is_given(&self) -> bool {
        self.wait_timeout.is_some()
    }
}

/// Tells what it waits for: on a terminal in a line that changes, elsewhere a line for each state and one now and then.
fn progress(waiting: Waiting, telemetry: &Telemetry) -> Waiting {
    let screen = telemetry.screen.clone();
    let live = telemetry.live;
    let last: Mutex<Option<(String, Instant)>> = Mutex::default();
    waiting.progress(move |progress: &Progress| {
        let told = super::show::cell(&progress.to_string());
        if live {
            screen.set_live(&told);
            return;
        }
        let state = format!("{} {}", progress.state, progress.message);
        let mut last = last.lock();
        let is_old = |(known, when): &(String, Instant)| *known == state && when.elapsed() < AGAIN;
        if !last.as_ref().is_some_and(is_old) {
            screen.print(&format!("{told}\n"));
            *last = Some((state, Instant::now()));
        }
    })
}

/// Takes the changing line away when a wait has ended, however it did.
pub(super) struct Line<'a>(pub(super) &'a Telemetry);

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.0.live {
            self.0.screen.set_live("");
        }
    }
}

/// Cancelled by the first Ctrl-C; the second ends the process at once.
pub(in crate::cli) fn interrupted() -> CancellationToken {
    let token = CancellationToken::new();
    let cancel = token.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        }
    });
    token
}
