//! Events of the vault against the state before them: stakes, commissions, unbonding, budgets, claims, slashes.

use aiarena_chain::{
    bindings::Vault::{self as abi, VaultEvents as V},
    history::Record,
    ledger::{Flight, Ledger, Pool, Role, Task},
};
use aiarena_mechanism::{budget::Budget, fixed_point::WAD, rewards::fee};
use alloy::primitives::{Address, U256, uint};

use super::finding::{Findings, Kind, Place, shown};

/// A commission is a multiple of it.
const COMMISSION_UNIT: U256 = uint!(1_000_000_000_U256);
/// A pool whose factor is below it takes no new delegation.
const LEAST_FACTOR: U256 = uint!(1_000_000_000_000_U256);

/// Checks what the ledger, which follows the vault's arithmetic, does not look at.
pub(super) fn check(record: &Record, event: &V, ledger: &Ledger, present: u32, findings: &mut Findings) {
    let place = Place::record(record);
    let mut desk = Desk { ledger, place, present, findings };
    match event {
        V::TaskRegistered(e) => desk.registered(e),
        // It follows the arena's event, and says the same.
        V::TaskShortened(_) => {}
        V::Funded(e) => desk.not_zero(e.amount, "M-2"),
        V::EmissionFunded(e) => desk.not_zero(e.amount, "M-2"),
        V::FeeSet(e) => desk.fee_set(e),
        V::Staked(e) => {
            desk.not_zero(e.amount, "M-13");
            let before = desk.direct(e.task, e.operator);
            desk.equal_stake(e.operator, before.saturating_add(e.amount), e.direct);
        }
        V::Unstaked(e) => {
            desk.not_zero(e.amount, "M-13");
            let place = place.of(e.operator);
            let has = desk.direct(e.task, e.operator) >= e.amount;
            desk.findings.check(has, Kind::Stake, "M-13", place, || "it has no such stake".to_owned());
            desk.released(e.operator, e.releaseEpoch);
        }
        V::Delegated(e) => desk.delegated(e),
        V::Undelegated(e) => {
            desk.not_zero(e.amount, "M-13");
            desk.released(e.delegator, e.releaseEpoch);
        }
        V::CommissionSet(e) => desk.commission(e),
        V::Withdrawn(e) => desk.withdrawn(e),
        V::Claimed(e) => desk.claimed(e),
        V::Reclaimed(e) => desk.reclaimed(e),
        V::BudgetOpened(e) => desk.budget(e.task, Budget { emission: e.emission, bounty: e.bounty }),
        V::Credited(e) => desk.credited(e.task, e.operator),
        // Recomputed with the whole epoch.
        V::BudgetSettled(_) => {}
        V::Slashed(e) => desk.slashed(e),
        V::Burned(e) => desk.emptied((Kind::Slash, "M-12"), "what was slashed", ledger.slashed, e.amount),
        V::FeesCollected(e) => {
            let about = (Kind::Claim, "M-14");
            desk.emptied(about, "the fees", ledger.fees, e.amount);
            let treasury = ledger.treasury.at(desk.present);
            desk.findings.equal(about, place, "the treasury", treasury, e.treasury);
        }
    }
}

struct Desk<'a> {
    ledger: &'a Ledger,
    place: Place,
    present: u32,
    findings: &'a mut Findings,
}

