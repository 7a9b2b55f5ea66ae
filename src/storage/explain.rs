//! A store's answers in our words: what is wrong, which right is missing as the provider names it, and the remedy.
//!
//! An explained error is the same variant of `object_store::Error` as before, so that callers still tell a missing
//! object from a refusal; its source is an [`Error::Answer`], whose source in turn is the answer itself. This file has
//! what is the same for all providers; `s3/answers.rs` and its like know the codes.

use super::Error;
use crate::error::Kind;
use object_store::path::Path;
use std::error::Error as StdError;

/// What a store was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Put,
    /// A put that must fail where an object is already.
    Create,
    Get,
    Head,
    List,
    Delete,
    Copy,
    /// Begin, part or completion of an upload in parts.
    Multipart,
    Abort,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Put => "write",
            Operation::Create => "create",
            Operation::Get => "read",
            Operation::Head => "head",
            Operation::List => "list",
            Operation::Delete => "delete",
            Operation::Copy => "copy",
            Operation::Multipart => "upload in parts",
            Operation::Abort => "abort an upload",
        }
    }
}

/// What an answer says about the credential it was asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has ended or is unknown: another one may help.
    Ended,
    /// A refusal without a reason, as HEAD has, or with one that may pass; it may have ended.
    Suspicious,
    /// Nothing was done, for another request for the same object was under way: asking again may help.
    Crossed,
    /// Nothing that another one would change.
    Other,
}

/// What a provider's answers mean.
pub trait Dialect: std::fmt::Debug + Send + Sync + 'static {
    fn verdict(&self, error: &object_store::Error) -> Verdict;

    /// Whether lists come in the order of the names' bytes, so that one can go on after its last item.
    fn lists_in_byte_order(&self) -> bool;

    /// The error in our words, or as it was if there is nothing to add.
    fn explain(
        &self,
        operation: Operation,
        path: Option<&Path>,
        error: object_store::Error,
    ) -> object_store::Error;
}

/// An answer understood.
#[derive(Clone, Debug)]
pub struct Meaning {
    pub kind: Kind,
    /// Lower case, with the remedy, values last.
    pub message: String,
    /// The right that is missing, as the provider names it.
    pub right: Option<String>,
}

impl Meaning {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            right: None,
        }
    }
}

/// The error with a meaning: the same variant, and in it our words.
pub fn told(error: object_store::Error, meaning: Meaning) -> object_store::Error {
    use object_store::Error as E;
    let path = path_of(&error).unwrap_or_default();
    let wrap = |source: E| -> Box<dyn StdError + Send + Sync> {
        Box::new(Error::Answer {
            kind: meaning.kind,
            message: meaning.message,
            right: meaning.right,
            source: Box::new(source),
        })
    };
    match error {
        E::NotFound { .. } => E::NotFound {
            path,
            source: wrap(error),
        },
        E::AlreadyExists { .. } => E::AlreadyExists {
            path,
            source: wrap(error),
        },
        E::Precondition { .. } => E::Precondition {
            path,
            source: wrap(error),
        },
        E::PermissionDenied { .. } => E::PermissionDenied {
            path,
            source: wrap(error),
        },
        E::Unauthenticated { .. } => E::Unauthenticated {
            path,
            source: wrap(error),
        },
        E::NotModified { .. } => error,
        E::Generic { store, .. } => E::Generic {
            store,
            source: wrap(error),
        },
        other => E::Generic {
            store: "store",
            source: wrap(other),
        },
    }
}

fn path_of(error: &object_store::Error) -> Option<String> {
    use object_store::Error as E;
    match error {
        E::NotFound { path, .. }
        | E::AlreadyExists { path, .. }
        | E::Precondition { path, .. }
        | E::PermissionDenied { path, .. }
        | E::Unauthenticated { path, .. }
        | E::NotModified { path, .. } => Some(path.clone()),
        _ => None,
    }
}

/// The text of an XML element of an answer, with its entities resolved.
pub fn element(text: &str, name: &str) -> Option<String> {
    let start = text.find(&format!("<{name}>"))? + name.len() + 2;
    let end = start + text[start..].find(&format!("</{name}>"))?;
    let mut value = text[start..end].trim().to_owned();
    for (entity, character) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        value = value.replace(entity, character);
    }
    Some(value)
}

/// The HTTP status of a refusal, from object_store's words for it; its type is private.
pub fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("non-2xx status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// What is the same for all stores: no way there, TLS, time.
pub fn transport(error: &object_store::Error) -> Option<Meaning> {
    let text = error.to_string();
    if status(&text).is_some() || !text.contains("HTTP error") {
        return None;
    }
    let why = chain(error);
    let lower = why.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let what = if has(&["certificate", "unknownissuer", "handshake", "tls"]) {
        "the store's TLS certificate is not trusted; add its authority to the system's, or name a file of authorities in SSL_CERT_FILE"
    } else if has(&["dns error", "lookup address", "resolve"]) {
        "the store's host name is unknown; check `endpoint`, `region` and DNS"
    } else if has(&["refused"]) {
        "nothing listens at the store's address; check `endpoint`"
    } else if has(&["timed out", "timeout", "deadline"]) {
        "the store does not answer in time; it is tried again, see `request_timeout_seconds` and `connect_timeout_seconds`"
    } else {
        "the connection to the store failed; it is tried again"
    };
    let cause = why.rsplit(": ").next().unwrap_or_default();
    Some(Meaning::new(
        Kind::Unavailable,
        format!("{what}, cause=`{cause}`"),
    ))
}

/// An error with its causes, each said once.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::kind_of;

    #[test]
    fn an_explained_error_keeps_its_variant_and_gains_our_words() {
        let error = object_store::Error::PermissionDenied {
            path: "a/b".into(),
            source: "said".into(),
        };
        let error = told(error, Meaning::new(Kind::Config, "do this"));
        assert!(
            matches!(&error, object_store::Error::PermissionDenied { path, .. } if path == "a/b")
        );
        assert!(error.to_string().contains("do this"), "{error}");
        assert_eq!(kind_of(&error), Kind::Config);
        assert!(chain(&error).contains("said"));
    }

    #[test]
    fn elements_of_answers() {
        let text =
            "<Error><Code>AccessDenied</Code><Message>a &amp;lt; &apos;b&apos;</Message></Error>";
        assert_eq!(element(text, "Code").as_deref(), Some("AccessDenied"));
        assert_eq!(element(text, "Message").as_deref(), Some("a &lt; 'b'"));
        assert_eq!(element("<Code>cut", "Code"), None);
        assert_eq!(
            status("Server returned non-2xx status code: 403 Forbidden: "),
            Some(403)
        );
        assert_eq!(status("non-2xx status code: é"), None);
    }
}
