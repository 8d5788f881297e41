//! The tables, by version. A migration that was released is never edited: add the next one.

use sqlx::{
    SqlStr, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

const MIGRATIONS: &[(&str, &str)] = &[
    ("initial", include_str!("../../migrations/sqlite/0001_initial.sql")),
    ("completions", include_str!("../../migrations/sqlite/0002_completions.sql")),
];

/// Brings the tables up to date.
///
/// # Errors
/// Also when the file was written by a later version.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let migrations = (1..).zip(MIGRATIONS).map(|(version, &(description, sql))| {
        let sql = SqlStr::from_static(sql);
        Migration::new(version, description.into(), MigrationType::Simple, sql, false)
    });
    match Migrator::with_migrations(migrations.collect()).run(connection).await {
        Ok(()) => Ok(()),
        // Taken out, so that a corrupt file is still told from a failed migration.
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Err(error),
        Err(error) => Err(sqlx::Error::Migrate(Box::new(error))),
    }
}
