//! `/metrics`, `/healthz` and `/readyz`.

use super::Health;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use std::{io, time::Duration};
use tokio::net::TcpListener;

/// Histograms hold samples until they are folded into buckets; unscraped they would grow.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Admin {
    health: Health,
    recorder: PrometheusHandle,
}

/// Folds the samples of histograms until dropped.
pub async fn upkeep(recorder: PrometheusHandle) {
    let mut tick = tokio::time::interval(UPKEEP);
    loop {
        tick.tick().await;
        recorder.run_upkeep();
    }
}

/// Answers until dropped. `/healthz`: the process runs. `/readyz`: 200 when events can be taken
/// durably, else 503, both with the state of each component. `/metrics`: Prometheus text.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    recorder: PrometheusHandle,
) -> io::Result<()> {
    let upkeep = upkeep(recorder.clone());
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Admin { health, recorder });
    tokio::select! {
        served = axum::serve(listener, router) => served,
        () = upkeep => Ok(()),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        admin.recorder.render(),
    )
}

async fn healthz() -> impl IntoResponse {
    Json(json!({ "ok": true, "version": env!("CARGO_PKG_VERSION") }))
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let (ready, body) = admin.health.report();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Role, names, prometheus};

    #[tokio::test]
    async fn the_three_pages() {
        let recorder = prometheus::builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::counter!(names::SOURCE_RECORDS, "source" => "web").increment(3);
        });
        let health = Health::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, health.clone(), recorder.handle()));
        let page = |name: &str| reqwest::get(format!("http://{address}/{name}"));

        let ready = page("readyz").await.unwrap();
        assert_eq!(ready.status(), 503);
        health.register("spool", Role::Intake);
        health.set("spool", Ok(()));
        let ready = page("readyz").await.unwrap();
        assert_eq!(ready.status(), 200);
        let body = ready.text().await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["components"]["spool"]["ok"], true);

        assert_eq!(page("healthz").await.unwrap().status(), 200);
        let text = page("metrics").await.unwrap().text().await.unwrap();
        assert!(
            text.contains("alluvium_source_records_total{source=\"web\"} 3"),
            "{text}"
        );
        assert_eq!(page("other").await.unwrap().status(), 404);
        server.abort();
    }
}
