//! What is hashed before it is shown: submissions (M-1) and scores (M-10).

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Keccak256, U256, keccak256};

use crate::{Error, Score};

/// Bytes of one revealed score.
const SCORE_BYTES: usize = 4;

/// A node's commitment to a submission (M-1): bound to chain, arena, task, epoch and node, so that it means nothing
/// anywhere else.
pub fn submission(
    chain_id: u64,
    arena: Address,
    task: U256,
    epoch: u32,
    node: Address,
    content_hash: B256,
    salt: B256,
) -> B256 {
    bind(chain_id, arena, task, epoch, node, &[content_hash, salt])
}

/// A validator's commitment to its scores (M-10), which it reveals all at once: whoever could reveal a part would choose
/// the part after seeing what the others revealed.
///
/// - `seed`: of the epoch; it binds the list's history, so that a score is of one artifact and no other.
/// - `scores`: all of its scores as encoded by [`encode_scores`], in the order of the draw.
#[expect(clippy::too_many_arguments, reason = "each of them is bound by the hash, and has a name on chain")]
pub fn scores(
    chain_id: u64,
    arena: Address,
    task: U256,
    epoch: u32,
    validator: Address,
    salt: B256,
    seed: B256,
    scores: &[u8],
) -> B256 {
    bind(chain_id, arena, task, epoch, validator, &[salt, seed, keccak256(scores)])
}

/// keccak256 of the ABI encoding of all of it.
fn bind(chain_id: u64, arena: Address, task: U256, epoch: u32, operator: Address, rest: &[B256]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(U256::from(chain_id).to_be_bytes::<32>());
    hasher.update(arena.into_word());
    hasher.update(task.to_be_bytes::<32>());
    hasher.update(U256::from(epoch).to_be_bytes::<32>());
    hasher.update(operator.into_word());
    for word in rest {
        hasher.update(word);
    }
    hasher.finalize()
}

/// A commitment to scores as the arena stores it: its upper 224 bits, and the epoch in the lower 32.
pub fn tagged(commitment: B256, epoch: u32) -> B256 {
    let mut word = commitment;
    word[28..].copy_from_slice(&epoch.to_be_bytes());
    word
}

/// Scores as they are revealed: four bytes each, big-endian; an abstention is all ones.
pub fn encode_scores(scores: &[Option<Score>]) -> Vec<u8> {
    scores.iter().flat_map(|&score| Score::to_wire(score).to_be_bytes()).collect()
}

/// Reads revealed scores.
///
/// # Errors
/// [`Error::ScoresLength`] for a length that is no multiple of four, [`Error::IllegalScore`] for any other word.
pub fn decode_scores(bytes: &[u8]) -> Result<Vec<Option<Score>>, Error> {
    let (words, rest) = bytes.as_chunks::<SCORE_BYTES>();
    if !rest.is_empty() {
        return Err(Error::ScoresLength(bytes.len()));
    }
    words.iter().map(|word| Score::from_wire(u32::from_be_bytes(*word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_survive_the_wire() {
        let scores = [Some(Score::INVALID), None, Some(Score::MAX), Some(Score::MIN)];
        assert_eq!(decode_scores(&encode_scores(&scores)).unwrap(), scores);
        assert_eq!(decode_scores(&[]).unwrap(), []);
        assert_eq!(decode_scores(&[0; 5]), Err(Error::ScoresLength(5)));
        assert_eq!(decode_scores(&[0x80, 0, 0, 0]), Err(Error::IllegalScore(0x8000_0000)));
    }

    #[test]
    fn a_commitment_to_scores_depends_on_all_it_binds() {
        let (arena, validator) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let (salt, seed, sheet) = (B256::repeat_byte(3), B256::repeat_byte(4), [0, 0, 0, 1]);
        let base = scores(1, arena, U256::ONE, 1, validator, salt, seed, &sheet);
        assert_ne!(base, scores(2, arena, U256::ONE, 1, validator, salt, seed, &sheet));
        assert_ne!(base, scores(1, validator, U256::ONE, 1, validator, salt, seed, &sheet));
        assert_ne!(base, scores(1, arena, U256::ZERO, 1, validator, salt, seed, &sheet));
        assert_ne!(base, scores(1, arena, U256::ONE, 2, validator, salt, seed, &sheet));
        assert_ne!(base, scores(1, arena, U256::ONE, 1, arena, salt, seed, &sheet));
        assert_ne!(base, scores(1, arena, U256::ONE, 1, validator, seed, salt, &sheet));
        assert_ne!(base, scores(1, arena, U256::ONE, 1, validator, salt, salt, &sheet));
        assert_ne!(base, scores(1, arena, U256::ONE, 1, validator, salt, seed, &[]));
    }

    #[test]
    fn a_tag_replaces_the_lower_bits() {
        let word = tagged(B256::repeat_byte(0xab), 5);
        assert_eq!(word[..28], [0xab; 28]);
        assert_eq!(word[28..], [0, 0, 0, 5]);
    }
}
