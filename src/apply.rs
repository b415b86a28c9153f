//! Carries plans out on this host, and goes back by itself where the result is not what was planned.

pub mod job;
pub mod journal;
pub mod restore;
mod seal;
pub mod session;
pub mod state;
pub mod timer;
pub mod tools;
