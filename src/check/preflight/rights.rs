//! The rights that Alluvium needs of a store, as its provider names them, and why.

use crate::{
    error::Kind,
    storage::{Error as StorageError, explain::chain, kind_of, ours},
};
use object_store::Error;

/// Who names the rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Disk,
    S3,
    /// By a shared access signature, or by an identity with a role; unknown which.
    Azure,
    AzureSignature,
    AzureRole,
    AzureKey,
}

/// What is to be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Create,
    Overwrite,
    Read,
    List,
    Multipart,
    Abort,
    Delete,
}

impl Right {
    /// What it is needed for.
    pub(super) fn why(self) -> &'static str {
        match self {
            Right::Create => "files and versions of tables are created",
            Right::Overwrite => {
                "an upload whose answer was lost is made again, and _last_checkpoint is replaced"
            }
            Right::Read => "the versions of a table are read before each commit that may conflict",
            Right::List => {
                "versions and tables are found by listing; without it a missing object looks like a refusal"
            }
            Right::Multipart => "files above 32 MiB and checkpoints go in parts",
            Right::Abort => {
                "uploads that failed are given up; without it their parts stay, unseen, and cost money"
            }
            Right::Delete => {
                "sweeps and probes remove their own; without it nothing is lost, and orphans stay"
            }
        }
    }

    /// Whether tables are landed all the same without it.
    pub(super) fn is_dispensable(self) -> bool {
        matches!(self, Right::Abort | Right::Delete)
    }

    /// Its name; `None` where a store knows no such right.
    pub(super) fn name(self, provider: Provider) -> String {
        let signature = match self {
            // Alluvium's requests to create a blob are those that write one.
            Right::Create | Right::Overwrite | Right::Multipart | Right::Abort => {
                "SAS `sp` letter w (write)"
            }
            Right::Read => "SAS `sp` letter r (read)",
            Right::List => "SAS `sp` letter l (list)",
            // Deletions are posted in batches.
            Right::Delete => "SAS `sp` letter d (delete), with w",
        };
        let role = match self {
            Right::Create | Right::Overwrite | Right::Multipart | Right::Abort => {
                "role `Storage Blob Data Contributor` (…/blobs/write) on the container"
            }
            Right::Read | Right::List => {
                "role `Storage Blob Data Contributor` or `Reader` (…/blobs/read) on the container"
            }
            Right::Delete => {
                "role `Storage Blob Data Contributor` (…/blobs/delete) on the container"
            }
        };
        match provider {
            Provider::Disk => match self {
                Right::Read | Right::List => {
                    "the right of this process's user to read there".into()
                }
                _ => "the right of this process's user to write there".into(),
            },
            Provider::S3 => match self {
                Right::Create | Right::Overwrite | Right::Multipart => {
                    "s3:PutObject on the bucket's objects"
                }
                Right::Read => "s3:GetObject on the bucket's objects",
                Right::List => "s3:ListBucket on the bucket",
                Right::Abort => "s3:AbortMultipartUpload on the bucket's objects",
                Right::Delete => "s3:DeleteObject on the bucket's objects",
            }
            .into(),
            Provider::Azure => format!("{signature}, or {role}"),
            Provider::AzureSignature => signature.into(),
            Provider::AzureRole => role.into(),
            Provider::AzureKey => {
                "access by account keys (the account's `allowSharedKeyAccess` and network rules)"
                    .into()
            }
        }
    }
}

/// What an answer that is an error means for the steps that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A right is missing; others may be there.
    Right,
    /// The credential itself, the bucket, the way there: whatever is asked next is answered alike.
    Everything,
    /// This step alone.
    Step,
}

/// Codes of answers that are about the credential, whichever status they come with, and of missing buckets and containers.
const EVERYTHING: [&str; 17] = [
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
    "RequestExpired",
    "AuthorizationHeaderMalformed",
    "PermanentRedirect",
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
    "AuthorizationFailure",
    "KeyBasedAuthenticationNotPermitted",
    "NoSuchBucket",
    "ContainerNotFound",
    "AccountIsDisabled",
];

