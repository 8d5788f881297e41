//! The fraud vocabulary: transactions, scores, outcomes, decisions, labels.
//!
//! Pure: no I/O, no clock, no async. Types are parsed at the door and cannot be wrong
//! afterwards: a [`Transaction`] in hand has a positive bounded amount, a plausible time,
//! bounded text without control characters, and carries no card number.
//!
//! ```
//! use domain::{ParseContext, Transaction};
//! let json = serde_json::json!({
//!     "id": "tx-1", "timestamp": "2026-03-01T12:00:00Z", "amount": "12.34",
//!     "currency": "EUR", "account": {"id": "acc-1"}
//! });
//! let context = ParseContext { now: "2026-03-01T12:00:05Z".parse().unwrap() };
//! let transaction = Transaction::parse(&json, &context).unwrap();
//! assert_eq!(transaction.account.id.as_str(), "acc-1");
//! ```

mod amount;
mod code;
mod decision;
mod identifier;
mod label;
pub mod reader;
mod redact;
mod score;
mod text;
mod transaction;
mod typology;

pub use amount::{Amount, Currency};
pub use code::{Code, RuleCode};
pub use decision::{
    Analysis, DecidedBy, Decision, DecisionId, DecisionStatus, Degraded, Escalation, Outcome,
    PackageRef, PolicyRef, Provisional, Reason, ReasonCode, ReportStatus, RiskLevel, Screening,
    StageTimings, Verdict,
};
pub use identifier::{
    AccountId, CardToken, CounterpartyId, DeviceId, Identifier, TerminalId, TransactionId,
};
pub use label::{Label, LabelSource, TruthLabel};
pub use reader::{ObjectReader, Violation, Violations};
pub use redact::{contains_card_number, redact_card_numbers};
pub use score::Score;
pub use text::{MARKS_MAX, Text, single_line};
pub use transaction::{
    Account, AttributeValue, Card, Channel, Counterparty, CounterpartyKind, CountryCode, Device,
    EntryMode, Mcc, ParseContext, Terminal, Transaction, TransactionType,
};
pub use typology::Typology;
