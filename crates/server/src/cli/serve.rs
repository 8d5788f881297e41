//! `weir serve`: the service.

use std::{io::Write, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use clap::Args as ClapArgs;
use ledger::Ledger;
use policy::Policy;
use prometheus::Registry;
use screening::{Observer, PolicyDesk, Screener, ScreenerParts, ScreeningMetrics};
use velocity::VelocityStore;
use webhooks::Dispatcher;

use crate::{
    App, AppParts, DriftMonitor, Settings, models::Models, outbox::Announcements,
    settings::Sources, shutdown,
};

/// Serves the HTTP API until SIGTERM or SIGINT, then drains.
///
/// Examples:
///   weir serve
///   weir serve --listen 0.0.0.0:8080 --data-dir /var/lib/weir
///   WEIR_ANALYSIS__ENABLED=false weir serve
///   weir serve --config weir.toml --check
#[derive(Debug, ClapArgs)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 lets the system choose.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where the ledger lives.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Print the effective settings as TOML, without secrets, and end.
    #[arg(long)]
    check: bool,
}

/// How long the start waits for a remote engine, so that its model is named from the first decision
/// on. One that is down does not keep it that long, and one that hangs no longer.
const INTRODUCTION: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &Args, mut sources: Sources) -> anyhow::Result<ExitCode> {
    let flags = [("listen", &args.listen), ("data_dir", &args.data_dir)];
    sources.flags =
        flags.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
    let settings = Settings::load(&sources)?;
    let policy = settings.policy_document()?;
    let policy = Policy::parse(&policy).context("policy")?;
    if args.check {
        std::io::stdout().write_all(settings.to_toml()?.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    crate::telemetry::init(&settings.log);
    super::runtime(settings.http.threads)?.block_on(serve(&settings, policy))
}

async fn serve(settings: &Settings, policy: Policy) -> anyhow::Result<ExitCode> {
    // Before the models load, so that a stop during the start is a clean one.
    let stop = shutdown::signal().context("signal handlers")?;
    let registry = Registry::new();
    let models = Models::load(settings, &registry)?;
    models.introduced(INTRODUCTION).await;
    let ledger = Ledger::open(settings.ledger_config()?, &registry).await?;
    let drift = DriftMonitor::new(models.reference.as_deref(), &registry);
    let drift = Arc::new(drift.context("drift reference of tier 1's package")?);
    let endpoints = settings.webhooks.endpoints().map_err(|all| anyhow!(all.join("\n")))?;
    let webhooks = Dispatcher::new(endpoints.clone(), settings.webhooks.config(), &registry)?;
    let announcements = Announcements::new(endpoints, webhooks.nudge());
    let screener = Arc::new(Screener::new(ScreenerParts {
        velocity: Arc::new(VelocityStore::new(settings.velocity_config(), &registry)?),
        renderer: models.renderer.clone(),
        screening: Arc::clone(&models.screening),
        analysis: models.analysis.clone(),
        policies: Arc::new(PolicyDesk::new(Arc::new(policy))),
        ledger: Some(ledger.clone()),
        metrics: ScreeningMetrics::register(&registry)?,
        options: settings.analysis_options(),
        on_ledger_failure: settings.on_ledger_failure(),
        announcer: Arc::new(announcements),
        shadow: models.shadow(settings)?,
        observer: Arc::clone(&drift) as Arc<dyn Observer>,
    }));
    let parts = AppParts {
        screening_package: models.screening.package().clone(),
        analysis_package: models.analysis.as_ref().map(|model| model.package().clone()),
        registry,
        screener,
        ledger,
        drift,
        webhooks,
    };
    let app = App::build(settings, parts).await?;
    banner(&app, &models, settings);
    app.run_until_stopped(stop).await?;
    // Joins the model threads, which blocks.
    tokio::task::spawn_blocking(move || models.shutdown()).await?;
    Ok(ExitCode::SUCCESS)
}

fn banner(app: &App, models: &Models, settings: &Settings) {
    let name = |package: &domain::PackageRef| format!("{} {}", package.name, package.version);
    let analysis =
        models.analysis.as_ref().map_or_else(|| "off".into(), |model| name(model.package()));
    tracing::info!(
        address = %format!("http://{}", app.local_addr()),
        screening = name(models.screening.package()),
        analysis,
        policy = app.policy_version(),
        ledger = %settings.ledger_name(),
        "weir {} listens", env!("CARGO_PKG_VERSION"),
    );
}
