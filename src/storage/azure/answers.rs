//! What the Blob service's answers mean.
//!
//! Codes: <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes> and `common-rest-api-error-codes`.

use super::{plain::scrubbed, rights::Right};
use crate::{
    error::Kind,
    storage::{
        explain::{Dialect, Meaning, Operation, Verdict, element, status, told, transport},
        ours,
    },
};
use object_store::{Error, path::Path};

/// The answers of one container to one who asks.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) store: String,
    pub(super) container: String,
    pub(super) identity: String,
    /// Whether its rights are those of roles, not of a signature.
    pub(super) by_role: bool,
}

/// The least role with all that we need.
const ROLE: &str = "Storage Blob Data Contributor";

impl Answers {
    fn meaning(&self, operation: Operation, path: Option<&Path>, text: &str) -> Option<Meaning> {
        let status = status(text).or_else(|| text.contains("(code: 403)").then_some(403))?;
        let code = code(text);
        let place = match path.filter(|path| !path.as_ref().is_empty()) {
            Some(path) => format!(
                "store=`{}` container=`{}` blob=`{path}`",
                self.store, self.container
            ),
            None => format!("store=`{}` container=`{}`", self.store, self.container),
        };
        let known = code.as_deref().unwrap_or_default();
        let said = said(text);
        let identity = &self.identity;
        let meaning = |kind, what: &str| {
            Some(Meaning::new(
                kind,
                format!(
                    "{what}, status=`{status}` code=`{known}` identity=`{identity}` {place}{said}"
                ),
            ))
        };
        match known {
            "AuthorizationPermissionMismatch" | "InsufficientAccountPermissions" => {
                let letters: String = needed(operation)
                    .iter()
                    .map(|right| right.letter())
                    .collect();
                let (right, remedy) = match self.by_role {
                    true => (
                        ROLE.to_owned(),
                        format!("give it the role `{ROLE}` on the container"),
                    ),
                    false => (
                        format!("sp {letters}"),
                        format!("have the signature made with `{letters}` in `sp`"),
                    ),
                };
                let what = format!(
                    "a right is missing, the store refuses to {}; {remedy}, status=`{status}` code=`{known}` identity=`{identity}` {place}{said}",
                    operation.as_str()
                );
                Some(Meaning {
                    right: Some(right),
                    ..Meaning::new(Kind::Unauthorized, what)
                })
            }
            "AuthenticationFailed" if is_skew(&said) => meaning(
                Kind::Unavailable,
                "the clocks of this machine and of the store are too far apart; set this machine's by NTP",
            ),
            "AuthenticationFailed"
            | "InvalidAuthenticationInfo"
            | "NoAuthenticationInformation" => meaning(
                Kind::Unauthorized,
                "the credential is not accepted: it has ended, was revoked (its stored access policy or key was changed), or is not the account's; renew it where it comes from",
            ),
            "AuthorizationFailure" => meaning(
                Kind::Unauthorized,
                "the account's network rules refuse this machine, or the account its public network; allow it there, or use a private endpoint",
            ),
            "AuthorizationResourceTypeMismatch" => meaning(
                Kind::Unauthorized,
                "the account's signature must be for containers and objects, srt=`co`; sign another one",
            ),
            "AuthorizationServiceMismatch" => meaning(
                Kind::Unauthorized,
                "the account's signature must be for the Blob service, ss=`b`; sign another one",
            ),
            "AuthorizationProtocolMismatch" => meaning(
                Kind::Unauthorized,
                "the signature may be sent by https only, spr=`https`; use an https endpoint",
            ),
            "AuthorizationSourceIPMismatch" => meaning(
                Kind::Unauthorized,
                "the signature is not for this machine's address, see its `sip`; sign another one",
            ),
            "KeyBasedAuthenticationNotPermitted" => meaning(
                Kind::Unauthorized,
                "the account accepts neither keys nor signatures made with them; use `entra`, `managed_identity` or a user delegation signature",
            ),
            "ContainerNotFound" => meaning(
                Kind::Unauthorized,
                "there is no such container; create it, or correct the URL",
            ),
            "ContainerBeingDeleted" | "ContainerDisabled" | "AccountIsDisabled" => meaning(
                Kind::Unavailable,
                "the container or its account is disabled or being deleted; it is tried again",
            ),
            "BlobImmutableDueToPolicy" | "BlobUsesCustomerSpecifiedEncryption" => meaning(
                Kind::Unauthorized,
                "a policy forbids to change or read the blob; lift it, or use another container",
            ),
            _ if matches!(status, 401 | 403) => meaning(Kind::Unauthorized, "the store refuses"),
            _ => None,
        }
    }
}

impl Dialect for Answers {
    /// An ended or tampered signature, a deleted or changed stored access policy and a rotated key are all answered by
    /// 403 `AuthenticationFailed`. Azurite (3.37, all requests tried) says `AuthorizationFailure` for them, with Azure's
    /// text for the former; Azure means its network rules by that. An answer to HEAD has only the code.
    fn verdict(&self, error: &Error) -> Verdict {
        let text = error.to_string();
        let status = status(&text);
        match code(&text).as_deref() {
            Some(
                "AuthenticationFailed"
                | "InvalidAuthenticationInfo"
                | "NoAuthenticationInformation",
            ) => Verdict::Ended,
            Some("AuthorizationFailure") if element(&text, "Message").is_none() => {
                Verdict::Suspicious
            }
            Some(_) => Verdict::Other,
            None if matches!(status, Some(401 | 403)) || text.contains("(code: 403)") => {
                Verdict::Suspicious
            }
            None => Verdict::Other,
        }
    }

    /// A hierarchical namespace has `a/1` before `a-b/1`.
    fn lists_in_byte_order(&self) -> bool {
        false
    }

    fn explain(&self, operation: Operation, path: Option<&Path>, error: Error) -> Error {
        if ours(&error).is_some()
            || matches!(
                error,
                Error::AlreadyExists { .. }
                    | Error::Precondition { .. }
                    | Error::NotModified { .. }
            )
        {
            return error;
        }
        let meaning = self
            .meaning(operation, path, &error.to_string())
            .or_else(|| transport(&error));
        match meaning {
            Some(meaning) => told(error, meaning),
            None => error,
        }
    }
}

/// The code of an answer. Of one blob's in the answer to a batch there is only the reason phrase.
pub(super) fn code(text: &str) -> Option<String> {
    let says = |words: &str, code: &str| text.contains(words).then(|| code.to_owned());
    says("failed to authenticate", "AuthenticationFailed")
        .or_else(|| element(text, "Code"))
        .or_else(|| says("using this permission", "AuthorizationPermissionMismatch"))
}

/// What the rights are called that an operation needs.
fn needed(operation: Operation) -> &'static [Right] {
    match operation {
        Operation::Put | Operation::Create | Operation::Multipart => &[Right::Write],
        Operation::Get | Operation::Head => &[Right::Read],
        Operation::List => &[Right::List],
        Operation::Delete => Right::TO_DELETE,
        Operation::Copy => &[Right::Read, Right::Write],
        Operation::Abort => &[],
    }
}

/// The service's own words: their first line, for ids and times come after, and the detail.
fn said(text: &str) -> String {
    let line = |name: &str| {
        let text = element(text, name).unwrap_or_default();
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    let said = [line("Message"), line("AuthenticationErrorDetail")].join(" ");
    match scrubbed(said.trim()) {
        said if said.is_empty() => said,
        said => format!(" said=`{}`", said.chars().take(400).collect::<String>()),
    }
}

fn is_skew(said: &str) -> bool {
    said.to_lowercase().contains("date header")
}

#[cfg(test)]
mod tests;
