//! The integration tests, in one binary so that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::excessive_nesting,
    clippy::too_many_arguments,
    reason = "tests fail by panicking, say what they skip, and walk tables of cases"
)]

mod check;
mod cli;
mod docs;
mod explain;
mod golden;
mod quoting;
mod real;
mod support;
mod tidy;
mod world;
