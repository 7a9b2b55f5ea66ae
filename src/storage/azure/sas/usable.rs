//! Whether a token can be used here and now.

use super::Signature;
use chrono::{DateTime, Utc};
use std::time::SystemTime;

/// Why a token is of no use here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(in crate::storage) struct Unusable {
    pub reason: String,
    /// Whether another token helps, or time, without a change of the configuration.
    pub passing: bool,
}

impl Signature {
    /// Errors if it cannot be used now for the objects of a container: outside its time, of another resource, or only
    /// by another protocol.
    pub(in crate::storage) fn check(
        &self,
        now: SystemTime,
        plain_http: bool,
    ) -> Result<(), Unusable> {
        let lasting = |reason: String| {
            Err(Unusable {
                reason,
                passing: false,
            })
        };
        let passing = |reason: String| {
            Err(Unusable {
                reason,
                passing: true,
            })
        };
        match (self.get("sr"), self.get("ss")) {
            (Some("c"), _) => {}
            (Some("b" | "bs" | "bv"), _) => {
                return lasting(
                    "the signature is for one blob, ask for one of the container, sr=`c`".into(),
                );
            }
            (Some("d"), _) => {
                return lasting(
                    "the signature is for one directory, which cannot be listed by the Blob service, ask for one of the container, sr=`c`"
                        .into(),
                );
            }
            (Some(other), _) => {
                return lasting(format!(
                    "the signature is not for a container, ask for one, sr=`c`, has sr=`{other}`"
                ));
            }
            (None, Some(services)) => {
                if !services.contains('b') {
                    return lasting(format!(
                        "the account's signature is not for the Blob service, `b` is missing, ss=`{services}`"
                    ));
                }
                let types = self.get("srt").unwrap_or_default();
                if !types.contains('o') || !types.contains('c') {
                    return lasting(format!(
                        "the account's signature must be for containers (to list) and objects, srt=`co`, has srt=`{types}`"
                    ));
                }
            }
            (None, None) => {
                return lasting(
                    "the signature says neither `sr` nor `ss`, copy the token whole".into(),
                );
            }
        }
        if plain_http && self.get("spr") == Some("https") {
            return lasting(
                "the signature may be sent by https only, spr=`https`, and the endpoint is http"
                    .into(),
            );
        }
        let now = DateTime::<Utc>::from(now);
        if let Some(starts) = self.starts.filter(|starts| *starts > now) {
            return passing(format!(
                "the signature begins later, if that is wrong set this machine's clock, st=`{starts:?}` now=`{now:?}`"
            ));
        }
        if let Some(ends) = self.ends.filter(|ends| *ends <= now) {
            return passing(format!(
                "the signature has ended, ask for another, se=`{ends:?}` now=`{now:?}`"
            ));
        }
        Ok(())
    }
}
