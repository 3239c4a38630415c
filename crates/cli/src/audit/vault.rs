//! Events of the vault against the state before them: stakes, commissions, unbonding, budgets, claims.

use aiarena_chain::{
    bindings::Vault::VaultEvents as V,
    history::Record,
    ledger::{Ledger, Pool, Role, Task},
};
use aiarena_mechanism::{budget::Budget, fixed_point::WAD};
use alloy::primitives::{Address, U256};

use super::finding::{Findings, Kind, Place, shown};

/// Checks what the ledger, which follows the vault's arithmetic, does not look at.
pub(super) fn check(record: &Record, event: &V, ledger: &Ledger, present: u32, findings: &mut Findings) {
    let place = Place::record(record);
    let mut desk = Desk { ledger, place, present, findings };
    match event {
        V::TaskRegistered(e) => desk.registered(e.task, &e.terms),
        V::Funded(e) => {
            let amount = e.emission.saturating_add(e.bounty);
            desk.not_zero(amount, "M-2");
        }
        V::Staked(e) => {
            desk.not_zero(e.amount, "M-13");
            let before = desk.direct(e.task, e.operator);
            desk.equal_stake(e.operator, before.saturating_add(e.amount), e.direct);
        }
        V::Unstaked(e) => {
            desk.not_zero(e.amount, "M-13");
            let before = desk.direct(e.task, e.operator);
            desk.equal_stake(e.operator, before.saturating_sub(e.amount), e.direct);
        }
        V::Delegated(e) => {
            desk.not_zero(e.amount, "M-13");
            let place = place.of(e.delegator);
            let other = e.delegator != e.operator;
            desk.findings.check(other, Kind::Stake, "M-6", place, || "it delegates to itself".to_owned());
        }
        V::Undelegated(e) => desk.not_zero(e.amount, "M-13"),
        V::CommissionSet(e) => desk.commission(e.task, e.operator, e.commissionWad, e.effectiveEpoch),
        V::Unbonding(e) => {
            let release = u64::from(present) + 1 + u64::from(ledger.clock.unbonding_epochs);
            let place = place.of(e.account);
            let what = "the epoch of release";
            desk.findings.equal((Kind::Stake, "M-13"), place, what, U256::from(release), e.releaseEpoch);
        }
        V::Withdrawn(e) => desk.withdrawn(e.account, e.amount),
        V::Claimed(e) => desk.claimed(e.task, e.operator, e.account, e.amount),
        V::Reclaimed(e) => desk.reclaimed(e.task, e.creator, e.amount),
        V::BudgetOpened(e) => desk.budget(e.task, Budget { emission: e.emission, bounty: e.bounty }),
        // Recomputed with the whole epoch.
        V::Credited(_) | V::BudgetSettled(_) => {}
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

    /// The vault was told of the task what the arena says of it.
    fn registered(&mut self, task: U256, terms: &aiarena_chain::bindings::Vault::Terms) {
        let Some(task) = self.task(task) else { return };
        let (place, about) = (self.place.task(task.number), (Kind::History, "M-2"));
        let params = &task.params;
        self.findings.equal(about, place, "the creator", task.creator, terms.creator);
        self.findings.equal(about, place, "the first epoch", task.first_epoch, terms.firstEpoch);
        self.findings.equal(about, place, "the last epoch", task.last_epoch, terms.lastEpoch);
        for (what, expected, found) in [
            ("the emission of an epoch", params.emission_per_epoch, terms.emissionPerEpoch.to::<U256>()),
            ("the least stake of a node", params.min_node_stake, terms.minNodeStake.to()),
            ("the least stake of a validator", params.min_validator_stake, terms.minValidatorStake.to()),
        ] {
            self.findings.equal(about, place, what, expected, found);
        }
    }

    /// A higher commission acts from the next epoch but one, a lower one from the next.
    fn commission(&mut self, task: U256, operator: Address, commission: U256, effective: U256) {
        let place = self.place.of(operator);
        let legal = commission <= WAD;
        self.findings.check(legal, Kind::Stake, "M-6", place, || format!("a commission of {commission}"));
        let next = self.present.saturating_add(1);
        let announced = self.pool(task, operator).map_or(U256::ZERO, |pool| pool.commission.at(next));
        let from = if commission > announced { next.saturating_add(1) } else { next };
        let what = "the first epoch of the commission";
        self.findings.equal((Kind::Stake, "M-6"), place, what, U256::from(from), effective);
    }

    /// Only what has finished unbonding leaves, oldest first, each request as a whole.
    fn withdrawn(&mut self, account: Address, amount: U256) {
        let (place, present) = (self.place.of(account), self.present);
        let mut left = amount;
        let mut requests = self.ledger.unbonding.get(&account).into_iter().flatten();
        while !left.is_zero() {
            let Some((part, release)) = requests.next().filter(|(part, _)| *part <= left) else {
                let message = format!("it withdrew {amount}, which is no sum of its oldest requests");
                return self.findings.push(Kind::Stake, "M-13", place, message);
            };
            let early =
                || format!("{part} is withdrawn in epoch {present}, and unbonds until epoch {release}");
            self.findings.check(*release <= present, Kind::Stake, "M-13", place, early);
            left -= *part;
        }
    }

    fn claimed(&mut self, task: U256, operator: Address, account: Address, amount: U256) {
        let Some((task, pool)) = self.task(task).zip(self.pool(task, operator)) else { return };
        let own = if account == operator { pool.operator_credit } else { U256::ZERO };
        match pool.claimable(account, task.closed_through) {
            Ok(delegated) => {
                let place = self.place.task(task.number).of(account);
                let owed = own.saturating_add(delegated);
                self.findings.equal((Kind::Claim, "M-6"), place, "the claim", owed, amount);
            }
            Err(error) => self.findings.push(Kind::Claim, "M-6", self.place.of(account), error.to_string()),
        }
    }

    /// What a task leaves unspent goes to its creator, after its last epoch.
    fn reclaimed(&mut self, task: U256, creator: Address, amount: U256) {
        let Some(task) = self.task(task) else { return };
        let place = self.place.task(task.number);
        let over = self.present > task.last_epoch && task.flight.is_none();
        self.findings.check(over, Kind::Budget, "M-2", place, || "the task is not over".to_owned());
        self.findings.equal((Kind::Budget, "M-2"), place, "who reclaims", task.creator, creator);
        let (emission, bounty) = task.unspent();
        let left = emission.saturating_add(bounty);
        self.findings.equal((Kind::Budget, "M-2"), place, "what is reclaimed", left, amount);
    }

    fn budget(&mut self, task: U256, opened: Budget) {
        let Some(task) = self.task(task) else { return };
        let place = self.place.task(task.number).epoch(self.present);
        let (emission, bounty) = task.funded.at(self.present);
        let reserve = emission.saturating_sub(task.spent.0);
        let bounty = bounty.saturating_sub(task.spent.1);
        let remaining = task.last_epoch.saturating_add(1).saturating_sub(self.present);
        let budget = Budget::open(task.params.emission_per_epoch, reserve, bounty, remaining);
        let (about, budget) = ((Kind::Budget, "M-2"), budget.ok());
        let (emission, bounty) = (budget.map(|b| b.emission), budget.map(|b| b.bounty));
        self.findings.equal(about, place, "the emission", shown(emission), opened.emission.to_string());
        self.findings.equal(about, place, "the bounty", shown(bounty), opened.bounty.to_string());
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
