//! Who may send to which table.

use super::{answer::Refusal, error::HttpError, options::HttpKey};
use axum::http::{HeaderMap, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// The keys of a source, kept only as digests.
pub(super) struct Keys(Vec<Key>);

struct Key {
    digest: [u8; 32],
    tables: Vec<String>,
}

/// Who sends: the digest of the key, or zeros where there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender([u8; 32], Option<usize>);

impl Sender {
    /// Keeps one sender's idempotency keys apart from another's.
    pub(super) fn id(&self) -> &[u8] {
        &self.0
    }
}

impl Keys {
    pub(super) fn new(keys: &[HttpKey]) -> Result<Self, HttpError> {
        let keys = keys.iter().enumerate().map(|(index, key)| {
            if key.key.expose().is_empty() || key.tables.is_empty() {
                return Err(HttpError::Key { index });
            }
            Ok(Key {
                digest: Sha256::digest(key.key.expose()).into(),
                tables: key.tables.clone(),
            })
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Whom the `Authorization` header names. Compares digests in constant time with every key, so
    /// that neither a prefix nor a key's place in the list can be measured.
    pub(super) fn sender(&self, headers: &HeaderMap) -> Result<Sender, Refusal> {
        if self.0.is_empty() {
            return Ok(Sender([0; 32], None));
        }
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| token(value.as_bytes()))
            .ok_or_else(Refusal::unauthorized)?;
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for (index, key) in self.0.iter().enumerate() {
            let same: Choice = key.digest.ct_eq(&digest);
            if bool::from(same) {
                found = Some(index);
            }
        }
        match found {
            Some(index) => Ok(Sender(digest, Some(index))),
            None => Err(Refusal::unauthorized()),
        }
    }

    /// Whether the sender may write the table.
    pub(super) fn allow(&self, sender: &Sender, table: &str) -> Result<(), Refusal> {
        let Some(key) = sender.1.and_then(|index| self.0.get(index)) else {
            return if self.0.is_empty() {
                Ok(())
            } else {
                Err(Refusal::unauthorized())
            };
        };
        if key.tables.iter().any(|name| name == "*" || name == table) {
            Ok(())
        } else {
            Err(Refusal::forbidden(table))
        }
    }
}

/// The key in `Bearer KEY`, or in `Basic base64(user:KEY)`; a user without a password is the key
/// (as Segment's clients send their write key).
fn token(header: &[u8]) -> Option<Vec<u8>> {
    let space = header.iter().position(|&byte| byte == b' ')?;
    let (scheme, rest) = header.split_at(space);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(rest.to_vec());
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let pair = STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    let (user, password) = (&pair[..colon], &pair[colon + 1..]);
    Some(if password.is_empty() { user } else { password }.to_vec())
}

/// Whether a name may be a table: letters, digits, `_`, `-`, `.`, at most 128, not beginning with `.`
/// or `_` (those folders are ours and Delta's).
pub(super) fn is_table_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with(['.', '_'])
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn keys() -> Keys {
        Keys::new(&[
            HttpKey {
                key: Secret::new("one"),
                tables: vec!["clicks".into()],
            },
            HttpKey {
                key: Secret::new("two"),
                tables: vec!["*".into()],
            },
        ])
        .unwrap()
    }

    fn with(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn bearer_and_basic_keys_are_found_and_bound_to_their_tables() {
        let keys = keys();
        let basic = |pair: &str| with(&format!("Basic {}", STANDARD.encode(pair)));
        for headers in [
            with("Bearer one"),
            with("bearer  one "),
            basic("anyone:one"),
            basic("one:"),
        ] {
            let sender = keys.sender(&headers).unwrap();
            assert!(keys.allow(&sender, "clicks").is_ok());
            assert_eq!(keys.allow(&sender, "views").unwrap_err().code, "forbidden");
        }
        let all = keys.sender(&with("Bearer two")).unwrap();
        assert!(keys.allow(&all, "views").is_ok());
        for headers in [
            with("Bearer three"),
            with("Bearer"),
            with("Digest one"),
            with("Basic !"),
            basic("one"),
            HeaderMap::new(),
        ] {
            assert_eq!(keys.sender(&headers).unwrap_err().code, "unauthorized");
        }
    }

    #[test]
    fn without_keys_everybody_may_send_and_an_empty_key_is_refused() {
        let none = Keys::new(&[]).unwrap();
        let sender = none.sender(&HeaderMap::new()).unwrap();
        assert!(none.allow(&sender, "any").is_ok());
        let empty = HttpKey {
            key: Secret::new(""),
            tables: vec!["*".into()],
        };
        assert!(Keys::new(&[empty]).is_err());
    }

    #[test]
    fn table_names() {
        for good in ["clicks", "a.b-c_d", "9", &"x".repeat(128)] {
            assert!(is_table_name(good), "{good}");
        }
        for bad in [
            "",
            "_dead_letters",
            ".spool",
            "..",
            "a/b",
            "a b",
            "ä",
            &"x".repeat(129),
        ] {
            assert!(!is_table_name(bad), "{bad}");
        }
    }
}
