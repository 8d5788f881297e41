//! The cascade on llama.cpp's server with the shipped decoder's weights, against the embedded one.
//!
//! `benches/tier2/peers/environment` builds the server, `benches/tier2/graphs/make` the file:
//! `cargo test --release -p server --test engines -- --ignored --nocapture`

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use domain::Decision;
use screening::Narrative;
use serde_json::Value;
use server::{
    Settings,
    settings::{EngineEndpoint, EngineKind},
};

use crate::setup::Setup;

/// How many cases are compared.
const CASES: usize = 120;

struct LlamaServer {
    child: Child,
    url: String,
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn llama_server(weights: &str) -> LlamaServer {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new(root().join(".tools/tier2-peers/llama-server"))
        .arg("-m")
        .arg(root().join("target/bench/tier2/shipped").join(weights))
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "-np", "4", "-c", "4096"])
        .args(["-t", "2", "--no-ui"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("benches/tier2/peers/environment builds it");
    let server = LlamaServer { child, url: format!("http://127.0.0.1:{port}") };
    for _ in 0..600 {
        let health = reqwest::get(format!("{}/health", server.url)).await;
        if health.is_ok_and(|answer| answer.status().is_success()) {
            return server;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("llama-server does not answer");
}

fn settings(engine: Option<&str>) -> Settings {
    let mut settings = Settings::default();
    settings.screening.package = root().join("models/screening");
    settings.analysis.package = root().join("models/analysis");
    if let Some(url) = engine {
        settings.analysis.engine = EngineKind::OpenAi;
        settings.engine.url = url.to_owned();
        // The shipped decoder reads bare prompts.
        settings.engine.endpoint = EngineEndpoint::Completions;
        settings.engine.max_concurrency = 4;
    }
    settings
}

async fn decisions(setup: &Setup) -> Vec<Decision> {
    let samples = fs::read_to_string(root().join("samples/payments.ndjson")).unwrap();
    let mut decisions = Vec::new();
    for line in samples.lines().take(CASES) {
        let sample: Value = serde_json::from_str(line).unwrap();
        decisions.push(setup.decide_on(&sample["transaction"]).await);
    }
    decisions
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs llama-server and the shipped decoder as GGUF"]
async fn the_cascade_decides_alike_on_llama_server_and_on_the_embedded_engine() {
    let embedded = Setup::with(&settings(None), Narrative::Inline).await;
    let expected = decisions(&embedded).await;
    for weights in ["f32.gguf", "q8_0.gguf"] {
        let server = llama_server(weights).await;
        let remote = Setup::with(&settings(Some(&server.url)), Narrative::Inline).await;
        let found = decisions(&remote).await;
        let degraded = found.iter().filter(|decision| decision.degraded.is_some()).count();
        let pairs = || found.iter().zip(&expected);
        let same = pairs().filter(|(a, b)| a.outcome == b.outcome).count();
        let apart = |(a, b): (&Decision, &Decision)| (a.score.value() - b.score.value()).abs();
        let worst = pairs().map(apart).fold(0.0, f64::max);
        let calibrated = found.iter().filter_map(|decision| decision.analysis.as_ref());
        assert!(calibrated.clone().all(|analysis| analysis.calibrated));
        println!(
            "{weights}: {same} of {CASES} outcomes alike, largest difference of a score {worst:.4}, \
             {degraded} degraded"
        );
        assert_eq!(degraded, 0);
        assert!(same * 100 >= CASES * 98, "{same}");
        assert!(worst < 0.05, "{worst}");
    }
}
