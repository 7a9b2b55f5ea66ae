//! What a landing zone answers.
//!
//! `{"containerName":"…","SASToken":"sv=…&sig=…","storageAccountName":"…","SASUri":"https://…","expiryDate":"2025-07-05"}`

use super::{
    expiry,
    sas::{Malformed, Named, Signature},
};
use serde::Deserialize;
use std::time::SystemTime;

/// An answer, read. Fields we do not know are passed over, and one of `SASToken` and `SASUri` is enough.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) account: String,
    pub(super) container: String,
    pub(super) signature: Signature,
    /// The earlier of `expiryDate` and what the signature says of itself.
    pub(super) ends: Option<SystemTime>,
    /// What `SASUri` says otherwise than the rest: `account`, `container` or `signature`.
    pub(super) contradiction: Option<&'static str>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(rename = "containerName")]
    container: Option<String>,
    #[serde(rename = "SASToken")]
    token: Option<String>,
    #[serde(rename = "storageAccountName")]
    account: Option<String>,
    #[serde(rename = "SASUri")]
    uri: Option<String>,
    #[serde(rename = "expiryDate")]
    expiry: Option<String>,
}

impl Reply {
    /// Errors hold no value of the answer but a date.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        // The parser's error could quote the token.
        let fields: Fields = serde_json::from_slice(body)
            .map_err(|_| Malformed("the answer is not the JSON of container credentials".into()))?;
        let text = |value: Option<String>| value.filter(|value| !value.trim().is_empty());
        let of_uri = match text(fields.uri) {
            Some(uri) => Some(
                Signature::parse(&uri)
                    .map_err(|Malformed(e)| Malformed(format!("in SASUri: {e}")))?,
            ),
            None => None,
        };
        let of_token = match text(fields.token) {
            Some(token) => Some(
                Signature::parse(&token)
                    .map_err(|Malformed(e)| Malformed(format!("in SASToken: {e}")))?
                    .0,
            ),
            None => None,
        };
        let (uri_signature, named) = match of_uri {
            Some((signature, named)) => (Some(signature), named),
            None => (None, None),
        };
        let account = text(fields.account);
        let container = text(fields.container);
        let contradiction = contradiction(
            named.as_ref(),
            account.as_deref(),
            container.as_deref(),
            of_token.as_ref().zip(uri_signature.as_ref()),
        );
        let missing = |field: &str| Malformed(format!("the answer has no `{field}`"));
        let signature = of_token
            .or(uri_signature)
            .ok_or_else(|| missing("SASToken"))?;
        let of_date = match text(fields.expiry) {
            Some(date) => Some(expiry::parse(&date).ok_or_else(|| {
                Malformed(format!(
                    "the answer's `expiryDate` is neither a date nor RFC 3339, expiryDate=`{date}`"
                ))
            })?),
            None => None,
        };
        let ends = match (of_date, signature.ends()) {
            (Some(date), Some(own)) => Some(date.min(own)),
            (date, own) => date.or(own),
        };
        Ok(Self {
            account: account
                .or_else(|| named.as_ref().map(|named| named.account.clone()))
                .ok_or_else(|| missing("storageAccountName"))?,
            container: container
                .or_else(|| named.map(|named| named.container))
                .filter(|container| !container.is_empty())
                .ok_or_else(|| missing("containerName"))?,
            signature,
            ends,
            contradiction,
        })
    }
}

fn contradiction(
    named: Option<&Named>,
    account: Option<&str>,
    container: Option<&str>,
    signatures: Option<(&Signature, &Signature)>,
) -> Option<&'static str> {
    let named = named?;
    if account.is_some_and(|account| !account.eq_ignore_ascii_case(&named.account)) {
        return Some("account");
    }
    if container.is_some_and(|container| container != named.container) {
        return Some("container");
    }
    signatures.and_then(|(token, uri)| (token != uri).then_some("signature"))
}

#[cfg(test)]
mod tests;
