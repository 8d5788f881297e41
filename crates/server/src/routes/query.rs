//! Reads query parameters strictly, like bodies: unknown and repeated names are refused.

use std::{collections::BTreeMap, fmt::Display, str::FromStr};

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use domain::Violations;

use crate::{api_error::ApiError, state::AppState};

/// The parameters of a request, each taken once.
pub(crate) struct Parameters {
    values: BTreeMap<String, String>,
    known: Vec<&'static str>,
    violations: Violations,
}

impl FromRequestParts<AppState> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, ApiError> {
        let mut violations = Violations::default();
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) else {
            violations.add("/query", "is not a valid query string");
            return Err(ApiError::BadParameters(violations));
        };
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            if values.insert(name, value).is_some() {
                violations.add("/query", "must give each parameter once");
            }
        }
        Ok(Self { values, known: Vec::new(), violations })
    }
}

impl Parameters {
    /// An optional parameter turned into `T`.
    pub(crate) fn optional<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.optional_with(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// An optional parameter read by `parse`.
    pub(crate) fn optional_with<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(name);
        match parse(&self.values.remove(name)?) {
            Ok(value) => Some(value),
            Err(detail) => {
                self.violations.add(format!("/query/{name}"), detail);
                None
            }
        }
    }

    /// Refuses whatever was not asked for.
    pub(crate) fn close(mut self) -> Result<(), ApiError> {
        for _ in self.values.keys() {
            let known = self.known.join(", ");
            self.violations.add("/query", format!("has an unknown parameter; known here: {known}"));
        }
        self.violations.into_result().map_err(ApiError::BadParameters)
    }
}
