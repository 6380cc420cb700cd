//! list_export_jobs
