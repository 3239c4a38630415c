//! `aiarena node`: a training node or a validator that runs for months.

mod assemble;
mod serve;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use aiarena_chain::ledger::Role;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing::{error, info};

use crate::{config::Config, operator::args::ConfigArgs};

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
}

impl NodeRole {
    fn role(self) -> Role {
        match self {
            Self::Train => Role::Node,
            Self::Validate => Role::Validator,
        }
    }
}

/// Why a daemon ended.
enum End {
    Stop,
    Reload(Box<Config>),
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
    loop {
        let listen = config.operator.listen;
        let watched = Arc::default();
        let server = listen.map(|address| serve::listen(address, recorder.clone(), Arc::clone(&watched)));
        let server = match server {
            Some(server) => Some(server.await?),
            None => None,
        };
        let end = run_once(&config, args.role.role(), &watched, &mut signals, file.as_ref()).await;
        if let Some(server) = server {
            server.abort();
            // Only then is its address free for the next one.
            let _ended = server.await;
        }
        match end? {
            End::Stop => return Ok(true),
            End::Reload(new) => config = *new,
        }
    }
}

/// Runs with one configuration.
async fn run_once(
    config: &Config,
    role: Role,
    watched: &serve::Watched,
    signals: &mut Signals,
    file: Option<&PathBuf>,
) -> Result<End> {
    let stop_work = Arc::new(AtomicBool::new(false));
    let daemon = tokio::select! {
        daemon = assemble::daemon(config, role, Arc::clone(&stop_work)) => daemon?,
        () = signals.stop() => return Ok(End::Stop),
    };
    watched.set(daemon.health());
    let (stop, stopped) = watch::channel(false);
    let mut running = tokio::spawn(daemon.run(stopped));
    let end = loop {
        tokio::select! {
            result = &mut running => {
                stop_work.store(true, Ordering::Relaxed);
                return result.context("the daemon broke off")?.map(|()| End::Stop).map_err(Into::into);
            }
            told = signals.next() => match told {
                Told::Stop => break End::Stop,
                Told::Reload => match Config::find(file.map(PathBuf::as_path)) {
                    Ok(new) => {
                        info!("reading the configuration again");
                        break End::Reload(Box::new(new));
                    }
                    Err(error) => error!("the configuration is of no use, the old one stays: {error:#}"),
                },
            },
        }
    };
    stop_work.store(true, Ordering::Relaxed);
    stop.send_replace(true);
    // A second signal ends it at once: the journal keeps what is on its way.
    tokio::select! {
        result = &mut running => result.context("the daemon broke off")??,
        () = signals.stop() => running.abort(),
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
