//! What clients are told when a store fails: the one place where its errors become problems. A source's own text goes to
//! the log and no further.

use crate::telemetry::log_chain;
use domain::ports::jobs::StoreError;
use domain::problem::Problem;

/// Logs a store's error and gives the problem that stands for it.
pub fn of_store(error: StoreError) -> Problem {
    log_chain("the store did not answer", &error);
    match error {
        StoreError::Unavailable(_) => Problem::unavailable(),
        StoreError::Denied(_) | StoreError::Damaged(_) => Problem::internal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_out_of_reach_is_503_and_any_other_failure_500_without_its_text() {
        let errors = [
            (StoreError::Unavailable("throttled".into()), 503),
            (StoreError::Denied("arn:aws:iam::1".into()), 500),
            (StoreError::Damaged("JOB#1".into()), 500),
        ];
        for (error, status) in errors {
            let problem = of_store(error);
            assert_eq!(problem.code.status(), status);
            let shown = format!("{problem:?}");
            assert!(!["throttled", "arn:", "JOB#"].iter().any(|text| shown.contains(text)), "{shown}");
        }
    }
}
