//! A small arena on the embedded chain, driven by direct calls: no model is trained, scores are what a test says.

use std::collections::BTreeMap;

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Settlement, Vault},
    client::Account,
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    devnet::DevChain,
    embedded::{Config, EmbeddedChain},
    follow::Follower,
    ledger::{Flight, Phase, Task},
};
use aiarena_cli::audit::{AuditOptions, AuditReport, Evidence, Findings, Fixed, audit};
use aiarena_mechanism::{
    Score, commitment,
    settle::{self, EpochInput, settle},
};
use aiarena_node::settlement::{assigned, epoch_input};
use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    providers::DynProvider,
    signers::local::PrivateKeySigner,
    sol_types::SolCall,
};

pub(crate) const WAD: u64 = 1_000_000_000_000_000_000;
pub(crate) const NODE: u8 = 1;
pub(crate) const VALIDATOR: u8 = 2;
pub(crate) const ABSTAIN: u32 = u32::MAX;

const SCHEDULE: Schedule = Schedule {
    submit_end: 1_000,
    disclose_end: 2_000,
    seed_end: 3_000,
    commit_end: 4_000,
    reveal_end: 5_000,
    seed_delay: 10,
    silent_epochs: 2,
};

pub(crate) fn tokens(whole: u64) -> U256 {
    U256::from(whole) * U256::from(WAD)
}

/// Parameters of a task with fresh data and the default rules.
pub(crate) fn params(epochs: u32) -> Arena::TaskParams {
    Arena::TaskParams {
        metadata: keccak256("a task"),
        evaluationRoot: B256::ZERO,
        minNodeStake: tokens(100).to(),
        epochs,
        tolerance: 1_000,
        minValidatorStake: tokens(500).to(),
        phiWad: WAD / 5,
        qWad: WAD / 10 * 9,
        maxSubmissions: 256,
        rankCutoff: 0,
        alphaWad: WAD / 2,
        gammaWad: WAD / 4,
        epsilonWad: WAD,
        lossCapWad: 0,
        redundancy: 2,
        freshData: true,
        rule: 0,
        metric: 0,
    }
}

/// An arena with accounts that are named.
pub(crate) struct World {
    pub(crate) chain: EmbeddedChain,
    pub(crate) deployment: Deployment,
    dev: DevChain,
    follower: Follower,
    people: BTreeMap<String, Account>,
}

impl World {
    /// Chain and contracts; epoch 1 begins in an hour.
    pub(crate) async fn new() -> Self {
        let chain = EmbeddedChain::new(Config::default()).unwrap();
        let dev = DevChain::detect(chain.rpc_client()).await.unwrap();
        let creator = account(&dev, "creator").await;
        let genesis = dev.now().await.unwrap() + 3_600;
        let config = DeployConfig {
            unbonding_epochs: 2,
            bond: tokens(50),
            slash_wad: WAD / 10,
            emission: tokens(200),
            emission_decay_wad: WAD / 10 * 9,
            emission_period: 2,
            ..DeployConfig::new(genesis, 6_000, SCHEDULE)
        };
        let (deployment, _) = deploy(&creator, config).await.unwrap();
        let follower = Follower::connect(dev.provider().clone(), deployment).await.unwrap();
        let mut world = Self { chain, deployment, dev, follower, people: BTreeMap::new() };
        world.people.insert("creator".to_owned(), creator);
        world.endow("creator").await;
        world
    }

    pub(crate) fn provider(&self) -> DynProvider {
        self.dev.provider().clone()
    }

    /// Gives tokens, and leave to the vault to take them.
    async fn endow(&self, name: &str) {
        let minter = &self.people["creator"];
        let person = &self.people[name];
        let to = person.address();
        let token = self.deployment.token;
        minter.send(token, &ArenaToken::mintCall { to, amount: tokens(1_000_000) }).await.unwrap();
        let approve = ArenaToken::approveCall { spender: self.deployment.vault, value: U256::MAX };
        person.send(token, &approve).await.unwrap();
    }

    /// The account of this name, with tokens.
    pub(crate) async fn person(&mut self, name: &str) -> Address {
        if !self.people.contains_key(name) {
            let account = account(&self.dev, name).await;
            self.people.insert(name.to_owned(), account);
            self.endow(name).await;
        }
        self.address(name)
    }

    pub(crate) fn address(&self, name: &str) -> Address {
        self.people[name].address()
    }

