//! `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::controller::metrics::Metrics;
use crate::controller::watchdog::Watchdog;

/// What is served.
#[derive(Clone, Debug)]
pub struct Served {
    /// The metrics.
    pub metrics: Metrics,
    /// Whether the process was stopped.
    pub watchdog: Watchdog,
    /// Whether it is on standby and has read the Lease, or leads with synchronised caches.
    pub ready: Arc<AtomicBool>,
}

/// Serves until the process ends.
pub async fn serve(address: SocketAddr, served: Served) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .with_state(served);
    let listener = tokio::net::TcpListener::bind(address).await?;
    // With port 0 the system chooses one.
    tracing::info!("metrics and health at {}", listener.local_addr()?);
    axum::serve(listener, router).await
}

async fn metrics(State(served): State<Served>) -> (StatusCode, String) {
    match served.metrics.text() {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn health(State(served): State<Served>) -> (StatusCode, &'static str) {
    if served.watchdog.is_on_time() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the process was frozen\n")
    }
}

async fn ready(State(served): State<Served>) -> (StatusCode, &'static str) {
    if served.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "the API server has not answered, or the caches are not synchronised yet\n",
        )
    }
}
