//! Which options make a store: what fits the service, ranges, and what keys say of each other.

mod azure;
mod common;
mod s3;
#[cfg(test)]
mod tests;

use super::{Account, Error, Place, Remote, Result, Service, StoreOptions, place::check_account};
use std::collections::BTreeMap;

/// One thing that is wrong with a `[stores.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    pub store: String,
    /// The key below the store, as in `credentials.role_arn`; empty for the store as a whole.
    pub key: String,
    /// What is wrong and what to do; never the value of a secret.
    pub message: String,
}

/// Everything that is wrong, store by store.
pub fn judge(stores: &BTreeMap<String, StoreOptions>) -> Vec<Misfit> {
    let mut found = Vec::new();
    let mut places: Vec<(&String, Remote)> = Vec::new();
    for (name, options) in stores {
        let mut judged = Judged::default();
        match place(options) {
            Ok(place) => {
                let other = places
                    .iter()
                    .find(|(_, other)| other.url() == place.url())
                    .map(|(other, _)| other);
                if let Some(other) = other {
                    judged.wrong(
                        own_key(options),
                        format!("is the place of another store; keep one of them, stores=`{other}, {name}`"),
                    );
                }
                common::judge(options, &mut judged);
                match place.service() {
                    Service::S3 => s3::judge(options, &mut judged),
                    Service::Azure => azure::judge(options, &mut judged),
                }
                places.push((name, place));
            }
            Err(error) => judged.wrong(own_key(options), reason(error)),
        }
        found.extend(judged.0.into_iter().map(|(key, message)| Misfit {
            store: name.clone(),
            key,
            message,
        }));
    }
    found
}

/// What a store serves: its `url`, or the bucket it names, with its account.
///
/// Errors: `Config`.
pub(super) fn place(options: &StoreOptions) -> Result<Remote> {
    let invalid = |reason: String| Error::InvalidUrl {
        url: options
            .url
            .as_deref()
            .map(super::place::redacted)
            .unwrap_or_default(),
        reason,
    };
    let place = match (&options.url, &options.bucket) {
        (Some(_), Some(_)) => return Err(invalid("`url` and `bucket` exclude each other".into())),
        (None, None) => {
            return Err(invalid(
                "the store serves nothing: set `url`, or `bucket` to an S3 bucket's name".into(),
            ));
        }
        (None, Some(bucket)) => Remote::bucket_named(bucket)?,
        (Some(url), None) => match Place::parse(url)? {
            Place::Remote(place) => place,
            Place::Local(_) => {
                return Err(invalid(
                    "a folder of this machine needs no store; a store's `url` is s3://…, az://…, abfss://… or https://….blob.core.windows.net/…".into(),
                ));
            }
        },
    };
    match (&options.account, place.account(), place.service()) {
        (Some(name), None, Service::Azure) => {
            check_account(name).map_err(invalid)?;
            place.with_account(&Account::public(name))
        }
        (Some(name), Some(account), Service::Azure) if *name != account.name => Err(invalid(
            format!("`url` and `account` name different accounts, account=`{name}`"),
        )),
        _ => Ok(place),
    }
}

fn own_key(options: &StoreOptions) -> &'static str {
    match (&options.url, &options.bucket) {
        (Some(_), _) => "url",
        (None, Some(_)) => "bucket",
        (None, None) => "",
    }
}

fn reason(error: Error) -> String {
    match error {
        Error::InvalidUrl { url, reason } if url.is_empty() => reason,
        Error::InvalidUrl { url, reason } => format!("{reason}, url=`{url}`"),
        error => error.to_string(),
    }
}

/// What is wrong with one store, by key.
#[derive(Default)]
struct Judged(Vec<(String, String)>);

impl Judged {
    fn wrong(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push((key.into(), message.into()));
    }

    /// A key of one service, set where another is.
    fn foreign(&mut self, key: &str, set: bool, of: Service, here: Service) {
        if set {
            self.wrong(
                key,
                format!(
                    "belongs to {of}, and `url` is in {here}; take out `{key}`, or change `url`"
                ),
            );
        }
    }

    fn within<T: PartialOrd + std::fmt::Display>(&mut self, key: &str, value: T, low: T, high: T) {
        if !(value >= low && value <= high) {
            self.wrong(key, format!("must be from {low} to {high}, not `{value}`"));
        }
    }

    /// Whether a person filled a text in.
    fn filled(&mut self, key: &str, text: &str) -> bool {
        if text.trim().is_empty() {
            self.wrong(key, "is empty");
            return false;
        }
        if super::place::is_placeholder(text) {
            self.wrong(
                key,
                format!("is a placeholder that was not replaced, value=`{text}`"),
            );
            return false;
        }
        true
    }

    fn filled_if(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.filled(key, text);
        }
    }
}
