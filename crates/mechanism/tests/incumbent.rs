//! The incumbent network's published example, reproduced to its 12 decimals through M-3 and M-6.
//!
//! Its rank scores and validators' performances are inputs, so each share is in proportion to one of them times stake.

#![expect(clippy::unwrap_used, reason = "a failed expectation is the point of a test")]

use aiarena_mechanism::rewards::{effective, node_budget, operator_share, proportional};
use alloy_primitives::U256;
use serde_json::Value;

/// Decimals of the published numbers.
const PUBLISHED: usize = 12;

/// Decimals of a token.
const TOKEN: usize = 18;

fn example() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/incumbent-example.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// A decimal string in units of 10^−`decimals`.
fn decimal(value: &Value, decimals: usize) -> U256 {
    let text = value.as_str().unwrap();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert!(fraction.len() <= decimals, "{text}");
    format!("{whole}{fraction:0<decimals$}").parse().unwrap()
}

/// Compares an amount of a token with a published number, to its last decimal. Both round down.
fn assert_published(amount: U256, published: &Value, what: &str) {
    let unit = U256::from(10).pow(U256::from(TOKEN - PUBLISHED));
    let published = decimal(published, PUBLISHED);
    assert_eq!(amount / unit, published, "{what}: {amount}");
}

fn sum(values: impl IntoIterator<Item = U256>) -> U256 {
    values.into_iter().sum()
}

#[test]
fn the_incumbents_example_is_reproduced() {
    let example = example();
    let expected = &example["expected"];
    let [budget, gamma, epsilon, sigma] =
        ["daily_budget", "gamma", "epsilon", "sigma"].map(|name| decimal(&example[name], TOKEN));
    let nodes = example["nodes"].as_array().unwrap();
    let validators = example["validators"].as_array().unwrap();
    let field = |entry: &Value, name: &str| decimal(&entry[name], TOKEN);

    // M-3.
    let directs = |entries: &[Value]| sum(entries.iter().map(|entry| field(entry, "direct")));
    let nodes_budget = node_budget(budget, gamma, directs(nodes), directs(validators)).unwrap();
    assert_published(nodes_budget, &expected["node_budget"], "node budget");
    assert_published(budget - nodes_budget, &expected["validator_budget"], "validator budget");

    // Nodes, with their delegators.
    let weight = |node: &Value, stake: U256| stake * field(node, "rank_score");
    let full = |node: &Value| effective(field(node, "direct"), field(node, "delegated"), epsilon).unwrap();
    let weights: Vec<U256> = nodes.iter().map(|node| weight(node, full(node))).collect();
    let total = sum(weights.iter().copied());
    let rewards: Vec<U256> =
        weights.iter().map(|&weight| proportional(nodes_budget, weight, total).unwrap()).collect();
    for (reward, published) in
        rewards.iter().zip(expected["node_rewards_with_delegators"].as_array().unwrap())
    {
        assert_published(*reward, published, "node");
    }

    // Validators.
    let performance = |entry: &Value| field(entry, "performance") * field(entry, "direct");
    let total_performance = sum(validators.iter().map(performance));
    for (entry, published) in validators.iter().zip(expected["validator_rewards"].as_array().unwrap()) {
        let reward = proportional(budget - nodes_budget, performance(entry), total_performance).unwrap();
        assert_published(reward, published, "validator");
    }

    // M-6, node A.
    let alone = weight(&nodes[0], field(&nodes[0], "direct"));
    let without = proportional(nodes_budget, alone, total - weights[0] + alone).unwrap();
    assert_published(without, &expected["node_A_reward_without_delegation"], "A alone");
    let operator = operator_share(rewards[0], without, sigma).unwrap();
    assert_published(operator, &expected["node_A_operator_m6"], "A's operator");
    assert_published(rewards[0] - operator, &expected["node_A_delegators_m6"], "A's delegators");
}
