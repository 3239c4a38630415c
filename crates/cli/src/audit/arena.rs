//! Events of the arena against the state before them: tasks, submissions, seeds, reveals.

use std::collections::{BTreeMap, BTreeSet};

use aiarena_chain::{
    bindings::Arena::{self as abi, ArenaEvents as A},
    deploy::Deployment,
    history::Record,
    ledger::{Flight, Ledger, Role, Stage, Task},
};
use aiarena_mechanism::{
    Score, commitment,
    fixed_point::WAD,
    rewards::{effective, node_budget},
};
use aiarena_node::settlement::{CHUNK, assigned};
use alloy::{
    primitives::{Address, B256, U256, keccak256},
    sol_types::SolValue,
};

use super::{
    evidence::BlockFacts,
    finding::{Findings, Kind, Place, shown},
    timing::seed_is_due,
    vault::refusal,
};

/// Longest location of an artifact, in bytes.
const LONGEST_URI: usize = 256;
/// Most submissions that any task may hold.
const MOST_SUBMISSIONS: u16 = 2048;

/// Looks at one event of the arena, with the state before it.
pub(super) struct Watch<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) ledger: &'a Ledger,
    pub(super) record: &'a Record,
    pub(super) block: &'a BlockFacts,
    pub(super) proofs: &'a BTreeMap<(u64, u64), Vec<B256>>,
    /// Reveals whose proof is not at hand: task, epoch and validator.
    pub(super) unproven: &'a mut BTreeSet<(u64, u32, Address)>,
    pub(super) findings: &'a mut Findings,
}

impl<'a> Watch<'a> {
    /// Checks what the ledger does not look at.
    pub(super) fn check(&mut self, event: &A) {
        match event {
            A::TaskCreated(e) => self.created(e),
            A::SubmissionCommitted(e) => self.submission_committed(e),
            A::SubmissionOpened(e) => self.opened(e),
            A::SubmissionWithdrawn(e) => self.withdrawn(e),
            A::SubmissionEvicted(e) => self.evicted(e),
            A::SeedDrawn(e) => self.seed(e),
            A::ScoresCommitted(_) => {}
            A::ScoresRevealed(e) => self.revealed(e),
            A::Tallied(e) => self.about_entry(e.task, e.entry, e.node),
            A::PartlyTallied(e) => self.at_stage(e.task, Stage::Scoring),
            A::Ranked(e) => {
                self.at_stage(e.task, Stage::Ranking);
                self.about_entry(e.task, e.entry, e.node);
            }
            A::NodePaid(e) => self.at_stage(e.task, Stage::Paying),
            A::Weighed(e) => self.at_stage(e.task, Stage::Paying),
            A::ValidatorPaid(e) => {
                self.at_stage(e.task, Stage::Paying);
                let weighed =
                    self.flight(e.task).is_none_or(|f| f.outcome.weights.len() == f.chunks().count());
                let place = self.place().of(e.validator);
                self.findings.check(weighed, Kind::Weight, "M-8", place, || {
                    "a validator is paid before all chunks are weighed".to_owned()
                });
            }
            A::EpochSettled(e) => self.at_stage(e.task, Stage::Paying),
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

        let Deployment { chain_id, arena, .. } = *self.deployment;
        let words = (self.block.prevrandao, U256::from(chain_id), arena, e.task, U256::from(epoch));
        let seed = keccak256(words.abi_encode());
        self.findings.equal((Kind::Seed, "M-9"), place, "the seed", seed, e.seed);

        let rules = &task.params.rules;
        let (nodes, _) = task.totals_at(Role::Node, epoch);
        let (direct, delegated) = task.totals_at(Role::Validator, epoch);
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

    /// Scores of one chunk: committed to, as many as owed, for what was drawn, and each of them legal.
    fn revealed(&mut self, e: &abi::ScoresRevealed) {
        let Some((task, flight)) = self.task(e.task).zip(self.flight(e.task)) else { return };
        let epoch = flight.epoch;
        let place = self.place().task(task.number).epoch(epoch).of(e.validator);
        let Deployment { chain_id, arena, .. } = *self.deployment;
        let computed = commitment::scores(chain_id, arena, e.task, epoch, e.validator, e.salt, e.root);
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
        let places = match assigned(task, flight, e.validator) {
            Ok(places) => places,
            Err(error) => return self.findings.push(Kind::Reveal, "M-9", place, error.to_string()),
        };
        let chunk = usize::try_from(e.chunk).unwrap_or(usize::MAX);
        let owed = places.chunks(CHUNK).nth(chunk).unwrap_or_default();
        let (expected, found) = (4 * owed.len(), e.scores.len());
        let what = "the length of the scores in bytes";
        if self.findings.equal((Kind::Reveal, "M-9"), place, what, expected, found) {
            let hashes = owed.iter().filter_map(|place| flight.entries.get(*place as usize));
            let hashes: Vec<B256> = hashes.map(|entry| entry.content_hash).collect();
            let leaf = commitment::leaf(e.chunk.saturating_to(), &hashes, &e.scores);
            match self.proofs.get(&(self.record.block, self.record.log_index)) {
                Some(proof) => {
                    let chunks = places.chunks(CHUNK).count();
                    let right = commitment::verify(proof, e.root, leaf, chunk, chunks);
                    let other = || "the scores are not those of the commitment".to_owned();
                    self.findings.check(right, Kind::Commitment, "M-10", place, other);
                }
                // Checked together with the validator's other chunks.
                None => _ = self.unproven.insert((task.number, epoch, e.validator)),
            }
        }
    }

    fn at_stage(&mut self, task: U256, expected: Stage) {
        let Some(flight) = self.flight(task) else { return };
        let (place, stage) = (self.place().epoch(flight.epoch), flight.stage());
        self.findings.check(stage == expected, Kind::History, "M-15", place, || {
            format!("the epoch is {stage:?}, and this is part of {expected:?}")
        });
    }

    fn about_entry(&mut self, task: U256, entry: U256, node: Address) {
        let Some(flight) = self.flight(task) else { return };
        let place = self.place().epoch(flight.epoch);
        let at = usize::try_from(entry).ok().and_then(|entry| flight.entries.get(entry));
        let about = (Kind::History, "M-1");
        let what = format!("the node of entry {entry}");
        self.findings.equal(about, place, what, shown(at.map(|entry| entry.node)), node.to_string());
    }
}