    pub(crate) async fn arena<C: SolCall>(&self, name: &str, call: C) {
        self.send(name, self.deployment.arena, call).await;
    }

    pub(crate) async fn vault<C: SolCall>(&self, name: &str, call: C) {
        self.send(name, self.deployment.vault, call).await;
    }

    /// As the owner of the emission.
    pub(crate) async fn emission<C: SolCall>(&self, name: &str, call: C) {
        self.send(name, self.deployment.emission, call).await;
    }

    pub(crate) async fn send<C: SolCall>(&self, name: &str, to: Address, call: C) {
        if let Err(error) = self.people[name].send(to, &call).await {
            panic!("{name} cannot {}: {error}", C::SIGNATURE);
        }
    }

    /// Moves the clock into a phase.
    pub(crate) async fn at(&mut self, epoch: u32, phase: Phase) {
        let clock = self.follower.ledger().clock;
        // Beyond the delay of the seed.
        self.dev.advance_to(clock.start(epoch, phase) + 20).await.unwrap();
    }

    pub(crate) async fn task(&mut self, number: u64) -> &Task {
        self.follower.sync().await.unwrap();
        &self.follower.ledger().tasks[&number]
    }

    pub(crate) async fn create(&mut self, params: Arena::TaskParams, bounty: u64) -> u64 {
        self.arena("creator", Arena::createTaskCall { params }).await;
        self.follower.sync().await.unwrap();
        let task = self.follower.ledger().tasks.len() as u64;
        self.fund("creator", task, bounty).await;
        task
    }

    pub(crate) async fn fund(&self, name: &str, task: u64, bounty: u64) {
        let amount = tokens(bounty).to();
        self.vault(name, Vault::fundCall { task: U256::from(task), amount }).await;
    }

    pub(crate) async fn stake(&mut self, name: &str, task: u64, role: u8, amount: u64) {
        self.person(name).await;
        let call = Vault::stakeCall { task: U256::from(task), role, amount: tokens(amount).to() };
        self.vault(name, call).await;
    }

    pub(crate) async fn delegate(&mut self, name: &str, task: u64, operator: &str, amount: u64) {
        self.person(name).await;
        let operator = self.address(operator);
        let call = Vault::delegateCall { task: U256::from(task), operator, amount: tokens(amount).to() };
        self.vault(name, call).await;
    }

    pub(crate) async fn claim(&self, name: &str, task: u64, operator: &str) {
        let operator = self.address(operator);
        self.vault(name, Vault::claimCall { task: U256::from(task), operator }).await;
    }

    /// Commits to an artifact whose hash is that of a text.
    pub(crate) async fn commit(&self, name: &str, task: u64, epoch: u32, artifact: &str) {
        let Deployment { chain_id, arena, .. } = self.deployment;
        let (number, node, salt) = (U256::from(task), self.address(name), keccak256(name));
        let hash = keccak256(artifact);
        let commitment = commitment::submission(chain_id, arena, number, epoch, node, hash, salt);
        self.arena(name, Arena::commitSubmissionCall { task: number, commitment }).await;
    }

    pub(crate) async fn open(&self, name: &str, task: u64, artifact: &str) {
        let (hash, salt) = (keccak256(artifact), keccak256(name));
        let uri = format!("keccak:{artifact}");
        let call = Arena::openSubmissionCall { task: U256::from(task), contentHash: hash, salt, uri };
        self.arena(name, call).await;
    }

    pub(crate) async fn draw(&self, task: u64) {
        self.arena("creator", Arena::drawSeedCall { task: U256::from(task) }).await;
    }

    /// Commits to scores: `score` says which, by the artifact's hash.
    pub(crate) async fn commit_scores(
        &mut self,
        name: &str,
        task: u64,
        score: impl Fn(B256) -> u32,
    ) -> Vec<u32> {
        let validator = self.address(name);
        let Deployment { chain_id, arena, .. } = self.deployment;
        let task = self.task(task).await;
        let flight = task.flight.as_ref().unwrap();
        let places = assigned(task, flight, validator).unwrap();
        let scores: Vec<u32> =
            places.iter().map(|place| score(flight.entries[*place as usize].content_hash)).collect();
        let (number, salt, sheet) = (U256::from(task.number), keccak256(name), bytes(&scores));
        let (epoch, seed) = (flight.epoch, flight.seed);
        let commitment = commitment::scores(chain_id, arena, number, epoch, validator, salt, seed, &sheet);
        self.arena(name, Arena::commitScoresCall { task: number, commitment }).await;
        scores
    }

