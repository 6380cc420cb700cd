//! create_export_job
