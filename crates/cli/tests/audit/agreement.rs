//! What nobody tampered with, and what cannot be audited.

use aiarena_chain::{
    bindings::{Arena, Vault},
    deploy::Deployment,
    ledger::Phase,
};
use aiarena_cli::audit::{AuditOptions, Kind, audit};
use alloy::{
    primitives::{Address, U256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::{SolValue, eip712_domain},
};

use crate::{
    story::{FRESH, story},
    world::{NODE, Until, VALIDATOR, World, params, tokens},
};

#[tokio::test]
async fn an_honest_history_agrees_to_the_unit() {
    let world = story().await;
    let report = world.audit().await;
    assert!(report.ok, "{}", report.render(false));
    assert_eq!((report.tasks, report.epochs, report.claims, report.slashes), (4, 4, 6, 2));
    assert!(
        report.conservation_difference.parse::<u64>().unwrap() < 20,
        "{}",
        report.conservation_difference
    );
    assert!(report.payments > 20, "{}", report.payments);
    assert!(report.blocks > 100 && report.compared > 1_500, "{} {}", report.blocks, report.compared);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    let paid = report.rewards.iter().fold(U256::ZERO, |sum, row| sum + row.reward);
    let settled = report.replayed.ledger.tasks.values().flat_map(|task| &task.settled);
    let said = settled.fold(U256::ZERO, |sum, flight| sum + flight.outcome.settled.unwrap().0);
    assert_eq!(paid, said);
    assert!(paid > U256::ZERO);

    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["balance"], report.balance.to_string());
    assert_eq!(json["rewards"][0]["reward"], report.rewards[0].reward.to_string());
    assert!(json["findings"].as_array().unwrap().is_empty());
    let text = report.render(false);
    assert!(text.contains("Everything agrees") && !text.contains("DIFFERS"), "{text}");
}

#[tokio::test]
async fn long_lists_and_sheets_agree() {
    let mut world = World::new().await;
    let task = world.create(Arena::TaskParams { redundancy: 3, ..params(2) }, 200).await;
    let names: Vec<String> = (0..140).map(|i| format!("node-{i}")).collect();
    for name in &names {
        world.stake(name, task, NODE, 100).await;
    }
    for (name, stake) in [("whole", 900), ("half", 800), ("late", 700)] {
        world.stake(name, task, VALIDATOR, stake).await;
    }
    world.at(1, Phase::Submit).await;
    for name in &names {
        world.commit(name, task, 1, name).await;
    }
    world.at(1, Phase::Disclose).await;
    for name in &names {
        world.open(name, task, name).await;
    }
    world.at(1, Phase::Seed).await;
    world.draw(task).await;
    world.at(1, Phase::Commit).await;
    let score = |hash: alloy::primitives::B256| 500_000_000 + u32::from(hash[0]) * 1_000_000;
    let mut sheets = Vec::new();
    for name in ["whole", "half", "late"] {
        sheets.push(world.commit_scores(name, task, score).await);
    }
    world.at(1, Phase::Reveal).await;
    world.reveal("half", task, &sheets[1]).await;
    world.reveal("whole", task, &sheets[0]).await;
    world.at(1, Phase::Settle).await;
    world.settle(task, Until::End).await;
    let report = world.audit().await;
    assert!(report.ok, "{}", report.render(false));
    assert!(report.notes.is_empty() && report.payments > 100, "{} {:?}", report.payments, report.notes);
    let receipt = report.receipt(world.address("late"));
    assert!(receipt.contains("committed to scores and revealed none"), "{receipt}");
}

#[tokio::test]
async fn an_arena_without_tasks_agrees() {
    let world = World::new().await;
    let report = world.audit().await;
    assert!(report.ok, "{}", report.render(false));
    assert_eq!((report.tasks, report.events, report.payments), (0, 2, 0));
    let receipt = report.receipt(Address::ZERO);
    assert!(receipt.contains("no stake, no delegation and no claim"), "{receipt}");
}

