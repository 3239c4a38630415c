//! The commands of `aiarena`; the binary only parses the command line and calls them.
#![allow(clippy::missing_errors_doc, reason = "every error ends as text for the user")]

pub mod address;
pub mod amount;
pub mod args;
pub mod audit;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod description;
pub mod files;
pub mod operator;
pub mod ui;
