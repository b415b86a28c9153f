//! The integration tests, in one binary so that it is linked once.

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
