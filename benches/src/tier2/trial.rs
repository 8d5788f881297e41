//! llama.cpp's server with the settings that suit it best.

use std::{path::Path, time::Duration};

use anyhow::Context;

use super::{
    closed::Window,
    llama::{Endpoint, Options, Prompt, Settings, reports_per_second, start},
    undisturbed::undisturbed,
};
use crate::tier1::process::Server;

/// How often a candidate is measured while others use the machine.
const ATTEMPTS: usize = 10;

/// A server with the best of the settings tried.
pub struct Best {
    /// Its process.
    pub server: Server,
    /// How it is asked.
    pub endpoint: Endpoint,
    /// Its settings.
    pub settings: Settings,
    /// What every candidate wrote in the trial: settings in words, reports a second.
    pub tried: Vec<(String, f64)>,
}

/// Settings worth trying: attention fused or not, cache halved or not, shared by all slots or not,
/// and how many tokens of prompts are computed at once.
#[must_use]
pub fn candidates(plain: &Settings) -> Vec<Settings> {
    let with = |change: &dyn Fn(&mut Settings)| {
        let mut settings = plain.clone();
        change(&mut settings);
        settings
    };
    vec![
        plain.clone(),
        with(&|settings| settings.flash_attention = false),
        with(&|settings| settings.cache_type = "f32"),
        with(&|settings| settings.unified_cache = true),
        with(&|settings| settings.batch = [512, 128]),
        with(&|settings| settings.batch = [256, 256]),
    ]
}

/// Tries every candidate for `trial` with as many callers as it has slots, and keeps the best.
///
/// # Errors
/// When a server cannot be started or fails.
pub async fn best(
    binary: &Path,
    candidates: &[Settings],
    client: &reqwest::Client,
    (prompts, options): (&[Prompt], &Options),
    trial: Duration,
) -> anyhow::Result<Best> {
    let mut tried = Vec::new();
    let mut ahead: Option<(f64, &Settings)> = None;
    for settings in candidates {
        let (server, endpoint) = start(binary, settings, client).await?;
        let window = Window { callers: settings.slots, warm_up: trial / 4, duration: trial };
        let once = async || reports_per_second(&endpoint, prompts, window, options).await;
        let found = undisturbed(Some(&server), ATTEMPTS, once).await?;
        let rate = found.measured.per_second;
        tried.push((settings.describe(), rate));
        if ahead.is_none_or(|(best, _)| rate > best) {
            ahead = Some((rate, settings));
        }
    }
    let (_, settings) = ahead.context("no settings to try")?;
    let (server, endpoint) = start(binary, settings, client).await?;
    Ok(Best { server, endpoint, settings: settings.clone(), tried })
}
