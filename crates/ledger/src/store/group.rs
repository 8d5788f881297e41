//! One commit for all that waits, and the chain through it.

use futures::future::BoxFuture;

use crate::{
    chain::{self, Hash, Parts, Seal, Table},
    sql::{Connection, Statements, Value, insert, lists, values},
    writer::{Answer, Write, Written},
};

use super::{Context, care, decisions, entries, work};

/// The store's clock comes along, so that a group has one time.
const HEAD: &str = "SELECT last, head, head_hash, floor";

const MOVE_HEAD: &str = "UPDATE sequence SET last = $1, head = $2, head_hash = $3 WHERE id = 1";

/// A transaction that holds the head of the chain.
pub(super) struct Group<'c> {
    pub(super) connection: &'c mut Connection,
    /// The store's clock as of the beginning, in microseconds.
    pub(super) now: i64,
    /// The last place that was given.
    last: i64,
    /// The last entry of the chain.
    head: i64,
    head_hash: Hash,
    /// Whether the chain grew.
    is_longer: bool,
    /// What retention has removed up to.
    pub(super) floor: i64,
}

/// Why a group failed.
pub(super) struct Failed {
    pub(super) error: sqlx::Error,
    /// What would be true if it was recorded all the same; none when it was not.
    pub(super) doubt: Option<Doubt>,
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self { error, doubt: None }
    }
}

/// A group whose commit was asked for, and not answered.
pub(super) struct Doubt {
    answers: Vec<Written>,
    /// Its last entry.
    head: i64,
    head_hash: Hash,
}

/// Answers to writes, by their number in the group.
pub(super) type Answers = Vec<(usize, Written)>;

/// Runs within a transaction that was begun, and commits it.
pub(super) fn run<'a>(
    connection: &'a mut Connection,
    writes: &'a [Write],
    context: &'a Context,
) -> BoxFuture<'a, Result<Vec<Written>, Failed>> {
    Box::pin(run_all(connection, writes, context))
}

async fn run_all<'a>(
    connection: &'a mut Connection,
    writes: &'a [Write],
    context: &'a Context,
) -> Result<Vec<Written>, Failed> {
    let mut group = Group::start(connection).await?;
    // By kind, because many rows by one statement cost little more than one: what others rest
    // on comes first. Who needs an order waits for the first answer before the second write.
    let mut answers =
        decisions::write(&mut group, &of_kind(writes, Write::decision), context).await?;
    answers.extend(entries::completions(&mut group, &of_kind(writes, Write::completion)).await?);
    answers.extend(entries::labels(&mut group, &of_kind(writes, Write::label)).await?);
    answers.extend(entries::notes(&mut group, &of_kind(writes, Write::note)).await?);
    answers.extend(entries::policies(&mut group, &of_kind(writes, Write::policy)).await?);
    for (index, write) in writes.iter().enumerate() {
        let answer = match write {
            Write::Decision(_)
            | Write::Completion(_)
            | Write::Label(_)
            | Write::Note(_)
            | Write::Policy(_) => continue,
            Write::Events(events) => Answer::Number(entries::events(&mut group, events).await?),
            Write::Prune { before, limit } => {
                Answer::Number(entries::prune(&mut group, *before, *limit).await?)
            }
            Write::Erase(request) => Answer::Erased(care::erase(&mut group, request).await?),
            Write::Retain(request) => Answer::Removed(care::retain(&mut group, request).await?),
            Write::Work(request) => work::run(group.connection, request, context).await?,
            Write::Probe => {
                // A change of its own, which a commit must flush.
                group.place();
                Answer::Number(0)
            }
        };
        answers.push((index, Ok(answer)));
    }
    answers.sort_by_key(|(index, _)| *index);
    group.commit(answers.into_iter().map(|(_, answer)| answer).collect()).await
}

impl Doubt {
    /// The answers, if the group was recorded. Taking the head waits for a commit that is still
    /// under way, and nobody else seals an entry with this hash.
    pub(super) async fn settle(
        self,
        connection: &mut Connection,
    ) -> Result<Option<Vec<Written>>, sqlx::Error> {
        let head = format!("SELECT last FROM sequence WHERE id = 1{}", connection.dialect().lock());
        connection.fetch(head, &[]).await?;
        let tables = chain::TABLES
            .map(|table| format!("SELECT seq FROM {} WHERE seq = $1 AND hash = $2", table.name));
        let values = values![self.head, &self.head_hash];
        let found = connection.fetch(tables.join(" UNION ALL "), &values).await?;
        connection.execute("ROLLBACK", &[]).await?;
        Ok((!found.is_empty()).then_some(self.answers))
    }
}

