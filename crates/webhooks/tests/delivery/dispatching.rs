//! From the outbox to the endpoint and back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use prometheus::Registry;
use webhooks::{Config, ConfigError, Dispatcher};

use crate::{memory::*, receiver::*};

#[tokio::test]
async fn a_failed_delivery_is_tried_again_with_the_same_id_until_it_arrives() {
    let receiver =
        Receiver::start(|_, number| Answer::Status(if number < 2 { 503 } else { 200 })).await;
    let work = Work::start(vec![receiver.endpoint("one")], quick());
    let id = work.outbox.queue("one", "{}");
    eventually(|| work.outbox.is(id, &State::Delivered)).await;
    let ids: Vec<String> = receiver.seen().iter().map(|seen| seen.id().to_owned()).collect();
    assert_eq!(ids, [id.to_string(), id.to_string(), id.to_string()]);
    let count = |result| metric(&work.registry, "weir_webhook_deliveries_total", result);
    assert_eq!((count("delivered"), count("failed"), count("dead")), (1.0, 2.0, 0.0));
    work.stop().await;
}

#[tokio::test]
async fn a_delivery_that_never_arrives_is_dead_after_the_last_attempt() {
    let receiver = Receiver::always(Answer::Status(500)).await;
    let work = Work::start(vec![receiver.endpoint("one")], quick());
    let id = work.outbox.queue("one", "{}");
    eventually(|| work.outbox.is(id, &State::Dead)).await;
    assert_eq!(receiver.seen().len(), 4);
    let error = work.outbox.item(id).error.unwrap();
    assert_eq!(error, "given up after 4 attempts: 500");
    assert_eq!(metric(&work.registry, "weir_webhook_deliveries_total", "dead"), 1.0);
    work.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_is_gone_gets_a_message_once() {
    let receiver = Receiver::always(Answer::Status(410)).await;
    let work = Work::start(vec![receiver.endpoint("one")], quick());
    let id = work.outbox.queue("one", "{}");
    eventually(|| work.outbox.is(id, &State::Dead)).await;
    assert_eq!(receiver.seen().len(), 1);
    work.stop().await;
}

#[tokio::test]
async fn a_nudge_is_heard_long_before_the_next_look() {
    let receiver = Receiver::always(Answer::Status(200)).await;
    let hour = Duration::from_secs(3_600);
    let config = Config { poll_min: hour, poll_max: hour, ..quick() };
    let work = Work::start(vec![receiver.endpoint("one")], config);
    eventually(|| work.outbox.claims.load(Ordering::SeqCst) == 1).await;
    let id = work.outbox.queue("one", "{}");
    work.nudge.nudge("one");
    eventually(|| work.outbox.is(id, &State::Delivered)).await;
    work.stop().await;
}

#[tokio::test]
async fn an_outbox_that_is_gone_for_a_while_is_used_again() {
    let receiver = Receiver::always(Answer::Status(200)).await;
    let work = Work::start(vec![receiver.endpoint("one")], quick());
    work.outbox.broken.store(true, Ordering::SeqCst);
    let id = work.outbox.queue("one", "{}");
    let errors = || metric(&work.registry, "weir_webhook_outbox_errors_total", "");
    eventually(|| errors() >= 3.0).await;
    assert!(receiver.seen().is_empty());
    work.outbox.broken.store(false, Ordering::SeqCst);
    eventually(|| work.outbox.is(id, &State::Delivered)).await;
    work.stop().await;
}

#[tokio::test]
async fn a_result_that_cannot_be_written_is_written_later_and_nothing_is_sent_twice() {
    let outbox = Arc::<Memory>::default();
    let breaking = Arc::clone(&outbox);
    let receiver = Receiver::start(move |_, _| {
        breaking.broken.store(true, Ordering::SeqCst);
        Answer::Status(200)
    })
    .await;
    let id = outbox.queue("one", "{}");
    let work = Work::start_on(outbox, vec![receiver.endpoint("one")], quick());
    receiver.until_seen(1).await;
    let errors = || metric(&work.registry, "weir_webhook_outbox_errors_total", "");
    eventually(|| errors() >= 5.0).await;
    assert_eq!(receiver.seen().len(), 1);
    assert!(work.outbox.is(id, &State::Claimed));
    work.outbox.broken.store(false, Ordering::SeqCst);
    eventually(|| work.outbox.is(id, &State::Delivered)).await;
    assert_eq!(receiver.seen().len(), 1);
    work.stop().await;
}

#[tokio::test]
async fn an_outbox_that_forgets_its_claims_does_not_make_two_attempts_at_once() {
    let receiver = Receiver::always(Answer::Hang).await;
    let config = Config { timeout: Duration::from_secs(60), ..quick() };
    let work = Work::start(vec![receiver.endpoint("one")], config);
    work.outbox.forgetful.store(true, Ordering::SeqCst);
    work.outbox.queue("one", "{}");
    receiver.until_seen(1).await;
    let before = work.outbox.claims.load(Ordering::SeqCst);
    eventually(|| work.outbox.claims.load(Ordering::SeqCst) > before + 3).await;
    assert_eq!(receiver.seen().len(), 1);
    work.stop().await;
}

#[tokio::test]
async fn what_waits_is_counted_and_what_is_under_way_too() {
    let receiver = Receiver::always(Answer::Hang).await;
    let config = Config { timeout: Duration::from_secs(60), ..quick() };
    let work = Work::start(vec![receiver.endpoint("one")], config);
    for _ in 0..7 {
        work.outbox.queue("one", "{}");
    }
    let registry = work.registry.clone();
    let gauge = |name: &str| metric(&registry, name, "");
    eventually(|| gauge("weir_webhook_due") == 7.0 && gauge("weir_webhook_in_flight") == 4.0).await;
    work.stop().await;
    assert_eq!(gauge("weir_webhook_in_flight"), 0.0);
}

#[tokio::test]
async fn every_series_exists_from_the_start() {
    let registry = Registry::new();
    Dispatcher::new(Vec::new(), Config::default(), &registry).unwrap();
    for result in ["delivered", "failed", "dead"] {
        assert_eq!(metric(&registry, "weir_webhook_deliveries_total", result), 0.0);
    }
    let names: Vec<_> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
    assert_eq!(
        names,
        [
            "weir_webhook_deliveries_total",
            "weir_webhook_due",
            "weir_webhook_duration_seconds",
            "weir_webhook_in_flight",
            "weir_webhook_outbox_errors_total"
        ]
    );
}

#[tokio::test]
async fn two_endpoints_of_one_name_are_refused() {
    let one = endpoint("one", "http://127.0.0.1:1/", &[SECRET]);
    let result = Dispatcher::new(vec![one.clone(), one], Config::default(), &Registry::new());
    assert!(matches!(result, Err(ConfigError::Setting(what)) if what.contains("one")));
}
