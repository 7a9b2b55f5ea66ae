//! Events over HTTP: `POST /v1/events/{table}`.
//!
//! What enters: requests with NDJSON, a JSON array or one object (`split.rs` has the rule). What
//! leaves: raw batches of the spool's source partition. Between them is the spool: a request is
//! answered 200 when it is durable there, and its sequence number is the offset of invariants 1 and 2.
//!
//! What holds:
//! - 200 means durable on this disk (or in a version, with `ack = commit`). Losing the disk loses what
//!   is not committed yet; `ack = commit` and a Kafka in between are the stronger answers (rule 18).
//! - A request is taken whole or not at all; in one that is taken, a bad event is a dead letter.
//! - 429: this process has too much at work, right now. 503: the spool is full or failed, or we are
//!   ending. The pipeline's byte budget does not show here: the spool takes what tables cannot yet.
//! - 202, with `ack = commit` only: durable, but not committed within `commit_timeout_seconds`.
//! - An `Idempotency-Key` makes sending the same body again a no-op for 24 hours; it belongs to
//!   sender and table.
//!
//! Limits: bodies, events and memory by [`HttpOptions`]; keys of 255 bytes; headers of 64 KiB; nesting of 127.

mod answer;
mod auth;
mod body;
mod error;
mod handler;
mod options;
mod probe;
mod pump;
mod server;
mod split;
#[cfg(test)]
mod tests;

pub use error::HttpError;
pub use options::{HttpAck, HttpKey, HttpOptions, TlsOptions};
pub use probe::{check_listen, check_tls};

use crate::{
    error::{Error, Kind, Result},
    event::{ByteBudget, Intake},
    source::spool::{self, Spool},
};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Told when a source can take events durably and when not: a name such as `spool/web`, and why not.
pub type Health = Arc<dyn Fn(&str, std::result::Result<(), String>) + Send + Sync>;

/// Where a source stands in the process.
pub struct Start<'a> {
    pub options: HttpOptions,
    /// The folder of this source's spool; no other source's.
    pub spool_folder: &'a Path,
    /// `max_keys` is taken from the source's options.
    pub spool_options: spool::Options,
    pub pipeline: &'a str,
    pub source: &'a str,
    pub intake: Arc<dyn Intake>,
    pub budget: ByteBudget,
    pub health: Health,
    /// Ends everything at once, as a crash would; [`Running::stop`] is the gentle way.
    pub shutdown: CancellationToken,
}

/// A source of type `http`.
pub struct HttpSource;

impl HttpSource {
    /// Opens the spool, binds the address and begins to take and hand on events. Does not wait for
    /// the pipeline: events are taken while tables cannot be reached.
    ///
    /// # Errors
    /// [`HttpError`]: options that cannot be, an address in use, a spool that cannot be opened.
    pub async fn start(start: Start<'_>) -> Result<Running> {
        let Start {
            options,
            spool_folder,
            mut spool_options,
            pipeline,
            source,
            intake,
            budget,
            health,
            shutdown,
        } = start;
        // Our own end is not that of others who share the token.
        let shutdown = shutdown.child_token();
        let request_timeout = seconds(options.request_timeout_seconds, "request_timeout_seconds")?;
        let commit_timeout = seconds(options.commit_timeout_seconds, "commit_timeout_seconds")?;
        let keys = auth::Keys::new(&options.keys)?;
        let tls = options.tls.as_ref().map(server::acceptor).transpose()?;
        let listener = server::bind(&options).await?;
        let address = listener.local_addr().map_err(|source| HttpError::Bind {
            listen: options.listen.clone(),
            source,
        })?;
        spool_options.max_keys = options.max_idempotency_keys;
        spool_options.recent = Some(budget.clone());
        let spool = {
            let (folder, pipeline, source) = (
                spool_folder.to_owned(),
                pipeline.to_owned(),
                source.to_owned(),
            );
            tokio::task::spawn_blocking(move || {
                Spool::open(&folder, &pipeline, &source, spool_options)
            })
            .await
            .map_err(|error| {
                Error::new(Kind::Bug, "opening the spool panicked").with_source(error)
            })?
            .map_err(HttpError::from)?
        };
        let spool = Arc::new(spool);
        let source: Arc<str> = source.into();
        let draining = CancellationToken::new();
        let connections = TaskTracker::new();
        let app = Arc::new(handler::App {
            source: Arc::clone(&source),
            keys,
            spool: Arc::clone(&spool),
            intake: Arc::clone(&intake),
            requests: tokio::sync::Semaphore::new(
                options
                    .max_requests
                    .clamp(1, tokio::sync::Semaphore::MAX_PERMITS),
            ),
            bodies: ByteBudget::new(options.max_inflight_bytes),
            draining: draining.clone(),
            request_timeout,
            commit_timeout,
            meters: handler::Meters::new(&source),
            options: options.clone(),
        });
        let server = server::Server {
            listener,
            tls,
            app,
            max_connections: options.max_connections,
            header_timeout: request_timeout,
            draining: draining.clone(),
            shutdown: shutdown.clone(),
            connections: connections.clone(),
        };
        let (stop, stopped) = watch::channel(None);
        let pump = pump::Pump {
            source: Arc::clone(&source),
            spool: Arc::clone(&spool),
            intake,
            budget,
            shutdown: shutdown.clone(),
            stop: stopped,
        };
        let ended = CancellationToken::new();
        tokio::spawn(report_health(source, spool.health(), health, ended.clone()));
        Ok(Running {
            address,
            spool,
            draining,
            connections,
            server: Some(tokio::spawn(server.run())),
            stop,
            pump: Some(tokio::spawn(pump.run())),
            ended,
            shutdown,
        })
    }
}

