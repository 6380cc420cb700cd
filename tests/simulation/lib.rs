//! What happens when everything goes wrong; see `main.rs`.
