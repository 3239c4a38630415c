//! How the demo's dishonest nodes make their artifacts, and how its dishonest validators report.

use std::time::Duration;

use aiarena_chain::ledger::Task;
use aiarena_mechanism::Score;
use aiarena_ml::{MAX_ARTIFACT_BYTES, Model};
use aiarena_node::{
    judge::Verdict,
    operator::{Reporter, Trainer},
};
use aiarena_store::{ContentHash, FolderStore};
use alloy::primitives::{Address, B256, keccak256};

/// Takes the leader's model as it was disclosed: the very bytes at first, later with one per cent of noise.
pub struct Copier {
    store: FolderStore,
    seed: B256,
    copied: bool,
}

impl Copier {
    /// A copier that reads the public store.
    #[must_use]
    pub fn new(store: FolderStore, seed: B256) -> Self {
        Self { store, seed, copied: false }
    }
}

/// Noise of the perturbed copy, as a part of each tensor's root mean square.
const COPY_NOISE: f64 = 0.01;

impl Trainer for Copier {
    fn train(&mut self, _epoch: u32, task: &Task, _: Duration) -> Result<Option<Vec<u8>>, String> {
        // Nothing is disclosed before the first epoch's Disclose.
        let Some(last) = task.settled.last() else { return Ok(None) };
        let Some(best) = last.outcome.nodes.first() else { return Ok(None) };
        let Some(leader) = last.entries.iter().find(|entry| entry.node == best.operator) else {
            return Ok(None);
        };
        let hash = ContentHash(leader.content_hash.0);
        let bytes = self.store.get(hash, MAX_ARTIFACT_BYTES as u64).map_err(|error| error.to_string())?;
        if !self.copied {
            self.copied = true;
            return Ok(Some(bytes));
        }
        let model = Model::from_bytes(&bytes).map_err(|error| error.to_string())?;
        Ok(Some(model.perturbed(COPY_NOISE, &self.seed.0).to_bytes()))
    }
}

/// Submits a file that is no model, of another kind in each epoch.
pub struct Malformer;

impl Trainer for Malformer {
    fn train(&mut self, epoch: u32, _task: &Task, _: Duration) -> Result<Option<Vec<u8>>, String> {
        let mut bytes = Model::init(aiarena_ml::Architecture::linear(), &[7; 32]).to_bytes();
        match epoch % 3 {
            // A header that promises more than the file holds.
            1 => bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes()),
            // Weights that are no numbers.
            2 => {
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
            }
            // No model at all.
            _ => bytes = keccak256(epoch.to_be_bytes()).to_vec(),
        }
        Ok(Some(bytes))
    }
}

/// Lies for a friend and against the leader, and is right about all others.
pub struct Liar {
    friend: Address,
}

impl Liar {
    /// A liar and whom it favours.
    #[must_use]
    pub fn new(friend: Address) -> Self {
        Self { friend }
    }
}

impl Reporter for Liar {
    fn report(&mut self, _epoch: u32, found: &[(Address, Verdict)]) -> Vec<Option<Score>> {
        let others = found.iter().filter(|(node, _)| *node != self.friend);
        let leader = others.max_by_key(|(_, verdict)| verdict.report()).map(|(node, _)| *node);
        found
            .iter()
            .map(|(node, verdict)| {
                if *node == self.friend {
                    Some(Score::MAX)
                } else if Some(*node) == leader {
                    Some(Score::MIN)
                } else {
                    verdict.report()
                }
            })
            .collect()
    }
}

/// Reports the same score for everything.
pub struct Lazy;

/// About what a weak model scores.
const LAZY_SCORE: u32 = 800_000_000;

impl Reporter for Lazy {
    fn report(&mut self, _epoch: u32, found: &[(Address, Verdict)]) -> Vec<Option<Score>> {
        vec![Score::new(LAZY_SCORE).ok(); found.len()]
    }
}
