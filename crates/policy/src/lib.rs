//! The policy: which tier judges a transaction, and what its judgement leads to.
//!
//! One TOML document holds thresholds, segments, rules in CEL, the bounds of tier 2's authority,
//! fallbacks, the audit sample and the escalation budget; `docs/policy.md` is its reference.
//! Pure: no I/O, no clock.
//!
//! * Rules win over models; floors hold over everything.
//! * Tier 2 raises risk freely and lowers it only inside the band of the policy.
//! * What a stranger writes can make an outcome stricter, never laxer.
//! * Every document is checked and every rule bounded before it is in force.
//!
//! ```
//! use domain::Escalation;
//! use policy::{Policy, Route, Shift, Subject};
//! let policy = Policy::parse(Policy::DEFAULT)?;
//! # let json = serde_json::json!({
//! #     "id": "tx-1", "timestamp": "2026-03-01T12:00:00Z", "amount": "12.34",
//! #     "currency": "EUR", "account": {"id": "acc-1"}
//! # });
//! # let context = domain::ParseContext { now: "2026-03-01T12:00:05Z".parse().unwrap() };
//! # let transaction = domain::Transaction::parse(&json, &context).unwrap();
//! let facts = serde_json::json!({ "transaction": transaction, "velocity": {}, "derived": {} });
//! let screening = domain::Score::new(0.2)?;
//! let subject =
//!     Subject { transaction: &transaction, facts: &facts, screening, instructed: false };
//! let assessment = policy.assess(&subject, Shift::ZERO);
//! assert_eq!(assessment.route, Route::Escalate(Escalation::Score));
//! let conclusion = assessment.conclude(screening, Some(domain::Score::new(0.05)?));
//! assert_eq!(conclusion.outcome, domain::Outcome::Approve);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assessment;
mod audit;
mod budget;
mod conditions;
mod diff;
mod document;
mod error;
mod policy;
mod rules;
mod thresholds;

pub use assessment::{Assessment, Conclusion, Route, Subject};
pub use budget::{Adjustment, Budget, Controller, ControllerState, Demand, Limit, Observation};
pub use diff::Change;
pub use error::{PolicyError, Problem};
pub use policy::Policy;
pub use rules::{Effect, RuleError, RuleHit, vocabulary};
pub use thresholds::{AnalysisBands, Shift, Thresholds};
