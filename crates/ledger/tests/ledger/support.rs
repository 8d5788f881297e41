//! What all tests need.

use std::path::PathBuf;

use domain::{
    DecidedBy, Decision, DecisionId, DecisionStatus, Label, LabelSource, Outcome, PackageRef,
    PolicyRef, RiskLevel, Score, Screening, StageTimings, TransactionId, TruthLabel,
};
use jiff::Timestamp;
use ledger::{
    Config, IdempotencyKey, Ledger, LedgerError, NewCompletion, NewDecision, NewDelivery, NewEvent,
    NewLabel, Promise, StoreConfig,
};
use prometheus::Registry;
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

use crate::server::{Database, server};

/// A ledger in a store of its own, which goes when this does.
pub(crate) struct Bench {
    folder: tempfile::TempDir,
    database: Option<Database>,
    pub(crate) registry: Registry,
}

impl Bench {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, database: None, registry: Registry::new() }
    }

    pub(crate) async fn postgres() -> Self {
        let database = Some(Database::create(server()).await);
        Self { database, ..Self::sqlite() }
    }

    /// SQLite's file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("deep").join("ledger.sqlite")
    }

    /// Where the store is, as a command line would say it.
    pub(crate) fn place(&self) -> String {
        match &self.database {
            Some(database) => database.url(),
            None => self.path().display().to_string(),
        }
    }

    /// Each with an instance of its own.
    pub(crate) fn config(&self) -> Config {
        Config::new(store_at(&self.place()))
    }

    /// Runs statements behind the ledger's back.
    pub(crate) async fn execute(&self, statements: &'static str) -> Result<(), sqlx::Error> {
        if let Some(database) = &self.database {
            return database.execute(statements).await;
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.path());
        let mut connection = options.connect().await?;
        let result = sqlx::raw_sql(statements).execute(&mut connection).await.map(drop);
        connection.close().await?;
        result
    }

    /// Changes what the store would not let be changed.
    pub(crate) async fn tamper(&self, statements: &str) {
        const TABLES: [&str; 7] =
            ["decisions", "completions", "labels", "notes", "policies", "erasures", "checkpoints"];
        let off = TABLES.map(|table| match self.database {
            Some(_) => format!("ALTER TABLE {table} DISABLE TRIGGER ALL;"),
            None => ["only_erase", "only_retire", "forbid_update", "forbid_delete"]
                .map(|what| format!("DROP TRIGGER IF EXISTS {table}_{what};"))
                .concat(),
        });
        self.execute(format!("{}{statements}", off.concat()).leak()).await.unwrap();
    }

    /// Makes the store refuse this one entry.
    pub(crate) async fn refuse_transaction(&self, id: &str) {
        self.raise(id, "ABORT", "P0001").await;
    }

    /// Makes the store lose the whole group of this entry.
    pub(crate) async fn lose_group_of(&self, id: &str) {
        self.raise(id, "ROLLBACK", "57P01").await;
    }

    async fn raise(&self, id: &str, in_sqlite: &str, in_postgres: &str) {
        let trigger = match self.database {
            None => format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON decisions WHEN NEW.transaction_id = '{id}' \
                 BEGIN SELECT RAISE({in_sqlite}, 'refused'); END"
            ),
            Some(_) => format!(
                "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                    RAISE EXCEPTION 'refused' USING ERRCODE = '{in_postgres}'; END $$; \
                 CREATE TRIGGER refuse BEFORE INSERT ON decisions FOR EACH ROW \
                    WHEN (NEW.transaction_id = '{id}') EXECUTE FUNCTION refuse()"
            ),
        };
        self.execute(trigger.leak()).await.unwrap();
    }

    pub(crate) async fn refuse_nothing(&self) {
        let drop = match self.database {
            None => "DROP TRIGGER refuse",
            Some(_) => "DROP TRIGGER refuse ON decisions",
        };
        self.execute(drop).await.unwrap();
    }

    pub(crate) async fn open(&mut self) -> Result<Ledger, LedgerError> {
        self.open_with(self.config()).await
    }

    /// Every opening counts anew.
    pub(crate) async fn open_with(&mut self, config: Config) -> Result<Ledger, LedgerError> {
        self.registry = Registry::new();
        Ledger::open(config, &self.registry).await
    }

    /// How many commits there were, and how many rows they carried.
    pub(crate) fn groups(&self) -> (u64, u64) {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == "weir_ledger_group_size").unwrap();
        let histogram = family.get_metric()[0].get_histogram();
        (histogram.get_sample_count(), histogram.get_sample_sum() as u64)
    }

    pub(crate) fn errors(&self, kind: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == "weir_ledger_errors_total").unwrap();
        let metrics = family.get_metric();
        let metric = metrics.iter().find(|m| m.get_label()[0].value() == kind).unwrap();
        metric.get_counter().get_value() as u64
    }

    /// How many decisions wait in memory, ever did, and were lost.
    pub(crate) fn spooled(&self) -> (u64, u64, u64) {
        let families = self.registry.gather();
        let metric = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            family.get_metric()[0].clone()
        };
        let counter = |name| metric(name).get_counter().get_value() as u64;
        let depth = metric("weir_ledger_spool_depth").get_gauge().get_value() as u64;
        (depth, counter("weir_ledger_spooled_total"), counter("weir_ledger_spool_lost_total"))
    }

    pub(crate) fn queue_depth(&self) -> i64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == "weir_ledger_queue_depth").unwrap();
        family.get_metric()[0].get_gauge().get_value() as i64
    }
}

