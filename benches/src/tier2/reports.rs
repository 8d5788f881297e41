//! Reports a second: ours one at a time and eight at once, and llama.cpp's, on the same weights.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use onnx::{EncodedPrompt, Runtime};
use screening::report_schema;

use super::{
    closed::{Measured, Window},
    decode::prompt,
    decoder::{Options, Served, golden_texts, load},
    figures::{Figures, Wanted},
    llama::{self, Prompt, reports_per_second},
    settings::Settings,
    trial,
    undisturbed::undisturbed,
};
use crate::tier1::process::Server;

/// How often a disturbed measurement is repeated.
const ATTEMPTS: usize = 3;

/// Callers at once.
const CALLERS: usize = 8;
/// Nearly five hundred tokens that every prompt of the second comparison starts with.
const INSTRUCTION: &str = "You are the fraud analyst of a payment company. Judge the case below \
    and answer with one report as compact JSON: the verdict first, then the typology, the reasons \
    by their codes, the action and a short narrative. State no number that is not in the case. ";
const REPEATS: usize = 5;

/// What one comparison is made of.
pub struct Comparison<'a> {
    /// What is measured and how long.
    pub settings: &'a Settings,
    /// ONNX Runtime.
    pub runtime: &'a Runtime,
    /// For llama.cpp's server.
    pub client: &'a reqwest::Client,
}

/// A decoder in our format and in llama.cpp's.
struct Contest {
    name: &'static str,
    ours: PathBuf,
    theirs: PathBuf,
}

