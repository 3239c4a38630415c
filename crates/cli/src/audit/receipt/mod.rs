//! Why an address was paid what it was paid, line by line with rule numbers.

mod delegator;
mod node;
mod slash;
mod validator;

use std::fmt::Display;

use aiarena_chain::ledger::{Flight, Payment as Said, Role, Task};
use aiarena_mechanism::settle::{Payment, Pool};
use alloy::primitives::{Address, U256};

use super::{recompute::Recomputed, replay::Replayed};
use crate::amount;

/// The receipt of an address over all epochs that were settled, in a token of so many decimals.
#[must_use]
pub fn receipt(replayed: &Replayed, decimals: u8, address: Address) -> String {
    let mut paper = Paper { decimals, lines: Vec::new() };
    paper.title(format!("Receipt of {address}"));
    let empty = paper.lines.len();
    for epoch in &replayed.epochs {
        let Some(task) = replayed.ledger.tasks.get(&epoch.task) else { continue };
        let Some(flight) = epoch.settled.and_then(|at| task.settled.get(at)) else { continue };
        let page = Page { task, flight, epoch };
        match task.pools.get(&address).map(|pool| pool.role) {
            Some(Role::Node) => node::write(&page, address, &mut paper),
            Some(Role::Validator) => validator::write(&page, address, &mut paper),
            None => {}
        }
        delegator::write(&page, address, &mut paper);
    }
    slash::write(replayed, address, &mut paper);
    delegator::claims(replayed, address, &mut paper);
    if paper.lines.len() == empty {
        paper.title("It has no stake, no delegation and no claim in this arena.".to_owned());
    }
    paper.lines.join("\n")
}

/// One settled epoch of a task: what happened, and what the rules make of it.
struct Page<'a> {
    task: &'a Task,
    flight: &'a Flight,
    epoch: &'a Recomputed,
}

struct Paper {
    decimals: u8,
    lines: Vec<String>,
}

impl Paper {
    /// An amount in whole tokens. Exact.
    fn tokens(&self, amount: U256) -> String {
        amount::show(amount, self.decimals)
    }

    /// An amount that could be computed, or why not.
    fn computed<E: Display>(&self, amount: Result<U256, E>) -> String {
        amount.map_or_else(|error| error.to_string(), |amount| self.tokens(amount))
    }

    fn title(&mut self, text: String) {
        self.lines.push(String::new());
        self.lines.push(text);
    }

    /// A line with the rule that it follows from.
    fn line(&mut self, rule: &str, text: String) {
        self.lines.push(format!("  {rule:<6} {text}"));
    }

    /// A line that belongs to the one before.
    fn more(&mut self, text: String) {
        self.line("", text);
    }

    /// Title and the lines that nodes and validators share: stake and budget.
    fn begin(&mut self, page: &Page, pool: &Pool, role: Role) {
        let Page { task, epoch, .. } = page;
        let what = match role {
            Role::Node => "training node",
            Role::Validator => "validator",
        };
        self.title(format!("Task {}, epoch {}, {what}", task.number, epoch.epoch));
        let (direct, delegated) = (self.tokens(pool.direct), self.tokens(pool.delegated));
        let epsilon = ratio(task.params.rules.epsilon_wad);
        self.line(
            "M-13",
            format!("stake that counts: {direct} of its own, {delegated} delegated (each counts {epsilon})"),
        );
        let minimum = task.minimum(role);
        if pool.direct < minimum {
            self.more(format!(
                "its own stake is below the least of {}: it does not take part",
                self.tokens(minimum)
            ));
        }
    }

    /// The budget of a side.
    fn budget(&mut self, page: &Page, role: Role) {
        let Page { task, epoch, .. } = page;
        let (budget, totals) = (epoch.input.budget, epoch.input.totals);
        let (emission, bounty) = (self.tokens(budget.emission), self.tokens(budget.bounty));
        self.line("M-2", format!("budget: {emission} of the emission and {bounty} of the bounty"));
        let (name, part) = match role {
            Role::Node => ("nodes", epoch.settlement.node_budget),
            Role::Validator => ("validators", epoch.settlement.validator_budget),
        };
        self.line(
            "M-3",
            format!(
                "of it for {name}: {}, by own stakes of {} (nodes) and {} (validators), each side at least {}",
                self.tokens(part),
                self.tokens(totals.nodes_direct),
                self.tokens(totals.validators_direct),
                ratio(task.params.rules.gamma_wad),
            ),
        );
    }

    /// How a pool's reward is split, and what the vault credited.
    fn split(&mut self, page: &Page, pool: &Pool, payment: &Payment) {
        let reward = payment.reward;
        let (operator, delegators) = (self.tokens(payment.operator), self.tokens(payment.delegators));
        if pool.delegated.is_zero() {
            self.line("M-6", format!("nobody delegated to it, so all is its own: {operator}"));
        } else {
            let (with, without) = (reward.with_delegation, reward.without_delegation);
            let gained = with.saturating_sub(without);
            self.line(
                "M-6",
                format!(
                    "without the delegated stake: {}; delegation gained {}",
                    self.tokens(without),
                    self.tokens(gained)
                ),
            );
            let commission = ratio(pool.commission_wad);
            self.more(format!(
                "commission {commission} of the gain: {operator} its own, {delegators} its delegators'"
            ));
        }
        let said = paid(page.flight, pool.operator);
        let (own, others) = said.map_or_else(Default::default, |said| {
            (said.operator_amount, said.with_delegation.saturating_sub(said.operator_amount))
        });
        let verdict = if (own, others) == (payment.operator, payment.delegators) {
            "as computed"
        } else {
            "NOT as computed"
        };
        self.line(
            "paid",
            format!("{} to it, {} to its delegators: {verdict}", self.tokens(own), self.tokens(others)),
        );
    }
}

/// What the vault said that an epoch paid to a pool.
fn paid(flight: &Flight, operator: Address) -> Option<&Said> {
    let payments = flight.outcome.nodes.iter().chain(&flight.outcome.validators);
    payments.into_iter().find(|payment| payment.operator == operator)
}

/// A ratio in WAD. Exact.
fn ratio(wad: U256) -> String {
    amount::show(wad, amount::WAD_DECIMALS)
}

/// A part of a whole in per cent with two decimals, for people. Rounds down.
fn percent(part: U256, whole: U256) -> String {
    let bps = U256::from(10_000);
    let share = part.saturating_mul(bps).checked_div(whole).unwrap_or_default();
    let (full, rest) = (share / U256::from(100), share % U256::from(100));
    format!("{full}.{rest:02} %")
}
