//! Where a secret is kept, read anew at each use.

use super::profile;
use crate::{
    databricks::{Error, Host, JdbcUrl, Kind, Result},
    secret::{LiveSecret, Secret},
};
use std::{fmt, path::PathBuf};

/// A secret by the place it is kept in.
#[derive(Clone)]
pub(in crate::databricks) enum Kept {
    /// A value or a file.
    Live(LiveSecret),
    /// A key of a profile, as long as that states no other host than `host`.
    Profile {
        file: PathBuf,
        profile: String,
        key: String,
        /// Of the connection, as it is shown.
        host: String,
    },
}

impl Kept {
    /// Its value now, without white space around it. `what` names it in errors.
    pub(in crate::databricks) fn read(&self, what: &str) -> Result<Secret> {
        let refused = |message: String| Error::Token {
            kind: Kind::Unauthenticated,
            message,
        };
        let secret = match self {
            Self::Live(live) => live
                .read()
                .map_err(|error| refused(format!("no {what}: {error}")))?,
            Self::Profile {
                file,
                profile,
                key,
                host,
            } => {
                let profiles = profile::read(file).map_err(&refused)?;
                let values = profiles.get(profile);
                let stated = values.and_then(|values| values.get("host"));
                if let Some(stated) = stated.filter(|stated| !is_host(stated, host)) {
                    return Err(refused(format!(
                        "no {what}: the profile is now that of another host, whose credential is not sent to this one; restart to follow it, or name the profile of this host, profile=`{profile}` host=`{host}` of_credential=`{}` file=`{}`",
                        JdbcUrl::masked(stated),
                        file.display()
                    )));
                }
                let value = values.and_then(|values| values.get(key));
                let value = value.ok_or_else(|| {
                    refused(format!("no {what}: the profile no longer has the key, key=`{key}` profile=`{profile}` file=`{}`", file.display()))
                })?;
                Secret::new(value.as_str())
            }
        };
        let text = secret.expose().trim();
        if text.is_empty() {
            return Err(refused(format!(
                "the {what} is empty; put it where `auth` of the connection says"
            )));
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(refused(format!(
                "the {what} has white space in it; copy it again, whole and alone"
            )));
        }
        Ok(Secret::new(text))
    }
}

/// Whether a place's `host` is the connection's; what is no host is another.
pub(super) fn is_host(stated: &str, host: &str) -> bool {
    Host::parse(stated).is_ok_and(|stated| stated.to_string() == host)
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live(live) => live.fmt(f),
            Self::Profile {
                file, profile, key, ..
            } => {
                write!(f, "{key} of [{profile}] in {}", file.display())
            }
        }
    }
}
