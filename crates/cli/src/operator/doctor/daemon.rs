//! What the daemons need: a model to train, a place for metrics, stores, a sandbox, and tasks with enough stake.

use std::{
    io::ErrorKind,
    net::TcpListener,
    path::{Path, PathBuf},
};

use aiarena_chain::ledger::{Role, Task};
use aiarena_ml::Architecture;
use aiarena_node::sandbox::{self, Sandbox};
use aiarena_store::{ContentHash, Error, FolderStore, Limits, Settings, Store, Stores};
use alloy::primitives::Address;
use anyhow::{Context, Result, bail, ensure};

use super::{Checks, Verdict, machine_time};
use crate::{
    config::{Config, Training},
    daemon::assemble,
    description::TaskDescription,
    files::folder_of,
    operator::{publish, session::Session, stores},
    ui::told,
};

/// Largest object that is looked for in a store, in bytes.
const PROBE: u64 = 1 << 10;

/// Checks what can be checked without the chain.
pub(super) async fn local(config: &Config, checks: &mut Checks) {
    checks.result("train", training(config));
    listen(config, checks);
    each_store(config, checks).await;
}

fn training(config: &Config) -> Result<String> {
    match &config.train {
        Training::Command(command) => {
            let name = command.first().context("[train] command names no program")?;
            let folder = folder_of(&config.file);
            let program = program(name, folder).with_context(|| {
                format!("[train] command: {name} cannot be run; correct it, or install the program")
            })?;
            Ok(format!("{} makes the models", program.display()))
        }
        Training::Builtin { hidden, rows, passes } => {
            if !hidden.is_empty() {
                Architecture::mlp(hidden).context("[train] hidden")?;
            }
            Ok(format!(
                "this program makes the models: {rows} rows, {passes} passes, hidden layers {hidden:?}"
            ))
        }
    }
}

/// The file that a command names: as the system finds it when the command runs in `folder`.
fn program(name: &str, folder: &Path) -> Result<PathBuf> {
    if name.contains('/') {
        let path = folder.join(name);
        executable(&path)?;
        return Ok(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name));
    found.into_iter().find(|path| executable(path).is_ok()).context("no folder of PATH has such a program")
}

fn executable(path: &Path) -> Result<()> {
    let file = path.metadata().with_context(|| path.display().to_string())?;
    ensure!(file.is_file(), "{} is no file", path.display());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let runs = file.permissions().mode() & 0o111 != 0;
        ensure!(runs, "{} is not executable: chmod +x {}", path.display(), path.display());
    }
    Ok(())
}

