//! The journal: whatever fails, each transaction has its effect once.

mod faults;
mod fees;
mod refusals;
mod schedules;
mod world;
