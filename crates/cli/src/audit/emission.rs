//! Events of the emission against the state before them: admissions, what an epoch shares, and the owner.

use aiarena_chain::{
    bindings::Emission::{self as abi, EmissionEvents as E},
    ledger::{Admission, Ledger},
};
use alloy::primitives::{Address, U256};

use super::finding::{Findings, Kind, Place, shown};

/// Most tasks on the list at a time.
const MOST_ADMITTED: usize = 32;

/// Looks at one event of the emission, with the state before it.
pub(super) struct Owner<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) place: Place,
    pub(super) present: u32,
    /// Who owned it at first.
    pub(super) first: Address,
    /// How often it changed hands.
    pub(super) changes: u32,
    pub(super) findings: &'a mut Findings,
}

impl Owner<'_> {
    /// Checks what the ledger does not look at.
    pub(super) fn check(&mut self, event: &E) {
        match event {
            E::Admitted(e) => self.admitted(e.task, e.fromEpoch),
            E::Dismissed(e) => self.dismissed(e.task, e.untilEpoch),
            E::EmissionFixed(e) => self.fixed(e),
            E::OwnershipTransferStarted(e) => self.owner(e.previousOwner),
            E::OwnershipTransferred(e) => {
                self.owner(e.previousOwner);
                let accepted = match self.changes {
                    // The constructor gives it to who deploys, and then to the owner.
                    0 => true,
                    1 => e.newOwner == self.first,
                    _ => e.newOwner.is_zero() || e.newOwner == self.ledger.emission.pending_owner,
                };
                self.findings.check(accepted, Kind::History, "M-2", self.place.of(e.newOwner), || {
                    "it owns the emission without having been offered it".to_owned()
                });
            }
        }
    }

    fn equal<T: PartialEq + std::fmt::Display>(&mut self, place: Place, what: &str, expected: T, found: T) {
        self.findings.equal((Kind::Budget, "M-2"), place, what, expected, found);
    }

    fn check_that(&mut self, holds: bool, place: Place, message: &str) {
        self.findings.check(holds, Kind::Budget, "M-2", place, || message.to_owned());
    }

    fn owner(&mut self, said: Address) {
        let owner = self.ledger.emission.owner;
        let about = (Kind::History, "M-2");
        self.findings.equal(about, self.place, "the owner before it", owner, said);
    }

    /// What the owner does acts from the next epoch but one.
    fn notice(&self) -> U256 {
        U256::from(self.present.saturating_add(2))
    }

    fn admission(&self, task: U256) -> Option<&Admission> {
        self.ledger.emission.admissions.get(&u64::try_from(task).ok()?)
    }

    fn admitted(&mut self, task: U256, from: U256) {
        let place = self.place.task(task.saturating_to());
        self.equal(place, "the first epoch of the admission", self.notice(), from);
        let open = self.admission(task).is_some_and(|admission| admission.until_epoch > self.present);
        self.check_that(!open, place, "it is admitted already");
        let emission = &self.ledger.emission;
        let kept = emission.list.iter().filter(|number| {
            let over = self.ledger.tasks.get(number).is_none_or(|task| task.last_epoch < self.present);
            let admission = emission.admissions.get(number);
            !over && admission.is_some_and(|admission| admission.until_epoch > self.present)
        });
        let room = kept.count() < MOST_ADMITTED;
        self.check_that(room, place, "there are as many tasks on the list as there may be");
    }

    fn dismissed(&mut self, task: U256, until: U256) {
        let place = self.place.task(task.saturating_to());
        self.equal(place, "the end of the admission", self.notice(), until);
        let open = self.admission(task).is_some_and(|admission| admission.until_epoch == u32::MAX);
        self.check_that(open, place, "it was not admitted");
    }

    /// What all admitted tasks share in an epoch follows from the schedule, the reserve and the stakes.
    fn fixed(&mut self, e: &abi::EmissionFixed) {
        let place = self.place.epoch(self.present);
        let share = self.ledger.share(self.present).ok();
        let (amount, stake) = (share.map(|share| share.amount), share.map(|share| share.total_stake));
        self.equal(place, "what is emitted", shown(amount), e.amount.to_string());
        self.equal(place, "the stake of all admitted tasks", shown(stake), e.totalStake.to_string());
        let again = self.ledger.emission.share.is_some_and(|share| share.epoch == self.present);
        self.check_that(!again, place, "the emission of this epoch was fixed before");
    }
}