fn listen(config: &Config, checks: &mut Checks) {
    // That it is of this machine alone was checked when the configuration was read.
    let Some(address) = config.operator.listen else {
        return checks.note(
            "listen",
            Verdict::Ok,
            "no metrics are served: [operator] listen names no address",
        );
    };
    match TcpListener::bind(address) {
        Ok(_) => checks.note("listen", Verdict::Ok, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => checks.note(
            "listen",
            Verdict::Warn,
            format!("{address} is in use: if it is not your daemon that runs there, choose another port"),
        ),
        Err(error) => checks.note(
            "listen",
            Verdict::Fail,
            format!("cannot listen on {address}: {error}: choose a port above 1023 on 127.0.0.1"),
        ),
    }
}

async fn each_store(config: &Config, checks: &mut Checks) {
    for (number, url) in (1..).zip(stores::urls(config)) {
        let advice = "correct [operator] stores, its permissions, or the AWS_ variables";
        match Store::open(&url, &Settings::default()) {
            Ok(store) => {
                let result = if store.is_writable() { write(&store).await } else { reach(&store).await };
                checks.result("store", result.with_context(|| format!("{store} ({advice})")));
            }
            Err(error) => {
                checks.note("store", Verdict::Fail, format!("number {number}: {error}: {advice}"));
            }
        }
    }
}

/// Puts a few bytes that were not there before, which also reads them back.
async fn write(store: &Store) -> Result<String> {
    let text = format!("a probe of `aiarena doctor` at {} by process {}", machine_time(), std::process::id());
    let hash = store.put(text.into_bytes(), &limits()).await?;
    // A folder can be left as it was; from a bucket nothing is ever deleted.
    if let Some(folder) = store.to_string().strip_prefix("file:") {
        let folder = FolderStore::open(folder.strip_prefix("//").unwrap_or(folder), PROBE);
        let _left = folder.map(|folder| std::fs::remove_file(folder.path_of(hash)));
    }
    Ok(format!("{store} can be written and read"))
}

/// Asks for something that is not there: a server that says so is reachable.
async fn reach(store: &Store) -> Result<String> {
    let name = store.to_string();
    let stores = Stores::open([name.as_str()], &Settings::default())?;
    let folder = tempfile::tempdir()?;
    let cache = FolderStore::open(folder.path(), PROBE)?;
    match stores.fetch(ContentHash::of(b"a probe of `aiarena doctor`"), &[], &cache, &limits()).await {
        Ok(_) | Err(Error::NotFound { .. }) => Ok(format!("{name} answers, and is for reading alone")),
        Err(error) => Err(error.into()),
    }
}

fn limits() -> Limits {
    Limits { rounds: 1, deadline: std::time::Duration::from_secs(20), ..Limits::new(PROBE) }
}

/// Checks the tasks in which the key takes part; tells whether it is a validator in one of them.
pub(super) async fn tasks(session: &Session, me: Option<Address>, checks: &mut Checks) -> Result<bool> {
    let config = &session.config;
    let follower = session.follow().await?;
    let ledger = follower.ledger();
    let (epoch, _) = ledger.clock.at(follower.now());
    let pool = |task: &&Task| me.is_some_and(|me| task.pools.contains_key(&me));
    let numbers: Vec<u64> = match config.operator.tasks.as_slice() {
        [] => ledger.tasks.values().filter(pool).map(|task| task.number).collect(),
        numbers => numbers.to_vec(),
    };
    if numbers.is_empty() {
        let text = "the key has no stake in any task: `aiarena task list` shows them, `aiarena stake` takes part in one";
        checks.note("tasks", Verdict::Warn, text);
    }
    let mut validates = false;
    for number in numbers {
        let Some(task) = ledger.tasks.get(&number) else {
            let text = format!("[operator] tasks: there is no task {number}: `aiarena task list` shows them");
            checks.note("tasks", Verdict::Fail, text);
            continue;
        };
        let role = role(session, task, me, epoch, checks);
        validates |= role == Some(Role::Validator);
        if task.last_epoch >= epoch {
            checks.result("data", data(config, task, role.unwrap_or(Role::Node)).await);
        }
    }
    Ok(validates)
}

/// Checks a key's role and stake in a task.
fn role(
    session: &Session,
    task: &Task,
    me: Option<Address>,
    epoch: u32,
    checks: &mut Checks,
) -> Option<Role> {
    let number = task.number;
    if task.last_epoch < epoch {
        checks.note("tasks", Verdict::Warn, format!("task {number} is over since epoch {}", task.last_epoch));
    }
    let Some(pool) = me.and_then(|me| task.pools.get(&me)) else {
        let text = format!("the key has no stake in task {number}: `aiarena stake {number}` gives it one");
        checks.note("tasks", Verdict::Warn, text);
        return None;
    };
    let (stake, least) = (pool.stakes.latest().0, task.minimum(pool.role));
    let (does, part) = match pool.role {
        Role::Node => ("trains", "train"),
        Role::Validator => ("validates", "validate"),
    };
    let token = &session.token;
    if stake < least {
        let text = format!(
            "task {number}: {} of own stake are too little to take part: add {} with `aiarena stake {number}`",
            token.show(stake),
            token.show(least - stake)
        );
        checks.note("tasks", Verdict::Warn, text);
    } else {
        let counts = pool.stakes.at(epoch).0 >= least;
        let when = if counts { "" } else { ", from the next epoch on" };
        let text = format!(
            "task {number}: the key {does} with {} of at least {}{when}: run `aiarena node {part}`",
            token.show(stake),
            token.show(least)
        );
        checks.note("tasks", Verdict::Ok, text);
    }
    Some(pool.role)
}

/// Checks that the description is to be had, and that the data here are those that it names.
async fn data(config: &Config, task: &Task, role: Role) -> Result<String> {
    let number = task.number;
    let bytes = publish::fetch(config, ContentHash(task.params.metadata.0)).await.with_context(|| {
        format!(
            "the description of task {number} is in none of the stores: ask its creator, {}, for `aiarena task publish {number}`",
            task.creator
        )
    })?;
    let description = TaskDescription::read(&bytes, number)?;
    if role == Role::Validator && !description.evaluation.is_public() {
        return Ok(format!("task {number} is evaluated on slices that its creator seals to this key"));
    }
    let config = config.clone();
    let digest = description.data.clone();
    let loaded = tokio::task::spawn_blocking(move || {
        let data = assemble::data(&config, &description, role)?;
        if let Training::Builtin { rows, .. } = &config.train {
            let most = data.training.len();
            ensure!(*rows <= most, "[train] rows is {rows}, and the data have {most}: name fewer");
        }
        anyhow::Ok(())
    });
    match loaded.await? {
        Ok(()) => Ok(format!("task {number} uses data with the digest {digest}, which are here")),
        Err(error) => bail!("task {number}: {}", told(&error)),
    }
}

/// Checks whether strangers' models can be evaluated here.
pub(super) async fn sandboxed(validates: bool, checks: &mut Checks) {
    let probed =
        tokio::task::spawn_blocking(|| sandbox::probe(&Sandbox::new(sandbox::Limits::default()))).await;
    let verdict = if validates { Verdict::Fail } else { Verdict::Warn };
    match probed {
        Ok(Ok(enforced)) => checks.note("sandbox", Verdict::Ok, format!("strangers' models: {enforced}")),
        Ok(Err(fault)) => checks.note(
            "sandbox",
            verdict,
            format!(
                "strangers' models cannot be evaluated safely on this machine: {fault}; a validator needs Linux with seccomp and a \
                 gibibyte of memory, and a container that allows both"
            ),
        ),
        Err(error) => checks.note("sandbox", verdict, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn programs_are_found_as_the_system_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("train.sh");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let find = |name: &str| program(name, folder.path()).map_err(|error| format!("{error:#}"));
        assert!(find("./train.sh").unwrap_err().contains("chmod +x"));
        std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(find("./train.sh").unwrap(), folder.path().join("./train.sh"));
        assert!(find("sh").is_ok());
        assert!(find(script.to_str().unwrap()).is_ok());
        assert!(find("./absent").unwrap_err().contains("absent"));
        assert!(find("/").unwrap_err().contains("no file"));
        assert!(find("no-such-program-anywhere").unwrap_err().contains("PATH"));
    }
}
