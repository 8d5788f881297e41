//! The ledger on real stores.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Makes each of these a test on SQLite and one on PostgreSQL.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::support::Bench::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::support::Bench::postgres().await).await;
            })*
        }
    };
}

mod appending;
mod care;
mod keys;
mod killing;
mod labels;
mod losing;
mod migrating;
mod opening;
mod outcomes;
mod promises;
mod reading;
mod server;
mod sharing;
mod support;
mod trouble;