pub(super) fn trouble(error: &Error) -> Trouble {
    match ours(error) {
        Some(StorageError::Answer { right: Some(_), .. }) => return Trouble::Right,
        Some(told) if told.kind() == Kind::Unauthorized => return Trouble::Everything,
        _ => {}
    }
    let told = chain(error);
    if EVERYTHING.iter().any(|code| told.contains(code))
        || matches!(error, Error::Unauthenticated { .. })
    {
        return Trouble::Everything;
    }
    // Refusals to delete come in an answer that is a success, one for each object.
    let is_refused = matches!(error, Error::PermissionDenied { .. })
        || told.contains("AccessDenied")
        || told.contains("AuthorizationPermissionMismatch");
    match kind_of(error) {
        _ if is_refused => Trouble::Right,
        Kind::Unauthorized if !matches!(error, Error::NotFound { .. }) => Trouble::Right,
        Kind::Unavailable | Kind::Config => Trouble::Everything,
        _ => Trouble::Step,
    }
}

/// What a store said: in our words where there are any, else in its own.
pub(super) fn words(error: &Error) -> String {
    match ours(error) {
        Some(StorageError::Answer { message, .. }) => message.clone(),
        _ => chain(error),
    }
}

/// The right that is missing by the store's own word, such as one of a key it encrypts with.
pub(super) fn named(error: &Error) -> Option<String> {
    match ours(error) {
        Some(StorageError::Answer { right, .. }) => right.clone(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(text: &str) -> Error {
        Error::PermissionDenied {
            path: "a".into(),
            source: text.into(),
        }
    }

    #[test]
    fn rights_have_the_names_that_their_provider_gives_them() {
        let s3 = |right: Right| right.name(Provider::S3);
        assert!(s3(Right::Create).starts_with("s3:PutObject "));
        assert!(s3(Right::Multipart).starts_with("s3:PutObject "));
        assert!(s3(Right::Read).starts_with("s3:GetObject "));
        assert!(s3(Right::List).starts_with("s3:ListBucket "));
        assert!(s3(Right::Delete).starts_with("s3:DeleteObject "));
        assert!(s3(Right::Abort).starts_with("s3:AbortMultipartUpload "));
        for (right, letter) in [
            (Right::Create, "letter w"),
            (Right::Read, "letter r"),
            (Right::List, "letter l"),
            (Right::Delete, "letter d"),
        ] {
            assert!(right.name(Provider::AzureSignature).contains(letter));
            let either = right.name(Provider::Azure);
            assert!(either.contains(letter) && either.contains("Storage Blob Data Contributor"));
        }
    }

    #[test]
    fn a_missing_right_is_told_from_a_credential_that_is_no_good() {
        assert_eq!(
            trouble(&denied("<Code>AccessDenied</Code>")),
            Trouble::Right
        );
        assert_eq!(
            trouble(&denied("AuthorizationPermissionMismatch")),
            Trouble::Right
        );
        for code in ["InvalidAccessKeyId", "ExpiredToken", "AuthenticationFailed"] {
            assert_eq!(trouble(&denied(code)), Trouble::Everything, "{code}");
        }
        let generic = |text: &str| Error::Generic {
            store: "S3",
            source: text.to_owned().into(),
        };
        assert_eq!(trouble(&generic("connection refused")), Trouble::Everything);
        assert_eq!(
            trouble(&generic("DeleteObjects request failed: AccessDenied")),
            Trouble::Right
        );
        let not_found = |text: &str| Error::NotFound {
            path: "a".into(),
            source: text.to_owned().into(),
        };
        assert_eq!(trouble(&not_found("NoSuchBucket")), Trouble::Everything);
        assert_eq!(trouble(&not_found("NoSuchKey")), Trouble::Step);
    }
}
