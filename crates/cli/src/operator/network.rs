//! Reaches the configured chain.

use std::time::Duration;

use aiarena_chain::endpoints::{Endpoints, EndpointsConfig};
use alloy::{providers::Provider, rpc::client::RpcClient};
use anyhow::{Context, Result, bail};

use crate::config::Network;

/// How patient a command is, behind which somebody waits; a daemon has time.
fn impatient() -> EndpointsConfig {
    EndpointsConfig {
        request_timeout: Duration::from_secs(10),
        patience: Duration::from_secs(3),
        ..EndpointsConfig::default()
    }
}

/// The configured endpoints. Nothing is asked yet.
///
/// # Errors
/// If one of them is none, or is there twice.
pub(crate) fn endpoints(network: &Network, patience: EndpointsConfig) -> Result<Endpoints> {
    let urls: Vec<&str> = network.rpc.iter().map(|url| url.url().as_str()).collect();
    Endpoints::new(&urls, network.chain_id, patience).context("[network] rpc of the configuration")
}

/// The configured endpoints for a command, each of them asked how it does.
///
/// # Errors
/// As [`endpoints`].
pub(super) async fn probed(network: &Network) -> Result<Endpoints> {
    let endpoints = endpoints(network, impatient())?;
    endpoints.probe().await;
    Ok(endpoints)
}

/// The configured endpoints, at least one of which answers.
///
/// # Errors
/// If none answers, or one is of another chain: then the configuration is wrong, and the others may be, too.
pub(super) async fn connect(network: &Network) -> Result<Endpoints> {
    let endpoints = probed(network).await?;
    check(network, &endpoints)?;
    if endpoints.health().iter().any(|endpoint| endpoint.head.is_some()) {
        return Ok(endpoints);
    }
    // An endpoint that only failed once gets another chance.
    let answer = endpoints.provider().get_chain_id().await;
    check(network, &endpoints)?;
    if answer.is_err() {
        let failures = endpoints.health().into_iter().map(|health| {
            format!("{}: {}", health.url, health.last_error.unwrap_or_else(|| "no answer".to_owned()))
        });
        bail!(
            "no endpoint answers: {}. Is the node running, and is rpc right?",
            failures.collect::<Vec<_>>().join("; ")
        );
    }
    Ok(endpoints)
}

/// Refuses endpoints one of which is of another chain.
fn check(network: &Network, endpoints: &Endpoints) -> Result<()> {
    for health in endpoints.health() {
        if let Some(found) = health.wrong_chain {
            bail!(
                "the endpoint {} is of chain {found}, but the configuration is for chain {}: correct chain_id or rpc",
                health.url,
                network.chain_id
            );
        }
    }
    Ok(())
}

/// A client that looks for blocks as often as these endpoints allow.
pub(super) fn client(network: &Network, endpoints: &Endpoints) -> RpcClient {
    let client = endpoints.rpc_client();
    // A chain on this machine has its blocks at once; others are asked less often.
    let local = |host: Option<&str>| matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"));
    let local = network.rpc.iter().all(|url| local(url.url().host_str()));
    client.set_poll_interval(Duration::from_millis(if local { 20 } else { 1_000 }));
    client
}
