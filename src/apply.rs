//! Carrying out a plan, on this host and in AWS, and going back by itself where the result is not what was planned.
//!
//! A run ([`session`]) works under the lock: it settles what an earlier one left, lets the tools check every step, writes the
//! journal, makes the changes, reads back what came of them, and keeps or undoes it.
//!
//! The state folder ([`state`]) holds four things, each written durably and sealed with a digest: the *journal*
//! ([`journal`]) of a change that is unfinished or unconfirmed, with all that is needed to go back; the *baseline*, which is
//! what was in force after the last confirmed change; how the *last* change ended; and the *lock*, under which alone any of them changes.
//! Where there is no journal, nothing is owed.
//!
//! An unconfirmed change has a *timer* ([`timer`]): another process, which outlives the one that made the change.
//!
//! Never is a journal half believed: one that is cut off, edited or of another version is told as such, and left where it is.

pub mod ahead;
pub mod aws;
pub mod configuration;
pub mod job;
pub mod journal;
pub mod lasting;
pub mod nginx;
pub mod restore;
mod seal;
pub mod session;
pub mod state;
pub mod timer;
pub mod tools;
