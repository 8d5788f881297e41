//! What was answered, and whether it still holds.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use reqwest::Client;
use serde_json::Value;

/// Everything that was answered, by decision.
#[derive(Debug, Default)]
pub struct Book {
    entries: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    first: String,
    key: String,
    request: Value,
    provisional: bool,
    /// The final answer, once it was seen.
    last: Option<String>,
    /// Found since the last kill.
    checked: bool,
}

/// What went wrong, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Answered decisions that are gone, or read otherwise.
    pub missing: usize,
    /// Promised analyses that never came.
    pub lost: usize,
    /// Decisions that became final and then something else.
    pub changed: usize,
    /// Requests that were sent again and got another answer.
    pub paid_twice: usize,
}

impl Faults {
    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Book {
    /// Notes an answer.
    pub fn note(&self, key: &str, request: &Value, answer: String) {
        let Ok(decision) = serde_json::from_str::<Value>(&answer) else { return };
        let Some(id) = decision["decision_id"].as_str() else { return };
        let entry = Entry {
            first: answer,
            key: key.to_owned(),
            request: request.clone(),
            provisional: decision["status"] == "provisional",
            last: None,
            checked: false,
        };
        self.entries.lock().insert(id.to_owned(), entry);
    }

    /// How many decisions were answered, and how many of them promised an analysis.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let entries = self.entries.lock();
        (entries.len(), entries.values().filter(|entry| entry.provisional).count())
    }

    fn unchecked(&self) -> Vec<(String, Entry)> {
        let entries = self.entries.lock();
        let open = |entry: &Entry| !entry.checked || (entry.provisional && entry.last.is_none());
        entries
            .iter()
            .filter(|(_, entry)| open(entry))
            .map(|(id, entry)| (id.clone(), entry.clone()))
            .collect()
    }

    fn all(&self) -> Vec<(String, Entry)> {
        self.entries.lock().iter().map(|(id, entry)| (id.clone(), entry.clone())).collect()
    }

    /// Looks at what was answered since it was last looked at, and at what is still promised.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn check(&self, client: &Client, address: &str) -> anyhow::Result<Faults> {
        let mut faults = Faults::default();
        for (id, entry) in self.unchecked() {
            self.look(client, address, &id, &entry, &mut faults).await?;
        }
        Ok(faults)
    }

    /// Looks at everything, and sends some requests again.
    ///
    /// # Errors
    /// When the service does not answer.
    pub async fn check_all(&self, client: &Client, address: &str) -> anyhow::Result<Faults> {
        let mut faults = Faults::default();
        for (n, (id, entry)) in self.all().into_iter().enumerate() {
            self.look(client, address, &id, &entry, &mut faults).await?;
            if n % 10 == 0 {
                let again = client
                    .post(format!("{address}/v1/screen"))
                    .header("idempotency-key", &entry.key)
                    .json(&entry.request)
                    .send()
                    .await?;
                if again.text().await? != entry.first {
                    faults.paid_twice += 1;
                }
            }
        }
        let entries = self.entries.lock();
        faults.lost = entries.values().filter(|e| e.provisional && e.last.is_none()).count();
        Ok(faults)
    }

    async fn look(
        &self,
        client: &Client,
        address: &str,
        id: &str,
        entry: &Entry,
        faults: &mut Faults,
    ) -> anyhow::Result<()> {
        let answer = client.get(format!("{address}/v1/decisions/{id}")).send().await?;
        let found = answer.status().is_success();
        let text = answer.text().await?;
        let decision: Value = serde_json::from_str(&text).unwrap_or_default();
        let is_final = decision["status"] == "final";
        if !found || (!entry.provisional && text != entry.first) {
            faults.missing += 1;
        }
        if entry.last.as_ref().is_some_and(|last| *last != text) {
            faults.changed += 1;
        }
        if entry.provisional && !is_final && text != entry.first {
            faults.changed += 1;
        }
        if let Some(kept) = self.entries.lock().get_mut(id) {
            kept.checked = true;
            if entry.provisional && is_final {
                kept.last = Some(text);
            }
        }
        Ok(())
    }

    /// How many promises are still open.
    #[must_use]
    pub fn open(&self) -> usize {
        let entries = self.entries.lock();
        entries.values().filter(|entry| entry.provisional && entry.last.is_none()).count()
    }
}
