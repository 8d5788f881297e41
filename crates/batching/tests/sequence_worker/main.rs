//! The thread around the sequence scheduler, with an engine that steps only when told to.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod setup;

use std::future::Future;
use std::pin::pin;
use std::sync::mpsc::sync_channel;
use std::task::{Context, Poll, Waker};
use std::thread;

use batching::{BatchError, SequenceConfig, SequenceHandle};
use tokio::task::JoinSet;

use crate::setup::{
    Engine, Event, Joining, Order, PATIENCE, Prompt, Setup, admit, failure, far, prompt, spawn,
};

#[tokio::test]
async fn each_prompt_gets_its_own_answer_from_either_kind_of_engine() {
    for takes_in_midway in [false, true] {
        let (handle, _worker) = spawn(Engine::free_running(3, takes_in_midway));
        let mut requests = JoinSet::new();
        for name in 0..30 {
            let handle = handle.clone();
            let prompt = prompt(name, 1 + name % 5);
            requests.spawn(async move { (name, handle.generate(prompt, far()).await) });
        }
        for (name, answer) in requests.join_all().await {
            assert_eq!(answer.unwrap().output, name * 10);
        }
    }
}

#[tokio::test]
async fn a_continuous_engine_takes_a_prompt_between_two_steps() {
    let setup = Setup::new(2, true);
    let mut first = pin!(setup.handle.generate(prompt(1, 2), far()));
    admit(first.as_mut());
    setup.expect(Event::Joined(vec![1]));
    setup.expect(Event::Stepping(vec![1]));
    let mut second = pin!(setup.handle.generate(prompt(2, 1), far()));
    admit(second.as_mut());
    setup.order(Order::Step);
    setup.order(Order::Step);
    assert_eq!(first.await.unwrap().output, 10);
    assert_eq!(second.await.unwrap().output, 20);
    setup.expect(Event::Joined(vec![2]));
    setup.expect(Event::Stepping(vec![1, 2]));
}

#[tokio::test]
async fn a_static_engine_takes_prompts_when_its_batch_has_ended() {
    let setup = Setup::new(2, false);
    let mut first = pin!(setup.handle.generate(prompt(1, 2), far()));
    admit(first.as_mut());
    setup.expect(Event::Joined(vec![1]));
    let mut others: Vec<_> =
        (2..=4).map(|name| Box::pin(setup.handle.generate(prompt(name, 1), far()))).collect();
    others.iter_mut().for_each(|request| admit(request.as_mut()));
    (0..4).for_each(|_| setup.order(Order::Step));
    first.await.unwrap();
    for request in others {
        request.await.unwrap();
    }
    setup.expect(Event::Stepping(vec![1]));
    setup.expect(Event::Stepping(vec![1]));
    setup.expect(Event::Joined(vec![2, 3]));
    setup.expect(Event::Stepping(vec![2, 3]));
    setup.expect(Event::Joined(vec![4]));
}

#[tokio::test]
async fn a_full_queue_turns_away_at_once() {
    let setup = Setup::new(1, true);
    let mut running = pin!(setup.handle.generate(prompt(0, 1), far()));
    admit(running.as_mut());
    setup.expect(Event::Joined(vec![0]));
    let mut waiting: Vec<_> =
        (1..=32).map(|name| Box::pin(setup.handle.generate(prompt(name, 1), far()))).collect();
    waiting.iter_mut().for_each(|request| admit(request.as_mut()));
    let mut refused = pin!(setup.handle.generate(prompt(33, 1), far()));
    let poll = refused.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let retry_after = SequenceConfig::default().retry_after_min;
    assert_eq!(poll, Poll::Ready(Err(BatchError::Overloaded { retry_after })));
    setup.order(Order::Step);
}

