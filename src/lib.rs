pub mod diagnostic;
pub mod prefix;
pub mod yaml;
pub mod instant;
pub mod system;
pub mod policy;
