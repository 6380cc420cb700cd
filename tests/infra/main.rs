//! infra tests.
