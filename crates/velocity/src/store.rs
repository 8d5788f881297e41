//! The store: looks entities up, locks them in order, and answers with plain values.

use std::sync::{
    Arc, Weak,
    atomic::{AtomicI64, Ordering},
};

use domain::{Label, Transaction, TransactionId};
use parking_lot::MutexGuard;
use prometheus::Registry;

use crate::{
    config::Config,
    entity::{Counted, Entity},
    facts::{EntityFacts, Novelty, VelocityFacts},
    fraud::Fraud,
    habits::Detail,
    index::{Applied, Change, Index, Known},
    kind::{Kind, Mark, TransactionKey},
    labels::Labelled,
    metrics::Metrics,
    roster::{Roster, Slot},
    window::Event,
};

/// At most this many entities leave for one transaction, which brings five at most.
const EVICTIONS_PER_CALL: usize = 8;

/// What a label did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelEffect {
    /// The transaction's confirmed fraud changed.
    Applied,
    /// The confirmed fraud is what it was; the label may be news all the same, as a first
    /// legitimate one is.
    Unchanged,
    /// The transaction was never counted, or so long ago that it is forgotten.
    UnknownTransaction,
}

/// Windows of all accounts, cards, devices, counterparties and terminals.
///
/// Everything is synchronous; no lock outlives a call. A call locks the entities of its
/// transaction in the order of kinds and holds all of them until it is done.
#[derive(Debug)]
pub struct VelocityStore {
    config: Config,
    rosters: [Roster; Kind::COUNT],
    index: Index,
    /// Events over all entities.
    events: AtomicI64,
    metrics: Metrics,
}

/// The entities of one transaction, in the order of [`Kind::ALL`].
type Slots = [Option<Slot>; Kind::COUNT];
type Guards<'a> = [Option<MutexGuard<'a, Entity>>; Kind::COUNT];

/// A transaction with all that is read of it more than once.
struct Subject<'a> {
    transaction: &'a Transaction,
    key: TransactionKey,
    at: i64,
    minor: i64,
    account: Mark,
    counterparty: Mark,
    detail: Detail,
}

impl<'a> Subject<'a> {
    fn of(transaction: &'a Transaction) -> Self {
        Self {
            transaction,
            key: TransactionKey::of(&transaction.id),
            at: transaction.timestamp.as_millisecond(),
            minor: transaction.amount.minor_units(),
            account: Mark::of_kind(Kind::Account, transaction),
            counterparty: Mark::of_kind(Kind::Counterparty, transaction),
            detail: Detail::of(transaction),
        }
    }

    fn event(&self, kind: Kind) -> Event {
        let peer = match kind {
            Kind::Account | Kind::Card | Kind::Device => self.counterparty,
            Kind::Counterparty | Kind::Terminal => self.account,
        };
        Event { at: self.at, minor: self.minor, peer, transaction: self.key.mark() }
    }
}

