//! How an honest validator scores: fetch, check, compare, evaluate.

use std::collections::BTreeMap;

use aiarena_chain::ledger::{Flight, Task};
use aiarena_mechanism::Score;
use aiarena_ml::{Dataset, MAX_ARTIFACT_BYTES, Model, eval_slice, evaluate, is_near_copy};
use aiarena_store::{ContentHash, FolderStore};
use alloy::primitives::{Address, B256};

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

/// The rows of an epoch's evaluation: those that its seed draws.
#[must_use]
pub fn slice_of(flight: &Flight, rows: usize, size: u32) -> Vec<u32> {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    eval_slice(&flight.seed.0, flight.epoch, rows, size.min(rows))
}

/// Scores submissions of one task, from the store and the data alone.
///
/// It remembers which earlier disclosures are copies, but no score: each evaluation is made for the epoch at hand.
#[derive(Debug)]
pub struct Judge<'a> {
    task: &'a Task,
    data: &'a Dataset,
    store: &'a FolderStore,
    models: BTreeMap<B256, Result<Model, Verdict>>,
    originals: BTreeMap<u64, bool>,
}

impl<'a> Judge<'a> {
    /// A judge over the disclosures of `task`.
    #[must_use]
    pub fn new(task: &'a Task, data: &'a Dataset, store: &'a FolderStore) -> Self {
        Self { task, data, store, models: BTreeMap::new(), originals: BTreeMap::new() }
    }

    /// The verdict on the submission with this node, number and content hash, evaluated on `slice`.
    pub fn verdict(&mut self, node: Address, number: u64, content_hash: B256, slice: &[u32]) -> Verdict {
        if let Err(verdict) = self.model(content_hash) {
            return verdict.clone();
        }
        if let Some(earlier) = self.copied_from(node, number, content_hash) {
            return Verdict::Invalid(format!("a copy of submission {earlier}"));
        }
        let data = self.data;
        match self.model(content_hash) {
            Err(verdict) => verdict.clone(),
            Ok(model) => match evaluate(model, &data.evaluation, slice) {
                Err(error) => Verdict::Invalid(error.to_string()),
                Ok(found) => Verdict::Valid(found.score()),
            },
        }
    }

    /// The number of the earlier submission of another node that this one copies (M-11).
    ///
    /// Only originals count as earlier: a copy of one's own model, disclosed by somebody else in between, does not turn
    /// one's next version into a copy.
    fn copied_from(&mut self, node: Address, number: u64, content_hash: B256) -> Option<u64> {
        let task = self.task;
        let mut earlier: Vec<_> =
            task.disclosures.iter().filter(|d| d.number < number && d.node != node).collect();
        earlier.sort_unstable_by_key(|d| d.number);
        earlier
            .into_iter()
            .find(|d| {
                self.is_alike(content_hash, d.content_hash)
                    && self.is_original(d.node, d.number, d.content_hash)
            })
            .map(|d| d.number)
    }

    fn is_original(&mut self, node: Address, number: u64, content_hash: B256) -> bool {
        if let Some(known) = self.originals.get(&number) {
            return *known;
        }
        let original = self.copied_from(node, number, content_hash).is_none();
        self.originals.insert(number, original);
        original
    }

    fn is_alike(&mut self, later: B256, earlier: B256) -> bool {
        if later == earlier {
            return true;
        }
        let _loaded = (self.model(later).is_ok(), self.model(earlier).is_ok());
        match (self.models.get(&later), self.models.get(&earlier)) {
            (Some(Ok(later)), Some(Ok(earlier))) => is_near_copy(later, earlier),
            _ => false,
        }
    }

    /// The parsed artifact, or why there is none.
    fn model(&mut self, content_hash: B256) -> &Result<Model, Verdict> {
        let store = self.store;
        self.models.entry(content_hash).or_insert_with(|| load(store, content_hash))
    }
}

/// Fetches and parses an artifact. What is there but is no model is invalid; what cannot be had is unavailable.
fn load(store: &FolderStore, content_hash: B256) -> Result<Model, Verdict> {
    use aiarena_store::Error;
    match store.get(ContentHash(content_hash.0), MAX_ARTIFACT_BYTES as u64) {
        Ok(bytes) => Model::from_bytes(&bytes).map_err(|error| Verdict::Invalid(error.to_string())),
        Err(error @ Error::TooLarge { .. }) => Err(Verdict::Invalid(error.to_string())),
        Err(error) => Err(Verdict::Unavailable(error.to_string())),
    }
}
