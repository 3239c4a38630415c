//! An arena on an embedded chain, and people who act in it.

use std::collections::{BTreeMap, BTreeSet};

use aiarena_chain::{
    bindings::{
        Arena::{self, ArenaEvents},
        ArenaToken, Emission,
        Vault::{self, VaultEvents},
    },
    client::Account,
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    embedded::{Config, EmbeddedChain},
    follow::Follower,
    history::Event,
    ledger::Ledger,
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::eip2718::Encodable2718,
    network::TxSignerSync,
    primitives::{Address, B256, Bytes, TxKind, U256, keccak256},
    providers::{DynProvider, Provider, ext::AnvilApi},
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};

use crate::{compare, random::Random};

pub(crate) const GENESIS: u64 = 1_800_000_000;
pub(crate) const EPOCH_LENGTH: u32 = 1_000;
pub(crate) const WAD: u64 = 1_000_000_000_000_000_000;
const GAS: u64 = 16_000_000;
const SCHEDULE: Schedule = Schedule {
    submit_end: 200,
    disclose_end: 400,
    seed_end: 500,
    commit_end: 700,
    reveal_end: 850,
    seed_delay: 0,
    silent_epochs: 2,
};

/// How often each action was tried and how often it succeeded, and why it did not.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) by_action: BTreeMap<&'static str, (u64, u64)>,
    pub(crate) blocks: u64,
    pub(crate) epochs_settled: usize,
    pub(crate) slashes: u64,
    pub(crate) slashes_of_delegators: u64,
    pub(crate) lost_while_unbonding: u64,
    pub(crate) tallies_replaced: u64,
    tallied: BTreeSet<(U256, U256, Address)>,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        for (action, (tried, done)) in &other.by_action {
            let sum = self.by_action.entry(action).or_default();
            *sum = (sum.0 + tried, sum.1 + done);
        }
        self.blocks += other.blocks;
        self.epochs_settled += other.epochs_settled;
        self.slashes += other.slashes;
        self.slashes_of_delegators += other.slashes_of_delegators;
        self.lost_while_unbonding += other.lost_while_unbonding;
        self.tallies_replaced += other.tallies_replaced;
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Vault(VaultEvents::Slashed(e)) => {
                self.slashes += 1;
                self.slashes_of_delegators += u64::from(!e.delegated.is_zero());
            }
            Event::Vault(VaultEvents::Withdrawn(e)) => {
                self.lost_while_unbonding += u64::from(!e.lost.is_zero());
            }
            Event::Arena(ArenaEvents::Tallied(e)) => {
                self.tallies_replaced += u64::from(!self.tallied.insert((e.task, e.epoch, e.node)));
            }
            _ => {}
        }
    }

    pub(crate) fn succeeded(&self, action: &str) -> u64 {
        self.by_action.get(action).map_or(0, |(_, done)| *done)
    }
}

/// A transaction that is to be in the next block.
pub(crate) struct Planned {
    pub(crate) action: &'static str,
    pub(crate) from: usize,
    pub(crate) to: Address,
    pub(crate) data: Bytes,
    pub(crate) what: String,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) provider: DynProvider,
    pub(crate) deployment: Deployment,
    pub(crate) follower: Follower,
    pub(crate) people: Vec<PrivateKeySigner>,
    nonces: Vec<u64>,
    pub(crate) now: u64,
    /// What a node committed to, by task and node: content hash.
    pub(crate) pledged: BTreeMap<(u64, Address), B256>,
    /// Sheets, by task, epoch and validator.
    pub(crate) sheets: BTreeMap<(u64, u32, Address), Vec<u8>>,
    pub(crate) counts: Counts,
    /// What was done, for whoever looks for a fault.
    pub(crate) log: Vec<String>,
}

