//! Rules in CEL: compiled, checked and bounded when the policy is read, run on the facts of each
//! transaction.

use std::{
    fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cel::{Context, Env, ExecutionError, Program, Value};
use domain::{Code, Outcome, Score};
use serde::{Deserialize, Serialize};

use crate::{document, error::Problems};

mod check;
mod cost;
mod position;
mod view;
pub mod vocabulary;

use check::Checker;
use position::Origin;
pub(crate) use view::{Sight, Views};

/// The longest expression, in bytes.
const EXPRESSION_MAX: usize = 2_048;
/// How deep brackets may stand in each other.
const NESTING_MAX: usize = 32;
/// The most steps of all rules together.
const STEPS_MAX: u64 = 200_000;
/// The most characters of an error's detail.
const DETAIL_MAX: usize = 160;

/// What a rule does when its condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The outcome is this, whatever the models say; floors still hold.
    Outcome(Outcome),
    /// The outcome is at least this strict.
    AtLeast(Outcome),
    /// Tier 2 looks, whatever the score.
    Escalate,
}

impl Effect {
    /// What the rule may see. A text of a stranger's making must never make an outcome laxer:
    /// where the rule replaces the outcome by anything but the strictest, it sees none.
    fn sight(self) -> Sight {
        match self {
            Self::Outcome(Outcome::Decline) | Self::AtLeast(_) | Self::Escalate => Sight::Full,
            Self::Outcome(Outcome::Approve | Outcome::Challenge | Outcome::Review) => {
                Sight::WithoutText
            }
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outcome(outcome) => write!(f, "{outcome}"),
            Self::AtLeast(outcome) => write!(f, "at least {outcome}"),
            Self::Escalate => write!(f, "escalate"),
        }
    }
}

/// A rule whose condition held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHit {
    /// The rule's id.
    pub id: String,
    /// The reason code it gives.
    pub code: Code,
    /// The rule's own words, or that it held.
    pub detail: String,
    /// What it does.
    pub effect: Effect,
}

/// A rule that could not be evaluated. It counts as not matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleError {
    /// The rule's id.
    pub rule: String,
    /// Why; holds no value of the transaction.
    pub detail: String,
}

/// Something wrong with an expression, at bytes of it.
#[derive(Debug)]
struct Flaw {
    at: Option<Range<usize>>,
    detail: String,
}

/// A rule, ready to run.
struct Rule {
    hit: RuleHit,
    program: Program,
}

/// All rules of a policy, in its order.
pub(crate) struct Rules {
    env: Arc<Env>,
    rules: Vec<Rule>,
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rules.iter().map(|rule| &rule.hit)).finish()
    }
}

/// What the rules found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) hits: Vec<RuleHit>,
    pub(crate) errors: Vec<RuleError>,
}

impl Rules {
    /// Compiles and checks every rule.
    pub(crate) fn compile(written: &[document::Rule], problems: &mut Problems<'_>) -> Self {
        let env = Arc::new(Env::stdlib());
        let sample = Views::new(&env, &view::sample());
        let mut rules = Vec::new();
        let mut total = 0;
        for rule in written {
            // What has no effect is refused already; its condition may be wrong as well.
            let hit = hit(rule);
            let sight = hit.as_ref().map_or(Sight::Full, |hit| hit.effect.sight());
            let expression = rule.when.get_ref();
            let compiled = compile(&env, expression, sight).and_then(|(program, steps)| {
                total += steps;
                try_out(&program, sample.get(Sight::Full))?;
                Ok(program)
            });
            match compiled {
                Ok(program) => rules.extend(hit.map(|hit| Rule { hit, program })),
                Err(Flaw { at, detail }) => {
                    let origin = Origin::new(problems.document(), rule.when.span(), expression);
                    let span = at.map_or(rule.when.span(), |at| origin.span(at));
                    problems.add(span, format!("rule `{}`: {detail}", rule.id.get_ref()));
                }
            }
        }
        if let (true, Some(last)) = (total > STEPS_MAX, written.last()) {
            let detail = format!("all rules may take {total} steps; at most {STEPS_MAX}");
            problems.add(last.when.span(), detail);
        }
        Self { env, rules }
    }

    pub(crate) fn len(&self) -> usize {
        self.rules.len()
    }

    /// Runs the rules. Of those that set an outcome only the first that holds is a hit.
    pub(crate) fn run(
        &self,
        facts: &impl Serialize,
        screening: Score,
        instructed: bool,
    ) -> Findings {
        let mut findings = Findings::default();
        if self.rules.is_empty() {
            return findings;
        }
        let Some(facts) = view::read(facts, screening, instructed) else {
            let error = |rule: &Rule| rule.error("the facts could not be read".into());
            findings.errors = self.rules.iter().map(error).collect();
            return findings;
        };
        let views = Views::new(&self.env, &facts);
        let mut decided = false;
        for rule in &self.rules {
            let sets = matches!(rule.hit.effect, Effect::Outcome(_));
            if sets && decided {
                continue;
            }
            match rule.holds(&views) {
                Ok(true) => {
                    decided |= sets;
                    findings.hits.push(rule.hit.clone());
                }
                Ok(false) => {}
                Err(detail) => findings.errors.push(rule.error(detail)),
            }
        }
        findings
    }
}

impl Rule {
    fn error(&self, detail: String) -> RuleError {
        RuleError { rule: self.hit.id.clone(), detail }
    }

