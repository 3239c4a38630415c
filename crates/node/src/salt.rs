//! Salts of commitments, derived from the operator's key.
//!
//! A salt is a pseudo-random function of key, chain, arena, task and epoch (M-10): it can be rebuilt after a crash, and
//! revealing it opens nothing else.

use std::fmt;

use alloy::{
    primitives::{Address, B256, Keccak256, U256},
    signers::local::PrivateKeySigner,
};

/// What a salt is for. Submissions and scores of one epoch must not share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A commitment to a submission.
    Submission,
    /// A commitment to scores.
    Scores,
}

/// Derives the salts of one operator in one arena.
#[derive(Clone)]
pub struct Salts {
    key: B256,
    chain_id: u64,
    arena: Address,
}

/// Shows no key.
impl fmt::Debug for Salts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Salts")
            .field("chain_id", &self.chain_id)
            .field("arena", &self.arena)
            .finish_non_exhaustive()
    }
}

impl Salts {
    /// Derives from an operator's key. The key itself is hashed first and cannot be found from a salt.
    #[must_use]
    pub fn new(signer: &PrivateKeySigner, chain_id: u64, arena: Address) -> Self {
        let mut hasher = Keccak256::new();
        hasher.update(b"aiarena salt key v1");
        hasher.update(signer.to_bytes());
        Self { key: hasher.finalize(), chain_id, arena }
    }

    /// The salt for one purpose, task and epoch.
    #[must_use]
    pub fn salt(&self, purpose: Purpose, task: u64, epoch: u32) -> B256 {
        let mut hasher = Keccak256::new();
        hasher.update(self.key);
        hasher.update(match purpose {
            Purpose::Submission => b"submission",
            Purpose::Scores => b"the scores",
        });
        hasher.update(U256::from(self.chain_id).to_be_bytes::<32>());
        hasher.update(self.arena);
        hasher.update(task.to_be_bytes());
        hasher.update(epoch.to_be_bytes());
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_purpose_task_epoch_chain_arena_and_key_has_its_own_salt() {
        let mut salts = BTreeSet::new();
        for key in [PrivateKeySigner::random(), PrivateKeySigner::random()] {
            for chain_id in [1, 2] {
                for arena in [Address::ZERO, Address::repeat_byte(1)] {
                    let deriver = Salts::new(&key, chain_id, arena);
                    for (task, epoch) in [(1, 1), (1, 2), (2, 1)] {
                        salts.insert(deriver.salt(Purpose::Submission, task, epoch));
                        salts.insert(deriver.salt(Purpose::Scores, task, epoch));
                    }
                }
            }
        }
        assert_eq!(salts.len(), 2 * 2 * 2 * 3 * 2);
    }

    #[test]
    fn the_key_is_not_shown() {
        let key = PrivateKeySigner::random();
        let shown = format!("{:?}", Salts::new(&key, 1, Address::ZERO));
        assert!(!shown.contains("key") && !shown.contains(&key.to_bytes().to_string()), "{shown}");
    }
}
