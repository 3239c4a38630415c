//! What is asked on a terminal: whether to go on, and secrets.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use nix::{
    pty::openpty,
    sys::termios::{LocalFlags, tcgetattr},
};
use serde_json::json;

use crate::{
    journey::arena,
    world::{Anvil, Operator, PASSWORD},
};

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with a command on it, to which no variable tells a password.
struct Terminal {
    child: Child,
    keyboard: File,
    output: Receiver<Vec<u8>>,
    screen: String,
    /// Up to where the screen was looked at.
    seen: usize,
}

impl Terminal {
    fn run(operator: &Operator, arguments: &[&str]) -> Self {
        let pair = openpty(None, None).expect("a pseudo-terminal");
        let (keyboard, slave) = (File::from(pair.master), File::from(pair.slave));
        let clone = || slave.try_clone().expect("a file");
        // Passwords are asked on the terminal of the session, which is this one then.
        let child = Command::new("setsid")
            .args(["-c", env!("CARGO_BIN_EXE_aiarena")])
            .args(arguments)
            .current_dir(operator.folder.path())
            .env_remove("RUST_LOG")
            .env_remove("AIARENA_CONFIG")
            .env_remove("AIARENA_PASSWORD")
            .stdin(clone())
            .stdout(clone())
            .stderr(clone())
            .spawn()
            .expect("setsid, of util-linux or busybox");
        let (send, output) = channel();
        let mut reader = keyboard.try_clone().expect("a file");
        // Reading fails once nobody is left who writes.
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if send.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, output, screen: String::new(), seen: 0 }
    }

    /// Waits until this is shown, after what was waited for before.
    fn shows(&mut self, text: &str) -> &mut Self {
        let patience = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.screen[self.seen..].find(text) {
                self.seen += at + text.len();
                return self;
            }
            let left = patience.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.screen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{text:?} is not shown: {}", self.screen),
            }
        }
    }

    /// Types a line.
    fn types(&mut self, line: &str) -> &mut Self {
        write!(self.keyboard, "{line}\r").expect("the terminal is there");
        self
    }

    /// Types a line once nothing is echoed.
    fn types_secretly(&mut self, line: &str) -> &mut Self {
        let patience = Instant::now() + PATIENCE;
        while tcgetattr(&self.keyboard).expect("a terminal").local_flags.contains(LocalFlags::ECHO) {
            assert!(Instant::now() < patience, "what is typed would be shown: {}", self.screen);
            std::thread::sleep(Duration::from_millis(5));
        }
        self.types(line)
    }

    /// Waits for the end; the exit code, and all that was shown.
    fn end(&mut self) -> (i32, String) {
        let code = self.child.wait().expect("it ends").code().expect("by itself");
        self.screen.extend(self.output.iter().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        (code, std::mem::take(&mut self.screen))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn nothing_is_sent_before_the_user_says_yes() {
    let anvil = Anvil::start();
    let (owner, me) = arena(&anvil);
    owner.ok(&["token", "mint", "100", "--yes"]);
    let sent = || anvil.ask("eth_getTransactionCount", json!([me, "latest"]));
    let before = sent();
    // What would be done is announced before the question.
    let ask = || {
        let mut terminal = Terminal::run(&owner, &["emission", "fund", "12.5"]);
        terminal
            .shows(&format!("From {me} on chain 84532:"))
            .shows("1. let the vault")
            .shows("take 12.5 ARENA")
            .shows("2. add 12.5 ARENA to what is left to be emitted")
            .shows("Go on? [y/N] ");
        terminal
    };
    for answer in ["n", "", "maybe", "yes please", "\u{4}"] {
        let (code, screen) = ask().types(answer).end();
        assert_eq!(code, 1, "{answer:?}: {screen}");
        assert!(screen.contains("error: you did not say yes, so nothing was sent"), "{answer:?}: {screen}");
        assert!(!screen.contains("Password"), "{answer:?}: {screen}");
        // What is no secret is echoed.
        assert!(screen.contains(&format!("Go on? [y/N] {}", answer.trim_end_matches('\u{4}'))), "{screen}");
    }
    let (code, screen) = ask().types("y").shows("operator.json: ").types_secretly("wrong").end();
    assert_eq!(code, 2, "{screen}");
    assert!(screen.contains("the password is wrong for"), "{screen}");
    assert_eq!(sent(), before, "nothing was sent yet");

    let (code, screen) = ask().types("y").shows("Password of").shows(": ").types_secretly(PASSWORD).end();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(screen.matches(" transaction 0x").count(), 2, "{screen}");
    assert!(!screen.contains(PASSWORD), "a password is not shown: {screen}");
    assert_eq!(owner.json(&["emission", "show", "--json"])["reserve"], "12.5 ARENA");
    let number = |text: &serde_json::Value| {
        u64::from_str_radix(text.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    assert_eq!(number(&sent()), number(&before) + 2, "the approval and the funding");
    // It is not asked for what is only looked at, nor where the answer was given.
    for (flag, secrets) in [("--dry-run", 0), ("--yes", 1)] {
        let mut terminal = Terminal::run(&owner, &["emission", "fund", "1", flag]);
        if secrets == 1 {
            terminal.shows("operator.json: ").types_secretly(PASSWORD);
        }
        let (code, screen) = terminal.end();
        assert_eq!((code, screen.matches("Password").count()), (0, secrets), "{screen}");
        assert!(!screen.contains("Go on?"), "{screen}");
    }
}

#[test]
fn secrets_are_typed_unseen_and_new_passwords_twice() {
    let operator = Operator::bare();
    operator.ok(&["init", "--network", "anvil"]);
    let new = |first: &str, second: Option<&str>| {
        let mut terminal = Terminal::run(&operator, &["key", "new"]);
        terminal.shows("New password: ").types_secretly(first).shows("The same again: ");
        terminal.types_secretly(second.unwrap_or(first)).end()
    };
    for (first, second, reason) in [
        ("first secret", Some("second secret"), "the two passwords differ: nothing was written"),
        ("", None, "the password is empty"),
    ] {
        let (code, screen) = new(first, second);
        assert_eq!(code, 2, "{screen}");
        assert!(screen.contains(reason) && !screen.contains("secret"), "{screen}");
        assert!(!operator.path("keys/operator.json").exists());
    }
    let (code, screen) = new(PASSWORD, None);
    assert_eq!(code, 0, "{screen}");
    let address = operator.ok(&["key", "show", "--verify"]);
    assert!(screen.contains(address.trim()) && !screen.contains(PASSWORD), "{screen}");

    // The first key of the development mnemonic.
    let digits = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let mut terminal = Terminal::run(&operator, &["key", "import", "typed"]);
    terminal.shows("(not shown): ").types_secretly(digits).shows("New password: ");
    let (code, screen) = terminal.types_secretly(PASSWORD).shows("again: ").types_secretly(PASSWORD).end();
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"), "{screen}");
    assert!(!screen.contains(&digits[2..]) && !screen.contains(PASSWORD), "{screen}");
    let mut terminal = Terminal::run(&operator, &["key", "show", "typed", "--verify"]);
    assert_eq!(terminal.shows("typed.json: ").types_secretly(PASSWORD).end().0, 0);
}
