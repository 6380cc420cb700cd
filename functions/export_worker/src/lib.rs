//! export_worker
