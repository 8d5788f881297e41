use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn failed(retry_after: Option<u64>) -> Sent {
    Sent::Failed { detail: "500".into(), retry_after: retry_after.map(Duration::from_secs) }
}

fn wait_after(earlier: u32, sent: &Sent, random: f64) -> Option<i64> {
    match Plan::default().next(earlier, sent, at(1_000), random) {
        Next::Again { at, .. } => Some(at.as_second() - 1_000),
        Next::Delivered | Next::Dead { .. } => None,
    }
}

#[test]
fn waits_grow_from_seconds_to_a_day_and_then_end() {
    let waits: Vec<_> =
        (0..).map_while(|earlier| wait_after(earlier, &failed(None), 1.0)).collect();
    assert_eq!(waits, [5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400]);
}

#[test]
fn jitter_is_spread_over_the_whole_wait() {
    assert_eq!(wait_after(1, &failed(None), 0.0), Some(0));
    assert_eq!(wait_after(1, &failed(None), 0.5), Some(15));
}

#[test]
fn the_last_attempt_says_how_many_there_were_and_what_failed() {
    let next = Plan::default().next(9, &failed(Some(5)), at(0), 0.5);
    assert_eq!(next, Next::Dead { error: "given up after 10 attempts: 500".into() });
}

#[test]
fn an_endpoint_that_is_gone_is_given_up_at_once_and_the_record_says_so() {
    let next = Plan::default().next(0, &Sent::Gone, at(0), 0.5);
    assert!(matches!(next, Next::Dead { error } if error.starts_with("410")));
}

#[test]
fn what_was_delivered_is_done_however_often_it_failed_before() {
    assert_eq!(Plan::default().next(99, &Sent::Delivered, at(0), 0.5), Next::Delivered);
}

#[test]
fn a_time_that_the_endpoint_asks_for_is_waited_out_but_not_for_ever() {
    assert_eq!(wait_after(0, &failed(Some(300)), 0.0), Some(300));
    assert_eq!(wait_after(0, &failed(Some(300)), 1.0), Some(305));
    assert_eq!(wait_after(0, &failed(Some(u64::MAX)), 0.0), Some(86_400));
}

#[test]
fn a_long_error_is_cut() {
    let detail = "x".repeat(5_000);
    let sent = Sent::Failed { detail, retry_after: None };
    let Next::Again { error, .. } = Plan::default().next(0, &sent, at(0), 0.5) else {
        panic!("it is tried again");
    };
    assert_eq!(error.len(), DETAIL_MAX);
}

proptest! {
    #[test]
    fn no_wait_is_negative_or_longer_than_wished_and_planned(
        earlier in 0..20_u32,
        wished in proptest::option::of(any::<u64>()),
        random in 0.0..=1.0_f64,
        now in -1_000_000_000_i64..4_000_000_000,
    ) {
        let plan = Plan::default();
        let sent = failed(wished);
        match plan.next(earlier, &sent, at(now), random) {
            Next::Again { at: then, .. } => {
                let wait = Duration::try_from(then.duration_since(at(now))).unwrap();
                let asked = Duration::from_secs(wished.unwrap_or(0)).min(plan.retry_after_max);
                prop_assert!(wait >= asked);
                prop_assert!(wait <= asked + plan.waits[earlier as usize]);
            }
            Next::Dead { .. } => prop_assert!(earlier as usize >= plan.waits.len()),
            Next::Delivered => prop_assert!(false),
        }
    }
}
