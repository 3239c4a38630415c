//! What the contracts say of themselves at the newest block, against what their events give.

use std::collections::BTreeSet;

use aiarena_chain::{
    bindings::{Arena, ArenaToken, Emission, Vault},
    follow::contract_error,
    ledger::{Entry, Flight, Ledger, Liabilities, Phase, Pool, Role, Stage, Tally, Task},
};
use aiarena_mechanism::{budget, slashing::worth};
use alloy::{
    eips::BlockId,
    primitives::{Address, B256, U256},
    providers::DynProvider,
};
use anyhow::Result;

use super::{
    evidence::{Evidence, Moved},
    finding::{Findings, Kind, Place, shown},
};

/// Nodes of a list that one call asks for.
const PAGE: usize = 256;

/// What the vault holds and owes at the newest block.
#[derive(Debug, Clone, Copy, Default)]
pub struct Holdings {
    /// Its balance of the token.
    pub balance: U256,
    /// What it owes, as its events give it.
    pub owed: Liabilities,
}

/// Compares every view of the contracts with the ledger.
///
/// # Errors
/// If the endpoint fails, or does not know the state at the newest block any more.
pub(super) async fn compare(
    provider: &DynProvider,
    evidence: &Evidence,
    ledger: &Ledger,
    findings: &mut Findings,
) -> Result<Holdings> {
    let head = evidence.head;
    let (epoch, phase) = ledger.clock.at(head.timestamp);
    let mut views = Views {
        arena: Arena::new(evidence.deployment.arena, provider.clone()),
        vault: Vault::new(evidence.deployment.vault, provider.clone()),
        emission: Emission::new(evidence.deployment.emission, provider.clone()),
        token: ArenaToken::new(evidence.deployment.token, provider.clone()),
        at: BlockId::number(head.number),
        epoch,
        findings,
    };
    views.arena(ledger, phase).await?;
    views.emission(ledger).await?;
    views.vault(ledger).await?;
    for task in ledger.tasks.values() {
        views.terms(task).await?;
        views.flight(task).await?;
        views.list(task).await?;
        views.entries(task).await?;
        views.totals(task).await?;
        for (operator, pool) in &task.pools {
            views.pool(task, *operator, pool).await?;
            views.people(task, *operator, pool).await?;
        }
    }
    views.money(evidence, ledger).await
}

struct Views<'a> {
    arena: Arena::ArenaInstance<DynProvider>,
    vault: Vault::VaultInstance<DynProvider>,
    emission: Emission::EmissionInstance<DynProvider>,
    token: ArenaToken::ArenaTokenInstance<DynProvider>,
    at: BlockId,
    epoch: u32,
    findings: &'a mut Findings,
}

/// Calls a view at the newest block that the audit knows.
macro_rules! view {
    ($views:expr, $contract:ident . $function:ident ( $($argument:expr),* )) => {
        $views.$contract.$function($($argument),*).block($views.at).call().await
            .map_err(|error| contract_error(concat!("read ", stringify!($function)), error))?
    };
}

