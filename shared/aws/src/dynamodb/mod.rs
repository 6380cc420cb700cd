//! What the adapters over DynamoDB share: keys, items, guarded changes, and a table that applies them.

mod change;
mod item;
pub(crate) mod keys;
mod table;

pub(crate) use change::Change;
pub(crate) use item::{Item, from_doc, n, number, opt_text, s, text, to_doc};
pub(crate) use keys::Key;
pub(crate) use table::{Outcome, Query, Table};
