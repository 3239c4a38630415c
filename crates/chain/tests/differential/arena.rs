//! An arena on an embedded chain in which several tasks run epoch after epoch.

use std::collections::BTreeMap;

use aiarena_chain::{
    bindings::{Arena as Contract, ArenaToken, Emission, Vault},
    client::Account,
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    embedded::{Config, EmbeddedChain},
};
use aiarena_mechanism::{
    Score, assignment,
    budget::Budget,
    commitment, rewards,
    settle::{EpochInput, Settlement, Status, Submission, Totals, Validator, settle},
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

use crate::{
    population::{Member, Population, content, score},
    random::Random,
};

const GENESIS: u64 = 1_800_000_000;
const EPOCH_LENGTH: u32 = 1_000;
const WAD: u64 = 1_000_000_000_000_000_000;
/// Gas of a transaction: no more than any chain gives one.
const GAS: u64 = 16_700_000;
/// So many of them fit into one block.
const CALLS_PER_BLOCK: usize = 590;
const SALT: B256 = B256::repeat_byte(7);
const SCHEDULE: Schedule = Schedule {
    submit_end: 200,
    disclose_end: 400,
    seed_end: 500,
    commit_end: 700,
    reveal_end: 850,
    seed_delay: 0,
    silent_epochs: 3,
};
/// Most nodes, validators and delegators of a population; a person may take part in every task.
const ACCOUNTS: usize = 800;
const TASKS: u64 = 10;
const EPOCHS: u32 = 5;

/// Calls that are to be mined together: who sends, to whom, what.
type Calls = Vec<(usize, Address, Bytes)>;

pub(crate) struct Arena {
    provider: DynProvider,
    deployment: Deployment,
    keys: Vec<PrivateKeySigner>,
    nonces: Vec<u64>,
    now: u64,
    epoch: u32,
    populations: Vec<Population>,
}

/// An epoch of a task as the chain drew it.
struct Flight {
    seed: B256,
    validator_stake: U256,
    budget: Budget,
    /// The list: number of the node, its commitment number, and what it submitted.
    entries: Vec<(usize, u64, B256)>,
}

impl Arena {
    pub(crate) async fn build(seed: u64, random: &mut Random) -> Self {
        let keys: Vec<PrivateKeySigner> = (0..ACCOUNTS)
            .map(|i| PrivateKeySigner::from_bytes(&keccak256(U256::from(i + 1).to_be_bytes::<32>())).unwrap())
            .collect();
        let config = Config {
            genesis_timestamp: GENESIS - 10_000,
            base_fee: 0,
            priority_fee: 0,
            gas_limit: 10_000_000_000,
            seed: keccak256(seed.to_be_bytes()),
            ..Config::default()
        };
        let rich = U256::from(WAD) << 64;
        let config = keys.iter().fold(config, |config, key| config.with_balance(key.address(), rich));
        let chain = EmbeddedChain::new(config).unwrap();
        let owner = Account::new(chain.rpc_client(), keys[0].clone());
        let mut rules = DeployConfig::new(GENESIS, EPOCH_LENGTH, SCHEDULE);
        rules.emission = random.amount();
        let (deployment, sent) = deploy(&owner, rules).await.unwrap();
        let provider = chain.provider();
        provider.anvil_set_auto_mine(false).await.unwrap();
        let mut nonces = vec![0; ACCOUNTS];
        nonces[0] = sent.len() as u64;
        let mut arena = Self {
            provider,
            deployment,
            keys,
            nonces,
            now: GENESIS - 5_000,
            epoch: 0,
            populations: Vec::new(),
        };
        let accounts: Vec<Address> = arena.keys.iter().map(PrivateKeySigner::address).collect();
        arena.populations =
            (1..=TASKS).map(|task| Population::new(task, random, &accounts, EPOCHS + 2)).collect();
        arena.found().await;
        arena
    }

    /// Creates the tasks and stakes for everybody; all of it counts from epoch 1 on.
    async fn found(&mut self) {
        let (token, vault) = (self.deployment.token, self.deployment.vault);
        let mut calls = Calls::new();
        for i in 0..ACCOUNTS {
            let mint = ArenaToken::mintCall { to: self.keys[i].address(), amount: U256::from(1) << 84 };
            calls.push((0, token, mint.abi_encode().into()));
            let approve = ArenaToken::approveCall { spender: vault, value: U256::MAX };
            calls.push((i, token, approve.abi_encode().into()));
        }
        let fund = Vault::fundEmissionCall { amount: U96::from(1_u128 << 80) };
        calls.push((0, vault, fund.abi_encode().into()));
        for population in &self.populations {
            let create = Contract::createTaskCall { params: population.params.clone() };
            calls.push((0, self.deployment.arena, create.abi_encode().into()));
            if population.task.bit(0) {
                let admit = Emission::admitCall { task: population.task };
                calls.push((0, self.deployment.emission, admit.abi_encode().into()));
            }
            let fund = Vault::fundCall { task: population.task, amount: narrow(population.bounty) };
            calls.push((0, vault, fund.abi_encode().into()));
            for (role, members) in [(1, &population.nodes), (2, &population.validators)] {
                for member in members {
                    stake(vault, population.task, role, member, &mut calls);
                }
            }
        }
        drop(self.block(calls).await);
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.epoch < EPOCHS
    }

    pub(crate) fn largest(&self) -> (usize, usize, usize) {
        self.populations.iter().map(Population::sizes).max().unwrap_or_default()
    }

    /// Plays an epoch of all tasks; returns how many were settled, and how many pools were paid.
    pub(crate) async fn epoch(&mut self, random: &mut Random) -> (usize, usize) {
        self.epoch += 1;
        let submitted = self.submit(random).await;
        let flights = self.draw(submitted).await;
        let sheets = self.report(&flights, random).await;
        let mut payments = 0;
        let mut populations = self.populations.clone();
        if self.epoch == 1 {
            // A commission that was set before the first epoch acts from the second one on.
            populations.iter_mut().for_each(Population::forget_commissions);
        }
        for ((population, flight), sheets) in populations.iter().zip(&flights).zip(&sheets) {
            let settlement = settle(&input(population, flight, sheets)).unwrap();
            let credited = self.settle(population, flight, sheets, &settlement).await;
            payments += compare(population, flight, sheets, &settlement, &credited);
        }
        (flights.len(), payments)
    }

    /// Everybody commits, and opens. The list of each task, in its order.
    async fn submit(&mut self, random: &mut Random) -> Vec<BTreeMap<usize, B256>> {
        let (arena, epoch) = (self.deployment.arena, self.epoch);
        let (mut commits, mut opens, mut submitted) = (Calls::new(), Calls::new(), Vec::new());
        for population in &self.populations {
            let mut contents = BTreeMap::new();
            for (i, node) in population.nodes.iter().enumerate() {
                let hash = content(epoch, population.task, i, random);
                let (task, salt) = (population.task, SALT);
                let commitment = commitment::submission(
                    self.deployment.chain_id,
                    arena,
                    task,
                    epoch,
                    node.pool.operator,
                    hash,
                    salt,
                );
                let commit = Contract::commitSubmissionCall { task, commitment };
                commits.push((node.account, arena, commit.abi_encode().into()));
                let open = Contract::openSubmissionCall { task, contentHash: hash, salt, uri: String::new() };
                opens.push((node.account, arena, open.abi_encode().into()));
                contents.insert(i, hash);
            }
            submitted.push(contents);
        }
        self.wait(0);
        drop(self.block(commits).await);
        self.wait(200);
        drop(self.block(opens).await);
        submitted
    }

    async fn draw(&mut self, submitted: Vec<BTreeMap<usize, B256>>) -> Vec<Flight> {
        let arena = self.deployment.arena;
        self.wait(400);
        let calls = self.populations.iter().map(|population| {
            (0, arena, Contract::drawSeedCall { task: population.task }.abi_encode().into())
        });
        let receipts = self.block(calls.collect()).await;
        let flight = |((population, contents), receipt): (
            (&Population, BTreeMap<usize, B256>),
            &TransactionReceipt,
        )| {
            let drawn: Contract::SeedDrawn = event(receipt);
            let opened: Vault::BudgetOpened = event(receipt);
            // Commitments are numbered as they arrive, which is by node, epoch after epoch.
            let nodes = population.nodes.len() as u64;
            let number = |i: usize| u64::from(self.epoch - 1) * nodes + i as u64 + 1;
            Flight {
                seed: drawn.seed,
                validator_stake: drawn.validatorStake,
                budget: Budget { emission: opened.emission, bounty: opened.bounty },
                entries: contents.into_iter().map(|(i, hash)| (i, number(i), hash)).collect(),
            }
        };
        self.populations.iter().zip(submitted).zip(&receipts).map(flight).collect()
    }

    /// Validators commit and most of them reveal. By task: number of the validator and its sheet, in the order of reveals.
    async fn report(&mut self, flights: &[Flight], random: &mut Random) -> Vec<Vec<(usize, Sheet)>> {
        let (arena, epoch, chain_id) = (self.deployment.arena, self.epoch, self.deployment.chain_id);
        let (mut commits, mut reveals, mut sheets) = (Calls::new(), Calls::new(), Vec::new());
        for (population, flight) in self.populations.iter().zip(flights) {
            let truths: Vec<u32> = flight
                .entries
                .iter()
                .map(|_| 1 + u32::try_from(random.word() % 999_990_000).unwrap())
                .collect();
            let mut of_task = Vec::new();
            for (i, validator) in population.validators.iter().enumerate() {
                let places = places(population, flight, validator, epoch);
                let scores: Vec<_> =
                    places.iter().map(|place| (*place, score(truths[*place as usize], random))).collect();
                let words: Vec<_> = scores.iter().map(|(_, score)| *score).collect();
                let bytes = commitment::encode_scores(&words);
                let (task, operator) = (population.task, validator.pool.operator);
                let commitment =
                    commitment::scores(chain_id, arena, task, epoch, operator, SALT, flight.seed, &bytes);
                let commit = Contract::commitScoresCall { task, commitment };
                commits.push((validator.account, arena, commit.abi_encode().into()));
                if random.chance(90) {
                    let reveal = Contract::revealScoresCall { task, salt: SALT, scores: bytes.into() };
                    reveals.push((validator.account, arena, reveal.abi_encode().into()));
                    of_task.push((i, scores));
                }
            }
            sheets.push(of_task);
        }
        self.wait(500);
        drop(self.block(commits).await);
        self.wait(700);
        drop(self.block(reveals).await);
        self.wait(850);
        sheets
    }

    /// Sends the settlement of one task's epoch; what was credited, by operator.
    async fn settle(
        &mut self,
        population: &Population,
        flight: &Flight,
        sheets: &[(usize, Sheet)],
        settlement: &Settlement,
    ) -> BTreeMap<Address, Vault::Credited> {
        let (arena, task) = (self.deployment.arena, population.task);
        let tallies: Vec<_> = (0..)
            .zip(&flight.entries)
            .map(|(place, (i, _, _))| {
                let scored = |(_, sheet): &(usize, Sheet)| {
                    sheet.iter().any(|(scored, score)| *scored == place && score.is_some())
                };
                let revealers = (0_u32..).zip(sheets).filter(|(_, sheet)| scored(sheet));
                Contract::Tally {
                    node: population.nodes[*i].pool.operator,
                    place,
                    median: settlement.submissions[place as usize].consensus.map_or(0, Score::get),
                    revealers: revealers
                        .flat_map(|(index, _)| index.to_be_bytes())
                        .collect::<Vec<_>>()
                        .into(),
                }
            })
            .collect();
        let order: Vec<Address> = settlement
            .order
            .iter()
            .map(|place| population.nodes[flight.entries[*place as usize].0].pool.operator)
            .collect();
        let mut calls: Vec<Bytes> = tallies
            .chunks(40)
            .map(|part| Contract::tallyCall { task, tallies: part.to_vec() }.abi_encode().into())
            .collect();
        let ranges = |total: usize, most: usize| {
            (0..total).step_by(most).map(move |from| (U256::from(from), U256::from(most.min(total - from))))
        };
        if !order.is_empty() {
            calls.push(Contract::rankCall { task, order: order.clone() }.abi_encode().into());
            calls.extend(ranges(order.len(), 60).map(|(from, count)| {
                Bytes::from(Contract::payNodesCall { task, from, count, order: order.clone() }.abi_encode())
            }));
        }
        calls.extend(
            ranges(sheets.len(), 20)
                .map(|(from, count)| Bytes::from(Contract::weighCall { task, from, count }.abi_encode())),
        );
        if !settlement.validator_weight.is_zero() {
            calls.extend(ranges(sheets.len(), 60).map(|(from, count)| {
                Bytes::from(Contract::payValidatorsCall { task, from, count }.abi_encode())
            }));
        }
        let receipts = self.block(calls.into_iter().map(|call| (0, arena, call)).collect()).await;
        let logs = receipts.iter().flat_map(|receipt| receipt.logs());
        let settled =
            logs.clone().filter(|log| log.topic0() == Some(&Contract::EpochSettled::SIGNATURE_HASH));
        assert_eq!(settled.count(), 1, "task {task} is not settled");
        let credits = logs.filter(|log| log.topic0() == Some(&Vault::Credited::SIGNATURE_HASH));
        credits
            .map(|log| Vault::Credited::decode_log(&log.inner).unwrap().data)
            .map(|e| (e.operator, e))
            .collect()
    }

    fn wait(&mut self, offset: u64) {
        self.now = GENESIS + u64::from(self.epoch - 1) * u64::from(EPOCH_LENGTH) + offset;
    }

    /// Mines the calls, in their order; all must succeed.
    async fn block(&mut self, calls: Calls) -> Vec<TransactionReceipt> {
        let mut receipts = Vec::with_capacity(calls.len());
        for calls in calls.chunks(CALLS_PER_BLOCK) {
            receipts.extend(self.mine(calls).await);
        }
        receipts
    }

    async fn mine(&mut self, calls: &[(usize, Address, Bytes)]) -> Vec<TransactionReceipt> {
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

/// What a validator drew, in the order of the draw, and what it says of it.
type Sheet = Vec<(u32, Option<Score>)>;

fn stake(vault: Address, task: U256, role: u8, member: &Member, calls: &mut Calls) {
    let stake = Vault::stakeCall { task, role, amount: narrow(member.pool.direct) };
    calls.push((member.account, vault, stake.abi_encode().into()));
    let commission = Vault::setCommissionCall { task, commissionWad: member.pool.commission_wad.to() };
    calls.push((member.account, vault, commission.abi_encode().into()));
    for (delegator, amount) in &member.delegations {
        let operator = member.pool.operator;
        let delegate = Vault::delegateCall { task, operator, amount: narrow(*amount) };
        calls.push((*delegator, vault, delegate.abi_encode().into()));
    }
}

fn places(population: &Population, flight: &Flight, validator: &Member, epoch: u32) -> Vec<u32> {
    let (pool, rules) = (&validator.pool, &population.rules);
    let stake = rewards::effective(pool.direct, pool.delegated, rules.epsilon_wad).unwrap();
    let listed = u32::try_from(flight.entries.len()).unwrap();
    let count = assignment::count(rules.redundancy, listed, stake, flight.validator_stake).unwrap();
    let key = assignment::key(flight.seed, population.task, epoch, pool.operator);
    assignment::draw(key, listed, count).unwrap().collect()
}

fn input(population: &Population, flight: &Flight, sheets: &[(usize, Sheet)]) -> EpochInput {
    let sum = |members: &[Member], part: fn(&Member) -> U256| members.iter().map(part).sum();
    let submissions = flight.entries.iter().map(|(i, number, hash)| Submission {
        pool: population.nodes[*i].pool,
        number: *number,
        eligible: true,
        // The node of the lowest number that disclosed it keeps it.
        duplicate: flight.entries.iter().any(|(_, other, same)| same == hash && other < number),
        kept: None,
    });
    let validators = sheets
        .iter()
        .map(|(i, sheet)| Validator { pool: population.validators[*i].pool, scores: sheet.clone() });
    EpochInput {
        task: population.rules,
        budget: flight.budget,
        totals: Totals {
            nodes_direct: sum(&population.nodes, |member| member.pool.direct),
            validators_direct: sum(&population.validators, |member| member.pool.direct),
            validators_delegated: sum(&population.validators, |member| member.pool.delegated),
        },
        submissions: submissions.collect(),
        validators: validators.collect(),
    }
}

/// Every pool got what the mechanism says; returns how many were paid.
fn compare(
    population: &Population,
    flight: &Flight,
    sheets: &[(usize, Sheet)],
    settlement: &Settlement,
    credited: &BTreeMap<Address, Vault::Credited>,
) -> usize {
    let nodes = flight.entries.iter().zip(&settlement.submissions).map(|((i, _, _), submission)| {
        (population.nodes[*i].pool.operator, submission.payment, submission.status == Status::Ranked)
    });
    let validators = sheets.iter().zip(&settlement.validators).map(|((i, _), validator)| {
        let paid = !settlement.validator_weight.is_zero();
        (population.validators[*i].pool.operator, validator.payment, paid)
    });
    let mut paid = U256::ZERO;
    for (operator, payment, expected) in nodes.chain(validators) {
        let of_task = format!("task {}, operator {operator}", population.task);
        let Some(credit) = credited.get(&operator) else {
            assert!(!expected, "{of_task} was not credited");
            continue;
        };
        assert!(expected, "{of_task} was credited");
        assert_eq!(credit.withDelegation, payment.reward.with_delegation, "{of_task}: reward");
        assert_eq!(credit.operatorAmount, payment.operator, "{of_task}: the operator's part");
        assert_eq!(
            credit.withDelegation - credit.operatorAmount,
            payment.delegators,
            "{of_task}: the delegators' part"
        );
        paid += credit.withDelegation;
    }
    assert_eq!(paid, settlement.paid, "task {}: the sum", population.task);
    credited.len()
}

fn event<E: SolEvent>(receipt: &TransactionReceipt) -> E {
    let log = receipt.logs().iter().find(|log| log.topic0() == Some(&E::SIGNATURE_HASH)).unwrap();
    E::decode_log(&log.inner).unwrap().data
}

fn narrow(amount: U256) -> U96 {
    amount.saturating_to()
}
