//! `WEIR_SECTION__KEY` variables, and every key there is.

use std::path::PathBuf;

use toml::{Table, Value};

use super::{LogFormat, PolicyAuthor, Settings, SettingsError, WebhookEndpoint};

/// Names the settings file.
pub const CONFIG_VARIABLE: &str = "WEIR_CONFIG";
/// Overrides `log.level`, for a quick look.
pub const LOG_VARIABLE: &str = "WEIR_LOG";

const PREFIX: &str = "WEIR_";
/// Variables that are not settings of the service. The last one is read by the tests.
const OTHERS: &[&str] = &[CONFIG_VARIABLE, LOG_VARIABLE, "WEIR_FULL_SIZE_FIXTURE"];

/// Marks a key of tables in a list, such as `webhooks.endpoints[].url`. No variable sets those.
const LISTED: &str = "[]";

/// Every dotted key with a value of its kind.
#[must_use]
pub fn keys() -> Vec<(String, Value)> {
    let mut keys = Vec::new();
    if let Ok(table) = Table::try_from(specimen()) {
        flatten("", &table, &mut keys);
    }
    keys
}

/// Settings in which every optional key is present.
fn specimen() -> Settings {
    let mut settings = Settings::default();
    settings.runtime.library = Some(PathBuf::new());
    settings.policy.file = Some(PathBuf::new());
    settings.engine.api_key_file = Some(PathBuf::new());
    let text = || Some(String::new());
    settings.engine.url = text();
    settings.engine.model = text();
    settings.engine.reasoning_effort = text();
    settings.ledger.url_file = Some(PathBuf::new());
    settings.policy.authors = vec![PolicyAuthor::default()];
    settings.shadow.policy = Some(PathBuf::new());
    settings.shadow.screening = Some(PathBuf::new());
    settings.log.format = LogFormat::Json;
    let endpoint = WebhookEndpoint { events: Some(Vec::new()), ..WebhookEndpoint::default() };
    settings.webhooks.endpoints = vec![endpoint];
    settings
}

fn flatten(prefix: &str, table: &Table, keys: &mut Vec<(String, Value)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let listed = value.as_array().and_then(|list| list.first()?.as_table());
        match (value.as_table(), listed) {
            (Some(inner), _) => flatten(&key, inner, keys),
            (None, Some(inner)) => flatten(&format!("{key}{LISTED}"), inner, keys),
            (None, None) => keys.push((key, value.clone())),
        }
    }
}

/// The variable of a key: `screening.package` is `WEIR_SCREENING__PACKAGE`.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Puts every `WEIR_…` variable into the table.
pub(super) fn overlay(
    table: &mut Table,
    environment: &[(String, String)],
) -> Result<(), SettingsError> {
    let keys = keys();
    let ours = environment
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX) && !OTHERS.contains(&name.as_str()));
    for (name, text) in ours {
        let refused = |detail: String| SettingsError::Variable { name: name.clone(), detail };
        let (key, _) = keys
            .iter()
            .find(|(key, _)| variable(key) == *name && !key.contains(LISTED))
            .ok_or_else(|| refused("is not known; see docs/configuration.md".into()))?;
        set(table, key, text).map_err(refused)?;
    }
    Ok(())
}

/// A list of numbers with commas between them.
fn numbers(text: &str) -> Result<Value, String> {
    let number = |item: &str| item.trim().parse().map(Value::Integer);
    let list: Result<Vec<Value>, _> = text.split(',').map(number).collect();
    list.map(Value::Array)
        .map_err(|_| format!("must be whole numbers with commas between them, not {text:?}"))
}

/// Puts one value, given as text, into the table.
pub(super) fn set(table: &mut Table, key: &str, text: &str) -> Result<(), String> {
    let keys = keys();
    let kind = keys.iter().find(|(known, _)| known == key).map(|(_, kind)| kind);
    let value = match kind {
        Some(Value::Integer(_)) => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| format!("must be a whole number, not {text:?}"))?,
        Some(Value::Boolean(_)) => text
            .parse()
            .map(Value::Boolean)
            .map_err(|_| format!("must be true or false, not {text:?}"))?,
        Some(Value::Array(_)) => numbers(text)?,
        _ => Value::String(text.to_owned()),
    };
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, name)) => {
            let section = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()))
                .as_table_mut()
                .ok_or_else(|| format!("needs {section:?} to be a section"))?;
            section.insert(name.to_owned(), value);
        }
    }
    Ok(())
}
