//! Changes that stand once, whoever else moves the table and whatever answer is lost.

use crate::Lake;
use crate::catalog::Judged;
use crate::glue::GlueApi;
use domain::plan::TableName;
use domain::ports::lake::LakeError;
use domain::ports::objects::{ReadObjects, WriteObjects};
use std::future::Future;

/// Looks at a table that others keep moving before a change gives up.
const ATTEMPTS: usize = 5;

impl<O: ReadObjects + WriteObjects, G: GlueApi> Lake<O, G> {
    /// Looks at the table and changes it, again and again while it is [`LakeError::Unavailable`]: another writer was
    /// faster, or an answer was lost. The change tells from the table that it is shown whether it stands already.
    pub(crate) async fn settle<T, F>(
        &self,
        table: &TableName,
        change: impl Fn(Judged) -> F + Send,
    ) -> Result<T, LakeError>
    where
        F: Future<Output = Result<T, LakeError>> + Send,
    {
        let mut attempt = 1;
        loop {
            let settled = match self.judge(table).await {
                Ok(judged) => change(judged).await,
                Err(error) => Err(error),
            };
            match settled {
                Err(LakeError::Unavailable(_)) if attempt < ATTEMPTS => attempt += 1,
                settled => return settled,
            }
        }
    }
}
