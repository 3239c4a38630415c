//! What is hashed before it is shown: submissions (M-1) and scores (M-10).

use alloc::vec::Vec;

use alloy_primitives::{Address, B256, Keccak256, U256, keccak256};

use crate::{Error, Score};

/// Most scores in one chunk: each chunk is revealed by itself and whole.
pub const CHUNK: usize = 128;

/// Bytes of one score in a chunk.
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
    bind(chain_id, arena, task, epoch, node, [content_hash, salt])
}

/// A validator's commitment to its scores (M-10): `root` is the Merkle root over its chunks.
pub fn scores(
    chain_id: u64,
    arena: Address,
    task: U256,
    epoch: u32,
    validator: Address,
    salt: B256,
    root: B256,
) -> B256 {
    bind(chain_id, arena, task, epoch, validator, [salt, root])
}

/// keccak256 of the ABI encoding of all of it.
fn bind(chain_id: u64, arena: Address, task: U256, epoch: u32, operator: Address, rest: [B256; 2]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(U256::from(chain_id).to_be_bytes::<32>());
    hasher.update(arena.into_word());
    hasher.update(task.to_be_bytes::<32>());
    hasher.update(U256::from(epoch).to_be_bytes::<32>());
    hasher.update(operator.into_word());
    hasher.update(rest[0]);
    hasher.update(rest[1]);
    hasher.finalize()
}

/// A commitment to scores as the arena stores it: its upper 224 bits, and the epoch in the lower 32.
pub fn tagged(commitment: B256, epoch: u32) -> B256 {
    let mut word = commitment;
    word[28..].copy_from_slice(&epoch.to_be_bytes());
    word
}

/// A chunk of scores as it is revealed: four bytes each, big-endian; an abstention is all ones.
pub fn encode_scores(scores: &[Option<Score>]) -> Vec<u8> {
    scores.iter().flat_map(|&score| Score::to_wire(score).to_be_bytes()).collect()
}

/// Reads a revealed chunk.
///
/// # Errors
/// [`Error::ChunkLength`] for a length that is no multiple of four, [`Error::IllegalScore`] for any other word.
pub fn decode_scores(bytes: &[u8]) -> Result<Vec<Option<Score>>, Error> {
    let (words, rest) = bytes.as_chunks::<SCORE_BYTES>();
    if !rest.is_empty() {
        return Err(Error::ChunkLength(bytes.len()));
    }
    words.iter().map(|word| Score::from_wire(u32::from_be_bytes(*word))).collect()
}

/// Leaf of the Merkle tree over a validator's chunks: `scores` as encoded by [`encode_scores`], and the content hashes of
/// what was scored, both in the order of the draw.
///
/// It is hashed twice, so that no inner node of a tree can be taken for a leaf.
pub fn leaf(chunk: u32, content_hashes: &[B256], scores: &[u8]) -> B256 {
    let mut contents = Keccak256::new();
    for hash in content_hashes {
        contents.update(hash);
    }

    // ABI encoding of (uint256, bytes32, bytes): the last is an offset, a length, and the bytes padded to whole words.
    let mut hasher = Keccak256::new();
    hasher.update(U256::from(chunk).to_be_bytes::<32>());
    hasher.update(contents.finalize());
    hasher.update(U256::from(96).to_be_bytes::<32>());
    hasher.update(U256::from(scores.len()).to_be_bytes::<32>());
    hasher.update(scores);
    hasher.update(&[0; 32][..scores.len().next_multiple_of(32) - scores.len()]);
    keccak256(hasher.finalize())
}

/// Binary Merkle tree whose pairs are hashed in their order; a node without a sibling moves up unchanged. A place has one
/// path, which follows from it and the number of leaves: a root holds one leaf for each place.
///
/// ```
/// use aiarena_mechanism::commitment::{MerkleTree, verify};
/// use alloy_primitives::B256;
///
/// let leaves = [1, 2, 3].map(B256::repeat_byte);
/// let tree = MerkleTree::new(leaves.to_vec()).expect("three leaves");
/// let proof = tree.proof(2).expect("the third leaf");
/// assert_eq!(proof.len(), 1);
/// assert!(verify(&proof, tree.root(), leaves[2], 2, 3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleTree {
    /// The leaves first, the root alone last.
    layers: Vec<Vec<B256>>,
    root: B256,
}

impl MerkleTree {
    /// Builds the tree.
    ///
    /// # Errors
    /// [`Error::NoLeaf`] without leaves.
    pub fn new(leaves: Vec<B256>) -> Result<Self, Error> {
        let mut layers = Vec::new();
        let mut layer = leaves;
        while layer.len() > 1 {
            let parents = layer.chunks(2).map(parent).collect();
            layers.push(core::mem::replace(&mut layer, parents));
        }
        let root = *layer.first().ok_or(Error::NoLeaf)?;
        layers.push(layer);
        Ok(Self { layers, root })
    }

