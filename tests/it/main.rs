//! The integration tests, in one binary so that it is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::excessive_nesting,
    clippy::too_many_arguments,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "tests fail by panicking, say what they skip, and walk tables of cases"
)]

mod admitted;
#[cfg(feature = "netns-tests")]
mod apply;
mod apply_aws;
#[cfg_attr(not(feature = "netns-tests"), allow(dead_code, unused_imports, reason = "used in namespaces"))]
mod apply_nginx;
mod bad_configurations;
mod bad_listings;
mod browser;
mod check;
mod ci;
mod cli;
mod diff;
mod docs;
mod explain;
mod fetch;
mod from_zero;
mod golden;
mod html;
mod install;
#[cfg_attr(not(feature = "netns-tests"), allow(dead_code, unused_imports, reason = "used in namespaces"))]
mod judge;
#[cfg_attr(not(feature = "netns-tests"), allow(dead_code, unused_imports, reason = "used in namespaces"))]
mod laws;
mod mermaid;
mod moto;
#[cfg_attr(not(feature = "netns-tests"), allow(dead_code, unused_imports, reason = "used in namespaces"))]
mod nginx_judge;
mod nginx_reading;
mod path;
#[cfg(feature = "netns-tests")]
mod persist;
mod pipelines;
mod prefixes;
mod quoting;
#[cfg_attr(not(feature = "netns-tests"), allow(dead_code, unused_imports, reason = "used in namespaces"))]
mod real;
mod review;
mod runner;
mod security_groups;
mod server;
mod support;
mod terraform;
mod tidy;
mod upstream;
mod upstream_extract;
mod upstream_pages;
mod upstream_propose;
#[cfg_attr(not(feature = "netns-tests"), allow(dead_code, unused_imports, reason = "used in namespaces"))]
mod world;
