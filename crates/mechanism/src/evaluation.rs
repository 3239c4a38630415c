//! The tree over a task's evaluation slices: its creator publishes the root when it creates the task, and can then
//! neither change nor choose what an epoch is evaluated on.
//!
//! The contracts store the root and never look into the tree: whoever evaluates does.

use alloc::vec::Vec;

use alloy_primitives::{B256, keccak256};

use crate::Error;

/// Leaf of a slice of evaluation data: keccak256(keccak256(bytes)).
///
/// It is hashed twice, so that no inner node of a tree can be taken for a leaf.
pub fn slice_leaf(slice: &[u8]) -> B256 {
    keccak256(keccak256(slice))
}

/// Binary Merkle tree whose pairs are hashed in their order; a node without a sibling moves up unchanged. A place has one
/// path, which follows from it and the number of leaves: a root holds one leaf for each place.
///
/// ```
/// use aiarena_mechanism::evaluation::{MerkleTree, slice_leaf, verify};
///
/// let leaves = [b"a", b"b", b"c"].map(|slice| slice_leaf(slice));
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
    fn an_inner_node_is_no_leaf() {
        let leaves = [slice_leaf(b"left"), slice_leaf(b"right")];
        let tree = MerkleTree::new(leaves.to_vec()).unwrap();
        let inner = [leaves[0].0, leaves[1].0].concat();
        assert_eq!(keccak256(&inner), tree.root());
        assert_ne!(slice_leaf(&inner), tree.root());
    }
}
