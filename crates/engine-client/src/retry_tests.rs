use super::*;

const MS: Duration = Duration::from_millis(1);

fn config() -> Config {
    Config { attempts: 3, backoff_base: 100 * MS, backoff_max: 150 * MS, ..Config::default() }
}

fn status(code: u16, retry_after: Option<Duration>) -> Failure {
    Failure::Status { code, retry_after, message: String::new() }
}

#[test]
fn waits_grow_to_their_limit_and_are_spread_from_zero() {
    let wait = |tried, random| match next(status(500, None), tried, 10_000 * MS, &config(), random)
    {
        Next::Retry { after, .. } => after,
        Next::Give(error) => panic!("gave up: {error}"),
    };
    assert_eq!(wait(1, 0.0), Duration::ZERO);
    assert_eq!(wait(1, 1.0), 100 * MS);
    assert_eq!(wait(2, 1.0), 150 * MS);
}

#[test]
fn only_what_may_pass_is_tried_again() {
    let retried =
        |failure| matches!(next(failure, 1, 10_000 * MS, &config(), 0.5), Next::Retry { .. });
    for code in [429, 500, 502, 503, 504] {
        assert!(retried(status(code, None)), "{code}");
    }
    for code in [300, 400, 401, 403, 404, 413, 422, 501] {
        assert!(!retried(status(code, None)), "{code}");
    }
    assert!(retried(Failure::Connect(String::new())));
    assert!(retried(Failure::Reset(String::new())));
    assert!(!retried(Failure::Malformed(String::new())));
    assert!(!retried(Failure::TimedOut { after: MS }));
    assert!(!retried(Failure::BreakerOpen(MS)));
}

#[test]
fn the_last_attempt_is_the_last() {
    let given = next(status(500, None), 3, 10_000 * MS, &config(), 0.5);
    assert!(matches!(given, Next::Give(ClientError::Failed(_))));
}

#[test]
fn a_wish_that_fits_is_granted_in_full_and_one_that_does_not_is_handed_on_at_once() {
    let wish = 2000 * MS;
    let granted = next(status(429, Some(wish)), 1, 5000 * MS, &config(), 0.5);
    assert_eq!(granted, Next::Retry { after: wish + 50 * MS, reason: RetryReason::Overloaded });
    let refused = next(status(429, Some(wish)), 1, 1000 * MS, &config(), 0.5);
    assert_eq!(refused, Next::Give(ClientError::Overloaded { retry_after: wish }));
}

#[test]
fn no_wait_reaches_the_deadline() {
    let given = next(status(503, None), 1, 50 * MS, &config(), 0.5);
    assert!(matches!(given, Next::Give(ClientError::Failed(_))));
}

#[test]
fn hurry_and_business_are_no_illness() {
    let patience = 1000 * MS;
    let outcome = |failure: Failure| failure.outcome(patience);
    assert_eq!(outcome(status(429, None)), Outcome::Ignored);
    assert_eq!(outcome(status(400, None)), Outcome::Ignored);
    assert_eq!(outcome(Failure::TimedOut { after: 999 * MS }), Outcome::Ignored);
    assert_eq!(outcome(Failure::TimedOut { after: patience }), Outcome::Failure);
    assert_eq!(outcome(Failure::Malformed(String::new())), Outcome::Failure);
    assert_eq!(outcome(status(401, None)), Outcome::Failure);
}

#[test]
fn retry_after_is_read_as_seconds_or_as_a_date() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
    let at = |date| retry_after(date, now);
    assert_eq!(at("Sun, 06 Nov 1994 08:49:40 GMT"), Some(Duration::from_secs(3)));
    assert_eq!(at("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    assert_eq!(at("soon"), None);
    assert_eq!(at("-1"), None);
}
