//! The task, its people and what they send.

mod crowd;

use std::collections::BTreeMap;

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Emission, Vault},
    client::Account,
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    embedded::{Config, EmbeddedChain},
};
use aiarena_mechanism::{
    Score, assignment,
    budget::Budget,
    commitment,
    fixed_point::WAD,
    ranking::RankingRule,
    rewards,
    settle::{EpochInput, Pool, Settlement, Submission, Task, Totals, Validator, settle},
};
use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::{BlockId, eip2718::Encodable2718},
    network::TxSignerSync,
    primitives::{Address, B256, Bytes, TxKind, U256, aliases::U96, keccak256},
    providers::{DynProvider, Provider, ext::AnvilApi},
    rpc::types::TransactionReceipt,
    signers::local::PrivateKeySigner,
    sol_types::{SolCall, SolEvent},
};

pub(crate) const EPOCHS: u32 = 2;
const GENESIS: u64 = 1_800_000_000;
const EPOCH_LENGTH: u32 = 1_000;
const SCHEDULE: Schedule = Schedule {
    submit_end: 200,
    disclose_end: 400,
    seed_end: 500,
    commit_end: 700,
    reveal_end: 850,
    seed_delay: 0,
    silent_epochs: 3,
};
const GAS: u64 = 1 << 24;
/// What a block of the embedded chain takes at once.
const CALLS_PER_BLOCK: usize = 590;
/// So many items of a settlement go into one transaction, and so many validators that are weighed, as this project's
/// settlers choose it.
const BATCH: usize = 64;
const WEIGHED: usize = 25;
const SALT: B256 = B256::repeat_byte(7);
const URI: &str = "https://models.example/0123456789abcdef.safetensors";
const TASK: U256 = U256::ONE;

/// What one kind of call cost in an epoch.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) transactions: usize,
    pub(crate) gas: u64,
    /// Gas of the dearest of them.
    pub(crate) most: u64,
}

impl Step {
    fn new(name: &'static str, receipts: &[TransactionReceipt]) -> Self {
        let gas = receipts.iter().map(|receipt| receipt.gas_used);
        Self { name, transactions: receipts.len(), gas: gas.clone().sum(), most: gas.max().unwrap() }
    }
}

/// A call that somebody sends.
type Call = (usize, Address, Bytes);
/// What a validator drew, in the order of the draw, and what it says of it.
type Sheet = Vec<(u32, Option<Score>)>;

/// Account 0 owns, creates, delegates to everybody and settles; then come the nodes, then the validators.
pub(crate) struct Large {
    provider: DynProvider,
    deployment: Deployment,
    /// So many of the keys are nodes.
    size: usize,
    keys: Vec<PrivateKeySigner>,
    nonces: Vec<u64>,
    now: u64,
    epoch: u32,
    pools: Vec<Pool>,
    /// What was credited to operators and to their delegators, in all epochs.
    credited: (U256, U256),
}

/// A number that is the same on every run.
fn number(what: &str, of: u64, below: u64) -> u64 {
    let hash = keccak256([what.as_bytes(), &of.to_be_bytes()].concat());
    u64::from_be_bytes(hash[..8].try_into().unwrap()) % below
}

impl Large {
    pub(crate) async fn build(nodes: usize, validators: usize) -> Self {
        let keys: Vec<PrivateKeySigner> = (0..1 + nodes + validators)
            .map(|i| PrivateKeySigner::from_bytes(&keccak256(U256::from(i + 1).to_be_bytes::<32>())).unwrap())
            .collect();
        let config = Config {
            genesis_timestamp: GENESIS - 10_000,
            base_fee: 0,
            priority_fee: 0,
            gas_limit: 10_000_000_000,
            tx_gas_limit_cap: Some(GAS),
            ..Config::default()
        };
        let config =
            keys.iter().fold(config, |config, key| config.with_balance(key.address(), WAD << 64_usize));
        let chain = EmbeddedChain::new(config).unwrap();
        let owner = Account::new(chain.rpc_client(), keys[0].clone());
        let mut terms = DeployConfig::new(GENESIS, EPOCH_LENGTH, SCHEDULE);
        terms.emission = WAD * U256::from(1_000);
        let (deployment, sent) = deploy(&owner, terms).await.unwrap();
        let provider = chain.provider();
        provider.anvil_set_auto_mine(false).await.unwrap();
        let mut nonces = vec![0; keys.len()];
        nonces[0] = sent.len() as u64;
        // 100 to 400 tokens of its own, up to 200 of a delegator.
        let tokens = |what: &str, i: usize, from: u64, to: u64| {
            U256::from(from * 1_000_000 + number(what, i as u64, (to - from) * 1_000_000))
                * U256::from(1_000_000_000_001_u64)
        };
        let pools = keys.iter().enumerate().map(|(i, key)| Pool {
            operator: key.address(),
            direct: tokens("direct", i, 100, 400),
            delegated: tokens("delegated", i, 1, 200),
            commission_wad: U256::ZERO,
        });
        let pools = pools.collect();
        let now = GENESIS - 5_000;
        let credited = (U256::ZERO, U256::ZERO);
        let mut large =
            Self { provider, deployment, size: nodes, keys, nonces, now, epoch: 0, pools, credited };
        large.found().await;
        large
    }

