//! Who does what is owed: leases on promises, keys and deliveries.
//!
//! Nothing of this is part of the chain. Time is the store's own clock, which all instances share.

use std::time::Duration;

use domain::DecisionId;
use jiff::Timestamp;
use uuid::Uuid;

use super::Context;
use crate::{
    Delivery, IdempotencyKey, LedgerError, Promise,
    sql::{Dialect, Fields, Row, Statements, Value, lists, values},
    writer::Answer,
};

/// How long a settled key is remembered.
pub(crate) const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);
/// No attempt takes longer: a key that is reserved for longer was forgotten by its holder.
pub(crate) const RESERVATION_AGE_MAX: Duration = Duration::from_secs(600);
/// A delivery belongs to who claimed it for this long: longer than an attempt and the writing of
/// its result may take. It is not renewed: a claim whose answer was lost comes free again.
const DELIVERY_LEASE: Duration = Duration::from_secs(180);
/// The most keys forgotten at once.
pub(crate) const KEYS_CHUNK: i64 = 10_000;

/// Something to be done with what is owed.
#[derive(Debug, Clone)]
pub(crate) enum WorkRequest {
    /// Answered by [`Answer::Claimed`].
    Claim { limit: usize },
    /// Extends the leases on these promises and on the keys of this instance. Answered by how
    /// many were extended.
    Renew(Vec<DecisionId>),
    /// Answered by how many were given back.
    GiveBack(Vec<DecisionId>),
    /// Answered by how many were given back.
    GiveBackAll,
    /// Answered by 1, or 0 when the key is somebody's.
    Reserve(IdempotencyKey),
    /// Answered by 1, or 0 when the key was not reserved here.
    Release(IdempotencyKey),
    /// Answered by [`Answer::Claimed`].
    ClaimDeliveries { endpoint: String, limit: usize },
    /// Answered by 1, or 0 when there was no such delivery.
    Delivered(Uuid),
    /// Answered by 1, or 0 when there was no such delivery.
    Undelivered { id: Uuid, error: String, next_attempt_at: Option<Timestamp> },
    /// Answered by 1, or 0 when it was not dead.
    Revive(Uuid),
    /// Answered by how many were forgotten.
    PruneKeys,
}

/// A promise that was taken up.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) decision_id: DecisionId,
    pub(crate) promise: Promise,
    pub(crate) promised_at: Timestamp,
    pub(crate) attempts: u32,
}

/// Each is one statement, so it needs no transaction of its own.
pub(crate) async fn run(
    connection: &mut impl Statements,
    request: &WorkRequest,
    context: &Context,
) -> Result<Answer, sqlx::Error> {
    let now = connection.dialect().now();
    let count = match request {
        WorkRequest::Claim { limit } => return claim(connection, *limit, context).await,
        WorkRequest::ClaimDeliveries { endpoint, limit } => {
            return claim_deliveries(connection, endpoint, *limit, context).await;
        }
        WorkRequest::Reserve(key) => reserve(connection, key, context).await?,
        WorkRequest::Release(key) => {
            connection.execute(RELEASE, &values![&key.key, context.instance]).await?
        }
        WorkRequest::GiveBackAll => give_back_all(connection, context).await?,
        WorkRequest::Renew(held) => renew(connection, held, context).await?,
        WorkRequest::GiveBack(ids) => {
            let mut count = 0;
            for id in ids {
                let values = values![*id, context.instance];
                count += connection.execute(GIVE_BACK, &values).await?;
            }
            count
        }
        WorkRequest::Delivered(id) => {
            connection.execute("DELETE FROM deliveries WHERE id = $1", &values![*id]).await?
        }
        WorkRequest::Undelivered { id, error, next_attempt_at } => {
            let dead = next_attempt_at.is_none();
            let values = values![*id, error, *next_attempt_at, dead];
            connection.execute(UNDELIVERED, &values).await?
        }
        WorkRequest::Revive(id) => {
            let statement = format!(
                "UPDATE deliveries SET dead = $2, next_attempt_at = {now} WHERE id = $1 AND dead"
            );
            connection.execute(statement, &values![*id, false]).await?
        }
        WorkRequest::PruneKeys => prune_keys(connection).await?,
    };
    Ok(Answer::Number(count.cast_signed()))
}