#[tokio::test]
async fn an_epoch_is_audited_in_each_of_its_phases() {
    let mut world = World::new().await;
    let task = world.create(params(2), 103).await;
    for (name, role) in [("ann", NODE), ("bob", NODE), ("val", VALIDATOR)] {
        world.stake(name, task, role, 1_000).await;
    }
    assert!(world.audit().await.ok);
    world.at(1, Phase::Submit).await;
    world.commit("ann", task, 1, "a model").await;
    assert!(world.audit().await.ok);
    world.at(1, Phase::Disclose).await;
    world.open("ann", task, "a model").await;
    assert!(world.audit().await.ok);
    world.at(1, Phase::Seed).await;
    world.draw(task).await;
    assert!(world.audit().await.ok);
    world.at(1, Phase::Commit).await;
    let sheet = world.commit_scores("val", task, |_| 5).await;
    assert!(world.audit().await.ok);
    world.at(1, Phase::Reveal).await;
    world.reveal("val", task, &sheet).await;
    let report = world.audit().await;
    assert!(report.ok && report.payments == 0 && report.epochs == 0, "{}", report.render(false));
    world.at(1, Phase::Settle).await;
    world.settle(task, Until::End).await;
    let report = world.audit().await;
    assert!(report.ok && report.payments == 2 && report.epochs == 1, "{}", report.render(false));
}

#[tokio::test]
async fn an_epoch_that_nobody_scores_pays_nobody() {
    let mut world = World::new().await;
    let task = world.create(params(2), 103).await;
    for (name, role) in [("ann", NODE), ("val", VALIDATOR)] {
        world.stake(name, task, role, 1_000).await;
    }
    world.at(1, Phase::Submit).await;
    world.commit("ann", task, 1, "a model").await;
    world.at(1, Phase::Disclose).await;
    world.open("ann", task, "a model").await;
    world.at(1, Phase::Seed).await;
    world.draw(task).await;
    world.at(1, Phase::Settle).await;
    world.settle(task, Until::End).await;
    let report = world.audit().await;
    assert!(report.ok && report.payments == 0 && report.epochs == 1, "{}", report.render(false));
    let receipt = report.receipt(world.address("ann"));
    assert!(receipt.contains("not ranked and not paid"), "{receipt}");
}

#[tokio::test]
async fn what_others_send_for_an_account_agrees() {
    let mut world = World::new().await;
    let task = U256::from(world.create(params(2), 103).await);
    let account = world.person("ann").await;
    let (amount, deadline) = (tokens(150), U256::MAX);
    let type_hash = keccak256(
        "Stake(address account,uint256 task,uint8 role,uint96 amount,uint256 nonce,uint256 deadline)",
    );
    let content = (type_hash, account, task, U256::from(NODE), amount, U256::ZERO, deadline).abi_encode();
    let domain = eip712_domain! {
        name: "AIArena Vault",
        version: "1",
        chain_id: world.deployment.chain_id,
        verifying_contract: world.deployment.vault,
    };
    let content = [&[0x19, 0x01], domain.separator().as_slice(), keccak256(content).as_slice()].concat();
    let signer = PrivateKeySigner::from_bytes(&keccak256("ann")).unwrap();
    let signature = signer.sign_hash_sync(&keccak256(content)).unwrap().as_bytes().into();
    let amount = amount.to();
    let call = Vault::stakeForCall { account, task, role: NODE, amount, deadline, signature };
    world.vault("creator", call).await;
    let report = world.audit().await;
    assert!(report.ok && report.owed.staked == tokens(150), "{}", report.render(false));
}

