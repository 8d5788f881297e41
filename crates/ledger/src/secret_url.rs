//! An address with a password in it.

use std::{fmt, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// The URL of a PostgreSQL database, as libpq writes it: `postgres://user:password@host:port/db`,
/// with `?host=/folder` for a socket and `?sslmode=verify-full` for TLS. What it shows of itself
/// has no password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl {
    url: String,
    shown: String,
}

impl SecretUrl {
    /// How to connect. It parsed before, so it does again.
    pub(crate) fn options(&self) -> Result<PgConnectOptions, sqlx::Error> {
        self.url.parse()
    }
}

impl FromStr for SecretUrl {
    type Err = String;

    /// # Errors
    /// What is wrong; the URL is not repeated.
    fn from_str(url: &str) -> Result<Self, String> {
        let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
        if !is_postgres {
            return Err("must begin with postgres:// or postgresql://".to_owned());
        }
        let options: PgConnectOptions =
            url.parse().map_err(|_| "must be the URL of a PostgreSQL database".to_owned())?;
        let place = match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let database = options.get_database().unwrap_or(options.get_username());
        let shown = format!("postgres://{}@{place}/{database}", options.get_username());
        Ok(Self { url: url.to_owned(), shown })
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        for url in [
            "postgres://weir:hunter2@db.example:5433/ledger",
            "postgresql://weir@db.example:5433/ledger?password=hunter2&sslmode=require",
        ] {
            let url: SecretUrl = url.parse().unwrap();
            assert_eq!(url.to_string(), "postgres://weir@db.example:5433/ledger");
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_database_is_refused_without_repeating_it() {
        for url in ["mysql://a:hunter2@b/c", "postgres://a:hunter2@b:port/c", "hunter2", ""] {
            let problem = url.parse::<SecretUrl>().unwrap_err();
            assert!(problem.starts_with("must be") && !problem.contains("hunter2"), "{problem}");
        }
    }
}
