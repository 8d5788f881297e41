//! What windows are kept for, and how a transaction names it.

use std::hash::{DefaultHasher, Hasher};

use domain::{Transaction, TransactionId};

/// What windows are kept for. The order is the order of locking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Account,
    Card,
    Device,
    Counterparty,
    Terminal,
}

impl Kind {
    pub(crate) const COUNT: usize = 5;
    pub(crate) const ALL: [Self; Self::COUNT] =
        [Self::Account, Self::Card, Self::Device, Self::Counterparty, Self::Terminal];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Card => "card",
            Self::Device => "device",
            Self::Counterparty => "counterparty",
            Self::Terminal => "terminal",
        }
    }

    /// The transaction's identifier of this kind.
    pub(crate) fn of(self, transaction: &Transaction) -> Option<&str> {
        match self {
            Self::Account => Some(transaction.account.id.as_str()),
            Self::Card => transaction.card.as_ref().map(|card| card.token.as_str()),
            Self::Device => transaction.device.as_ref()?.id.as_ref().map(|id| id.as_str()),
            Self::Counterparty => transaction.counterparty.as_ref().map(|party| party.id.as_str()),
            Self::Terminal => transaction.terminal.as_ref().map(|terminal| terminal.id.as_str()),
        }
    }
}

/// Stands for an identifier where only equality matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark(u64);

impl Mark {
    /// Stands for a missing identifier.
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn of(identifier: &str) -> Self {
        Self(hash(0, identifier).max(1))
    }

    pub(crate) fn of_kind(kind: Kind, transaction: &Transaction) -> Self {
        kind.of(transaction).map_or(Self::NONE, Self::of)
    }

    pub(crate) fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// Stands for a transaction's identifier in 128 bits: no two meet in practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TransactionKey(u64, u64);

impl TransactionKey {
    pub(crate) fn of(id: &TransactionId) -> Self {
        Self(Mark::of(id.as_str()).0, hash(1, id.as_str()))
    }

    /// Enough to tell the transactions of one entity apart.
    pub(crate) fn mark(self) -> Mark {
        Mark(self.0)
    }
}

/// A fixed seed: the same stream gives the same facts in every process.
fn hash(lane: u8, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.write_u8(lane);
    hasher.finish()
}
