//! The generator against servers that behave badly. Bounds on times are those that the server's own
//! sleeps guarantee; how long anything takes is not asserted.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod stub;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use load::{Answer, Arrivals, LoadError, Measured, Observer, Plan, Session, Traffic, UniqueIds};

use crate::stub::{Reaction, Stub};

const OK: Reaction = Reaction::Answer(200, &[]);

fn traffic(stub: &Stub) -> Traffic {
    Traffic {
        url: format!("http://{}/path?query", stub.address).parse().unwrap(),
        bodies: Arc::from(["a".into(), "bb".into(), "ccc".into()]),
        content_type: "text/plain".into(),
        headers: vec![("x-test".into(), "1".into())],
    }
}

fn plan(arrivals: Arrivals) -> Plan {
    Plan {
        arrivals,
        connections_max: 64,
        idle_connections: 0,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(500),
        timeout: Duration::from_secs(30),
    }
}

fn constant(per_second: f64) -> Plan {
    plan(Arrivals::Constant { per_second })
}

async fn run(stub: &Stub, plan: &Plan) -> Measured {
    load::run(&traffic(stub), plan, &(), &()).await.unwrap()
}

/// What holds of every run.
fn assert_adds_up(measured: &Measured) {
    let ends = measured.by_status.values().sum::<u64>() + measured.errors.values().sum::<u64>();
    assert_eq!(measured.sent, ends, "{measured:?}");
    assert_eq!(measured.scheduled, ends + measured.unsent, "{measured:?}");
    let seconds = |of: fn(&load::Second) -> u64| measured.seconds.iter().map(of).sum::<u64>();
    assert_eq!(seconds(|second| second.scheduled), measured.scheduled);
    assert_eq!(seconds(|second| second.ok), measured.ok());
    assert_eq!(seconds(|second| second.refused), measured.refusals());
    assert_eq!(
        seconds(|second| second.errors),
        measured.scheduled - measured.ok() - measured.refusals()
    );
}

#[tokio::test]
async fn a_stall_counts_for_every_request_that_it_held_up_and_not_only_for_those_in_flight() {
    let stall = Duration::from_secs(1);
    let stub = Stub::start(move |nth| if nth == 50 { Reaction::Stall(stall) } else { OK });
    // Two connections: while the server stalls, all but two of the requests cannot be sent.
    let plan = Plan { connections_max: 2, duration: Duration::from_secs(2), ..constant(200.0) };
    let measured = run(&stub, &plan).await;
    assert_adds_up(&measured);
    assert_eq!(measured.ok(), 400);
    // Two requests were on the wire.
    let sent_slow = measured.service.count_between(500_000, u64::MAX);
    let truly_slow = measured.latency.count_between(500_000, u64::MAX);
    assert!(measured.waited >= 150, "{}", measured.waited);
    // Of a second without answers, the first half waited half a second or more.
    assert!(truly_slow >= 90 && truly_slow > 10 * sent_slow, "{truly_slow} and {sent_slow}");
    assert!(measured.quantile(0.9) >= Duration::from_millis(500));
}

#[tokio::test]
async fn a_closed_loop_is_blind_to_the_same_stall() {
    let stall = Duration::from_secs(1);
    let stub = Stub::start(move |nth| if nth == 50 { Reaction::Stall(stall) } else { OK });
    let plan =
        Plan { duration: Duration::from_secs(2), ..plan(Arrivals::Closed { connections: 2 }) };
    let measured = run(&stub, &plan).await;
    assert_adds_up(&measured);
    assert!(measured.latency.max() >= 1_000_000);
    assert!(measured.latency.count_between(500_000, u64::MAX) <= 2);
}

