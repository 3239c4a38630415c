//! A process that is killed while it writes.

use std::{env, path::PathBuf, time::Duration};

use aiarena_chain::{deploy::Deployment, follow::Follower};

use crate::{
    arena::{Stage, assert_same},
    endpoints,
    proxy::{Fault, Plan, Proxy},
    random::Random,
};

const CHILD: &str = "AIARENA_READING_CHILD";

/// What the killed process does; nothing if it is run as a test.
#[tokio::test]
async fn child() {
    let Ok(task) = env::var(CHILD) else { return };
    let (url, path, deployment): (String, PathBuf, Deployment) = serde_json::from_str(&task).unwrap();
    let mut follower = Follower::open(endpoints(&[url]).provider(), deployment, &path).await.unwrap();
    loop {
        follower.sync().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_written_is_whole() {
    let mut stage = Stage::embedded(60).await;
    stage.mine(400).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    // Stretches of three blocks: it is always about to write.
    let proxy =
        Proxy::start(stage.provider.clone(), Plan::Always(vec![Fault::Limits { blocks: 3, batch: 2 }])).await;
    let task = serde_json::to_string(&(&proxy.url, &path, &stage.deployment)).unwrap();
    let mut random = Random::new(60);
    let (end, mut heads) = (stage.head().await, Vec::new());
    for round in 0..12 {
        let mut child = tokio::process::Command::new(env::current_exe().unwrap())
            .args(["--exact", "kill::child"])
            .env(CHILD, &task)
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let before = proxy.seen("eth_getLogs");
        let until = before + 1 + random.word() % 12;
        crate::proxy::until(|| round > 0 && heads.last() == Some(&end) || proxy.seen("eth_getLogs") >= until)
            .await;
        tokio::time::sleep(Duration::from_micros(random.word() % 3_000)).await;
        // SIGKILL.
        child.kill().await.unwrap();
        let follower = Follower::open(stage.provider.clone(), stage.deployment, &path).await.unwrap();
        heads.push(follower.head().map_or(0, |head| head.number));
    }
    assert!(heads.is_sorted(), "{heads:?}");
    assert!(heads.iter().any(|head| (1..end).contains(head)), "it was killed halfway: {heads:?}");
    println!("killed at {heads:?} of {end}");
    let mut follower = Follower::open(stage.provider.clone(), stage.deployment, &path).await.unwrap();
    follower.sync().await.unwrap();
    assert_same(&follower, &stage.fresh().await);
}
