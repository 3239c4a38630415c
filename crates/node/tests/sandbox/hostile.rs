//! What an evaluator that was taken over would try.

use std::{
    fs::{self, File},
    hint::black_box,
    io::{Read, Write},
    net::{TcpStream, UdpSocket},
    os::unix::{net::UnixDatagram, process::CommandExt},
    process::{self, Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use aiarena_node::sandbox::{Answer, Enforced, Fault, Kind, Limits, Sandbox, enter, probe};
use nix::{
    libc,
    sys::signal::{Signal, kill, raise},
    unistd::getppid,
};

use crate::{SMALL, Test};

pub(crate) const TESTS: &[Test] = &[
    ("the_probe_says_what_holds", the_probe_says_what_holds),
    ("memory_ends", memory_ends),
    ("processor_time_ends", processor_time_ends),
    ("waiting_ends", waiting_ends),
    ("forbidden_calls_kill", forbidden_calls_kill),
    ("output_is_bounded", output_is_bounded),
    ("only_answers_are_believed", only_answers_are_believed),
    ("crashes_are_told_apart", crashes_are_told_apart),
    ("what_cannot_start_is_this_machines_trouble", what_cannot_start_is_this_machines_trouble),
    ("a_child_that_does_not_listen_ends", a_child_that_does_not_listen_ends),
    ("no_secret_of_the_environment_is_passed_on", no_secret_of_the_environment_is_passed_on),
];

/// The child's side: enters the sandbox, then does as it is told.
pub(crate) fn misbehave(how: &str) -> ExitCode {
    if how == "environment" {
        print!(r#"{{"no_score":"{:?}"}}"#, std::env::vars_os().count());
        return ExitCode::SUCCESS;
    }
    // The parent's job is for an honest child; its first bytes are read so that this one looks the same.
    let _ = std::io::stdin().read(&mut [0; 1]);
    let parent = getppid();
    enter(&SMALL).unwrap();
    match how {
        "allocate" => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 1 << 20]);
                black_box(&all);
            }
        }
        "allocate at once" => drop(black_box(vec![1_u8; 1 << 40])),
        "recurse" => drop(black_box(recurse(0))),
        "spin" => loop {
            black_box(());
        },
        "park" => loop {
            thread::park();
        },
        "sleep" => thread::sleep(Duration::from_secs(100)),
        "thread" => drop(thread::spawn(|| ())),
        "spawn" => drop(Command::new("/bin/true").spawn()),
        "exec" => drop(Command::new("/bin/true").exec()),
        "fork" => raw(libc::SYS_clone, [17, 0, 0, 0]),
        "vfork and exec" => raw(libc::SYS_execve, [0, 0, 0, 0]),
        "socket" => drop(UdpSocket::bind("127.0.0.1:0")),
        "unix socket" => drop(UnixDatagram::unbound()),
        "connect" => drop(TcpStream::connect("127.0.0.1:9")),
        "read a file" => drop(fs::read("/etc/passwd")),
        "write a file" => drop(fs::write("/tmp/aiarena-sandbox-was-left", "hello")),
        "list a folder" => drop(fs::read_dir("/")),
        "open many files" => drop((0..1_000).map(|_| File::open("/dev/null")).collect::<Vec<_>>()),
        "signal the parent" => drop(kill(parent, Signal::SIGTERM)),
        "raise" => drop(raise(Signal::SIGKILL)),
        "ptrace" => raw(libc::SYS_ptrace, [0, 0, 0, 0]),
        "read another file" => raw(libc::SYS_read, [5, 0, 0, 0]),
        "executable memory" => raw(libc::SYS_mmap, [0, 4096, 7, 0x22]),
        "keyring" => raw(libc::SYS_keyctl, [0, 0, 0, 0]),
        "bpf" => raw(libc::SYS_bpf, [0, 0, 0, 0]),
        "io_uring" => raw(libc::SYS_io_uring_setup, [1, 0, 0, 0]),
        "raise a limit" => drop(rlimit::setrlimit(rlimit::Resource::AS, u64::MAX, u64::MAX)),
        "print" => loop {
            if std::io::stdout().write_all(&[b'x'; 1 << 12]).is_err() {
                process::exit(3);
            }
        },
        "garbage" => print!("\x1b[2J no answer"),
        "two answers" => print!(r#"{{"alike":[]}}{{"alike":[]}}"#),
        "an impossible answer" => print!(r#"{{"evaluated":{{"correct":2,"total":1}}}}"#),
        "nothing" => {}
        "fail" => process::exit(7),
        "answer and spin" => {
            print!(r#"{{"alike":[]}}"#);
            let _ = std::io::stdout().flush();
            loop {
                black_box(());
            }
        }
        "abort" => process::abort(),
        "panic" => panic!("as told"),
        "crash" => crash(),
        other => unreachable!("{other}"),
    }
    ExitCode::SUCCESS
}

fn recurse(depth: u64) -> u64 {
    let here = black_box([depth; 512]);
    if black_box(depth) == u64::MAX { here[7] } else { black_box(recurse(depth + 1)) + here[7] }
}

/// A system call that the standard library has no safe function for.
#[expect(unsafe_code, reason = "the calls that the sandbox stops are no safe ones")]
pub(crate) fn raw(number: libc::c_long, arguments: [libc::c_long; 4]) {
    let [a, b, c, d] = arguments;
    // SAFETY: the arguments are no pointers to anything of ours.
    unsafe { libc::syscall(number, a, b, c, d) };
}

#[expect(unsafe_code, reason = "only unsafe code crashes")]
fn crash() {
    // SAFETY: none; the process ends by it, which is what is tested.
    unsafe { black_box(std::ptr::without_provenance_mut::<u8>(8)).write_volatile(1) };
}

/// The parent's side: how a child that does so ends, and how long it took.
fn ended(how: &str) -> (Result<Answer, Fault>, Duration) {
    let sandbox = Sandbox::of("/proc/self/exe", ["misbehave", how], SMALL);
    let start = Instant::now();
    let answer = sandbox.ask(Kind::Evaluate, |_| Ok(()));
    (answer, start.elapsed())
}

fn fault(how: &str) -> Fault {
    let (answer, took) = ended(how);
    assert!(took < Duration::from_secs(SMALL.wall_secs + 10), "{how} took {took:?}");
    match answer {
        Ok(answer) => panic!("{how}: {answer:?}"),
        Err(fault) => fault,
    }
}

/// What the kernel has must be enforced: no test here is left out for a layer that is missing, since the others hold.
fn the_probe_says_what_holds() {
    let enforced: Enforced = probe(&Sandbox::new(Limits::default())).unwrap();
    println!("this machine: {enforced}");
    let lsm = fs::read_to_string("/sys/kernel/security/lsm");
    if lsm.is_ok_and(|names| names.contains("landlock")) {
        assert!(enforced.landlock_abi > 0);
    }
    let own = |name: &str| enforced.namespaces.iter().any(|own| own == name);
    assert_eq!(own("net"), own("ipc"));
    let line = enforced.to_string();
    assert!(line.starts_with("limits, seccomp, "), "{line}");
    assert_eq!(line.contains("no Landlock"), enforced.landlock_abi == 0, "{line}");
}

fn memory_ends() {
    for how in ["allocate", "allocate at once"] {
        let fault = fault(how);
        assert!(matches!(fault, Fault::Aborted) && fault.is_the_artifacts(), "{how}: {fault}");
    }
    // A machine that does not have the memory says so before it reads an artifact.
    let poor = Sandbox::new(Limits { memory_bytes: 1 << 20, ..SMALL });
    let fault = probe(&poor).unwrap_err();
    assert!(matches!(fault, Fault::Unready { .. }) && !fault.is_the_artifacts(), "{fault}");
}

fn processor_time_ends() {
    for how in ["spin", "answer and spin"] {
        let (answer, took) = ended(how);
        let fault = answer.unwrap_err();
        // On a busy machine the wall's clock may be first; then nobody is to blame.
        match fault {
            Fault::CpuTime { limit: 1 } => assert!(fault.is_the_artifacts() && took < Duration::from_secs(3)),
            Fault::WallTime { limit: 3 } => {
                assert!(!fault.is_the_artifacts() && took >= Duration::from_secs(3))
            }
            _ => panic!("{how}: {fault}"),
        }
    }
}

fn waiting_ends() {
    let fault = fault("park");
    assert!(matches!(fault, Fault::WallTime { limit: 3 }) && !fault.is_the_artifacts(), "{fault}");
    // A validator that is short of time gives up earlier, and blames nobody.
    let mut hasty = Sandbox::of("/proc/self/exe", ["misbehave", "park"], SMALL);
    let begun = Instant::now();
    hasty.until(Some(begun + Duration::from_millis(200)));
    let fault = hasty.ask(Kind::Evaluate, |_| Ok(())).unwrap_err();
    assert!(matches!(fault, Fault::WallTime { limit: 0 }) && !fault.is_the_artifacts(), "{fault}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

fn forbidden_calls_kill() {
    for how in [
        "sleep",
        "thread",
        "spawn",
        "exec",
        "fork",
        "vfork and exec",
        "socket",
        "unix socket",
        "connect",
        "read a file",
        "write a file",
        "list a folder",
        "open many files",
        "signal the parent",
        "raise",
        "ptrace",
        "read another file",
        "executable memory",
        "keyring",
        "bpf",
        "io_uring",
        "raise a limit",
    ] {
        let fault = fault(how);
        assert!(matches!(fault, Fault::Forbidden) && !fault.is_the_artifacts(), "{how}: {fault}");
    }
    assert!(!fs::exists("/tmp/aiarena-sandbox-was-left").unwrap());
}

fn output_is_bounded() {
    let fault = fault("print");
    assert!(matches!(fault, Fault::TooMuchOutput { limit: 4096 }), "{fault}");
}

fn only_answers_are_believed() {
    for how in ["garbage", "two answers", "nothing"] {
        let fault = fault(how);
        assert!(matches!(&fault, Fault::NoAnswer { .. }) && !fault.is_the_artifacts(), "{how}: {fault}");
        assert!(!fault.to_string().contains('\x1b'), "{how}");
    }
    assert!(matches!(fault("fail"), Fault::Exit { code: 7 }));
    // It parses, and whoever asked has to compare it with the question: `verdicts` does.
    assert!(ended("an impossible answer").0.is_ok());
}

fn crashes_are_told_apart() {
    for how in ["abort", "recurse"] {
        assert!(matches!(fault(how), Fault::Aborted), "{how}");
    }
    assert!(matches!(fault("crash"), Fault::Killed { signal: 11 }));
    // This child has no `child_main` around it to catch it.
    assert!(matches!(fault("panic"), Fault::Exit { .. }));
}

fn what_cannot_start_is_this_machines_trouble() {
    let nowhere = Sandbox::of("/nowhere", ["evaluate-artifact"], SMALL);
    let fault = nowhere.ask(Kind::Evaluate, |_| Ok(())).unwrap_err();
    assert!(matches!(fault, Fault::Io(_)) && !fault.is_the_artifacts(), "{fault}");
    // The parent had no artifact after all.
    let fault = Sandbox::new(SMALL).ask(Kind::Evaluate, |_| Ok(())).unwrap_err();
    assert!(matches!(fault, Fault::Unready { .. }) && !fault.is_the_artifacts(), "{fault}");
}

fn a_child_that_does_not_listen_ends() {
    let sandbox = Sandbox::of("/proc/self/exe", ["misbehave", "park"], SMALL);
    let fault = sandbox.ask(Kind::Evaluate, |pipe| pipe.write_all(&vec![0; 8 << 20])).unwrap_err();
    assert!(matches!(fault, Fault::WallTime { .. }), "{fault}");
}

fn no_secret_of_the_environment_is_passed_on() {
    assert!(std::env::vars_os().count() > 0);
    assert_eq!(ended("environment").0.unwrap(), Answer::NoScore("0".to_owned()));
}
