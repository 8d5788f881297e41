//! What an expression may name, and what it may cost.
//!
//! Evaluation has no budget at run time, so it is bounded here, before a rule is ever run: every
//! node gets an upper bound of its work, from the expression and from the bounds of the facts.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo,
    operators,
};
use regex::RegexBuilder;

use super::{
    Flaw, Sight,
    cost::Cost,
    vocabulary::{Kind, VARIABLES},
};

/// The most steps of one rule.
pub(super) const STEPS_MAX: u64 = 20_000;
/// How deep macros may stand in each other.
const MACROS_DEEP_MAX: usize = 2;
/// How deep the expression's tree may be: it is walked by recursion, here and when it is run.
const DEPTH_MAX: usize = 128;
/// The steps of a regular expression besides those of the text: it is compiled each time.
const REGEX_STEPS: u64 = 500;
/// The largest compiled regular expression, in bytes.
const REGEX_SIZE_MAX: usize = 32 * 1024;

/// Functions that a rule may call, besides operators and macros.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "size", "contains", "startsWith", "endsWith", "matches", "int", "double", "string", "bool",
    "timestamp", "duration", "getFullYear", "getMonth", "getDate", "getDayOfMonth",
    "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes", "getSeconds",
];

#[rustfmt::skip]
const OPERATORS: &[&str] = &[
    operators::CONDITIONAL, operators::LOGICAL_AND, operators::LOGICAL_OR, operators::LOGICAL_NOT,
    operators::SUBSTRACT, operators::ADD, operators::MULTIPLY, operators::DIVIDE,
    operators::MODULO, operators::EQUALS, operators::NOT_EQUALS, operators::GREATER_EQUALS,
    operators::LESS_EQUALS, operators::GREATER, operators::LESS, operators::NEGATE,
    operators::INDEX, operators::IN, operators::NOT_STRICTLY_FALSE,
];

/// A variable in scope.
struct Variable<'a> {
    name: &'a str,
    cost: Cost,
}

/// Walks one expression.
pub(super) struct Checker<'a> {
    source: &'a SourceInfo,
    sight: Sight,
    scope: Vec<Variable<'a>>,
    macros: usize,
    depth: usize,
}

impl<'a> Checker<'a> {
    /// A checker of a rule that sees so much.
    pub(super) fn new(source: &'a SourceInfo, sight: Sight) -> Self {
        let variable = |&(name, kind)| Variable { name, cost: Cost::fact(1, kind) };
        let scope = VARIABLES.iter().map(variable).collect();
        Self { source, sight, scope, macros: 0, depth: 0 }
    }

    /// Checks the expression; returns its steps.
    pub(super) fn check(&mut self, expression: &'a IdedExpr) -> Result<u64, Flaw> {
        let Cost { steps, .. } = self.cost(expression)?;
        if steps > STEPS_MAX {
            let detail = format!("may take {steps} steps; a rule may take at most {STEPS_MAX}");
            return Err(Flaw { at: None, detail });
        }
        Ok(steps)
    }

    fn flaw(&self, node: &IdedExpr, detail: impl Into<String>) -> Flaw {
        // The library's end is inclusive.
        let at = self.source.offset_for(node.id);
        let at = at.map(|(start, end)| start as usize..end as usize + 1);
        Flaw { at, detail: detail.into() }
    }

    /// A flaw of a name beside the sign that stands for the node: `.` before it or `(` after it.
    fn flaw_of_name(&self, node: &IdedExpr, name: &str, detail: String) -> Flaw {
        let mut flaw = self.flaw(node, detail);
        if let Some(sign) = flaw.at.clone() {
            let (before, after) = (sign.start.saturating_sub(name.len()), sign.end);
            let beside = [before..sign.start, after..after + name.len()];
            let is_name = |at: &_| self.source.source.get(Clone::clone(at)) == Some(name);
            flaw.at = beside.into_iter().find(is_name).or(flaw.at);
        }
        flaw
    }

