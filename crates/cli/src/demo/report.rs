//! The demo's result, for machines and for people.

use std::collections::BTreeMap;

use aiarena_chain::ledger::{Liabilities, Task};
use alloy::primitives::{Address, U256};
use serde::Serialize;

use super::stage::GasBook;
use crate::ui::in_tokens;

/// Amounts are decimal strings in base units of the token.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether every check held.
    pub ok: bool,
    /// The seed.
    pub seed: u64,
    /// Epochs played.
    pub epochs: u32,
    /// The chain that it was played on.
    pub chain_id: u64,
    /// Time of everything.
    pub wall_seconds: f64,
    /// Time by phase, in seconds.
    pub seconds: BTreeMap<String, f64>,
    /// 1 − half the distance of the nodes' paid shares from the ideal ones, on the rows of each epoch.
    pub fairness: f64,
    /// The same against scores on the whole evaluation set.
    pub fairness_whole_set: f64,
    /// Tokens that appeared or vanished anywhere.
    pub conservation_difference: String,
    /// Training nodes, best first.
    pub leaderboard: Vec<NodeRow>,
    /// Validators.
    pub validators: Vec<OperatorRow>,
    /// Delegators.
    pub delegators: Vec<DelegatorRow>,
    /// What was slashed and burned.
    pub burned: String,
    /// What claims paid to the treasury.
    pub fees: String,
    /// What each role was paid.
    pub paid: BTreeMap<String, String>,
    /// Payments that the auditor recomputed.
    pub payments: u64,
    /// Differences that the auditor found.
    pub audit_findings: Vec<String>,
    /// Gas by action.
    pub gas: BTreeMap<String, GasRow>,
    /// What was checked.
    pub checks: Vec<Check>,
}

/// A training node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// How it behaves.
    pub behaviour: String,
    /// Score of its last submission on the whole evaluation set; 0 if it is no model of its own.
    pub true_score: u32,
    /// Consensus score of its last submission; null without a quorum.
    pub consensus_score: Option<u32>,
    /// Rank in the last epoch; null if unranked.
    pub rank: Option<u32>,
    /// Effective stake in the last epoch.
    pub stake: String,
    /// Its pool's reward over all epochs.
    pub reward: String,
}

/// A validator.
#[derive(Debug, Clone, Serialize)]
pub struct OperatorRow {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// How it behaves.
    pub behaviour: String,
    /// Effective stake in the last epoch.
    pub stake: String,
    /// Its pool's reward over all epochs.
    pub reward: String,
    /// What slashes took of its stake.
    pub slashed: String,
}

/// A delegator.
#[derive(Debug, Clone, Serialize)]
pub struct DelegatorRow {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// What it delegated at first.
    pub stake: String,
    /// What it claimed.
    pub reward: String,
}

/// Gas of an action.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct GasRow {
    /// Transactions.
    pub count: u64,
    /// Mean gas, rounded down.
    pub mean: u64,
    /// Most gas.
    pub max: u64,
}

/// A check and whether it held.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What must hold.
    pub name: String,
    /// Whether it does.
    pub ok: bool,
    /// The numbers behind it.
    pub detail: String,
}

/// Gas of all actions.
#[must_use]
pub fn gas_rows(book: &GasBook) -> BTreeMap<String, GasRow> {
    let row = |gas: &[u64]| {
        let count = gas.len() as u64;
        GasRow {
            count,
            mean: gas.iter().sum::<u64>() / count.max(1),
            max: gas.iter().copied().max().unwrap_or(0),
        }
    };
    book.actions().map(|(action, gas)| (action.to_owned(), row(gas))).collect()
}

/// What each role was paid, operators' and delegators' parts apart.
#[must_use]
pub fn paid_by_role(task: &Task) -> BTreeMap<String, String> {
    let mut sums: BTreeMap<&str, U256> =
        [("nodes", U256::ZERO), ("validators", U256::ZERO), ("delegators", U256::ZERO)].into();
    for flight in &task.settled {
        for (role, payments) in [("nodes", &flight.outcome.nodes), ("validators", &flight.outcome.validators)]
        {
            for payment in payments {
                *sums.entry(role).or_default() += payment.operator_amount;
                *sums.entry("delegators").or_default() += payment.with_delegation - payment.operator_amount;
            }
        }
    }
    sums.into_iter().map(|(role, sum)| (role.to_owned(), sum.to_string())).collect()
}