#[tokio::test]
async fn refusals_are_kept_apart_and_those_without_retry_after_are_counted() {
    let stub = Stub::start(|nth| match nth % 4 {
        0 => Reaction::Answer(429, &[("retry-after", "1")]),
        1 => Reaction::Answer(503, &[]),
        2 => Reaction::Answer(400, &[]),
        _ => OK,
    });
    let measured = run(&stub, &constant(80.0)).await;
    assert_adds_up(&measured);
    assert_eq!(measured.by_status, [(200, 10), (400, 10), (429, 10), (503, 10)].into());
    assert_eq!(measured.missing_retry_after, 10);
    assert_eq!((measured.refused.len(), measured.latency.len()), (20, 10));
    assert_eq!(measured.error_share(), 0.75);
    assert_eq!(measured.error_share_besides_refusals(), 0.25);
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_an_error_and_the_next_request_opens_another() {
    let stub = Stub::start(|nth| if nth % 2 == 0 { Reaction::Close } else { OK });
    let measured = run(&stub, &constant(80.0)).await;
    assert_adds_up(&measured);
    assert_eq!(measured.ok(), 20);
    let closed: u64 =
        ["closed", "reset"].iter().filter_map(|name| measured.errors.get(*name)).sum();
    assert_eq!(closed, 20, "{:?}", measured.errors);
}

#[tokio::test]
async fn a_connection_that_ends_with_its_answer_is_no_error() {
    let stub = Stub::start(|_| Reaction::Answer(200, &[("connection", "close")]));
    let measured = run(&stub, &constant(80.0)).await;
    assert_adds_up(&measured);
    assert_eq!(measured.ok(), 40, "{measured:?}");
}

#[tokio::test]
async fn a_server_that_never_answers_costs_timeouts_and_what_found_no_connection_is_never_sent() {
    let stub = Stub::start(|_| Reaction::Never);
    // More requests give up in a millisecond than one connection can take up.
    let plan =
        Plan { connections_max: 1, timeout: Duration::from_millis(300), ..constant(4_000.0) };
    let measured = run(&stub, &plan).await;
    assert_adds_up(&measured);
    assert_eq!(measured.scheduled, 2_000);
    assert!(measured.errors["timeout"] >= 1);
    assert!(measured.unsent > 0);
    assert_eq!(measured.throughput(), 0.0);
    assert_eq!(measured.error_share(), 1.0);
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_told_apart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let server = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 64]).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-x\r\n\r\n").await;
        }
    };
    let traffic = Traffic {
        url,
        bodies: Arc::from(["x".into()]),
        content_type: "text/plain".into(),
        headers: Vec::new(),
    };
    let plan = constant(20.0);
    let measured = tokio::select! {
        () = server => unreachable!(),
        measured = load::run(&traffic, &plan, &(), &()) => measured.unwrap(),
    };
    assert_eq!(measured.errors, [("protocol".to_owned(), 10)].into());
}

#[derive(Default)]
struct Seen(Mutex<Vec<(usize, String)>>);

impl Observer for Seen {
    fn answered(&self, answer: &Answer<'_>) {
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(answer.latency >= answer.service);
        self.0.lock().unwrap().push((answer.body_index, body));
    }
}

#[tokio::test]
async fn the_observer_sees_each_measured_answer_with_the_body_that_was_sent() {
    let stub = Stub::start(|_| OK);
    let plan = Plan { warm_up: Duration::from_millis(200), ..constant(30.0) };
    let seen = Seen::default();
    let measured = load::run(&traffic(&stub), &plan, &seen, &()).await.unwrap();
    let seen = seen.0.into_inner().unwrap();
    assert_eq!((measured.ok(), seen.len()), (15, 15));
    // The six of the warm-up are answered and not measured.
    assert_eq!(stub.bodies().len(), 21);
    for (index, body) in seen {
        assert_eq!(body, ["a", "bb", "ccc"][index]);
    }
}

#[test]
fn threads_share_the_arrivals_and_keep_identifiers_unique() {
    let stub = Stub::start(|_| OK);
    let traffic = traffic(&stub);
    let unique = UniqueIds { ends: Arc::from([1, 2, 3]), run: 0 };
    let plan = plan(Arrivals::Poisson { per_second: 200.0, seed: 3 });
    let session = Session {
        traffic: &traffic,
        plan: &plan,
        unique: Some(&unique),
        observer: &(),
        progress: &(),
    };
    let measured = session.run_on_threads(NonZeroUsize::new(3).unwrap()).unwrap();
    assert_adds_up(&measured);
    assert_eq!(measured.ok(), load::Schedule::new(&plan).count() as u64);
    let mut bodies = stub.bodies();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len() as u64, measured.ok());
}

#[tokio::test]
async fn idle_connections_stay_open_beside_the_load() {
    let stub = Stub::start(|_| OK);
    let plan = Plan { idle_connections: 50, ..constant(40.0) };
    let measured = run(&stub, &plan).await;
    assert_eq!((measured.ok(), measured.idle_closed), (20, 0));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_before_anything_is_counted() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stub = Stub::start(|_| OK);
    let mut traffic = traffic(&stub);
    let address = listener.local_addr().unwrap();
    drop(listener);
    traffic.url = format!("http://{address}/").parse().unwrap();
    let error = load::run(&traffic, &constant(10.0), &(), &()).await.unwrap_err();
    assert!(matches!(error, LoadError::Unreachable { .. }), "{error}");
    traffic.url = "https://127.0.0.1/".parse().unwrap();
    let error = load::run(&traffic, &constant(10.0), &(), &()).await.unwrap_err();
    assert!(matches!(error, LoadError::Url { .. }), "{error}");
}
