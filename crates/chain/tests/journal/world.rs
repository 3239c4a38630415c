//! A token on an embedded chain, minted by an account with a journal: each mint is seen in the supply, and by its event.

use std::{path::Path, time::Duration};

use aiarena_chain::{
    account::{Account, FeePolicy, Journal, Watcher},
    bindings::ArenaToken,
    client::{ClientError, Sent},
    devnet::DevChain,
    embedded::{Config, EmbeddedChain},
};
use alloy::{
    primitives::{Address, U256},
    providers::{DynProvider, Provider},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
};

/// Patience of a machine that has no time: everything happens within milliseconds.
pub(crate) const QUICK: FeePolicy = FeePolicy {
    cap: 1_000_000_000,
    raise_after: Duration::from_millis(40),
    patience: Duration::from_millis(200),
};

/// In the chain's time, long after any test.
pub(crate) const NEVER: u64 = 253_402_300_799;

pub(crate) struct World {
    pub(crate) chain: EmbeddedChain,
    pub(crate) provider: DynProvider,
    pub(crate) key: PrivateKeySigner,
    pub(crate) token: Address,
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let key = PrivateKeySigner::from_bytes(&[7; 32].into()).unwrap();
        let config = Config::default().with_balance(key.address(), U256::from(10_u128.pow(24)));
        let chain = EmbeddedChain::new(config).unwrap();
        let deployed = Account::new(chain.rpc_client(), key.clone())
            .deploy("ArenaToken", ArenaToken::BYTECODE.clone())
            .await
            .unwrap();
        let (provider, token) = (chain.provider(), deployed.created.unwrap());
        Self { chain, provider, key, token, folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn journal(&self) -> Journal {
        open(self.folder.path(), self.key.address()).await
    }

    /// The account as a process finds it that starts now.
    pub(crate) async fn account(&self, rpc: RpcClient, watcher: Option<Watcher>) -> Account {
        let journal = self.journal().await;
        let journal = match watcher {
            Some(watcher) => journal.watched(watcher),
            None => journal,
        };
        Account::with_journal(rpc, self.key.clone(), journal, QUICK).await.unwrap()
    }

    /// Mints `2^number` units under the number's name.
    pub(crate) async fn mint(&self, account: &Account, number: u32) -> Result<Sent, ClientError> {
        mint(account, self.token, number).await
    }

    pub(crate) async fn supply(&self) -> u64 {
        ArenaToken::new(self.token, &self.provider).totalSupply().call().await.unwrap().to()
    }

    pub(crate) async fn nonce(&self) -> u64 {
        self.provider.get_transaction_count(self.key.address()).await.unwrap()
    }

    pub(crate) async fn dev(&self) -> DevChain {
        DevChain::detect(self.chain.rpc_client()).await.unwrap()
    }
}

pub(crate) async fn open(folder: &Path, account: Address) -> Journal {
    Journal::open(folder, 31_337, account).await.unwrap()
}

pub(crate) async fn mint(account: &Account, token: Address, number: u32) -> Result<Sent, ClientError> {
    let call = ArenaToken::mintCall { to: Address::repeat_byte(1), amount: U256::from(1_u64 << number) };
    account.send_once(format!("mint {number}"), NEVER, token, &call).await
}