/// The vault's balance less what it owes, as a decimal string with its sign.
#[must_use]
pub fn difference(held: U256, owed: &Liabilities) -> String {
    let owed = owed.total();
    if held >= owed { (held - owed).to_string() } else { format!("-{}", owed - held) }
}

impl Report {
    /// The report for people.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let paint = |code: &str, text: String| {
            if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
        };
        let score = |score: Option<u32>| {
            score.map_or_else(|| "-".to_owned(), |score| format!("{:.4}", f64::from(score) / 1e9))
        };
        let tokens = |amount: &str| amount.parse::<U256>().map_or_else(|_| amount.to_owned(), in_tokens);
        let mut lines = vec![format!(
            "\nLeaderboard after {} epochs (scores are accuracies; amounts in tokens; per 1000: reward per 1000 tokens of stake)\n",
            self.epochs
        )];
        lines.push(format!(
            "  {:<28} {:>5} {:>8} {:>10} {:>11} {:>13} {:>11}",
            "node", "rank", "true", "consensus", "stake", "reward", "per 1000"
        ));
        for row in &self.leaderboard {
            let rank = row.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string());
            lines.push(format!(
                "  {:<28} {:>5} {:>8} {:>10} {:>11} {:>13} {:>11}",
                row.name,
                rank,
                score(Some(row.true_score)),
                score(row.consensus_score),
                tokens(&row.stake),
                tokens(&row.reward),
                per_thousand(&row.reward, &row.stake)
            ));
        }
        lines.push(format!(
            "\n  {:<16} {:<24} {:>11} {:>11} {:>13} {:>11}",
            "validator", "behaviour", "stake", "slashed", "reward", "per 1000"
        ));
        for row in &self.validators {
            lines.push(format!(
                "  {:<16} {:<24} {:>11} {:>11} {:>13} {:>11}",
                row.name,
                row.behaviour,
                tokens(&row.stake),
                tokens(&row.slashed),
                tokens(&row.reward),
                per_thousand(&row.reward, &row.stake)
            ));
        }
        lines.push(format!("\n  {:<53} {:>11} {:>13}", "delegator", "stake", "claimed"));
        for row in &self.delegators {
            lines.push(format!("  {:<53} {:>11} {:>13}", row.name, tokens(&row.stake), tokens(&row.reward)));
        }
        let paid: Vec<String> =
            self.paid.iter().map(|(role, amount)| format!("{role} {}", tokens(amount))).collect();
        lines.push(format!("\nPaid: {}", paid.join(", ")));
        lines.push(format!(
            "Burned: {} of slashed stake. Fees to the treasury: {}",
            tokens(&self.burned),
            tokens(&self.fees)
        ));
        lines.push(format!(
            "Fairness: {:.6} on the rows of each epoch ({:.6} against the whole evaluation set)",
            self.fairness, self.fairness_whole_set
        ));
        lines.push(format!("Conservation: {} base units appeared or vanished", self.conservation_difference));
        lines.push(format!(
            "Audit: {} payments recomputed from the chain's history, {} differences",
            self.payments,
            self.audit_findings.len()
        ));
        lines.extend(self.audit_findings.iter().map(|finding| format!("  {finding}")));
        lines.push(format!("\n  {:<22} {:>7} {:>11} {:>11}", "gas by action", "count", "mean", "most"));
        for (action, row) in &self.gas {
            lines.push(format!("  {:<22} {:>7} {:>11} {:>11}", action, row.count, row.mean, row.max));
        }
        let seconds: Vec<String> =
            self.seconds.iter().map(|(phase, seconds)| format!("{phase} {seconds:.1}")).collect();
        lines.push(format!("\nSeconds: {} (all {:.1})\n", seconds.join(", "), self.wall_seconds));
        for check in &self.checks {
            let mark =
                if check.ok { paint("32", "ok    ".to_owned()) } else { paint("31", "FAILED".to_owned()) };
            lines.push(format!("  {mark} {}: {}", check.name, check.detail));
        }
        lines.push(if self.ok {
            paint("32;1", "\nEvery check held.".to_owned())
        } else {
            paint("31;1", "\nSome checks FAILED.".to_owned())
        });
        lines.join("\n")
    }
}

/// Reward per thousand tokens of effective stake, in tokens, for people.
fn per_thousand(reward: &str, stake: &str) -> String {
    match (reward.parse::<U256>(), stake.parse::<U256>()) {
        (Ok(reward), Ok(stake)) if !stake.is_zero() => {
            in_tokens(reward * U256::from(1_000) * U256::from(super::population::TOKEN) / stake)
        }
        _ => "-".to_owned(),
    }
}