impl Comparison<'_> {
    fn contests(&self, model: &str) -> Vec<Contest> {
        let folder = self.settings.made.join(model);
        let contest = |name, graph: &str, gguf: &str| Contest {
            name,
            ours: folder.join(graph),
            theirs: folder.join(gguf),
        };
        vec![
            contest("fp32", "fp32-last", "f32.gguf"),
            contest("int8", "int8-last", "q8_0.gguf"),
            contest("int4", "int4-last", "q4_0.gguf"),
        ]
    }

    fn window(&self, callers: usize) -> Window {
        let duration = self.settings.window();
        Window { callers, warm_up: duration / 4, duration }
    }

    /// 250 tokens in and 80 out on 33 million random parameters, nothing cached and nothing
    /// forced.
    ///
    /// # Errors
    /// When an engine fails.
    pub async fn plain(&self, figures: &mut Figures) -> anyhow::Result<()> {
        let prompts: Arc<[EncodedPrompt]> = (0..64).map(|seed| prompt(250, seed)).collect();
        let asked = tokens(&prompts);
        let options = llama::Options { written: 80, ignore_end: true, ..llama::Options::default() };
        let trial = self.settings.window() / 2;
        for contest in self.contests("random-33m") {
            let name = contest.name;
            let plain = llama::Settings::new(&contest.theirs, CALLERS, 512, 2);
            let candidates = trial::candidates(&plain);
            let binary = &self.settings.llama_server;
            let best =
                trial::best(binary, &candidates, self.client, (&asked, &options), trial).await?;
            let start = |slots| Served::start(self.runtime, &contest.ours, &Options::plain(slots));
            let (alone, ours) = (start(1)?, start(CALLERS)?);
            let label = |who: &str| format!("reports 33M {name}: {who}, reports/s");
            for _ in 0..self.settings.rounds {
                let window = self.window(CALLERS);
                let ask =
                    async || reports_per_second(&best.endpoint, &asked, window, &options).await;
                let theirs = quietest(Some(&best.server), ask).await?;
                figures.add(&label("llama-server x8"), theirs.per_second);
                let eight = quietest(None, async || ours.reports(&prompts, window).await).await?;
                figures.add(&label("ours x8"), eight.per_second);
                let one = self.window(1);
                let one = quietest(None, async || alone.reports(&prompts, one).await).await?;
                figures.add(&label("ours, one at a time"), one.per_second);
            }
            let ratio = figures.ratio(&label("ours x8"), &label("llama-server x8"));
            let settings = best.settings.describe();
            let what = format!("reports/s over llama-server, 33M {name} ({settings})");
            figures.judge(&what, ratio, Wanted::AtLeast(1.5));
            let ratio = figures.ratio(&label("ours x8"), &label("ours, one at a time"));
            let what = format!("reports/s, 8 at once over one at a time, 33M {name}");
            figures.judge(&what, ratio, Wanted::AtLeast(3.0));
        }
        Ok(())
    }

    /// With a common instruction of some five hundred tokens before each case, the prompt caches
    /// of both on, and the schema of reports on both sides.
    ///
    /// # Errors
    /// When an engine fails.
    pub async fn cached(&self, figures: &mut Figures, model: &str) -> anyhow::Result<()> {
        let instruction = INSTRUCTION.repeat(REPEATS);
        let written = if model == "shipped" { 190 } else { 80 };
        let (read, schema) = (810, true);
        let prefix = Some(instruction.clone());
        let with = Options { slots: CALLERS, read, written, schema, prefix, forced_run: None };
        let options = llama::Options {
            written,
            cache_prompt: true,
            schema: Some(report_schema()),
            ..llama::Options::default()
        };
        for contest in self.contests(model).into_iter().take(2) {
            let prompts = self.cases(&contest.ours, &with, &instruction)?;
            let asked = tokens(&prompts);
            let plain = llama::Settings::new(&contest.theirs, CALLERS, 1024, 2);
            let (server, endpoint) =
                llama::start(&self.settings.llama_server, &plain, self.client).await?;
            let ours = Served::start(self.runtime, &contest.ours, &with)?;
            let bare = Options { prefix: None, ..with.clone() };
            let uncached = Served::start(self.runtime, &contest.ours, &bare)?;
            let name = contest.name;
            let label = |who: &str| format!("cached {model} {name}: {who}");
            for _ in 0..self.settings.rounds {
                let window = self.window(CALLERS);
                let ask = async || reports_per_second(&endpoint, &asked, window, &options).await;
                note(figures, &label("llama-server x8"), &quietest(Some(&server), ask).await?);
                let with = quietest(None, async || ours.reports(&prompts, window).await).await?;
                note(figures, &label("ours x8"), &with);
                let without = async || uncached.reports(&prompts, window).await;
                note(figures, &label("ours x8, no cache"), &quietest(None, without).await?);
            }
            let per_second = |who: &str| format!("{}, reports/s", label(who));
            let ratio = figures.ratio(&per_second("ours x8"), &per_second("llama-server x8"));
            let what = format!("reports/s over llama-server, caches and schema on, {model} {name}");
            figures.judge(&what, ratio, Wanted::AtLeast(2.5));
        }
        Ok(())
    }

    fn cases(
        &self,
        dir: &Path,
        options: &Options,
        instruction: &str,
    ) -> anyhow::Result<Arc<[EncodedPrompt]>> {
        let encoder = load(self.runtime, dir, options)?.encoder();
        let texts = golden_texts()?;
        let encode = |text: &String| Ok(encoder.encode(&format!("{instruction}{text}"))?);
        texts.iter().map(encode).collect()
    }
}

fn note(figures: &mut Figures, label: &str, measured: &Measured) {
    let [read, cached, written] = measured.mean_tokens;
    figures.add(&format!("{label}, reports/s"), measured.per_second);
    figures.add(&format!("{label}, tokens read of each"), read);
    figures.add(&format!("{label}, tokens cached of each"), cached);
    figures.add(&format!("{label}, tokens written of each"), written);
}

/// The measurement that others disturbed least.
async fn quietest<Measure>(server: Option<&Server>, measure: Measure) -> anyhow::Result<Measured>
where
    Measure: AsyncFnMut() -> anyhow::Result<Measured>,
{
    Ok(undisturbed(server, ATTEMPTS, measure).await?.measured)
}

fn tokens(prompts: &[EncodedPrompt]) -> Vec<Prompt> {
    prompts.iter().map(|prompt| Prompt::Tokens(prompt.ids.clone())).collect()
}
