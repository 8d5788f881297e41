//! The closed list of reason codes, each with its predicate over the facts.

use domain::{EntryMode, Reason, ReasonCode, TransactionType};
use velocity::EntityFacts;

use crate::facts::Facts;

/// Every code that the facts support, in declaration order, with the facts in words.
/// [`ReasonCode::ScreeningScore`] is left to the caller: it needs thresholds.
#[must_use]
pub fn supported_reasons(facts: &Facts) -> Vec<Reason> {
    ReasonCode::ALL
        .iter()
        .filter_map(|&code| support(code, facts).map(|detail| Reason { code: code.into(), detail }))
        .collect()
}

/// The facts behind a code, or `None` when they do not support it.
pub(crate) fn support(code: ReasonCode, facts: &Facts) -> Option<String> {
    match code {
        ReasonCode::AmountAboveHabit => amount_above_habit(facts),
        ReasonCode::BurstOfTransactions => burst(facts),
        ReasonCode::SmallAmountProbing => probing(facts),
        ReasonCode::NewDevice => new_device(facts),
        ReasonCode::NewCounterparty => new_counterparty(facts),
        ReasonCode::YoungCounterparty => young_counterparty(facts),
        ReasonCode::ForeignCounterparty => foreign_counterparty(facts),
        ReasonCode::ForeignNetwork => foreign_network(facts),
        ReasonCode::CounterpartyFanIn => fan_in(facts),
        ReasonCode::TerminalFraudHistory => {
            fraud_history(facts.velocity.terminal.as_ref(), "this terminal")
        }
        ReasonCode::CounterpartyFraudHistory => {
            fraud_history(facts.velocity.counterparty.as_ref(), "this counterparty")
        }
        ReasonCode::AccountFraudHistory => {
            fraud_history(Some(&facts.velocity.account), "this account")
                .or_else(|| fraud_history(facts.velocity.card.as_ref(), "this card"))
        }
        ReasonCode::YoungAccount => young_account(facts),
        ReasonCode::RepeatedRefunds => repeated_refunds(facts),
        ReasonCode::NightTime => {
            (facts.derived.hour < 5).then(|| format!("made at {:02} h UTC", facts.derived.hour))
        }
        ReasonCode::WeakCardEntry => weak_entry(facts),
        ReasonCode::RapidDrain => rapid_drain(facts),
        ReasonCode::ScamWording => scam_wording(facts),
        ReasonCode::InstructionLikeText => instruction_like_text(facts),
        ReasonCode::ScreeningScore => None,
    }
}

/// The field and what was found, never the text itself: the detail is read by people and
/// machines that the text may be meant for.
fn instruction_like_text(facts: &Facts) -> Option<String> {
    let found: Vec<_> = facts.derived.instructions.iter().map(ToString::to_string).collect();
    (!found.is_empty()).then(|| found.join("; "))
}

fn amount_above_habit(facts: &Facts) -> Option<String> {
    let account = &facts.velocity.account;
    let ratio = account.amount_ratio?;
    (ratio >= 3.0 && account.d30.count >= 3 && facts.derived.amount >= 20.0)
        .then(|| format!("{ratio:.1} times the account's 30-day mean of {:.2}", account.d30.mean))
}

fn burst(facts: &Facts) -> Option<String> {
    let earlier = facts.velocity.account.h1.count;
    (earlier >= 3).then(|| format!("{earlier} earlier transactions of the account within an hour"))
}

fn probing(facts: &Facts) -> Option<String> {
    let small = facts.velocity.novelty.small_h1;
    (small >= 2).then(|| format!("{small} earlier small amounts of the account within an hour"))
}

fn new_device(facts: &Facts) -> Option<String> {
    let fresh = facts.velocity.novelty.device_new? && facts.velocity.account.d30.count >= 1;
    fresh.then(|| "the account has not used this device in 30 days".to_owned())
}

fn new_counterparty(facts: &Facts) -> Option<String> {
    let fresh = facts.velocity.novelty.counterparty_new? && facts.velocity.account.d30.count >= 1;
    fresh.then(|| "the account has not paid this counterparty in 30 days".to_owned())
}

fn young_counterparty(facts: &Facts) -> Option<String> {
    let age = facts.derived.counterparty_age_days?;
    (age < 14.0).then(|| format!("the counterparty was first seen {age:.0} days ago"))
}

fn foreign_counterparty(facts: &Facts) -> Option<String> {
    let transaction = &facts.transaction;
    let home = transaction.account.country?;
    let there = transaction.counterparty.as_ref()?.country?;
    (home != there).then(|| format!("the counterparty is in {there}, the account in {home}"))
}

fn foreign_network(facts: &Facts) -> Option<String> {
    let transaction = &facts.transaction;
    let home = transaction.account.country?;
    let there = transaction.device.as_ref()?.ip_country?;
    (home != there).then(|| format!("the network address is in {there}, the account in {home}"))
}

fn fan_in(facts: &Facts) -> Option<String> {
    let payers = facts.velocity.novelty.first_time_payers_d7?;
    let counterparty = facts.velocity.counterparty.as_ref()?;
    let person = facts.transaction.kind == Some(TransactionType::Transfer);
    (person && payers >= 3 && payers * 2 >= counterparty.d7.count).then(|| {
        format!("{payers} accounts paid this counterparty for the first time within 7 days")
    })
}

fn fraud_history(entity: Option<&EntityFacts>, whose: &str) -> Option<String> {
    let confirmed = entity?.confirmed_fraud.total;
    (confirmed >= 1).then(|| format!("{confirmed} confirmed frauds on {whose}"))
}

fn young_account(facts: &Facts) -> Option<String> {
    let age = facts.derived.account_age_days?;
    (age < 30.0).then(|| format!("the account was opened {age:.0} days ago"))
}

fn repeated_refunds(facts: &Facts) -> Option<String> {
    let refunds = facts.velocity.novelty.refunds_d30;
    (facts.transaction.kind == Some(TransactionType::Refund) && refunds >= 2)
        .then(|| format!("{refunds} earlier refunds within 30 days"))
}

fn weak_entry(facts: &Facts) -> Option<String> {
    let mode = facts.transaction.card.as_ref()?.entry_mode?;
    matches!(mode, EntryMode::Magstripe | EntryMode::Manual)
        .then(|| format!("the card was read as {mode}"))
}

fn rapid_drain(facts: &Facts) -> Option<String> {
    let account = &facts.velocity.account;
    let spent = account.h24.sum + facts.derived.amount;
    let usual = account.d30.sum / 30.0;
    (account.d30.count >= 5 && spent >= 500.0 && spent >= 10.0 * usual)
        .then(|| format!("{spent:.2} within 24 hours against {usual:.2} a day over 30 days"))
}

/// Wordings that recur in authorised push-payment scams, lower case.
const SCAM_PHRASES: &[&str] = &[
    "safe account",
    "secure account",
    "security team",
    "fraud team",
    "fraud department",
    "account protection",
    "new bank details",
    "new account details",
    "updated bank details",
    "changed bank",
    "sicheres konto",
    "sicherheitskonto",
    "neue bankverbindung",
    "neue iban",
    "compte sécurisé",
    "nouveau rib",
    "nouvel iban",
    "cuenta segura",
    "nueva cuenta",
    "conto sicuro",
    "nuovo iban",
];

fn scam_wording(facts: &Facts) -> Option<String> {
    let memo = facts.transaction.memo.as_ref()?.as_str().to_lowercase();
    SCAM_PHRASES
        .iter()
        .find(|phrase| memo.contains(*phrase))
        .map(|phrase| format!("the memo says \"{phrase}\""))
}
