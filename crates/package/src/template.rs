//! Compiles and renders a package's template.

use std::{fs, path::Path, sync::Arc};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use crate::{filters, open::PackageError};

/// A template that does not compile or render.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl From<minijinja::Error> for TemplateError {
    fn from(error: minijinja::Error) -> Self {
        let line = error.line().map(|line| format!("line {line}: ")).unwrap_or_default();
        Self(format!("{line}{error}"))
    }
}

/// How many instructions one rendering may take: loops in templates are bounded too.
const FUEL: u64 = 200_000;
const NAME: &str = "template";

/// A compiled template. Cheap to clone; rendering is pure and deterministic.
#[derive(Clone, Debug)]
pub struct Template {
    environment: Arc<Environment<'static>>,
    leading: Arc<str>,
}

impl Template {
    /// Compiles the file.
    ///
    /// # Errors
    /// When it cannot be read or does not compile.
    pub fn read(path: &Path) -> Result<Self, PackageError> {
        let source = fs::read_to_string(path)
            .map_err(|source| PackageError::Io { path: path.to_owned(), source })?;
        Self::compile(&source)
            .map_err(|source| PackageError::Template { path: path.to_owned(), source })
    }

    /// Compiles a template's text. An undefined variable used in output is an error; one
    /// that is only tested or defaulted is not.
    ///
    /// # Errors
    /// When it does not compile; the error names the line.
    pub fn compile(source: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment
            .set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_fuel(Some(FUEL));
        filters::add_to(&mut environment);
        environment.add_template_owned(NAME, source.to_owned())?;
        Ok(Self { environment: Arc::new(environment), leading: leading(source).into() })
    }

    /// What every rendering starts with, as far as the source tells: its text before the first
    /// expression or statement, without white space at its end.
    #[must_use]
    pub fn leading_text(&self) -> &str {
        &self.leading
    }

    /// Renders the context.
    ///
    /// # Errors
    /// When the template uses what the context has not, or runs out of bounds.
    pub fn render(&self, context: impl Serialize) -> Result<String, TemplateError> {
        Ok(self.environment.get_template(NAME)?.render(Serde(context))?)
    }
}

fn leading(source: &str) -> &str {
    let mut rest = source;
    while let Some(comment) = rest.strip_prefix("{#") {
        let Some((comment, behind)) = comment.split_once("#}") else { return "" };
        // One line end behind a comment goes with it; with a dash, all white space does.
        let behind_line = behind.strip_prefix('\n').unwrap_or(behind);
        rest = if comment.ends_with('-') { behind.trim_start() } else { behind_line };
    }
    let end = ["{{", "{%", "{#"].iter().filter_map(|tag| rest.find(tag)).min();
    rest[..end.unwrap_or(rest.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leading_text_is_what_every_rendering_starts_with() {
        for (source, leading) in [
            ("Judge the case.\n{{ x }}", "Judge the case."),
            ("{#- why -#}\n\n Judge {% if x %}1{% endif %}", "Judge"),
            ("{# why #}\nJudge", "Judge"),
            ("{{ x }} Judge", ""),
            ("{# never ends", ""),
            ("", ""),
        ] {
            let Ok(template) = Template::compile(source) else {
                assert_eq!(super::leading(source), leading);
                continue;
            };
            assert_eq!(template.leading_text(), leading, "{source}");
            let rendered = template.render(std::collections::BTreeMap::from([("x", 1)])).unwrap();
            assert!(rendered.starts_with(leading), "{rendered}");
        }
    }
}
