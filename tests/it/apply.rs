//! `plan`, `apply`, `confirm`, `rollback` and `status`, run as an operator would, against the real tools in a network
//! namespace of the test's own.

mod bench;
mod confirm;
#[cfg(feature = "fault-points")]
mod faults;
mod guardrails;
mod jump;
mod laws;
mod packets;
mod plans;
mod shapes;
mod trouble;
