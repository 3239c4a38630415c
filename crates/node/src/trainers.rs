//! How an operator's models are made: by its own command, or by the trainer that comes with this program.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aiarena_chain::ledger::Task;
use aiarena_ml::{Architecture, Dataset, MAX_ARTIFACT_BYTES, Model, TrainingConfig, train};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::operator::Trainer;

/// The variable that tells a command where to write.
const OUTPUT: &str = "AIARENA_OUTPUT";
/// Time between two looks at a command that runs.
const LOOK: Duration = Duration::from_millis(100);
/// How long a command that is told to end may take before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Trains one model on this machine, further in every epoch.
#[derive(Debug)]
pub struct BuiltinTrainer {
    architecture: Architecture,
    first: TrainingConfig,
    later_passes: usize,
    data: Arc<Dataset>,
    model: Option<Model>,
}

impl BuiltinTrainer {
    /// A trainer that begins with weights drawn by the seed of `first`; after the first epoch it makes `later_passes` passes.
    #[must_use]
    pub fn new(
        architecture: Architecture,
        first: TrainingConfig,
        later_passes: usize,
        data: Arc<Dataset>,
    ) -> Self {
        Self { architecture, first, later_passes, data, model: None }
    }
}

impl Trainer for BuiltinTrainer {
    fn train(&mut self, epoch: u32, _task: &Task, _: Duration) -> Result<Option<Vec<u8>>, String> {
        let mut config = self.first.clone();
        let start = match self.model.take() {
            None => Model::init(self.architecture.clone(), &config.seed),
            Some(model) => {
                config.passes = self.later_passes;
                model
            }
        };
        // The same rows in every epoch, since they are chosen by the seed: a node does not find new data overnight.
        let model = train(start, &self.data.training, &config, |progress| {
            tracing::debug!(epoch, pass = progress.pass, loss = progress.loss, "trained");
        })
        .map_err(|error| error.to_string())?;
        let bytes = model.to_bytes();
        self.model = Some(model);
        Ok(Some(bytes))
    }
}

/// Runs the operator's own command for each epoch, and takes the file that it writes.
///
/// The command finds in its environment `AIARENA_TASK` and `AIARENA_EPOCH`, the time that is left in
/// `AIARENA_SECONDS_LEFT`, and in `AIARENA_OUTPUT` where to write the artifact. If it writes none, nothing is submitted.
/// What it prints goes to the daemon's standard error. It does not inherit the daemon's own variables, which hold the password
/// of the key and the credentials of stores; but it runs as the same user, who can read the daemon's files.
#[derive(Debug)]
pub struct CommandTrainer {
    command: Vec<String>,
    folder: PathBuf,
    scratch: PathBuf,
    stop: Arc<AtomicBool>,
}

impl CommandTrainer {
    /// A trainer that runs `command`, a program and its arguments, in `folder`. Once `stop` is true, it ends what runs.
    ///
    /// - `scratch`: a folder of this key's own, for artifacts that are being written. What a trainer before this one left
    ///   there when its process was killed, files and a command that still runs, is cleared away.
    #[must_use]
    pub fn new(command: Vec<String>, folder: PathBuf, scratch: PathBuf, stop: Arc<AtomicBool>) -> Self {
        Self { command, folder, scratch, stop }
    }

    fn start(&self, epoch: u32, task: u64, limit: Duration, output: &Path) -> Result<Running, String> {
        use std::os::unix::process::CommandExt;
        let (program, arguments) = self.command.split_first().ok_or("no command is configured")?;
        let mut command = Command::new(program);
        // Whatever libraries it uses, the password and the credentials are not for them.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AIARENA_")
                || name.as_encoded_bytes().starts_with(b"AWS_")
            {
                command.env_remove(name);
            }
        }
        let child = command
            .args(arguments)
            .current_dir(&self.folder)
            .env("AIARENA_TASK", task.to_string())
            .env("AIARENA_EPOCH", epoch.to_string())
            .env("AIARENA_SECONDS_LEFT", limit.as_secs().to_string())
            .env(OUTPUT, output)
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            // A group of its own, so that its own children end with it.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot run {program}: {error}"))?;
        Ok(Running(child))
    }
}

/// The folder in which a task's command writes.
struct Desk(PathBuf);

impl Desk {
    /// Ends what is left of a command before, and begins with an empty folder.
    fn clear(scratch: &Path, task: u64) -> io::Result<Self> {
        // Commands run elsewhere.
        let desk = Self(std::path::absolute(scratch)?.join(format!("task-{task}")));
        desk.end_orphans();
        match fs::remove_dir_all(&desk.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&desk.0)?;
        Ok(desk)
    }

    fn output(&self) -> PathBuf {
        self.0.join("artifact")
    }

    /// Ends the command of a daemon that was killed, with all that it started: two would work for the same submission. They are
    /// known by the file that they were told to write; where there is no `/proc`, nobody knows them.
    fn end_orphans(&self) {
        let mark = [OUTPUT.as_bytes(), b"=", self.output().as_os_str().as_encoded_bytes()].concat();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(environment) = fs::read(process.path().join("environ")) else { continue };
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark) {
                tracing::warn!(process = id, "ending the training command of a daemon that was killed");
                // It may have ended by itself.
                let _gone = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // What cannot be removed now is removed before the next command.
        let _left = fs::remove_dir_all(&self.0);
    }
}

/// A command that ends when this is dropped.
struct Running(Child);

impl Running {
    /// Waits for its end; `None` if it had to be stopped.
    fn wait(&mut self, limit: Duration, stop: &AtomicBool) -> std::io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        while begun.elapsed() < limit && !stop.load(Ordering::Relaxed) {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(LOOK);
        }
        Ok(None)
    }

    fn signal(&self, signal: Signal) {
        if let Ok(group) = i32::try_from(self.0.id()) {
            // It may have ended by itself.
            let _gone = killpg(Pid::from_raw(group), signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Signal::SIGTERM);
        let told = Instant::now();
        while told.elapsed() < PATIENCE && !matches!(self.0.try_wait(), Ok(Some(_))) {
            std::thread::sleep(LOOK);
        }
        self.signal(Signal::SIGKILL);
        let _reaped = self.0.wait();
    }
}

impl Trainer for CommandTrainer {
    fn train(&mut self, epoch: u32, task: &Task, time_left: Duration) -> Result<Option<Vec<u8>>, String> {
        // A tenth of the time is left for the commitment.
        let limit = time_left / 10 * 9;
        let desk = Desk::clear(&self.scratch, task.number)
            .map_err(|error| format!("cannot write into {}: {error}", self.scratch.display()))?;
        let output = desk.output();
        let mut running = self.start(epoch, task.number, limit, &output)?;
        match running.wait(limit, &self.stop).map_err(|error| error.to_string())? {
            Some(status) if status.success() => {}
            Some(status) => return Err(format!("the command ended with {status}")),
            None if self.stop.load(Ordering::Relaxed) => return Err("it was told to stop".to_owned()),
            None => return Err(format!("the command was stopped after {} seconds", limit.as_secs())),
        }
        let file = match File::open(&output) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("the artifact cannot be read: {error}")),
        };
        let mut bytes = Vec::new();
        file.take(MAX_ARTIFACT_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        if bytes.len() > MAX_ARTIFACT_BYTES {
            return Err(format!("the artifact is larger than {MAX_ARTIFACT_BYTES} bytes"));
        }
        // Validators would score it 0; better to say so while there is time.
        Model::from_bytes(&bytes).map_err(|error| format!("the artifact is no model: {error}"))?;
        Ok(Some(bytes))
    }
}