#[tokio::test]
async fn a_prompt_whose_caller_left_never_joins() {
    let setup = Setup::new(1, true);
    let mut first = pin!(setup.handle.generate(prompt(1, 1), far()));
    admit(first.as_mut());
    setup.expect(Event::Joined(vec![1]));
    setup.expect(Event::Stepping(vec![1]));
    {
        let mut left = pin!(setup.handle.generate(prompt(2, 1), far()));
        admit(left.as_mut());
    }
    setup.order(Order::Step);
    first.await.unwrap();
    setup.serves(3).await;
}

#[tokio::test]
async fn a_running_sequence_whose_caller_left_is_cancelled_between_two_steps() {
    let setup = Setup::new(1, true);
    {
        let mut left = pin!(setup.handle.generate(prompt(1, 99), far()));
        admit(left.as_mut());
        setup.expect(Event::Joined(vec![1]));
        setup.expect(Event::Stepping(vec![1]));
    }
    setup.order(Order::Step);
    setup.expect(Event::Cancelled(1));
    setup.serves(2).await;
}

// The paused clock of the runtime jumps to the deadline as soon as all else waits.
#[tokio::test(start_paused = true)]
async fn a_running_sequence_that_is_late_is_answered_at_once_and_cancelled_after_the_step() {
    let setup = Setup::new(1, true);
    let mut late = pin!(setup.handle.generate(prompt(1, 99), far()));
    admit(late.as_mut());
    setup.expect(Event::Joined(vec![1]));
    setup.expect(Event::Stepping(vec![1]));
    assert_eq!(late.await, Err(BatchError::DeadlineExceeded));
    setup.order(Order::Step);
    setup.expect(Event::Cancelled(1));
}

#[tokio::test]
async fn one_failed_sequence_leaves_the_others_running() {
    let setup = Setup::new(2, false);
    // A first prompt holds the static engine until both others wait.
    let mut holder = pin!(setup.handle.generate(prompt(0, 1), far()));
    admit(holder.as_mut());
    setup.expect(Event::Joined(vec![0]));
    let mut first = pin!(setup.handle.generate(prompt(1, 1), far()));
    let mut second = pin!(setup.handle.generate(prompt(2, 1), far()));
    admit(first.as_mut());
    admit(second.as_mut());
    setup.order(Order::Step);
    setup.order(Order::FailOne);
    setup.order(Order::Step);
    holder.await.unwrap();
    assert_eq!(first.await, Err(failure("one failed")));
    assert_eq!(second.await.unwrap().output, 20);
}

#[tokio::test]
async fn a_failing_or_panicking_step_answers_all_and_the_thread_lives_on() {
    let cases = [
        (Order::FailAll, "all failed"),
        (Order::Panic, "the model panicked in step: told to panic"),
    ];
    for (order, message) in cases {
        let panics = matches!(order, Order::Panic);
        let setup = Setup::new(1, true);
        let mut first = pin!(setup.handle.generate(prompt(1, 9), far()));
        admit(first.as_mut());
        setup.order(order);
        assert_eq!(first.await, Err(failure(message)));
        setup.expect(Event::Joined(vec![1]));
        setup.expect(Event::Stepping(vec![1]));
        if panics {
            setup.expect(Event::Cancelled(1));
        }
        setup.serves(2).await;
    }
}

#[tokio::test]
async fn a_prompt_that_does_not_join_is_answered_and_the_thread_lives_on() {
    let cases = [
        (Joining::IsRefused, "refused"),
        (Joining::IsNotMentioned, "the engine did not say whether it joined"),
        (Joining::Panics, "the model panicked in join: told to panic"),
    ];
    for (joining, message) in cases {
        let setup = Setup::new(1, true);
        let refused = Prompt { name: 1, steps: 1, joining, ..prompt(0, 1) };
        assert_eq!(setup.handle.generate(refused, far()).await, Err(failure(message)));
        setup.expect(Event::Joined(vec![1]));
        setup.serves(2).await;
    }
}

