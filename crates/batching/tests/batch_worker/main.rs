//! The threads around the dynamic scheduler, with a model that runs only when told to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod setup;

use std::num::NonZeroUsize;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use batching::{BatchError, BatchPool, DynamicConfig, ModelError, SpawnError};
use prometheus::Registry;
use tokio::task::JoinSet;

use crate::setup::{Multiplier, Order, Setup, Text, admit, far, poll_now, text, tier};

#[tokio::test]
async fn each_request_gets_the_answer_to_its_own_input() {
    let config = DynamicConfig::default();
    let models = vec![Multiplier, Multiplier, Multiplier];
    let (handle, _pool) = BatchPool::spawn(models, &config, tier(&Registry::new())).unwrap();
    let mut requests = JoinSet::new();
    for name in 0..200 {
        let handle = handle.clone();
        let input = Text { name, length: 20 + (name as usize * 7) % 60 };
        requests.spawn(async move { (name, handle.predict(input, far()).await) });
    }
    for (name, answer) in requests.join_all().await {
        let answer = answer.unwrap();
        assert_eq!(answer.output, name * 10);
        assert!((1..=8).contains(&answer.batch_size));
    }
}

#[tokio::test]
async fn requests_of_near_equal_length_share_the_next_batch() {
    let setup = Setup::new();
    let mut first = pin!(setup.handle.predict(text(1), far()));
    admit(first.as_mut());
    assert_eq!(setup.started(), [1]);
    let mut short = pin!(setup.handle.predict(Text { name: 2, length: 50 }, far()));
    let mut long = pin!(setup.handle.predict(Text { name: 3, length: 90 }, far()));
    let mut near = pin!(setup.handle.predict(Text { name: 4, length: 53 }, far()));
    admit(short.as_mut());
    admit(long.as_mut());
    admit(near.as_mut());
    assert_eq!(setup.queue_depth(), 3);
    for _ in 0..3 {
        setup.order(Order::Answer);
    }
    let (first, short) = (first.await.unwrap(), short.await.unwrap());
    let (long, near) = (long.await.unwrap(), near.await.unwrap());
    assert_eq!([setup.started(), setup.started()], [vec![2, 4], vec![3]]);
    assert_eq!([first.output, short.output, long.output, near.output], [10, 20, 30, 40]);
    assert_eq!(
        [first.batch_size, short.batch_size, long.batch_size, near.batch_size],
        [1, 2, 1, 2]
    );
    assert_eq!(setup.queue_depth(), 0);
    assert_eq!(setup.rejected(), [0, 0, 0, 0]);
}

#[tokio::test]
async fn a_full_queue_turns_away_at_once_and_keeps_its_promises() {
    let setup = Setup::with_depth(2);
    let mut admitted: Vec<_> =
        (1..=3).map(|name| Box::pin(setup.handle.predict(text(name), far()))).collect();
    admit(admitted[0].as_mut());
    assert_eq!(setup.started(), [1]);
    admit(admitted[1].as_mut());
    admit(admitted[2].as_mut());
    let refused = poll_now(pin!(setup.handle.predict(text(4), far())));
    let retry_after = DynamicConfig::default().retry_after_min;
    assert_eq!(refused, Err(BatchError::Overloaded { retry_after }));
    setup.order(Order::Answer);
    setup.order(Order::Answer);
    for request in admitted {
        request.await.unwrap();
    }
    assert_eq!(setup.started(), [2, 3]);
    assert_eq!(setup.rejected(), [1, 0, 0, 0]);
}

#[tokio::test]
async fn retry_after_is_learned_from_the_batches_that_ran() {
    let setup = Setup::with_config(&DynamicConfig {
        max_queue_depth: NonZeroUsize::MIN,
        retry_after_min: Duration::ZERO,
        ..DynamicConfig::default()
    });
    setup.order(Order::Answer);
    setup.handle.predict(text(1), far()).await.unwrap();
    let mut running = pin!(setup.handle.predict(text(2), far()));
    admit(running.as_mut());
    assert_eq!([setup.started(), setup.started()], [[1], [2]]);
    let mut waiting = pin!(setup.handle.predict(text(3), far()));
    admit(waiting.as_mut());
    let refused = poll_now(pin!(setup.handle.predict(text(4), far())));
    let Err(BatchError::Overloaded { retry_after }) = refused else {
        panic!("admitted beyond the bound: {refused:?}");
    };
    assert!(retry_after > Duration::ZERO);
}

#[tokio::test]
async fn a_request_whose_caller_left_is_not_computed() {
    let setup = Setup::new();
    let mut first = pin!(setup.handle.predict(text(1), far()));
    admit(first.as_mut());
    assert_eq!(setup.started(), [1]);
    let mut last = pin!(setup.handle.predict(text(3), far()));
    {
        let mut left = pin!(setup.handle.predict(text(2), far()));
        admit(left.as_mut());
        admit(last.as_mut());
    }
    assert_eq!(setup.queue_depth(), 1);
    setup.order(Order::Answer);
    setup.order(Order::Answer);
    first.await.unwrap();
    last.await.unwrap();
    assert_eq!(setup.started(), [3]);
    assert_eq!(setup.rejected(), [0, 0, 1, 0]);
}

