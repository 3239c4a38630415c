//! A creator's evaluation data, one slice per epoch, and the tree over them.

use aiarena_mechanism::evaluation::{MerkleTree, slice_leaf};
use aiarena_ml::Rows;
use alloy::{
    primitives::{Address, B256, Keccak256, U256, keccak256},
    signers::local::PrivateKeySigner,
};
use zeroize::Zeroizing;

use super::{MAX_SEALED_BYTES, SealedError};

/// Names the encoding of a slice and its version.
const MAGIC: &[u8; 14] = b"aiarena slice\x01";
const SALT_BYTES: usize = 32;

/// What one epoch is evaluated on.
///
/// As bytes: `"aiarena slice" 1 | salt, 32 bytes | rows` (see [`Rows::to_bytes`]). The salt keeps whoever
/// suspects which rows a slice holds from finding out by hashing them: leaves are in proofs, and those are seen early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Any 32 bytes that nobody else knows.
    pub salt: B256,
    /// All of them count.
    pub rows: Rows,
}

impl Slice {
    /// The slice as bytes. Equal slices give equal bytes, and no others do.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&MAGIC[..], self.salt.as_slice(), &self.rows.to_bytes()].concat()
    }

    /// Reads a slice that anybody may have written.
    ///
    /// # Errors
    /// [`SealedError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealedError> {
        let malformed = |what: &str| SealedError::Malformed(what.to_owned());
        let bytes = bytes.strip_prefix(MAGIC).ok_or_else(|| malformed("it does not begin as one"))?;
        let (salt, rows) =
            bytes.split_first_chunk::<SALT_BYTES>().ok_or_else(|| malformed("it has no salt"))?;
        let rows = Rows::from_bytes(rows).map_err(|error| SealedError::Malformed(error.to_string()))?;
        if rows.is_empty() {
            return Err(malformed("it has no row"));
        }
        Ok(Self { salt: B256::from(*salt), rows })
    }

    /// Its leaf in the tree.
    #[must_use]
    pub fn leaf(&self) -> B256 {
        slice_leaf(&self.to_bytes())
    }
}

/// Cuts evaluation data into one slice per epoch, in their order, of sizes that differ by one row at most.
///
/// - `secret`: what only the creator knows; salts follow from it, so that the slices can be made again.
///
/// # Errors
/// [`SealedError::TooFewRows`].
pub fn split_into_slices(rows: &Rows, epochs: u32, secret: B256) -> Result<Vec<Slice>, SealedError> {
    let too_few = || SealedError::TooFewRows { rows: rows.len(), epochs };
    let count = u32::try_from(rows.len()).map_err(|_| too_few())?;
    if epochs == 0 || count < epochs {
        return Err(too_few());
    }
    let boundary = |index: u32| {
        let boundary = u64::from(count) * u64::from(index) / u64::from(epochs);
        u32::try_from(boundary).expect("at most the number of rows")
    };
    let slice = |index: u32| {
        let numbers: Vec<u32> = (boundary(index)..boundary(index + 1)).collect();
        Slice { salt: salt(secret, index), rows: rows.select(&numbers) }
    };
    Ok((0..epochs).map(slice).collect())
}

/// What only the creator knows of its slices: a pseudo-random function of its signing key, the chain, the arena, and the rows
/// with their number of slices, so that key and rows are all that is needed to make the slices again.
///
/// The rows are in it so that what a task published when it was over says nothing of the salts of the next one.
#[must_use]
pub fn slice_secret(
    signer: &PrivateKeySigner,
    chain_id: u64,
    arena: Address,
    rows: &Rows,
    epochs: u32,
) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"aiarena slices v1");
    hasher.update(Zeroizing::new(signer.to_bytes().0).as_slice());
    hasher.update(U256::from(chain_id).to_be_bytes::<32>());
    hasher.update(arena);
    hasher.update(epochs.to_be_bytes());
    hasher.update(keccak256(rows.to_bytes()));
    hasher.finalize()
}

fn salt(secret: B256, index: u32) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"aiarena slice salt v1");
    hasher.update(secret);
    hasher.update(index.to_be_bytes());
    hasher.finalize()
}

