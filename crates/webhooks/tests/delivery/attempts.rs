//! Single attempts.

use std::time::Duration;

use jiff::Timestamp;
use tokio::net::TcpListener;
use uuid::Uuid;
use webhooks::{Config, Message, Sender, Sent};

use crate::receiver::*;

fn message() -> Message {
    let body = r#"{"account":"acc-7"}"#.into();
    Message { id: Uuid::now_v7(), timestamp: Timestamp::now(), body }
}

async fn detail(answer: Answer) -> (String, Option<Duration>) {
    let receiver = Receiver::always(answer).await;
    match receiver.sender().send(&message()).await {
        Sent::Failed { detail, retry_after } => (detail, retry_after),
        other @ (Sent::Delivered | Sent::Gone) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_an_endpoint_writes_is_never_repeated() {
    let echo = br#"cannot read {"account":"acc-7"}"#.to_vec();
    let (detail, _) = detail(Answer::Full(500, String::new(), echo)).await;
    assert_eq!(detail, "500");
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let elsewhere = Receiver::always(Answer::Status(200)).await;
    let location = format!("location: http://{}/\r\n", elsewhere.address);
    for status in [301, 302, 307, 308] {
        let (detail, _) = detail(Answer::Full(status, location.clone(), Vec::new())).await;
        assert_eq!(detail, format!("{status} (redirects are not followed)"));
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn a_wish_to_be_left_alone_is_reported() {
    let answer = Answer::Full(429, "retry-after: 17\r\n".into(), Vec::new());
    assert_eq!(detail(answer).await, ("429".into(), Some(Duration::from_secs(17))));
}

#[tokio::test]
async fn an_endpoint_that_is_gone_says_so() {
    let receiver = Receiver::always(Answer::Status(410)).await;
    assert_eq!(receiver.sender().send(&message()).await, Sent::Gone);
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_left_in_time() {
    let (detail, _) = detail(Answer::Hang).await;
    assert_eq!(detail, "no answer in time");
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_failure() {
    let (detail, _) = detail(Answer::Reset).await;
    assert!(detail.starts_with("the connection broke"), "{detail}");
}

#[tokio::test]
async fn nobody_there_is_a_failure_that_names_no_address() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{address}/secret-path");
    let sender = Sender::new(endpoint("one", &url, &[SECRET]), &quick()).unwrap();
    let Sent::Failed { detail, .. } = sender.send(&message()).await else { panic!() };
    assert!(detail.starts_with("no connection"), "{detail}");
    assert!(!detail.contains("secret-path") && !detail.contains("whsec"), "{detail}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let receiver = Receiver::always(Answer::Endless(200)).await;
    assert_eq!(receiver.sender().send(&message()).await, Sent::Delivered);
    let taken = receiver.written();
    assert!(taken < 32 << 20, "{taken} bytes");
}

#[tokio::test]
async fn a_slow_endpoint_has_its_time() {
    let config = Config { timeout: Duration::from_secs(20), ..quick() };
    let receiver = Receiver::always(Answer::Late(2 * quick().timeout, 200)).await;
    let sender = Sender::new(receiver.endpoint("one"), &config).unwrap();
    assert_eq!(sender.send(&message()).await, Sent::Delivered);
}

#[tokio::test]
async fn an_https_endpoint_that_speaks_no_tls_gets_no_message() {
    let receiver = Receiver::always(Answer::Status(200)).await;
    let url = format!("https://{}/", receiver.address);
    let sender = Sender::new(endpoint("one", &url, &[SECRET]), &quick()).unwrap();
    assert!(matches!(sender.send(&message()).await, Sent::Failed { .. }));
    assert!(receiver.seen().is_empty());
}
