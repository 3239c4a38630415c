//! What people do: anything, at any time, and most of it sensible.

use aiarena_chain::{
    bindings::{Arena, Emission, Vault},
    ledger::{Phase, Pool, Stage, Task},
};
use aiarena_mechanism::commitment;
use alloy::primitives::{Address, B256, U256};

use crate::{
    random::Random,
    settle,
    world::{NODES, PEOPLE, Planned, TASKS, VALIDATORS, WAD, World, narrow, plan},
};

impl World {
    /// Plays an epoch: in some nothing is drawn, in some nothing is settled.
    pub(crate) async fn epoch(&mut self, random: &mut Random) {
        let epoch = self.epoch_now().max(1);
        let epoch = if self.ledger().clock.at(self.now).0 == epoch { epoch + 1 } else { epoch };
        let (draws, settles) = (random.chance(80), random.chance(60));
        let reports = random.chance(80);
        for (phase, offset, length) in [
            (Phase::Submit, 0, 200),
            (Phase::Disclose, 200, 200),
            (Phase::Seed, 400, 100),
            (Phase::Commit, 500, 200),
            (Phase::Reveal, 700, 150),
            (Phase::Settle, 850, 150),
        ] {
            self.wait_until(epoch, offset + random.word() % 5);
            let rounds = 1 + random.below(4);
            for _ in 0..rounds {
                let mut planned = Vec::new();
                for _ in 0..1 + random.below(6) {
                    planned.extend(self.money(random));
                }
                for number in 1..=TASKS {
                    let task = self.ledger().tasks[&number].clone();
                    planned.extend(self.arena(random, &task, epoch, phase, draws));
                    let over =
                        task.flight.as_ref().is_some_and(|f| f.epoch < epoch || phase == Phase::Settle);
                    if over && settles {
                        planned.extend(self.settle(random, &task));
                    }
                    let over = task.drawn().is_some_and(|f| f.epoch < epoch || phase == Phase::Settle);
                    if over && reports {
                        planned.extend(self.report(random, &task));
                    }
                }
                self.block(planned).await;
                assert!(self.ledger().clock.at(self.now).1 >= phase, "the phase of {length} s is too short");
            }
        }
    }

    /// Settles what is in flight, and lets everybody take out everything.
    pub(crate) async fn end(&mut self, random: &mut Random) {
        let last = self.epoch_now() + 1;
        self.wait_until(last, 900);
        for _ in 0..40 {
            let mut planned = Vec::new();
            for number in 1..=TASKS {
                let task = self.ledger().tasks[&number].clone();
                planned.extend(self.settle(random, &task));
            }
            if planned.is_empty() {
                break;
            }
            self.block(planned).await;
        }
        for number in 1..=TASKS {
            let flight = &self.ledger().tasks[&number].flight;
            assert!(flight.is_none(), "history {}: task {number} does not settle: {flight:?}", self.seed);
            self.counts.epochs_settled += self.ledger().tasks[&number].settled.len();
        }
        let rounds = [self.leaving(), self.leaving_later()];
        for (round, planned) in rounds.into_iter().enumerate() {
            self.wait_until(last + 10 * u32::try_from(round).unwrap(), 950);
            for planned in chunks(planned, 20) {
                self.block(planned).await;
            }
        }
        let owed = self.ledger().liabilities().unwrap();
        let dust = U256::from(10_000);
        assert!(owed.staked + owed.unbonding < dust, "history {}: {owed:?}", self.seed);
    }

    fn leaving(&self) -> Vec<Planned> {
        let mut planned = Vec::new();
        for task in self.ledger().tasks.values() {
            for (operator, pool) in &task.pools {
                let direct = pool.stakes.latest().0;
                let call = Vault::unstakeCall { task: U256::from(task.number), amount: narrow(direct) };
                planned.push(plan(self.deployment.vault, "unstake", self.person(*operator), &call));
                for (delegator, position) in &pool.positions {
                    let amount =
                        aiarena_mechanism::slashing::worth(position.shares.latest(), pool.factor_wad());
                    let call = Vault::undelegateCall {
                        task: U256::from(task.number),
                        operator: *operator,
                        amount: narrow(amount.unwrap()),
                    };
                    planned.push(plan(self.deployment.vault, "undelegate", self.person(*delegator), &call));
                }
            }
        }
        planned
    }

