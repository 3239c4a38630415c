//! Training nodes and validators: what to do is a pure function of what they see; one executor does it.

pub mod judge;
pub mod operator;
pub mod plan;
pub mod salt;
pub mod settlement;
