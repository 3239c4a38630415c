//! Tasks with a process for everybody, over Anvil with a block per second.
#![expect(clippy::unwrap_used, reason = "what fails in the helpers of a test fails the test")]

mod actor;
mod anvil;
mod sealed;
mod whole;

use std::time::{Duration, Instant};

use aiarena_chain::{follow::Follower, ledger::Task};

/// The task that both play.
const TASK: u64 = 1;

const DEPLOYMENT: &str = r#"
epoch_length = 60
first_epoch_in = 900
unbonding_epochs = 2
bond = "100"
max_fee = "0.05"
slash = "0.01"
emission = "1000"
emission_decay = "0.5"
emission_period = 1461
[schedule]
submit_end = 20
disclose_end = 27
seed_end = 34
commit_end = 48
reveal_end = 56
seed_delay = 0
silent_epochs = 3
"#;

/// Parameters of the task.
fn task_params(evaluation_data: &str, epochs: u32) -> String {
    format!(
        r#"
description = "task-description.json"
evaluation_data = {evaluation_data:?}
epochs = {epochs}
min_node_stake = "100"
min_validator_stake = "500"
max_submissions = 64
redundancy = 15
fresh_data = true
tolerance = "0.001"
delegation_weight = "1"
equal_share = "0.25"
[ranking]
rule = "stake-integral"
phi = "0.2"
"#
    )
}

fn task(follower: &Follower) -> &Task {
    &follower.ledger().tasks[&TASK]
}

/// Waits until something holds of the task.
async fn until(follower: &mut Follower, what: &str, holds: impl Fn(&Follower) -> bool) {
    let patience = Instant::now() + Duration::from_secs(300);
    while !holds(follower) {
        assert!(Instant::now() < patience, "not in time: {what}, at {}", follower.now());
        tokio::time::sleep(Duration::from_millis(250)).await;
        follower.sync().await.unwrap();
    }
}

/// Waits until it is a time of the chain's clock.
async fn until_time(follower: &mut Follower, time: u64) {
    until(follower, "a time", |follower| follower.now() >= time).await;
}
