//! `plan`, `apply`, `confirm`, `rollback` for AWS: against moto, through the AWS command line and a script before it that notes
//! every call and fails where a test wants it.

mod group;
mod halfway;
mod list;
mod stand;