    pub(crate) async fn reveal(&mut self, name: &str, task: u64, scores: &[u32]) {
        let (task, salt) = (U256::from(task), keccak256(name));
        self.arena(name, Arena::revealScoresCall { task, salt, scores: bytes(scores) }).await;
    }

    /// The epoch in flight, by the rules.
    pub(crate) async fn settlement(&mut self, number: u64) -> (Flight, EpochInput, settle::Settlement) {
        let task = self.task(number).await;
        let flight = task.flight.clone().unwrap();
        let input = epoch_input(task, &flight).unwrap();
        let settlement = settle(&input).unwrap();
        (flight, input, settlement)
    }

    /// Settles as far as `Until` says.
    pub(crate) async fn settle(&mut self, number: u64, until: Until) {
        let (flight, input, settlement) = self.settlement(number).await;
        let (task, from) = (U256::from(number), U256::ZERO);
        let tallies = tallies(&flight, &input, &settlement);
        self.arena("creator", Settlement::tallyCall { task, tallies }).await;
        let order: Vec<Address> =
            settlement.order.iter().map(|place| flight.entries[*place as usize].node).collect();
        if !order.is_empty() {
            self.arena("creator", Settlement::rankCall { task, order: order.clone() }).await;
            let all = U256::from(order.len());
            let count = if until == Until::FirstPayment { U256::ONE } else { all };
            self.arena("creator", Settlement::payNodesCall { task, from, count, order }).await;
        }
        let all = U256::from(flight.revealers.len());
        let count = if until == Until::FirstPayment { U256::ONE } else { all };
        if !all.is_zero() {
            self.arena("creator", Settlement::weighCall { task, from, count }).await;
        }
        if until == Until::FirstPayment {
            return;
        }
        if !settlement.validator_weight.is_zero() {
            self.arena("creator", Settlement::payValidatorsCall { task, from, count }).await;
        }
        assert!(self.task(number).await.flight.is_none(), "task {number} is settled");
    }

    /// The audit of this chain.
    pub(crate) async fn audit(&self) -> AuditReport {
        audit(&self.provider(), AuditOptions::new(self.deployment)).await.unwrap()
    }

    /// The history, read without finding anything.
    pub(crate) async fn evidence(&mut self) -> Evidence {
        self.follower.sync().await.unwrap();
        let provider = self.provider();
        let fixed = Fixed::read(&provider, &self.deployment).await.unwrap();
        let mut findings = Findings::default();
        let evidence = Evidence::read(&provider, self.deployment, fixed, &mut findings).await.unwrap();
        assert!(findings.is_empty(), "{:?}", findings.list());
        evidence
    }
}

/// How far an epoch is settled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// One node is paid, one validator is weighed.
    FirstPayment,
    End,
}

async fn account(dev: &DevChain, name: &str) -> Account {
    let signer = PrivateKeySigner::from_bytes(&keccak256(name)).unwrap();
    dev.set_balance(signer.address(), tokens(100)).await.unwrap();
    Account::new(dev.rpc().clone(), signer)
}

/// What a settler says of each submission, with all of its scores.
pub(crate) fn tallies(
    flight: &Flight,
    input: &EpochInput,
    settlement: &settle::Settlement,
) -> Vec<Settlement::Tally> {
    let one = |at: usize| {
        let scored = flight.listed.iter().position(|listed| *listed as usize == at);
        let scorers = (0_u32..).zip(&input.validators).filter(|(_, validator)| {
            validator.scores.iter().any(|(place, score)| *place as usize == at && score.is_some())
        });
        let indices: Vec<u32> = scorers.map(|(index, _)| index).collect();
        let median = settlement.submissions[at].consensus.map_or(0, Score::get);
        Settlement::Tally {
            node: flight.entries[at].node,
            place: u32::try_from(scored.unwrap_or(0)).unwrap(),
            median: if scored.is_some() { median } else { 0 },
            revealers: bytes(&indices),
        }
    };
    (0..flight.entries.len()).map(one).collect()
}

pub(crate) fn bytes(scores: &[u32]) -> Bytes {
    scores.iter().flat_map(|score| score.to_be_bytes()).collect()
}
