//! cancel_export_job
