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
    let path = path.to_owned();
    let source = || scrubbed(&text).into();
    match (status, code(&text).as_deref()) {
        (401, _) => Error::Unauthenticated {
            path,
            source: source(),
        },
        (403, _) => Error::PermissionDenied {
            path,
            source: source(),
        },
        (404, Some("ContainerNotFound")) => Error::NotFound {
            path,
            source: source(),
        },
        (409, Some(code)) if code != "BlobAlreadyExists" => generic(&text),
        _ if text.contains("sig=") => generic(&text),
        _ => error,
    }
}

fn generic(text: &str) -> Error {
    Error::Generic {
        store: "MicrosoftAzure",
        source: scrubbed(text).into(),
    }
}

/// The status of one blob's deletion in the answer to a batch.
fn of_batch(text: &str) -> Option<u16> {
    let (_, rest) = text.rsplit_once("(code: ")?;
    rest.split(')').next()?.parse().ok()
}

/// The text without queries, signatures and tokens: Azure repeats the signature it did not expect.
pub(super) fn scrubbed(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.split_once('?') {
        Some((place, _)) if place.contains("://") => format!("{place}?…"),
        _ if looks_secret(word) => "[redacted]".into(),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn looks_secret(word: &str) -> bool {
    let core = word.trim_matches(|c: char| "'\"`.,;:[]()".contains(c));
    let is_signature = core.len() >= 40 && (core.ends_with('=') || core.ends_with("%3D"));
    is_signature || core.starts_with("eyJ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic_of(text: &str) -> Error {
        Error::Generic {
            store: "MicrosoftAzure",
            source: text.into(),
        }
    }

    fn refusal(status: &str, code: &str) -> String {
        format!(
            "Error performing list request: Error performing GET https://a.blob.core.windows.net/c?restype=container&sig=planted in 1ms - Server returned non-2xx status code: {status}: <Error><Code>{code}</Code></Error>"
        )
    }

    #[test]
    fn lists_and_batches_are_refused_like_blobs_and_show_no_signature() {
        let denied = plain(
            generic_of(&refusal("403 Forbidden", "AuthorizationPermissionMismatch")),
            "t/_delta_log",
        );
        assert!(
            matches!(&denied, Error::PermissionDenied { path, .. } if path == "t/_delta_log"),
            "{denied}"
        );
        let missing = plain(
            generic_of(&refusal("404 Not Found", "ContainerNotFound")),
            "t",
        );
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
        let unknown = plain(
            generic_of(&refusal("401 Unauthorized", "InvalidAuthenticationInfo")),
            "t",
        );
        assert!(
            matches!(unknown, Error::Unauthenticated { .. }),
            "{unknown}"
        );
        let batch = plain(
            generic_of("Bulk delete request failed for key t/a: Forbidden (code: 403)"),
            "t/a",
        );
        assert!(matches!(batch, Error::PermissionDenied { .. }), "{batch}");
        let lost = plain(
            generic_of("error sending request for https://h/c?comp=batch&sig=planted in 1s"),
            "t",
        );
        for error in [denied, missing, unknown, batch, lost] {
            let shown = format!("{error} {error:?}");
            assert!(
                !shown.contains("planted") && !shown.contains("sig="),
                "{shown}"
            );
        }
    }

    #[test]
    fn the_signature_that_azure_repeats_is_struck_out_and_the_code_is_kept() {
        let mac = "zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc=";
        let text = format!(
            "PUT https://a/c/b in 1ms - Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code><Message>The MAC signature found in the HTTP request '{mac}' is not the same</Message></Error>"
        );
        let denied = Error::PermissionDenied {
            path: "b".into(),
            source: text.into(),
        };
        let denied = plain(denied, "b");
        assert_eq!(
            code(&denied.to_string()).as_deref(),
            Some("AuthenticationFailed")
        );
        assert!(!format!("{denied} {denied:?}").contains(mac));
    }

    #[test]
    fn only_a_blob_that_is_there_is_a_conflict() {
        let conflict = |code: &str| Error::AlreadyExists {
            path: "t/0.json".into(),
            source: format!(
                "PUT - Server returned non-2xx status code: 409 Conflict: <Code>{code}</Code>"
            )
            .into(),
        };
        assert!(matches!(
            plain(conflict("BlobAlreadyExists"), "t"),
            Error::AlreadyExists { .. }
        ));
        assert!(matches!(
            plain(conflict("ContainerBeingDeleted"), "t"),
            Error::Generic { .. }
        ));
    }
}
