//! A trainer that is the operator's own command: well-behaved and otherwise.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aiarena_chain::ledger::{Task, TaskParams};
use aiarena_mechanism::{ranking::RankingRule, settle::Task as Rules};
use aiarena_ml::{Architecture, MAX_ARTIFACT_BYTES, Model};
use aiarena_node::{operator::Trainer, trainers::CommandTrainer};
use alloy::primitives::{Address, B256, U256};

/// More than any command here takes.
const LONG: Duration = Duration::from_secs(60);

fn task() -> Task {
    let rules = Rules {
        rule: RankingRule::StakeIntegral { phi_wad: U256::from(1) },
        gamma_wad: U256::ZERO,
        epsilon_wad: U256::ZERO,
        tolerance: 0,
        redundancy: 1,
    };
    let params = TaskParams {
        metadata: B256::ZERO,
        evaluation_root: B256::ZERO,
        epochs: 9,
        min_node_stake: U256::ZERO,
        min_validator_stake: U256::ZERO,
        max_submissions: 8,
        fresh_data: true,
        rules,
    };
    Task::new(7, Address::ZERO, (1, 9), params)
}

fn run(
    folder: &Path,
    script: &str,
    limit: Duration,
    stop: &Arc<AtomicBool>,
) -> Result<Option<Vec<u8>>, String> {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    let scratch = folder.join("scratch");
    CommandTrainer::new(command, folder.to_owned(), scratch, Arc::clone(stop)).train(3, &task(), limit)
}

#[test]
fn what_a_killed_daemon_left_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let desk = folder.path().join("scratch/task-7");
    std::fs::create_dir_all(&desk).unwrap();
    std::fs::write(desk.join("artifact"), "of yesterday").unwrap();
    let sleep = |output: &Path| {
        std::process::Command::new("sleep").arg("60").env("AIARENA_OUTPUT", output).spawn().unwrap()
    };
    let (mut orphan, mut stranger) = (sleep(&desk.join("artifact")), sleep(&desk.join("artifact-2")));
    assert_eq!(
        run(folder.path(), "true", LONG, &Arc::default()),
        Ok(None),
        "the old artifact does not count"
    );
    assert!(orphan.wait().unwrap().code().is_none(), "it was ended by a signal");
    assert!(stranger.try_wait().unwrap().is_none(), "what belongs to others goes on");
    assert!(!desk.exists());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn it_submits_what_the_command_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let model = Model::init(Architecture::linear(), &[1; 32]).to_bytes();
    std::fs::write(folder.path().join("model"), &model).unwrap();
    let stop = Arc::default();
    let script = r#"[ "$AIARENA_TASK" = 7 ] && [ "$AIARENA_EPOCH" = 3 ] && [ "$AIARENA_SECONDS_LEFT" = 54 ] &&
        cp model "$AIARENA_OUTPUT""#;
    assert_eq!(run(folder.path(), script, LONG, &stop), Ok(Some(model)));
    assert_eq!(run(folder.path(), "true", LONG, &stop), Ok(None), "it has nothing to submit");
    let left: Vec<_> = std::fs::read_dir(folder.path().join("scratch")).unwrap().collect();
    assert!(left.is_empty(), "nothing stays: {left:?}");
}

#[test]
fn what_is_no_model_is_not_submitted() {
    let folder = tempfile::tempdir().unwrap();
    let large = format!("head -c {} /dev/zero > \"$AIARENA_OUTPUT\"", MAX_ARTIFACT_BYTES + 1);
    let rows = [
        ("exit 3", "ended with exit status: 3"),
        ("kill -9 $$", "ended with signal: 9"),
        ("echo garbage > \"$AIARENA_OUTPUT\"", "is no model"),
        ("mkdir \"$AIARENA_OUTPUT\"", "directory"),
        (large.as_str(), "larger than"),
    ];
    for (script, reason) in rows {
        let error = run(folder.path(), script, LONG, &Arc::default()).unwrap_err();
        assert!(error.contains(reason), "{script}: {error}");
    }
    let mut nobody = CommandTrainer::new(
        vec!["./nobody".to_owned()],
        folder.path().to_owned(),
        folder.path().join("scratch"),
        Arc::default(),
    );
    assert!(nobody.train(3, &task(), LONG).unwrap_err().contains("cannot run ./nobody"));
}

#[test]
fn a_command_that_hangs_ends_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    // The child writes its id, ignores a polite request, and would live for long.
    let script = "trap '' TERM; sleep 600 & echo $! > child; wait";
    let begun = Instant::now();
    let error = run(folder.path(), script, Duration::from_secs(1), &Arc::default()).unwrap_err();
    assert!(error.contains("was stopped after"), "{error}");
    let stop = Arc::new(AtomicBool::new(true));
    stop.store(true, Ordering::Relaxed);
    let error = run(folder.path(), script, LONG, &stop).unwrap_err();
    assert!(error.contains("told to stop"), "{error}");
    assert!(begun.elapsed() < LONG, "both are killed after a few seconds");
    let child = std::fs::read_to_string(folder.path().join("child")).unwrap();
    let alive = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
    assert!(alive.is_err() || alive.unwrap().contains(") Z "), "the child of the command is gone, too");
}
