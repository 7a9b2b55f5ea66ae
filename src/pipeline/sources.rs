//! The configured sources, started and stopped together.

use super::{Pipeline, intake::SourceIntake, open::ended_early};
use crate::{
    config::SourceOptions,
    error::{Error, Kind, Result},
    event::Intake,
    route::{Binding, Router},
    source::{
        http::{self, HttpSource},
        kafka::{self, KafkaSource},
        spool,
    },
    telemetry::{Health, Role},
};
use futures::future::select_all;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

pub(crate) struct Sources {
    running: Vec<(String, Running)>,
}

enum Running {
    /// And whether it speaks TLS.
    Http(http::Running, bool),
    Kafka(kafka::Running),
}

impl Sources {
    /// Starts every source of the configuration. An error leaves none running.
    pub(crate) async fn start(pipeline: &Pipeline, health: &Health) -> Result<Self> {
        let config = pipeline.config();
        let mut running = Vec::new();
        for (name, options) in &config.sources {
            let started = start(pipeline, name, options, health).await;
            match started {
                Ok(source) => running.push((name.clone(), source)),
                Err(error) => {
                    let mut sources = Sources { running };
                    let soon = Instant::now() + std::time::Duration::from_secs(5);
                    sources.stop_intake(soon).await;
                    for ended in [sources.stop_spools(soon).await, sources.stop(soon).await] {
                        if let Err(other) = ended {
                            tracing::warn!("{other}");
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(Self { running })
    }

    /// Resolves when a source ends by itself.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        if self.running.is_empty() {
            return std::future::pending().await;
        }
        let ends = self.running.iter_mut().map(|(name, source)| {
            Box::pin(async move {
                let ended = match source {
                    Running::Http(source, _) => source.ended().await,
                    Running::Kafka(source) => source.finished().await,
                };
                ended.and_then(|()| Err(ended_early(name)))
            })
        });
        select_all(ends).await.0
    }

    /// No source takes anything new when this returns (or the deadline has passed). Requests that wait
    /// for a commit are answered first.
    pub(crate) async fn stop_intake(&mut self, deadline: Instant) {
        for (_, source) in &self.running {
            if let Running::Kafka(source) = source {
                source.stop_intake();
            }
        }
        for (name, source) in &mut self.running {
            let stopped = match source {
                Running::Http(source, _) => source.stop_intake(until(deadline)).await,
                Running::Kafka(source) => {
                    timeout_at(deadline, source.intake_stopped()).await.is_ok()
                }
            };
            if !stopped {
                tracing::warn!(source = %name, "the source did not stop in time");
            }
        }
    }

    /// Spools hand on what they hold and close; what is not committed by the deadline stays in them.
    pub(crate) fn stop_spools(
        &mut self,
        deadline: Instant,
    ) -> impl Future<Output = Result<()>> + use<> {
        let all = std::mem::take(&mut self.running);
        let (mut spools, mut rest) = (Vec::new(), Vec::new());
        for (name, source) in all {
            match source {
                Running::Http(source, _) => spools.push(source),
                kafka @ Running::Kafka(_) => rest.push((name, kafka)),
            }
        }
        self.running = rest;
        async move {
            let stops = spools.into_iter().map(|spool| spool.stop(until(deadline)));
            futures::future::join_all(stops).await.into_iter().collect()
        }
    }

    /// Ends what is left once the pipeline has drained: acks are told, groups left.
    pub(crate) async fn stop(&mut self, deadline: Instant) -> Result<()> {
        let mut result = Ok(());
        for (name, source) in self.running.drain(..) {
            let Running::Kafka(source) = source else {
                continue;
            };
            let stopped = timeout_at(deadline, source.stop()).await.unwrap_or_else(|_| {
                Err(Error::new(
                    Kind::Unavailable,
                    format!("the source did not end within shutdown_timeout_seconds, source=`{name}`"),
                ))
            });
            result = result.and(stopped);
        }
        result
    }

    /// Name, address and whether it speaks TLS.
    pub(crate) fn http_addresses(&self) -> Vec<(String, SocketAddr, bool)> {
        self.running
            .iter()
            .filter_map(|(name, source)| match source {
                Running::Http(source, tls) => Some((name.clone(), source.address(), *tls)),
                Running::Kafka(_) => None,
            })
            .collect()
    }
}

/// A source's router: bound tables, else its template; never the ledger.
pub(crate) fn router(pipeline: &Pipeline, source: &str, template: &str) -> Result<Router> {
    let config = pipeline.config();
    let bound = bindings(pipeline, source);
    let router = Router::new(source, template, bound, config.lake.max_tables)?;
    Ok(router.with_reserved(&config.dead_letters.table))
}

/// The tables that the configuration binds to a source.
fn bindings(pipeline: &Pipeline, source: &str) -> Vec<Binding> {
    let config = pipeline.config();
    config
        .tables
        .keys()
        .map(|name| config.table(name))
        .filter(|table| table.source.as_deref() == Some(source))
        .map(|table| Binding {
            table: table.name,
            topics: (!table.topics.is_empty()).then_some(table.topics),
        })
        .collect()
}

async fn start(
    pipeline: &Pipeline,
    name: &str,
    options: &SourceOptions,
    health: &Health,
) -> Result<Running> {
    let config = pipeline.config();
    let shared = pipeline.shared();
    let shutdown = CancellationToken::new();
    match options {
        SourceOptions::Http(options) => {
            let router = router(pipeline, name, &options.table)?;
            let intake = SourceIntake::new(pipeline.tables().clone(), router, true);
            let health = health.clone();
            health.register(&format!("spool/{name}"), Role::Intake);
            let source = HttpSource::start(http::Start {
                options: options.clone(),
                spool_folder: &config.spool_path().join(name),
                spool_options: spool::Options {
                    max_bytes: config.spool.max_bytes,
                    segment_bytes: config.spool.segment_bytes,
                    group_commit: Duration::from_millis(config.spool.group_commit_milliseconds),
                    ..spool::Options::default()
                },
                pipeline: &config.pipeline,
                source: name,
                intake: intake as Arc<dyn Intake>,
                budget: shared.budget.clone(),
                health: Arc::new(move |component: &str, state| health.set(component, state)),
                shutdown,
            })
            .await?;
            Ok(Running::Http(source, options.tls.is_some()))
        }
        SourceOptions::Kafka(options) => {
            let router = router(pipeline, name, &options.table)?;
            let intake = SourceIntake::new(pipeline.tables().clone(), router, false);
            let component = format!("kafka/{name}");
            health.register(&component, Role::Intake);
            let source = KafkaSource::start(
                options,
                &config.pipeline,
                name,
                intake as Arc<dyn Intake>,
                shared.budget.clone(),
                shutdown,
            )?;
            // The broker keeps what is not read: from here on events are taken durably.
            health.set(&component, Ok(()));
            Ok(Running::Kafka(source))
        }
    }
}

/// What is left until the deadline.
fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
