//! What one endpoint does to others, and the end.

use std::time::Duration;

use webhooks::Config;

use crate::{memory::*, receiver::*};

/// An endpoint that hangs until the test ends.
fn patient() -> Config {
    Config { timeout: Duration::from_secs(600), ..quick() }
}

#[tokio::test]
async fn an_endpoint_that_hangs_with_much_to_do_delays_no_other() {
    let (bad, good) =
        (Receiver::always(Answer::Hang).await, Receiver::always(Answer::Status(200)).await);
    let config = Config { max_concurrency: 4, ..patient() };
    let work = Work::start(vec![bad.endpoint("bad"), good.endpoint("good")], config);
    for _ in 0..500 {
        work.outbox.queue("bad", "{}");
    }
    bad.until_seen(2).await;
    let ids: Vec<_> = (0..20).map(|_| work.outbox.queue("good", "{}")).collect();
    eventually(|| ids.iter().all(|id| work.outbox.is(*id, &State::Delivered))).await;
    assert_eq!(bad.seen().len(), 2, "half of four places are the bad endpoint's");
    work.stop().await;
}

#[tokio::test]
async fn no_more_is_claimed_than_can_be_sent_at_once() {
    let receiver = Receiver::always(Answer::Hang).await;
    let work = Work::start(vec![receiver.endpoint("one")], patient());
    let ids: Vec<_> = (0..50).map(|_| work.outbox.queue("one", "{}")).collect();
    receiver.until_seen(4).await;
    let claimed = ids.iter().filter(|id| work.outbox.is(**id, &State::Claimed)).count();
    assert_eq!(claimed, 4);
    work.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_asks_to_be_left_alone_gets_nothing_more_and_others_do() {
    let tired = Answer::Full(429, "retry-after: 600\r\n".into(), Vec::new());
    let (tired, good) =
        (Receiver::always(tired).await, Receiver::always(Answer::Status(200)).await);
    let config = Config { max_concurrency_per_endpoint: 1, ..quick() };
    let work = Work::start(vec![tired.endpoint("tired"), good.endpoint("good")], config);
    for _ in 0..10 {
        work.outbox.queue("tired", "{}");
    }
    tired.until_seen(1).await;
    let ids: Vec<_> = (0..20).map(|_| work.outbox.queue("good", "{}")).collect();
    eventually(|| ids.iter().all(|id| work.outbox.is(*id, &State::Delivered))).await;
    assert_eq!(tired.seen().len(), 1);
    work.stop().await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_an_endpoint_that_hangs_and_forgets_nothing() {
    let receiver = Receiver::always(Answer::Hang).await;
    let work = Work::start(vec![receiver.endpoint("one")], patient());
    let id = work.outbox.queue("one", "{}");
    receiver.until_seen(1).await;
    let outbox = std::sync::Arc::clone(&work.outbox);
    let stopped = tokio::time::timeout(Duration::from_secs(20), work.stop()).await;
    stopped.expect("it stops long before the endpoint's time is over");
    assert!(outbox.is(id, &State::Claimed), "it is neither delivered nor dead");
}

#[tokio::test]
async fn what_ends_soon_after_the_stop_is_still_written_back() {
    let receiver = Receiver::always(Answer::Late(Duration::from_millis(200), 200)).await;
    let config = Config { drain: Duration::from_secs(20), ..patient() };
    let work = Work::start(vec![receiver.endpoint("one")], config);
    let id = work.outbox.queue("one", "{}");
    receiver.until_seen(1).await;
    let outbox = std::sync::Arc::clone(&work.outbox);
    work.stop().await;
    assert!(outbox.is(id, &State::Delivered));
}

#[tokio::test]
async fn what_is_meant_for_one_endpoint_never_reaches_another() {
    let receiver = Receiver::always(Answer::Status(200)).await;
    let work = Work::start(vec![receiver.endpoint("one")], quick());
    work.outbox.careless.store(true, std::sync::atomic::Ordering::SeqCst);
    let other = work.outbox.queue("two", "{}");
    let errors = || metric(&work.registry, "weir_webhook_outbox_errors_total", "");
    eventually(|| errors() >= 1.0).await;
    let own = work.outbox.queue("one", "{}");
    eventually(|| work.outbox.is(own, &State::Delivered)).await;
    assert!(receiver.seen().iter().all(|seen| seen.id() != other.to_string()));
    work.stop().await;
}
