//! The admin address: metrics and health.

use crate::{
    config::Config,
    error::{Error, Kind, Result},
    telemetry::{self, Health, PrometheusHandle},
};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Binds `admin.listen` and serves it until `cancel`. An empty address, or telemetry without metrics, serves nothing.
pub(crate) async fn start(
    config: &Config,
    health: &Health,
    recorder: Option<PrometheusHandle>,
    cancel: CancellationToken,
) -> Result<Option<SocketAddr>> {
    let listen = &config.admin.listen;
    let Some(recorder) = recorder else {
        return Ok(None);
    };
    if listen.is_empty() {
        // Samples that nobody asks for would be kept for ever.
        tokio::spawn(async move {
            tokio::select! {
                () = telemetry::admin::upkeep(recorder) => {}
                () = cancel.cancelled() => {}
            }
        });
        return Ok(None);
    }
    let cannot_bind = |error: std::io::Error| {
        Error::new(
            Kind::Config,
            format!("the admin server cannot listen; choose another address, or \"\" for none, admin.listen=`{listen}`"),
        )
        .with_source(error)
    };
    let listener = TcpListener::bind(listen).await.map_err(cannot_bind)?;
    let address = listener.local_addr().map_err(cannot_bind)?;
    let (health, kept) = (health.clone(), recorder.clone());
    tokio::spawn(async move {
        tokio::select! {
            ended = telemetry::admin::serve(listener, health, recorder) => {
                if let Err(error) = ended {
                    tracing::warn!("the admin server ended: {error}");
                    telemetry::admin::upkeep(kept).await;
                }
            }
            () = cancel.cancelled() => {}
        }
    });
    Ok(Some(address))
}
