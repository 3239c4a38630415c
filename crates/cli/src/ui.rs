//! What people see while it runs: on standard error, so that standard output holds results alone.

use std::{io::IsTerminal, time::Duration};

use alloy::primitives::U256;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Progress for people.
#[derive(Debug, Clone)]
pub struct Ui {
    live: bool,
    color: bool,
}

impl Ui {
    /// Bars move only on a terminal; colours are left out there and elsewhere if `color` is off.
    #[must_use]
    pub fn new(color: bool) -> Self {
        Self { live: std::io::stderr().is_terminal(), color }
    }

    /// Whether text may be coloured.
    #[must_use]
    pub fn color(&self) -> bool {
        self.color
    }

    /// Says that a step was done.
    pub fn step(&self, text: &str) {
        eprintln!("  {text}");
    }

    /// Says what begins.
    pub fn title(&self, text: &str) {
        if self.color {
            eprintln!("\u{1b}[1m{text}\u{1b}[0m");
        } else {
            eprintln!("{text}");
        }
    }

    /// A bar over `length` pieces of work.
    #[must_use]
    pub fn bar(&self, text: &str, length: usize) -> Bar {
        let target = if self.live { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length as u64), target);
        let template = "  {msg} [{bar:30}] {pos}/{len} {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Bar { bar, text: text.to_owned(), length }
    }
}

/// A moving bar, or one line at its end where nothing can move.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    text: String,
    length: usize,
}

impl Bar {
    /// One piece is done.
    pub fn inc(&self, pieces: u64) {
        self.bar.inc(pieces);
    }

    /// All is done.
    pub fn finish(self) {
        self.bar.finish_and_clear();
        eprintln!("  {}: {} done in {:.1} s", self.text, self.length, self.bar.elapsed().as_secs_f64());
    }
}

/// An error with what led to it, in one line. A cause that the text before it tells already is not told again: our own
/// errors never do so, those of libraries do.
#[must_use]
pub fn told(error: &anyhow::Error) -> String {
    let mut causes = error.chain().map(ToString::to_string);
    let first = causes.next().unwrap_or_default();
    causes.fold(first, |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") })
}

/// An amount of base units in whole tokens with three decimals, for people. Rounds down.
#[must_use]
pub fn in_tokens(amount: U256) -> String {
    let milli = amount / U256::from(1_000_000_000_000_000_u64);
    let thousand = U256::from(1_000);
    format!("{}.{:03}", milli / thousand, (milli % thousand).to::<u64>())
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        /// Tells its cause and hands it on, too, as many libraries do.
        #[derive(Debug)]
        struct Outer(std::io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "outer: {}", self.0)
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = || std::io::Error::other("inner");
        let told_of = |result: Result<(), anyhow::Error>| told(&result.unwrap_err());
        assert_eq!(told_of(Err(Outer(error())).context("top")), "top: outer: inner");
        assert_eq!(told_of(Err(error()).context("middle").context("top")), "top: middle: inner");
        assert_eq!(told_of(Err(anyhow::anyhow!("alone"))), "alone");
    }
}
