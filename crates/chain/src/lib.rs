//! Contract bindings, deployment, client, events and the embedded chain.

pub mod account;
pub mod bindings;
pub mod client;
pub mod deploy;
pub mod devnet;
pub mod embedded;
pub mod endpoints;
pub mod follow;
pub mod history;
pub mod ledger;
pub mod verify;
