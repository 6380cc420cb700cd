//! get_export_job
