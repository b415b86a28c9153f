//! Carries plans out on this host, and goes back by itself where the result is not what was planned.

pub mod job;
pub mod tools;
