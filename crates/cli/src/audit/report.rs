//! The audit's result, for machines and for people.

use std::collections::BTreeMap;

use aiarena_chain::ledger::Liabilities;
use alloy::primitives::{Address, U256};
use serde::{Serialize, Serializer};

use super::{
    evidence::BlockFacts,
    finding::{Finding, Kind},
    receipt::receipt,
    replay::Replayed,
};
use crate::amount;

/// Findings that are printed for people; the JSON report holds all.
const MOST_PRINTED: usize = 50;

/// What an audit found. Amounts are decimal strings in base units of the token.
#[derive(Debug, Serialize)]
pub struct AuditReport {
    /// Whether everything agrees.
    pub ok: bool,
    /// The chain.
    pub chain_id: u64,
    /// The contract that decides.
    pub arena: Address,
    /// The contract that pays.
    pub vault: Address,
    /// The contract that says which tasks share the emission.
    pub emission: Address,
    /// What it pays in.
    pub token: Address,
    /// Decimals of the token; 0 if it does not tell, so that its tokens are base units.
    pub decimals: u8,
    /// The first block that was read.
    pub from_block: u64,
    /// The newest one. Whoever trusts another source for this hash trusts all that was verified here.
    pub head: BlockFacts,
    /// Blocks that were verified against their hashes.
    pub blocks: u64,
    /// Events that were replayed.
    pub events: u64,
    /// Tasks.
    pub tasks: u64,
    /// Settled epochs that were recomputed.
    pub epochs: u64,
    /// Payments that were recomputed and compared.
    pub payments: u64,
    /// Claims that were recomputed and compared.
    pub claims: u64,
    /// Slashes that were recomputed and compared.
    pub slashes: u64,
    /// Whether the contracts' state was compared with what their events give; not if the history could not be replayed.
    pub state_compared: bool,
    /// Consensus scores that were compared with an evaluation of the artifact; null if that was not asked for.
    pub rescored: Option<u64>,
    /// Single values that were compared in all.
    pub compared: u64,
    /// The vault's balance.
    #[serde(serialize_with = "decimal_string")]
    pub balance: U256,
    /// What the vault owes, by kind.
    pub owed: Owed,
    /// The vault's balance less what its history says that it owes: what rounding leaves to nobody, and gifts.
    pub conservation_difference: String,
    /// What each pool was paid, epoch by epoch, as the rules give it.
    pub rewards: Vec<RewardRow>,
    /// Differences.
    pub findings: Vec<Finding>,
    /// Differences beyond those listed.
    pub findings_left_out: u64,
    /// What could not be checked, and why.
    pub notes: Vec<String>,
    /// What receipts are written from.
    #[serde(skip)]
    pub replayed: Replayed,
}

/// What the vault owes.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the fields of `Liabilities`")]
pub struct Owed {
    #[serde(serialize_with = "decimal_string")]
    pub staked: U256,
    #[serde(serialize_with = "decimal_string")]
    pub unbonding: U256,
    #[serde(serialize_with = "decimal_string")]
    pub credited: U256,
    #[serde(serialize_with = "decimal_string")]
    pub bounties: U256,
    #[serde(serialize_with = "decimal_string")]
    pub budgets: U256,
    #[serde(serialize_with = "decimal_string")]
    pub reserve: U256,
    #[serde(serialize_with = "decimal_string")]
    pub bonds: U256,
    #[serde(serialize_with = "decimal_string")]
    pub slashed: U256,
    #[serde(serialize_with = "decimal_string")]
    pub fees: U256,
}

impl From<Liabilities> for Owed {
    fn from(owed: Liabilities) -> Self {
        let Liabilities { staked, unbonding, credited, bounties, budgets, reserve, bonds, slashed, fees } =
            owed;
        Self { staked, unbonding, credited, bounties, budgets, reserve, bonds, slashed, fees }
    }
}

impl Owed {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> U256 {
        let Self { staked, unbonding, credited, bounties, budgets, reserve, bonds, slashed, fees } = *self;
        Liabilities { staked, unbonding, credited, bounties, budgets, reserve, bonds, slashed, fees }.total()
    }
}

/// A pool's reward in an epoch, by the rules.
#[derive(Debug, Clone, Serialize)]
pub struct RewardRow {
    /// The task.
    pub task: u64,
    /// The epoch.
    pub epoch: u32,
    /// The node or validator.
    pub operator: Address,
    /// The pool's reward.
    #[serde(serialize_with = "decimal_string")]
    pub reward: U256,
    /// The operator's part.
    #[serde(serialize_with = "decimal_string")]
    pub operator_part: U256,
    /// The delegators' part.
    #[serde(serialize_with = "decimal_string")]
    pub delegators_part: U256,
}

fn decimal_string<S: Serializer>(amount: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(amount)
}

