//! Card numbers never leave.

use serde_json::json;

use crate::helpers::{doubtful, spawn};

const CARD: &str = "4111111111111111";

#[tokio::test]
async fn card_numbers_in_any_field_reach_neither_answer_nor_metrics_nor_ledger() {
    let app = spawn().await;
    let mut answers = String::new();
    let grouped = "4111 1111 1111 1111";
    for (n, pointer) in [
        "/id",
        "/account/id",
        "/memo",
        "/counterparty/id",
        "/counterparty/name",
        "/card/token",
        "/card/bin",
        "/terminal/id",
        "/device/id",
        "/device/user_agent",
        "/attributes/note",
        "/attributes/number",
        "/currency",
        "/timestamp",
        "/amount",
        "/4111111111111111",
        "/attributes/4111111111111111",
    ]
    .into_iter()
    .enumerate()
    {
        for text in [CARD, grouped, "order 4111-1111-1111-1111 paid"] {
            let mut transaction = doubtful(&format!("tx-{n}-{}", text.len()));
            transaction["card"] = json!({"token": "tok-1"});
            transaction["terminal"] = json!({"id": "term-1"});
            transaction["device"] = json!({"id": "dev-1"});
            transaction["attributes"] = json!({"note": "n"});
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let value =
                if pointer.ends_with("number") { json!(4111111111111111_u64) } else { json!(text) };
            transaction.pointer_mut(parent).unwrap()[name] = value;
            let body = json!({ "transaction": transaction });
            for path in ["/v1/screen", "/v1/labels"] {
                answers += &app.post_json(path, &body).await.text().await.unwrap();
            }
            for path in ["/v1/screen/batch", "/v1/events"] {
                answers += &app.post_ndjson(path, body.to_string()).await.text().await.unwrap();
            }
        }
    }
    for path in [
        "/4111111111111111".to_owned(),
        format!("/v1/decisions/{CARD}"),
        format!("/v1/decisions?cursor={CARD}&{CARD}={CARD}"),
    ] {
        let response = app.get(&path).await;
        answers += &format!("{:?}", response.headers());
        answers += &response.text().await.unwrap();
    }
    answers += &app.metrics().await;
    assert!(answers.contains("decision_id") && answers.contains("card number"));
    let prompts = app.tier2.seen.lock().unwrap().join("\n");
    assert!(prompts.contains("[card]"));
    let (ended, folder) = app.stop().await;
    ended.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        answers += &String::from_utf8_lossy(&std::fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(answers.contains("[card]"));
    for text in [CARD, grouped, "4111-1111-1111-1111"] {
        assert!(!answers.contains(text) && !prompts.contains(text), "{text}");
    }
}
