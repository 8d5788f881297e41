//! Where messages go.

use std::collections::HashSet;

use reqwest::Url;

use crate::{error::ConfigError, secret::Secret};

/// The most endpoints: each has a loop, a pool of connections and two series of its own.
pub const ENDPOINTS_MAX: usize = 32;
const NAME_MAX: usize = 64;
const EVENT_MAX: usize = 128;
/// Old and new while a secret is changed, and one to spare.
const SECRETS_MAX: usize = 4;

/// An endpoint as an operator writes it.
#[derive(Debug, Clone, Default)]
pub struct NewEndpoint {
    /// What it is called in the outbox, logs and metrics: letters, digits, `-` and `_`, 64 at most.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// What its messages are signed with: one, or several while a secret is changed.
    pub secrets: Vec<Secret>,
    /// The events it wants, such as `decision.completed`; all of them with `None`.
    pub events: Option<Vec<String>>,
    /// Permits `http` to somewhere else than this machine.
    pub allow_insecure: bool,
}

/// An endpoint that was found usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    name: String,
    url: Url,
    secrets: Vec<Secret>,
    events: Option<Vec<String>>,
}

impl Endpoint {
    /// Checks an endpoint.
    ///
    /// # Errors
    /// When something about it makes no sense; the message names the endpoint and holds neither
    /// secrets nor the URL, which may hold a token.
    pub fn parse(new: NewEndpoint) -> Result<Self, ConfigError> {
        let name = new.name;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(word) {
            return Err(ConfigError::Setting(format!(
                "an endpoint's name is 1 to {NAME_MAX} letters, digits, '-' and '_', not {name:?}"
            )));
        }
        let refused = |what: &str| ConfigError::Setting(format!("endpoint {name:?}: {what}"));
        let url = Url::parse(&new.url).map_err(|_| refused("the address is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(refused("the address is an http or https address"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("the address holds no credentials: messages are signed"));
        }
        if url.fragment().is_some() {
            return Err(refused("the address has no fragment"));
        }
        if url.scheme() == "http" && !new.allow_insecure && !is_loopback(&url) {
            return Err(refused("the address is https, except on this machine"));
        }
        if new.secrets.is_empty() || new.secrets.len() > SECRETS_MAX {
            return Err(refused(&format!("it has 1 to {SECRETS_MAX} secrets")));
        }
        for event in new.events.iter().flatten() {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
            if event.is_empty() || event.len() > EVENT_MAX || !event.chars().all(letter) {
                return Err(refused(&format!("{event:?} is not an event's name")));
            }
        }
        if new.events.as_ref().is_some_and(Vec::is_empty) {
            return Err(refused("an empty list of events would get nothing"));
        }
        Ok(Self { name, url, secrets: new.secrets, events: new.events })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it wants messages of this event.
    #[must_use]
    pub fn wants(&self, event: &str) -> bool {
        self.events.as_ref().is_none_or(|events| events.iter().any(|wanted| wanted == event))
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }
}

/// Whether these endpoints can be served together.
///
/// # Errors
/// When there are more than [`ENDPOINTS_MAX`], or two of one name.
pub fn check_together(endpoints: &[Endpoint]) -> Result<(), ConfigError> {
    if endpoints.len() > ENDPOINTS_MAX {
        return Err(ConfigError::Setting(format!("there are at most {ENDPOINTS_MAX} endpoints")));
    }
    let mut names = HashSet::new();
    match endpoints.iter().find(|endpoint| !names.insert(endpoint.name())) {
        Some(twice) => {
            Err(ConfigError::Setting(format!("two endpoints are called {:?}", twice.name)))
        }
        None => Ok(()),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(url: &str) -> NewEndpoint {
        let secret = Secret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        NewEndpoint {
            name: "case-tool".into(),
            url: url.into(),
            secrets: vec![secret],
            ..NewEndpoint::default()
        }
    }

    #[test]
    fn plain_http_goes_to_this_machine_only_unless_someone_allows_it() {
        for url in ["http://127.0.0.1:9/h", "http://[::1]:9/", "http://localhost/x", "https://a.b"]
        {
            Endpoint::parse(new(url)).unwrap();
        }
        for url in ["http://10.0.0.1/", "http://localhost.example/", "http://a.b/?localhost"] {
            let error = Endpoint::parse(new(url)).unwrap_err().to_string();
            assert!(error.contains("https"), "{error}");
            Endpoint::parse(NewEndpoint { allow_insecure: true, ..new(url) }).unwrap();
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for url in ["", "ftp://a/", "https://user:token@a/", "https://a/#token", "token"] {
            let error = Endpoint::parse(new(url)).unwrap_err().to_string();
            assert!(error.contains("case-tool") && !error.contains("token"), "{error}");
        }
    }

    #[test]
    fn names_secrets_and_events_are_checked() {
        let url = "https://a.b/";
        for bad in [
            NewEndpoint { name: "a b".into(), ..new(url) },
            NewEndpoint { name: String::new(), ..new(url) },
            NewEndpoint { secrets: Vec::new(), ..new(url) },
            NewEndpoint { events: Some(vec!["a b".into()]), ..new(url) },
            NewEndpoint { events: Some(Vec::new()), ..new(url) },
        ] {
            Endpoint::parse(bad).unwrap_err();
        }
    }

    #[test]
    fn an_endpoint_gets_the_events_that_it_asked_for() {
        let url = "https://a.b/";
        let all = Endpoint::parse(new(url)).unwrap();
        assert!(all.wants("decision.completed"));
        let events = Some(vec!["label.added".into()]);
        let some = Endpoint::parse(NewEndpoint { events, ..new(url) }).unwrap();
        assert!(some.wants("label.added") && !some.wants("decision.completed"));
    }
}
