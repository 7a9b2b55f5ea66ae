//! Where tables and files are: a folder of this machine, or a prefix of a bucket.

mod azure;
mod names;
mod redact;
#[cfg(test)]
mod tests;

pub(crate) use names::{check_account, check_bucket, check_region};
pub(crate) use names::{holds_placeholder, is_placeholder};
pub(super) use redact::redacted;

use super::{Error, Result, guard::MANAGED};
use object_store::path::Path;
use std::{fmt, path::PathBuf};
use url::Url;

/// The longest prefix of a bucket, in bytes: S3 and Azure take keys of 1024, and files of a table need theirs below it.
const MAX_PREFIX_BYTES: usize = 512;

/// What a `lake.url`, a table's `url` or a file's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An absolute path.
    Local(PathBuf),
    Remote(Remote),
}

/// A service that keeps objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    S3,
    Azure,
}

/// A storage account of Azure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    pub name: String,
    /// What follows the service in its host names: `core.windows.net`, or that of a sovereign cloud.
    pub suffix: String,
}

/// A bucket of S3 or a container of Azure, with a prefix in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    service: Service,
    bucket: String,
    account: Option<Account>,
    prefix: Path,
    url: Url,
}

impl Place {
    /// Reads a folder's path (relative ones from the working folder), a `file:` URL, or a URL of an object store:
    ///
    /// - `s3://BUCKET[/PREFIX]`, also `s3a:`
    /// - `az://CONTAINER[/PREFIX]`, whose account the store's options name
    /// - `abfss://CONTAINER@ACCOUNT.dfs.core.windows.net[/PREFIX]`, also `abfs:`
    /// - `https://ACCOUNT.blob.core.windows.net/CONTAINER[/PREFIX]`, also `.dfs.` and sovereign clouds
    ///
    /// Nothing is decoded: a `%` is refused, as readers do not agree on what it means.
    ///
    /// Errors: `Config` for what is no such place, `Unsupported` for other schemes; no secret of the text is in them.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |reason: String| Error::InvalidUrl {
            url: redacted(text),
            reason,
        };
        if text.is_empty() {
            return Err(invalid("name a folder or a URL".into()));
        }
        if text.trim() != text {
            return Err(invalid("it starts or ends with a space".into()));
        }
        let Some(scheme) = scheme(text) else {
            let path = std::path::absolute(text).map_err(|e| invalid(e.to_string()))?;
            return Ok(Self::Local(path));
        };
        if scheme == "file" {
            return file(text).map(Self::Local).map_err(invalid);
        }
        let Some(rest) = text[scheme.len()..].strip_prefix("://") else {
            return Err(invalid(format!("write `//` after `{scheme}:`")));
        };
        let place = match scheme.as_str() {
            "s3" | "s3a" => s3(rest),
            "az" => azure::short(rest),
            "abfs" | "abfss" => azure::hadoop(rest),
            "https" | "http" => azure::web(rest, scheme == "https"),
            _ => {
                return Err(Error::UnsupportedScheme {
                    scheme,
                    url: redacted(text),
                });
            }
        };
        place.map(Self::Remote).map_err(invalid)
    }
}

impl Remote {
    /// `prefix` is a plain path as it stands in a URL, not decoded.
    fn new(
        service: Service,
        bucket: &str,
        account: Option<Account>,
        prefix: &str,
    ) -> Result<Self, String> {
        check_bucket(service, bucket)?;
        let prefix = check_prefix(prefix)?;
        Self::of(service, bucket.to_owned(), account, prefix)
    }

    fn of(
        service: Service,
        bucket: String,
        account: Option<Account>,
        prefix: Path,
    ) -> Result<Self, String> {
        let root = match (service, &account) {
            (Service::S3, _) => format!("s3://{bucket}/"),
            (Service::Azure, None) => format!("az://{bucket}/"),
            (Service::Azure, Some(Account { name, suffix })) => {
                format!("abfss://{bucket}@{name}.dfs.{suffix}/")
            }
        };
        let mut url = Url::parse(&root).map_err(|error| error.to_string())?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            segments.extend(prefix.as_ref().split('/').filter(|part| !part.is_empty()));
            segments.push("");
        }
        Ok(Self {
            service,
            bucket,
            account,
            prefix,
            url,
        })
    }

    /// A bucket of S3 by its name alone.
    ///
    /// Errors: `Config`, with the name that was probably meant.
    pub fn bucket_named(name: &str) -> Result<Self> {
        names::only_a_name(name)
            .and_then(|()| Self::new(Service::S3, name, None, ""))
            .map_err(|reason| Error::InvalidUrl {
                url: redacted(name),
                reason,
            })
    }

    /// The same place with an account, for one whose URL names none.
    pub(super) fn with_account(&self, account: &Account) -> Result<Self> {
        let Self {
            service,
            bucket,
            prefix,
            ..
        } = self.clone();
        Self::of(service, bucket, Some(account.clone()), prefix).map_err(|reason| {
            Error::InvalidUrl {
                url: self.url.to_string(),
                reason,
            }
        })
    }

    pub fn service(&self) -> Service {
        self.service
    }

    /// The bucket of S3, the container of Azure.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Of Azure, where it is known.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The object path below the bucket; of the bucket itself the empty one.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The one spelling of this place: `s3://…/`, `abfss://…/`, or `az://…/` where the account is not known. Ends in
    /// `/`; its decoded path is [`Self::prefix`].
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether `other` is this place or lies below it. An account that one of them does not name is no difference.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let accounts = match (&self.account, &other.account) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => true,
        };
        self.service == other.service
            && self.bucket == other.bucket
            && accounts
            && other.prefix.prefix_matches(&self.prefix)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Remote(remote) => remote.url.fmt(f),
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::S3 => "S3",
            Self::Azure => "Azure",
        })
    }
}