    /// Creates the task and stakes for everybody; all of it counts from epoch 1 on.
    async fn found(&mut self) {
        let (token, vault, arena) = (self.deployment.token, self.deployment.vault, self.deployment.arena);
        let mut calls = Vec::new();
        for (i, pool) in self.pools.iter().enumerate() {
            let mint = ArenaToken::mintCall { to: pool.operator, amount: U256::from(1) << 80 };
            calls.push((0, token, mint.abi_encode().into()));
            let approve = ArenaToken::approveCall { spender: vault, value: U256::MAX };
            calls.push((i, token, approve.abi_encode().into()));
        }
        let create = Arena::createTaskCall { params: params() };
        calls.push((0, arena, create.abi_encode().into()));
        calls.push((
            0,
            vault,
            Vault::fundEmissionCall { amount: U96::from(1_u128 << 75) }.abi_encode().into(),
        ));
        calls.push((0, self.deployment.emission, Emission::admitCall { task: TASK }.abi_encode().into()));
        let fund = Vault::fundCall { task: TASK, amount: U96::from(1_u128 << 73) };
        calls.push((0, vault, fund.abi_encode().into()));
        for (i, pool) in self.pools.iter().enumerate().skip(1) {
            let role = if i <= self.size { 1 } else { 2 };
            let stake = Vault::stakeCall { task: TASK, role, amount: pool.direct.to() };
            calls.push((i, vault, stake.abi_encode().into()));
            let operator = pool.operator;
            let delegate = Vault::delegateCall { task: TASK, operator, amount: pool.delegated.to() };
            calls.push((0, vault, delegate.abi_encode().into()));
        }
        drop(self.send(calls).await);
    }

    fn nodes(&self) -> &[Pool] {
        &self.pools[1..=self.size]
    }

    fn validators(&self) -> &[Pool] {
        &self.pools[self.size + 1..]
    }

    /// Plays an epoch; what each kind of call cost.
    pub(crate) async fn epoch(&mut self) -> Vec<Step> {
        self.epoch += 1;
        let mut steps = Vec::new();
        self.submit(&mut steps).await;
        self.wait(400);
        let draw = Arena::drawSeedCall { task: TASK }.abi_encode().into();
        let receipts = self.step("drawSeed", vec![(0, self.deployment.arena, draw)], &mut steps).await;
        let drawn: Arena::SeedDrawn = event(&receipts[0]);
        let opened: Vault::BudgetOpened = event(&receipts[0]);
        let sheets = self.report(&drawn, &mut steps).await;
        let budget = Budget { emission: opened.emission, bounty: opened.bounty };
        let input = self.input(budget, &sheets);
        let settlement = settle(&input).unwrap();
        let before = self.held().await;
        let receipts = self.settle(&sheets, &settlement, &mut steps).await;
        assert_eq!(self.held().await, before, "a settlement moved tokens");
        self.compare(&settlement, budget, &receipts);
        steps
    }

    async fn submit(&mut self, steps: &mut Vec<Step>) {
        let arena = self.deployment.arena;
        let (mut commits, mut opens) = (Vec::new(), Vec::new());
        for (i, pool) in self.nodes().iter().enumerate() {
            let content_hash =
                keccak256([self.epoch.to_be_bytes(), u32::try_from(i).unwrap().to_be_bytes()].concat());
            let (chain, epoch) = (self.deployment.chain_id, self.epoch);
            let commitment =
                commitment::submission(chain, arena, TASK, epoch, pool.operator, content_hash, SALT);
            let commit = Arena::commitSubmissionCall { task: TASK, commitment };
            commits.push((1 + i, arena, commit.abi_encode().into()));
            let open = Arena::openSubmissionCall {
                task: TASK,
                contentHash: content_hash,
                salt: SALT,
                uri: URI.to_owned(),
            };
            opens.push((1 + i, arena, open.abi_encode().into()));
        }
        self.wait(0);
        drop(self.step("commitSubmission", commits, steps).await);
        self.wait(200);
        drop(self.step("openSubmission", opens, steps).await);
    }

