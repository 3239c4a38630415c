//! P9 for what is longer than a word: leaves of scores, and Merkle proofs.

use aiarena_mechanism::commitment::{MerkleTree, leaf, verify};
use alloy_primitives::{B256, U256};
use proptest::prelude::*;

use crate::differential::runner;
use crate::evm::{Harness, selector};

/// ABI encoding of `bytes32[]`.
fn array(words: &[B256]) -> Vec<u8> {
    let mut data = U256::from(words.len()).to_be_bytes::<32>().to_vec();
    data.extend(words.iter().flatten());
    data
}

/// ABI encoding of `bytes`.
fn bytes(content: &[u8]) -> Vec<u8> {
    let mut data = U256::from(content.len()).to_be_bytes::<32>().to_vec();
    data.extend(content);
    data.resize(data.len().next_multiple_of(32), 0);
    data
}

pub(crate) fn leaf_call(chunk: u32, hashes: &[B256], scores: &[u8]) -> Vec<u8> {
    let (hashes, scores) = (array(hashes), bytes(scores));
    let mut data = selector("leaf(uint256,bytes32[],bytes)");
    for word in [U256::from(chunk), U256::from(96), U256::from(96 + hashes.len())] {
        data.extend(word.to_be_bytes::<32>());
    }
    [data, hashes, scores].concat()
}

pub(crate) fn verify_call(proof: &[B256], root: B256, leaf: B256, index: usize, count: usize) -> Vec<u8> {
    let mut data = selector("proves(bytes32[],bytes32,bytes32,uint256,uint256)");
    data.extend(U256::from(160).to_be_bytes::<32>());
    data.extend(root);
    data.extend(leaf);
    data.extend(U256::from(index).to_be_bytes::<32>());
    data.extend(U256::from(count).to_be_bytes::<32>());
    [data, array(proof)].concat()
}

fn hashes(most: usize) -> impl Strategy<Value = Vec<B256>> {
    prop::collection::vec(any::<[u8; 32]>().prop_map(B256::from), 0..=most)
}

#[test]
fn p9_leaves_agree() {
    let harness = Harness::deploy();
    let inputs = (any::<u32>(), hashes(8), prop::collection::vec(any::<u8>(), 0..100));
    let outcome = runner().run(&inputs, |(chunk, hashes, scores)| {
        let answer = harness.call(leaf_call(chunk, &hashes, &scores));
        prop_assert_eq!(answer, Ok(leaf(chunk, &hashes, &scores).to_vec()));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn p9_proofs_are_accepted_and_false_ones_are_not() {
    let harness = Harness::deploy();
    let inputs = (hashes(20), any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..6_u8);
    let outcome = runner().run(&inputs, |(leaves, index, bit, damage)| {
        if leaves.is_empty() {
            return Ok(());
        }
        let tree = MerkleTree::new(leaves.clone()).unwrap();
        let index = index.index(leaves.len());
        let (mut proof, mut leaf) = (tree.proof(index).unwrap(), leaves[index]);
        let (mut place, mut count) = (index, leaves.len());
        let bit = bit.index(256);
        match damage {
            1 => leaf[bit / 8] ^= 1 << (bit % 8),
            2 if !proof.is_empty() => proof[0][bit / 8] ^= 1 << (bit % 8),
            3 if count > 1 => place = (place + 1) % count,
            4 if count > 1 => (place, count) = (0, 1),
            5 => proof.push(B256::ZERO),
            _ => {}
        }
        let undamaged = proof == tree.proof(index).unwrap() && (place, count) == (index, leaves.len());
        let valid = damage != 1 && undamaged;
        prop_assert_eq!(verify(&proof, tree.root(), leaf, place, count), valid);
        let answer = harness.call(verify_call(&proof, tree.root(), leaf, place, count));
        prop_assert_eq!(answer, Ok(U256::from(valid).to_be_bytes_vec()));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn p9_a_whole_chunk_of_scores_agrees() {
    let hashes: Vec<_> = (0..128_u8).map(B256::repeat_byte).collect();
    let scores: Vec<_> = (0..512_u32).map(|i| i.to_le_bytes()[0]).collect();
    let answer = Harness::deploy().call(leaf_call(15, &hashes, &scores));
    assert_eq!(answer, Ok(leaf(15, &hashes, &scores).to_vec()));
}
