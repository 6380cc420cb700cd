//! Exports from end to end, in memory: what the engine makes of a store is held against a naive oracle of the rules.
//!
//! `SCENARIO_CASES` is the number of generated exports, `SCENARIO_ORACLE_ONLY=1` checks the oracle alone.
#![allow(clippy::unwrap_used)]

mod generate;
mod oracle;
mod property;
mod reduce;
mod regressions;
mod rules;
mod store;
mod types;
mod world;