    fn leaving_later(&self) -> Vec<Planned> {
        let mut planned = Vec::new();
        let vault = self.deployment.vault;
        for person in 0..PEOPLE {
            for number in 1..=TASKS {
                let task = U256::from(number);
                planned.push(plan(vault, "reclaim", person, &Vault::reclaimCall { task }));
                for operator in self.ledger().tasks[&number].pools.keys().copied() {
                    planned.push(plan(vault, "claim", person, &Vault::claimCall { task, operator }));
                    let call = Vault::withdrawCall { task, operator, limit: U256::from(300) };
                    planned.push(plan(vault, "withdraw", person, &call));
                }
            }
        }
        planned.push(plan(vault, "burn", 0, &Vault::burnCall {}));
        planned.push(plan(vault, "collectFees", 0, &Vault::collectFeesCall {}));
        planned
    }

    /// Something with money.
    fn money(&self, random: &mut Random) -> Option<Planned> {
        let (vault, emission) = (self.deployment.vault, self.deployment.emission);
        let (number, operator) = self.some_pool(random);
        let task = U256::from(number);
        let state = &self.ledger().tasks[&number];
        let person = random.below(PEOPLE);
        let (me, own) = (self.address(person), self.person(operator));
        let position = |who: Address| {
            let pool = state.pools.get(&operator)?;
            let shares = pool.positions.get(&who)?.shares.latest();
            aiarena_mechanism::slashing::worth(shares, pool.factor_wad()).ok()
        };
        Some(match random.below(100) {
            0..14 => {
                let role = if NODES.contains(&own) { 1 } else { 2 };
                let call = Vault::stakeCall { task, role, amount: narrow(random.amount()) };
                plan(vault, "stake", own, &call)
            }
            14..22 => {
                let direct = state.pools.get(&operator)?.stakes.latest().0;
                plan(
                    vault,
                    "unstake",
                    own,
                    &Vault::unstakeCall { task, amount: narrow(part(random, direct)) },
                )
            }
            22..44 => {
                let call = Vault::delegateCall { task, operator, amount: narrow(random.amount()) };
                plan(vault, "delegate", person, &call)
            }
            44..62 => {
                let who = (0..PEOPLE).find(|_| random.chance(30)).unwrap_or(person);
                let amount = part(random, position(self.address(who))?);
                let call = Vault::undelegateCall { task, operator, amount: narrow(amount) };
                plan(vault, "undelegate", who, &call)
            }
            62..70 => {
                let commission = [0, WAD, WAD / 5, random.word() % WAD];
                let commission = *random.pick(&commission) / 1_000_000_000 * 1_000_000_000;
                let call = Vault::setCommissionCall { task, commissionWad: commission };
                plan(vault, "setCommission", own, &call)
            }
            70..80 => {
                let all =
                    || state.pools.iter().flat_map(|(o, pool)| (0..PEOPLE).map(move |who| (*o, pool, who)));
                let owed = |o, pool: &Pool, who| pool.claimable(o, self.address(who)).unwrap();
                let owed = all().filter(|(o, pool, who)| !owed(*o, pool, *who).is_zero());
                let owed: Vec<_> = owed.map(|(o, _, who)| (o, who)).collect();
                let nobody = [(operator, person)];
                let (operator, who) = *random.pick(if owed.is_empty() { &nobody } else { &owed });
                plan(vault, "claim", who, &Vault::claimCall { task, operator })
            }
            80..86 => {
                let waiting: Vec<Address> = state.pools.get(&operator)?.unbonding.keys().copied().collect();
                let who = if waiting.is_empty() { me } else { *random.pick(&waiting) };
                let call = Vault::withdrawCall { task, operator, limit: U256::from(1 + random.below(4)) };
                plan(vault, "withdraw", self.person(who), &call)
            }
            86..90 => plan(vault, "fund", person, &Vault::fundCall { task, amount: narrow(random.amount()) }),
            90..92 => {
                let call = Vault::fundEmissionCall { amount: narrow(random.amount()) };
                plan(vault, "fundEmission", person, &call)
            }
            92 => plan(vault, "burn", person, &Vault::burnCall {}),
            93 => plan(vault, "collectFees", person, &Vault::collectFeesCall {}),
            94 => plan(vault, "reclaim", person, &Vault::reclaimCall { task }),
            95 => plan(emission, "dismiss", 0, &Emission::dismissCall { task }),
            96 => plan(emission, "admit", 0, &Emission::admitCall { task }),
            97 => {
                let call = Emission::setFeeCall { feeWad: random.word() % (WAD / 10), treasury: me };
                plan(emission, "setFee", 0, &call)
            }
            98 if self.epoch_now() > 12 => {
                plan(self.deployment.arena, "endTask", 0, &Arena::endTaskCall { task })
            }
            _ => return None,
        })
    }