    /// The root.
    pub fn root(&self) -> B256 {
        self.root
    }

    /// The siblings on the way from a leaf to the root.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] if there is no such leaf.
    pub fn proof(&self, index: usize) -> Result<Vec<B256>, Error> {
        let leaves = self.layers[0].len();
        if index >= leaves {
            let word = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
            return Err(Error::IndexOutOfRange { index: word(index), length: word(leaves) });
        }
        let siblings =
            self.layers.iter().enumerate().filter_map(|(depth, layer)| layer.get((index >> depth) ^ 1));
        Ok(siblings.copied().collect())
    }
}

/// Whether `leaf` is the leaf at `index` of the tree of `count` leaves with this root.
pub fn verify(proof: &[B256], root: B256, leaf: B256, index: usize, count: usize) -> bool {
    let (mut node, mut index, mut count) = (leaf, index, count);
    let mut siblings = proof.iter();
    while count > 1 {
        if index ^ 1 < count {
            let Some(&sibling) = siblings.next() else { return false };
            node = if index.is_multiple_of(2) { parent(&[node, sibling]) } else { parent(&[sibling, node]) };
        }
        (index, count) = (index / 2, count.div_ceil(2));
    }
    siblings.next().is_none() && node == root
}

fn parent(pair: &[B256]) -> B256 {
    match *pair {
        [a, b] => keccak256([a.0, b.0].concat()),
        [single] => single,
        _ => unreachable!("a pair has one or two nodes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_of_every_small_tree_is_proven() {
        for size in 1..40_u8 {
            let leaves: Vec<B256> = (0..size).map(|i| keccak256([i])).collect();
            let tree = MerkleTree::new(leaves.clone()).unwrap();
            for (index, &leaf) in leaves.iter().enumerate() {
                let proof = tree.proof(index).unwrap();
                let count = usize::from(size);
                assert!(verify(&proof, tree.root(), leaf, index, count), "{index} of {size}");
                assert!(!verify(&proof, tree.root(), keccak256(leaf), index, count), "{index} of {size}");
                for other in (0..count).filter(|other| *other != index) {
                    assert!(!verify(&proof, tree.root(), leaf, other, count), "{index} as {other} of {size}");
                }
                // A tree with more leaves in place of the one it should have holds none of them.
                assert!(size == 1 || !verify(&proof, tree.root(), leaf, 0, 1), "{index} of {size}");
            }
            assert!(tree.proof(usize::from(size)).is_err());
        }
        assert_eq!(MerkleTree::new(Vec::new()), Err(Error::NoLeaf));
    }

    #[test]
    fn a_tree_of_one_is_its_leaf() {
        let leaf = B256::repeat_byte(7);
        let tree = MerkleTree::new([leaf].to_vec()).unwrap();
        assert_eq!((tree.root(), tree.proof(0).unwrap().len()), (leaf, 0));
    }

    #[test]
    fn scores_survive_the_wire() {
        let scores = [Some(Score::INVALID), None, Some(Score::MAX), Some(Score::MIN)];
        assert_eq!(decode_scores(&encode_scores(&scores)).unwrap(), scores);
        assert_eq!(decode_scores(&[]).unwrap(), []);
        assert_eq!(decode_scores(&[0; 5]), Err(Error::ChunkLength(5)));
        assert_eq!(decode_scores(&[0x80, 0, 0, 0]), Err(Error::IllegalScore(0x8000_0000)));
    }

    #[test]
    fn a_leaf_depends_on_all_it_binds() {
        let (hashes, scores) = ([B256::repeat_byte(1), B256::repeat_byte(2)], [0, 0, 0, 1, 0, 0, 0, 2]);
        let base = leaf(0, &hashes, &scores);
        assert_ne!(base, leaf(1, &hashes, &scores));
        assert_ne!(base, leaf(0, &hashes[..1], &scores));
        assert_ne!(base, leaf(0, &[hashes[1], hashes[0]], &scores));
        assert_ne!(base, leaf(0, &hashes, &scores[..4]));
        // A longer chunk of zeros pads to the same words and still differs by its length.
        assert_ne!(leaf(0, &hashes, &[0; 4]), leaf(0, &hashes, &[0; 8]));
    }

    #[test]
    fn a_tag_replaces_the_lower_bits() {
        let word = tagged(B256::repeat_byte(0xab), 5);
        assert_eq!(word[..28], [0xab; 28]);
        assert_eq!(word[28..], [0, 0, 0, 5]);
    }
}
