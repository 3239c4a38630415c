//! An arena on an embedded chain that can be reorganised at will, and people who keep it busy.

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Vault},
    client::Account,
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    embedded::{Config, EmbeddedChain},
    follow::Follower,
    history::Record,
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
    primitives::{Address, B256, Bytes, TxKind, U256, keccak256},
    providers::{DynProvider, Provider, ext::AnvilApi},
    rpc::client::RpcClient,
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};

use crate::random::Random;

pub(crate) const WAD: u64 = 1_000_000_000_000_000_000;
const PEOPLE: u8 = 4;
const SCHEDULE: Schedule = Schedule {
    submit_end: 200,
    disclose_end: 400,
    seed_end: 500,
    commit_end: 700,
    reveal_end: 850,
    seed_delay: 0,
    silent_epochs: 2,
};

pub(crate) fn people() -> Vec<PrivateKeySigner> {
    (0..PEOPLE).map(|i| PrivateKeySigner::from_bytes(&keccak256([i, 55])).unwrap()).collect()
}

/// A chain with an arena on it.
pub(crate) struct Stage {
    pub(crate) chain: Option<EmbeddedChain>,
    pub(crate) provider: DynProvider,
    pub(crate) deployment: Deployment,
    people: Vec<PrivateKeySigner>,
    random: Random,
    /// Snapshots after the newest blocks: number and id.
    snapshots: Vec<(u64, U256)>,
}

/// Deploys and lets everybody have tokens; works on any development chain with rich people.
pub(crate) async fn deploy_on(rpc: RpcClient, genesis: u64) -> Deployment {
    let owner = Account::new(rpc, people()[0].clone());
    let mut rules = DeployConfig::new(genesis, 1_000, SCHEDULE);
    rules.bond = U256::from(1_000);
    deploy(&owner, rules).await.unwrap().0
}

impl Stage {
    pub(crate) async fn embedded(seed: u64) -> Self {
        let config =
            Config { base_fee: 0, priority_fee: 0, seed: keccak256(seed.to_be_bytes()), ..Config::default() };
        let genesis = config.genesis_timestamp + 1_000_000;
        let rich = U256::from(WAD) << 64;
        let config = people().iter().fold(config, |config, key| config.with_balance(key.address(), rich));
        let chain = EmbeddedChain::new(config).unwrap();
        let deployment = deploy_on(chain.rpc_client(), genesis).await;
        let mut stage = Self::on(chain.provider(), deployment, seed).await;
        stage.chain = Some(chain);
        stage
    }

    pub(crate) async fn on(provider: DynProvider, deployment: Deployment, seed: u64) -> Self {
        provider.anvil_set_auto_mine(false).await.unwrap();
        let mut stage = Self {
            chain: None,
            provider,
            deployment,
            people: people(),
            random: Random::new(seed),
            snapshots: Vec::new(),
        };
        stage.prepare().await;
        stage
    }

    async fn prepare(&mut self) {
        let Deployment { token, vault, arena, .. } = self.deployment;
        let mut calls: Vec<(usize, Address, Bytes)> = Vec::new();
        for i in 0..usize::from(PEOPLE) {
            let mint = ArenaToken::mintCall { to: self.people[i].address(), amount: U256::from(1) << 90 };
            calls.push((0, token, mint.abi_encode().into()));
            let approve = ArenaToken::approveCall { spender: vault, value: U256::MAX };
            calls.push((i, token, approve.abi_encode().into()));
        }
        let create = Arena::createTaskCall { params: task() };
        calls.push((0, arena, create.abi_encode().into()));
        self.block(calls).await;
    }

    pub(crate) async fn head(&self) -> u64 {
        self.provider.get_block_number().await.unwrap()
    }

    /// A follower of the chain itself, started now.
    pub(crate) async fn fresh(&self) -> Follower {
        let mut follower = Follower::connect(self.provider.clone(), self.deployment).await.unwrap();
        follower.sync().await.unwrap();
        follower
    }

