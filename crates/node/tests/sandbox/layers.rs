//! The layers behind the filter of system calls, which would be first to stop whatever they stop: each holds by itself.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{TcpListener, UdpSocket},
    os::fd::AsFd,
    process::{Command, ExitCode},
    thread,
};

use aiarena_node::sandbox::{Answer, Enforced, Fault, Kind, Sandbox, enter_unfiltered, probe};
use nix::{
    libc,
    sched::{CloneFlags, unshare},
    sys::signal::kill,
    unistd::getppid,
};

use crate::{SMALL, Test, hostile::raw};

pub(crate) const TESTS: &[Test] =
    &[("each_layer_holds_without_the_filter", each_layer_holds_without_the_filter)];

/// What is attempted, which layer stops it, whether this machine has that layer, and how it ends: with this error, or by this
/// signal.
type Attempt = (&'static str, &'static str, fn(&Enforced) -> bool, End);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// 0 if it succeeds.
    Error(i32),
    Signal(i32),
}

const ATTEMPTS: &[Attempt] = &[
    ("have many files", "limits", |_| true, End::Error(libc::EMFILE)),
    ("write into a file", "limits", |_| true, End::Signal(libc::SIGXFSZ)),
    ("start a thread", "limits", |_| true, End::Error(libc::EAGAIN)),
    ("start a process", "limits", |_| true, End::Error(libc::EAGAIN)),
    ("read a file", "Landlock", |enforced| enforced.landlock_abi >= 1, End::Error(libc::EACCES)),
    ("make a file", "Landlock", |enforced| enforced.landlock_abi >= 1, End::Error(libc::EACCES)),
    ("list a folder", "Landlock", |enforced| enforced.landlock_abi >= 1, End::Error(libc::EACCES)),
    ("listen", "Landlock (ABI 4)", |enforced| enforced.landlock_abi >= 4, End::Error(libc::EACCES)),
    ("signal the parent", "Landlock (ABI 6)", |enforced| enforced.landlock_abi >= 6, End::Error(libc::EPERM)),
    (
        "reach the network",
        "a network namespace",
        |enforced| has(enforced, "net"),
        End::Error(libc::ENETUNREACH),
    ),
];

fn has(enforced: &Enforced, namespace: &str) -> bool {
    enforced.namespaces.iter().any(|name| name == namespace)
}

/// The child's side: tries it, behind all layers but the filter if it is `held`, and answers with the error's number or the
/// namespaces that are new.
pub(crate) fn attempt(held: bool, what: &str) -> ExitCode {
    let _ = io::stdin().read(&mut [0; 1]);
    let (parent, mut given, before) = (getppid(), tempfile::tempfile().unwrap(), namespaces());
    if held && what.starts_with("start") {
        // The system counts the processes of everybody but the administrator.
        raw(libc::SYS_setresgid, [65_534, 65_534, 65_534, 0]);
        raw(libc::SYS_setresuid, [65_534, 65_534, 65_534, 0]);
    }
    if held {
        enter_unfiltered(&SMALL).unwrap();
    }
    let made = "/tmp/aiarena-a-layer-was-left";
    let result = match what {
        "have many files" => have_many_files(),
        "write into a file" => given.write_all(b"hello"),
        "start a thread" => thread::Builder::new().spawn(|| ()).map(drop),
        "start a process" => Command::new("/bin/true").spawn().map(drop),
        "read a file" => File::open("/etc/passwd").map(drop),
        "make a file" => fs::write(made, "hello").and_then(|()| fs::remove_file(made)),
        "list a folder" => fs::read_dir("/").map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "signal the parent" => kill(parent, None).map_err(io::Error::from),
        "reach the network" => UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.connect("127.0.0.1:9")),
        "leave the network" => {
            let net = CloneFlags::CLONE_NEWNET;
            unshare(CloneFlags::CLONE_NEWUSER | net).or_else(|_| unshare(net)).map_err(io::Error::from)
        }
        "have no Landlock" => landlock_is_missing(),
        "namespaces" => {
            let new = before.iter().zip(namespaces()).filter(|((_, old), (_, new))| old != new);
            let names: Vec<&str> = new.map(|((name, _), _)| *name).collect();
            print!(r#"{{"no_score":"{}"}}"#, names.join(" "));
            return ExitCode::SUCCESS;
        }
        other => unreachable!("{other}"),
    };
    print!(r#"{{"no_score":"{}"}}"#, result.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |()| 0));
    ExitCode::SUCCESS
}

fn have_many_files() -> io::Result<()> {
    let stdin = io::stdin();
    (0..64).map(|_| stdin.as_fd().try_clone_to_owned()).collect::<io::Result<Vec<_>>>().map(drop)
}

/// An error if the kernel has a version of Landlock's interface.
#[expect(unsafe_code, reason = "the library tells no version without restricting something")]
fn landlock_is_missing() -> io::Result<()> {
    // SAFETY: without attributes and with this flag the call reads nothing and returns a version.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    if version < 1 { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EEXIST)) }
}

fn namespaces() -> [(&'static str, String); 3] {
    ["user", "net", "ipc"].map(|name| {
        let link = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        (name, link.to_string_lossy().into_owned())
    })
}

/// The parent's side: what the child answered.
fn ask(held: &str, what: &str) -> Result<String, Fault> {
    let sandbox = Sandbox::of("/proc/self/exe", ["attempt", held, what], SMALL);
    match sandbox.ask(Kind::Evaluate, |_| Ok(()))? {
        Answer::NoScore(text) => Ok(text),
        other => panic!("{what}: {other:?}"),
    }
}

fn end(held: &str, what: &str) -> End {
    match ask(held, what) {
        Ok(number) => End::Error(number.parse().unwrap()),
        Err(Fault::Killed { signal }) => End::Signal(signal),
        Err(fault) => panic!("{what}: {fault}"),
    }
}

fn each_layer_holds_without_the_filter() {
    let enforced = probe(&Sandbox::new(SMALL)).unwrap();
    // What the kernel offers is used.
    assert_eq!(end("free", "leave the network") == End::Error(0), has(&enforced, "net"));
    assert_eq!(end("free", "have no Landlock") == End::Error(0), enforced.landlock_abi == 0);
    for (what, layer, offered, expected) in ATTEMPTS {
        assert_eq!(end("free", what), End::Error(0), "{what}, with nothing that stops it");
        if offered(&enforced) {
            assert_eq!(end("held", what), *expected, "{what}, behind {layer}");
        } else {
            println!("{what}: left out, since this machine does not offer {layer}");
        }
    }
    assert_eq!(ask("held", "namespaces").unwrap(), enforced.namespaces.join(" "));
}
