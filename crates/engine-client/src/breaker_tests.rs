use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> BreakerConfig {
    BreakerConfig {
        window: 10 * SECOND,
        minimum_calls: 4,
        failure_ratio: 0.5,
        open_for: 2 * SECOND,
        open_for_max: 5 * SECOND,
        trial_calls: 2,
        patience: SECOND,
    }
}

fn call(breaker: &mut Breaker, outcome: Outcome, now: Instant) {
    let pass = breaker.admit(now).expect("admitted");
    breaker.record(pass, outcome, now);
}

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(config(), now);
    for _ in 0..4 {
        call(&mut breaker, Outcome::Failure, now);
    }
    assert_eq!(breaker.state(), State::Open);
    breaker
}

#[test]
fn it_opens_at_the_ratio_once_there_are_enough_calls() {
    let now = Instant::now();
    let mut breaker = Breaker::new(config(), now);
    for outcome in [Outcome::Failure, Outcome::Success, Outcome::Success] {
        call(&mut breaker, outcome, now);
        assert_eq!(breaker.state(), State::Closed);
    }
    call(&mut breaker, Outcome::Failure, now);
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(breaker.admit(now + SECOND), Err(SECOND));
}

#[test]
fn failures_that_left_the_window_are_forgotten() {
    let now = Instant::now();
    let mut breaker = Breaker::new(config(), now);
    for _ in 0..3 {
        call(&mut breaker, Outcome::Failure, now);
    }
    call(&mut breaker, Outcome::Failure, now + 11 * SECOND);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn ignored_outcomes_never_open_it() {
    let now = Instant::now();
    let mut breaker = Breaker::new(config(), now);
    for _ in 0..100 {
        call(&mut breaker, Outcome::Ignored, now);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn trials_that_succeed_close_it_with_a_clean_window() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let later = now + 2 * SECOND;
    call(&mut breaker, Outcome::Success, later);
    assert_eq!(breaker.state(), State::HalfOpen);
    call(&mut breaker, Outcome::Success, later);
    assert_eq!(breaker.state(), State::Closed);
    for _ in 0..3 {
        call(&mut breaker, Outcome::Failure, later);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_failed_trial_opens_it_for_twice_as_long_up_to_the_limit() {
    let mut now = Instant::now();
    let mut breaker = opened(now);
    for wait in [2, 4, 5, 5] {
        assert_eq!(breaker.admit(now).map(|_| ()), Err(wait * SECOND));
        now += wait * SECOND;
        call(&mut breaker, Outcome::Failure, now);
    }
}

#[test]
fn an_ignored_trial_gives_its_place_back() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let later = now + 2 * SECOND;
    for _ in 0..10 {
        call(&mut breaker, Outcome::Ignored, later);
    }
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[test]
fn a_call_from_before_a_change_of_state_is_not_counted_after_it() {
    let now = Instant::now();
    let mut breaker = Breaker::new(config(), now);
    let old = breaker.admit(now).expect("admitted");
    for _ in 0..4 {
        call(&mut breaker, Outcome::Failure, now);
    }
    let later = now + 2 * SECOND;
    let _trial = breaker.admit(later).expect("a trial");
    breaker.record(old, Outcome::Failure, later);
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Start,
    End(usize, Outcome),
}

fn step() -> impl Strategy<Value = Step> {
    let outcome =
        prop_oneof![Just(Outcome::Success), Just(Outcome::Failure), Just(Outcome::Ignored)];
    prop_oneof![
        (0_u64..4000).prop_map(Step::Wait),
        Just(Step::Start),
        (any::<usize>(), outcome).prop_map(|(which, outcome)| Step::End(which, outcome)),
    ]
}

proptest! {
    /// Whatever happens: an open circuit admits nobody before its time, a half-open one never more
    /// than its trials, a closed one everybody; and only enough failures open it.
    #[test]
    fn the_circuit_keeps_its_promises(steps in proptest::collection::vec(step(), 0..300)) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(config(), now);
        let mut running: Vec<Pass> = Vec::new();
        let mut open_until = None;
        let mut failures_while_closed = 0;
        for step in steps {
            match step {
                Step::Wait(ms) => now += Duration::from_millis(ms),
                Step::Start => {
                    let before = breaker.state();
                    let admitted = breaker.admit(now);
                    match before {
                        State::Closed => prop_assert!(admitted.is_ok()),
                        State::Open => {
                            prop_assert_eq!(admitted.is_ok(), open_until.is_some_and(|t| now >= t));
                        }
                        State::HalfOpen => {}
                    }
                    match admitted {
                        Ok(pass) => running.push(pass),
                        Err(wait) => prop_assert!(wait > Duration::ZERO),
                    }
                    if breaker.state() == State::HalfOpen {
                        let trials = running.iter().filter(|pass| pass.epoch == breaker.epoch);
                        prop_assert!(trials.count() <= 2);
                    }
                }
                Step::End(which, outcome) => {
                    if running.is_empty() {
                        continue;
                    }
                    let pass = running.swap_remove(which % running.len());
                    let (before, current) = (breaker.state(), pass.epoch == breaker.epoch);
                    breaker.record(pass, outcome, now);
                    if before == State::Closed && current && outcome == Outcome::Failure {
                        failures_while_closed += 1;
                    }
                    if before != State::Open && breaker.state() == State::Open {
                        prop_assert!(before == State::HalfOpen || failures_while_closed >= 2);
                        prop_assert!(outcome != Outcome::Ignored);
                        let wait = match breaker.admit(now) {
                            Err(wait) => wait,
                            Ok(_) => return Err(TestCaseError::fail("admitted at once")),
                        };
                        prop_assert!(wait >= config().open_for && wait <= config().open_for_max);
                        open_until = Some(now + wait);
                        failures_while_closed = 0;
                    }
                    if breaker.state() == State::Closed && before != State::Closed {
                        failures_while_closed = 0;
                    }
                }
            }
        }
    }

    /// However broken it was, an engine that works again is used again.
    #[test]
    fn it_always_closes_again(steps in proptest::collection::vec(step(), 0..100)) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(config(), now);
        let mut running = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => now += Duration::from_millis(ms),
                Step::Start => running.extend(breaker.admit(now)),
                Step::End(which, outcome) if !running.is_empty() => {
                    let pass = running.swap_remove(which % running.len());
                    breaker.record(pass, outcome, now);
                }
                Step::End(..) => {}
            }
        }
        for pass in running {
            breaker.record(pass, Outcome::Ignored, now);
        }
        now += config().open_for_max + config().window;
        for _ in 0..config().trial_calls {
            if let Ok(pass) = breaker.admit(now) {
                breaker.record(pass, Outcome::Success, now);
            }
        }
        prop_assert_eq!(breaker.state(), State::Closed);
    }
}
