//! Metrics and health over HTTP, on the loopback address.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use aiarena_node::daemon::Health;
use anyhow::{Context, Result, ensure};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::task::JoinHandle;
use tracing::info;

/// Bounds of the histogram of training and scoring, in seconds.
const SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// What is asked about a daemon's health, once there is a daemon.
#[derive(Debug, Default)]
pub(super) struct Watch(OnceLock<Arc<Health>>);

/// Shared between the daemon and its server.
pub(super) type Watched = Arc<Watch>;

impl Watch {
    /// From now on this daemon is asked.
    pub(super) fn set(&self, health: Arc<Health>) {
        // Set once for each configuration; a second time there is nothing to change.
        let _kept = self.0.set(health);
    }
}

/// Collects the metrics of this process.
///
/// # Errors
/// If that was begun before.
pub(super) fn recorder() -> Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("cannot collect metrics")
}

/// Serves `/metrics` and `/health`.
///
/// # Errors
/// If the address is not of this machine alone, or is in use.
pub(super) async fn listen(
    address: SocketAddr,
    metrics: PrometheusHandle,
    watched: Watched,
) -> Result<JoinHandle<()>> {
    ensure!(
        address.ip().is_loopback(),
        "[operator] listen must be a loopback address, such as 127.0.0.1:9464"
    );
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another daemon there? Choose another port")
    })?;
    info!("metrics and health on http://{}", listener.local_addr()?);
    let routes = Router::new()
        .route("/metrics", get(async move || metrics.render()))
        .route("/health", get(health))
        .with_state(watched);
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    }))
}

/// A daemon that has not looked at the chain for so long is stuck: its own patience with a transaction is shorter.
const STUCK: Duration = Duration::from_secs(600);

/// 200 while the chain can be read and the daemon is not stuck, else 503.
async fn health(State(watched): State<Watched>) -> (StatusCode, String) {
    let busy = watched.0.get().map(|health| health.since_last_look());
    let stuck = busy.filter(|busy| *busy > STUCK);
    match watched.0.get().map(|health| health.head()) {
        Some(Some(_)) if stuck.is_some() => {
            let secs = stuck.unwrap_or_default().as_secs();
            (StatusCode::SERVICE_UNAVAILABLE, format!("busy for {secs} s: is a transaction stuck?\n"))
        }
        Some(Some(head)) => (StatusCode::OK, format!("ok, block {head}\n")),
        Some(None) => (StatusCode::SERVICE_UNAVAILABLE, "the chain cannot be read\n".to_owned()),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n".to_owned()),
    }
}
