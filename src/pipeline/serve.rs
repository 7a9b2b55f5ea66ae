//! The daemon: sources, tables and their upkeep from start to drain.

use super::{Pipeline, sources::Sources};
use crate::{
    config::Config,
    error::{Error, Kind, Result},
    telemetry::{Health, PrometheusHandle, Rates},
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// What `serve` tells the command line once it takes events.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Name and bound address of each HTTP source, with its scheme.
    pub http: Vec<(String, String)>,
    /// Name, brokers and topics of each Kafka source.
    pub kafka: Vec<(String, String, Vec<String>)>,
    /// Where the tables are.
    pub lake: String,
    /// The bound address of the admin server.
    pub admin: Option<std::net::SocketAddr>,
}

/// Runs until `stop` resolves or a source fails, then drains within `shutdown_timeout_seconds`.
///
/// # Errors
/// A configuration, table or address that is refused at the start; later whatever ended a source.
/// What was not committed is read again by the next run.
pub async fn serve(
    config: Config,
    rates: Arc<Rates>,
    health: Health,
    recorder: PrometheusHandle,
    on_listening: impl FnOnce(&Listening),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let config = Arc::new(config);
    let limit = Duration::from_secs_f64(config.shutdown_timeout_seconds);
    let pipeline = Pipeline::open(config.clone(), rates).await?;
    pipeline.preflight().await?;
    let upkeep = pipeline.start_upkeep();
    let admin = super::admin::start(&config, &health, recorder, pipeline.shared().cancel.clone()).await?;
    let mut sources = Sources::start(&pipeline, &health).await?;
    on_listening(&Listening {
        http: sources.http_addresses(),
        kafka: sources.kafka_names(),
        lake: pipeline.lake_url(),
        admin,
    });
    let ended = {
        let cancel = pipeline.shared().cancel.clone();
        tokio::select! {
            () = stop => Ok(()),
            ended = sources.ended() => ended,
            () = cancel.cancelled() => Err(pipeline.failure()),
        }
    };
    health.drain();
    let drained = drain(&pipeline, &mut sources, Instant::now() + limit).await;
    pipeline.shared().cancel.cancel();
    upkeep.close();
    let _ = tokio::time::timeout(Duration::from_secs(5), async {
        upkeep.wait().await;
        pipeline.tables().stopped().await;
    })
    .await;
    ended.and(drained)
}

/// Stops reading, commits what was read, tells the sources, all before the deadline.
async fn drain(pipeline: &Pipeline, sources: &mut Sources, deadline: Instant) -> Result<()> {
    sources.stop_intake(deadline).await;
    // A spool hands on what it still holds; the loop below commits that too.
    let spools = sources.stop_spools(deadline);
    let settle = async {
        loop {
            let moved = pipeline.shared().registry.moved();
            if pipeline.shared().registry.all_open_tables().is_empty()
                || pipeline.shared().cancel.is_cancelled()
            {
                return;
            }
            pipeline.tables().flush_open();
            let _ = tokio::time::timeout(Duration::from_millis(200), moved).await;
        }
    };
    let (spools, settled) = tokio::join!(spools, timeout_at(deadline, settle));
    spools?;
    let marks = timeout_at(deadline, super::marks::write_due(pipeline.shared())).await;
    if let Ok(Err(error)) = marks {
        tracing::warn!("the low-water marks were not written, reading begins lower next time: {error}");
    }
    sources.stop(deadline).await?;
    settled.map_err(|_| {
        Error::new(
            Kind::Unavailable,
            "not everything was committed within shutdown_timeout_seconds; nothing is lost: the next run reads it again",
        )
    })
}
