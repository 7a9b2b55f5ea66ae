//! What S3's answers mean (S3 API reference, "Error responses").

use crate::{
    error::Kind,
    storage::{
        explain::{Dialect, Meaning, Operation, Verdict, element, status, told, transport},
        ours,
    },
};
use object_store::path::Path;

/// The answers of one bucket to one who asks.
#[derive(Debug)]
pub(super) struct Answers {
    store: String,
    bucket: String,
    region: String,
    identity: String,
}

/// The credential has ended or is unknown. Which of them comes depends on the store: MinIO says of an expired session
/// that its key is unknown.
const ENDED: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestExpired",
    "InvalidClientTokenId",
];

/// Nothing was written (S3 user guide, "Conditional requests"); `object_store` takes every 409 for an object that is
/// there already.
const CROSSED: [&str; 2] = ["ConditionalRequestConflict", "OperationAborted"];

impl Answers {
    pub(super) fn new(store: &str, bucket: &str, region: &str, identity: &str) -> Self {
        Self {
            store: store.to_owned(),
            bucket: bucket.to_owned(),
            region: region.to_owned(),
            identity: identity.to_owned(),
        }
    }

    fn meaning(&self, operation: Operation, path: Option<&Path>, text: &str) -> Option<Meaning> {
        let code = code(text);
        let place = match path.filter(|path| !path.as_ref().is_empty()) {
            Some(path) => format!(
                "store=`{}` bucket=`{}` key=`{path}`",
                self.store, self.bucket
            ),
            None => format!("store=`{}` bucket=`{}`", self.store, self.bucket),
        };
        let meaning = |kind, what: String| Some(Meaning::new(kind, format!("{what}, {place}")));
        if let Some(right) = self.other_region(text) {
            let what = match right {
                Some(right) => format!(
                    "the bucket is in another region; set `region = \"{right}\"`, region=`{}`",
                    self.region
                ),
                None => format!(
                    "the bucket is in another region; set `region` to what `aws s3api get-bucket-location` says, region=`{}`",
                    self.region
                ),
            };
            return meaning(Kind::Config, what);
        }
        let known = code.as_deref().unwrap_or_default();
        let (kind, what) = match known {
            "AccessDenied" | "AllAccessDisabled" => {
                return Some(self.denied(operation, path, text, &place));
            }
            "" if status(text) == Some(403) => {
                return Some(self.denied(operation, path, text, &place));
            }
            "NoSuchBucket" => (
                Kind::Unauthorized,
                "there is no such bucket; create it, or correct the URL".to_owned(),
            ),
            "NoSuchUpload" => (
                Kind::Unavailable,
                "the upload in parts is gone: it was completed or aborted, perhaps by a lifecycle rule; it is begun anew".to_owned(),
            ),
            "InvalidAccessKeyId" => (
                Kind::Unauthorized,
                format!("the store does not know the access key: it was deleted, or it is another store's; renew the credentials, identity=`{}`", self.identity),
            ),
            code if ENDED.contains(&code) => (
                Kind::Unauthorized,
                format!("the credentials have ended; renew them where they come from, identity=`{}`", self.identity),
            ),
            "SignatureDoesNotMatch" => (
                Kind::Unauthorized,
                format!("the secret key does not belong to the access key; correct it, identity=`{}`", self.identity),
            ),
            code if CROSSED.contains(&code) => (
                Kind::Unavailable,
                "another request for the same object was under way, nothing was done; it is tried again".to_owned(),
            ),
            "RequestTimeTooSkewed" => {
                let theirs = element(text, "ServerTime").unwrap_or_default();
                (
                    Kind::Unavailable,
                    format!("the clocks of this machine and of the store are too far apart; set this machine's by NTP, server_time=`{theirs}`"),
                )
            }
            "NotImplemented" if operation == Operation::Create => (
                Kind::Unsupported,
                "the store cannot create an object only where none is, which commits need; use a store that can, or set `single_writer = true` if nobody else writes these tables".to_owned(),
            ),
            code if code.starts_with("KMS.") => (
                Kind::Unauthorized,
                "the KMS key cannot be used; check `kms_key_id`, and that the key is enabled and in the bucket's region".to_owned(),
            ),
            _ => return None,
        };
        let said = said(text);
        meaning(kind, format!("{what}, code=`{known}`{said}"))
    }

