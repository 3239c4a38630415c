//! The daemon of a creator: follows the chain, and lets its courier deliver. It sends no transaction, so it needs no account.

use std::{
    sync::{Arc, atomic::Ordering},
    time::UNIX_EPOCH,
};

use aiarena_chain::follow::Follower;
use tokio::sync::watch;

use super::{Courier, DaemonError, Health, Sight, SliceSource, Worker, metrics, run};

/// A creator's daemon.
#[derive(Debug)]
pub struct Sealer<S> {
    follower: Follower,
    courier: Courier<S>,
    poll: std::time::Duration,
    /// Those of the token.
    decimals: u8,
    health: Arc<Health>,
}

impl<S: SliceSource> Sealer<S> {
    /// A daemon over the state that `follower` has read.
    ///
    /// - `poll`: time between two looks at the chain.
    /// - `decimals`: those of the token, in which metrics show amounts.
    #[must_use]
    pub fn new(follower: Follower, courier: Courier<S>, poll: std::time::Duration, decimals: u8) -> Self {
        metrics::describe();
        Self { follower, courier, poll, decimals, health: Arc::default() }
    }

    /// How it is, also while it runs.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Works until `stop` turns true.
    ///
    /// # Errors
    /// [`DaemonError`], for what does not pass by itself.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> Result<(), DaemonError> {
        let poll = self.poll;
        run(&mut self, poll, stop).await
    }
}

impl<S: SliceSource> Worker for Sealer<S> {
    fn health(&self) -> &Health {
        &self.health
    }

    async fn read(&mut self) -> Result<(), DaemonError> {
        self.follower.sync().await?;
        let head = self.follower.head().map_or(0, |head| head.number);
        self.health.head.store(head, Ordering::Relaxed);
        let (ledger, creator) = (self.follower.ledger(), self.courier.creator());
        metrics::looked(ledger, creator, self.decimals, head, self.follower.now());
        Ok(())
    }

    async fn work(&mut self) -> Result<(), DaemonError> {
        let sight = Sight {
            ledger: self.follower.ledger(),
            head: self.follower.head().map_or(0, |head| head.number),
            now: self.follower.now(),
            settled: self.follower.settled(),
            machine_time: machine_time(),
        };
        self.courier.look(sight).await;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "it can only delay what cannot be taken back")]
fn machine_time() -> u64 {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH);
    since.map(|duration| duration.as_secs()).unwrap_or_default()
}
