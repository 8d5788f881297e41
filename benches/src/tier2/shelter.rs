//! Tier 1's latency with tier 2 idle, and with tier 2 saturated.

use std::{path::Path, process::Command, sync::Arc};

use anyhow::{Context, ensure};
use bytes::Bytes;
use package::Package;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    figures::{Figures, Wanted},
    settings::Settings,
};
use crate::tier1::{
    http::{Load, Subject, measure},
    process::Server,
    texts, weir,
};

/// Payments a second that tier 1 clears meanwhile.
const RATE: f64 = 60.0;
/// Callers that keep tier 2 busy: more than it has slots.
const ANALYSTS: usize = 12;
const HISTORY: &str = "samples/history.ndjson";
const PAYMENTS: &str = "samples/payments.ndjson";

/// Measures both, in turn.
///
/// # Errors
/// When the server cannot be started or does not answer.
pub async fn compare(
    figures: &mut Figures,
    settings: &Settings,
    client: &reqwest::Client,
) -> anyhow::Result<()> {
    let mut server = Server::start("weir", |port, folder| {
        let mut command = Command::new(&settings.weir);
        command
            .arg("serve")
            .env("WEIR_LISTEN", format!("127.0.0.1:{port}"))
            .env("WEIR_DATA_DIR", folder);
        command
    })?;
    server.wait(client.get(format!("{}/readyz", server.base))).await?;
    weir::backfill(client, &server, Path::new(HISTORY)).await?;
    let (cleared, escalated) = sorted(client, &server).await?;
    ensure!(cleared.len() > 100 && escalated.len() > 10, "the sample has too few of either");
    let subject = Subject {
        name: "weir".to_owned(),
        url: format!("{}/v1/screen", server.base),
        references: vec![0.0; cleared.len()].into(),
        bodies: cleared.into(),
        score_after: r#""screening":{"score":"#,
        checked: false,
        deadline: None,
    };
    let names = ["shelter: tier 1 with tier 2 idle", "shelter: tier 1 with tier 2 saturated"];
    for round in 0..settings.rounds.max(3) as usize {
        let load = Load::open(RATE, settings.window(), round);
        let idle = measure(&server, &subject, load).await?;
        let busy = saturate(client, &server, &escalated);
        let saturated = measure(&server, &subject, load).await?;
        let reports = finish(busy).await;
        for (name, sample) in names.iter().zip([idle, saturated]) {
            figures.add(&format!("{name}, p50 ms"), sample.p50_ms.unwrap_or(f64::NAN));
            figures.add(&format!("{name}, p99 ms"), sample.p99_ms.unwrap_or(f64::NAN));
        }
        figures
            .add("shelter: reports meanwhile, reports/s", reports as f64 / settings.seconds / 1.2);
    }
    let p99 = |name: &str| format!("{name}, p99 ms");
    let ratio = figures.ratio(&p99(names[1]), &p99(names[0]));
    figures.judge("tier 1's p99, tier 2 saturated over idle", ratio, Wanted::AtMost(1.1));
    Ok(())
}

/// Bodies of the transactions that tier 1 clears, and of those that it escalates.
async fn sorted(
    client: &reqwest::Client,
    server: &Server,
) -> anyhow::Result<(Vec<Bytes>, Vec<Bytes>)> {
    let package = Package::open(Path::new("models/screening"))?;
    let template = package.template()?.context("no template")?;
    let texts = texts::read(template, Path::new(HISTORY), Path::new(PAYMENTS), 600)?;
    let (mut cleared, mut escalated) = (Vec::new(), Vec::new());
    for text in &texts {
        let transaction: Value = serde_json::from_str(&text.transaction)?;
        let body = json!({ "transaction": transaction, "dry_run": true }).to_string();
        let answer = ask(client, &server.base, body.clone().into()).await?;
        let decided_by = answer["decided_by"].as_str().unwrap_or_default();
        if decided_by == "screening" { &mut cleared } else { &mut escalated }.push(body.into());
    }
    Ok((cleared, escalated))
}

async fn ask(client: &reqwest::Client, base: &str, body: Bytes) -> anyhow::Result<Value> {
    let request = client.post(format!("{base}/v1/screen"));
    let request = request.header("content-type", "application/json").body(body);
    Ok(request.send().await?.error_for_status()?.json().await?)
}

/// Callers that ask for analyses one after the other until aborted.
fn saturate(client: &reqwest::Client, server: &Server, bodies: &[Bytes]) -> Busy {
    let bodies: Arc<[Bytes]> = bodies.into();
    let answered = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for first in 0..ANALYSTS {
        let (client, base, bodies) = (client.clone(), server.base.clone(), Arc::clone(&bodies));
        let answered = Arc::clone(&answered);
        callers.spawn(async move {
            for number in first.. {
                if ask(&client, &base, bodies[number % bodies.len()].clone()).await.is_ok() {
                    answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }
        });
    }
    Busy { callers, answered }
}

struct Busy {
    callers: JoinSet<()>,
    answered: Arc<std::sync::atomic::AtomicUsize>,
}

async fn finish(mut busy: Busy) -> usize {
    busy.callers.shutdown().await;
    busy.answered.load(std::sync::atomic::Ordering::Relaxed)
}