/// The owner and creator is the first, then three nodes, four validators and three who only delegate.
pub(crate) const NODES: std::ops::Range<usize> = 1..4;
pub(crate) const VALIDATORS: std::ops::Range<usize> = 4..8;
pub(crate) const PEOPLE: usize = 11;
/// Task 1 has fresh data and counts all delegated stake, task 2 keeps scores and counts a third of it.
pub(crate) const TASKS: u64 = 2;

impl World {
    pub(crate) async fn build(seed: u64) -> Self {
        let people: Vec<PrivateKeySigner> = (0..u8::try_from(PEOPLE).unwrap())
            .map(|i| PrivateKeySigner::from_bytes(&keccak256([i, 77])).unwrap())
            .collect();
        let config = Config {
            genesis_timestamp: GENESIS - 10_000,
            base_fee: 0,
            priority_fee: 0,
            seed: keccak256(seed.to_be_bytes()),
            ..Config::default()
        };
        let rich = U256::from(WAD) << 64;
        let config = people.iter().fold(config, |config, key| config.with_balance(key.address(), rich));
        let chain = EmbeddedChain::new(config).unwrap();
        let owner = Account::new(chain.rpc_client(), people[0].clone());
        let mut rules = DeployConfig::new(GENESIS, EPOCH_LENGTH, SCHEDULE);
        rules.unbonding_epochs = 2 + u32::try_from(seed % 4).unwrap();
        rules.bond = U256::from(seed * 1_000);
        rules.max_fee_wad = WAD / 10;
        rules.slash_wad = WAD / [10, 100, 13][usize::try_from(seed % 3).unwrap()];
        rules.emission = U256::from(1_000_003_u64 * (1 + seed));
        rules.emission_decay_wad = WAD / 10 * 9;
        rules.emission_period = 3;
        let (deployment, _) = deploy(&owner, rules).await.unwrap();
        let provider = chain.provider();
        provider.anvil_set_auto_mine(false).await.unwrap();
        let follower = Follower::connect(provider.clone(), deployment).await.unwrap();
        let mut world = Self {
            seed,
            provider,
            deployment,
            follower,
            nonces: vec![0; people.len()],
            people,
            now: GENESIS - 5_000,
            pledged: BTreeMap::new(),
            sheets: BTreeMap::new(),
            counts: Counts::default(),
            log: Vec::new(),
        };
        world.nonces[0] = 4;
        world.prepare().await;
        world
    }

    async fn prepare(&mut self) {
        let (token, vault) = (self.deployment.token, self.deployment.vault);
        let mut planned = Vec::new();
        for i in 0..PEOPLE {
            let mint = ArenaToken::mintCall { to: self.people[i].address(), amount: U256::from(1) << 90 };
            planned.push(plan(token, "mint", 0, &mint));
            planned.push(plan(
                token,
                "approve",
                i,
                &ArenaToken::approveCall { spender: vault, value: U256::MAX },
            ));
        }
        for task in 1..=TASKS {
            let call = Arena::createTaskCall { params: self.params(task) };
            planned.push(plan(self.deployment.arena, "createTask", 0, &call));
        }
        let call = Vault::fundEmissionCall { amount: alloy::primitives::Uint::from(12_345_678_u64) };
        planned.push(plan(vault, "fundEmission", 0, &call));
        for task in 1..=TASKS {
            let call = Emission::admitCall { task: U256::from(task) };
            planned.push(plan(self.deployment.emission, "admit", 0, &call));
        }
        self.block(planned).await;
    }

