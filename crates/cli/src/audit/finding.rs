//! What an audit finds: a difference between what the chain says and what the rules give.

use std::fmt::{self, Display};

use aiarena_chain::history::Record;
use alloy::primitives::Address;
use serde::Serialize;

/// Findings that are listed; a history of nothing but lies must not fill the memory.
const MOST_LISTED: usize = 1_000;

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The contracts are not those of this release, or do not belong together.
    Contract,
    /// A block is not what its hash says, or does not follow the one before.
    Block,
    /// Events that cannot have followed the ones before them.
    History,
    /// Something happened in another epoch or phase than it may (M-1, M-13).
    Time,
    /// Stakes, commissions and unbonding (M-6, M-13).
    Stake,
    /// What was opened or revealed is not what was committed to (M-1, M-10).
    Commitment,
    /// Revealed scores are not those that were owed (M-9, M-10).
    Reveal,
    /// The seed does not follow from the block's randomness (M-9).
    Seed,
    /// Emission, budgets and what returned from them (M-2, M-3, M-15).
    Budget,
    /// Quorum and consensus scores (M-7).
    Consensus,
    /// The order of the submissions (M-5).
    Rank,
    /// Weights of the validators (M-8).
    Weight,
    /// What was paid (M-5, M-6, M-8).
    Payment,
    /// What was claimed, and the fee on it (M-6, M-14).
    Claim,
    /// Offences, and what they cost (M-12).
    Slash,
    /// The contracts' state is not what their events give.
    State,
    /// Tokens appeared or vanished (M-15).
    Conservation,
    /// An artifact is not there, or not what its hash says.
    Artifact,
    /// The evaluation data or the task's description are not those that the task names.
    Data,
    /// An artifact does not score what the consensus says.
    Rescore,
}

impl Kind {
    /// The name that the JSON report uses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contract => "contract",
            Self::Block => "block",
            Self::History => "history",
            Self::Time => "time",
            Self::Stake => "stake",
            Self::Commitment => "commitment",
            Self::Reveal => "reveal",
            Self::Seed => "seed",
            Self::Budget => "budget",
            Self::Consensus => "consensus",
            Self::Rank => "rank",
            Self::Weight => "weight",
            Self::Payment => "payment",
            Self::Claim => "claim",
            Self::Slash => "slash",
            Self::State => "state",
            Self::Conservation => "conservation",
            Self::Artifact => "artifact",
            Self::Data => "data",
            Self::Rescore => "rescore",
        }
    }
}

/// Where a finding is; what does not apply is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Number of the block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<u64>,
    /// Place of the event in its block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// Number of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<u64>,
    /// The epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
    /// Whom it concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

impl Place {
    /// The place of an event.
    #[must_use]
    pub fn record(record: &Record) -> Self {
        Self { block: Some(record.block), log_index: Some(record.log_index), ..Self::default() }
    }

    /// A block.
    #[must_use]
    pub fn block(number: u64) -> Self {
        Self { block: Some(number), ..Self::default() }
    }

    /// The same place, of this task.
    #[must_use]
    pub fn task(self, task: u64) -> Self {
        Self { task: Some(task), ..self }
    }

    /// The same place, in this epoch.
    #[must_use]
    pub fn epoch(self, epoch: u32) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    /// The same place, about this address.
    #[must_use]
    pub fn of(self, address: Address) -> Self {
        Self { address: Some(address), ..self }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.block.map(|block| format!("block {block}")),
            self.log_index.map(|index| format!("log {index}")),
            self.task.map(|task| format!("task {task}")),
            self.epoch.map(|epoch| format!("epoch {epoch}")),
            self.address.map(|address| address.to_string()),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&parts.join(", "))
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub kind: Kind,
    /// Where it is.
    #[serde(rename = "where")]
    pub place: Place,
    /// The rule of `docs/mechanism.md` that it breaks.
    pub rule: &'static str,
    /// What follows from the rules.
    pub expected: Option<String>,
    /// What the chain says.
    pub found: Option<String>,
    /// A sentence for people.
    pub message: String,
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        let separator = if place.is_empty() { "" } else { ": " };
        write!(f, "{}{separator}{place}: {}", self.kind.name(), self.message)?;
        if !self.rule.is_empty() {
            write!(f, " ({})", self.rule)?;
        }
        Ok(())
    }
}

/// All findings of an audit, and how much was compared.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    list: Vec<Finding>,
    left_out: u64,
    compared: u64,
}

impl Findings {
    /// Notes that something is not as it must be.
    pub fn push(&mut self, kind: Kind, rule: &'static str, place: Place, message: impl Into<String>) {
        self.add(Finding { kind, place, rule, expected: None, found: None, message: message.into() });
    }

    /// Notes it if a condition does not hold.
    pub fn check(
        &mut self,
        holds: bool,
        kind: Kind,
        rule: &'static str,
        place: Place,
        message: impl FnOnce() -> String,
    ) {
        self.compared += 1;
        if !holds {
            self.push(kind, rule, place, message());
        }
    }

    /// Notes it if what was found is not what the rules give; true if it is.
    pub fn equal<T: PartialEq + Display>(
        &mut self,
        (kind, rule): (Kind, &'static str),
        place: Place,
        what: impl Display,
        expected: T,
        found: T,
    ) -> bool {
        self.compared += 1;
        if expected == found {
            return true;
        }
        let (expected, found) = (expected.to_string(), found.to_string());
        let message = format!("{what} is {found}, not {expected}");
        self.add(Finding { kind, place, rule, expected: Some(expected), found: Some(found), message });
        false
    }

    fn add(&mut self, finding: Finding) {
        if self.list.len() < MOST_LISTED {
            self.list.push(finding);
        } else {
            self.left_out += 1;
        }
    }

    /// True if nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What was found, in the order of the audit.
    #[must_use]
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// How many findings more there are than those listed.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many values were compared.
    #[must_use]
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// The findings alone.
    #[must_use]
    pub fn into_list(self) -> Vec<Finding> {
        self.list
    }
}

/// An option as text: what is absent is "none".
pub(super) fn shown<T: Display>(value: Option<T>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
