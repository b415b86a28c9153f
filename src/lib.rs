//! callgate keeps the addresses from which payment providers send callbacks as a versioned policy and turns
//! that policy into firewall, cloud and web-server rules.
//!
//! The tour, in the order in which data flows:
//!
//! 1. [`yaml`] reads text into nodes that know their place; [`diagnostic`] is how faults are told.
//! 2. [`policy`] is one provider's sources with lifecycle and evidence; [`site`] says what is wanted where.
//! 3. [`allowlist`] resolves both at an instant; [`prefix`] holds the addresses and their algebra.
//! 4. [`admission`] is the question who gets in, and its answer; [`drift`] compares it with the allowlist.
//! 5. [`netfilter`] reads what a host's tools print, and answers the question for its rules.
//!    [`nginx`] does so for its configuration, and [`security_group`] for AWS and Terraform.
//! 6. [`target`] writes the allowlist in each tool's syntax, or refuses.
//! 7. [`holding`] is what is ours in a system; [`apply`] changes it, and brings back what was there.
//! 8. [`review`] compares two whole states; [`timeline`] and [`report`] tell people and machines; [`cli`] is the command line.
//!
//! From validation to rendering, and from a listing to drift, everything is pure: the outside is reached only in [`system`], the clock is
//! read once, in [`cli`].

#![cfg_attr(
    test,
    allow(
        clippy::format_collect,
        clippy::excessive_nesting,
        clippy::fn_params_excessive_bools,
        reason = "tests make texts, and walk tables of cases"
    )
)]

pub mod admission;
pub mod allowlist;
pub mod apply;
pub mod cli;
pub mod diagnostic;
pub mod drift;
pub mod holding;
pub mod instant;
mod json;
mod lines;
pub mod netfilter;
pub mod nginx;
pub mod path;
mod plain;
pub mod plan;
pub mod policy;
pub mod prefix;
pub mod report;
pub mod review;
pub mod security_group;
pub mod site;
pub mod system;
pub mod target;
pub mod timeline;
pub mod upstream;
pub mod yaml;