#[tokio::test]
async fn what_is_no_arena_is_refused_with_a_reason() {
    let world = World::new().await;
    let provider = world.provider();
    for (arena, reason) in [
        (Address::repeat_byte(9), "there is no contract at"),
        (world.deployment.token, "does not answer as an arena does"),
    ] {
        let options = AuditOptions::new(Deployment { arena, ..world.deployment });
        let error = audit(&provider, options).await.unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{error:#}");
    }
    let options = AuditOptions::new(Deployment { from_block: 1_000, ..world.deployment });
    let error = audit(&provider, options).await.unwrap_err();
    assert!(error.to_string().contains("the newest block is"), "{error:#}");
}

#[tokio::test]
async fn contracts_that_do_not_belong_together_are_found() {
    let (world, other) = (World::new().await, Address::repeat_byte(3));
    let mut deployments = [world.deployment; 4];
    deployments[0].vault = other;
    deployments[1].token = other;
    deployments[2].emission = other;
    deployments[3].chain_id += 1;
    for deployment in deployments {
        let report = audit(&world.provider(), AuditOptions::new(deployment)).await.unwrap();
        assert!(report.kinds().contains_key(&Kind::Contract), "{}", report.render(false));
    }
}

#[tokio::test]
async fn a_history_that_begins_too_late_is_found() {
    let world = story().await;
    let whole = world.audit().await;
    for from_block in [whole.from_block + 2, whole.from_block + 20, whole.head.number - 1, whole.head.number]
    {
        let options = AuditOptions::new(Deployment { from_block, ..world.deployment });
        let report = audit(&world.provider(), options).await.unwrap();
        assert!(report.kinds().contains_key(&Kind::History), "{}", report.render(false));
    }
}

#[tokio::test]
async fn receipts_say_why_line_by_line() {
    let mut world = story().await;
    let report = world.audit().await;
    let task = world.task(FRESH).await.clone();
    let receipt = |name: &str| report.receipt(world.address(name));
    for (name, lines) in [
        (
            "ann",
            &[
                "Task 1, epoch 1, training node",
                "stake that counts: 1500 of its own, 500 delegated",
                "budget: 0 of the emission and",
                "M-7    revealed weight",
                "rank 1 of 3, with commitment number",
                "budget × F((a+t)/S) − budget × F(a/S) =",
                "weight q^(rank−1) × t^α is",
                "without the delegated stake:",
                "as computed",
                "may still be claimed",
            ][..],
        ),
        ("dan", &["another node disclosed the same file under a lower number (M-11)"]),
        ("eve", &["the consensus is that it is invalid or a copy (score 0)"]),
        ("cid", &["rank 3 of"]),
        (
            "val",
            &["Task 1, epoch 1, validator", "owes min(n, ⌈r × n × s / V⌉) =", "spread between submissions"],
        ),
        ("vic", &["it abstained"]),
        (
            "von",
            &[
                "committed to scores and revealed none",
                "slashed in block",
                "with an effective stake of 5500, of which 0.1 is 550",
                "taken: 250 of its own stake, 0 of what it was unbonding, 300 of its delegators'",
                "a delegated share was worth 1 and is now 0.925",
            ],
        ),
        (
            "vex",
            &[
                "committed to no scores",
                "it committed to no scores in 2 drawn epochs in a row",
                "with an effective stake of 2000, of which 0.1 is 200",
                "taken: 50 of its own stake, 150 of what it was unbonding, 0 of its delegators'",
            ],
        ),
        ("fred", &["which was slashed in block", "its delegation was worth"]),
        (
            "dora",
            &[
                "delegator of",
                "shares that count: 500 of 500 in all",
                "its share, exact to the unit when claimed",
                "Claims",
                "M-14   after a fee of",
            ],
        ),
        ("creator", &["no stake, no delegation and no claim"]),
    ] {
        let text = receipt(name);
        for line in lines {
            assert!(text.contains(line), "{name}: {line}\n{text}");
        }
        assert!(!text.contains("NOT as computed"), "{text}");
    }
    // Every payment is on its receipt to the last decimal.
    for payment in task.settled.iter().flat_map(|flight| &flight.outcome.nodes) {
        let amount = aiarena_cli::amount::show(payment.with_delegation, 18);
        assert!(report.receipt(payment.operator).contains(&amount), "{amount}");
    }
}
