//! Events of the arena against the state before them: tasks, submissions, seeds, reveals, tallies, offences.

use std::collections::BTreeMap;

use aiarena_chain::{
    bindings::Arena::{self as abi, ArenaEvents as A},
    deploy::Deployment,
    history::Record,
    ledger::{Flight, Ledger, Role, Task},
};
use aiarena_mechanism::{
    Score, assignment, commitment,
    fixed_point::WAD,
    rewards::{effective, node_budget},
};
use aiarena_node::settlement::assigned;
use alloy::primitives::{Address, U256};

use super::{
    evidence::BlockFacts,
    finding::{Findings, Kind, Place, shown},
    tallies::{Said, Sheets},
    timing::seed_is_due,
    vault::refusal,
};

/// Longest location of an artifact, in bytes.
const LONGEST_URI: usize = 256;
/// Most submissions that any task may hold.
const MOST_SUBMISSIONS: u16 = 2048;

/// Sheets of the epochs that are being tallied, by task and epoch.
pub(super) type Tallying = BTreeMap<(u64, u32), Sheets>;
/// Commitments to scores of tasks that do not exist: the last epoch of each, by task and account.
pub(super) type Idle = BTreeMap<(U256, Address), U256>;

/// Looks at one event of the arena, with the state before it.
pub(super) struct Watch<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) ledger: &'a Ledger,
    pub(super) record: &'a Record,
    pub(super) block: &'a BlockFacts,
    pub(super) tallying: &'a mut Tallying,
    pub(super) idle: &'a mut Idle,
    pub(super) findings: &'a mut Findings,
}

impl<'a> Watch<'a> {
    /// Checks what the ledger does not look at.
    pub(super) fn check(&mut self, event: &A) {
        match event {
            A::TaskCreated(e) => self.created(e),
            A::TaskEnded(e) => self.ended(e.lastEpoch),
            A::KeyRegistered(_) => {}
            A::SubmissionCommitted(e) => self.submission_committed(e),
            A::SubmissionOpened(e) => self.opened(e),
            A::SubmissionWithdrawn(e) => self.withdrawn(e),
            A::SubmissionEvicted(e) => self.evicted(e),
            A::SeedDrawn(e) => self.seed(e),
            A::ScoresCommitted(e) => self.scores_committed(e),
            A::ScoresRevealed(e) => self.revealed(e),
            A::Tallied(e) => self.tallied(e),
            A::PartlyTallied(e) => self.partly_tallied(e),
            // Compared with the whole epoch.
            A::Ranked(_) | A::EpochSettled(_) => {}
            A::Weighed(e) => self.weighed(e.task, e.validator),
            A::UnrevealedReported(e) => self.reported(e.task, e.validator),
            A::SilenceReported(e) => self.silent(e),
        }
    }

    fn place(&self) -> Place {
        Place::record(self.record)
    }

