//! Errors of `object_store`'s client as the rest of the storage room reads them.
//!
//! - Of the variant that their status stands for: the client does so for single blobs alone, not for lists and batches.
//! - Without a signature: into errors of batches it writes the whole URL.
//! - A 409 is [`Error::AlreadyExists`] only if the blob was there; callers take that for a lost race.

use super::answers::code;
use crate::storage::explain::status;
use object_store::Error;

/// `path`: of the object or prefix that was asked for.
pub(super) fn plain(error: Error, path: &str) -> Error {
    let text = error.to_string();
    let Some(status) = status(&text).or_else(|| of_batch(&text)) else {
        return match text.contains("sig=") {
            true => generic(&text),
            false => error,
        };
    };
    let variant = |error: Error| {
        let path = path.to_owned();
        let source = || without_queries(&text).into();
        match (status, code(&text).as_deref()) {
            (401, _) => Error::Unauthenticated { path, source: source() },
            (403, _) => Error::PermissionDenied { path, source: source() },
            (404, Some("ContainerNotFound")) => Error::NotFound { path, source: source() },
            (409, Some(code)) if code != "BlobAlreadyExists" => generic(&text),
            _ if text.contains("sig=") => generic(&text),
            _ => error,
        }
    };
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } if !text.contains("sig=") => error,
        error => variant(error),
    }
}

fn generic(text: &str) -> Error {
    Error::Generic {
        store: "MicrosoftAzure",
        source: without_queries(text).into(),
    }
}

/// The status of one blob's deletion in the answer to a batch.
fn of_batch(text: &str) -> Option<u16> {
    let (_, rest) = text.rsplit_once("(code: ")?;
    rest.split(')').next()?.parse().ok()
}

/// What follows a `?` up to the next space is left out.
pub(super) fn without_queries(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.split_once('?') {
        Some((place, query)) if query.contains('=') => format!("{place}?…"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic_of(text: &str) -> Error {
        Error::Generic { store: "MicrosoftAzure", source: text.into() }
    }

    fn refusal(status: &str, code: &str) -> String {
        format!(
            "Error performing list request: Error performing GET https://a.blob.core.windows.net/c?restype=container&sig=planted in 1ms - Server returned non-2xx status code: {status}: <Error><Code>{code}</Code></Error>"
        )
    }

    #[test]
    fn lists_and_batches_are_refused_like_blobs_and_show_no_signature() {
        let denied = plain(generic_of(&refusal("403 Forbidden", "AuthorizationPermissionMismatch")), "t/_delta_log");
        assert!(matches!(&denied, Error::PermissionDenied { path, .. } if path == "t/_delta_log"), "{denied}");
        let missing = plain(generic_of(&refusal("404 Not Found", "ContainerNotFound")), "t");
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
        let unknown = plain(generic_of(&refusal("401 Unauthorized", "InvalidAuthenticationInfo")), "t");
        assert!(matches!(unknown, Error::Unauthenticated { .. }), "{unknown}");
        let batch = plain(generic_of("Bulk delete request failed for key t/a: Forbidden (code: 403)"), "t/a");
        assert!(matches!(batch, Error::PermissionDenied { .. }), "{batch}");
        let lost = plain(generic_of("error sending request for https://h/c?comp=batch&sig=planted in 1s"), "t");
        for error in [denied, missing, unknown, batch, lost] {
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("planted") && !shown.contains("sig="), "{shown}");
        }
    }

    #[test]
    fn only_a_blob_that_is_there_is_a_conflict() {
        let conflict = |code: &str| Error::AlreadyExists {
            path: "t/0.json".into(),
            source: format!("PUT - Server returned non-2xx status code: 409 Conflict: <Code>{code}</Code>").into(),
        };
        assert!(matches!(plain(conflict("BlobAlreadyExists"), "t"), Error::AlreadyExists { .. }));
        assert!(matches!(plain(conflict("ContainerBeingDeleted"), "t"), Error::Generic { .. }));
    }
}
