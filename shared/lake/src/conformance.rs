//! What a commit relies on, of whatever is called a catalog: an entry is replaced at the version that was read, or not at all.

#![allow(clippy::unwrap_used)]

use crate::glue::{Database, GlueApi, GlueError, GlueTable, TableInput};
use domain::plan::TableName;
use futures::future::join_all;

const DATABASE: &str = "conformance";
/// Writers at once.
const WRITERS: usize = 16;

/// Holds a catalog that has no database of that name to its promises.
pub async fn catalog<G: GlueApi>(glue: G) {
    glue.create_database(&Database { name: DATABASE.into(), ..Database::default() }).await.unwrap();
    an_update_holds_at_the_version_that_was_read(&glue).await;
    a_stale_update_changes_nothing(&glue).await;
    of_writers_at_one_version_one_wins(&glue).await;
    the_same_content_is_another_version(&glue).await;
    what_is_not_there_is_not_updated(&glue).await;
}

fn name(table: &str) -> TableName {
    TableName { database: DATABASE.into(), table: table.into() }
}

fn pointing(table: &str, at: &str) -> TableInput {
    let parameters = [("metadata_location", at), ("table_type", "ICEBERG")];
    let parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    TableInput { name: table.into(), parameters, ..TableInput::default() }
}

async fn made<G: GlueApi>(glue: &G, table: &str) -> GlueTable {
    glue.create_table(DATABASE, &pointing(table, "s3://0")).await.unwrap();
    glue.table(&name(table)).await.unwrap()
}

async fn update<G: GlueApi>(glue: &G, table: &str, at: &str, version: &str) -> Result<(), GlueError> {
    glue.update_table(DATABASE, &pointing(table, at), version).await
}

async fn an_update_holds_at_the_version_that_was_read<G: GlueApi>(glue: &G) {
    let mut versions = vec![made(glue, "updated").await.version_id.unwrap()];
    for at in ["s3://1", "s3://2"] {
        update(glue, "updated", at, versions.last().unwrap()).await.unwrap();
        let now = glue.table(&name("updated")).await.unwrap();
        assert_eq!(now.metadata_location(), Some(at));
        versions.push(now.version_id.unwrap());
    }
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 3, "every update draws another version");
}

async fn a_stale_update_changes_nothing<G: GlueApi>(glue: &G) {
    let stale = made(glue, "stale").await.version_id.unwrap();
    update(glue, "stale", "s3://1", &stale).await.unwrap();
    let before = glue.table(&name("stale")).await.unwrap();
    let refused = update(glue, "stale", "s3://2", &stale).await;
    assert!(matches!(refused, Err(GlueError::VersionMismatch)), "{refused:?}");
    assert_eq!(glue.table(&name("stale")).await.unwrap(), before);
}

async fn of_writers_at_one_version_one_wins<G: GlueApi>(glue: &G) {
    let version = made(glue, "raced").await.version_id.unwrap();
    let locations: Vec<_> = (0..WRITERS).map(|n| format!("s3://{n}")).collect();
    let writers = locations.iter().map(|at| update(glue, "raced", at, &version));
    let answers = join_all(writers).await;
    let won: Vec<_> = locations.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(at, _)| at).collect();
    assert_eq!(won.len(), 1, "{answers:?}");
    let lost = answers.iter().filter(|answer| matches!(answer, Err(GlueError::VersionMismatch)));
    assert_eq!(lost.count(), WRITERS - 1, "{answers:?}");
    assert_eq!(glue.table(&name("raced")).await.unwrap().metadata_location(), Some(won[0].as_str()));
}

async fn the_same_content_is_another_version<G: GlueApi>(glue: &G) {
    let version = made(glue, "same").await.version_id.unwrap();
    update(glue, "same", "s3://0", &version).await.unwrap();
    let refused = update(glue, "same", "s3://1", &version).await;
    assert!(matches!(refused, Err(GlueError::VersionMismatch)), "{refused:?}");
}

async fn what_is_not_there_is_not_updated<G: GlueApi>(glue: &G) {
    let missing = update(glue, "missing", "s3://1", "0").await;
    assert!(matches!(missing, Err(GlueError::NotFound)), "{missing:?}");
    assert!(matches!(glue.table(&name("missing")).await, Err(GlueError::NotFound)));
    let taken = glue.create_table(DATABASE, &pointing("same", "s3://9")).await;
    assert!(matches!(taken, Err(GlueError::AlreadyExists)), "{taken:?}");
}
