//! The plan: what a change does, in which order, and what keeps it from being carried out.
//!
//! Pure: it is made from what was read, and nothing here changes anything.
#![warn(clippy::arithmetic_side_effects, clippy::as_conversions)]

pub mod guardrail;
