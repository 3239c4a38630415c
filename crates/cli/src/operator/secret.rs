//! Passwords and private keys on their way into the program: never from the command line, never printed.

use std::{
    env, fmt,
    io::{IsTerminal, Read},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};

use crate::files::read_text;

/// Holds the password, if no file does.
pub(super) const VARIABLE: &str = "AIARENA_PASSWORD";

/// A text that is never printed.
pub(super) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The text, for the one who needs it.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

/// The password of a key that exists.
pub(super) fn password(file: Option<&Path>, question: &str) -> Result<Secret> {
    match given(file)? {
        Some(secret) => Ok(secret),
        None => ask(question),
    }
}

/// The password of a key that is being written; a terminal is asked twice.
pub(super) fn new_password(file: Option<&Path>) -> Result<Secret> {
    let secret = match given(file)? {
        Some(secret) => secret,
        None => {
            let first = ask("New password: ")?;
            let second = ask("The same again: ")?;
            ensure!(first.0 == second.0, "the two passwords differ: nothing was written");
            first
        }
    };
    ensure!(!secret.0.is_empty(), "the password is empty: choose one that nobody can guess");
    Ok(secret)
}

/// A private key: from a file, a question on the terminal, or standard input.
pub(super) fn private_key(file: Option<&Path>) -> Result<Secret> {
    if let Some(file) = file {
        return Ok(Secret(read_text(file)?.trim().to_owned()));
    }
    if std::io::stdin().is_terminal() {
        return ask("Private key in hexadecimal digits (not shown): ");
    }
    let mut text = String::new();
    std::io::stdin().take(4_096).read_to_string(&mut text).context("cannot read standard input")?;
    Ok(Secret(text.trim().to_owned()))
}

fn given(file: Option<&Path>) -> Result<Option<Secret>> {
    if let Some(file) = file {
        let text = read_text(file).context("cannot read the password")?;
        let first = text.lines().next().unwrap_or_default();
        ensure!(
            !first.is_empty(),
            "the first line of {} is empty: it should be the password",
            file.display()
        );
        return Ok(Some(Secret(first.to_owned())));
    }
    match env::var(VARIABLE) {
        Ok(text) => Ok(Some(Secret(text))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => bail!("{VARIABLE} is no text in UTF-8"),
    }
}

fn ask(question: &str) -> Result<Secret> {
    ensure!(
        std::io::stdin().is_terminal(),
        "a password is needed, and there is no terminal to ask: name a file with --password-file or password_file in the \
         configuration, or set {VARIABLE}"
    );
    Ok(Secret(rpassword::prompt_password(question).context("cannot read from the terminal")?))
}
