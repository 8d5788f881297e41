//! The tables, by version. A migration that was released is never edited: add the next one.

use futures::future::BoxFuture;
use sqlx::SqliteConnection;

use crate::sql::{Migrations, migrated, migrator};

const MIGRATIONS: Migrations = &[
    ("initial", include_str!("../../migrations/sqlite/0001_initial.sql")),
    ("completions", include_str!("../../migrations/sqlite/0002_completions.sql")),
    ("chain", include_str!("../../migrations/sqlite/0003_chain.sql")),
    ("changed outcomes", include_str!("../../migrations/sqlite/0004_changed_outcomes.sql")),
];

/// Brings the tables up to date.
///
/// # Errors
/// Also when the file was written by a later version.
pub(super) fn migrate(connection: &mut SqliteConnection) -> BoxFuture<'_, Result<(), sqlx::Error>> {
    Box::pin(async { migrated(migrator(MIGRATIONS).run_direct(None, connection, false).await) })
}
