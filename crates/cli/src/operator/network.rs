//! Reaches the configured chain.

use std::time::Duration;

use alloy::{
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::client::RpcClient,
};
use anyhow::{Result, bail};

use crate::config::{Network, RpcUrl};

/// How long an endpoint may take for its first answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A client of an endpoint.
pub(super) fn client(url: &RpcUrl) -> RpcClient {
    let client = RpcClient::new_http(url.url().clone());
    let host = url.url().host_str().unwrap_or_default();
    // A chain on this machine has its blocks at once; others are asked less often.
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    client.set_poll_interval(Duration::from_millis(if local { 20 } else { 1_000 }));
    client
}

/// A provider that signs nothing.
pub(super) fn provider(client: RpcClient) -> DynProvider {
    ProviderBuilder::new().disable_recommended_fillers().connect_client(client).erased()
}

/// The first configured endpoint that answers.
///
/// # Errors
/// If none answers, or one is of another chain: then the configuration is wrong, and the next one may be, too.
pub(super) async fn connect(network: &Network) -> Result<RpcClient> {
    let mut failures = Vec::new();
    for url in &network.rpc {
        let client = client(url);
        match chain_id(&client).await {
            Ok(chain_id) if chain_id == network.chain_id => return Ok(client),
            Ok(chain_id) => bail!(
                "the endpoint {url} is of chain {chain_id}, but the configuration is for chain {}: correct chain_id or rpc",
                network.chain_id
            ),
            Err(reason) => {
                tracing::warn!(endpoint = %url, reason, "an endpoint does not answer");
                failures.push(format!("{url}: {reason}"));
            }
        }
    }
    bail!("no endpoint answers: {}. Is the node running, and is rpc right?", failures.join("; "))
}

/// What chain an endpoint is of, or why it did not say.
pub(super) async fn chain_id(client: &RpcClient) -> Result<u64, String> {
    match tokio::time::timeout(PATIENCE, provider(client.clone()).get_chain_id()).await {
        Ok(Ok(chain_id)) => Ok(chain_id),
        // The transport repeats the whole address, which may hold a secret.
        Ok(Err(error)) if error.is_transport_error() => Err("it cannot be reached".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}