    /// Which right is missing: the one AWS names, else the one the operation needs.
    fn denied(
        &self,
        operation: Operation,
        path: Option<&Path>,
        text: &str,
        place: &str,
    ) -> Meaning {
        let message = element(text, "Message").unwrap_or_default();
        let named = message
            .split_once("to perform: ")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .filter(|right| right.contains(':'));
        let right = named.unwrap_or_else(|| needed(operation)).to_owned();
        let resource = match path {
            _ if right.starts_with("kms:") => {
                "the KMS key of the bucket or of `kms_key_id`".to_owned()
            }
            Some(path) if right != "s3:ListBucket" => {
                format!("arn:aws:s3:::{}/{path}", self.bucket)
            }
            _ => format!("arn:aws:s3:::{}", self.bucket),
        };
        let remedy = if message.contains("explicit deny") {
            "a policy denies it; change that policy"
        } else if operation == Operation::Head && named.is_none() {
            "allow it, and s3:ListBucket on the bucket, without which S3 answers so for objects that are missing"
        } else {
            "allow it"
        };
        let said = said(text);
        let identity = &self.identity;
        Meaning {
            kind: Kind::Unauthorized,
            message: format!(
                "the right {right} is missing, the store refuses to {}; {remedy}, resource=`{resource}` identity=`{identity}` {place}{said}",
                operation.as_str()
            ),
            right: Some(right),
        }
    }

    /// Whether the bucket is elsewhere, and where if the answer says so.
    fn other_region(&self, text: &str) -> Option<Option<String>> {
        let named = element(text, "Region").filter(|region| *region != self.region);
        match code(text).as_deref() {
            Some(
                "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException",
            ) => Some(named),
            Some("AuthorizationHeaderMalformed") | None => named.map(Some),
            Some(_) => None,
        }
    }
}

impl Dialect for Answers {
    fn verdict(&self, error: &object_store::Error) -> Verdict {
        let text = error.to_string();
        match code(&text) {
            Some(code) if ENDED.contains(&code.as_str()) => Verdict::Ended,
            Some(code) if CROSSED.contains(&code.as_str()) => Verdict::Crossed,
            // Of an id and a secret that rotate one was read before the other.
            Some(code) if code == "SignatureDoesNotMatch" => Verdict::Suspicious,
            Some(_) => Verdict::Other,
            None if self.other_region(&text).is_some() => Verdict::Other,
            None if matches!(status(&text), Some(400 | 401 | 403)) => Verdict::Suspicious,
            None => Verdict::Other,
        }
    }

    /// S3 API reference, ListObjectsV2: of all but directory buckets.
    fn lists_in_byte_order(&self) -> bool {
        !self.bucket.ends_with("--x-s3")
    }

    fn explain(
        &self,
        operation: Operation,
        path: Option<&Path>,
        error: object_store::Error,
    ) -> object_store::Error {
        use object_store::Error as E;
        let error = uncrossed(error);
        if ours(&error).is_some()
            || matches!(
                error,
                E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. }
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

/// The error as one that a later try may not meet, if it says that nothing was done.
fn uncrossed(error: object_store::Error) -> object_store::Error {
    let there = matches!(error, object_store::Error::AlreadyExists { .. });
    match code(&error.to_string()) {
        Some(code) if there && CROSSED.contains(&code.as_str()) => object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        },
        _ => error,
    }
}

/// The code of an answer, or of one object's in the answer to a deletion of many.
fn code(text: &str) -> Option<String> {
    element(text, "Code").or_else(|| {
        let (_, rest) = text.rsplit_once("(code: ")?;
        Some(rest.split(')').next()?.to_owned())
    })
}

fn said(text: &str) -> String {
    match element(text, "Message") {
        Some(message) if !message.is_empty() => format!(" said=`{message}`"),
        _ => String::new(),
    }
}

/// The right an operation needs (S3 user guide, "Required permissions for S3 API operations").
fn needed(operation: Operation) -> &'static str {
    match operation {
        Operation::Put | Operation::Create | Operation::Copy | Operation::Multipart => {
            "s3:PutObject"
        }
        Operation::Get | Operation::Head => "s3:GetObject",
        Operation::List => "s3:ListBucket",
        Operation::Delete => "s3:DeleteObject",
        Operation::Abort => "s3:AbortMultipartUpload",
    }
}