    /// Validators commit and reveal; their sheets, in the order of the reveals.
    async fn report(&mut self, drawn: &Arena::SeedDrawn, steps: &mut Vec<Step>) -> Vec<Sheet> {
        let (chain, arena, epoch) = (self.deployment.chain_id, self.deployment.arena, self.epoch);
        let listed = u32::try_from(self.size).unwrap();
        let (mut commits, mut reveals, mut sheets) = (Vec::new(), Vec::new(), Vec::new());
        for (i, pool) in self.validators().iter().enumerate() {
            let stake = rewards::effective(pool.direct, pool.delegated, WAD).unwrap();
            let count = assignment::count(15, listed, stake, drawn.validatorStake).unwrap();
            let key = assignment::key(drawn.seed, TASK, epoch, pool.operator);
            let places = assignment::draw(key, listed, count).unwrap();
            let sheet: Sheet = places.map(|place| (place, score(epoch, place, i))).collect();
            let words: Vec<_> = sheet.iter().map(|(_, score)| *score).collect();
            let bytes = commitment::encode_scores(&words);
            let commitment =
                commitment::scores(chain, arena, TASK, epoch, pool.operator, SALT, drawn.seed, &bytes);
            let commit = Arena::commitScoresCall { task: TASK, commitment };
            commits.push((1 + self.size + i, arena, commit.abi_encode().into()));
            let reveal = Arena::revealScoresCall { task: TASK, salt: SALT, scores: bytes.into() };
            reveals.push((1 + self.size + i, arena, reveal.abi_encode().into()));
            sheets.push(sheet);
        }
        self.wait(500);
        drop(self.step("commitScores", commits, steps).await);
        self.wait(700);
        drop(self.step("revealScores", reveals, steps).await);
        sheets
    }

