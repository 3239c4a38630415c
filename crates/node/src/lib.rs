//! Training nodes and validators: what to do is a pure function of what they see; one executor does it, and a daemon keeps it
//! going.

pub mod daemon;
pub mod evaluator;
pub mod judge;
pub mod operator;
pub mod plan;
pub mod salt;
pub mod sandbox;
pub mod sealed;
pub mod settlement;
pub mod trainers;
