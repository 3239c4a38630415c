//! How an honest validator scores: fetch, check, compare, evaluate.

use std::{collections::BTreeMap, time::Instant};

use aiarena_chain::ledger::{Disclosure, Flight, Task};
use aiarena_mechanism::Score;
use aiarena_ml::{Rows, eval_slice};
use alloy::primitives::{Address, B256};

use crate::evaluator::Evaluator;

/// What a validator finds a submission to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A model of its own, with its score.
    Valid(Score),
    /// Score 0, and why.
    Invalid(String),
    /// Nobody can say: the artifact cannot be had. An abstention.
    Unavailable(String),
}

impl Verdict {
    /// What is reported.
    #[must_use]
    pub fn report(&self) -> Option<Score> {
        match self {
            Self::Valid(score) => Some(*score),
            Self::Invalid(_) => Some(Score::INVALID),
            Self::Unavailable(_) => None,
        }
    }
}

/// The numbers of the rows of an epoch's evaluation: those that its seed draws.
#[must_use]
pub fn slice_of(flight: &Flight, rows: usize, size: u32) -> Vec<u32> {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    eval_slice(&flight.seed.0, flight.epoch, rows, size.min(rows))
}

/// The rows themselves, of public evaluation data.
#[must_use]
pub fn drawn_rows(flight: &Flight, evaluation: &Rows, size: u32) -> Rows {
    evaluation.select(&slice_of(flight, evaluation.len(), size))
}

/// Scores submissions of one task.
///
/// It remembers which disclosures are copies, but no score: each evaluation is made for the epoch at hand. Models are held by
/// the evaluator, a few at a time.
pub struct Judge<'a> {
    task: &'a Task,
    evaluator: &'a mut dyn Evaluator,
    /// All disclosures by number.
    disclosures: Vec<&'a Disclosure>,
    /// What each disclosure was found to be a copy of, by number.
    copies: BTreeMap<u64, Option<u64>>,
}

/// Shows no artifact.
impl std::fmt::Debug for Judge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").field("task", &self.task.number).finish_non_exhaustive()
    }
}

/// A disclosure that is being compared with the earlier ones of others.
struct Search<'a> {
    of: (Address, u64, B256),
    /// How many disclosures it has been compared with or passed over.
    done: usize,
    /// Near copies that were found and may not be originals, the latest first.
    alike: Vec<&'a Disclosure>,
}

impl<'a> Judge<'a> {
    /// A judge over the disclosures of `task`.
    #[must_use]
    pub fn new(task: &'a Task, evaluator: &'a mut dyn Evaluator) -> Self {
        let mut disclosures: Vec<_> = task.disclosures.iter().collect();
        disclosures.sort_unstable_by_key(|disclosure| disclosure.number);
        Self { task, evaluator, disclosures, copies: BTreeMap::new() }
    }

    /// From now on, what is not found by then is unavailable; `None`: there is time without end.
    pub fn until(&mut self, deadline: Option<Instant>) {
        self.evaluator.until(deadline);
    }

    /// The verdict on the submission with this node, number and content hash, evaluated on all of the `rows`.
    pub fn verdict(&mut self, node: Address, number: u64, content_hash: B256, rows: &Rows) -> Verdict {
        let evaluated = match self.evaluator.evaluate(content_hash, rows) {
            Ok(evaluated) => evaluated,
            Err(verdict) => return verdict,
        };
        match self.copied_from(node, number, content_hash) {
            Ok(None) => evaluated,
            Ok(Some(earlier)) => Verdict::Invalid(format!("a copy of submission {earlier}")),
            Err(why) => Verdict::Unavailable(why),
        }
    }

    /// The number of the earliest submission of another node that this one copies (M-11).
    ///
    /// Only originals count as earlier: a copy of one's own model, disclosed by somebody else in between, does not turn
    /// one's next version into a copy. Whether the earlier one is an original is the same question again, so a chain of
    /// copies is followed to its end on a list, not on the stack, and every answer is kept.
    fn copied_from(&mut self, node: Address, number: u64, content_hash: B256) -> Result<Option<u64>, String> {
        let start = |of| Search { of, done: 0, alike: Vec::new() };
        let mut searches = vec![start((node, number, content_hash))];
        while let Some(search) = searches.last_mut() {
            let number = search.of.1;
            if let Some(earlier) = search.alike.last().copied() {
                match self.copies.get(&earlier.number) {
                    Some(None) => {
                        self.copies.insert(number, Some(earlier.number));
                        searches.pop();
                    }
                    Some(Some(_)) => _ = search.alike.pop(),
                    None => searches.push(start((earlier.node, earlier.number, earlier.content_hash))),
                }
            } else if self.copies.contains_key(&number)
                || !search.compare(&self.disclosures, self.evaluator)?
            {
                self.copies.entry(number).or_insert(None);
                searches.pop();
            }
        }
        Ok(self.copies.get(&number).copied().flatten())
    }
}

impl<'a> Search<'a> {
    /// Compares with the next earlier ones; false if there are none left.
    fn compare(&mut self, all: &[&'a Disclosure], evaluator: &mut dyn Evaluator) -> Result<bool, String> {
        let (node, number, own) = self.of;
        let mut next = Vec::new();
        while next.len() < evaluator.batch().max(1) {
            let Some(disclosure) = all.get(self.done).filter(|d| d.number < number) else { break };
            self.done += 1;
            next.extend(Some(*disclosure).filter(|d| d.node != node));
        }
        // Equal bytes are alike without a look at them.
        let others: Vec<B256> = next.iter().map(|d| d.content_hash).filter(|hash| *hash != own).collect();
        let mut found =
            if others.is_empty() { Vec::new() } else { evaluator.alike(own, &others)? }.into_iter();
        let any = !next.is_empty();
        next.retain(|d| d.content_hash == own || found.next() == Some(true));
        next.reverse();
        self.alike = next;
        Ok(any)
    }
}
