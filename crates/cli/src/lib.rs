//! The commands of `aiarena`; the binary only parses the command line and calls them.
#![allow(clippy::missing_errors_doc, reason = "every error ends as text for the user")]

pub mod args;
pub mod audit;
pub mod demo;
pub mod ui;
