//! Tables, by version.

use sqlx::{
    SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
};

/// What each version is called and does; the first is version 1.
pub(crate) type Migrations = &'static [(&'static str, &'static str)];

pub(crate) fn migrator(migrations: Migrations) -> Migrator {
    let migrations = (1..).zip(migrations).map(|(version, &(description, sql))| {
        let sql = SqlStr::from_static(sql);
        Migration::new(version, description.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Takes the store's own error out, so that a corrupt file is still told from a failed migration.
pub(crate) fn migrated(result: Result<(), MigrateError>) -> Result<(), sqlx::Error> {
    match result {
        Ok(()) => Ok(()),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Err(error),
        Err(error) => Err(sqlx::Error::Migrate(Box::new(error))),
    }
}