/// Seconds after an arbitrary moment.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + seconds).unwrap()
}

pub(crate) fn transaction_id(n: u32) -> TransactionId {
    format!("tx-{n}").parse().unwrap()
}

pub(crate) fn decision_id(n: u32) -> DecisionId {
    DecisionId(Uuid::from_u128(u128::from(n)))
}

/// Decision `n`, of transaction `n`, made `n` seconds after the moment, `n` mod 4 its outcome.
pub(crate) fn decision(n: u32) -> NewDecision {
    let package =
        PackageRef { name: "p".to_owned(), version: "1".to_owned(), sha256: "00".to_owned() };
    let decision = Decision {
        decision_id: decision_id(n),
        transaction_id: transaction_id(n),
        decided_at: at(i64::from(n)),
        outcome: Outcome::ALL[n as usize % Outcome::ALL.len()],
        status: DecisionStatus::Final,
        decided_by: DecidedBy::Screening,
        score: Score::new(0.25).unwrap(),
        risk_level: RiskLevel::Low,
        reasons: Vec::new(),
        screening: Screening { score: Score::new(0.25).unwrap(), package },
        analysis: None,
        escalated: None,
        degraded: None,
        provisional: None,
        policy: PolicyRef { version: "1".to_owned(), sha256: "00".to_owned() },
        timings_ms: StageTimings::default(),
    };
    NewDecision {
        decision,
        account_id: "acc-1".parse().unwrap(),
        event_time: at(i64::from(n) - 1),
        record: format!("{{\"record\":{n},\"text\":\"żółć 🐟\"}}"),
        response: format!("{{\"response\":{n}}}"),
        idempotency: None,
        promise: None,
        audited: n % 2 == 1,
    }
}

/// Decision `n` with a report promised, which the appending instance is at.
pub(crate) fn promising(n: u32) -> NewDecision {
    NewDecision { promise: Some(Promise::Report), ..decision(n) }
}

/// Decision `n`, provisional, with an analysis promised, which nobody is at.
pub(crate) fn provisional(n: u32) -> NewDecision {
    let mut new = decision(n);
    new.decision.status = DecisionStatus::Provisional;
    new.promise = Some(Promise::Analysis);
    new
}

/// The store of this path or URL.
pub(crate) fn store_at(place: &str) -> StoreConfig {
    match place.parse() {
        Ok(url) => StoreConfig::Postgres { url },
        Err(_) => StoreConfig::Sqlite { path: place.into() },
    }
}

/// Decision `n` that settles a key.
pub(crate) fn keyed(n: u32, key: &IdempotencyKey) -> NewDecision {
    NewDecision { idempotency: Some(key.clone()), ..decision(n) }
}

pub(crate) fn key(key: &str, fingerprint: u8) -> IdempotencyKey {
    IdempotencyKey { key: key.to_owned(), fingerprint: [fingerprint; 32] }
}

/// Makes decision `n` a final decline with a score of 0.75, a thousand seconds later; tells two
/// endpoints.
pub(crate) fn completion(n: u32) -> NewCompletion {
    let decision = Decision {
        outcome: Outcome::Decline,
        status: DecisionStatus::Final,
        decided_by: DecidedBy::Analysis,
        score: Score::new(0.75).unwrap(),
        ..decision(n).decision
    };
    let delivery = |endpoint: &str| NewDelivery {
        id: Uuid::now_v7(),
        endpoint: endpoint.to_owned(),
        event: "decision.completed".to_owned(),
        body: format!("{{\"completed\":{n}}}"),
    };
    NewCompletion {
        decision,
        completed_at: at(i64::from(n) + 1000),
        record: format!("{{\"completion\":{n}}}"),
        response: format!("{{\"completed\":{n}}}"),
        deliveries: vec![delivery("first"), delivery("second")],
    }
}

/// The event of transaction `n`, which happened when that of decision `n` did.
pub(crate) fn event(n: u32) -> NewEvent {
    NewEvent {
        transaction_id: transaction_id(n),
        account_id: "acc-1".parse().unwrap(),
        event_time: at(i64::from(n) - 1),
        record: format!("{{\"event\":{n}}}"),
    }
}

/// A label of transaction `n` that arrives and counts `seconds` after the moment.
pub(crate) fn label(n: u32, seconds: i64, reversed: bool) -> NewLabel {
    NewLabel {
        transaction_id: transaction_id(n),
        decision_id: Some(decision_id(n)),
        label: Label {
            label: TruthLabel::Fraud,
            source: LabelSource::Chargeback,
            effective_at: at(seconds),
            reversed,
        },
        recorded_at: at(seconds),
    }
}
