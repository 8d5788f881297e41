//! The same facts, recounted from scratch out of plain lists.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Label, Transaction, TransactionId, TransactionType, TruthLabel};
use velocity::{
    Config, EntityFacts, FraudFacts, LabelFacts, Novelty, RecentTransaction, VelocityFacts,
    WindowFacts,
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// A counted transaction, with what was reported of it then.
#[derive(Clone)]
struct Counted {
    transaction: Transaction,
    counterparty_new: bool,
}

impl Counted {
    fn at(&self) -> i64 {
        self.transaction.timestamp.as_millisecond()
    }
}

#[derive(Clone, Default)]
struct Entity {
    kept: Vec<Counted>,
    first: Option<(i64, TransactionId)>,
}

#[derive(Default)]
pub(crate) struct Naive {
    config: Config,
    entities: BTreeMap<(usize, String), Entity>,
    seen: BTreeMap<TransactionId, Transaction>,
    frauds: BTreeMap<TransactionId, i64>,
    cleared: BTreeMap<TransactionId, i64>,
}

impl Naive {
    pub(crate) fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    pub(crate) fn observe(&mut self, transaction: &Transaction) -> VelocityFacts {
        let facts = self.peek(transaction);
        if self.seen.contains_key(&transaction.id) {
            return facts;
        }
        self.seen.insert(transaction.id.clone(), transaction.clone());
        let counterparty_new = facts.novelty.counterparty_new.unwrap_or(false);
        for key in keys(transaction).into_iter().flatten() {
            let entity = self.entities.entry(key).or_default();
            let counted = Counted { transaction: transaction.clone(), counterparty_new };
            if entity.first.as_ref().is_none_or(|(first, _)| counted.at() < *first) {
                entity.first = Some((counted.at(), transaction.id.clone()));
            }
            entity.kept.push(counted);
            entity.kept.sort_by_key(Counted::at);
            let newest = entity.kept.last().unwrap().at();
            let keep = 30 * DAY + i64::from(self.config.lateness_hours) * HOUR;
            entity.kept.retain(|event| event.at() > newest - keep);
            let excess = entity.kept.len().saturating_sub(self.config.max_events_per_entity);
            entity.kept.drain(..excess);
        }
        facts
    }

    pub(crate) fn label(&mut self, id: &TransactionId, label: &Label) {
        if !self.seen.contains_key(id) {
            return;
        }
        match (label.label, label.reversed) {
            (TruthLabel::Fraud, false) => {
                let effective = label.effective_at.as_millisecond();
                let known = self.frauds.entry(id.clone()).or_insert(effective);
                *known = effective.min(*known);
                self.cleared.remove(id);
            }
            (TruthLabel::Fraud, true) => drop(self.frauds.remove(id)),
            (TruthLabel::Legitimate, false) => {
                let effective = label.effective_at.as_millisecond();
                let known = self.cleared.entry(id.clone()).or_insert(effective);
                *known = effective.min(*known);
            }
            (TruthLabel::Legitimate, true) => drop(self.cleared.remove(id)),
        }
    }

    pub(crate) fn peek(&self, transaction: &Transaction) -> VelocityFacts {
        let [account, card, device, counterparty, terminal] = keys(transaction);
        let facts = |key: Option<(usize, String)>| key.map(|key| self.facts(&key, transaction));
        VelocityFacts {
            novelty: self.novelty(account.as_ref().unwrap(), counterparty.as_ref(), transaction),
            recent: self.recent(account.as_ref().unwrap(), transaction),
            account: facts(account).unwrap(),
            card: facts(card),
            device: facts(device),
            counterparty: facts(counterparty),
            terminal: facts(terminal),
        }
    }

    /// The events of `(t - window, t]`, the transaction itself left out.
    fn window(&self, key: &(usize, String), t: &Transaction, window: i64) -> Vec<&Counted> {
        let now = t.timestamp.as_millisecond();
        let kept = self.entities.get(key).map_or(&[][..], |entity| &entity.kept);
        let inside = |event: &&Counted| event.at() > now - window && event.at() <= now;
        kept.iter().filter(inside).filter(|event| event.transaction.id != t.id).collect()
    }

    fn facts(&self, key: &(usize, String), t: &Transaction) -> EntityFacts {
        let now = t.timestamp.as_millisecond();
        let window = |length| window_facts(key.0, &self.window(key, t, length));
        let month = self.window(key, t, 30 * DAY);
        let minors: Vec<i128> =
            month.iter().map(|event| event.transaction.amount.minor_units().into()).collect();
        let minor = i128::from(t.amount.minor_units());
        let (n, sum) = (minors.len() as i128, minors.iter().sum::<i128>());
        let spread = n * minors.iter().map(|minor| minor * minor).sum::<i128>() - sum * sum;
        let deviation = (minor * n - sum) as f64 / (spread as f64).sqrt();
        let ever = self.window(key, t, i64::MAX / 2);
        let first = self.entities.get(key).and_then(|entity| match &entity.first {
            Some((_, id)) if *id == t.id => {
                let others = entity.kept.iter().filter(|event| event.transaction.id != t.id);
                let itself_kept = entity.kept.iter().any(|event| event.transaction.id == t.id);
                if itself_kept {
                    others.map(Counted::at).min()
                } else {
                    Some(entity.first.as_ref()?.0)
                }
            }
            other => other.as_ref().map(|(first, _)| *first),
        });
        EntityFacts {
            h1: window(HOUR),
            h24: window(DAY),
            d7: window(7 * DAY),
            d30: window(30 * DAY),
            seconds_since_last: ever.last().map(|last| (now - last.at()) / 1000),
            amount_ratio: (n > 0).then(|| minor as f64 * n as f64 / sum as f64),
            amount_deviation: (n >= 3 && spread > 0).then_some(deviation),
            days_known: first.filter(|first| *first <= now).map(|first| days(now - first)),
            confirmed_fraud: self.fraud(key, t, month.len()),
            labels: self.labels(key, t),
        }
    }

    fn labels(&self, key: &(usize, String), t: &Transaction) -> Vec<LabelFacts> {
        let now = t.timestamp.as_millisecond();
        let frauds = self.frauds.iter().filter(|(id, _)| !self.cleared.contains_key(*id));
        let known = frauds.map(|k| (k, true)).chain(self.cleared.iter().map(|k| (k, false)));
        let mut found = Vec::new();
        for ((id, effective), fraud) in known {
            let at = self.seen[id].timestamp.as_millisecond();
            let here = keys(&self.seen[id]).into_iter().flatten().any(|other| other == *key);
            if here && *id != t.id && *effective <= now && at <= now {
                found.push(LabelFacts { days_ago: days(now - at), fraud });
            }
        }
        found.sort_by(|a, b| a.days_ago.total_cmp(&b.days_ago).then(b.fraud.cmp(&a.fraud)));
        found.truncate(LabelFacts::MAX);
        found
    }

    fn fraud(&self, key: &(usize, String), t: &Transaction, count: usize) -> FraudFacts {
        let now = t.timestamp.as_millisecond();
        let mut facts = FraudFacts::default();
        let mut times = Vec::new();
        for (id, effective) in &self.frauds {
            let transaction = &self.seen[id];
            let at = transaction.timestamp.as_millisecond();
            let here = keys(transaction).into_iter().flatten().any(|other| other == *key);
            let hidden =
                self.cleared.contains_key(id) || *id == t.id || *effective > now || at > now;
            if !here || hidden {
                continue;
            }
            facts.total += 1;
            facts.d7 += u32::from(at > now - 7 * DAY);
            facts.d30 += u32::from(at > now - 30 * DAY);
            times.push(at);
        }
        if count > 0 {
            facts.rate_d30 = (f64::from(facts.d30) / count as f64).min(1.0);
        }
        times.sort_unstable_by(|a, b| b.cmp(a));
        facts.days_since_last = times.first().map(|latest| days(now - latest));
        let breaks = times.windows(2).position(|two| two[0] - two[1] > 14 * DAY);
        let first = breaks.map_or(times.last(), |place| times.get(place));
        facts.days_since_first = first.map(|first| days(now - first));
        facts
    }

    fn novelty(
        &self,
        account: &(usize, String),
        counterparty: Option<&(usize, String)>,
        t: &Transaction,
    ) -> Novelty {
        let month = self.window(account, t, 30 * DAY);
        let same = |kind: usize| {
            let own = keys(t)[kind].clone()?;
            Some(month.iter().filter(|e| keys(&e.transaction)[kind].as_ref() == Some(&own)).count()
                as u32)
        };
        let known: BTreeSet<_> = month.iter().flat_map(|e| countries(&e.transaction)).collect();
        let own = countries(t);
        let new_payers = counterparty.map(|key| {
            let payers = |events: &[&Counted]| -> BTreeSet<String> {
                events.iter().map(|e| e.transaction.account.id.to_string()).collect()
            };
            let week = self.window(key, t, 7 * DAY).len();
            let month = self.window(key, t, 30 * DAY);
            let earlier = payers(&month[..month.len() - week]);
            payers(&month[month.len() - week..]).difference(&earlier).count() as u32
        });
        let small = |e: &&&Counted| e.transaction.amount.minor_units() < 50_000;
        let refund = |e: &&&Counted| e.transaction.kind == Some(TransactionType::Refund);
        Novelty {
            counterparty_count_d30: same(3),
            device_count_d30: same(2),
            counterparty_new: same(3).map(|count| count == 0),
            device_new: same(2).map(|count| count == 0),
            country_new: (!own.is_empty()).then(|| own.iter().any(|own| !known.contains(own))),
            terminal_new: same(4).map(|count| count == 0),
            small_h1: self.window(account, t, HOUR).iter().filter(small).count() as u32,
            refunds_d30: month.iter().filter(refund).count() as u32,
            first_time_payers_d7: new_payers,
        }
    }

    fn recent(&self, account: &(usize, String), t: &Transaction) -> Vec<RecentTransaction> {
        let now = t.timestamp.as_millisecond();
        let events = self.window(account, t, i64::MAX / 2);
        let recent = |event: &&Counted| {
            let transaction = &event.transaction;
            let party = transaction.counterparty.as_ref();
            RecentTransaction {
                seconds_ago: (now - event.at()) / 1000,
                amount: transaction.amount.minor_units() as f64 / 10_000.0,
                currency: transaction.currency,
                kind: transaction.kind,
                channel: transaction.channel,
                counterparty_name: party
                    .and_then(|party| party.name.as_ref())
                    .map(|name| name.as_str().chars().take(24).collect()),
                mcc: party.and_then(|party| party.mcc.clone()),
                country: party.and_then(|party| party.country),
                counterparty_new: event.counterparty_new,
            }
        };
        events.iter().rev().take(6).map(recent).collect()
    }
}

fn days(milliseconds: i64) -> f64 {
    milliseconds as f64 / DAY as f64
}

fn window_facts(kind: usize, events: &[&Counted]) -> WindowFacts {
    let minors = || events.iter().map(|event| i128::from(event.transaction.amount.minor_units()));
    let peer = |event: &&Counted| match kind {
        0..=2 => keys(&event.transaction)[3].clone(),
        _ => keys(&event.transaction)[0].clone(),
    };
    let sum = minors().sum::<i128>() as f64 / 10_000.0;
    WindowFacts {
        count: events.len() as u32,
        sum,
        mean: if events.is_empty() { 0.0 } else { sum / events.len() as f64 },
        max: minors().max().unwrap_or(0) as f64 / 10_000.0,
        distinct_peers: events.iter().filter_map(peer).collect::<BTreeSet<_>>().len() as u32,
    }
}

fn countries(t: &Transaction) -> Vec<domain::CountryCode> {
    let party = t.counterparty.as_ref().and_then(|party| party.country);
    let network = t.device.as_ref().and_then(|device| device.ip_country);
    party.into_iter().chain(network).collect()
}

fn keys(t: &Transaction) -> [Option<(usize, String)>; 5] {
    [
        Some((0, t.account.id.to_string())),
        t.card.as_ref().map(|card| (1, card.token.to_string())),
        t.device.as_ref().and_then(|device| Some((2, device.id.as_ref()?.to_string()))),
        t.counterparty.as_ref().map(|party| (3, party.id.to_string())),
        t.terminal.as_ref().map(|terminal| (4, terminal.id.to_string())),
    ]
}