/// Rewards of all settled epochs, by the rules.
pub(super) fn reward_rows(replayed: &Replayed) -> Vec<RewardRow> {
    let mut rows = Vec::new();
    for epoch in replayed.epochs.iter().filter(|epoch| epoch.settled.is_some()) {
        let nodes = epoch.input.submissions.iter().map(|submission| submission.pool.operator);
        let nodes = nodes.zip(epoch.settlement.submissions.iter().map(|settled| settled.payment));
        let validators = epoch.input.validators.iter().map(|validator| validator.pool.operator);
        let validators = validators.zip(epoch.settlement.validators.iter().map(|settled| settled.payment));
        for (operator, payment) in nodes.chain(validators) {
            let reward = payment.reward.with_delegation;
            if !reward.is_zero() {
                let (operator_part, delegators_part) = (payment.operator, payment.delegators);
                let (task, epoch) = (epoch.task, epoch.epoch);
                rows.push(RewardRow { task, epoch, operator, reward, operator_part, delegators_part });
            }
        }
    }
    rows
}

/// `a − b` as a decimal string with its sign.
pub(super) fn difference(a: U256, b: U256) -> String {
    if a >= b { (a - b).to_string() } else { format!("-{}", b - a) }
}

impl AuditReport {
    /// The report for people.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let paint = |code: &str, text: String| {
            if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
        };
        let mut lines = vec![
            format!("\nAudit of arena {} on chain {}", self.arena, self.chain_id),
            format!("  blocks {} to {}, whose hash is {}", self.from_block, self.head.number, self.head.hash),
            String::new(),
        ];
        let rescored = match self.rescored {
            Some(scores) => format!("{scores} artifacts evaluated again and compared with the consensus"),
            None => "the artifacts were not evaluated again; --rescore does".to_owned(),
        };
        let state = self.state_compared;
        let tokens = |amount| amount::show(amount, self.decimals);
        let differing = |kinds: &[Kind]| self.findings.iter().any(|finding| kinds.contains(&finding.kind));
        use Kind as K;
        for (done, text, kinds) in [
            (
                true,
                format!("{} blocks verified: headers, links, transactions, receipts", self.blocks),
                &[K::Block, K::Contract][..],
            ),
            (
                true,
                format!("{} events replayed, of {} tasks", self.events, self.tasks),
                &[K::History, K::Time, K::Stake, K::Commitment, K::Reveal, K::Seed],
            ),
            (
                true,
                format!("{} payments in {} epochs recomputed to the unit", self.payments, self.epochs),
                &[K::Budget, K::Consensus, K::Rank, K::Weight, K::Payment],
            ),
            (true, format!("{} claims recomputed to the unit, with their fees", self.claims), &[K::Claim]),
            (true, format!("{} slashes recomputed to the unit", self.slashes), &[K::Slash]),
            (state, "the contracts' state is what their events give".to_owned(), &[K::State]),
            (
                state,
                format!("the vault holds {} and owes {}", tokens(self.balance), tokens(self.owed.total())),
                &[K::Conservation],
            ),
            (self.rescored.is_some(), rescored, &[K::Artifact, K::Data, K::Rescore]),
        ] {
            let mark = match (differing(kinds), done) {
                (true, _) => paint("31", "DIFFERS".to_owned()),
                (false, true) => paint("32", "agrees ".to_owned()),
                (false, false) => "skipped".to_owned(),
            };
            lines.push(format!("  {mark} {text}"));
        }
        lines.extend(self.notes.iter().map(|note| format!("  note    {note}")));
        if !self.findings.is_empty() {
            lines.push(String::new());
        }
        lines.extend(self.findings.iter().take(MOST_PRINTED).map(|finding| format!("  {finding}")));
        let all = self.findings.len() as u64 + self.findings_left_out;
        let hidden = all.saturating_sub(MOST_PRINTED as u64);
        if hidden != 0 {
            lines.push(format!("  … and {hidden} more; the JSON report lists them"));
        }
        lines.push(match all {
            0 => paint("32;1", format!("\nEverything agrees: {} values compared.", self.compared)),
            1 => paint("31;1", "\n1 difference was FOUND.".to_owned()),
            _ => paint("31;1", format!("\n{all} differences were FOUND.")),
        });
        lines.join("\n")
    }

    /// Why an address was paid what it was paid, line by line with rule numbers.
    #[must_use]
    pub fn receipt(&self, address: Address) -> String {
        let mut text = receipt(&self.replayed, self.decimals, address);
        let about: Vec<String> = self
            .findings
            .iter()
            .filter(|finding| finding.place.address == Some(address))
            .map(|finding| format!("  {finding}"))
            .collect();
        if !about.is_empty() {
            text = format!("{text}\n\nDifferences about it\n{}", about.join("\n"));
        }
        text
    }

    /// Findings by kind.
    #[must_use]
    pub fn kinds(&self) -> BTreeMap<Kind, usize> {
        let mut kinds = BTreeMap::new();
        for finding in &self.findings {
            *kinds.entry(finding.kind).or_default() += 1;
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_have_a_sign() {
        assert_eq!(difference(U256::from(3), U256::from(5)), "-2");
        assert_eq!(difference(U256::from(5), U256::from(5)), "0");
    }
}
