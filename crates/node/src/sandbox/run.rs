//! The parent: starts a child, gives it its job, and bounds what it may cost.

use std::{
    ffi::OsString,
    io::{self, PipeReader, Read, Write, pipe},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::{
    COMMAND, Enforced, Fault, Limits,
    wire::{Answer, Job, Kind, harmless, write_json},
};

/// The program that runs, also after its file was replaced by a newer one, whose jobs may be others.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// How long the parent waits between looks at a child that said all it will say.
const GLANCE: Duration = Duration::from_millis(1);

/// Starts evaluators, one per job.
#[derive(Debug, Clone)]
pub struct Sandbox {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
    /// Until then a child may take its time, if its limits leave it more.
    until: Option<Instant>,
}

impl Sandbox {
    /// Runs this program's hidden command, whose `main` has to call [`super::child_main`] on it.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self::of(THIS_PROGRAM, [COMMAND], limits)
    }

    /// Runs another program that calls [`super::child_main`] on these arguments.
    #[must_use]
    pub fn of<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
        limits: Limits,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, limits, until: None }
    }

    /// From now on no child lives longer than that: [`Fault::WallTime`].
    pub fn until(&mut self, deadline: Option<Instant>) {
        self.until = deadline;
    }

    /// What an evaluation may use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Has one job done by a new child; `feed` writes the byte strings that belong to it.
    ///
    /// # Errors
    /// [`Fault`]. The child is gone in any case.
    pub fn ask(
        &self,
        kind: Kind,
        feed: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send,
    ) -> Result<Answer, Fault> {
        let text = self.run(kind, feed)?;
        let answer = serde_json::from_slice(&text)
            .map_err(|error| Fault::NoAnswer { why: harmless(&error.to_string()) })?;
        Ok(match answer {
            Answer::Unready(why) => return Err(Fault::Unready { why: harmless(&why) }),
            Answer::NotAModel(why) => Answer::NotAModel(harmless(&why)),
            Answer::NoScore(why) => Answer::NoScore(harmless(&why)),
            Answer::Panicked(why) => Answer::Panicked(harmless(&why)),
            answer => answer,
        })
    }

    /// What a child said before it ended well.
    fn run(
        &self,
        kind: Kind,
        feed: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send,
    ) -> Result<Vec<u8>, Fault> {
        let Limits { wall_secs, output_bytes, .. } = self.limits;
        let begun = Instant::now();
        let deadline = begun + Duration::from_secs(wall_secs);
        let deadline = self.until.map_or(deadline, |until| until.min(deadline));
        let wall_secs = deadline.saturating_duration_since(begun).as_secs();
        let job = Job { limits: self.limits, kind };
        let (job_in, mut job_out) = pipe()?;
        let (answer_in, answer_out) = pipe()?;
        let mut running = Running::start(self, job_in.into(), answer_out.into())?;
        thread::scope(|scope| {
            // A child that ends early closes the pipe; why it ended says more than that it did not listen.
            let fed =
                scope.spawn(move || match write_json(&mut job_out, &job).and_then(|()| feed(&mut job_out)) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
                    _ => Ok(()),
                });
            let (sender, said) = mpsc::channel();
            scope.spawn(move || sender.send(read_at_most(answer_in, output_bytes)));
            let ended = said
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .map_err(|_| Fault::WallTime { limit: wall_secs })
                .and_then(|text| Ok(text?))
                .and_then(|text| match text.len() as u64 > output_bytes {
                    true => Err(Fault::TooMuchOutput { limit: output_bytes }),
                    false => Ok(text),
                })
                .and_then(|text| {
                    let limit = wall_secs;
                    let status = running.ended(deadline)?.ok_or(Fault::WallTime { limit })?;
                    Fault::of(status, self.limits.cpu_secs).map_or(Ok(text), Err)
                });
            // Both threads end with the child, whose pipes they hold.
            running.end();
            match fed.join() {
                Ok(Err(error)) if ended.is_ok() => Err(error.into()),
                _ => ended,
            }
        })
    }
}

/// Starts a child that does nothing but enter the sandbox, and says what of it holds on this machine.
///
/// # Errors
/// [`Fault`]: nothing can be evaluated here.
pub fn probe(sandbox: &Sandbox) -> Result<Enforced, Fault> {
    match sandbox.ask(Kind::Probe, |_| Ok(()))? {
        Answer::Enforced(enforced) => Ok(enforced),
        _ => Err(Fault::NoAnswer { why: "it was asked something else".to_owned() }),
    }
}

/// One byte more than the limit tells that there is more.
fn read_at_most(input: PipeReader, limit: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    input.take(limit.saturating_add(1)).read_to_end(&mut text)?;
    Ok(text)
}

/// A child and all that it may have started: a group of processes, which ends when this is dropped.
struct Running {
    child: Child,
    gone: bool,
}

impl Running {
    /// The child gets two pipes and nothing else: no environment, which may hold secrets, and no folder.
    fn start(sandbox: &Sandbox, input: Stdio, output: Stdio) -> io::Result<Self> {
        let mut command = Command::new(&sandbox.program);
        command.args(&sandbox.arguments).env_clear().current_dir("/").process_group(0);
        let child = command.stdin(input).stdout(output).stderr(Stdio::null()).spawn()?;
        Ok(Self { child, gone: false })
    }

    /// How it ended; `None` if it did not until then.
    fn ended(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.gone = true;
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(GLANCE);
        }
    }

    /// Ends the whole group. It has not been waited for, so its number is nobody else's.
    fn end(&mut self) {
        if self.gone {
            return;
        }
        let group = i32::try_from(self.child.id()).map(Pid::from_raw);
        let killed = group.is_ok_and(|group| killpg(group, Signal::SIGKILL).is_ok());
        if !killed {
            let _it_is_gone = self.child.kill();
        }
        self.gone = self.child.wait().is_ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