    /// Something that the phase asks for.
    fn arena(
        &mut self,
        random: &mut Random,
        task: &Task,
        epoch: u32,
        phase: Phase,
        draws: bool,
    ) -> Vec<Planned> {
        let arena = self.deployment.arena;
        let number = U256::from(task.number);
        let node = NODES.start + random.below(NODES.len());
        match phase {
            Phase::Submit if random.chance(70) => {
                let content_hash = B256::with_last_byte(1 + u8::try_from(random.below(6)).unwrap());
                let me = self.address(node);
                // A second commitment in an epoch is refused, and must not be taken for the one that stands.
                if task.pledges.get(&me).is_some_and(|pledge| pledge.epoch == epoch) {
                    return Vec::new();
                }
                self.pledged.insert((task.number, me), content_hash);
                let chain = self.deployment.chain_id;
                let commitment =
                    commitment::submission(chain, arena, number, epoch, me, content_hash, B256::ZERO);
                let call = Arena::commitSubmissionCall { task: number, commitment };
                vec![plan(arena, "commitSubmission", node, &call)]
            }
            Phase::Disclose if random.chance(80) => {
                let Some(content_hash) = self.pledged.get(&(task.number, self.address(node))) else {
                    return Vec::new();
                };
                let call = Arena::openSubmissionCall {
                    task: number,
                    contentHash: *content_hash,
                    salt: B256::ZERO,
                    uri: String::new(),
                };
                vec![plan(arena, "openSubmission", node, &call)]
            }
            Phase::Submit | Phase::Disclose if random.chance(30) => {
                let call = Arena::evictCall { task: number, node: self.address(node) };
                vec![plan(arena, "evict", random.below(PEOPLE), &call)]
            }
            Phase::Settle if random.chance(10) => {
                vec![plan(arena, "withdrawSubmission", node, &Arena::withdrawSubmissionCall { task: number })]
            }
            Phase::Seed if draws => vec![plan(arena, "drawSeed", 0, &Arena::drawSeedCall { task: number })],
            Phase::Commit => self.commit(random, task, epoch),
            Phase::Reveal => self.reveal(random, task, epoch),
            _ => Vec::new(),
        }
    }

    fn commit(&mut self, random: &mut Random, task: &Task, epoch: u32) -> Vec<Planned> {
        let validator = VALIDATORS.start + random.below(VALIDATORS.len());
        let me = self.address(validator);
        let Some(flight) = task.flight.as_ref().filter(|flight| flight.epoch == epoch) else {
            // Without effect, and no offence.
            let call =
                Arena::commitScoresCall { task: U256::from(task.number), commitment: B256::repeat_byte(1) };
            let useless = random.chance(10);
            return useless
                .then(|| plan(self.deployment.arena, "commitScores", validator, &call))
                .into_iter()
                .collect();
        };
        if task.ballots.get(&me).is_some_and(|ballot| ballot.epoch == epoch) {
            return Vec::new();
        }
        let (count, _) = settle::duty(task, flight, me);
        let words = [0, 1, 5, 9, 500_000_000, 1_000_000_000, u32::MAX];
        let scores: Vec<u8> = (0..count).flat_map(|_| random.pick(&words).to_be_bytes()).collect();
        let (chain, arena) = (self.deployment.chain_id, self.deployment.arena);
        let number = U256::from(task.number);
        let commitment =
            commitment::scores(chain, arena, number, epoch, me, B256::ZERO, flight.seed, &scores);
        self.sheets.insert((task.number, epoch, me), scores);
        vec![plan(arena, "commitScores", validator, &Arena::commitScoresCall { task: number, commitment })]
    }

