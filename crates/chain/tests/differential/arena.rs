//! An arena on an embedded chain in which several tasks run epoch after epoch.

use std::collections::BTreeMap;

use aiarena_chain::{
    bindings::{Arena as Contract, ArenaToken, Emission, Vault},
    client::Account,
    deploy::{DeployConfig, Deployment, Schedule, deploy},
    embedded::{Config, EmbeddedChain},
};
use aiarena_mechanism::{
    budget::Budget,
    commitment, rewards,
    settle::{Settlement, settle},
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
    batches::{batches, merge, overlapping, shuffle},
    flight::{Flight, Sheet, compare, input, part, places, tally},
    population::{MOST, Population, content, score},
    random::Random,
    stakes::{SILENT_EPOCHS, UNBONDING_EPOCHS, narrow},
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
    silent_epochs: SILENT_EPOCHS,
};
/// Of a population with the most nodes, validators and delegators; a person may take part in every task.
const ACCOUNTS: usize = MOST.0 + MOST.1 + MOST.2;
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
    slash_wad: U256,
    populations: Vec<Population>,
    /// Epochs that are settled when the next one has begun.
    late: Vec<Flight>,
    pub(crate) seen: Seen,
}

/// What came up in the epochs that were settled.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) epochs: usize,
    pub(crate) payments: usize,
    /// Submissions that kept an earlier score.
    pub(crate) kept: usize,
    /// Submissions of nodes below the least stake, or withdrawn.
    pub(crate) ineligible: usize,
    pub(crate) evicted: usize,
    /// Slashes of validators that did not reveal, and of those that did not commit.
    pub(crate) slashed: usize,
    pub(crate) silent: usize,
    /// Epochs that were settled in the next one.
    pub(crate) late: usize,
    /// Submissions that were tallied in two calls.
    pub(crate) parts: usize,
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
        rules.unbonding_epochs = UNBONDING_EPOCHS;
        rules.slash_wad = random.word() % (WAD / 10 + 1);
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
            slash_wad: U256::from(rules.slash_wad),
            populations: Vec::new(),
            late: Vec::new(),
            seen: Seen::default(),
        };
        let accounts: Vec<Address> = arena.keys.iter().map(PrivateKeySigner::address).collect();
        arena.populations = (1..=TASKS)
            .map(|task| Population::new(task, (seed, task) == (0, 1), random, &accounts, EPOCHS + 2))
            .collect();
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
                let mut of_pools = Vec::new();
                members.iter().for_each(|member| member.found(population.task, role, &mut of_pools));
                calls.extend(of_pools.into_iter().map(|(from, call)| (from, vault, call)));
            }
        }
        drop(self.block(calls).await);
    }

    pub(crate) fn goes_on(&self) -> bool {
        self.epoch < EPOCHS
    }

    pub(crate) fn sizes(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        self.populations.iter().map(Population::sizes)
    }

    /// Plays an epoch of all tasks.
    pub(crate) async fn epoch(&mut self, random: &mut Random) {
        self.epoch += 1;
        self.wait(0);
        self.move_stakes(random).await;
        for flight in std::mem::take(&mut self.late) {
            self.seen.late += 1;
            self.finish(flight, random).await;
        }
        self.evict(random).await;
        self.submit(random).await;
        let mut flights = self.draw().await;
        self.report(&mut flights, random).await;
        for flight in flights {
            if self.goes_on() && random.chance(20) {
                self.late.push(flight);
            } else {
                self.finish(flight, random).await;
            }
        }
    }

    /// Some stake moves, and some submissions are withdrawn; all of it acts from the next epoch on.
    async fn move_stakes(&mut self, random: &mut Random) {
        let (arena, vault, epoch) = (self.deployment.arena, self.deployment.vault, self.epoch);
        let mut calls = Calls::new();
        for population in &mut self.populations {
            let task = population.task;
            for (role, members) in [(1, &mut population.nodes), (2, &mut population.validators)] {
                for member in members {
                    member.begin_epoch();
                    if random.chance(12)
                        && let Some((from, call)) = member.move_stake(task, role, epoch, random)
                    {
                        calls.push((from, vault, call));
                    }
                }
            }
            for entry in &mut population.list.entries {
                if entry.withdrawn_in.is_none() && random.chance(3) {
                    entry.withdrawn_in = Some(epoch);
                    let withdraw = Contract::withdrawSubmissionCall { task };
                    let from = population.nodes[entry.node].account;
                    calls.push((from, arena, withdraw.abi_encode().into()));
                }
            }
        }
        drop(self.block(calls).await);
    }

    /// Of the submissions that are not eligible half make way, the last on the list first.
    async fn evict(&mut self, random: &mut Random) {
        let (arena, epoch) = (self.deployment.arena, self.epoch);
        let mut calls = Calls::new();
        for population in &mut self.populations {
            for place in (0..population.list.entries.len()).rev() {
                let entry = &population.list.entries[place];
                if !population.is_eligible(entry, epoch) && random.chance(50) {
                    let node = population.nodes[entry.node].pool.operator;
                    let evict = Contract::evictCall { task: population.task, node };
                    calls.push((0, arena, evict.abi_encode().into()));
                    population.list.evict(place);
                }
            }
        }
        self.seen.evicted += calls.len();
        drop(self.block(calls).await);
    }

    /// At first nearly all eligible nodes commit and open, later some of them.
    async fn submit(&mut self, random: &mut Random) {
        let (arena, epoch, chain_id) = (self.deployment.arena, self.epoch, self.deployment.chain_id);
        let (mut commits, mut opens) = (Calls::new(), Calls::new());
        for population in &mut self.populations {
            let task = population.task;
            let mut committed = BTreeMap::new();
            let mut nodes: Vec<usize> =
                (0..population.nodes.len()).filter(|i| population.has_node(*i)).collect();
            shuffle(&mut nodes, random);
            let percent = if epoch == 1 { 95 } else { 40 };
            nodes.retain(|_| random.chance(percent));
            for i in nodes {
                let node = &population.nodes[i];
                let hash = content(epoch, task, i, random);
                let operator = node.pool.operator;
                let commitment = commitment::submission(chain_id, arena, task, epoch, operator, hash, SALT);
                let commit = Contract::commitSubmissionCall { task, commitment };
                commits.push((node.account, arena, commit.abi_encode().into()));
                population.list.commitments += 1;
                committed.insert(i, (population.list.commitments, hash));
            }
            for (i, (number, hash)) in committed {
                let open =
                    Contract::openSubmissionCall { task, contentHash: hash, salt: SALT, uri: String::new() };
                opens.push((population.nodes[i].account, arena, open.abi_encode().into()));
                population.list.open(i, number, hash);
            }
        }
        drop(self.block(commits).await);
        self.wait(200);
        drop(self.block(opens).await);
    }

    /// Draws the seeds of all tasks with a submission and an eligible validator.
    async fn draw(&mut self) -> Vec<Flight> {
        self.wait(400);
        let drawn = |population: &Population| {
            !population.list.entries.is_empty() && !population.totals().validators_direct.is_zero()
        };
        let indices: Vec<usize> =
            (0..self.populations.len()).filter(|i| drawn(&self.populations[*i])).collect();
        let draw = |i: &usize| {
            let seed = Contract::drawSeedCall { task: self.populations[*i].task };
            (0, self.deployment.arena, seed.abi_encode().into())
        };
        let calls = indices.iter().map(draw).collect();
        let receipts = self.block(calls).await;
        let mut flights = Vec::new();
        for (index, receipt) in indices.into_iter().zip(&receipts) {
            self.check_stakes(index).await;
            let drawn: Contract::SeedDrawn = event(receipt);
            let opened: Vault::BudgetOpened = event(receipt);
            let mut population = self.populations[index].clone();
            if self.epoch == 1 {
                // A commission that was set before the first epoch acts from the second one on.
                population.forget_commissions();
            }
            let listed = self.populations[index].list.draw(population.params.freshData);
            assert_eq!(drawn.listed, U256::from(listed.len()), "task {}", population.task);
            flights.push(Flight {
                index,
                epoch: self.epoch,
                previous: std::mem::replace(&mut self.populations[index].drawn, self.epoch),
                seed: drawn.seed,
                validator_stake: drawn.validatorStake,
                budget: Budget { emission: opened.emission, bounty: opened.bounty },
                population,
                listed,
                sheets: Vec::new(),
                unrevealed: Vec::new(),
                silent: Vec::new(),
            });
        }
        flights
    }

    /// The vault counts the stakes that the moves and slashes so far make.
    async fn check_stakes(&self, index: usize) {
        let population = &self.populations[index];
        let vault = Vault::new(self.deployment.vault, &self.provider);
        for (role, members) in [(1, &population.nodes), (2, &population.validators)] {
            let operators: Vec<Address> = members.iter().map(|member| member.pool.operator).collect();
            let epoch = U256::from(self.epoch);
            let stakes = vault.stakesAt(population.task, role, operators, epoch).call().await.unwrap();
            for (stake, member) in stakes.iter().zip(members) {
                let (direct, delegated) = (U256::from(stake.direct), U256::from(stake.delegated));
                let expected = (member.pool.direct, member.pool.delegated);
                assert_eq!((direct, delegated), expected, "task {}, epoch {epoch}", population.task);
            }
        }
    }

    /// Most eligible validators commit, and most of those reveal. Each sixth account is seldom there.
    async fn report(&mut self, flights: &mut [Flight], random: &mut Random) {
        let (arena, epoch, chain_id) = (self.deployment.arena, self.epoch, self.deployment.chain_id);
        let (mut commits, mut reveals) = (Calls::new(), Calls::new());
        for flight in flights.iter_mut().filter(|flight| !flight.listed.is_empty()) {
            let population = &flight.population;
            let task = population.task;
            let truths: Vec<u32> = (0..population.list.entries.len())
                .map(|_| 1 + u32::try_from(random.word() % 999_990_000).unwrap())
                .collect();
            for (i, validator) in population.validators.iter().enumerate() {
                if !population.has_validator(i) {
                    continue;
                }
                let percent = if validator.account.is_multiple_of(6) { 80 } else { 2 };
                if random.chance(percent) {
                    flight.silent.push(i);
                    continue;
                }
                let sheet: Sheet = places(flight, validator)
                    .map(|place| (place, score(truths[place as usize], random)))
                    .collect();
                let words: Vec<_> = sheet.iter().map(|(_, score)| *score).collect();
                let bytes = commitment::encode_scores(&words);
                let operator = validator.pool.operator;
                let commitment =
                    commitment::scores(chain_id, arena, task, epoch, operator, SALT, flight.seed, &bytes);
                let commit = Contract::commitScoresCall { task, commitment };
                commits.push((validator.account, arena, commit.abi_encode().into()));
                if random.chance(90) {
                    let reveal = Contract::revealScoresCall { task, salt: SALT, scores: bytes.into() };
                    reveals.push((validator.account, arena, reveal.abi_encode().into()));
                    flight.sheets.push((i, sheet));
                } else {
                    flight.unrevealed.push(i);
                }
            }
        }
        self.wait(500);
        drop(self.block(commits).await);
        self.wait(700);
        drop(self.block(reveals).await);
        self.wait(850);
    }

    /// Most offenders are reported, and the epoch is settled and compared.
    async fn finish(&mut self, flight: Flight, random: &mut Random) {
        let task = flight.population.task;
        self.report_offences(&flight, random).await;
        let input = input(&flight);
        let settlement = settle(&input).unwrap();
        assert_eq!(settlement.validator_stake, flight.validator_stake, "task {task}: V");
        let credited = self.settle(&flight, &settlement, random).await;
        self.seen.epochs += 1;
        self.seen.payments += compare(&flight, &settlement, &credited);
        self.seen.kept += input.submissions.iter().filter(|submission| submission.kept.is_some()).count();
        self.seen.ineligible += input.submissions.iter().filter(|submission| !submission.eligible).count();
    }

    async fn report_offences(&mut self, flight: &Flight, random: &mut Random) {
        let (arena, task, epsilon) =
            (self.deployment.arena, flight.population.task, flight.population.rules.epsilon_wad);
        let (mut reports, mut counts) = (Calls::new(), Vec::new());
        let unrevealed = flight.unrevealed.iter().map(|i| (*i, true));
        let silent = flight.silent.iter().map(|i| (*i, false));
        for (i, committed) in unrevealed.chain(silent) {
            if random.chance(20) {
                continue;
            }
            let pool = flight.population.validators[i].pool;
            let validator = pool.operator;
            let reported = &mut self.populations[flight.index].validators[i];
            let (report, slashes) = if committed {
                self.seen.slashed += 1;
                (Contract::reportUnrevealedCall { task, validator }.abi_encode(), true)
            } else {
                let (count, slashes) = reported.report_silent(flight.epoch, flight.previous);
                counts.push((validator, U256::from(count)));
                self.seen.silent += usize::from(slashes);
                (Contract::reportSilentCall { task, validator }.abi_encode(), slashes)
            };
            if slashes {
                let effective = rewards::effective(pool.direct, pool.delegated, epsilon).unwrap();
                reported.slash(effective, self.epoch, self.slash_wad);
            }
            reports.push((0, arena, report.into()));
        }
        let receipts = self.block(reports).await;
        let logs = receipts.iter().flat_map(|receipt| receipt.logs());
        let reported: Vec<_> = logs
            .filter_map(|log| Contract::SilenceReported::decode_log(&log.inner).ok())
            .map(|event| (event.validator, event.count))
            .collect();
        assert_eq!(reported, counts, "task {task}: silent epochs in a row");
    }

    /// Sends the settlement of one task's epoch, in batches of any order and size; what was credited, by operator.
    async fn settle(
        &mut self,
        flight: &Flight,
        settlement: &Settlement,
        random: &mut Random,
    ) -> BTreeMap<Address, Vault::Credited> {
        let (arena, task) = (self.deployment.arena, flight.population.task);
        let operator = |entry: &usize| flight.operator(*entry);
        let mut entries: Vec<usize> = (0..flight.population.list.entries.len()).collect();
        shuffle(&mut entries, random);
        let mut calls: Vec<Bytes> = Vec::new();
        for (from, count) in batches(entries.len(), 40, random) {
            let mut tallies: Vec<_> =
                entries[from..from + count].iter().map(|entry| tally(flight, settlement, *entry)).collect();
            for part in tallies.iter_mut().filter_map(|tally| part(tally, random)) {
                self.seen.parts += 1;
                calls.push(Contract::tallyPartCall { task, part }.abi_encode().into());
            }
            calls.push(Contract::tallyCall { task, tallies }.abi_encode().into());
        }
        let scored = &mut self.populations[flight.index].list;
        for entry in entries.iter().filter(|entry| flight.listed.contains(entry)) {
            scored.score(*entry, settlement.submissions[*entry].consensus);
        }
        let order: Vec<Address> = settlement.order.iter().map(|place| operator(&(*place as usize))).collect();
        let (mut nodes, mut validators) = (Vec::new(), Vec::new());
        if !order.is_empty() {
            calls.push(Contract::rankCall { task, order: order.clone() }.abi_encode().into());
            nodes.extend(overlapping(order.len(), 60, random).map(|(from, count)| {
                Bytes::from(Contract::payNodesCall { task, from, count, order: order.clone() }.abi_encode())
            }));
        }
        let revealed = flight.sheets.len();
        validators.extend(
            overlapping(revealed, 20, random)
                .map(|(from, count)| Bytes::from(Contract::weighCall { task, from, count }.abi_encode())),
        );
        if !settlement.validator_weight.is_zero() {
            validators.extend(overlapping(revealed, 60, random).map(|(from, count)| {
                Bytes::from(Contract::payValidatorsCall { task, from, count }.abi_encode())
            }));
        }
        calls.extend(merge(nodes, validators, random));
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

fn event<E: SolEvent>(receipt: &TransactionReceipt) -> E {
    let log = receipt.logs().iter().find(|log| log.topic0() == Some(&E::SIGNATURE_HASH)).unwrap();
    E::decode_log(&log.inner).unwrap().data
}
