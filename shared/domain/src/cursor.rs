//! The list's cursor: `{creationTime}_{id}`.

use crate::id::JobId;

/// The cursor that stands for a job: a page that starts after it holds only older jobs.
pub fn of(id: JobId) -> String {
    format!("{}_{id}", id.creation_time().0)
}

/// Reads a cursor. Of `{creationTime}_{id}` only the id is used, so that the cursor of a deleted job still works; any
/// other form is `None`.
pub fn parse(text: &str) -> Option<JobId> {
    let (time, id) = text.split_once('_')?;
    let numeric = !time.is_empty() && time.len() <= 16 && time.bytes().all(|b| b.is_ascii_digit());
    numeric.then(|| JobId::parse(id)).flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::instant::Millis;

    #[test]
    fn a_cursor_leads_back_to_its_job() {
        let id = JobId::new(Millis(1_790_000_000_123), 77);
        assert_eq!(of(id), format!("1790000000123_{id}"));
        assert_eq!(parse(&of(id)), Some(id));
        assert_eq!(parse("1538573416687_722").unwrap().value(), 722);
        for bad in ["1", "_1", "1_", "a_1", "1_a", "1_2_3", "-1_2", "1_-2"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
