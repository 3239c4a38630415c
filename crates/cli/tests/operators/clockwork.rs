//! Daemons, and a chain whose clock moves on as soon as they have done their work.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use aiarena_chain::{
    deploy::Deployment,
    follow::Follower,
    ledger::{Ledger, Phase, Task},
};
use aiarena_node::plan::commits_from;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use serde_json::{Value, json};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A daemon that logs into a file.
pub(crate) struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn start(mut command: Command, name: &str, log: &Path) -> Self {
        let file = std::fs::File::create(log).expect("a log");
        let child = command.stdout(Stdio::null()).stderr(file).spawn().expect("it starts");
        Self { name: name.to_owned(), child, log: log.to_owned() }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn told(&self) -> String {
        format!("{}\n{}", self.name, self.log())
    }

    /// Tells it to stop, which it does by itself.
    pub(crate) fn stop(mut self) -> String {
        let ended = self.child.try_wait().expect("its state");
        assert!(ended.is_none(), "it ended by itself, {ended:?}: {}", self.told());
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(told.is_ok_and(|status| status.success()), "it is there");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}: {}", self.told());
        self.log()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets the time of an epoch pass, phase by phase, each as soon as the daemons did what they have to do before.
pub(crate) struct Clockwork<'a> {
    provider: DynProvider,
    follower: Follower,
    daemons: &'a [Daemon],
}

impl<'a> Clockwork<'a> {
    /// - `book`: the address book.
    pub(crate) async fn new(url: &str, book: &str, daemons: &'a [Daemon]) -> Self {
        let deployment: Deployment = serde_json::from_str(book).expect("an address book");
        let provider = ProviderBuilder::new().connect_http(url.parse().expect("a URL")).erased();
        let mut follower = Follower::connect(provider.clone(), deployment).await.expect("an arena");
        follower.sync().await.expect("the chain can be read");
        Self { provider, follower, daemons }
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.follower.ledger()
    }

    async fn ask(&self, method: &'static str, params: Value) {
        self.provider.raw_request::<_, Value>(method.into(), params).await.expect("Anvil answers");
    }

    /// Goes on to this phase of epoch 1.
    pub(crate) async fn jump(&mut self, phase: Phase) {
        let clock = self.ledger().clock;
        let time = if phase == Phase::Commit { commits_from(&clock, 1) } else { clock.start(1, phase) };
        self.ask("evm_setNextBlockTimestamp", json!([time])).await;
        self.ask("evm_mine", json!([])).await;
    }

    /// Waits until something holds; a block four times a second is what moves the chain's clock meanwhile.
    pub(crate) async fn until(&mut self, what: &str, holds: impl Fn(&Ledger) -> bool) {
        let patience = Instant::now() + PATIENCE;
        loop {
            self.follower.sync().await.expect("the chain can be read");
            if holds(self.ledger()) {
                return;
            }
            if Instant::now() > patience {
                let logs: Vec<String> = self.daemons.iter().map(Daemon::told).collect();
                panic!("not in time: {what}\n{}", logs.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            self.ask("evm_mine", json!([])).await;
        }
    }

    /// [`Self::until`] something holds of all tasks.
    pub(crate) async fn until_all(&mut self, what: &str, holds: impl Fn(&Task) -> bool) {
        self.until(what, |ledger| ledger.tasks.values().all(&holds)).await;
    }
}