#[tokio::test]
async fn a_caller_that_leaves_while_the_model_runs_harms_nobody() {
    let setup = Setup::new();
    {
        let mut left = pin!(setup.handle.predict(text(1), far()));
        admit(left.as_mut());
        assert_eq!(setup.started(), [1]);
    }
    setup.order(Order::Answer);
    setup.order(Order::Answer);
    assert_eq!(setup.handle.predict(text(2), far()).await.unwrap().output, 20);
    assert_eq!(setup.rejected(), [0, 0, 1, 0]);
}

#[tokio::test]
async fn a_request_that_is_late_on_arrival_is_not_computed() {
    let setup = Setup::new();
    let late = poll_now(pin!(setup.handle.predict(text(1), Instant::now())));
    assert_eq!(late, Err(BatchError::DeadlineExceeded));
    setup.order(Order::Answer);
    setup.handle.predict(text(2), far()).await.unwrap();
    assert_eq!(setup.started(), [2]);
    assert_eq!(setup.rejected(), [0, 1, 0, 0]);
}

#[tokio::test]
async fn a_request_whose_deadline_passes_in_the_queue_is_not_computed() {
    let setup = Setup::new();
    let mut first = pin!(setup.handle.predict(text(1), far()));
    admit(first.as_mut());
    assert_eq!(setup.started(), [1]);
    let soon = Instant::now() + Duration::from_millis(20);
    let late = setup.handle.predict(text(2), soon).await;
    assert_eq!(late, Err(BatchError::DeadlineExceeded));
    setup.order(Order::Answer);
    setup.order(Order::Answer);
    first.await.unwrap();
    setup.handle.predict(text(3), far()).await.unwrap();
    assert_eq!(setup.started(), [3]);
    assert_eq!(setup.rejected(), [0, 1, 0, 0]);
}

// The paused clock of the runtime jumps to the deadline as soon as all else waits.
#[tokio::test(start_paused = true)]
async fn a_caller_is_answered_at_its_deadline_while_the_model_still_runs() {
    let setup = Setup::new();
    let mut request = pin!(setup.handle.predict(text(1), far()));
    admit(request.as_mut());
    assert_eq!(setup.started(), [1]);
    assert_eq!(request.await, Err(BatchError::DeadlineExceeded));
    assert_eq!(setup.rejected(), [0, 1, 0, 0]);
    setup.order(Order::Answer);
}

#[tokio::test]
async fn a_failing_panicking_or_miscounting_model_answers_errors_and_its_thread_lives_on() {
    let setup = Setup::new();
    let cases = [
        (Order::Fail, "told to fail"),
        (Order::Panic, "the model panicked in run: told to panic"),
        (Order::AnswerTooFew, "the model answered 0 outputs for 1 inputs"),
    ];
    for (order, message) in cases {
        setup.order(order);
        let answer = setup.handle.predict(text(1), far()).await;
        assert_eq!(answer, Err(BatchError::Model(ModelError(message.to_owned()))));
    }
    setup.order(Order::Answer);
    assert_eq!(setup.handle.predict(text(2), far()).await.unwrap().output, 20);
    assert_eq!(setup.rejected(), [0, 0, 0, 0]);
}

#[tokio::test]
async fn shutdown_computes_what_waits_and_refuses_what_comes_after() {
    let Setup { handle, pool, started, orders, registry: _ } = Setup::new();
    let mut requests: Vec<_> =
        (1..=3).map(|name| Box::pin(handle.predict(text(name), far()))).collect();
    requests.iter_mut().for_each(|request| admit(request.as_mut()));
    (0..3).for_each(|_| orders.send(Order::Answer).unwrap());
    thread::spawn(|| pool.shutdown()).join().unwrap();
    for request in requests {
        request.await.unwrap();
    }
    let computed: Vec<_> = started.try_iter().flatten().collect();
    assert_eq!(computed, [1, 2, 3]);
    let refused = poll_now(pin!(handle.predict(text(4), far())));
    assert_eq!(refused, Err(BatchError::Stopped));
}

#[tokio::test]
async fn dropping_the_pool_answers_what_waits_and_finishes_what_runs() {
    let setup = Setup::new();
    let mut running = pin!(setup.handle.predict(text(1), far()));
    admit(running.as_mut());
    assert_eq!(setup.started(), [1]);
    let mut waiting = pin!(setup.handle.predict(text(2), far()));
    admit(waiting.as_mut());
    let Setup { pool, orders, .. } = setup;
    let dropping = thread::spawn(|| drop(pool));
    assert_eq!(waiting.await, Err(BatchError::Stopped));
    orders.send(Order::Answer).unwrap();
    assert_eq!(running.await.unwrap().output, 10);
    dropping.join().unwrap();
}

#[test]
fn a_pool_without_a_model_is_refused() {
    let spawned = BatchPool::spawn(
        Vec::<Multiplier>::new(),
        &DynamicConfig::default(),
        tier(&Registry::new()),
    );
    assert!(matches!(spawned, Err(SpawnError::NoModel)));
}

#[test]
fn a_handle_can_be_shared_and_its_future_sent() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    fn sent<T: Send>(_: T) {}
    let setup = Setup::new();
    shared(&setup.handle);
    sent(setup.handle.predict(text(1), far()));
}