/// The tree over all slices of a task: its root goes on chain when the task is created, and nothing of it changes after.
#[derive(Debug, Clone)]
pub struct EvaluationTree {
    slices: Vec<Slice>,
    tree: MerkleTree,
}

impl EvaluationTree {
    /// A tree over slices in the order of their epochs, as many as the task has epochs when it is created.
    ///
    /// # Errors
    /// If there is no slice.
    pub fn new(slices: Vec<Slice>) -> Result<Self, SealedError> {
        let tree = MerkleTree::new(slices.iter().map(Slice::leaf).collect())?;
        Ok(Self { slices, tree })
    }

    /// The tree over a creator's rows: always the same for the same rows, number of epochs and secret.
    ///
    /// - `secret`: that of [`slice_secret`].
    ///
    /// # Errors
    /// [`SealedError::TooFewRows`]; [`SealedError::TooLarge`] if a slice is larger than what validators open.
    pub fn of_rows(rows: &Rows, epochs: u32, secret: B256) -> Result<Self, SealedError> {
        let slices = split_into_slices(rows, epochs, secret)?;
        // Room for the proof, the recipients and the encryption's own bytes.
        let limit = MAX_SEALED_BYTES - (2 << 20);
        for got in slices.iter().map(|slice| slice.to_bytes().len()) {
            if got > limit {
                return Err(SealedError::TooLarge { what: "a slice", limit, got });
            }
        }
        Self::new(slices)
    }

    /// What the task's `evaluationRoot` has to be.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.tree.root()
    }

    /// The slices, in the order of their epochs.
    #[must_use]
    pub fn slices(&self) -> &[Slice] {
        &self.slices
    }

    /// A slice and the siblings on its way to the root.
    ///
    /// # Errors
    /// If there is no such slice.
    pub fn slice(&self, index: u32) -> Result<(&Slice, Vec<B256>), SealedError> {
        let proof = self.tree.proof(index as usize)?;
        Ok((&self.slices[index as usize], proof))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aiarena_ml::Dataset;

    use super::*;

    #[test]
    fn key_and_rows_make_the_same_tree_and_nothing_else_does() {
        let rows = |count: u32| Dataset::embedded().evaluation.select(&(0..count).collect::<Vec<_>>());
        let signer = |byte| PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).unwrap();
        let tree = |byte, chain, arena, count, epochs| {
            let (rows, arena) = (rows(count), Address::repeat_byte(arena));
            let secret = slice_secret(&signer(byte), chain, arena, &rows, epochs);
            EvaluationTree::of_rows(&rows, epochs, secret)
        };
        let root =
            |byte, chain, arena, count, epochs| tree(byte, chain, arena, count, epochs).unwrap().root();
        let first = root(1, 1, 1, 20, 4);
        assert_eq!(first, root(1, 1, 1, 20, 4));
        for other in [
            root(2, 1, 1, 20, 4),
            root(1, 2, 1, 20, 4),
            root(1, 1, 2, 20, 4),
            root(1, 1, 1, 21, 4),
            root(1, 1, 1, 20, 5),
        ] {
            assert_ne!(first, other);
        }
        let salt_of = |count| tree(1, 1, 0, count, 4).unwrap().slices()[0].salt;
        assert_ne!(salt_of(20), salt_of(21), "one task's salts say nothing of another's");
        let salts: BTreeSet<B256> =
            tree(1, 1, 0, 20, 4).unwrap().slices().iter().map(|slice| slice.salt).collect();
        assert_eq!(salts.len(), 4, "one slice's salt says nothing of another's");
        assert!(matches!(tree(1, 1, 0, 3, 4), Err(SealedError::TooFewRows { rows: 3, epochs: 4 })));
    }

    #[test]
    fn what_no_validator_would_open_is_no_slice() {
        let rows = Dataset::embedded().evaluation.select(&vec![0; 45_000]);
        let tree = |epochs| EvaluationTree::of_rows(&rows, epochs, B256::ZERO);
        assert!(matches!(tree(1), Err(SealedError::TooLarge { .. })));
        assert!(tree(2).is_ok());
    }
}