    fn params(&self, task: u64) -> Arena::TaskParams {
        let fresh = task == 1;
        Arena::TaskParams {
            metadata: B256::ZERO,
            evaluationRoot: B256::repeat_byte(9),
            minNodeStake: alloy::primitives::Uint::from(if fresh { 1 } else { 1_000 }),
            minValidatorStake: alloy::primitives::Uint::from(if fresh { 1_000 } else { 1 }),
            redundancy: if self.seed.is_multiple_of(2) { 255 } else { 2 },
            freshData: fresh,
            rule: u8::from(task == 2),
            metric: 0,
            maxSubmissions: 3,
            rankCutoff: 0,
            epsilonWad: if fresh { WAD } else { WAD / 3 },
            gammaWad: WAD / 4,
            phiWad: WAD / 5,
            tolerance: 3,
            epochs: 16 + u32::try_from(self.seed % 7).unwrap(),
            qWad: WAD / 10 * 9,
            alphaWad: WAD / 2,
            lossCapWad: 0,
        }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.follower.ledger()
    }

    pub(crate) fn address(&self, person: usize) -> Address {
        self.people[person].address()
    }

    pub(crate) fn person(&self, address: Address) -> usize {
        self.people.iter().position(|key| key.address() == address).unwrap()
    }

    /// Mines the planned transactions in one block, reads its events and compares everything.
    pub(crate) async fn block(&mut self, planned: Vec<Planned>) {
        for step in &planned {
            let nonce = self.nonces[step.from];
            self.nonces[step.from] += 1;
            let mut tx = TxEip1559 {
                chain_id: self.deployment.chain_id,
                nonce,
                gas_limit: GAS,
                to: TxKind::Call(step.to),
                input: step.data.clone(),
                ..TxEip1559::default()
            };
            let signature = self.people[step.from].sign_transaction_sync(&mut tx).unwrap();
            let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
            drop(self.provider.send_raw_transaction(&raw).await.unwrap());
        }
        self.now += 1;
        self.provider.anvil_set_next_block_timestamp(self.now).await.unwrap();
        self.provider.anvil_mine(Some(1), None).await.unwrap();
        self.counts.blocks += 1;
        let receipts =
            self.provider.get_block_receipts(alloy::eips::BlockId::latest()).await.unwrap().unwrap();
        assert_eq!(receipts.len(), planned.len());
        // In the order of their arrival.
        for (step, receipt) in planned.iter().zip(&receipts) {
            let count = self.counts.by_action.entry(step.action).or_default();
            count.0 += 1;
            count.1 += u64::from(receipt.status());
            let outcome = if receipt.status() { "" } else { "  (refused)" };
            self.log.push(format!("{} {}: {}{outcome}", self.now, step.from, step.what));
        }
        let records = match self.follower.sync().await {
            Ok(synced) => synced.records,
            Err(error) => self.fail(&error.to_string()),
        };
        records.iter().for_each(|record| self.counts.note(&record.event));
        if let Err(what) = compare::all(self).await {
            self.fail(&what);
        }
    }

    fn fail(&self, what: &str) -> ! {
        let last = self.log.len().saturating_sub(400);
        panic!("history {}: {what}\n{}", self.seed, self.log[last..].join("\n"));
    }
}

/// A call by somebody.
pub(crate) fn plan<C: SolCall + std::fmt::Debug>(
    to: Address,
    action: &'static str,
    from: usize,
    call: &C,
) -> Planned {
    Planned { action, from, to, data: call.abi_encode().into(), what: format!("{call:?}") }
}

/// Amounts as the vault takes them.
pub(crate) fn narrow(amount: U256) -> alloy::primitives::aliases::U96 {
    amount.saturating_to()
}

impl World {
    /// Lets the clock go on to an offset in an epoch, if it is not there yet.
    pub(crate) fn wait_until(&mut self, epoch: u32, offset: u64) {
        let time = GENESIS + u64::from(epoch - 1) * u64::from(EPOCH_LENGTH) + offset;
        self.now = self.now.max(time);
    }

    pub(crate) fn epoch_now(&self) -> u32 {
        self.ledger().clock.at(self.now + 1).0
    }

    pub(crate) fn some_pool(&self, random: &mut Random) -> (u64, Address) {
        let task = 1 + random.word() % TASKS;
        let person = NODES.start + random.below(VALIDATORS.end - NODES.start);
        (task, self.address(person))
    }
}
