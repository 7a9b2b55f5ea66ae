//! The daemon: sources, tables and their upkeep from start to drain.

use super::{Listening, Pipeline, sources::Sources};
use crate::{
    config::Config,
    error::{Error, Kind, Result},
    telemetry::{self, Health, Rates, Telemetry},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;

/// How long the tasks of a process that has drained may take to end.
const CLOSE: Duration = Duration::from_secs(5);

/// Takes events until SIGTERM or SIGINT, or until a source fails; then commits what it holds, within
/// `shutdown_timeout_seconds`. A second signal ends the process at once, with exit code 130.
/// `on_ready` is called once listeners are bound.
///
/// # Errors
/// A configuration, table or address that is refused at the start; later whatever ended a source.
/// What was not committed is read again by the next run.
pub async fn serve(
    config: Config,
    telemetry: Telemetry,
    on_ready: impl FnOnce(&Listening) + Send,
) -> Result<()> {
    let mut stop = Signals::new()?;
    let config = Arc::new(config);
    let limit = Duration::from_secs_f64(config.shutdown_timeout_seconds);
    let (rates, health) = (Arc::new(Rates::default()), Health::default());
    let pipeline = tokio::select! {
        opened = Box::pin(Pipeline::open_for_service(config.clone(), rates.clone())) => opened?,
        () = stop.received() => return Ok(()),
    };
    let upkeep = pipeline.start_upkeep();
    let cancel = pipeline.shared().cancel.clone();
    let recorder = telemetry.recorder.clone();
    let admin = super::admin::start(&config, &health, recorder, cancel.clone()).await?;
    let mut sources = tokio::select! {
        started = Sources::start(&pipeline, &health) => started?,
        () = stop.received() => return Ok(()),
    };
    on_ready(&Listening {
        http: sources.http_addresses(),
        admin,
    });
    let live = telemetry.live.then(|| {
        let line = telemetry::live_line(rates, telemetry.screen.clone(), |_: &Rates| {});
        tokio::spawn(line)
    });
    let ended = tokio::select! {
        () = stop.received() => Ok(()),
        ended = sources.ended() => ended,
        () = cancel.cancelled() => Err(pipeline.failure()),
    };
    if let Some(live) = live {
        live.abort();
        telemetry.screen.set_live("");
    }
    health.drain();
    tracing::info!("stopping: committing what is held");
    let drained = tokio::select! {
        drained = drain(&pipeline, &mut sources, Instant::now() + limit) => drained,
        () = stop.received() => {
            tracing::warn!("stopped at once by a second signal; what was not committed is read again by the next run");
            std::process::exit(130);
        }
    };
    cancel.cancel();
    close(&pipeline, upkeep).await;
    ended.and(drained)
}

async fn close(pipeline: &Pipeline, upkeep: TaskTracker) {
    upkeep.close();
    let ended = tokio::time::timeout(CLOSE, async {
        upkeep.wait().await;
        pipeline.tables().stopped().await;
    });
    if ended.await.is_err() {
        tracing::warn!("a table's worker did not end in time; nothing depends on it any more");
    }
}

/// Stops reading, commits what was read, tells the sources, all before the deadline.
async fn drain(pipeline: &Pipeline, sources: &mut Sources, deadline: Instant) -> Result<()> {
    pipeline.shared().registry.stop_rereads();
    sources.stop_intake(deadline).await;
    // A spool hands on what it still holds; the loop below commits that too.
    let spools = sources.stop_spools(deadline);
    let shared = pipeline.shared();
    let settle = async {
        loop {
            let moved = shared.registry.moved();
            if shared.registry.all_open_tables().is_empty() || shared.cancel.is_cancelled() {
                return;
            }
            pipeline.tables().flush_open();
            let _ = tokio::time::timeout(Duration::from_millis(200), moved).await;
        }
    };
    let (spools, settled) = tokio::join!(spools, timeout_at(deadline, settle));
    spools?;
    let marks = timeout_at(deadline, super::marks::write_due(shared)).await;
    if let Ok(Err(error)) = marks {
        tracing::warn!(
            "the low-water marks were not written, reading begins lower next time: {error}"
        );
    }
    sources.stop(deadline).await?;
    settled.map_err(|_| {
        Error::new(
            Kind::Unavailable,
            "not everything was committed within shutdown_timeout_seconds; nothing is lost: the next run reads it again",
        )
    })
}

/// SIGTERM and SIGINT.
struct Signals {
    term: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                Error::new(Kind::Bug, "signals cannot be listened to").with_source(error)
            })
        };
        Ok(Self {
            term: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Cancelled at the first SIGTERM or SIGINT; a second ends the process at once.
pub(crate) fn stop_token() -> Result<tokio_util::sync::CancellationToken> {
    let mut signals = Signals::new()?;
    let token = tokio_util::sync::CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        signals.received().await;
        tracing::info!("stopping: committing what was read; the same command goes on from there");
        stop.cancel();
        signals.received().await;
        std::process::exit(130);
    });
    Ok(token)
}
