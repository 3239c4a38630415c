//! What a tally said before others added scores to it.
//!
//! Such a tally is replaced, and nothing is paid by it. Whose scores it counted stands in no event, so it is compared with
//! what any choice of them could give.

use std::collections::BTreeMap;

use aiarena_chain::ledger::{Flight, Task};
use aiarena_mechanism::{
    Error, Score,
    consensus::{has_quorum, weight},
    rewards::effective,
};
use aiarena_node::settlement::epoch_input;
use alloy::primitives::{Address, U256};

/// All scores that were revealed in an epoch, by the node whose submission they are of; without abstentions.
#[derive(Debug, Default)]
pub(super) struct Sheets(BTreeMap<Address, Vec<(U256, Score)>>);

impl Sheets {
    /// The sheets of an epoch in which nothing more can be revealed.
    ///
    /// # Errors
    /// The mechanism's, for a history that no arena can have made.
    pub(super) fn of(task: &Task, flight: &Flight) -> Result<Self, Error> {
        let mut sheets: BTreeMap<Address, Vec<(U256, Score)>> = BTreeMap::new();
        let listed = u32::try_from(flight.listed.len()).map_err(|_| Error::Overflow)?;
        for validator in epoch_input(task, flight)?.validators {
            let (pool, epsilon) = (validator.pool, task.params.rules.epsilon_wad);
            let Ok(owed @ 1..) = u32::try_from(validator.scores.len()) else { continue };
            let omega = weight(effective(pool.direct, pool.delegated, epsilon)?, listed, owed)?;
            for (place, score) in validator.scores {
                let entry = flight.entries.get(place as usize);
                if let Some((entry, score)) = entry.zip(score) {
                    sheets.entry(entry.node).or_default().push((omega, score));
                }
            }
        }
        Ok(Self(sheets))
    }

    /// The scores of one submission, each with its weight.
    pub(super) fn of_node(&self, node: Address) -> &[(U256, Score)] {
        self.0.get(&node).map_or(&[], Vec::as_slice)
    }

    /// Why no choice of `counted` of a submission's scores gives this consensus score, or the lack of one.
    pub(super) fn refutes(
        &self,
        node: Address,
        counted: usize,
        said: Said,
        all_stake: U256,
    ) -> Option<String> {
        let scores = self.of_node(node);
        let mut weights: Vec<U256> = scores.iter().map(|(omega, _)| *omega).collect();
        weights.sort_unstable();
        let sum = |part: &[U256]| part.iter().fold(U256::ZERO, |sum, omega| sum.saturating_add(*omega));
        let heaviest = sum(&weights[weights.len().saturating_sub(counted)..]);
        let lightest = sum(&weights[..counted.min(weights.len())]);
        let quorum = |weight| has_quorum(weight, all_stake).unwrap_or(false);
        match said {
            Said { quorum: true, consensus } if !scores.iter().any(|(_, score)| score.get() == consensus) => {
                Some(format!("nobody gave it the score {consensus}"))
            }
            Said { quorum: true, .. } if !quorum(heaviest) => {
                Some(format!("no {counted} of its scores are a quorum"))
            }
            Said { quorum: false, .. } if quorum(lightest) => {
                Some(format!("any {counted} of its scores are a quorum"))
            }
            Said { quorum: false, consensus } if consensus != 0 => {
                Some(format!("without a quorum its score is 0, not {consensus}"))
            }
            _ => None,
        }
    }
}

/// What a tally said of the consensus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    pub(super) quorum: bool,
    pub(super) consensus: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_scores_gives_only_what_some_choice_gives() {
        let node = Address::repeat_byte(1);
        let score = |weight: u64, score: u32| (U256::from(weight), Score::new(score).unwrap_or_default());
        let sheets = Sheets([(node, vec![score(1, 5), score(2, 7), score(4, 9)])].into());
        for (counted, quorum, consensus, all, possible) in [
            (1, true, 9, 12, true),
            (1, true, 7, 12, true),
            (1, true, 8, 12, false),
            (1, true, 9, 13, false),
            (2, true, 9, 18, true),
            (2, true, 9, 19, false),
            (1, false, 0, 4, true),
            (1, false, 0, 3, false),
            (1, false, 5, 4, false),
            (0, false, 0, 1, true),
            (0, true, 5, 1, false),
        ] {
            let refuted = sheets.refutes(node, counted, Said { quorum, consensus }, U256::from(all));
            assert_eq!(refuted.is_none(), possible, "{counted} {quorum} {consensus} {all}: {refuted:?}");
        }
        assert!(sheets.of_node(Address::ZERO).is_empty());
    }
}