const GIVE_BACK: &str =
    "UPDATE promises SET owner = NULL, lease_until = 0 WHERE decision_id = $1 AND owner = $2";

const RELEASE: &str =
    "DELETE FROM idempotency_keys WHERE key = $1 AND owner = $2 AND decision_id IS NULL";

const UNDELIVERED: &str = "\
    UPDATE deliveries SET attempts = attempts + 1, last_error = $2, \
        next_attempt_at = coalesce($3, next_attempt_at), dead = $4, owner = NULL, lease_until = 0 \
    WHERE id = $1";

/// What nobody holds. SQLite's file has one process: whoever else held something is gone.
fn free(dialect: Dialect, instance: &str) -> String {
    let now = dialect.now();
    match dialect {
        Dialect::Sqlite => {
            format!("(owner IS NULL OR owner <> {instance} OR lease_until <= {now})")
        }
        Dialect::Postgres => format!("(owner IS NULL OR lease_until <= {now})"),
    }
}

/// Materialized: PostgreSQL may otherwise look for what is free more than once, and each time take
/// other rows than before.
async fn claim(
    connection: &mut impl Statements,
    limit: usize,
    context: &Context,
) -> Result<Answer, sqlx::Error> {
    let dialect = connection.dialect();
    let (now, skip_locked) = (dialect.now(), dialect.skip_locked());
    let free = free(dialect, "$1");
    let statement = format!(
        "WITH free AS MATERIALIZED (SELECT decision_id AS due FROM promises WHERE {free} \
            ORDER BY seq LIMIT $3{skip_locked}) \
         UPDATE promises SET owner = $1, lease_until = {now} + $2, attempts = attempts + 1 \
         FROM free WHERE decision_id = free.due \
         RETURNING seq, decision_id, promise, promised_at, attempts"
    );
    let values = values![context.instance, micros(context.lease), limit];
    in_order(connection.fetch(statement, &values).await?)
}

/// Materialized as above.
async fn claim_deliveries(
    connection: &mut impl Statements,
    endpoint: &str,
    limit: usize,
    context: &Context,
) -> Result<Answer, sqlx::Error> {
    let dialect = connection.dialect();
    let (now, skip_locked) = (dialect.now(), dialect.skip_locked());
    let free = free(dialect, "$1");
    let statement = format!(
        "WITH free AS MATERIALIZED (SELECT id AS due FROM deliveries \
            WHERE NOT dead AND endpoint = $4 AND next_attempt_at <= {now} AND {free} \
            ORDER BY next_attempt_at, seq LIMIT $3{skip_locked}) \
         UPDATE deliveries SET owner = $1, lease_until = {now} + $2 \
         FROM free WHERE id = free.due RETURNING *"
    );
    let values = values![context.instance, micros(DELIVERY_LEASE), limit, endpoint];
    in_order(connection.fetch(statement, &values).await?)
}

/// Takes a key that is nobody's: never seen, its life over, or its holder gone. One of this
/// instance's own is left over from an attempt whose release failed.
async fn reserve(
    connection: &mut impl Statements,
    key: &IdempotencyKey,
    context: &Context,
) -> Result<u64, sqlx::Error> {
    let now = connection.dialect().now();
    let statement = format!(
        "INSERT INTO idempotency_keys AS held (key, fingerprint, owner, reserved_at, lease_until) \
         VALUES ($1, $2, $3, {now}, {now} + $4) \
         ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, decision_id = NULL, \
            settled_at = NULL, owner = excluded.owner, reserved_at = excluded.reserved_at, \
            lease_until = excluded.lease_until \
         WHERE (held.decision_id IS NULL \
                AND (held.lease_until <= {now} OR held.owner = excluded.owner)) \
            OR (held.decision_id IS NOT NULL AND held.settled_at <= {now} - $5)"
    );
    let (lease, life) = (micros(context.lease), micros(KEY_LIFE));
    let values = values![&key.key, &key.fingerprint, context.instance, lease, life];
    connection.execute(statement, &values).await
}

