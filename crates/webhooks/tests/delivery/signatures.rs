//! Signatures, verified by other code than made them.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use webhooks::{Message, Sender, Sent};

use crate::receiver::*;

const OTHER: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// HMAC-SHA256 by the book (RFC 2104), for keys of at most 64 bytes.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |with: u8| -> Vec<u8> {
        (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect()
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// As the specification has it: `{id}.{timestamp}.{body}`.
fn expected(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = format!("{id}.{timestamp}.{body}");
    format!("v1,{}", STANDARD.encode(hmac(&key, signed.as_bytes())))
}

fn message(body: &str) -> Message {
    let timestamp = Timestamp::from_second(1_649_367_553).unwrap();
    Message { id: Uuid::now_v7(), timestamp, body: body.into() }
}

#[test]
fn the_verifier_of_these_tests_agrees_with_the_published_vector() {
    let id = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    let body = r#"{"email":"test@example.com","username":"test_user"}"#;
    let signature = expected(SECRET, id, "1649367553", body);
    assert_eq!(signature, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
}

#[tokio::test]
async fn a_message_arrives_as_it_was_signed() {
    let receiver = Receiver::always(Answer::Status(204)).await;
    let message = message(r#"{"memo":"Ça sent mauvais"}"#);
    assert_eq!(receiver.sender().send(&message).await, Sent::Delivered);
    let seen = &receiver.seen()[0];
    assert_eq!(seen.line, "POST /hook HTTP/1.1");
    assert_eq!(seen.body, message.body);
    assert_eq!(seen.id(), message.id.to_string());
    assert_eq!(seen.header("webhook-timestamp"), "1649367553");
    assert_eq!(seen.header("content-type"), "application/json");
    let signature = expected(SECRET, seen.id(), "1649367553", &seen.body);
    assert_eq!(seen.header("webhook-signature"), signature);
}

#[tokio::test]
async fn while_a_secret_is_changed_both_signatures_are_sent() {
    let receiver = Receiver::always(Answer::Status(200)).await;
    let url = format!("http://{}/", receiver.address);
    let sender = Sender::new(endpoint("one", &url, &[OTHER, SECRET]), &quick()).unwrap();
    assert_eq!(sender.send(&message("{}")).await, Sent::Delivered);
    let seen = &receiver.seen()[0];
    let both = [OTHER, SECRET].map(|secret| expected(secret, seen.id(), "1649367553", "{}"));
    assert_eq!(seen.header("webhook-signature"), both.join(" "));
}
