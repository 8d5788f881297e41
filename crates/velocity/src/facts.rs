//! What the store knows of a transaction's surroundings, ready for templates and records.
//!
//! Every window is `(t - w, t]` in event time, `t` being the transaction's own timestamp, and
//! leaves the transaction itself out. Money is in major units, as given: windows do not convert
//! currencies.

use domain::{Channel, CountryCode, Currency, Mcc, TransactionType};
use serde::{Deserialize, Serialize};

/// The facts around one transaction, as of just before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VelocityFacts {
    /// The account that pays, or is refunded.
    pub account: EntityFacts,
    /// The card, when the transaction names one.
    pub card: Option<EntityFacts>,
    /// The device, when the transaction names one.
    pub device: Option<EntityFacts>,
    /// The counterparty, when the transaction names one.
    pub counterparty: Option<EntityFacts>,
    /// The terminal, when the transaction names one.
    pub terminal: Option<EntityFacts>,
    /// What is new to the account.
    pub novelty: Novelty,
    /// The account's latest transactions, newest first; at most [`VelocityFacts::RECENT_MAX`].
    pub recent: Vec<RecentTransaction>,
}

impl VelocityFacts {
    /// The most transactions listed in [`VelocityFacts::recent`].
    pub const RECENT_MAX: usize = 6;
}

/// Counts and sums of one account, card, device, counterparty or terminal.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EntityFacts {
    /// The last hour.
    pub h1: WindowFacts,
    /// The last 24 hours.
    pub h24: WindowFacts,
    /// The last 7 days.
    pub d7: WindowFacts,
    /// The last 30 days.
    pub d30: WindowFacts,
    /// Whole seconds since the transaction before this one.
    pub seconds_since_last: Option<i64>,
    /// This amount over the mean of the last 30 days; absent without any.
    pub amount_ratio: Option<f64>,
    /// How many standard deviations (population) this amount lies above the mean of the last 30
    /// days; absent under three transactions or when all of them were equal.
    pub amount_deviation: Option<f64>,
    /// Days since the store first saw this entity; absent when it has not.
    pub days_known: Option<f64>,
    /// Fraud confirmed by labels.
    pub confirmed_fraud: FraudFacts,
    /// Its latest labelled transactions, newest first and of one instant the frauds first; at most
    /// [`LabelFacts::MAX`]. Absent from earlier records.
    #[serde(default)]
    pub labels: Vec<LabelFacts>,
}

/// A labelled transaction of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelFacts {
    /// Days since it happened (not since it was labelled).
    pub days_ago: f64,
    /// Confirmed as fraud; otherwise as legitimate.
    pub fraud: bool,
}

impl LabelFacts {
    /// The most of them listed in [`EntityFacts::labels`].
    pub const MAX: usize = 6;
}

/// One sliding window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowFacts {
    /// How many transactions.
    pub count: u32,
    /// Their total, in major units.
    pub sum: f64,
    /// Their mean, in major units; 0 without any.
    pub mean: f64,
    /// The largest, in major units; 0 without any.
    pub max: f64,
    /// Distinct counterparties of an account, card or device; distinct accounts of a counterparty
    /// or terminal.
    pub distinct_peers: u32,
}

/// Confirmed fraud, as far as it was known at the transaction's time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FraudFacts {
    /// Fraudulent transactions of the last 7 days.
    pub d7: u32,
    /// Fraudulent transactions of the last 30 days.
    pub d30: u32,
    /// Fraudulent transactions since the store knows this entity.
    pub total: u32,
    /// `d30` over the count of the last 30 days, at most 1; 0 without any.
    pub rate_d30: f64,
    /// Days since the latest fraudulent transaction happened (not since it was confirmed).
    pub days_since_last: Option<f64>,
    /// Days since the first fraudulent transaction of the latest spell happened; a spell goes on
    /// while no two frauds in a row lie more than [`FraudFacts::SPELL_GAP_DAYS`] apart. Absent
    /// from earlier records.
    #[serde(default)]
    pub days_since_first: Option<f64>,
}

impl FraudFacts {
    /// A spell of fraud is over after this many days without.
    pub const SPELL_GAP_DAYS: i64 = 14;
}

/// What is new or unusual for the account. Absent where the transaction lacks the field.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Novelty {
    /// The account's earlier transactions with this counterparty, last 30 days.
    pub counterparty_count_d30: Option<u32>,
    /// The account's earlier transactions from this device, last 30 days.
    pub device_count_d30: Option<u32>,
    /// No transaction with this counterparty in the last 30 days.
    pub counterparty_new: Option<bool>,
    /// No transaction from this device in the last 30 days.
    pub device_new: Option<bool>,
    /// The counterparty's or the network address's country occurs, in either role, in none of the
    /// account's transactions of the last 30 days.
    pub country_new: Option<bool>,
    /// No transaction at this terminal in the last 30 days.
    pub terminal_new: Option<bool>,
    /// The account's transactions under 5 major units, last hour.
    pub small_h1: u32,
    /// The account's refunds, last 30 days.
    pub refunds_d30: u32,
    /// Distinct accounts whose first transaction with this counterparty within 30 days lies in
    /// the last 7 days.
    pub first_time_payers_d7: Option<u32>,
}

/// One of the account's latest transactions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecentTransaction {
    /// Whole seconds before this transaction.
    pub seconds_ago: i64,
    /// The amount, in major units.
    pub amount: f64,
    /// In which currency.
    pub currency: Currency,
    /// What kind of payment.
    pub kind: Option<TransactionType>,
    /// Where it was made.
    pub channel: Option<Channel>,
    /// The counterparty's name: untrusted text, cut at [`RecentTransaction::NAME_MAX`] characters.
    pub counterparty_name: Option<String>,
    /// Merchant category code.
    pub mcc: Option<Mcc>,
    /// The counterparty's country.
    pub country: Option<CountryCode>,
    /// Whether the counterparty was new to the account when the transaction was counted.
    pub counterparty_new: bool,
}

impl RecentTransaction {
    /// The longest [`RecentTransaction::counterparty_name`], in characters.
    pub const NAME_MAX: usize = 24;
}