impl Account {
    /// An account of the public cloud.
    pub(super) fn public(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            suffix: azure::PUBLIC.to_owned(),
        }
    }

    /// The address of its blob service.
    pub(super) fn endpoint(&self) -> String {
        format!("https://{}.blob.{}", self.name, self.suffix)
    }

    pub(super) fn is_public(&self) -> bool {
        self.suffix == azure::PUBLIC
    }
}

/// The scheme of what is meant as a URL, in lower case; `None` for a folder's path.
///
/// `a:b` may be a folder's name; `s3:b` is a slip.
fn scheme(text: &str) -> Option<String> {
    const KNOWN: [&str; 10] = [
        "file", "s3", "s3a", "s3n", "az", "abfs", "abfss", "wasb", "wasbs", "gs",
    ];
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let scheme = scheme.to_ascii_lowercase();
    (is_scheme && (rest.starts_with("//") || KNOWN.contains(&scheme.as_str()))).then_some(scheme)
}

fn file(text: &str) -> Result<PathBuf, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !text["file:".len()..].starts_with('/') {
        return Err("write file:///absolute/path, or the path alone".into());
    }
    url.to_file_path()
        .map_err(|()| "a file: URL names a path on this machine".into())
}

/// `BUCKET[/PREFIX]`.
fn s3(rest: &str) -> Result<Remote, String> {
    let (bucket, prefix) = split(rest)?;
    // A key may hold slashes.
    if bucket.contains('@') || (bucket.contains(':') && rest.contains('@')) {
        return Err(
            "a URL holds no keys; they belong in `[stores.NAME] credentials = { type = \"static\", … }`".into(),
        );
    }
    if bucket.contains(':') {
        return Err(
            "a bucket has no port; another address of the service is the `endpoint` of a `[stores.NAME]`".into(),
        );
    }
    Remote::new(Service::S3, bucket, None, prefix)
}

/// What stands before the first slash, and what after it. Refuses queries and fragments.
fn split(rest: &str) -> Result<(&str, &str), String> {
    if let Some((_, query)) = rest.split_once('?') {
        return Err(match query.contains("sig=") {
            true => "a shared access signature is a secret and no part of a URL; it belongs in `[stores.NAME] credentials = { type = \"sas\", token = \"file:PATH\" }`",
            false => "a URL holds no query (`?…`); credentials belong in `[stores.NAME]`",
        }
        .into());
    }
    if rest.contains('#') {
        return Err("a URL holds no `#`".into());
    }
    Ok(rest.split_once('/').unwrap_or((rest, "")))
}

fn check_prefix(prefix: &str) -> Result<Path, String> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if prefix.is_empty() {
        return Ok(Path::default());
    }
    if prefix.len() > MAX_PREFIX_BYTES {
        return Err(format!("its path is longer than {MAX_PREFIX_BYTES} bytes"));
    }
    if holds_placeholder(prefix) {
        return Err("its path holds a placeholder that was not replaced".into());
    }
    if prefix
        .chars()
        .any(|c| c == '%' || c == '\\' || c.is_control())
    {
        return Err("its path holds `%`, `\\` or a control character, choose another".into());
    }
    for part in prefix.split('/') {
        match part {
            "" => return Err("its path has an empty folder name (`//`)".into()),
            "." | ".." => return Err(format!("its path has a folder `{part}`")),
            MANAGED => {
                return Err(format!(
                    "`{MANAGED}/` belongs to Adobe and is never touched, choose another"
                ));
            }
            _ => {}
        }
    }
    Path::parse(prefix).map_err(|error| error.to_string())
}
