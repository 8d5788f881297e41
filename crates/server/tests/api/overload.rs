//! Past the bounds callers get a clear error that says when to return.

use crate::helpers::{Behaviour, problem, spawn, spawn_with, transaction};

#[tokio::test]
async fn a_full_tier_1_is_429_with_whole_seconds_rounded_up() {
    let app = spawn().await;
    app.tier1.set(Behaviour::Overloaded);
    let response = app.screen(transaction("tx-1")).await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(problem(response).await["type"], "/problems/overloaded");
    assert_eq!(app.decisions().await, 0);
}

#[tokio::test]
async fn too_many_requests_at_once_are_429_while_operations_still_answer() {
    let app = spawn_with(|settings| settings.http.max_in_flight = 1).await;
    app.tier1.set(Behaviour::Wait);
    let first = app.screen(transaction("tx-1"));
    let rest = async {
        app.tier1.called(1).await;
        let refused = app.screen(transaction("tx-2")).await;
        assert_eq!(refused.status(), 429);
        assert!(refused.headers().contains_key("retry-after"));
        problem(refused).await;
        for path in ["/livez", "/readyz", "/metrics"] {
            assert_eq!(app.get(path).await.status(), 200);
        }
        app.tier1.set(Behaviour::Answer);
        app.tier1.released.notify_one();
    };
    let (first, ()) = tokio::join!(first, rest);
    assert_eq!(first.status(), 200);
    drop(first);
    assert_eq!(app.screen(transaction("tx-3")).await.status(), 200);
}

#[tokio::test]
async fn a_caller_who_leaves_frees_its_place() {
    let app = spawn_with(|settings| settings.http.max_in_flight = 1).await;
    app.tier1.set(Behaviour::Hang);
    tokio::select! {
        _ = app.screen(transaction("tx-1")) => panic!("the stub hangs"),
        () = app.tier1.called(1) => {}
    }
    app.tier1.set(Behaviour::Answer);
    while app.screen(transaction("tx-2")).await.status() != 200 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(app.metrics().await.contains(r#"route="/v1/screen",status="499"} 1"#));
}
