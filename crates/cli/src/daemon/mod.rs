//! `aiarena node`: a training node, a validator or a creator's daemon that runs for months.

pub(crate) mod assemble;
mod serve;
mod slices;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aiarena_chain::ledger::Role;
use aiarena_node::daemon::{Daemon, DaemonError, Health, Sealer};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing::{error, info};

use self::slices::OwnSlices;
use crate::{
    config::Config,
    operator::{args::ConfigArgs, sole::Held},
    ui::told,
};

/// Which daemon.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// The configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What it does
    #[command(subcommand)]
    pub role: NodeRole,
}

/// The daemons.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum NodeRole {
    /// Train for the configured tasks, submit in each epoch, until it is told to stop
    ///
    /// SIGTERM and SIGINT stop it, SIGHUP makes it read its configuration again. It can be killed at any time: what it
    /// promised is on disk before it is sent, and the next start goes on from there.
    Train,
    /// Score submissions of the configured tasks, and settle epochs, until it is told to stop
    ///
    /// Signals as for `train`.
    Validate,
    /// Seal each epoch's evaluation data of your tasks to their validators, and publish all of them at the end
    ///
    /// For the creator of tasks whose evaluation data are sealed. It sends no transaction: it needs the key's address, but no
    /// password, and commands of the same key may run beside it. It finds new tasks by itself. Signals as for `train`.
    Seal,
}

/// A daemon of either kind.
enum Running {
    Operator(Box<Daemon>, Held),
    Creator(Box<Sealer<OwnSlices>>),
}

impl Running {
    async fn assemble(
        role: NodeRole,
        config: &Config,
        stop: Arc<AtomicBool>,
        reloaded: bool,
    ) -> Result<Self> {
        let role = match role {
            NodeRole::Train => Role::Node,
            NodeRole::Validate => Role::Validator,
            NodeRole::Seal => {
                return Ok(Self::Creator(Box::new(assemble::sealer(config).await?)));
            }
        };
        let (daemon, held) = assemble::daemon(config, role, stop, reloaded).await?;
        Ok(Self::Operator(Box::new(daemon), held))
    }

    fn health(&self) -> Arc<Health> {
        match self {
            Self::Operator(daemon, _) => daemon.health(),
            Self::Creator(sealer) => sealer.health(),
        }
    }

    async fn run(self, stop: watch::Receiver<bool>) -> Result<(), DaemonError> {
        match self {
            Self::Operator(daemon, _held) => daemon.run(stop).await,
            Self::Creator(sealer) => sealer.run(stop).await,
        }
    }
}

/// Why a daemon ended.
enum End {
    Stop,
    Reload(Box<Config>),
    /// It worked, and then could not go on.
    Broke(anyhow::Error),
}

/// Runs a daemon until it is told to stop.
///
/// # Errors
/// If the configuration is of no use, another process works with the key, or the chain's history cannot be followed.
pub async fn run(args: NodeArgs) -> Result<bool> {
    let file = args.config.config;
    let mut config = Config::find(file.as_deref())?;
    let mut signals = Signals::new()?;
    let recorder = serve::recorder()?;
    let (mut previous, mut reloaded) = (None, false);
    loop {
        let role = args.role;
        match serve_and_run(&config, role, reloaded, &recorder, &mut signals, file.as_ref()).await {
            Ok(End::Stop) => return Ok(true),
            Ok(End::Broke(error)) => return Err(error),
            Ok(End::Reload(new)) => {
                reloaded = true;
                previous = Some(std::mem::replace(&mut config, *new));
            }
            // It worked before, so it is the new configuration that does not.
            Err(error) => match previous.take() {
                Some(old) => {
                    error!("the new configuration does not work, the old one goes on: {}", told(&error));
                    config = old;
                }
                None => return Err(error),
            },
        }
    }
}

/// Runs with one configuration, and serves what is asked about it.
async fn serve_and_run(
    config: &Config,
    role: NodeRole,
    reloaded: bool,
    recorder: &PrometheusHandle,
    signals: &mut Signals,
    file: Option<&PathBuf>,
) -> Result<End> {
    let watched = Arc::default();
    let server = match config.operator.listen {
        Some(address) => Some(serve::listen(address, recorder.clone(), Arc::clone(&watched)).await?),
        None => None,
    };
    let end = run_once(config, role, reloaded, &watched, signals, file).await;
    if let Some(server) = server {
        server.abort();
        // Only then is its address free for the next one.
        let _ended = server.await;
    }
    end
}

/// Runs with one configuration.
async fn run_once(
    config: &Config,
    role: NodeRole,
    reloaded: bool,
    watched: &serve::Watched,
    signals: &mut Signals,
    file: Option<&PathBuf>,
) -> Result<End> {
    let stop_work = Arc::new(AtomicBool::new(false));
    let daemon = tokio::select! {
        daemon = Running::assemble(role, config, Arc::clone(&stop_work), reloaded) => daemon?,
        () = signals.stop() => return Ok(End::Stop),
    };
    watched.set(daemon.health());
    let (stop, stopped) = watch::channel(false);
    let mut running = tokio::spawn(daemon.run(stopped));
    let end = loop {
        tokio::select! {
            result = &mut running => {
                stop_work.store(true, Ordering::Relaxed);
                return Ok(match result.context("the daemon broke off")? {
                    Ok(()) => End::Stop,
                    Err(error) => End::Broke(error.into()),
                });
            }
            told = signals.next() => match told {
                Told::Stop => break End::Stop,
                Told::Reload => match Config::find(file.map(PathBuf::as_path)) {
                    Ok(new) => {
                        info!("reading the configuration again");
                        break End::Reload(Box::new(new));
                    }
                    Err(error) => error!("the configuration is of no use, the old one stays: {}", crate::ui::told(&error)),
                },
            },
        }
    };
    stop_work.store(true, Ordering::Relaxed);
    stop.send_replace(true);
    // A second signal ends it at once: the journal keeps what is on its way.
    tokio::select! {
        result = &mut running => result.context("the daemon broke off")??,
        () = signals.stop() => {
            running.abort();
            let _aborted = running.await;
            return Ok(End::Stop);
        }
    }
    Ok(end)
}

/// What the system tells a daemon.
enum Told {
    Stop,
    Reload,
}

/// How it is told.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Waits until it is to stop; to read the configuration again is of no use before there is a daemon.
    async fn stop(&mut self) {
        while !matches!(self.next().await, Told::Stop) {}
    }
}