#[tokio::test]
async fn shutdown_finishes_what_waits_and_runs_and_refuses_what_comes_after() {
    let Setup { handle, worker, events: _events, orders } = Setup::new(1, true);
    let mut requests: Vec<_> =
        (1..=3).map(|name| Box::pin(handle.generate(prompt(name, 1), far()))).collect();
    requests.iter_mut().for_each(|request| admit(request.as_mut()));
    (0..3).for_each(|_| orders.send(Order::Step).unwrap());
    thread::spawn(|| worker.shutdown()).join().unwrap();
    for request in requests {
        request.await.unwrap();
    }
    assert_eq!(handle.generate(prompt(4, 1), far()).await, Err(BatchError::Stopped));
}

#[tokio::test]
async fn dropping_the_worker_answers_what_waits_and_cancels_what_runs() {
    let setup = Setup::new(1, true);
    let mut running = pin!(setup.handle.generate(prompt(1, 99), far()));
    admit(running.as_mut());
    setup.expect(Event::Joined(vec![1]));
    setup.expect(Event::Stepping(vec![1]));
    let mut waiting = pin!(setup.handle.generate(prompt(2, 1), far()));
    admit(waiting.as_mut());
    let Setup { worker, events, orders, .. } = setup;
    let dropping = thread::spawn(|| drop(worker));
    assert_eq!(waiting.await, Err(BatchError::Stopped));
    orders.send(Order::Step).unwrap();
    assert_eq!(running.await, Err(BatchError::Stopped));
    dropping.join().unwrap();
    assert_eq!(events.recv_timeout(PATIENCE).unwrap(), Event::Cancelled(1));
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_prompt_whose_caller_left() {
    let Setup { handle, worker, .. } = Setup::new(0, true);
    let (done, is_done) = sync_channel(1);
    {
        let mut left = pin!(handle.generate(prompt(1, 1), far()));
        admit(left.as_mut());
        thread::spawn(move || {
            worker.shutdown();
            done.send(()).unwrap();
        });
        while is_admitted(&handle) {
            thread::yield_now();
        }
    }
    is_done.recv_timeout(PATIENCE).unwrap();
}

/// Whether the worker still takes prompts; takes its own one back.
fn is_admitted(handle: &SequenceHandle<Prompt, u32, u32>) -> bool {
    let probe = pin!(handle.generate(prompt(0, 1), far()));
    let poll = probe.poll(&mut Context::from_waker(Waker::noop()));
    poll != Poll::Ready(Err(BatchError::Stopped))
}

#[tokio::test]
async fn the_first_output_is_answered_before_the_rest_is_generated() {
    let setup = Setup::new(1, true);
    let mut starting = pin!(setup.handle.start(prompt(1, 2), far()));
    admit(starting.as_mut());
    setup.order(Order::Step);
    let started = starting.await.unwrap();
    assert_eq!(started.opened.first, 1);
    setup.order(Order::Step);
    assert_eq!(started.whole().await.unwrap().output, 10);
}

#[tokio::test]
async fn a_sequence_whose_rest_nobody_wants_is_cancelled_between_two_steps() {
    let setup = Setup::new(1, true);
    setup.order(Order::Step);
    drop(setup.handle.start(prompt(1, 99), far()).await.unwrap());
    setup.order(Order::Step);
    setup.expect(Event::Joined(vec![1]));
    setup.expect(Event::Stepping(vec![1]));
    // Whether a second step had begun before the caller left is the clock's affair.
    let event = setup.events.recv_timeout(PATIENCE).unwrap();
    if event == Event::Stepping(vec![1]) {
        setup.expect(Event::Cancelled(1));
    } else {
        assert_eq!(event, Event::Cancelled(1));
    }
}

#[tokio::test]
async fn an_engine_that_fails_after_the_first_output_fails_the_rest() {
    let setup = Setup::new(1, true);
    setup.order(Order::Step);
    let started = setup.handle.start(prompt(1, 9), far()).await.unwrap();
    setup.order(Order::FailOne);
    assert_eq!(started.whole().await, Err(failure("one failed")));
    setup.expect(Event::Joined(vec![1]));
    setup.expect(Event::Stepping(vec![1]));
    setup.expect(Event::Stepping(vec![1]));
    setup.serves(2).await;
}
