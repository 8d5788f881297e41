//! What an account usually does: the details that only accounts keep.

use std::{collections::VecDeque, ops::Range};

use domain::{Channel, CountryCode, Currency, Mcc, Transaction, TransactionType};

use crate::{
    facts::{Novelty, RecentTransaction, VelocityFacts},
    kind::{Kind, Mark},
    window::{Bounds, Event, SECOND, Timeline},
};

/// 5 major units: what card testers stay under.
const SMALL_MINOR: i64 = 50_000;

/// One transaction's details beyond its [`Event`], in the same place of the account's timeline.
#[derive(Debug, Clone)]
pub(crate) struct Detail {
    device: Mark,
    terminal: Mark,
    country: Option<CountryCode>,
    ip_country: Option<CountryCode>,
    kind: Option<TransactionType>,
    channel: Option<Channel>,
    currency: Currency,
    mcc: Option<u16>,
    name: Option<Box<str>>,
    counterparty_new: bool,
}

impl Detail {
    pub(crate) fn of(transaction: &Transaction) -> Self {
        let party = transaction.counterparty.as_ref();
        let name = party.and_then(|party| party.name.as_ref());
        Self {
            device: Mark::of_kind(Kind::Device, transaction),
            terminal: Mark::of_kind(Kind::Terminal, transaction),
            country: party.and_then(|party| party.country),
            ip_country: transaction.device.as_ref().and_then(|device| device.ip_country),
            kind: transaction.kind,
            channel: transaction.channel,
            currency: transaction.currency,
            mcc: party.and_then(|party| party.mcc.as_ref()?.as_str().parse().ok()),
            name: name
                .map(|name| name.as_str().chars().take(RecentTransaction::NAME_MAX).collect()),
            counterparty_new: false,
        }
    }

    pub(crate) fn with_novelty(mut self, novelty: &Novelty) -> Self {
        self.counterparty_new = novelty.counterparty_new.unwrap_or(false);
        self
    }

    fn countries(&self) -> [Option<CountryCode>; 2] {
        [self.country, self.ip_country]
    }

    fn recent(&self, event: &Event, at: i64) -> RecentTransaction {
        RecentTransaction {
            seconds_ago: (at - event.at) / SECOND,
            amount: crate::entity::major(i128::from(event.minor)),
            currency: self.currency,
            kind: self.kind,
            channel: self.channel,
            counterparty_name: self.name.as_deref().map(str::to_owned),
            mcc: self.mcc.and_then(|mcc| format!("{mcc:04}").parse::<Mcc>().ok()),
            country: self.country,
            counterparty_new: self.counterparty_new,
        }
    }
}

/// What of this transaction is new among the details in the account's windows.
pub(crate) fn novelty(
    timeline: &Timeline,
    details: &VecDeque<Detail>,
    bounds: &Bounds,
    counterparty: Mark,
    current: &Detail,
) -> Novelty {
    let mut novelty = Novelty::default();
    let (mut counterparties, mut devices, mut terminals) = (0_u32, 0_u32, 0_u32);
    let mut countries_known = current.countries().map(|country| country.is_none());
    for (event, detail) in timeline.events(bounds.d30()).zip(details.range(bounds.d30())) {
        counterparties += u32::from(event.peer == counterparty);
        devices += u32::from(detail.device == current.device);
        terminals += u32::from(detail.terminal == current.terminal);
        novelty.refunds_d30 += u32::from(detail.kind == Some(TransactionType::Refund));
        for (known, country) in countries_known.iter_mut().zip(current.countries()) {
            *known |= detail.countries().contains(&country);
        }
    }
    novelty.small_h1 =
        timeline.events(bounds.h1()).filter(|event| event.minor < SMALL_MINOR).count() as u32;
    novelty.counterparty_count_d30 = counterparty.is_some().then_some(counterparties);
    novelty.counterparty_new = counterparty.is_some().then_some(counterparties == 0);
    novelty.device_count_d30 = current.device.is_some().then_some(devices);
    novelty.device_new = current.device.is_some().then_some(devices == 0);
    novelty.terminal_new = current.terminal.is_some().then_some(terminals == 0);
    let has_country = current.countries().iter().any(Option::is_some);
    novelty.country_new = has_country.then_some(countries_known.contains(&false));
    novelty
}

/// The latest transactions before `at`, newest first.
pub(crate) fn recent(
    timeline: &Timeline,
    details: &VecDeque<Detail>,
    end: usize,
    at: i64,
) -> Vec<RecentTransaction> {
    let latest: Range<usize> = end.saturating_sub(VelocityFacts::RECENT_MAX)..end;
    let pairs = timeline.events(latest.clone()).zip(details.range(latest));
    pairs.rev().map(|(event, detail)| detail.recent(event, at)).collect()
}