    fn task(&self, task: U256) -> Option<&'a Task> {
        self.ledger.tasks.get(&u64::try_from(task).ok()?)
    }

    fn flight(&self, task: U256) -> Option<&'a Flight> {
        self.task(task)?.flight.as_ref()
    }

    fn present(&self) -> u32 {
        self.ledger.clock.at(self.block.timestamp).0
    }

    /// A task begins in the epoch after its creation, with parameters within their bounds.
    fn created(&mut self, e: &abi::TaskCreated) {
        let (place, p) = (self.place(), &e.params);
        let present = U256::from(self.present());
        let about = (Kind::Time, "M-13");
        self.findings.equal(about, place, "the first epoch", present + U256::ONE, e.firstEpoch);
        self.findings.equal(about, place, "the last epoch", present + U256::from(p.epochs), e.lastEpoch);
        let wad = |value: u64| U256::from(value);
        let integral = p.rule == 0;
        let twentieth = WAD / U256::from(20);
        let ten = WAD * U256::from(10);
        for (legal, what) in [
            ((1..=1_000_000).contains(&p.epochs), "epochs"),
            (!p.minNodeStake.is_zero() && !p.minValidatorStake.is_zero(), "least stakes"),
            ((1..=MOST_SUBMISSIONS).contains(&p.maxSubmissions), "cap on submissions"),
            (p.redundancy != 0, "redundancy"),
            (wad(p.gammaWad) <= WAD / U256::from(2), "gamma"),
            (wad(p.epsilonWad) <= WAD, "epsilon"),
            (Score::new(p.tolerance).is_ok() || p.tolerance == 0, "tolerance"),
            (p.rule <= 1 && p.metric <= 1, "rules"),
            (!integral || (twentieth..=ten).contains(&wad(p.phiWad)), "phi"),
            (integral || (p.qWad != 0 && wad(p.qWad) <= WAD && wad(p.alphaWad) <= WAD), "q and alpha"),
            (p.metric == 0 || p.lossCapWad != 0, "cap of the loss"),
        ] {
            self.findings.check(legal, Kind::History, "M-1", place, || format!("illegal parameters: {what}"));
        }
    }

    /// A creator's notice is as long as stake unbonds.
    fn ended(&mut self, last: U256) {
        let notice = self.present().saturating_add(self.ledger.clock.unbonding_epochs);
        let about = (Kind::Time, "M-1");
        self.findings.equal(about, self.place(), "the last epoch", U256::from(notice), last);
    }

    fn submission_committed(&mut self, e: &abi::SubmissionCommitted) {
        let Some(task) = self.task(e.task) else { return };
        let (place, present) = (self.place().task(task.number).of(e.node), self.present());
        if let Some(why) = refusal(task, e.node, Role::Node, present) {
            self.findings.push(Kind::Stake, "M-13", place, format!("a commitment, but {why}"));
        }
        let first = task.pledges.get(&e.node).is_none_or(|pledge| pledge.epoch != present);
        let twice = || "a second commitment in one epoch".to_owned();
        self.findings.check(first, Kind::Commitment, "M-1", place, twice);
    }

    fn opened(&mut self, e: &abi::SubmissionOpened) {
        let Some(task) = self.task(e.task) else { return };
        let present = self.present();
        let place = self.place().task(task.number).epoch(present).of(e.node);
        let Deployment { chain_id, arena, .. } = *self.deployment;
        let computed =
            commitment::submission(chain_id, arena, e.task, present, e.node, e.contentHash, e.salt);
        let pledged = task.pledges.get(&e.node).map(|pledge| pledge.commitment);
        let what = "the hash of what was opened";
        self.findings.equal((Kind::Commitment, "M-1"), place, what, shown(pledged), computed.to_string());
        let short = e.uri.len() <= LONGEST_URI;
        self.findings.check(short, Kind::History, "M-1", place, || "its location is too long".to_owned());
        let entered = task.entries.iter().any(|entry| entry.node == e.node);
        let fits = entered || task.entries.len() < usize::from(task.params.max_submissions);
        self.findings.check(fits, Kind::History, "M-1", place, || "the task's list is full".to_owned());
    }

    fn withdrawn(&mut self, e: &abi::SubmissionWithdrawn) {
        let Some(task) = self.task(e.task) else { return };
        let standing = task.entries.iter().any(|entry| entry.node == e.node && entry.withdrawn_in.is_none());
        let place = self.place().task(task.number).of(e.node);
        let gone = || "it has no submission that it could withdraw".to_owned();
        self.findings.check(standing, Kind::History, "M-1", place, gone);
    }

    fn evicted(&mut self, e: &abi::SubmissionEvicted) {
        let Some(task) = self.task(e.task) else { return };
        let place = self.place().task(task.number).of(e.node);
        let present = self.present();
        let entry = task.entries.iter().find(|entry| entry.node == e.node);
        let due = entry.is_some_and(|entry| !task.is_eligible(entry, present));
        let kept = || "its submission may stay, and is evicted".to_owned();
        self.findings.check(due, Kind::History, "M-13", place, kept);
        let last = task.entries.last().filter(|last| last.node != e.node);
        let moved = last.map_or(Address::ZERO, |last| last.node);
        self.findings.equal((Kind::History, "M-1"), place, "who takes its place", moved, e.moved);
    }

    /// Seed, stake of the validators and budgets of the two sides.
    fn seed(&mut self, e: &abi::SeedDrawn) {
        let Some(task) = self.task(e.task) else { return };
        let epoch = self.present();
        let place = self.place().task(task.number).epoch(epoch);
        let due = seed_is_due(&self.ledger.clock, self.block.timestamp);
        let early = || "the seed is drawn too early or too late".to_owned();
        self.findings.check(due, Kind::Time, "M-9", place, early);
        let again = task.settled.last().is_some_and(|last| last.epoch >= epoch);
        let twice = || "the seed of this epoch was drawn before".to_owned();
        self.findings.check(!again, Kind::Seed, "M-9", place, twice);
        let empty = || "there is nothing to score".to_owned();
        self.findings.check(!task.entries.is_empty(), Kind::Seed, "M-9", place, empty);

        let Deployment { chain_id, arena, .. } = *self.deployment;
        let seed = assignment::seed(self.block.prevrandao, chain_id, arena, e.task, epoch, task.history);
        self.findings.equal((Kind::Seed, "M-9"), place, "the seed", seed, e.seed);

        let rules = &task.params.rules;
        let (nodes, _) = task.totals_at(Role::Node, epoch);
        let (direct, delegated) = task.totals_at(Role::Validator, epoch);
        let nobody = || "there is no validator".to_owned();
        self.findings.check(!direct.is_zero(), Kind::Seed, "M-9", place, nobody);
        let stake = effective(direct, delegated, rules.epsilon_wad).ok();
        let what = "the validators' stake";
        let about = (Kind::Stake, "M-9");
        self.findings.equal(about, place, what, shown(stake), e.validatorStake.to_string());
        let opened = task.flight.as_ref().map_or((U256::ZERO, U256::ZERO), |flight| flight.budget_parts);
        let budget = opened.0.saturating_add(opened.1);
        let node = node_budget(budget, rules.gamma_wad, nodes, direct).ok();
        let validator = node.and_then(|node| budget.checked_sub(node));
        let about = (Kind::Budget, "M-3");
        self.findings.equal(about, place, "the nodes' budget", shown(node), e.nodeBudget.to_string());
        let found = e.validatorBudget.to_string();
        self.findings.equal(about, place, "the validators' budget", shown(validator), found);
    }

    /// One commitment per validator and epoch, also for what does not exist.
    fn scores_committed(&mut self, e: &abi::ScoresCommitted) {
        let place = self.place().of(e.validator);
        let something = !commitment::tagged(e.commitment, 0).is_zero();
        let nothing = || "a commitment to nothing".to_owned();
        self.findings.check(something, Kind::Commitment, "M-10", place, nothing);
        if self.task(e.task).is_some() {
            return;
        }
        let before = self.idle.insert((e.task, e.validator), e.epoch);
        let twice = || "a second commitment in one epoch".to_owned();
        self.findings.check(before != Some(e.epoch), Kind::Commitment, "M-10", place, twice);
    }

    /// A sheet: committed to, as many scores as owed, and each of them legal.
    fn revealed(&mut self, e: &abi::ScoresRevealed) {
        let Some((task, flight)) = self.task(e.task).zip(self.flight(e.task)) else { return };
        let epoch = flight.epoch;
        let place = self.place().task(task.number).epoch(epoch).of(e.validator);
        let Deployment { chain_id, arena, .. } = *self.deployment;
        let computed =
            commitment::scores(chain_id, arena, e.task, epoch, e.validator, e.salt, flight.seed, &e.scores);
        let committed = flight.commitments.get(&e.validator).map(|c| commitment::tagged(*c, epoch));
        let computed = commitment::tagged(computed, epoch).to_string();
        let what = "the hash of what was revealed";
        self.findings.equal((Kind::Commitment, "M-10"), place, what, shown(committed), computed);
        if let Some(why) = refusal(task, e.validator, Role::Validator, epoch) {
            self.findings.push(Kind::Stake, "M-13", place, format!("a reveal, but {why}"));
        }
        for word in e.scores.as_chunks::<4>().0 {
            if let Err(error) = Score::from_wire(u32::from_be_bytes(*word)) {
                self.findings.push(Kind::Reveal, "M-10", place, error.to_string());
            }
        }
        match assigned(task, flight, e.validator) {
            Ok(places) => {
                let (about, what) = ((Kind::Reveal, "M-9"), "the length of the scores in bytes");
                self.findings.equal(about, place, what, 4 * places.len(), e.scores.len());
            }
            Err(error) => self.findings.push(Kind::Reveal, "M-9", place, error.to_string()),
        }
    }

    /// What was revealed in the epoch in flight of a task, collected once.
    fn sheets(&mut self, task: &Task, flight: &Flight) -> &Sheets {
        let place = Place::record(self.record).task(task.number).epoch(flight.epoch);
        self.tallying.entry((task.number, flight.epoch)).or_insert_with(|| {
            Sheets::of(task, flight).unwrap_or_else(|error| {
                self.findings.push(Kind::Reveal, "M-9", place, error.to_string());
                Sheets::default()
            })
        })
    }

    /// A tally is compared with the rules when it counts all scores, and as far as possible when another will replace it.
    fn tallied(&mut self, e: &abi::Tallied) {
        let Some((task, flight)) = self.task(e.task).zip(self.flight(e.task)) else { return };
        let place = self.place().task(task.number).epoch(flight.epoch).of(e.node);
        let Some(entry) = flight.entries.iter().find(|entry| entry.node == e.node) else { return };
        let eligible = task.is_eligible(entry, flight.epoch);
        let (direct, delegated) = task.stake_at(e.node, flight.epoch);
        let stake = effective(direct, delegated, task.params.rules.epsilon_wad).ok();
        let stake = stake.map(|stake| if eligible { stake } else { U256::ZERO });
        let about = (Kind::Stake, "M-13");
        self.findings.equal(about, place, "the effective stake", shown(stake), e.stake.to_string());

        let sheets = self.sheets(task, flight);
        let all = sheets.of_node(e.node).len();
        let counted = usize::try_from(e.counted).unwrap_or(usize::MAX);
        let said = Said { quorum: e.scored, consensus: e.consensus.saturating_to() };
        let refuted =
            if counted < all { sheets.refutes(e.node, counted, said, flight.validator_stake) } else { None };
        self.findings.check(counted <= all, Kind::Consensus, "M-7", place, || {
            format!("{counted} scores are counted, and {all} were revealed")
        });
        if let Some(why) = refuted {
            self.findings.push(Kind::Consensus, "M-7", place, why);
        }
    }

    /// A settler's count grows, up to what was revealed.
    fn partly_tallied(&mut self, e: &abi::PartlyTallied) {
        let Some((task, flight)) = self.task(e.task).zip(self.flight(e.task)) else { return };
        let place = self.place().task(task.number).epoch(flight.epoch).of(e.node);
        let at = flight.entries.iter().position(|entry| entry.node == e.node);
        let listed = at.is_some_and(|at| flight.listed.iter().any(|listed| *listed as usize == at));
        // What is counted of a submission that is not scored comes to nothing, and may be of any place.
        let all =
            if listed { self.sheets(task, flight).of_node(e.node).len() } else { flight.revealers.len() };
        let key = (e.node, e.settler, e.median.saturating_to());
        let before = flight.outcome.counted.get(&key).copied().unwrap_or(0);
        let right = U256::from(before) <= e.counted && e.counted <= U256::from(all);
        self.findings.check(right, Kind::Consensus, "M-7", place, || {
            format!("{} scores are counted, after {before}, and {all} were revealed", e.counted)
        });
    }

    /// Sheets are weighed in the order of the reveals.
    fn weighed(&mut self, task: U256, validator: Address) {
        let Some(flight) = self.flight(task) else { return };
        let place = self.place().epoch(flight.epoch).of(validator);
        let next = flight.revealers.get(flight.outcome.weights.len());
        let (about, found) = ((Kind::Weight, "M-8"), validator.to_string());
        self.findings.equal(about, place, "who is weighed next", shown(next), found);
    }

    /// Offences are reported from the end of Reveal to the next Commit; whether there is one the ledger knows.
    fn reported(&mut self, task: U256, validator: Address) {
        let Some(task) = self.task(task) else { return };
        let place = self.place().task(task.number).of(validator);
        let owed = task.duty(validator).is_some();
        let free = || "it is reported, and owed no scores".to_owned();
        self.findings.check(owed, Kind::Slash, "M-12", place, free);
        let drawn = task.drawn().map_or(0, |flight| flight.epoch);
        let open = self.ledger.clock.reports(drawn, self.block.timestamp);
        let closed = || "it is reported too early or too late".to_owned();
        self.findings.check(open, Kind::Slash, "M-12", place, closed);
    }

    fn silent(&mut self, e: &abi::SilenceReported) {
        self.reported(e.task, e.validator);
        let Some(task) = self.task(e.task) else { return };
        let place = self.place().task(task.number).of(e.validator);
        let count = task.silent_epochs(e.validator);
        let slashed = count == u32::from(self.ledger.clock.schedule.silent_epochs);
        let count = U256::from(if slashed { 0 } else { count });
        let what = "the number of silent epochs in a row";
        self.findings.equal((Kind::Slash, "M-12"), place, what, count, e.count);
    }
}