impl<'a> Desk<'a> {
    fn task(&self, task: U256) -> Option<&'a Task> {
        self.ledger.tasks.get(&u64::try_from(task).ok()?)
    }

    fn pool(&self, task: U256, operator: Address) -> Option<&'a Pool> {
        self.task(task)?.pools.get(&operator)
    }

    /// An operator's newest direct stake.
    fn direct(&self, task: U256, operator: Address) -> U256 {
        self.pool(task, operator).map_or(U256::ZERO, |pool| pool.stakes.latest().0)
    }

    fn not_zero(&mut self, amount: U256, rule: &'static str) {
        let nothing = || "the amount is zero, which the vault refuses".to_owned();
        self.findings.check(!amount.is_zero(), Kind::Stake, rule, self.place, nothing);
    }

    fn equal_stake(&mut self, operator: Address, expected: U256, found: U256) {
        let place = self.place.of(operator);
        self.findings.equal((Kind::Stake, "M-13"), place, "the direct stake after it", expected, found);
    }

    /// What begins to unbond leaves so many epochs after this one.
    fn released(&mut self, account: Address, said: U256) {
        let release = u64::from(self.present) + 1 + u64::from(self.ledger.clock.unbonding_epochs);
        let (place, what) = (self.place.of(account), "the epoch of release");
        self.findings.equal((Kind::Stake, "M-13"), place, what, U256::from(release), said);
    }

    fn delegated(&mut self, e: &abi::Delegated) {
        self.not_zero(e.amount, "M-13");
        let place = self.place.of(e.delegator);
        let other = e.delegator != e.operator;
        self.findings.check(other, Kind::Stake, "M-6", place, || "it delegates to itself".to_owned());
        let sound = self.pool(e.task, e.operator).is_none_or(|pool| pool.factor_wad() >= LEAST_FACTOR);
        let worn = || "it delegates to a pool that lost nearly all".to_owned();
        self.findings.check(sound, Kind::Stake, "M-12", place, worn);
    }

    /// The vault was told of the task what the arena says of it.
    fn registered(&mut self, e: &abi::TaskRegistered) {
        let Some(task) = self.task(e.task) else { return };
        let (place, about, terms) = (self.place.task(task.number), (Kind::History, "M-1"), &e.terms);
        let params = &task.params;
        self.findings.equal(about, place, "the creator", task.creator, terms.creator);
        self.findings.equal(about, place, "the first epoch", task.first_epoch, terms.firstEpoch);
        self.findings.equal(about, place, "the last epoch", task.last_epoch, terms.lastEpoch);
        for (what, expected, found) in [
            ("the least stake of a node", params.min_node_stake, terms.minNodeStake.to()),
            ("the least stake of a validator", params.min_validator_stake, terms.minValidatorStake.to()),
            ("the weight of delegated stake", params.rules.epsilon_wad, U256::from(terms.epsilonWad)),
            ("the bond", self.ledger.constants.bond, e.bond),
        ] {
            self.findings.equal(about, place, what, expected, found);
        }
    }

    /// A new fee acts from the next epoch but one, up to a limit (M-14).
    fn fee_set(&mut self, e: &abi::FeeSet) {
        let (about, place) = ((Kind::Claim, "M-14"), self.place);
        let from = U256::from(self.present.saturating_add(2));
        self.findings.equal(about, place, "the first epoch of the fee", from, e.fromEpoch);
        let limit = self.ledger.constants.max_fee_wad;
        self.findings.check(e.feeWad <= limit, about.0, about.1, place, || {
            format!("the fee is {}, and never above {limit}", e.feeWad)
        });
        let nobody = || "nobody gets the fees".to_owned();
        self.findings.check(!e.treasury.is_zero(), about.0, about.1, place, nobody);
    }

    /// A higher commission acts from the next epoch but one, a lower one from the next. One change waits at a time.
    fn commission(&mut self, e: &abi::CommissionSet) {
        let (place, commission) = (self.place.of(e.operator), e.commissionWad);
        let legal = commission <= WAD && (commission % COMMISSION_UNIT).is_zero();
        self.findings.check(legal, Kind::Stake, "M-6", place, || format!("a commission of {commission}"));
        let Some((task, pool)) = self.task(e.task).zip(self.pool(e.task, e.operator)) else { return };
        let next = self.present.saturating_add(1);
        let higher = commission > pool.commission.at(next);
        let from = if higher { next.saturating_add(1) } else { next };
        let what = "the first epoch of the commission";
        self.findings.equal((Kind::Stake, "M-6"), place, what, U256::from(from), e.effectiveEpoch);
        let waiting = pool.commission.points().last().map_or(0, |(since, _)| *since);
        let unpaid = task.flight.as_ref().is_some_and(|flight| flight.epoch < waiting);
        let pending = if waiting <= self.present { unpaid } else { waiting == next && higher };
        let early = || format!("the commission of epoch {waiting} waits, and another is set");
        self.findings.check(!pending, Kind::Stake, "M-6", place, early);
    }

    /// Only what has finished unbonding leaves, oldest first, each request as a whole, less what slashes took of it.
    fn withdrawn(&mut self, e: &abi::Withdrawn) {
        let Some(pool) = self.pool(e.task, e.operator) else { return };
        let (place, present) = (self.place.of(e.account), self.present);
        let mut left = e.amount.saturating_add(e.lost);
        let mut lost = U256::ZERO;
        let mut requests = pool.unbonding.get(&e.account).into_iter().flatten();
        while !left.is_zero() {
            let Some(request) = requests.next().filter(|request| request.amount <= left) else {
                let message = format!(
                    "it withdrew {} and lost {}, which is no sum of its oldest requests",
                    e.amount, e.lost
                );
                return self.findings.push(Kind::Stake, "M-13", place, message);
            };
            let (amount, release) = (request.amount, request.release_epoch);
            let early =
                || format!("{amount} is withdrawn in epoch {present}, and unbonds until epoch {release}");
            self.findings.check(release <= present, Kind::Stake, "M-13", place, early);
            let due = pool.payable(request).unwrap_or_default();
            lost = lost.saturating_add(amount.saturating_sub(due));
            left -= amount;
        }
        self.findings.equal((Kind::Slash, "M-12"), place, "what slashes took of it", lost, e.lost);
    }

    fn claimed(&mut self, e: &abi::Claimed) {
        let Some((task, pool)) = self.task(e.task).zip(self.pool(e.task, e.operator)) else { return };
        let place = self.place.task(task.number).of(e.account);
        match pool.claimable(e.operator, e.account) {
            Ok(owed) => {
                let claimed = e.amount.saturating_add(e.fee);
                self.findings.equal((Kind::Claim, "M-6"), place, "the claim", owed, claimed);
                let due = fee(owed, self.ledger.fee_at(self.present)).ok();
                let about = (Kind::Claim, "M-14");
                self.findings.equal(about, place, "the fee", shown(due), e.fee.to_string());
            }
            Err(error) => self.findings.push(Kind::Claim, "M-6", place, error.to_string()),
        }
        self.not_zero(e.amount, "M-6");
    }

    /// What a task leaves unspent goes back to its funders in proportion, and the bond to its creator, once it is over.
    fn reclaimed(&mut self, e: &abi::Reclaimed) {
        let Some(task) = self.task(e.task) else { return };
        let (about, place) = ((Kind::Budget, "M-2"), self.place.task(task.number).of(e.account));
        let over = self.present > task.last_epoch && task.flight.is_none();
        self.findings.check(over, Kind::Budget, "M-2", place, || "the task is not over".to_owned());
        let own = task.contributions.get(&e.account).copied().unwrap_or_default();
        let bounty = task.reclaimable(own).ok();
        self.findings.equal(about, place, "what is left for it", shown(bounty), e.bounty.to_string());
        let bond = if e.account == task.creator { task.bond } else { U256::ZERO };
        self.findings.equal(about, place, "the bond that returns", bond, e.bond);
        let something = !(e.bounty.is_zero() && e.bond.is_zero());
        self.findings.check(something, Kind::Budget, "M-2", place, || "it reclaims nothing".to_owned());
    }

    fn budget(&mut self, task: U256, opened: Budget) {
        let Some(task) = self.task(task) else { return };
        let (about, place) = ((Kind::Budget, "M-2"), self.place.task(task.number).epoch(self.present));
        let emission = self.ledger.emission_due(task, self.present).ok();
        self.findings.equal(about, place, "the emission", shown(emission), opened.emission.to_string());
        let bounty = task.bounty_due(self.present).ok();
        self.findings.equal(about, place, "the bounty", shown(bounty), opened.bounty.to_string());
        let emission = &self.ledger.emission;
        let fixed = emission.share.is_some_and(|share| share.epoch == self.present);
        let right = fixed || !emission.admits(task.number, self.present);
        self.findings.check(right, Kind::History, "M-2", place, || {
            "a budget is opened, and nothing said what this epoch emits".to_owned()
        });
    }

    /// Validators are paid once all of them are weighed.
    fn credited(&mut self, task: U256, operator: Address) {
        let Some((task, pool)) = self.task(task).zip(self.pool(task, operator)) else { return };
        let weighed = |flight: &Flight| flight.outcome.weights.len() == flight.revealers.len();
        let early = pool.role == Role::Validator && !task.flight.as_ref().is_none_or(weighed);
        let place = self.place.task(task.number).of(operator);
        self.findings.check(!early, Kind::Weight, "M-8", place, || {
            "a validator is paid before all of them are weighed".to_owned()
        });
    }

    /// A penalty is a fixed fraction of the stake that owed scores, and takes no more of anyone (M-12).
    fn slashed(&mut self, e: &abi::Slashed) {
        let Some(task) = self.task(e.task) else { return };
        let (about, place) = ((Kind::Slash, "M-12"), self.place.task(task.number).of(e.operator));
        let due = task.slash_due(e.operator, self.present, self.ledger.constants.slash_wad).ok().flatten();
        for (what, due, said) in [
            ("what a slash takes of the operator's stake", due.map(|due| due.direct), e.direct),
            ("what a slash takes of its unbonding stake", due.map(|due| due.unbonding), e.unbonding),
            ("what a slash takes of the delegated stake", due.map(|due| due.delegated), e.delegated),
            ("what a share is worth after a slash", due.map(|due| due.factor_wad), e.factorWad),
        ] {
            self.findings.equal(about, place, what, shown(due), said.to_string());
        }
    }

    /// What is sent away is all that there is of it.
    fn emptied(&mut self, about: (Kind, &'static str), what: &str, all: U256, sent: U256) {
        self.findings.equal(about, self.place, what, all, sent);
        self.not_zero(sent, about.1);
    }
}

/// Whether an operator may act in a role in this epoch, and if not, why.
pub(super) fn refusal(task: &Task, operator: Address, role: Role, epoch: u32) -> Option<String> {
    let Some(pool) = task.pools.get(&operator).filter(|pool| pool.role == role) else {
        return Some(format!("it has no stake as a {role:?} of this task"));
    };
    let (direct, minimum) = (pool.stakes.at(epoch).0, task.minimum(role));
    (direct < minimum).then(|| format!("its direct stake is {direct}, the least is {minimum}"))
}
