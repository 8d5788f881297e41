//! Erasing an account, and letting old entries go.

use domain::AccountId;
use jiff::Timestamp;
use uuid::Uuid;

use super::group::Group;
use crate::{
    Erased,
    chain::{self, CHECKPOINTS, ERASURES, Hash, Parts, TABLES},
    sql::{Statements, values},
    verify::kept_digest,
};

/// Whose content goes.
#[derive(Debug, Clone)]
pub(crate) struct EraseRequest {
    pub(crate) account: AccountId,
    pub(crate) reason: String,
    pub(crate) at: Timestamp,
}

/// What goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetainRequest {
    pub(crate) before: Timestamp,
    /// The last place that may go: nothing at or below it is younger.
    pub(crate) floor: i64,
}

/// What went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Removed {
    pub(crate) decisions: u64,
    pub(crate) labels: u64,
}

/// The decisions of an account, as a list for `IN`.
const THEIRS: &str = "(SELECT decision_id FROM decisions WHERE account_id = $1)";

/// The transactions of an account, as a list for `IN`.
const THEIR_TRANSACTIONS: &str = "(\
    SELECT transaction_id FROM decisions WHERE account_id = $1 \
    UNION SELECT transaction_id FROM events WHERE account_id = $1)";

/// Decisions last: the others are found by them.
pub(super) async fn erase(
    group: &mut Group<'_>,
    request: &EraseRequest,
) -> Result<Erased, sqlx::Error> {
    let account = request.account.as_str();
    let run = async |group: &mut Group<'_>, statement: String| {
        group.connection.execute(statement, &values![account]).await
    };
    let completions = run(
        group,
        format!(
            "UPDATE completions SET record = NULL, response = NULL, salt = NULL \
             WHERE record IS NOT NULL AND decision_id IN {THEIRS}"
        ),
    )
    .await?;
    let notes = run(
        group,
        format!(
            "UPDATE notes SET record = NULL, salt = NULL \
             WHERE record IS NOT NULL AND decision_id IN {THEIRS}"
        ),
    )
    .await?;
    let labels = run(
        group,
        format!(
            "UPDATE labels SET transaction_id = NULL, salt = NULL \
             WHERE transaction_id IN {THEIR_TRANSACTIONS}"
        ),
    )
    .await?;
    for table in ["promises", "deliveries"] {
        run(group, format!("DELETE FROM {table} WHERE decision_id IN {THEIRS}")).await?;
    }
    let decisions = run(
        group,
        "UPDATE decisions SET transaction_id = NULL, account_id = NULL, record = NULL, \
            response = NULL, salt = NULL WHERE account_id = $1"
            .to_owned(),
    )
    .await?;
    let events = run(group, "DELETE FROM events WHERE account_id = $1".to_owned()).await?;

    let salt = chain::salt();
    let digest = chain::account_digest(&salt, account);
    let count = |count: u64| count.cast_signed();
    let parts = Parts {
        core: values![
            &salt,
            &digest,
            &request.reason,
            request.at,
            count(decisions),
            count(completions),
            count(labels),
            count(notes),
            count(events),
        ],
        content: Vec::new(),
    };
    group.append(&ERASURES, &[parts]).await?;
    Ok(Erased { decisions, labels, events })
}

/// Dead letters as old as what goes, or older: one may have been tried for long.
const DEAD_LETTERS: &str = "DELETE FROM deliveries WHERE dead AND seq <= $1";

/// Removes what lies at or below a place, unless something there is owed.
pub(super) async fn retain(
    group: &mut Group<'_>,
    request: &RetainRequest,
) -> Result<Removed, sqlx::Error> {
    let owed = "SELECT min(seq) AS first FROM promises";
    let owed = group.connection.fetch(owed, &[]).await?;
    let owed = owed.first().map(|row| row.get::<Option<i64>>("first")).transpose()?.flatten();
    let limit = request.floor.min(group.head()).min(owed.map_or(i64::MAX, |seq| seq - 1));
    let Some((floor, floor_hash)) = last_at(group, limit).await? else {
        return Ok(Removed::default());
    };
    if floor <= group.floor || !holds_anything(group, floor).await? {
        return Ok(Removed::default());
    }
    let kept = kept_digest(group.connection, floor).await?;
    // The store lets go only of what lies at or below its floor.
    group.connection.execute("UPDATE sequence SET floor = $1", &values![floor]).await?;
    group.connection.execute(DEAD_LETTERS, &values![floor]).await?;
    let stretch = values![floor, group.floor];
    // By name: joined, PostgreSQL would walk through all keys there are.
    let going = "SELECT decision_id FROM decisions WHERE seq > $2 AND seq <= $1";
    let mut names = Vec::new();
    for row in group.connection.fetch(going, &stretch).await? {
        names.push(row.get::<Uuid>("decision_id")?.into());
    }
    group.execute_in("DELETE FROM idempotency_keys WHERE decision_id", &names).await?;
    let mut removed = Vec::new();
    for table in TABLES.iter().filter(|table| !table.kept) {
        let statement = format!("DELETE FROM {} WHERE seq <= $1", table.name);
        removed.push(group.connection.execute(statement, &values![floor]).await?);
    }
    let [decisions, completions, labels, notes] = removed[..] else {
        return Err(sqlx::Error::Protocol("four tables are not kept".into()));
    };
    let count = |count: u64| count.cast_signed();
    let parts = Parts {
        core: values![
            request.before,
            group.now,
            floor,
            &floor_hash,
            &kept,
            count(decisions),
            count(completions),
            count(labels),
            count(notes),
        ],
        content: Vec::new(),
    };
    group.append(&CHECKPOINTS, &[parts]).await?;
    Ok(Removed { decisions, labels })
}

/// Whether anything that does not stay lies between the last floor and this one.
async fn holds_anything(group: &mut Group<'_>, floor: i64) -> Result<bool, sqlx::Error> {
    for table in TABLES.iter().filter(|table| !table.kept) {
        let statement =
            format!("SELECT seq FROM {} WHERE seq > $1 AND seq <= $2 LIMIT 1", table.name);
        let found = group.connection.fetch(statement, &values![group.floor, floor]).await?;
        if !found.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last entry at or below a place, with what an entry after it follows.
async fn last_at(group: &mut Group<'_>, limit: i64) -> Result<Option<(i64, Hash)>, sqlx::Error> {
    let mut last: Option<(i64, Hash)> = None;
    for table in TABLES {
        let statement = format!(
            "SELECT seq, hash FROM {} WHERE seq <= $1 ORDER BY seq DESC LIMIT 1",
            table.name
        );
        let rows = group.connection.fetch(statement, &values![limit]).await?;
        let Some(row) = rows.first() else { continue };
        let seq: i64 = row.get("seq")?;
        if last.is_none_or(|(found, _)| seq > found) {
            // An entry from before the chain has no hash: what follows it begins the chain.
            last = Some((seq, row.hash("hash")?.unwrap_or(chain::GENESIS)));
        }
    }
    Ok(last)
}
