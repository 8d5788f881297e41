//! What a rule can name: every variable and field with its type.
//!
//! The list is closed. What is not on it cannot be named by a rule, and what a stranger writes is
//! marked, so that it can be kept from rules that it must not sway.

/// The type of a value that rules see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A floating-point number; amounts are in major units.
    Double,
    /// An instant.
    Time,
    /// A code, a word of a closed set or an identifier.
    Word,
    /// Text that a stranger wrote.
    Text,
    /// True or false, and it follows from text that a stranger wrote.
    TextBool,
    /// Named fields, each of which may be absent.
    Fields(&'static [(&'static str, Kind)]),
    /// A list of such values.
    List(&'static Kind),
    /// The caller's own fields: booleans, numbers and texts.
    Attributes,
}

use Kind::{Attributes, Bool, Double, Fields, Int, List, Text, TextBool, Time, Word};

/// The most elements of any list and members of any map that a rule can walk.
pub(crate) const ELEMENTS_MAX: u64 = 32;

/// Every variable.
pub const VARIABLES: &[(&str, Kind)] = &[
    ("transaction", Fields(TRANSACTION)),
    ("velocity", Fields(VELOCITY)),
    ("derived", Fields(DERIVED)),
    ("screening", Fields(&[("score", Double)])),
];

const TRANSACTION: &[(&str, Kind)] = &[
    ("id", Word),
    ("timestamp", Time),
    ("amount", Double),
    ("currency", Word),
    ("type", Word),
    ("channel", Word),
    ("account", Fields(&[("id", Word), ("opened_at", Time), ("country", Word)])),
    ("card", Fields(&[("token", Word), ("bin", Word), ("last4", Word), ("entry_mode", Word)])),
    (
        "counterparty",
        Fields(&[
            ("id", Word),
            ("name", Text),
            ("kind", Word),
            ("mcc", Word),
            ("country", Word),
            ("first_seen", Time),
        ]),
    ),
    ("terminal", Fields(&[("id", Word)])),
    ("device", Fields(&[("id", Word), ("ip", Word), ("ip_country", Word), ("user_agent", Text)])),
    ("memo", Text),
    ("attributes", Attributes),
];

const VELOCITY: &[(&str, Kind)] = &[
    ("account", Fields(ENTITY)),
    ("card", Fields(ENTITY)),
    ("device", Fields(ENTITY)),
    ("counterparty", Fields(ENTITY)),
    ("terminal", Fields(ENTITY)),
    (
        "novelty",
        Fields(&[
            ("counterparty_count_d30", Int),
            ("device_count_d30", Int),
            ("counterparty_new", Bool),
            ("device_new", Bool),
            ("country_new", Bool),
            ("terminal_new", Bool),
            ("small_h1", Int),
            ("refunds_d30", Int),
            ("first_time_payers_d7", Int),
        ]),
    ),
    ("recent", List(&Fields(RECENT))),
];

const ENTITY: &[(&str, Kind)] = &[
    ("h1", Fields(WINDOW)),
    ("h24", Fields(WINDOW)),
    ("d7", Fields(WINDOW)),
    ("d30", Fields(WINDOW)),
    ("seconds_since_last", Int),
    ("amount_ratio", Double),
    ("amount_deviation", Double),
    ("days_known", Double),
    (
        "confirmed_fraud",
        Fields(&[
            ("d7", Int),
            ("d30", Int),
            ("total", Int),
            ("rate_d30", Double),
            ("days_since_last", Double),
            ("days_since_first", Double),
        ]),
    ),
    ("labels", List(&Fields(LABEL))),
];

const LABEL: &[(&str, Kind)] = &[("days_ago", Double), ("fraud", Bool)];

const WINDOW: &[(&str, Kind)] =
    &[("count", Int), ("sum", Double), ("mean", Double), ("max", Double), ("distinct_peers", Int)];

const RECENT: &[(&str, Kind)] = &[
    ("seconds_ago", Int),
    ("amount", Double),
    ("currency", Word),
    ("kind", Word),
    ("channel", Word),
    ("counterparty_name", Text),
    ("mcc", Word),
    ("country", Word),
    ("counterparty_new", Bool),
];

const DERIVED: &[(&str, Kind)] = &[
    ("hour", Int),
    ("amount", Double),
    ("account_age_days", Double),
    ("counterparty_age_days", Double),
    ("foreign_counterparty", Bool),
    ("foreign_network", Bool),
    ("instructed", TextBool),
];

impl Kind {
    /// The type of a field.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        match self {
            Fields(fields) => find(fields, name),
            Bool | Int | Double | Time | Word | Text | TextBool | List(_) | Attributes => None,
        }
    }
}

/// The entry of that name.
pub(crate) fn find(entries: &[(&str, Kind)], name: &str) -> Option<Kind> {
    entries.iter().find(|(entry, _)| *entry == name).map(|(_, kind)| *kind)
}

/// Paths of `facts`, serialised, that no rule can name, such as `velocity.account.h2`; for a test
/// that whoever adds a fact decides whether rules may see it.
#[must_use]
pub fn unnameable(facts: &serde_json::Value) -> Vec<String> {
    let mut paths = Vec::new();
    collect(facts, Fields(VARIABLES), "", &mut paths);
    paths
}

fn collect(value: &serde_json::Value, kind: Kind, path: &str, paths: &mut Vec<String>) {
    match (value, kind) {
        (serde_json::Value::Object(members), Fields(fields)) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match find(fields, name) {
                    Some(kind) => collect(member, kind, &path, paths),
                    None => paths.push(path),
                }
            }
        }
        (serde_json::Value::Array(elements), List(kind)) => {
            for element in elements {
                collect(element, *kind, &format!("{path}[]"), paths);
            }
        }
        _ => {}
    }
}
