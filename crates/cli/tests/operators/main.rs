//! Operators' commands through the binary, against Anvil under the chain id of Base Sepolia, as operators run them.

mod clockwork;
mod contrib;
mod data_fee;
mod docs;
mod doctor;
mod files;
mod health;
mod help;
mod history;
mod journey;
mod json;
mod metrics;
mod owner;
mod slash;
mod terminal;
mod token;
mod world;