    fn reveal(&self, random: &mut Random, task: &Task, epoch: u32) -> Vec<Planned> {
        let validators = VALIDATORS.filter(|_| random.chance(50));
        let sheets = validators.filter_map(|validator| {
            let sheet = self.sheets.get(&(task.number, epoch, self.address(validator)))?;
            let call = Arena::revealScoresCall {
                task: U256::from(task.number),
                salt: B256::ZERO,
                scores: sheet.clone().into(),
            };
            Some(plan(self.deployment.arena, "revealScores", validator, &call))
        });
        sheets.collect()
    }

    fn report(&self, random: &mut Random, task: &Task) -> Option<Planned> {
        let validator = self.address(VALIDATORS.start + random.below(VALIDATORS.len()));
        let (task, from) = (U256::from(task.number), random.below(PEOPLE));
        let arena = self.deployment.arena;
        Some(if random.chance(50) {
            plan(arena, "reportUnrevealed", from, &Arena::reportUnrevealedCall { task, validator })
        } else {
            plan(arena, "reportSilent", from, &Arena::reportSilentCall { task, validator })
        })
    }

    /// A step of the settlement, sometimes one that was done already.
    fn settle(&self, random: &mut Random, task: &Task) -> Option<Planned> {
        let flight = task.flight.as_ref()?;
        let (arena, number) = (self.deployment.arena, U256::from(task.number));
        let from = random.below(PEOPLE);
        Some(match flight.stage() {
            Stage::Scoring => {
                // Sometimes with scores left out, which a later one then replaces.
                let whole = random.chance(50);
                let mut tallies = settle::tallies(task, flight, |_| whole || random.chance(60));
                if !whole {
                    tallies.retain(|_| random.chance(70));
                }
                plan(arena, "tally", from, &Arena::tallyCall::from((number, tallies)))
            }
            Stage::Ranking => {
                // A part of the ranking is refused, so that nobody can end it for others.
                let mut order = settle::order(flight);
                order.truncate(if random.chance(20) { random.below(order.len() + 1) } else { order.len() });
                plan(arena, "rank", from, &Arena::rankCall::from((number, order)))
            }
            Stage::Paying => {
                let revealers = flight.revealers.len();
                let order = settle::order(flight);
                let step = random.below(3);
                if step == 0 || (revealers == 0 && flight.outcome.nodes.len() < order.len()) {
                    let count = U256::from(random.below(order.len() + 1));
                    let call = Arena::payNodesCall::from((number, U256::ZERO, count, order));
                    plan(arena, "payNodes", from, &call)
                } else if step == 1 || flight.outcome.weights.len() < revealers {
                    let count = U256::from(random.below(revealers + 1));
                    plan(arena, "weigh", from, &Arena::weighCall::from((number, U256::ZERO, count)))
                } else {
                    let count = U256::from(random.below(revealers + 1));
                    let call = Arena::payValidatorsCall::from((number, U256::ZERO, count));
                    plan(arena, "payValidators", from, &call)
                }
            }
            Stage::Settled => return None,
        })
    }
}

/// A part of `whole`: often all of it, sometimes a unit more than there is.
fn part(random: &mut Random, whole: U256) -> U256 {
    let part = match random.below(10) {
        0..3 => whole,
        3 => whole + U256::ONE,
        4 => U256::ONE,
        _ => whole * U256::from(random.word() >> 1) / U256::from(u64::MAX),
    };
    part.max(U256::ONE)
}

fn chunks(planned: Vec<Planned>, size: usize) -> Vec<Vec<Planned>> {
    let mut chunks = Vec::new();
    let mut planned = planned.into_iter().peekable();
    while planned.peek().is_some() {
        chunks.push(planned.by_ref().take(size).collect());
    }
    chunks
}
