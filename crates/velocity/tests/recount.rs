//! Whatever arrives in whatever order, the store agrees with a naive recount to the bit.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{DAY, HOUR, label, naive::Naive, store, transaction};
use domain::{Transaction, TruthLabel};
use proptest::{collection::vec, option, prelude::*};
use serde_json::{Value, json};
use velocity::{Config, LabelEffect};

#[derive(Debug, Clone)]
enum Step {
    /// A transaction `after` seconds later than the latest so far, but `late` seconds too old.
    Observe {
        after: i64,
        late: i64,
        amount: u32,
        content: Content,
    },
    /// One of the latest transactions again.
    Repeat {
        back: usize,
    },
    /// The identifier of an earlier transaction under a new one's time and content.
    Reuse {
        back: usize,
        content: Content,
    },
    Label {
        back: usize,
        truth: TruthLabel,
        delay: i64,
        reversed: bool,
    },
}

#[derive(Debug, Clone)]
struct Content {
    account: u8,
    card: Option<u8>,
    device: Option<u8>,
    counterparty: Option<u8>,
    terminal: Option<u8>,
    country: Option<u8>,
    ip_country: Option<u8>,
    refund: bool,
}

impl Content {
    fn json(&self) -> Value {
        let mut value = json!({
            "account": {"id": format!("a{}", self.account)},
            "type": if self.refund { "refund" } else { "transfer" },
            "device": {},
        });
        let country = |n: u8| ["DE", "FR", "NL"][usize::from(n)];
        if let Some(card) = self.card {
            value["card"] = json!({"token": format!("c{card}")});
        }
        if let Some(device) = self.device {
            value["device"]["id"] = json!(format!("d{device}"));
        }
        if let Some(n) = self.ip_country {
            value["device"]["ip_country"] = json!(country(n));
        }
        if let Some(party) = self.counterparty {
            let name = format!("The counterparty number {party}");
            value["counterparty"] = json!({"id": format!("p{party}"), "name": name, "mcc": "0742"});
            if let Some(n) = self.country {
                value["counterparty"]["country"] = json!(country(n));
            }
        }
        if let Some(terminal) = self.terminal {
            value["terminal"] = json!({"id": format!("t{terminal}")});
        }
        value
    }
}

prop_compose! {
    fn content()(
        account in 0_u8..3,
        card in option::of(0_u8..2),
        device in option::of(0_u8..3),
        counterparty in option::weighted(0.9, 0_u8..6),
        terminal in option::of(0_u8..2),
        country in option::of(0_u8..3),
        ip_country in option::of(0_u8..3),
        refund in prop::bool::weighted(0.1),
    ) -> Content {
        Content { account, card, device, counterparty, terminal, country, ip_country, refund }
    }
}

/// Ties, seconds, window edges, hours and days.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => Just(0), 8 => 0..120_i64, 4 => 0..HOUR,
        2 => Just(HOUR), 1 => Just(DAY), 1 => Just(7 * DAY), 1 => 0..2 * DAY,
    ]
}

fn lateness() -> impl Strategy<Value = i64> {
    prop_oneof![12 => Just(0), 2 => 0..HOUR, 2 => 0..3 * DAY, 1 => 0..40 * DAY, 1 => Just(30 * DAY)]
}

/// Pauses are divided by `density`: the denser, the more transactions share a window.
fn step(density: i64) -> impl Strategy<Value = Step> {
    let observe = (pause(), lateness(), 1..2_000_000_u32, content()).prop_map(
        move |(after, late, amount, content)| Step::Observe {
            after: after / density,
            late,
            amount,
            content,
        },
    );
    let truth = prop_oneof![3 => Just(TruthLabel::Fraud), 1 => Just(TruthLabel::Legitimate)];
    let label = (0..40_usize, truth, -DAY..5 * DAY, prop::bool::weighted(0.25))
        .prop_map(|(back, truth, delay, reversed)| Step::Label { back, truth, delay, reversed });
    let reuse = (0..400_usize, content()).prop_map(|(back, content)| Step::Reuse { back, content });
    let repeat = (0..40_usize).prop_map(|back| Step::Repeat { back });
    prop_oneof![10 => observe, 1 => repeat, 1 => reuse, 2 => label]
}

fn config() -> impl Strategy<Value = Config> {
    let cap = prop_oneof![Just(1_usize), Just(5), Just(70), Just(4096)];
    (cap, 0..100_u32).prop_map(|(max_events_per_entity, lateness_hours)| Config {
        max_events_per_entity,
        lateness_hours,
        label_horizon_days: 100_000,
        ..Config::default()
    })
}

fn check(config: Config, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let store = store(config);
    let mut naive = Naive::new(config);
    let mut sent: Vec<(i64, Transaction)> = Vec::new();
    let mut clock = 0;
    for step in steps {
        match step {
            Step::Observe { after, late, amount, content } => {
                clock += after;
                let id = format!("tx-{}", sent.len());
                let amount = format!("{}.{:04}", amount / 10_000, amount % 10_000);
                let next = transaction(&id, clock - late, &amount, content.json());
                prop_assert_eq!(store.peek(&next), naive.peek(&next));
                prop_assert_eq!(store.observe(&next), naive.observe(&next));
                sent.push((clock, next));
            }
            Step::Repeat { back } => {
                let Some((_, again)) = sent.iter().rev().nth(back) else {
                    continue;
                };
                prop_assert_eq!(store.observe(again), naive.observe(again));
            }
            Step::Reuse { back, content } => {
                let Some((_, earlier)) = sent.iter().rev().nth(back) else { continue };
                let reused = transaction(earlier.id.as_str(), clock, "9.99", content.json());
                prop_assert_eq!(store.observe(&reused), naive.observe(&reused));
            }
            Step::Label { back, truth, delay, reversed } => {
                let Some((seen, labelled)) = sent.iter().rev().nth(back) else {
                    continue;
                };
                let label = label(truth, seen + delay, reversed);
                let effect = store.label(&labelled.id, &label);
                prop_assert_ne!(effect, LabelEffect::UnknownTransaction);
                prop_assert_eq!(store.label(&labelled.id, &label), LabelEffect::Unchanged);
                naive.label(&labelled.id, &label);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_agrees_with_a_naive_recount(config in config(), steps in vec(step(1), 1..150)) {
        check(config, steps)?;
    }
}

proptest! {
    // Long enough for several blocks of precomputed totals.
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn long_streams_agree_with_a_naive_recount(config in config(), steps in vec(step(20), 600..800)) {
        check(config, steps)?;
    }
}
