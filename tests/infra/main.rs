//! The deployment's description against the code: folders, routes, settings, grants, events, and who may import whom.
//!
//! Every check is a function from a template to the problems it finds. It is run on the real template, which has none,
//! and on edited copies, in which it must find what was broken.
#![allow(clippy::unwrap_used)]

mod alarms;
mod auth;
mod concurrency;
mod events;
mod functions;
mod grants;
mod house;
mod resources;
mod routes;
mod sharing;
mod template;
mod tenants;
mod unused;
