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
    answer(watched.0.get().map(|health| (health.head(), health.since_last_look())))
}

/// What is answered about a daemon, once there is one, by the newest block that it could read and since when it is busy.
fn answer(daemon: Option<(Option<u64>, Duration)>) -> (StatusCode, String) {
    let (status, text) = match daemon {
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting".to_owned()),
        Some((None, _)) => (StatusCode::SERVICE_UNAVAILABLE, "the chain cannot be read".to_owned()),
        Some((Some(_), busy)) if busy > STUCK => {
            let text = format!("busy for {} s: is a transaction stuck?", busy.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
        Some((Some(head), _)) => (StatusCode::OK, format!("ok, block {head}")),
    };
    (status, format!("{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_what_a_watcher_can_act_on() {
        let secs = Duration::from_secs;
        for (daemon, status, text) in [
            (None, 503, "starting\n"),
            (Some((None, secs(0))), 503, "the chain cannot be read\n"),
            (Some((None, secs(601))), 503, "the chain cannot be read\n"),
            (Some((Some(0), secs(0))), 200, "ok, block 0\n"),
            (Some((Some(7), secs(600))), 200, "ok, block 7\n"),
            (Some((Some(7), secs(601))), 503, "busy for 601 s: is a transaction stuck?\n"),
            (
                Some((Some(u64::MAX), Duration::MAX)),
                503,
                "busy for 18446744073709551615 s: is a transaction stuck?\n",
            ),
        ] {
            let (answered, said) = answer(daemon);
            assert_eq!((answered.as_u16(), said.as_str()), (status, text), "{daemon:?}");
        }
    }
}