/// What an update gives back comes in no order.
fn in_order(rows: Vec<Row>) -> Result<Answer, sqlx::Error> {
    let placed = rows.into_iter().map(|row| Ok((row.get::<i64>("seq")?, row)));
    let mut rows: Vec<_> = placed.collect::<Result<_, sqlx::Error>>()?;
    rows.sort_by_key(|(seq, _)| *seq);
    Ok(Answer::Claimed(rows.into_iter().map(|(_, row)| row).collect()))
}

/// Rows that somebody is changing are passed over here and below: they are being settled, and
/// waiting for one of many can end in a deadlock.
async fn give_back_all(
    connection: &mut impl Statements,
    context: &Context,
) -> Result<u64, sqlx::Error> {
    let skip_locked = connection.dialect().skip_locked();
    let mut count = 0;
    for (table, name) in [("promises", "decision_id"), ("deliveries", "id")] {
        let statement = format!(
            "UPDATE {table} SET owner = NULL, lease_until = 0 WHERE {name} IN (\
                SELECT {name} FROM {table} WHERE owner = $1{skip_locked})"
        );
        count += connection.execute(statement, &values![context.instance]).await?;
    }
    Ok(count)
}

/// One statement for each of the two indexes.
async fn prune_keys(connection: &mut impl Statements) -> Result<u64, sqlx::Error> {
    let dialect = connection.dialect();
    let (now, skip_locked) = (dialect.now(), dialect.skip_locked());
    let mut count = 0;
    for time in ["settled_at", "lease_until"] {
        let statement = format!(
            "DELETE FROM idempotency_keys WHERE key IN (SELECT key FROM idempotency_keys \
                WHERE {time} < {now} - $1 LIMIT $2{skip_locked})"
        );
        let values = values![micros(KEY_LIFE), KEYS_CHUNK];
        count += connection.execute(statement, &values).await?;
    }
    Ok(count)
}

async fn renew(
    connection: &mut impl Statements,
    held: &[DecisionId],
    context: &Context,
) -> Result<u64, sqlx::Error> {
    let dialect = connection.dialect();
    let (now, skip_locked) = (dialect.now(), dialect.skip_locked());
    let held: Vec<Value<'_>> = held.iter().map(|id| Value::from(*id)).collect();
    let begin = format!(
        "UPDATE promises SET lease_until = {now} + $2 WHERE decision_id IN (\
            SELECT decision_id FROM promises WHERE owner = $1 AND decision_id"
    );
    let end = format!("{skip_locked})");
    let mut count = 0;
    for (list, statement) in lists(&begin, 2, &held, &end) {
        let mut values = values![context.instance, micros(context.lease)];
        values.extend(list);
        count += connection.execute(statement, &values).await?;
    }
    let statement = format!(
        "UPDATE idempotency_keys SET lease_until = {now} + $2 WHERE key IN (\
            SELECT key FROM idempotency_keys \
            WHERE owner = $1 AND reserved_at > {now} - $3{skip_locked})"
    );
    let age_max = micros(RESERVATION_AGE_MAX);
    let values = values![context.instance, micros(context.lease), age_max];
    Ok(count + connection.execute(statement, &values).await?)
}

/// Needs `seq` and the columns that [`claim`] gives back.
pub(crate) fn parse_claim(row: Row) -> Result<Claim, LedgerError> {
    let fields = Fields::new(row)?;
    Ok(Claim {
        decision_id: fields.decision_id()?,
        promise: fields.parse("promise")?,
        promised_at: fields.time("promised_at")?,
        attempts: fields.count("attempts")?.try_into().unwrap_or(u32::MAX),
    })
}

/// Needs all columns of `deliveries`.
pub(crate) fn parse_delivery(row: Row) -> Result<Delivery, LedgerError> {
    let fields = Fields::new(row)?;
    Ok(Delivery {
        seq: fields.seq,
        id: fields.get("id")?,
        decision_id: fields.decision_id()?,
        endpoint: fields.get("endpoint")?,
        event: fields.get("event")?,
        body: fields.get("body")?,
        created_at: fields.time("created_at")?,
        attempts: fields.count("attempts")?.try_into().unwrap_or(u32::MAX),
        next_attempt_at: fields.time("next_attempt_at")?,
        last_error: fields.get("last_error")?,
        dead: fields.get("dead")?,
    })
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}