    fn cost(&mut self, node: &'a IdedExpr) -> Result<Cost, Flaw> {
        if self.depth == DEPTH_MAX {
            return Err(self.flaw(node, format!("is more than {DEPTH_MAX} operations deep")));
        }
        self.depth += 1;
        let cost = match &node.expr {
            Expr::Literal(literal) => Ok(Cost::literal(literal)),
            Expr::Ident(name) => self.ident(node, name),
            Expr::Select(select) => self.select(node, select),
            Expr::Call(call) => self.call(node, call),
            Expr::Comprehension(walk) => self.walk(node, walk),
            Expr::List(list) => self.whole(&list.elements, list.elements.len()),
            Expr::Map(map) => {
                let parts = map.entries.iter().filter_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => Some([&entry.key, &entry.value]),
                    EntryExpr::StructField(_) => None,
                });
                self.whole(parts.flatten(), map.entries.len())
            }
            Expr::Struct(_) | Expr::Unspecified => {
                Err(self.flaw(node, "messages are not supported"))
            }
        };
        self.depth -= 1;
        cost
    }

    /// A list or a map literal.
    fn whole(
        &mut self,
        parts: impl IntoIterator<Item = &'a IdedExpr>,
        elements: usize,
    ) -> Result<Cost, Flaw> {
        let mut whole = Cost::literal_of(elements);
        for part in parts {
            whole = whole.with(self.cost(part)?);
        }
        Ok(whole)
    }

    fn ident(&self, node: &IdedExpr, name: &str) -> Result<Cost, Flaw> {
        let variable = self.scope.iter().rev().find(|variable| variable.name == name);
        variable.map(|variable| variable.cost).ok_or_else(|| {
            self.flaw(node, format!("unknown variable `{name}`; there are {}", names(VARIABLES)))
        })
    }

    fn select(&mut self, node: &'a IdedExpr, select: &'a SelectExpr) -> Result<Cost, Flaw> {
        let operand = self.cost(&select.operand)?;
        let cost = self.member(node, operand, &select.field)?;
        Ok(if select.test { Cost::scalar(cost.steps) } else { cost })
    }

    /// A field of a value of known or unknown type.
    fn member(&self, node: &IdedExpr, operand: Cost, field: &str) -> Result<Cost, Flaw> {
        let steps = operand.steps.saturating_add(1);
        let flaw = |detail| Err(self.flaw_of_name(node, field, detail));
        let kind = match operand.kind {
            None | Some(Kind::Attributes) => None,
            Some(Kind::Fields(fields)) => {
                let kind = operand.kind.and_then(|kind| kind.field(field));
                if kind.is_none() {
                    return flaw(format!("unknown field `{field}`; there are {}", names(fields)));
                }
                kind
            }
            Some(_) => return flaw(format!("`{field}` of something without fields")),
        };
        if self.sight == Sight::WithoutText && matches!(kind, Some(Kind::Text | Kind::TextBool)) {
            return flaw(format!(
                "`{field}` is a stranger's text, which can only make an outcome stricter: a rule \
                 may read it with outcome = \"decline\", at_least or escalate"
            ));
        }
        Ok(operand.part(steps, kind))
    }

    fn call(&mut self, node: &'a IdedExpr, call: &'a CallExpr) -> Result<Cost, Flaw> {
        let name = call.func_name.as_str();
        if !OPERATORS.contains(&name) && !FUNCTIONS.contains(&name) {
            return Err(self.flaw_of_name(node, name, format!("unknown function `{name}`")));
        }
        let mut whole = Cost::scalar(1);
        let mut first = None;
        for argument in call.target.as_deref().into_iter().chain(&call.args) {
            let cost = self.cost(argument)?;
            first = first.or(Some(cost));
            whole = whole.with(cost);
        }
        // Whatever it does, it looks at most once at every unit of its arguments.
        whole.steps = whole.steps.saturating_add(whole.size);
        match (name, first) {
            ("matches", _) => {
                self.pattern(call)?;
                Ok(Cost::scalar(whole.steps.saturating_add(REGEX_STEPS)))
            }
            (operators::INDEX, Some(indexed)) => {
                let indexed = Cost { steps: whole.steps, ..indexed };
                match call.args.last() {
                    Some(key) if let Expr::Literal(LiteralValue::String(name)) = &key.expr => {
                        self.member(key, indexed, name.inner())
                    }
                    _ => Ok(indexed.part(whole.steps, indexed.element_kind())),
                }
            }
            // The one argument is compared with each element of the other.
            (operators::IN, Some(one)) => {
                let each = one.size.saturating_mul(whole.size);
                Ok(Cost::scalar(whole.steps.saturating_add(each)))
            }
            (operators::ADD | operators::CONDITIONAL | "string", _) => Ok(whole),
            _ => Ok(Cost::scalar(whole.steps)),
        }
    }

    /// A pattern has to be written out, so that it can be tried here.
    fn pattern(&self, call: &CallExpr) -> Result<(), Flaw> {
        let Some(last) = call.args.last() else { return Ok(()) };
        let Expr::Literal(LiteralValue::String(pattern)) = &last.expr else {
            return Err(self.flaw(last, "the pattern of `matches` must be a literal"));
        };
        let mut tried = RegexBuilder::new(pattern.inner());
        tried.size_limit(REGEX_SIZE_MAX).dfa_size_limit(REGEX_SIZE_MAX);
        tried.build().map(drop).map_err(|error| {
            // The last line says what, those before it draw where.
            let error = error.to_string();
            let last_line = error.lines().last().unwrap_or_default();
            let last_line = last_line.trim_start_matches("error: ").trim_end_matches('.');
            self.flaw(last, format!("the regular expression cannot be used: {last_line}"))
        })
    }

    /// A macro that walks a list or a map.
    fn walk(&mut self, node: &'a IdedExpr, walk: &'a ComprehensionExpr) -> Result<Cost, Flaw> {
        let range = self.cost(&walk.iter_range)?;
        let Some(times) = range.elements else {
            let detail = "only lists and maps of the facts, literals, and what `map` and `filter` \
                          make of them can be walked";
            return Err(self.flaw(&walk.iter_range, detail));
        };
        if self.macros == MACROS_DEEP_MAX {
            let detail = format!("macros may stand at most {MACROS_DEEP_MAX} deep");
            return Err(self.flaw(node, detail));
        }
        let init = self.cost(&walk.accu_init)?;
        let element = range.part(1, range.element_kind());
        let outer = self.scope.len();
        self.macros += 1;
        self.scope.push(Variable { name: &walk.iter_var, cost: element });
        self.scope.push(Variable { name: &walk.accu_var, cost: Cost { steps: 1, ..init } });
        let step = self.cost(&walk.loop_step)?;
        let condition = self.cost(&walk.loop_cond)?;
        self.scope.truncate(outer);
        self.macros -= 1;
        // A list that is built may be copied for each element it gets.
        let each = step.steps.saturating_add(condition.steps).saturating_add(times);
        let loops = times.saturating_mul(each);
        let steps = range.steps.saturating_add(init.steps).saturating_add(loops);
        if !matches!(walk.accu_init.expr, Expr::List(_)) {
            return Ok(Cost::scalar(steps));
        }
        let kind = if is_filter(walk) { range.kind } else { None };
        let size = times.saturating_mul(step.size);
        Ok(Cost { steps, size, elements: Some(times), element: step.size, kind })
    }
}

/// `filter` keeps elements as they are: its step appends the very variable.
fn is_filter(walk: &ComprehensionExpr) -> bool {
    let Expr::Call(choice) = &walk.loop_step.expr else { return false };
    let Some(Expr::Call(append)) = choice.args.get(1).map(|node| &node.expr) else { return false };
    let Some(Expr::List(list)) = append.args.get(1).map(|node| &node.expr) else { return false };
    match list.elements.as_slice() {
        [IdedExpr { expr: Expr::Ident(name), .. }] => *name == walk.iter_var,
        _ => false,
    }
}

fn names(entries: &[(&str, Kind)]) -> String {
    entries.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
