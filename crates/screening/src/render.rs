//! Turns facts into what the models read. Text that tells them what to do never gets here:
//! both renderings leave it out ([`Facts::for_models`]).

use domain::single_line;
use package::{Template, TemplateError};
use serde::Serialize;

use crate::{facts::Facts, reasons::supported_reasons, text};

/// A rendering that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{template} template: {source}")]
pub struct RenderError {
    template: &'static str,
    source: TemplateError,
}

/// The two templates of the packages in use.
#[derive(Debug, Clone)]
pub struct Renderer {
    screening: Template,
    analysis: Option<Template>,
}

/// What the prompt template sees: the facts, and the reason codes they support.
#[derive(Serialize)]
struct CaseContext<'a> {
    #[serde(flatten)]
    facts: &'a Facts,
    signals: Vec<domain::Code>,
}

impl Renderer {
    /// Takes tier 1's `input.j2` and tier 2's `prompt.j2`.
    #[must_use]
    pub fn new(screening: Template, analysis: Option<Template>) -> Self {
        text::prepare();
        Self { screening, analysis }
    }

    /// Exactly the text that tier 1 sees.
    ///
    /// # Errors
    /// When the template asks for what the facts have not.
    pub fn screening_text(&self, facts: &Facts) -> Result<String, RenderError> {
        self.screening
            .render(facts.for_models())
            .map(|text| single_line(&text))
            .map_err(|source| RenderError { template: "screening", source })
    }

    /// Exactly the prompt that tier 2 sees; `None` without an analysis package.
    ///
    /// # Errors
    /// When the template asks for what the facts have not.
    pub fn analysis_prompt(&self, facts: &Facts) -> Result<Option<String>, RenderError> {
        let Some(template) = &self.analysis else { return Ok(None) };
        let facts = &*facts.for_models();
        let told = supported_reasons(facts).into_iter().filter(|r| r.code.is_for_models());
        let signals = told.map(|reason| reason.code).collect();
        template
            .render(CaseContext { facts, signals })
            .map(Some)
            .map_err(|source| RenderError { template: "analysis", source })
    }
}
