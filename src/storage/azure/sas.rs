//! Shared access signatures: the parser of tokens and URIs, and what a token says of itself.
//!
//! Fields as in <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>, `create-account-sas` and
//! `create-user-delegation-sas`. A token is an URL's query: `sv=…&sr=c&sp=rwdl&se=…&sig=…`. Its fields are sent as
//! they came, those unknown to us included: the service signs what it knows, and what `sig` covers must not change.

mod usable;

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use object_store::azure::AzureCredential;
use std::{fmt, time::SystemTime};

/// A token, read.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::storage) struct Signature {
    /// Names and values, decoded.
    pairs: Vec<(String, String)>,
    starts: Option<DateTime<Utc>>,
    ends: Option<DateTime<Utc>>,
}

/// What an URI with a token names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct Named {
    pub account: String,
    /// Empty if the URI names the account alone, as those of account signatures do.
    pub container: String,
}

/// Why a text is not a token. Holds no value of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a shared access signature, {0}")]
pub(in crate::storage) struct Malformed(pub(in crate::storage) String);

impl Signature {
    /// A token, with or without its leading `?`, or an URI of a container or account with one; of an URI also what it
    /// names.
    ///
    /// Errors hold no value of the text.
    pub(in crate::storage) fn parse(text: &str) -> Result<(Self, Option<Named>), Malformed> {
        let text = text.trim();
        let is_uri = ["https://", "http://"].iter().any(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
        });
        if !is_uri {
            return Ok((Self::of_query(text.trim_start_matches('?'))?, None));
        }
        let (place, query) = text
            .split_once('?')
            .ok_or_else(|| Malformed("the URI has no `?` with a token after it".into()))?;
        Ok((Self::of_query(query)?, Some(named(place)?)))
    }

    fn of_query(query: &str) -> Result<Self, Malformed> {
        // A `+` is itself, not a space: `sig` is base64, and is often pasted decoded.
        let query = query.replace('+', "%2B");
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(query.trim().as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        if let Some((twice, _)) = pairs
            .iter()
            .enumerate()
            .find_map(|(n, pair)| pairs[..n].iter().find(|(name, _)| *name == pair.0))
            && known(twice)
        {
            return Err(Malformed(format!("it has `{twice}` twice")));
        }
        let mut signature = Self {
            pairs,
            starts: None,
            ends: None,
        };
        signature.check_sig()?;
        if signature.get("sv").is_none() {
            return Err(Malformed("it has no `sv`, copy the token whole".into()));
        }
        // A token signed by a user delegation key is good only while the key is.
        signature.starts = signature.instant("st")?.max(signature.instant("skt")?);
        signature.ends = earlier(signature.instant("se")?, signature.instant("ske")?);
        Ok(signature)
    }

    fn check_sig(&self) -> Result<(), Malformed> {
        let Some(sig) = self.get("sig") else {
            return Err(Malformed("it has no `sig`, copy the token whole".into()));
        };
        if BASE64_STANDARD
            .decode(sig)
            .is_ok_and(|bytes| bytes.len() == 32)
        {
            return Ok(());
        }
        Err(Malformed(match sig.contains('%') {
            true => "its `sig` is percent-encoded twice".into(),
            false => "its `sig` is not the base64 of 32 bytes, copy the token whole".into(),
        }))
    }

    fn instant(&self, name: &str) -> Result<Option<DateTime<Utc>>, Malformed> {
        self.get(name)
            .map(|text| {
                instant(text).ok_or_else(|| Malformed(format!("its `{name}` is not a time")))
            })
            .transpose()
    }

    /// A field's value, decoded.
    pub(in crate::storage) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// When it ends, if it says so itself: `se`, or `ske` where that is earlier. A stored access policy (`si`) may end it
    /// without its saying so.
    pub(in crate::storage) fn ends(&self) -> Option<SystemTime> {
        self.ends.map(SystemTime::from)
    }

    /// Whether both are one and the same token.
    pub(in crate::storage) fn is(&self, other: &Self) -> bool {
        self.get("sig") == other.get("sig")
    }

    /// What a client signs with.
    pub(in crate::storage) fn credential(&self) -> AzureCredential {
        AzureCredential::SASToken(self.pairs.clone())
    }
}

/// Shows what is no secret: everything but `sig`.
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")?;
        let mut map = f.debug_map();
        for (name, value) in self
            .pairs
            .iter()
            .filter(|(name, _)| name != "sig" && known(name))
        {
            map.entry(name, value);
        }
        map.finish()
    }
}

/// What it is for, and until when: for logs and `check`.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.get("skoid"), self.get("ss")) {
            (Some(_), _) => "user delegation signature",
            (None, Some(_)) => "account signature",
            (None, None) => "shared access signature",
        };
        f.write_str(kind)?;
        for name in ["sr", "sp", "si"] {
            if let Some(value) = self.get(name) {
                write!(f, " {name}=`{value}`")?;
            }
        }
        match self.ends {
            Some(ends) => write!(f, " se=`{ends:?}`"),
            None => Ok(()),
        }
    }
}

/// Whether Azure gives this field a meaning; the others may be anything, secrets too.
fn known(name: &str) -> bool {
    [
        "sv", "sr", "sp", "si", "se", "st", "sip", "spr", "sig", "ss", "srt", "sdd", "ses",
        "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "sduoid",
        "skdutid",
    ]
    .contains(&name)
}

/// `https://ACCOUNT.blob.core.windows.net/CONTAINER`, or an emulator's `http://127.0.0.1:10000/ACCOUNT/CONTAINER`.
fn named(place: &str) -> Result<Named, Malformed> {
    let url =
        url::Url::parse(place).map_err(|e| Malformed(format!("the URI is malformed: {e}")))?;
    let mut segments = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty());
    let account = match url.host() {
        Some(url::Host::Domain(host)) if host.contains('.') => {
            host.split('.').next().unwrap_or_default().to_owned()
        }
        _ => segments.next().unwrap_or_default().to_owned(),
    };
    if account.is_empty() {
        return Err(Malformed("the URI names no account".into()));
    }
    Ok(Named {
        account,
        container: segments.next().unwrap_or_default().to_owned(),
    })
}

/// The forms that Azure takes: a date, with minutes, with seconds, with fractions; always UTC unless an offset says
/// otherwise.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let minutes = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%MZ");
    let date = || {
        Some(
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .ok()?
                .and_time(chrono::NaiveTime::MIN),
        )
    };
    Some(minutes.ok().or_else(date)?.and_utc())
}

fn earlier(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests;
