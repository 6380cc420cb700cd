//! The registry as code: a YAML file, what differs from what is registered, and making it so.

pub mod apply;
mod check;
mod diff;
pub mod file;
pub mod types;

pub use apply::{Plan, plan};
pub use diff::Change;
pub use file::RegistryFile;

#[cfg(test)]
mod tests;
