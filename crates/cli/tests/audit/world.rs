//! A small arena on the embedded chain, driven by direct calls: no model is trained, scores are what a test says.

use std::collections::BTreeMap;

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Vault},
    client::Account,
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    devnet::DevChain,
    embedded::{Config, EmbeddedChain},
    follow::Follower,
    ledger::{Flight, Phase, Task},
};
use aiarena_cli::audit::{AuditOptions, AuditReport, Evidence, Findings, audit};
use aiarena_mechanism::commitment;
use aiarena_node::settlement::{CHUNK, Settling, assigned, tree};
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
};

pub(crate) fn tokens(whole: u64) -> U256 {
    U256::from(whole) * U256::from(WAD)
}

/// Parameters of a task with fresh data and the default rules.
pub(crate) fn params(epochs: u32) -> Arena::TaskParams {
    Arena::TaskParams {
        metadata: keccak256("a task"),
        emissionPerEpoch: tokens(100).to(),
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
        let config = DeployConfig { genesis, epoch_length: 6_000, unbonding_epochs: 1, schedule: SCHEDULE };
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

    pub(crate) async fn create(&mut self, params: Arena::TaskParams, emission: u64, bounty: u64) -> u64 {
        self.arena("creator", Arena::createTaskCall { params }).await;
        self.follower.sync().await.unwrap();
        let task = self.follower.ledger().tasks.len() as u64;
        self.fund("creator", task, emission, bounty).await;
        task
    }

    pub(crate) async fn fund(&self, name: &str, task: u64, emission: u64, bounty: u64) {
        let (emission, bounty) = (tokens(emission).to(), tokens(bounty).to());
        self.vault(name, Vault::fundCall { task: U256::from(task), emission, bounty }).await;
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
        let root = tree(task, flight, validator, &scores).unwrap().root();
        let (number, salt) = (U256::from(task.number), keccak256(name));
        let commitment = commitment::scores(chain_id, arena, number, flight.epoch, validator, salt, root);
        self.arena(name, Arena::commitScoresCall { task: number, commitment }).await;
        scores
    }

    pub(crate) async fn reveal(&mut self, name: &str, task: u64, scores: &[u32], chunk: usize) {
        let validator = self.address(name);
        let task = self.task(task).await;
        let tree = tree(task, task.flight.as_ref().unwrap(), validator, scores).unwrap();
        let call = Arena::revealScoresCall {
            task: U256::from(task.number),
            salt: keccak256(name),
            root: tree.root(),
            chunk: U256::from(chunk),
            scores: bytes(scores.chunks(CHUNK).nth(chunk).unwrap()),
            proof: tree.proof(chunk).unwrap(),
        };
        self.arena(name, call).await;
    }

    /// Settles as far as `Until` says.
    pub(crate) async fn settle(&mut self, number: u64, until: Until) {
        let task = self.task(number).await.clone();
        let flight: &Flight = task.flight.as_ref().unwrap();
        let settling = Settling::new(&task, flight).unwrap();
        let (id, zero) = (U256::from(number), U256::ZERO);
        let (medians, order) = (settling.medians(flight), settling.order().to_vec());
        let ranked = order.len();
        self.arena("creator", Arena::tallyCall { task: id, from: zero, medians }).await;
        if ranked != 0 {
            self.arena("creator", Arena::rankCall { task: id, from: zero, order: order.clone() }).await;
            let paid = if until == Until::FirstPayment { order[..1].to_vec() } else { order };
            self.arena("creator", Arena::payNodesCall { task: id, from: zero, order: paid }).await;
        }
        for (i, (validator, chunk, scores)) in flight.chunks().enumerate() {
            if i == 1 && until == Until::FirstPayment {
                return;
            }
            let (chunk, scores) = (U256::from(chunk), bytes(scores));
            self.arena("creator", Arena::weighCall { task: id, validator, chunk, scores }).await;
        }
        if !settling.settlement().validator_weight.is_zero() {
            let count = U256::from(flight.revealers.len());
            self.arena("creator", Arena::payValidatorsCall { task: id, from: zero, count }).await;
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
        let (provider, clock) = (self.provider(), self.follower.ledger().clock);
        let mut findings = Findings::default();
        let evidence = Evidence::read(&provider, self.deployment, clock, &mut findings).await.unwrap();
        assert!(findings.is_empty(), "{:?}", findings.list());
        evidence
    }
}

/// How far an epoch is settled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// One node is paid, one chunk is weighed.
    FirstPayment,
    End,
}

async fn account(dev: &DevChain, name: &str) -> Account {
    let signer = PrivateKeySigner::from_bytes(&keccak256(name)).unwrap();
    dev.set_balance(signer.address(), tokens(100)).await.unwrap();
    Account::new(dev.rpc().clone(), signer)
}

fn bytes(scores: &[u32]) -> Bytes {
    scores.iter().flat_map(|score| score.to_be_bytes()).collect()
}
