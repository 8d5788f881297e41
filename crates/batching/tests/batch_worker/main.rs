//! The threads around the dynamic scheduler, with a model that runs only when told to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod setup;

use std::num::NonZeroUsize;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use batching::{BatchError, BatchPool, DynamicConfig, Fleet, ModelError, Priority, SpawnError};
use prometheus::Registry;
use tokio::task::JoinSet;

use crate::setup::{Multiplier, Order, Setup, Text, admit, far, poll_now, text, tier};

#[tokio::test]
async fn each_request_gets_the_answer_to_its_own_input() {
    let config = DynamicConfig::default();
    let models = vec![Multiplier, Multiplier, Multiplier];
    let (handle, _pool) =
        BatchPool::spawn(Fleet::narrow(models), &config, tier(&Registry::new())).unwrap();
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
async fn equal_requests_in_flight_are_computed_once() {
    let setup = Setup::new();
    let mut running = pin!(setup.handle.predict(text(1), far()));
    admit(running.as_mut());
    assert_eq!(setup.started(), [1]);
    let mut same_as_running = pin!(setup.handle.predict(text(1), far()));
    let mut waiting = pin!(setup.handle.predict(text(2), far()));
    let mut same_as_waiting = pin!(setup.handle.predict(text(2), far()));
    let mut other_length = pin!(setup.handle.predict(Text { name: 2, length: 90 }, far()));
    admit(same_as_running.as_mut());
    admit(waiting.as_mut());
    admit(same_as_waiting.as_mut());
    admit(other_length.as_mut());
    assert_eq!(setup.queue_depth(), 2);
    (0..3).for_each(|_| setup.order(Order::Answer));
    for (request, output) in
        [(running, 10), (same_as_running, 10), (waiting, 20), (same_as_waiting, 20)]
    {
        assert_eq!(request.await.unwrap().output, output);
    }
    other_length.await.unwrap();
    assert_eq!([setup.started(), setup.started()], [[2], [2]]);
    assert_eq!(setup.series("weir_coalesced_total{tier=\"screening\"}"), 2);
}

#[tokio::test]
async fn a_shared_request_is_computed_as_long_as_one_of_its_callers_stays() {
    let setup = Setup::new();
    let mut running = pin!(setup.handle.predict(text(1), far()));
    admit(running.as_mut());
    assert_eq!(setup.started(), [1]);
    let mut stays = pin!(setup.handle.predict(text(2), far()));
    {
        let mut leads = pin!(setup.handle.predict(text(2), far()));
        admit(leads.as_mut());
        admit(stays.as_mut());
    }
    {
        let mut joins_and_leaves = pin!(setup.handle.predict(text(2), far()));
        admit(joins_and_leaves.as_mut());
    }
    assert_eq!(setup.queue_depth(), 1);
    (0..2).for_each(|_| setup.order(Order::Answer));
    running.await.unwrap();
    assert_eq!(stays.await.unwrap().output, 20);
    assert_eq!(setup.started(), [2]);
    assert_eq!(setup.rejected(), [0, 0, 2, 0]);
}

#[tokio::test]
async fn a_shared_request_that_all_callers_have_left_is_not_computed() {
    let setup = Setup::new();
    let mut running = pin!(setup.handle.predict(text(1), far()));
    admit(running.as_mut());
    assert_eq!(setup.started(), [1]);
    {
        let mut first = pin!(setup.handle.predict(text(2), far()));
        let mut second = pin!(setup.handle.predict(text(2), far()));
        admit(first.as_mut());
        admit(second.as_mut());
    }
    assert_eq!(setup.queue_depth(), 0);
    (0..2).for_each(|_| setup.order(Order::Answer));
    running.await.unwrap();
    assert_eq!(setup.handle.predict(text(3), far()).await.unwrap().output, 30);
    assert_eq!(setup.started(), [3]);
}

#[tokio::test]
async fn the_sharers_of_a_request_are_told_of_its_failure() {
    let setup = Setup::new();
    let mut first = pin!(setup.handle.predict(text(1), far()));
    let mut second = pin!(setup.handle.predict(text(1), far()));
    admit(first.as_mut());
    admit(second.as_mut());
    setup.order(Order::Fail);
    let failed = Err(BatchError::Model(ModelError("told to fail".to_owned())));
    assert_eq!([first.await, second.await], [failed.clone(), failed]);
    setup.order(Order::Answer);
    assert_eq!(setup.handle.predict(text(1), far()).await.unwrap().output, 10);
}

#[tokio::test]
async fn a_reserved_place_counts_until_it_is_used_or_given_back() {
    let setup = Setup::with_depth(1);
    let mut running = pin!(setup.handle.predict(text(1), far()));
    admit(running.as_mut());
    assert_eq!(setup.started(), [1]);
    let place = setup.handle.reserve(Priority::Bulk, far()).unwrap();
    assert!(matches!(
        setup.handle.reserve(Priority::Interactive, far()),
        Err(BatchError::Overloaded { .. })
    ));
    drop(place);
    let place = setup.handle.reserve(Priority::Interactive, far()).unwrap();
    (0..2).for_each(|_| setup.order(Order::Answer));
    assert_eq!(place.predict(text(2)).await.unwrap().output, 20);
    assert_eq!(running.await.unwrap().output, 10);
    assert_eq!(setup.rejected(), [1, 0, 0, 0]);
}

#[tokio::test]
async fn a_lone_request_runs_on_the_wide_session_and_the_next_waits_for_its_cores() {
    let (setup, narrow_started, narrow_orders) = Setup::with_a_wide_session();
    let mut lone = pin!(setup.handle.predict(text(1), far()));
    admit(lone.as_mut());
    assert_eq!(setup.started(), [1]);
    let mut second = pin!(setup.handle.predict(Text { name: 2, length: 20 }, far()));
    let mut third = pin!(setup.handle.predict(Text { name: 3, length: 90 }, far()));
    admit(second.as_mut());
    admit(third.as_mut());
    assert_eq!(setup.queue_depth(), 2);
    setup.order(Order::Answer);
    assert_eq!(lone.await.unwrap().output, 10);
    (0..2).for_each(|_| narrow_orders.send(Order::Answer).unwrap());
    setup.order(Order::Answer);
    assert_eq!(second.await.unwrap().output, 20);
    assert_eq!(third.await.unwrap().output, 30);
    assert_eq!(narrow_started.recv_timeout(setup::PATIENCE).unwrap(), [2]);
    let batches = |session| {
        setup.series(&format!("weir_batches_total{{session=\"{session}\",tier=\"screening\"}}"))
    };
    assert_eq!(batches("narrow") + batches("wide"), 3);
}

#[tokio::test]
async fn shutdown_computes_what_waits_behind_a_wide_run() {
    let (setup, _narrow_started, narrow_orders) = Setup::with_a_wide_session();
    let Setup { handle, pool, started, orders, registry: _ } = setup;
    let mut lone = pin!(handle.predict(text(1), far()));
    admit(lone.as_mut());
    assert_eq!(started.recv_timeout(setup::PATIENCE).unwrap(), [1]);
    let mut second = pin!(handle.predict(text(2), far()));
    admit(second.as_mut());
    let stopping = thread::spawn(|| pool.shutdown());
    for _ in 0..2 {
        // Either session may compute the second; the other has left by then.
        let _ = (orders.send(Order::Answer), narrow_orders.send(Order::Answer));
    }
    lone.await.unwrap();
    assert_eq!(second.await.unwrap().output, 20);
    stopping.join().unwrap();
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
        Fleet::narrow(Vec::<Multiplier>::new()),
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