impl VelocityStore {
    /// An empty store.
    ///
    /// # Errors
    /// When its metrics are registered there already.
    pub fn new(config: Config, registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            config,
            rosters: Default::default(),
            index: Index::default(),
            events: AtomicI64::new(0),
            metrics: Metrics::new(registry)?,
        })
    }

    /// The facts as of just before this transaction, which is then counted.
    ///
    /// A transaction whose identifier was counted before is not counted again and gets the facts
    /// as if it had not been counted.
    pub fn observe(&self, transaction: &Transaction) -> VelocityFacts {
        let subject = Subject::of(transaction);
        if self.index.contains(subject.key) {
            return self.look(&subject);
        }
        let facts = loop {
            let slots = self.enrol(transaction);
            if let Some(facts) = self.count(&subject, &slots) {
                break facts;
            }
        };
        self.index.forget(&self.config);
        self.evict_excess();
        facts
    }

    /// The same facts without counting.
    #[must_use]
    pub fn peek(&self, transaction: &Transaction) -> VelocityFacts {
        self.look(&Subject::of(transaction))
    }

    /// Applies a label to the entities of a counted transaction.
    ///
    /// Repeating a label changes nothing. Of a fraud and a legitimate label the latest given
    /// counts; reversing it brings the other back. Labels take effect on facts at their
    /// `effective_at`, reversals at once.
    pub fn label(&self, transaction: &TransactionId, label: &Label) -> LabelEffect {
        let key = TransactionKey::of(transaction);
        let Some(members) = self.index.members(key) else {
            return LabelEffect::UnknownTransaction;
        };
        let slots = members.map(|member| member.upgrade());
        let guards = lock(&slots);
        let Some(applied) = self.index.apply(key, label) else {
            return LabelEffect::UnknownTransaction;
        };
        let max_dated = self.config.max_frauds_per_entity;
        for mut entity in guards.into_iter().flatten().filter(|entity| !entity.is_evicted()) {
            relabel(&mut entity, key.mark(), &applied, max_dated);
        }
        match applied.change {
            Change::Nothing => LabelEffect::Unchanged,
            Change::Confirmed { .. } | Change::Advanced { .. } | Change::Withdrawn => {
                LabelEffect::Applied
            }
        }
    }

    /// Looks up or creates the transaction's entities.
    fn enrol(&self, transaction: &Transaction) -> Slots {
        Kind::ALL.map(|kind| {
            let found = self.rosters[kind as usize].get_or_create(kind.of(transaction)?);
            if found.created {
                self.metrics.entities(kind).inc();
            }
            Some(found.slot)
        })
    }

    fn look(&self, subject: &Subject<'_>) -> VelocityFacts {
        let slots =
            Kind::ALL.map(|kind| self.rosters[kind as usize].get(kind.of(subject.transaction)?));
        facts(subject, &lock(&slots), true)
    }

    /// Facts, then counting, under the locks of all entities; `None` when one was evicted between
    /// look-up and lock.
    fn count(&self, subject: &Subject<'_>, slots: &Slots) -> Option<VelocityFacts> {
        let mut guards = lock(slots);
        if guards.iter().flatten().any(|entity| entity.is_evicted()) {
            return None;
        }
        let members =
            slots.each_ref().map(|slot| slot.as_ref().map_or_else(Weak::new, Arc::downgrade));
        if !self.index.register(subject.key, subject.at, members) {
            return Some(facts(subject, &guards, true));
        }
        let facts = facts(subject, &guards, false);
        for (kind, guard) in Kind::ALL.into_iter().zip(&mut guards) {
            let Some(entity) = guard else { continue };
            let detail = || subject.detail.clone().with_novelty(&facts.novelty);
            let detail = (kind == Kind::Account).then(detail);
            let Counted { growth, dropped } =
                entity.count(subject.event(kind), detail, &self.config);
            self.events.fetch_add(growth, Ordering::Relaxed);
            self.metrics.dropped_events.inc_by(dropped);
        }
        Some(facts)
    }

    /// Makes room by forgetting idle entities of the most numerous kind, a few at a time.
    fn evict_excess(&self) {
        for _ in 0..EVICTIONS_PER_CALL {
            let entities: usize = self.rosters.iter().map(Roster::len).sum();
            let events = self.events.load(Ordering::Relaxed);
            if entities <= self.config.max_entities && events <= self.config.max_events as i64 {
                return;
            }
            let largest =
                Kind::ALL.into_iter().max_by_key(|kind| self.rosters[*kind as usize].len());
            let Some(kind) = largest else { return };
            let Some(events) = self.rosters[kind as usize].evict_one() else {
                return;
            };
            self.events.fetch_sub(events as i64, Ordering::Relaxed);
            self.metrics.entities(kind).dec();
            self.metrics.evictions(kind).inc();
        }
    }
}

/// Brings one entity's labels in line with what applying a label came to.
fn relabel(entity: &mut Entity, transaction: Mark, applied: &Applied, max_dated: usize) {
    let at = applied.at;
    match applied.change {
        Change::Nothing => {}
        Change::Confirmed { effective } => {
            entity.frauds.record(Fraud { at, effective, transaction }, max_dated);
        }
        Change::Advanced { effective } => entity.frauds.advance(transaction, effective),
        Change::Withdrawn => entity.frauds.withdraw(transaction),
    }
    match applied.known {
        _ if !applied.relabelled => {}
        Some(Known { fraud, effective }) => {
            entity.labels.record(Labelled { at, effective, fraud, transaction });
        }
        None => entity.labels.withdraw(transaction),
    }
}

/// Always in the same order, so that two calls never wait for each other.
fn lock(slots: &Slots) -> Guards<'_> {
    slots.each_ref().map(|slot| slot.as_ref().map(|slot| slot.lock()))
}

/// The facts around a transaction, itself left out if it may have been counted.
fn facts(subject: &Subject<'_>, guards: &Guards<'_>, may_be_counted: bool) -> VelocityFacts {
    let mark = subject.key.mark();
    // Seldom needed and exact: a copy that never saw the transaction.
    let copies = guards.each_ref().map(|guard| {
        guard.as_ref().filter(|_| may_be_counted).and_then(|entity| entity.without(mark))
    });
    let view = |kind: Kind| -> Option<&Entity> {
        copies[kind as usize].as_ref().or(guards[kind as usize].as_deref())
    };
    let entity_facts = |kind: Kind| -> Option<EntityFacts> {
        kind.of(subject.transaction)?;
        let facts = view(kind).map(|entity| entity.facts(subject.at, subject.minor, mark));
        Some(facts.unwrap_or_default())
    };
    let unknown = Entity::default();
    let account = view(Kind::Account).unwrap_or(&unknown);
    let first_timers =
        || view(Kind::Counterparty).map_or(0, |entity| entity.first_timers(subject.at));
    VelocityFacts {
        account: entity_facts(Kind::Account).unwrap_or_default(),
        card: entity_facts(Kind::Card),
        device: entity_facts(Kind::Device),
        counterparty: entity_facts(Kind::Counterparty),
        terminal: entity_facts(Kind::Terminal),
        novelty: Novelty {
            first_time_payers_d7: subject.counterparty.is_some().then(first_timers),
            ..account.novelty(subject.at, subject.counterparty, &subject.detail)
        },
        recent: account.recent(subject.at),
    }
}