fn seconds(value: f64, option: &'static str) -> std::result::Result<Duration, HttpError> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or(HttpError::Seconds { option })
}

async fn report_health(
    source: Arc<str>,
    mut health: watch::Receiver<std::result::Result<(), spool::SpoolError>>,
    report: Health,
    ended: CancellationToken,
) {
    let name = format!("spool/{source}");
    loop {
        let now = health.borrow_and_update().clone();
        report(&name, now.map_err(|error| error.to_string()));
        tokio::select! {
            () = ended.cancelled() => return,
            changed = health.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

/// A source at work. Dropping it without [`Running::stop`] ends it as a crash would, which loses
/// nothing that was answered.
pub struct Running {
    address: SocketAddr,
    spool: Arc<Spool>,
    draining: CancellationToken,
    connections: TaskTracker,
    server: Option<JoinHandle<()>>,
    stop: watch::Sender<Option<Instant>>,
    pump: Option<JoinHandle<Result<()>>>,
    ended: CancellationToken,
    shutdown: CancellationToken,
}

impl Running {
    /// The address it listens on, with the port the system chose if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Waits until the events' way to the pipeline ends: with an error that trying again does not
    /// mend, or because the pipeline stopped. Requests are still taken into the spool. Cancel safe.
    pub async fn ended(&mut self) -> Result<()> {
        let Some(pump) = self.pump.as_mut() else {
            return Ok(());
        };
        let ended = pump.await;
        self.pump = None;
        ended.unwrap_or_else(|error| {
            Err(Error::new(Kind::Bug, "the spool's reader panicked").with_source(error))
        })
    }

    /// First phase of the end: accepts no more, lets requests finish (those that wait for a commit
    /// too, so the pipeline must still run), at most `limit`. Returns whether all finished.
    pub async fn stop_intake(&mut self, limit: Duration) -> bool {
        self.draining.cancel();
        let finished = async {
            if let Some(server) = self.server.as_mut() {
                let _ = server.await;
            }
            self.connections.wait().await;
        };
        let finished = tokio::time::timeout(limit, finished).await.is_ok();
        self.server = None;
        finished
    }

    /// Second phase: hands on what the spool holds and has it committed, at most `limit`, then closes
    /// the spool. What is left stays in it for the next run.
    pub async fn stop(mut self, limit: Duration) -> Result<()> {
        self.draining.cancel();
        self.stop.send_replace(Some(Instant::now() + limit));
        // The pump keeps to the limit by itself; the second on top is for a pipeline that does not.
        let ended = tokio::time::timeout(limit + Duration::from_secs(1), self.ended()).await;
        self.shutdown.cancel();
        self.connections.wait().await;
        self.spool.close().await.map_err(HttpError::from)?;
        ended.unwrap_or(Ok(()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.ended.cancel();
        self.shutdown.cancel();
        if let Some(server) = &self.server {
            server.abort();
        }
        if let Some(pump) = &self.pump {
            pump.abort();
        }
    }
}
