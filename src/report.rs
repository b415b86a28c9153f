//! Reports for people and machines. Nothing here decides anything.

pub mod admission_text;
pub mod admission_v1;
pub mod change_v1;
pub mod drift_text;
pub mod drift_v1;
pub mod escape;
pub mod extract_text;
pub mod extract_v1;
pub mod finding;
pub mod github;
pub mod json_v1;
pub mod junit;
pub mod markdown;
pub mod plan_text;
pub mod plan_v1;
pub mod review_markdown;
pub mod review_text;
pub mod review_v1;
pub mod sarif;
pub mod source_v1;
pub mod text;
pub mod upstream_markdown;
pub mod upstream_text;
pub mod upstream_v1;
