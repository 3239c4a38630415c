//! P9: Rust and Solidity agree bit for bit, in results and in reverts.

use std::cell::Cell;

use alloy_primitives::U256;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::evm::{Answer, Harness, calldata, revert_data};
use crate::functions::{FUNCTIONS, Function};
use crate::inputs::{Kind, words};

/// Inputs per function.
const LEAST_CASES: u32 = 25_000;

pub(crate) fn runner() -> TestRunner {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    config.cases = config.cases.max(LEAST_CASES);
    TestRunner::new(config)
}

pub(crate) fn arguments(function: &Function) -> impl Strategy<Value = Vec<U256>> + use<> {
    let all = |kinds: &[Kind]| kinds.iter().map(|&kind| words(kind)).collect::<Vec<_>>();
    prop_oneof![all(function.hostile), all(function.usual)]
}

pub(crate) fn expected(function: &Function, arguments: &[U256]) -> Answer {
    match (function.twin)(arguments) {
        Ok(words) => Ok(words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect()),
        Err(error) => Err(revert_data(error)),
    }
}

/// Share of the inputs that must have a result, so that agreement is not only about reverts.
const LEAST_RESULTS: u32 = LEAST_CASES / 10;

fn compare(functions: &[Function]) {
    let harness = Harness::deploy();
    for function in functions {
        let results = Cell::new(0);
        let inputs = arguments(function);
        let mut runner = runner();
        let outcome = runner.run(&inputs, |arguments| {
            let answer = harness.call(calldata(function.signature, &arguments));
            results.set(results.get() + u32::from(answer.is_ok()));
            prop_assert_eq!(answer, expected(function, &arguments));
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", function.signature));
        let results = results.get();
        assert!(results >= LEAST_RESULTS, "{}: only {results} inputs have a result", function.signature);
    }
}

#[test]
fn p9_every_function_agrees_with_its_twin() {
    // Two halves, because each thread has an EVM of its own.
    let (left, right) = FUNCTIONS.split_at(FUNCTIONS.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| compare(left));
        compare(right);
    });
}
