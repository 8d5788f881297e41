//! Who may change the policy: people and machines that the settings name, each with a key of
//! which only the hash is known.

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};

use crate::{api_error::ApiError, settings::PolicyAuthor};

/// The authors by name, with the SHA-256 of each key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Authors(Vec<(String, [u8; 32])>);

impl Authors {
    /// Parses names and hexadecimal hashes; the error names the author.
    pub(crate) fn parse(authors: &[PolicyAuthor]) -> Result<Self, String> {
        let read = |author: &PolicyAuthor| {
            let PolicyAuthor { name, key_sha256: hash } = author;
            if name.is_empty() || name.len() > 64 {
                return Err(format!("{name:?} must have 1 to 64 characters"));
            }
            let hash = from_hex(hash).ok_or_else(|| {
                format!("{name} must be the SHA-256 of a key, as 64 hexadecimal digits")
            })?;
            Ok((name.clone(), hash))
        };
        authors.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The author whose key a request carries as a bearer token.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Result<String, ApiError> {
        if self.0.is_empty() {
            return Err(ApiError::Forbidden(
                "no author is named in the settings (policy.authors); the policy comes from its file alone",
            ));
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = given
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, key)| key.trim())
            .filter(|key| !key.is_empty())
            .ok_or(ApiError::Unauthorized("send the key of a policy author as a bearer token"))?;
        let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        // Hashes are compared, whose bytes nobody who guesses keys can steer.
        let found = self.0.iter().find(|(_, known)| *known == hash);
        found.map(|(name, _)| name.clone()).ok_or(ApiError::Forbidden("no author has this key"))
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn author(name: &str, key_sha256: &str) -> PolicyAuthor {
        PolicyAuthor { name: name.to_owned(), key_sha256: key_sha256.to_owned() }
    }

    fn authors() -> Authors {
        // printf secret | sha256sum
        let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        Authors::parse(&[author("ana", hash)]).unwrap()
    }

    fn with(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_right_key_names_its_author_and_nothing_else_does() {
        assert_eq!(authors().identify(&with("Bearer secret")).unwrap(), "ana");
        assert_eq!(authors().identify(&with("bearer  secret ")).unwrap(), "ana");
        for wrong in ["Bearer other", "Bearer ana"] {
            assert!(matches!(authors().identify(&with(wrong)), Err(ApiError::Forbidden(_))));
        }
        for none in ["Basic secret", "secret", "Bearer "] {
            assert!(matches!(authors().identify(&with(none)), Err(ApiError::Unauthorized(_))));
        }
        let nobody = Authors::default();
        assert!(matches!(nobody.identify(&with("Bearer secret")), Err(ApiError::Forbidden(_))));
    }

    #[test]
    fn a_key_itself_is_no_hash() {
        assert!(Authors::parse(&[author("ana", "secret")]).unwrap_err().contains("ana"));
    }
}