impl Views<'_> {
    fn equal<T: PartialEq + std::fmt::Display>(&mut self, place: Place, what: &str, expected: T, found: T) {
        self.findings.equal((Kind::State, ""), place, what, expected, found);
    }

    /// The present epoch and those after it in which something that was announced can begin.
    fn ahead(&self) -> [u32; 3] {
        [0, 1, 2].map(|ahead| self.epoch.saturating_add(ahead))
    }

    async fn arena(&mut self, ledger: &Ledger, phase: Phase) -> Result<()> {
        let tasks = view!(self, arena.taskCount());
        let known = U256::from(ledger.tasks.len());
        if tasks > known {
            let message = format!(
                "the arena has {tasks} tasks, the history {known}: it begins too late, give an earlier --from-block"
            );
            self.findings.push(Kind::History, "", Place::default(), message);
        }
        self.equal(Place::default(), "the number of tasks", known, tasks);
        let clock = view!(self, arena.clock());
        self.equal(Place::default(), "the epoch", self.epoch, clock.epoch);
        self.equal(Place::default(), "the phase", phase as u8, clock.phase);
        let operators = ledger.tasks.values().flat_map(|task| task.pools.keys());
        for account in ledger.keys.keys().chain(operators).copied().collect::<BTreeSet<Address>>() {
            let key = ledger.keys.get(&account).copied().unwrap_or_default();
            let said = view!(self, arena.keyOf(account));
            self.equal(Place::default().of(account), "the public key", key, said);
        }
        Ok(())
    }

    async fn emission(&mut self, ledger: &Ledger) -> Result<()> {
        let (place, emission) = (Place::default(), &ledger.emission);
        let owner = view!(self, emission.owner());
        if emission.owner.is_zero() && !owner.is_zero() {
            let message = "no event says who owns the emission: the history begins too late, give an earlier --from-block";
            self.findings.push(Kind::History, "", place, message);
        }
        self.equal(place, "the owner of the emission", emission.owner, owner);
        let pending = view!(self, emission.pendingOwner());
        self.equal(place, "who may become its owner", emission.pending_owner, pending);
        let list = view!(self, emission.admitted());
        let list: Vec<String> = list.iter().map(U256::to_string).collect();
        let known: Vec<String> = emission.list.iter().map(u64::to_string).collect();
        self.equal(place, "the tasks that share the emission", known.join(", "), list.join(", "));
        for (task, admission) in &emission.admissions {
            let place = place.task(*task);
            let said = view!(self, emission.admissionOf(U256::from(*task)));
            self.equal(place, "the first epoch of its admission", admission.from_epoch, said.fromEpoch);
            self.equal(place, "the end of its admission", admission.until_epoch, said.untilEpoch);
        }
        let c = &ledger.constants;
        let rate = budget::emission(c.emission, c.emission_decay_wad, c.emission_period, self.epoch).ok();
        let said = view!(self, emission.rateAt(U256::from(self.epoch)));
        self.equal(place.epoch(self.epoch), "what may be emitted", shown(rate), said.to_string());
        Ok(())
    }

    async fn vault(&mut self, ledger: &Ledger) -> Result<()> {
        let place = Place::default();
        let reserve = view!(self, vault.reserve()).to();
        self.equal(place, "the reserve", ledger.reserve, reserve);
        let slashed = view!(self, vault.slashed()).to();
        self.equal(place, "what was slashed and not burned", ledger.slashed, slashed);
        let fees = view!(self, vault.fees()).to();
        self.equal(place, "the fees that were not collected", ledger.fees, fees);
        let treasury = view!(self, vault.treasury());
        self.equal(place, "the treasury", ledger.treasury.at(self.epoch), treasury);
        for epoch in self.ahead() {
            let fee = view!(self, vault.feeAt(U256::from(epoch)));
            self.equal(place.epoch(epoch), "the fee", ledger.fee_at(epoch), fee);
        }
        Ok(())
    }

    async fn terms(&mut self, task: &Task) -> Result<()> {
        let number = U256::from(task.number);
        let place = Place::default().task(task.number);
        let terms = view!(self, vault.termsOf(number));
        self.equal(place, "the creator", task.creator, terms.creator);
        self.equal(place, "the first epoch", task.first_epoch, terms.firstEpoch);
        self.equal(place, "the last epoch", task.last_epoch, terms.lastEpoch);
        let bounty = view!(self, vault.bountyOf(number));
        self.equal(place, "the bounty", task.bounty(), bounty);
        for (account, contribution) in &task.contributions {
            let said = view!(self, vault.contributionOf(number, *account));
            self.equal(place.of(*account), "what it added to the bounty", *contribution, said);
        }
        Ok(())
    }

    /// The epoch drawn last, as far as its events tell it: of an unfinished ranking there is none.
    async fn flight(&mut self, task: &Task) -> Result<()> {
        let place = Place::default().task(task.number);
        let said = view!(self, arena.flightOf(U256::from(task.number)));
        let last = task.drawn();
        let (epoch, seed) = last.map_or((0, B256::ZERO), |flight| (flight.epoch, flight.seed));
        self.equal(place, "the epoch drawn last", epoch, said.epoch);
        self.equal(place, "the seed drawn last", seed, said.seed);
        self.equal(place, "the epoch drawn before", task.drawn_before(), said.previousEpoch);
        let draws = task.settled.len() + usize::from(task.flight.is_some());
        self.equal(place, "the number of draws", draws, said.draws as usize);
        self.equal(place, "the stage of the epoch", stage(last), said.stage);
        let Some(flight) = last else { return Ok(()) };

        let (place, outcome) = (place.epoch(flight.epoch), &flight.outcome);
        let (nodes, validators) = flight.budgets;
        let weight = outcome.weights.values().fold(U256::ZERO, |sum, weight| sum.saturating_add(*weight));
        for (what, expected, found) in [
            ("the validators' stake", flight.validator_stake, said.validatorStake.to()),
            ("the nodes' budget", nodes, said.nodeBudget.to()),
            ("the validators' budget", validators, said.validatorBudget.to()),
            ("the stake of the ranked nodes", ranked_stake(flight), said.rankedStake.to()),
            ("the weight of all validators", weight, said.validatorWeight),
        ] {
            self.equal(place, what, expected, found);
        }
        let counted: u64 = outcome.tallies.values().map(|tally| u64::from(tally.counted)).sum();
        let (upper, lower) = outcome.ranked.map_or((0, 0), |said| (said.upper_score, said.lower_score));
        for (what, expected, found) in [
            ("the length of the list", flight.entries.len() as u64, said.entries),
            ("the number of submissions to be scored", flight.listed.len() as u64, said.listed),
            ("the number of reveals", flight.revealers.len() as u64, said.revealers),
            ("the number of revealed scores", flight.revealed(), said.revealed),
            ("the number of counted scores", counted, said.counted),
            ("the number of tallies", outcome.tallies.len() as u64, said.tallied),
            ("the number of submissions to be ranked", flight.rankable() as u64, said.rankable),
            ("the number of weighed validators", outcome.weights.len() as u64, said.weighed),
            ("the number of paid validators", outcome.validators.len() as u64, said.paid),
        ] {
            self.equal(place, what, expected, u64::from(found));
        }
        if flight.stage() >= Stage::Paying {
            let what = "the number of paid nodes";
            self.equal(place, what, outcome.nodes.len() as u64, u64::from(said.walk.done));
            self.equal(place, "the score at a quarter of the ranked stake", upper, said.upperScore);
            self.equal(place, "the score at three quarters of the ranked stake", lower, said.lowerScore);
        }
        Ok(())
    }

    /// Who is on the list, what is being scored, and what waits for the next draw.
    async fn list(&mut self, task: &Task) -> Result<()> {
        let number = U256::from(task.number);
        let place = Place::default().task(task.number);
        let mut list = Vec::new();
        loop {
            let page = view!(self, arena.listOf(number, U256::from(list.len()), U256::from(PAGE)));
            list.extend_from_slice(&page);
            if page.len() < PAGE || list.len() > task.entries.len() {
                break;
            }
        }
        let known = task.entries.iter().map(|entry| entry.node).collect();
        self.nodes(place, "on the list", known, list);

        let kept = |flight: &Flight| {
            let listed = flight.listed.iter().filter_map(|place| flight.entries.get(*place as usize));
            listed.map(|entry| entry.node).collect()
        };
        let standing = !task.params.fresh_data;
        let scored = task.drawn().filter(|_| standing).map(kept).unwrap_or_default();
        let said = view!(self, arena.queueOf(number, true));
        self.nodes(place, "to be scored", scored, said);
        let said = view!(self, arena.queueOf(number, false));
        self.nodes(place, "that waits to be scored", task.waiting.clone(), said);
        Ok(())
    }

    fn nodes(&mut self, place: Place, which: &str, expected: Vec<Address>, found: Vec<Address>) {
        let what = format!("the number of submissions {which}");
        self.equal(place, &what, expected.len(), found.len());
        for (i, (expected, found)) in (1..).zip(expected.into_iter().zip(found)) {
            let what = format!("the node of submission {i} {which}");
            self.equal(place, &what, expected, found);
        }
    }

    async fn entries(&mut self, task: &Task) -> Result<()> {
        for (index, entry) in task.entries.iter().enumerate() {
            let place = Place::default().task(task.number).of(entry.node);
            let said = view!(self, arena.entryOf(U256::from(task.number), entry.node));
            let (said, content_hash) = (said._0, said._1);
            self.equal(place, "the content hash", entry.content_hash, content_hash);
            self.equal(place, "the commitment number", entry.number, u64::from(said.number));
            self.equal(place, "its place", index, usize::from(said.place));
            self.equal(place, "the epoch of withdrawal", entry.withdrawn_in.unwrap_or(0), said.withdrawnIn);
            self.equal(place, "whether it is a duplicate", entry.duplicate, said.duplicate);
            self.equal(place, "whether a quorum scored it", entry.consensus.is_some(), said.scored);
            if let Some(consensus) = entry.consensus {
                self.equal(place, "the consensus score", consensus, said.consensus);
            }
            if let Some(tally) = task.drawn().and_then(|flight| tally(flight, entry)) {
                self.equal(place, "its stake in the last tally", tally.stake, said.stake.to());
                let counted = said.counted.to::<u32>();
                self.equal(place, "the scores of the last tally", tally.counted, counted);
            }
        }
        Ok(())
    }

    async fn totals(&mut self, task: &Task) -> Result<()> {
        let number = U256::from(task.number);
        for role in [Role::Node, Role::Validator] {
            for epoch in [self.epoch, self.epoch.saturating_add(1)] {
                let totals = view!(self, vault.totalsAt(number, role_word(role), U256::from(epoch)));
                let (direct, delegated) = task.totals_at(role, epoch);
                let place = Place::default().task(task.number).epoch(epoch);
                self.equal(place, &format!("the direct stake of all {role:?}s"), direct, totals.direct);
                self.equal(
                    place,
                    &format!("the delegated stake of all {role:?}s"),
                    delegated,
                    totals.delegated,
                );
            }
        }
        let (stake, place) = (task.effective_stake(self.epoch).ok(), Place::default().task(task.number));
        let said = view!(self, vault.effectiveStakeOf(number));
        self.equal(place, "its effective stake", shown(stake), said.to_string());
        Ok(())
    }

    async fn pool(&mut self, task: &Task, operator: Address, pool: &Pool) -> Result<()> {
        let number = U256::from(task.number);
        let place = Place::default().task(task.number).of(operator);
        let role = view!(self, vault.roleOf(number, operator));
        self.equal(place, "the role", role_word(pool.role), role);
        // The epoch drawn last can be asked for, too.
        let drawn = task.drawn().map(|flight| flight.epoch);
        let epochs: BTreeSet<u32> = self.ahead()[..2].iter().copied().chain(drawn).collect();
        for epoch in epochs {
            let (direct, delegated) = pool.stake_at(epoch).unwrap_or_default();
            let stake = view!(self, vault.stakeAt(number, operator, U256::from(epoch)));
            self.equal(place.epoch(epoch), "the direct stake", direct, stake.direct.to());
            self.equal(place.epoch(epoch), "the delegated stake", delegated, stake.delegated.to());
        }
        // A commission matters as long as its epoch may be paid.
        let unpaid = task.flight.as_ref().map(|flight| flight.epoch);
        for epoch in self.ahead().into_iter().chain(unpaid) {
            let commission = view!(self, vault.commissionAt(number, operator, U256::from(epoch)));
            self.equal(place.epoch(epoch), "the commission", pool.commission.at(epoch), commission);
        }
        let factor = view!(self, vault.factorOf(number, operator));
        self.equal(place, "what a share is worth", pool.factor_wad(), factor);
        Ok(())
    }

    /// Operator and delegators of a pool: what they hold, what they may claim, and what is on its way out.
    async fn people(&mut self, task: &Task, operator: Address, pool: &Pool) -> Result<()> {
        let number = U256::from(task.number);
        for (delegator, position) in &pool.positions {
            let place = Place::default().task(task.number).of(*delegator);
            let said = view!(self, vault.delegationOf(number, operator, *delegator));
            let shares = position.shares.latest();
            self.equal(place, "the delegated shares", shares, said.shares);
            let amount = worth(shares, pool.factor_wad()).ok();
            self.equal(place, "the delegation", shown(amount), said.amount.to_string());
        }
        let accounts = pool.positions.keys().chain(pool.unbonding.keys()).chain([&operator]);
        for account in accounts.copied().collect::<BTreeSet<Address>>() {
            let place = Place::default().task(task.number).of(account);
            let said = view!(self, vault.claimable(number, operator, account));
            match pool.claimable(operator, account) {
                Ok(due) => self.equal(place, "what may be claimed", due, said),
                Err(error) => self.findings.push(Kind::Claim, "M-6", place, error.to_string()),
            }
            self.unbonding(task, operator, pool, account).await?;
        }
        Ok(())
    }

    async fn unbonding(
        &mut self,
        task: &Task,
        operator: Address,
        pool: &Pool,
        account: Address,
    ) -> Result<()> {
        let place = Place::default().task(task.number).of(account);
        let said = view!(self, vault.unbondingOf(U256::from(task.number), operator, account));
        let (mut requests, mut all, mut due) = (U256::ZERO, U256::ZERO, U256::ZERO);
        for request in pool.unbonding.get(&account).into_iter().flatten() {
            let amount = pool.payable(request).unwrap_or_default();
            requests += U256::ONE;
            all = all.saturating_add(amount);
            if request.release_epoch <= self.epoch {
                due = due.saturating_add(amount);
            }
        }
        self.equal(place, "what is unbonding", all, said.amount);
        self.equal(place, "what has finished unbonding", due, said.due);
        // The vault keeps requests of the operator of which slashes left nothing.
        let known = if account == operator { requests.max(said.requests) } else { requests };
        self.equal(place, "the number of unbonding requests", known, said.requests);
        Ok(())
    }

    /// What the vault owes is what its events give, and it holds at least that (M-15).
    async fn money(&mut self, evidence: &Evidence, ledger: &Ledger) -> Result<Holdings> {
        let (place, about) = (Place::default().of(evidence.deployment.vault), (Kind::Conservation, "M-15"));
        let owed = ledger.liabilities().unwrap_or_else(|error| {
            self.findings.push(Kind::Conservation, "M-15", place, error.to_string());
            Liabilities::default()
        });
        let balance = view!(self, token.balanceOf(evidence.deployment.vault));
        let total = owed.total();
        self.findings.check(balance >= total, Kind::Conservation, "M-15", place, || {
            format!("the vault holds {balance} and owes {total}")
        });
        let moved = evidence.transfers.values().fold(Moved::default(), |sum, moved| Moved {
            into: sum.into.saturating_add(moved.into),
            out: sum.out.saturating_add(moved.out),
        });
        let what = "the vault's balance";
        self.findings.equal(about, place, what, moved.into.saturating_sub(moved.out), balance);
        Ok(Holdings { balance, owed })
    }
}

/// The arena's number of a stage.
fn stage(flight: Option<&Flight>) -> u8 {
    match flight.map(Flight::stage) {
        None | Some(Stage::Settled) => 0,
        Some(Stage::Scoring) => 1,
        Some(Stage::Ranking) => 2,
        Some(Stage::Paying) => 3,
    }
}

/// The vault's number of a role.
fn role_word(role: Role) -> u8 {
    match role {
        Role::Node => 1,
        Role::Validator => 2,
    }
}

/// `None` if the epoch did not get so far, or saw another submission of the node.
fn tally(flight: &Flight, entry: &Entry) -> Option<Tally> {
    let same = flight.entries.iter().any(|old| old.number == entry.number);
    flight.outcome.tallies.get(&entry.node).copied().filter(|_| same)
}

/// Effective stake of the submissions that are to be ranked.
fn ranked_stake(flight: &Flight) -> U256 {
    let tallies = flight.entries.iter().filter(|entry| !entry.duplicate);
    let tallies = tallies.filter_map(|entry| flight.outcome.tallies.get(&entry.node));
    let valid = tallies.filter(|tally| tally.scored && tally.consensus != 0);
    valid.fold(U256::ZERO, |sum, tally| sum.saturating_add(tally.stake))
}
