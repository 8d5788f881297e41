//! The shipped decoder in llama.cpp's server against the same decoder embedded.

use std::{
    env,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use domain::{Decision, Outcome};
use prometheus::Registry;
use screening::ScreenOptions;
use server::{
    models::Models,
    settings::{AnalysisEngine, EngineEndpoint},
};
use tokio::time::Instant;

use crate::support::{self, Cascade, cases};

/// How many escalated cases are compared.
const CASES: usize = 120;

/// A `llama-server`, killed when dropped.
struct LlamaServer {
    child: Child,
    url: String,
}

impl LlamaServer {
    fn start() -> Self {
        let of = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let (binary, model) = (of("WEIR_TEST_LLAMA_SERVER"), of("WEIR_TEST_GGUF"));
        let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = reserved.local_addr().unwrap().port().to_string();
        drop(reserved);
        let child = Command::new(binary)
            .args(["-m", &model, "--alias", "shipped", "--host", "127.0.0.1", "--port", &port])
            .args(["-t", "2", "-np", "2", "-c", "2048"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn decide(cascade: &Cascade, case: &support::Sample) -> Decision {
    cascade.release_labels(case);
    let deadline = Instant::now() + Duration::from_secs(120);
    let options = ScreenOptions::by(deadline);
    cascade.screener.screen(case.transaction.clone(), options).await.unwrap().decision
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs WEIR_TEST_LLAMA_SERVER and WEIR_TEST_GGUF, and some minutes"]
async fn the_shipped_decoder_decides_alike_in_llama_server_and_embedded() {
    let server = LlamaServer::start();
    let mut settings = support::settings(true);
    settings.analysis.engine = AnalysisEngine::OpenAi;
    settings.engine.url = Some(server.url.clone());
    settings.engine.endpoint = EngineEndpoint::Completions;
    let remote = Models::load(&settings, &Registry::new()).unwrap();
    let model = remote.analysis.clone().unwrap();
    let up_by = Instant::now() + Duration::from_secs(120);
    while !model.package().name.contains("@llama-server:shipped") {
        assert!(Instant::now() < up_by, "the server does not answer its probe");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (remote, embedded) = (Cascade::start(remote), Cascade::start(support::shipped()));
    let (mut compared, mut same_outcome, mut same_verdict) = (0, 0, 0);
    let (mut worst, mut total) = (0.0_f64, 0.0);
    let mut outcomes: Vec<_> = Outcome::ALL.iter().map(|outcome| (*outcome, 0)).collect();
    for case in cases() {
        let (there, here) = (decide(&remote, &case).await, decide(&embedded, &case).await);
        assert_eq!(there.screening.score, here.screening.score);
        let (Some(a), Some(b)) = (&there.analysis, &here.analysis) else {
            assert_eq!((&there.degraded, &here.degraded), (&None, &None));
            assert_eq!(there.analysis.is_some(), here.analysis.is_some());
            continue;
        };
        assert!(a.calibrated, "a score from log-probabilities");
        assert_eq!(a.report, domain::ReportStatus::Complete);
        compared += 1;
        same_outcome += usize::from(there.outcome == here.outcome);
        same_verdict += usize::from(a.verdict == b.verdict);
        let difference = (a.score.value() - b.score.value()).abs();
        (worst, total) = (worst.max(difference), total + difference);
        outcomes.iter_mut().filter(|(o, _)| *o == here.outcome).for_each(|(_, n)| *n += 1);
        if compared == CASES {
            break;
        }
    }
    println!(
        "{compared} escalated cases: same outcome {same_outcome}, same verdict {same_verdict}; \
         score differs by {worst:.4} at most, {:.4} on average; embedded outcomes {outcomes:?}",
        total / compared as f64
    );
    assert_eq!(compared, CASES);
    assert!(same_outcome * 100 >= compared * 95, "{same_outcome} of {compared}");
    assert!(worst < 0.05, "{worst}");
}
