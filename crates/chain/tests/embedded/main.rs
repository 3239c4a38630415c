//! The embedded chain through alloy's provider, as every other part of the project uses it.

#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

mod assembly;
mod blocks;
mod calls;
mod filters;
mod http;
mod mining;
mod persist;
mod time;
mod transactions;
mod verify;

use aiarena_chain::embedded::{Config, EmbeddedChain};
use alloy::{
    network::{EthereumWallet, TransactionBuilder},
    primitives::{Address, Bytes, TxHash, U256},
    providers::{DynProvider, Provider, ProviderBuilder},
    rpc::types::{TransactionReceipt, TransactionRequest},
    signers::local::PrivateKeySigner,
    transports::TransportError,
};

/// 10 000 ether.
pub(crate) const BALANCE: U256 = U256::from_limbs([0x19e0_c9ba_b240_0000, 0x21e, 0, 0]);

/// Somebody who owns nothing.
pub(crate) const NOBODY: Address = Address::repeat_byte(0xbb);

/// The key number `index`, the same on every run.
pub(crate) fn key(index: u8) -> PrivateKeySigner {
    PrivateKeySigner::from_slice(&[index + 1; 32]).unwrap()
}

pub(crate) fn config() -> Config {
    (0..4).fold(Config::default(), |config, index| config.with_balance(key(index).address(), BALANCE))
}

pub(crate) fn chain() -> EmbeddedChain {
    EmbeddedChain::new(config()).unwrap()
}

/// A provider that signs with the first four keys, with the fillers that clients usually have.
pub(crate) fn signing(chain: &EmbeddedChain) -> DynProvider {
    let mut wallet = EthereumWallet::new(key(0));
    (1..4).for_each(|index| wallet.register_signer(key(index)));
    ProviderBuilder::new()
        .with_simple_nonce_management()
        .wallet(wallet)
        .connect_client(chain.rpc_client())
        .erased()
}

/// A transfer of one wei that needs no filler but the signature.
pub(crate) fn transfer(from: u8, nonce: u64) -> TransactionRequest {
    TransactionRequest::default()
        .with_from(key(from).address())
        .with_to(NOBODY)
        .with_value(U256::ONE)
        .with_nonce(nonce)
        .with_chain_id(31_337)
        .with_gas_limit(21_000)
        .with_max_fee_per_gas(10_000_000)
        .with_max_priority_fee_per_gas(1_000_000)
}

/// The raw bytes of a transaction, signed by its sender.
pub(crate) async fn sign(request: TransactionRequest) -> Bytes {
    use alloy::{eips::eip2718::Encodable2718, network::NetworkTransactionBuilder};
    let signer = (0..4).map(key).find(|key| Some(key.address()) == request.from).unwrap();
    request.build(&EthereumWallet::new(signer)).await.unwrap().encoded_2718().into()
}

/// Deploys runtime code and answers its address.
pub(crate) async fn deploy(provider: &DynProvider, runtime: &[u8]) -> Address {
    let request =
        TransactionRequest::default().with_from(key(0).address()).with_deploy_code(assembly::init(runtime));
    let receipt = send(provider, request).await;
    assert!(receipt.status());
    receipt.contract_address.unwrap()
}

pub(crate) async fn send(provider: &DynProvider, request: TransactionRequest) -> TransactionReceipt {
    provider.send_transaction(request).await.unwrap().get_receipt().await.unwrap()
}

/// Sends raw bytes that must be accepted; answers the transaction's hash.
pub(crate) async fn submit(provider: &impl Provider, raw: &[u8]) -> TxHash {
    *provider.send_raw_transaction(raw).await.unwrap().tx_hash()
}

/// Code and message of the error object that the chain answered.
pub(crate) fn refusal(error: TransportError) -> (i64, String) {
    let payload = error.as_error_resp().expect("an error object, not a broken transport");
    (payload.code, payload.message.to_string())
}