/// The writes of one kind, with their numbers in the group.
fn of_kind<'w, T>(
    writes: &'w [Write],
    kind: fn(&'w Write) -> Option<&'w T>,
) -> Vec<(usize, &'w T)> {
    writes.iter().enumerate().filter_map(|(n, write)| Some((n, kind(write)?))).collect()
}

impl<'c> Group<'c> {
    async fn start(connection: &'c mut Connection) -> Result<Self, sqlx::Error> {
        let dialect = connection.dialect();
        let (now, lock) = (dialect.clock(), dialect.lock());
        let statement = format!("{HEAD}, {now} AS now FROM sequence WHERE id = 1{lock}");
        let rows = connection.fetch(statement, &[]).await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        Ok(Self {
            now: row.get("now")?,
            last: row.get("last")?,
            head: row.get("head")?,
            head_hash: row.hash("head_hash")?.unwrap_or(chain::GENESIS),
            is_longer: false,
            floor: row.get("floor")?,
            connection,
        })
    }

    /// Also when nothing changed: SQLite would write nothing then, and a probe must write.
    async fn commit(self, answers: Vec<Written>) -> Result<Vec<Written>, Failed> {
        let Self { connection, last, head, head_hash, is_longer, .. } = self;
        connection.execute(MOVE_HEAD, &values![last, head, &head_hash]).await?;
        match connection.execute("COMMIT", &[]).await {
            Ok(_) => Ok(answers),
            Err(error) => {
                let doubt = is_longer.then_some(Doubt { answers, head, head_hash });
                Err(Failed { error, doubt })
            }
        }
    }

    /// The last entry of the chain.
    pub(super) fn head(&self) -> i64 {
        self.head
    }

    /// The next place in the sequence.
    pub(super) fn place(&mut self) -> i64 {
        self.last += 1;
        self.last
    }

    /// Puts entries at the end of the chain; their places.
    pub(super) async fn append(
        &mut self,
        table: &Table,
        entries: &[Parts<'_>],
    ) -> Result<Vec<i64>, sqlx::Error> {
        let seals: Vec<Seal> = entries.iter().map(|parts| self.seal(table, parts)).collect();
        let columns: Vec<&str> = ["seq", "hash", "digest", "salt"]
            .into_iter()
            .chain(table.core.iter().chain(table.content).map(|(name, _)| *name))
            .collect();
        let rows: Vec<Vec<Value<'_>>> = seals
            .iter()
            .zip(entries)
            .map(|(seal, parts)| {
                let mut row = values![seal.seq, &seal.hash, &seal.digest, &seal.salt];
                row.extend(parts.core.iter().chain(&parts.content));
                row
            })
            .collect();
        insert(self.connection, table.name, &columns, &rows, "").await?;
        Ok(seals.into_iter().map(|seal| seal.seq).collect())
    }

    fn seal(&mut self, table: &Table, parts: &Parts<'_>) -> Seal {
        let seq = self.place();
        let salt = chain::salt();
        let digest = chain::content_digest(&salt, &parts.content);
        let hash = chain::entry_hash(&self.head_hash, table, seq, &parts.core, &digest);
        self.head = seq;
        self.head_hash = hash;
        self.is_longer = true;
        Seal { seq, hash, digest, salt }
    }

    /// Runs `{statement} IN (…)` over a list of values of any length; one column of what it finds.
    pub(super) async fn find<T>(
        &mut self,
        statement: &str,
        list: &[Value<'_>],
        column: &str,
    ) -> Result<Vec<T>, sqlx::Error>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite>
            + sqlx::Type<sqlx::Sqlite>
            + for<'r> sqlx::Decode<'r, sqlx::Postgres>
            + sqlx::Type<sqlx::Postgres>,
    {
        let mut found = Vec::new();
        for (list, statement) in lists(statement, 0, list, "") {
            for row in self.connection.fetch(statement, &list).await? {
                found.push(row.get(column)?);
            }
        }
        Ok(found)
    }

    /// Runs `{statement} IN (…)` over a list of values of any length; how many rows it changed.
    pub(super) async fn execute_in(
        &mut self,
        statement: &str,
        list: &[Value<'_>],
    ) -> Result<u64, sqlx::Error> {
        let mut changed = 0;
        for (list, statement) in lists(statement, 0, list, "") {
            changed += self.connection.execute(statement, &list).await?;
        }
        Ok(changed)
    }
}