    /// Whether the condition holds. A rule that can only make the outcome stricter holds when it
    /// does so with the strangers' text in sight or without: no text can talk its way out of it.
    fn holds(&self, views: &Views) -> Result<bool, String> {
        let sight = self.hit.effect.sight();
        let first = evaluate(&self.program, views.get(sight));
        if first == Ok(true) || sight == Sight::WithoutText || !views.has_text() {
            return first;
        }
        let second = evaluate(&self.program, views.get(Sight::WithoutText));
        if second == Ok(true) { second } else { first }
    }
}

/// `None` when the document has been refused anyway.
fn hit(rule: &document::Rule) -> Option<RuleHit> {
    let effect = match (rule.outcome, rule.at_least, rule.escalate) {
        (Some(outcome), None, None) => Effect::Outcome(outcome),
        (None, Some(outcome), None) => Effect::AtLeast(outcome),
        (None, None, Some(true)) => Effect::Escalate,
        _ => return None,
    };
    let id = rule.id.get_ref();
    let detail = rule.detail.as_ref().map(|detail| detail.get_ref().clone());
    let detail = detail.unwrap_or_else(|| format!("rule {id} of the policy holds"));
    Some(RuleHit { id: id.clone(), code: rule.code()?, detail, effect })
}

/// Compiles an expression; returns it with its steps.
fn compile(env: &Env, expression: &str, sight: Sight) -> Result<(Program, u64), Flaw> {
    let whole = |detail: String| Flaw { at: None, detail };
    if expression.len() > EXPRESSION_MAX {
        return Err(whole(format!("must have at most {EXPRESSION_MAX} bytes")));
    }
    if nesting(expression) > NESTING_MAX {
        return Err(whole(format!("brackets may stand at most {NESTING_MAX} deep")));
    }
    // A panic in the parser must not end the process: the document comes from outside.
    let parsed = catch_unwind(AssertUnwindSafe(|| env.compile(expression)))
        .map_err(|_| whole("cannot be parsed".into()))?;
    let program = parsed.map_err(|errors| match errors.errors.first() {
        Some(error) => syntax(expression, error),
        None => whole("cannot be parsed".into()),
    })?;
    let steps = Checker::new(program.source_info(), sight).check(program.expression())?;
    Ok((program, steps))
}

/// The parser's error, at its place.
fn syntax(expression: &str, error: &cel::ParseError) -> Flaw {
    let number = |value: isize| usize::try_from(value).unwrap_or(1).max(1);
    let (line, column) = (number(error.pos.0), number(error.pos.1));
    let at = Origin::new("", 0..0, expression).offset(line, column);
    // What would have been allowed is a list of token names that helps nobody.
    let message = error.msg.split(" expecting ").next().unwrap_or_default();
    let message = message.replace("'<EOF>'", "the end");
    Flaw { at: Some(at..at + 1), detail: message }
}

/// The deepest brackets, those in strings included.
fn nesting(expression: &str) -> usize {
    let (mut deep, mut deepest) = (0_usize, 0);
    for byte in expression.bytes() {
        match byte {
            b'(' | b'[' | b'{' => deep += 1,
            b')' | b']' | b'}' => deep = deep.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(deep);
    }
    deepest
}

/// Runs a rule on facts in which everything is present: what then has the wrong type always has.
fn try_out(program: &Program, sample: &Context<'_, '_>) -> Result<(), Flaw> {
    let result = catch_unwind(AssertUnwindSafe(|| program.execute(sample)));
    let detail = match result {
        Ok(Ok(Value::Bool(_))) => return Ok(()),
        Ok(Ok(_)) => "must be true or false".into(),
        Ok(Err(ExecutionError::NoSuchOverload(error))) => error.to_string(),
        // A key or a format that the sample happens not to have.
        Ok(Err(_)) => return Ok(()),
        Err(_) => "cannot be evaluated".into(),
    };
    Err(Flaw { at: None, detail })
}

/// Runs a rule. Never panics: whatever the evaluator does, the rule has then failed.
fn evaluate(program: &Program, context: &Context<'_, '_>) -> Result<bool, String> {
    match catch_unwind(AssertUnwindSafe(|| program.execute(context))) {
        Ok(Ok(Value::Bool(holds))) => Ok(holds),
        Ok(Ok(_)) => Err("is not true or false".into()),
        Ok(Err(error)) => Err(explain(&error, &program.source_info().source)),
        Err(_) => Err("the evaluator failed".into()),
    }
}

/// An error without the values it is about: they may be a stranger's text. A name is told where
/// the rule itself writes it.
fn explain(error: &ExecutionError, source: &str) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library's enum is open")]
    let detail = match error {
        ExecutionError::NoSuchKey(key) if is_name(key, source) => format!("there is no `{key}`"),
        ExecutionError::NoSuchKey(_) => "there is no such field".into(),
        ExecutionError::NoSuchOverload(error) => error.to_string(),
        ExecutionError::UndeclaredReference(name) if is_name(name, source) => {
            format!("`{name}` is unknown")
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "divides by zero".into()
        }
        ExecutionError::Overflow(..) => "a number overflows".into(),
        ExecutionError::IndexOutOfBounds(_) => "there is no such element".into(),
        ExecutionError::FunctionError { function, .. } => format!("`{function}` failed"),
        _ => "a value has the wrong type".into(),
    };
    detail.chars().take(DETAIL_MAX).collect()
}

fn is_name(text: &str, source: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !text.is_empty() && text.len() <= 32 && text.bytes().all(allowed) && source.contains(text)
}
