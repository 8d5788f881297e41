//! Policies, notes, and what is owed.

use domain::DecisionId;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Reader, row, unreadable};
use crate::{
    Backlog, Delivery, DeliveryState, IdempotencyKey, LedgerError, NoteKind, Page, PageRequest,
    StoredNote, StoredPolicy,
    sql::{Fields, Row, Statements, values},
    store::{KEY_LIFE, micros, parse_delivery},
};

const LATEST_POLICY: &str = "SELECT * FROM policies ORDER BY seq DESC LIMIT 1";
const POLICY: &str = "SELECT * FROM policies WHERE sha256 = $1 ORDER BY seq DESC LIMIT 1";
const LATEST_POLICY_BY: &str = "SELECT * FROM policies WHERE author = $1 ORDER BY seq DESC LIMIT 1";
const POLICY_BY_VERSION: &str =
    "SELECT * FROM policies WHERE version = $1 ORDER BY seq DESC LIMIT 1";
const POLICIES: &str = "SELECT * FROM policies WHERE seq > $1 ORDER BY seq LIMIT $2";

const NOTES: &str =
    "SELECT * FROM notes WHERE decision_id = $1 AND record IS NOT NULL ORDER BY seq";
const NOTES_SINCE: &str = "\
    SELECT * FROM notes \
    WHERE kind = $1 AND seq > $2 AND +recorded_at >= $4 AND record IS NOT NULL \
    ORDER BY seq LIMIT $3";
/// The plus signs are as in `decisions.rs`.
const NOTES_FIRST: &str =
    "SELECT min(+seq) AS first FROM notes WHERE kind = $1 AND recorded_at >= $2";

const BACKLOG: &str =
    "SELECT CAST(0 AS BIGINT) AS seq, count(*) AS count, min(promised_at) AS oldest FROM promises";

const DELIVERIES_WAITING: &str = "SELECT count(*) AS count FROM deliveries WHERE NOT dead";

const DELIVERIES: &str =
    "SELECT * FROM deliveries WHERE dead = $1 AND seq > $2 ORDER BY seq LIMIT $3";

/// What a settled key stands for.
pub(crate) struct Settled {
    pub(crate) fingerprint: Vec<u8>,
    /// Absent while the key is only reserved.
    pub(crate) decision_id: Option<DecisionId>,
}

impl Reader {
    pub(crate) async fn latest_policy(&self) -> Result<Option<StoredPolicy>, LedgerError> {
        Ok(self.rows(LATEST_POLICY, &[], row::policy).await?.pop())
    }

    pub(crate) async fn policy(&self, sha256: &str) -> Result<Option<StoredPolicy>, LedgerError> {
        Ok(self.rows(POLICY, &values![sha256], row::policy).await?.pop())
    }

    pub(crate) async fn latest_policy_by(
        &self,
        author: &str,
    ) -> Result<Option<StoredPolicy>, LedgerError> {
        Ok(self.rows(LATEST_POLICY_BY, &values![author], row::policy).await?.pop())
    }

    pub(crate) async fn policy_by_version(
        &self,
        version: &str,
    ) -> Result<Option<StoredPolicy>, LedgerError> {
        Ok(self.rows(POLICY_BY_VERSION, &values![version], row::policy).await?.pop())
    }

    pub(crate) async fn deliveries_waiting(&self) -> Result<u64, LedgerError> {
        let count: i64 =
            self.one(DELIVERIES_WAITING, &[]).await?.get("count").map_err(unreadable)?;
        Ok(count.unsigned_abs())
    }

    pub(crate) async fn policies(
        &self,
        request: PageRequest,
    ) -> Result<Page<StoredPolicy>, LedgerError> {
        let values = values![request.after(), request.rows()];
        let items = self.rows(POLICIES, &values, row::policy).await?;
        Ok(Page::cut(items, request, |policy| policy.seq))
    }

    pub(crate) async fn notes(&self, id: DecisionId) -> Result<Vec<StoredNote>, LedgerError> {
        self.rows(NOTES, &values![id], row::note).await
    }

    pub(crate) async fn notes_since(
        &self,
        kind: NoteKind,
        since: Option<Timestamp>,
        request: PageRequest,
    ) -> Result<Page<StoredNote>, LedgerError> {
        let after = match (request.cursor, since) {
            (Some(cursor), _) => cursor.0,
            (None, None) => 0,
            (None, Some(since)) => {
                let first = self.one(NOTES_FIRST, &values![kind.as_str(), since]).await?;
                let first: Option<i64> = first.get("first").map_err(unreadable)?;
                let Some(first) = first else { return Ok(Page { items: Vec::new(), next: None }) };
                first - 1
            }
        };
        let since = since.unwrap_or(Timestamp::MIN);
        let values = values![kind.as_str(), after, request.rows(), since];
        let items = self.rows(NOTES_SINCE, &values, row::note).await?;
        Ok(Page::cut(items, request, |note| note.seq))
    }

    pub(crate) async fn backlog(&self) -> Result<Backlog, LedgerError> {
        let fields = Fields::new(self.one(BACKLOG, &[]).await?)?;
        Ok(Backlog { count: fields.count("count")?, oldest: fields.time_if_there("oldest")? })
    }

    pub(crate) async fn deliveries(
        &self,
        state: DeliveryState,
        request: PageRequest,
    ) -> Result<Page<Delivery>, LedgerError> {
        let dead = state == DeliveryState::Dead;
        let values = values![dead, request.after(), request.rows()];
        let items = self.rows(DELIVERIES, &values, parse_delivery).await?;
        Ok(Page::cut(items, request, |delivery| delivery.seq))
    }

    /// What is known of a key: settled within its life, or reserved by another instance than
    /// this one, which knows its own.
    pub(crate) async fn key(
        &self,
        key: &IdempotencyKey,
        instance: Uuid,
    ) -> Result<Option<Settled>, LedgerError> {
        let now = self.pool().dialect().now();
        let statement = format!(
            "SELECT CAST(0 AS BIGINT) AS seq, fingerprint, decision_id FROM idempotency_keys \
             WHERE key = $1 AND (settled_at > {now} - $2 \
                OR (decision_id IS NULL AND lease_until > {now} AND owner <> $3))"
        );
        let values = values![&key.key, micros(KEY_LIFE), instance];
        Ok(self.rows(statement, &values, settled).await?.pop())
    }
}

fn settled(row: Row) -> Result<Settled, LedgerError> {
    let fields = Fields::new(row)?;
    Ok(Settled {
        fingerprint: fields.get("fingerprint")?,
        decision_id: fields.get::<Option<_>>("decision_id")?.map(DecisionId),
    })
}
