//! Golden vectors, `vectors/*.json`: written by `UPDATE_VECTORS=1 cargo test -p aiarena-mechanism`, compared otherwise.
//! The Solidity tests read the same files, but for the trees: no contract looks into one.

use aiarena_mechanism::evaluation::{MerkleTree, slice_leaf};
use alloy_primitives::{Address, B256, U256, keccak256};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::differential::arguments;
use crate::functions::{FUNCTIONS, Function};
use crate::sheets::Sheet;

/// Rows per function. Rows that would revert are left out: `differential` compares those.
const ROWS: usize = 16;

fn hex(word: U256) -> String {
    format!("0x{word:064x}")
}

/// `words` holds the rows one after another, arguments before results, so that Solidity can read it as one flat array.
fn vectors_of(function: &Function, rows: &[Vec<U256>]) -> Value {
    let results = |row: &Vec<U256>| (function.twin)(row).unwrap();
    let words: Vec<_> =
        rows.iter().flat_map(|row| row.iter().copied().chain(results(row)).map(hex)).collect();
    json!({
        "signature": function.signature,
        "arguments": function.usual.len(),
        "results": results(&rows[0]).len(),
        "words": words,
    })
}

/// Random rows that have a result.
fn new_rows(function: &Function, runner: &mut TestRunner) -> Vec<Vec<U256>> {
    let strategy = arguments(function);
    let candidates = std::iter::repeat_with(|| strategy.new_tree(runner).unwrap().current());
    candidates.filter(|row| (function.twin)(row).is_ok()).take(ROWS).collect()
}

/// The arguments that a file holds for a function.
fn kept_rows(function: &Function, file: &Value) -> Vec<Vec<U256>> {
    let entries = file["functions"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["signature"] == function.signature).unwrap();
    let words: Vec<U256> = entry["words"]
        .as_array()
        .unwrap()
        .iter()
        .map(|word| word.as_str().unwrap().parse().unwrap())
        .collect();
    let arity = function.usual.len();
    let width = arity + usize::try_from(entry["results"].as_u64().unwrap()).unwrap();
    words.chunks(width).map(|row| row[..arity].to_vec()).collect()
}

/// Commitments to sheets of 0 … 8 scores, and to one of 2048.
fn sheet_vectors() -> Value {
    let entry = |length: u32| {
        let hash = |name: &str| keccak256(format!("{name} {length}"));
        let sheet = Sheet {
            chain_id: 84_532,
            arena: Address::from_word(hash("arena")),
            task: U256::from(length + 1),
            epoch: 7 * length + 1,
            validator: Address::from_word(hash("validator")),
            salt: hash("salt"),
            seed: hash("seed"),
            scores: (0..length).flat_map(|i| (1_000_000 * i).to_be_bytes()).collect(),
        };
        json!({
            "words": sheet.words().map(hex),
            "scores": format!("0x{}", alloy_primitives::hex::encode(&sheet.scores)),
            "commitment": sheet.commitment(),
        })
    };
    let sheets: Vec<Value> = (0..=8).chain([2048]).map(entry).collect();
    json!({"count": sheets.len(), "sheets": sheets})
}

/// Trees over slices of evaluation data: leaves, root, and the proof of each leaf.
fn tree_vectors() -> Value {
    let tree_of = |slices: u32| {
        let slices: Vec<String> = (0..slices).map(|i| format!("slice {i}")).collect();
        let leaves: Vec<B256> = slices.iter().map(|slice| slice_leaf(slice.as_bytes())).collect();
        let tree = MerkleTree::new(leaves.clone()).unwrap();
        let proofs: Vec<_> = (0..leaves.len()).map(|index| tree.proof(index).unwrap()).collect();
        json!({"slices": slices, "leaves": leaves, "root": tree.root(), "proofs": proofs})
    };
    let trees: Vec<Value> = (1..=9).map(tree_of).collect();
    json!({"trees": trees})
}

fn path(name: &str) -> String {
    format!("{}/../../vectors/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn updating() -> bool {
    std::env::var_os("UPDATE_VECTORS").is_some()
}

fn check(name: &str, value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap() + "\n";
    if updating() {
        std::fs::write(path(name), &text).unwrap();
    }
    let committed = std::fs::read_to_string(path(name)).unwrap();
    assert!(committed == text, "{name} differs; UPDATE_VECTORS=1 writes it anew");
}

#[test]
fn libraries_match_their_vectors() {
    let name = "libraries.json";
    let functions: Vec<Value> = if updating() {
        let mut runner = TestRunner::deterministic();
        FUNCTIONS.iter().map(|function| vectors_of(function, &new_rows(function, &mut runner))).collect()
    } else {
        let file = serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap();
        FUNCTIONS.iter().map(|function| vectors_of(function, &kept_rows(function, &file))).collect()
    };
    check(name, &json!({"count": functions.len(), "functions": functions}));
}

#[test]
fn sheets_match_their_vectors() {
    check("sheets.json", &sheet_vectors());
}

#[test]
fn trees_match_their_vectors() {
    check("trees.json", &tree_vectors());
}
