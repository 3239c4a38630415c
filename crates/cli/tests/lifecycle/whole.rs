//! The life of a task with a process for everybody, over Anvil with a block per second: a creator, three nodes, three
//! validators, a delegator. In each phase of an epoch one node and one validator are killed and started again.

use std::fs;

use aiarena_chain::{
    deploy::Deployment,
    follow::Follower,
    ledger::{Phase, Role, Task},
};
use aiarena_ml::{Architecture, Dataset, Model, TrainingConfig, train};
use aiarena_node::settlement::assigned;
use alloy::providers::ProviderBuilder;

use crate::{
    DEPLOYMENT,
    actor::{Actor, Daemon},
    anvil::Anvil,
    task, task_params, until_time,
};

/// Epochs of the task.
const EPOCHS: u32 = 3;
/// The epoch in which daemons are killed.
const KILLED: u32 = 2;

/// A linear model that saw a few rows.
fn small_model() -> Vec<u8> {
    let seed = [3; 32];
    let config = TrainingConfig { rows: 200, passes: 1, batch: 32, learning_rate: 0.01, momentum: 0.9, seed };
    let start = Model::init(Architecture::linear(), &seed);
    train(start, &Dataset::embedded().training, &config, |_| {}).unwrap().to_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_from_its_creation_to_the_last_claim() {
    let anvil = Anvil::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file:{}", folder.path().join("public").display());
    let actor = |name: &str, extra: &str| Actor::new(folder.path(), name, &anvil, &store, extra);

    let creator = actor("creator", "");
    let builtin =
        |hidden, rows, passes| format!("[train]\nhidden = {hidden}\nrows = {rows}\npasses = {passes}\n");
    let own = "[train]\ncommand = [\"sh\", \"train.sh\"]\n".to_owned();
    let nodes: Vec<Actor> = [builtin("[24]", 900, 2), builtin("[16]", 600, 2), own]
        .iter()
        .enumerate()
        .map(|(i, train)| actor(&format!("node-{i}"), train))
        .collect();
    let validators: Vec<Actor> = (0..3).map(|i| actor(&format!("validator-{i}"), "")).collect();
    let delegator = actor("delegator", "");

    // The third brings a model that it trained elsewhere. Its command must not find the password of its key.
    fs::write(folder.path().join("node-2/model"), small_model()).unwrap();
    nodes[2].write(
        "train.sh",
        "sleep 4; [ -z \"$AIARENA_PASSWORD\" ] && [ \"$AIARENA_TASK\" = 1 ] && cp model \"$AIARENA_OUTPUT\"\n",
    );

    // Before the first epoch everything is set up, by commands alone.
    creator.write("deployment.toml", DEPLOYMENT);
    creator.run(&["deploy", "--params", "deployment.toml", "--yes"]);
    let book = creator.read("contracts.json");
    let everybody = || nodes.iter().chain(&validators).chain([&delegator]);
    for other in everybody() {
        other.write("contracts.json", &book);
        creator.run(&["token", "mint", "2000", "--to", &other.address(), "--yes"]);
    }
    creator.run(&["token", "mint", "4000", "--yes"]);
    creator.run(&["task", "create", "--write-params", "task.toml"]);
    creator.write("task.toml", &task_params("embedded", EPOCHS));
    creator.run(&["task", "create", "--params", "task.toml", "--yes"]);
    creator.run(&["task", "fund", "1", "3000", "--yes"]);
    std::thread::scope(|scope| {
        for (i, node) in nodes.iter().enumerate() {
            let stake = (500 + 100 * i).to_string();
            scope.spawn(move || node.run(&["stake", "1", &stake, "--role", "node", "--yes"]));
        }
        for (i, validator) in validators.iter().enumerate() {
            let stake = (1_000 + 200 * i).to_string();
            scope.spawn(move || validator.run(&["stake", "1", &stake, "--role", "validator", "--yes"]));
        }
    });
    nodes[0].run(&["commission", "1", "12.5", "--yes"]);
    delegator.run(&["delegate", "1", &nodes[0].address(), "700", "--yes"]);

    let deployment: Deployment = serde_json::from_str(&book).unwrap();
    let provider =
        alloy::providers::Provider::erased(ProviderBuilder::new().connect_http(anvil.url().parse().unwrap()));
    let mut follower = Follower::connect(provider, deployment).await.unwrap();
    follower.sync().await.unwrap();
    let clock = follower.ledger().clock;
    anvil.jump_to(clock.start(1, Phase::Submit) - 8);

    let mut training: Vec<Daemon> = nodes.iter().map(|node| node.daemon("train")).collect();
    let mut scoring: Vec<Daemon> = validators.iter().map(|validator| validator.daemon("validate")).collect();
    // Its training is broken off, and begun again by the configuration of now.
    until_time(&mut follower, clock.start(1, Phase::Submit) + 2).await;
    training[2].signal("HUP");
    until_time(&mut follower, clock.start(1, Phase::Disclose)).await;
    assert!(training[2].log().contains("reading the configuration again"), "{}", training[2].log());

    let twin = nodes[0].read("aiarena.toml").replace("\nlisten", "\n# listen");
    nodes[0].write("twin.toml", &twin);
    let refused = nodes[0].try_run(&["node", "train", "--config", "twin.toml"]);
    assert_eq!(refused.0, Some(2));
    assert!(refused.1.contains("another process works with this key"), "{}", refused.1);
    // Neither with folders of its own, nor in a command.
    nodes[0].write("twin.toml", &twin.replace("data_dir = \"data\"", "data_dir = \"other\""));
    for command in [&["node", "train"][..], &["stake", "1", "1", "--yes"]] {
        let refused = nodes[0].try_run(&[command, &["--config", "twin.toml"]].concat());
        assert_eq!(refused.0, Some(2));
        assert!(refused.1.contains("a daemon on this machine works with the key"), "{}", refused.1);
    }
    scoring[0].signal("HUP");

    let phases = [Phase::Submit, Phase::Disclose, Phase::Seed, Phase::Commit, Phase::Reveal, Phase::Settle];
    for (i, phase) in phases.into_iter().enumerate() {
        // In the middle of the work, not before it begins.
        until_time(&mut follower, clock.start(KILLED, phase) + 1).await;
        training[i % 3].kill();
        scoring[i % 3].kill();
        training[i % 3] = nodes[i % 3].daemon("train");
        scoring[i % 3] = validators[i % 3].daemon("validate");
    }
    check_health(&training[1], &scoring[1]);

    let end = clock.start(EPOCHS + 1, Phase::Submit);
    until_time(&mut follower, end).await;
    let patience = end + 60;
    while task(&follower).settled.len() < EPOCHS as usize {
        assert!(follower.now() < patience, "epoch {EPOCHS} is not settled:\n{}", scoring[0].log());
        let now = follower.now();
        until_time(&mut follower, now + 1).await;
    }
    for daemon in training.iter_mut().chain(&mut scoring) {
        daemon.stop();
    }
    assert!(validators[0].logs().contains("reading the configuration again"), "{}", validators[0].logs());
    check_epochs(task(&follower), &nodes, &validators);

    // The auditor recomputes every payment from the revealed scores.
    let arena = deployment.arena.to_string();
    let audit = creator.run(&["audit", "--rpc-url", anvil.url(), "--arena", &arena]);
    assert!(audit.contains("Everything agrees") && audit.contains("18 payments"), "{audit}");

    for operator in nodes.iter().chain(&validators) {
        let before = operator.balance();
        operator.run(&["claim", "--all", "--yes"]);
        assert!(operator.balance() > before, "{} was paid nothing", operator.name());
    }
    let before = delegator.balance();
    delegator.run(&["claim", "1", &nodes[0].address(), "--yes"]);
    assert!(delegator.balance() > before);
}

/// Every node is listed and paid in every epoch, and every validator revealed what it was assigned.
fn check_epochs(task: &Task, nodes: &[Actor], validators: &[Actor]) {
    assert_eq!(task.settled.iter().map(|flight| flight.epoch).collect::<Vec<_>>(), [1, 2, 3]);
    for flight in &task.settled {
        let epoch = flight.epoch;
        for node in nodes {
            let entry = flight.entries.iter().find(|entry| entry.node.to_string() == node.address());
            assert!(entry.is_some(), "epoch {epoch}: {} did not submit\n{}", node.name(), node.logs());
            let opened = task.disclosures.iter().filter(|disclosure| {
                disclosure.node.to_string() == node.address() && disclosure.epoch == epoch
            });
            assert_eq!(opened.count(), 1, "epoch {epoch}: {}\n{}", node.name(), node.logs());
        }
        for validator in validators {
            let address = validator.address().parse().unwrap();
            assert_eq!(task.pools[&address].role, Role::Validator);
            assert!(!assigned(task, flight, address).unwrap().is_empty());
            let revealed = flight.reveals.contains_key(&address);
            assert!(revealed, "epoch {epoch}: {} did not reveal\n{}", validator.name(), validator.logs());
        }
        assert_eq!(flight.outcome.nodes.len(), nodes.len(), "epoch {epoch}: all are ranked");
        assert_eq!(flight.outcome.validators.len(), validators.len(), "epoch {epoch}: all are paid");
    }
}

/// What an operator's dashboard asks.
fn check_health(node: &Daemon, validator: &Daemon) {
    for daemon in [node, validator] {
        let health = daemon.get("/health");
        assert!(health.contains("ok, block"), "{health}");
    }
    let metrics = validator.get("/metrics");
    for name in [
        "aiarena_head_block",
        "aiarena_stake_tokens",
        "aiarena_deadlines_missed",
        "aiarena_transactions_waiting",
    ] {
        assert!(metrics.contains(name), "{name} is not in\n{metrics}");
    }
    assert!(metrics.contains("aiarena_deadlines_missed{task=\"1\"} 0"), "{metrics}");
    // The first epoch is settled: its deadlines were met, and the operator was paid.
    for daemon in [node, validator] {
        let metrics = daemon.get("/metrics");
        assert!(value(&metrics, "aiarena_deadlines_met{task=\"1\"}") >= 1.0, "{metrics}");
        assert!(value(&metrics, "aiarena_rewards_tokens{task=\"1\"}") > 0.0, "{metrics}");
        assert!(value(&metrics, "aiarena_claimable_tokens{task=\"1\"}") > 0.0, "{metrics}");
    }
}

/// What a metric is; -1 if it is not shown.
fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(-1.0)
}