    /// Mines calls in one block.
    async fn block(&mut self, calls: Vec<(usize, Address, Bytes)>) {
        let mut nonces = Vec::new();
        for key in &self.people {
            nonces.push(self.provider.get_transaction_count(key.address()).await.unwrap());
        }
        for (from, to, input) in calls {
            let mut tx = TxEip1559 {
                chain_id: self.deployment.chain_id,
                nonce: nonces[from],
                gas_limit: 1_500_000,
                max_fee_per_gas: 10_000_000_000,
                to: TxKind::Call(to),
                input,
                ..TxEip1559::default()
            };
            nonces[from] += 1;
            let signature = self.people[from].sign_transaction_sync(&mut tx).unwrap();
            let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
            drop(self.provider.send_raw_transaction(&raw).await.unwrap());
        }
        self.provider.anvil_mine(Some(1), None).await.unwrap();
    }

    /// A few random calls; in some blocks none.
    pub(crate) async fn mine(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let count = self.random.below(4);
            let calls = (0..count).map(|_| self.call()).collect();
            self.block(calls).await;
            let id = self.provider.anvil_snapshot().await.unwrap();
            let head = self.head().await;
            self.snapshots.push((head, id));
            if self.snapshots.len() > 64 {
                self.snapshots.remove(0);
            }
        }
    }

    fn call(&mut self) -> (usize, Address, Bytes) {
        let Deployment { vault, arena, .. } = self.deployment;
        let from = self.random.below(usize::from(PEOPLE));
        let operator = self.people[self.random.below(2)].address();
        let task = U256::from(1);
        let amount = alloy::primitives::Uint::from(1 + self.random.word() % 1_000_000);
        let (to, data) = match self.random.below(6) {
            0 => (
                arena,
                Arena::registerKeyCall { key: B256::from(U256::from(self.random.word())) }.abi_encode(),
            ),
            1 => (vault, Vault::stakeCall { task, role: 1 + u8::from(from > 0), amount }.abi_encode()),
            2 => (vault, Vault::fundCall { task, amount }.abi_encode()),
            3 => (vault, Vault::fundEmissionCall { amount }.abi_encode()),
            4 => (vault, Vault::delegateCall { task, operator, amount }.abi_encode()),
            _ => (vault, Vault::undelegateCall { task, operator, amount }.abi_encode()),
        };
        (from, to, data.into())
    }

    /// Replaces the last `depth` blocks by `more` others; at most as many as were mined with snapshots.
    pub(crate) async fn reorganise(&mut self, depth: u64, more: u64) {
        let target = self.head().await - depth;
        let at = self.snapshots.iter().position(|(number, _)| *number == target).unwrap();
        let (_, id) = self.snapshots[at];
        assert!(self.provider.anvil_revert(id).await.unwrap());
        // It is used up.
        self.snapshots.truncate(at);
        let id = self.provider.anvil_snapshot().await.unwrap();
        self.snapshots.push((target, id));
        self.provider.anvil_increase_time(1 + self.random.word() % 5).await.unwrap();
        self.mine(more).await;
    }
}

/// Both ledgers are the same, and so are time and head.
pub(crate) fn assert_same(found: &Follower, expected: &Follower) {
    assert_eq!(found.head(), expected.head());
    assert_eq!(found.now(), expected.now());
    assert_eq!(format!("{:?}", found.ledger()), format!("{:?}", expected.ledger()));
}

pub(crate) fn places(records: &[Record]) -> Vec<(u64, u64, B256)> {
    records.iter().map(|record| (record.block, record.log_index, record.block_hash)).collect()
}

fn task() -> Arena::TaskParams {
    Arena::TaskParams {
        metadata: B256::ZERO,
        evaluationRoot: B256::repeat_byte(9),
        minNodeStake: alloy::primitives::Uint::from(1),
        minValidatorStake: alloy::primitives::Uint::from(1),
        redundancy: 2,
        freshData: true,
        rule: 0,
        metric: 0,
        maxSubmissions: 3,
        rankCutoff: 0,
        epsilonWad: WAD,
        gammaWad: WAD / 4,
        phiWad: WAD / 5,
        tolerance: 3,
        epochs: 16,
        qWad: WAD / 10 * 9,
        alphaWad: WAD / 2,
        lossCapWad: 0,
    }
}
