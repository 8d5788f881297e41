//! Engines that are not there, and come.

use std::time::Duration;

use prometheus::Registry;
use server::models::Models;
use tokio::net::TcpListener;

use crate::{
    engine::{Engine, report},
    service::{Service, assert_fallback, settings},
    support,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_down_at_the_start_is_used_once_it_is_up() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap().to_string();
    drop(reserved);
    let service = Service::start(&format!("http://{address}")).await;
    let decision = service.screen("down").await;
    assert_fallback(&decision, "analysis_failed");
    assert_eq!(service.metric("weir_engine_probed").await, 0.0);
    let engine = Engine::at(&address, report(), true).await;
    while service.metric("weir_engine_probed").await < 1.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let decision = loop {
        // The gauge is set a moment before cases are let through.
        let decision = service.screen("up").await;
        if decision["decided_by"] == "analysis" {
            break decision;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(decision["analysis"]["package"]["name"], "weir-analysis@vllm:stub-8b");
    assert!(!engine.asked().is_empty());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_and_comes_back_is_used_again() {
    let engine = Engine::start(report()).await;
    let service = Service::start(&engine.url).await;
    assert_eq!(service.screen("before").await["decided_by"], "analysis");
    let address = engine.url.strip_prefix("http://").unwrap().to_owned();
    drop(engine);
    assert_fallback(&service.screen("gone").await, "analysis_failed");
    let engine = Engine::at(&address, report(), true).await;
    assert_eq!(service.screen("back").await["decided_by"], "analysis");
    drop(engine);
    service.stop().await;
}

/// The names of all series of a registry.
fn series(registry: &Registry) -> Vec<String> {
    let families = registry.gather();
    families.iter().map(|family| family.name().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_metrics_exist_from_the_start_whichever_engine_is_chosen() {
    let mut all = Vec::new();
    for settings in
        [support::settings(true), support::settings(false), settings("http://127.0.0.1:9")]
    {
        let registry = Registry::new();
        let models = Models::load(&settings, &registry).unwrap();
        all.push(series(&registry));
        tokio::task::spawn_blocking(move || models.shutdown()).await.unwrap();
    }
    assert!(all[0].iter().any(|name| name == "weir_engine_breaker_state"));
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
}