    async fn settle(
        &mut self,
        sheets: &[Sheet],
        settlement: &Settlement,
        steps: &mut Vec<Step>,
    ) -> Vec<TransactionReceipt> {
        let task = TASK;
        let mut revealers = vec![Vec::new(); self.size];
        for (index, sheet) in (0_u32..).zip(sheets) {
            for (place, _) in sheet.iter().filter(|(_, score)| score.is_some()) {
                revealers[*place as usize].extend(index.to_be_bytes());
            }
        }
        let tally = |(place, (pool, revealers)): (u32, (&Pool, Vec<u8>))| Arena::Tally {
            node: pool.operator,
            place,
            median: settlement.submissions[place as usize].consensus.map_or(0, Score::get),
            revealers: revealers.into(),
        };
        let tallies: Vec<_> = (0..).zip(self.nodes().iter().zip(revealers)).map(tally).collect();
        let order: Vec<Address> =
            settlement.order.iter().map(|place| self.nodes()[*place as usize].operator).collect();
        let ranges = |total: usize, most: usize| {
            (0..total).step_by(most).map(move |from| (U256::from(from), U256::from(most.min(total - from))))
        };
        let tallying =
            tallies.chunks(BATCH).map(|part| Arena::tallyCall { task, tallies: part.to_vec() }.abi_encode());
        let ranking = [Arena::rankCall { task, order: order.clone() }.abi_encode()];
        let paying = ranges(order.len(), BATCH).map(|(from, count)| {
            Arena::payNodesCall { task, from, count, order: order.clone() }.abi_encode()
        });
        let weighing = ranges(sheets.len(), WEIGHED)
            .map(|(from, count)| Arena::weighCall { task, from, count }.abi_encode());
        let rewarding = ranges(sheets.len(), BATCH)
            .map(|(from, count)| Arena::payValidatorsCall { task, from, count }.abi_encode());
        self.wait(850);
        let stages: [(&'static str, Vec<Vec<u8>>); 5] = [
            ("tally", tallying.collect()),
            ("rank", ranking.into()),
            ("payNodes", paying.collect()),
            ("weigh", weighing.collect()),
            ("payValidators", rewarding.collect()),
        ];
        let mut receipts = Vec::new();
        for (name, calls) in stages {
            let calls = calls.into_iter().map(|call| (0, self.deployment.arena, call.into())).collect();
            receipts.extend(self.step(name, calls, steps).await);
        }
        receipts
    }

    fn input(&self, budget: Budget, sheets: &[Sheet]) -> EpochInput {
        let direct = |pools: &[Pool]| pools.iter().map(|pool| pool.direct).sum();
        let first = u64::from(self.epoch - 1) * self.size as u64 + 1;
        let submissions = (first..).zip(self.nodes()).map(|(number, pool)| Submission {
            pool: *pool,
            number,
            eligible: true,
            duplicate: false,
            kept: None,
        });
        let validators = self.validators().iter().zip(sheets);
        EpochInput {
            task: Task {
                rule: RankingRule::StakeIntegral { phi_wad: WAD / U256::from(5) },
                gamma_wad: WAD / U256::from(4),
                epsilon_wad: WAD,
                tolerance: 1_000,
                redundancy: 15,
            },
            budget,
            totals: Totals {
                nodes_direct: direct(self.nodes()),
                validators_direct: direct(self.validators()),
                validators_delegated: self.validators().iter().map(|pool| pool.delegated).sum(),
            },
            submissions: submissions.collect(),
            validators: validators
                .map(|(pool, sheet)| Validator { pool: *pool, scores: sheet.clone() })
                .collect(),
        }
    }

    /// Everybody was credited once, with what the mechanism says, and the budget is used up to the unit.
    fn compare(&mut self, settlement: &Settlement, budget: Budget, receipts: &[TransactionReceipt]) {
        let logs = || receipts.iter().flat_map(|receipt| receipt.logs());
        let credits: Vec<_> = logs()
            .filter(|log| log.topic0() == Some(&Vault::Credited::SIGNATURE_HASH))
            .map(|log| Vault::Credited::decode_log(&log.inner).unwrap().data)
            .collect();
        let by_operator: BTreeMap<Address, _> =
            credits.iter().map(|credit| (credit.operator, credit)).collect();
        let ranked = settlement.order.len();
        assert!(ranked > self.size * 9 / 10, "only {ranked} are ranked");
        let paid = ranked + self.validators().len();
        assert_eq!((credits.len(), by_operator.len()), (paid, paid));
        let nodes = self.nodes().iter().zip(&settlement.submissions).map(|(pool, node)| (pool, node.payment));
        let validators = self.validators().iter().zip(&settlement.validators);
        let validators = validators.map(|(pool, validator)| (pool, validator.payment));
        let (mut operators, mut delegators) = (U256::ZERO, U256::ZERO);
        for (pool, payment) in nodes.chain(validators) {
            let Some(credit) = by_operator.get(&pool.operator) else {
                assert_eq!(payment.reward.with_delegation, U256::ZERO, "{} was not credited", pool.operator);
                continue;
            };
            assert_eq!(credit.withDelegation, payment.reward.with_delegation, "{}", pool.operator);
            assert_eq!(credit.operatorAmount, payment.operator, "{}", pool.operator);
            operators += payment.operator;
            delegators += payment.delegators;
        }
        let settled: Vec<_> = logs()
            .filter(|log| log.topic0() == Some(&Vault::BudgetSettled::SIGNATURE_HASH))
            .map(|log| Vault::BudgetSettled::decode_log(&log.inner).unwrap().data)
            .collect();
        assert_eq!(settled.len(), 1);
        assert_eq!(operators + delegators, settlement.paid);
        assert_eq!(settled[0].paid, settlement.paid);
        assert_eq!(settled[0].toReserve, settlement.unpaid.emission);
        assert_eq!(settled[0].toBounty, settlement.unpaid.bounty);
        let whole = settled[0].paid + settled[0].toReserve + settled[0].toBounty;
        assert_eq!(whole, budget.emission + budget.bounty);
        self.credited = (self.credited.0 + operators, self.credited.1 + delegators);
    }

    /// All operators claim, then the one who delegated to all of them: the vault pays what it credited.
    pub(crate) async fn claim_all(&mut self) {
        let vault = self.deployment.vault;
        let claim =
            |pool: &Pool| Bytes::from(Vault::claimCall { task: TASK, operator: pool.operator }.abi_encode());
        let operators =
            self.pools.iter().enumerate().skip(1).map(|(i, pool)| (i, vault, claim(pool))).collect();
        let delegator = self.pools.iter().skip(1).map(|pool| (0, vault, claim(pool))).collect();
        let before = self.held().await;
        drop(self.send(operators).await);
        let between = self.held().await;
        assert_eq!(before - between, self.credited.0, "the operators' parts");
        drop(self.send(delegator).await);
        let paid = between - self.held().await;
        // The sum per share has 64 binary places. What that cannot divide stays pending, and each credit and the claim round
        // once (M-6).
        let most = |pool: &Pool| (pool.delegated >> 64_usize) + U256::from(2 + EPOCHS);
        let most: U256 = self.pools.iter().skip(1).map(most).sum();
        let missing = self.credited.1 - paid;
        assert!(missing <= most, "delegators miss {missing} of at most {most}");
    }

    /// Tokens in the vault.
    async fn held(&self) -> U256 {
        let token = ArenaToken::new(self.deployment.token, &self.provider);
        token.balanceOf(self.deployment.vault).call().await.unwrap()
    }

    fn wait(&mut self, offset: u64) {
        let time = GENESIS + u64::from(self.epoch - 1) * u64::from(EPOCH_LENGTH) + offset;
        self.now = self.now.max(time);
    }

    async fn step(
        &mut self,
        name: &'static str,
        calls: Vec<Call>,
        steps: &mut Vec<Step>,
    ) -> Vec<TransactionReceipt> {
        let receipts = self.send(calls).await;
        steps.push(Step::new(name, &receipts));
        receipts
    }

    /// Mines the calls, in their order; all must succeed.
    async fn send(&mut self, calls: Vec<Call>) -> Vec<TransactionReceipt> {
        let mut receipts = Vec::with_capacity(calls.len());
        for calls in calls.chunks(CALLS_PER_BLOCK) {
            receipts.extend(self.mine(calls).await);
        }
        receipts
    }

    async fn mine(&mut self, calls: &[Call]) -> Vec<TransactionReceipt> {
        for (from, to, input) in calls {
            let mut tx = TxEip1559 {
                chain_id: self.deployment.chain_id,
                nonce: self.nonces[*from],
                gas_limit: GAS,
                to: TxKind::Call(*to),
                input: input.clone(),
                ..TxEip1559::default()
            };
            self.nonces[*from] += 1;
            let signature = self.keys[*from].sign_transaction_sync(&mut tx).unwrap();
            let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
            drop(self.provider.send_raw_transaction(&raw).await.unwrap());
        }
        self.now += 1;
        self.provider.anvil_set_next_block_timestamp(self.now).await.unwrap();
        self.provider.anvil_mine(Some(1), None).await.unwrap();
        let receipts = self.provider.get_block_receipts(BlockId::latest()).await.unwrap().unwrap();
        assert_eq!(receipts.len(), calls.len(), "a transaction is missing");
        for (receipt, (from, _, input)) in receipts.iter().zip(calls) {
            assert!(receipt.status(), "epoch {}: {from} cannot call {}", self.epoch, input.slice(..4));
        }
        receipts
    }
}

/// The default rules, fresh data, and as many submissions as a task may have.
fn params() -> Arena::TaskParams {
    let wad: u64 = WAD.to();
    Arena::TaskParams {
        metadata: B256::ZERO,
        evaluationRoot: B256::ZERO,
        minNodeStake: U96::from(1),
        minValidatorStake: U96::from(1),
        redundancy: 15,
        freshData: true,
        rule: 0,
        metric: 0,
        maxSubmissions: 2_048,
        rankCutoff: 0,
        epsilonWad: wad,
        gammaWad: wad / 4,
        phiWad: wad / 5,
        tolerance: 1_000,
        epochs: EPOCHS + 2,
        qWad: 0,
        alphaWad: 0,
        lossCapWad: 0,
    }
}

/// What a validator says of a submission: nearly the truth, now and then nothing, zero, or something else.
fn score(epoch: u32, place: u32, validator: usize) -> Option<Score> {
    let truth = number("truth", u64::from(epoch) << 32 | u64::from(place), 999_000_000);
    let own = u64::from(epoch) << 48 | u64::from(place) << 16 | validator as u64;
    let wire = match number("whim", own, 100) {
        0 => u64::from(u32::MAX),
        1 => 0,
        2 => number("guess", own, 1_000_000_000),
        _ => 1 + truth + number("noise", own, 3_000),
    };
    Score::from_wire(u32::try_from(wire).unwrap()).unwrap()
}

fn event<E: SolEvent>(receipt: &TransactionReceipt) -> E {
    let log = receipt.logs().iter().find(|log| log.topic0() == Some(&E::SIGNATURE_HASH)).unwrap();
    E::decode_log(&log.inner).unwrap().data
}
