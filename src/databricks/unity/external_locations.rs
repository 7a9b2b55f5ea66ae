//! External locations: places in the cloud that a storage credential opens.

use super::{Call, PATH, Result, Unity, at, page};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An external location.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ExternalLocation {
    pub name: String,
    #[serde(default)]
    pub url: String,
    #[serde(default)]
    pub credential_name: String,
    #[serde(default)]
    pub read_only: bool,
    #[serde(default)]
    pub owner: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl ExternalLocation {
    /// Whether it holds what `url` names.
    pub fn covers(&self, url: &str) -> bool {
        let (own, other) = (canonical(&self.url), canonical(url));
        other == own
            || other
                .strip_prefix(&own)
                .is_some_and(|rest| rest.starts_with('/'))
    }
}

/// An external location to be made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NewExternalLocation {
    pub name: String,
    pub url: String,
    pub credential_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    pub read_only: bool,
    /// Whether it is made although the credential does not open it.
    pub skip_validation: bool,
}

page!(Locations, external_locations: ExternalLocation);

impl Unity {
    pub async fn external_locations(&self) -> Result<Vec<ExternalLocation>> {
        self.all::<Locations>(Call::get(format!("{PATH}/external-locations")))
            .await
    }

    pub async fn external_location(&self, name: &str) -> Result<ExternalLocation> {
        self.get(at("external-locations", name)).await
    }

    /// The external location that holds `url`, of several the longest; only those that whoever asks may see.
    pub async fn external_location_of(&self, url: &str) -> Result<Option<ExternalLocation>> {
        let all = self.external_locations().await?;
        let holders = all.into_iter().filter(|location| location.covers(url));
        Ok(holders.max_by_key(|location| canonical(&location.url).len()))
    }

    /// Errors: `AlreadyExists`, also where a first try came through whose answer was lost.
    pub async fn create_external_location(
        &self,
        location: &NewExternalLocation,
    ) -> Result<ExternalLocation> {
        let call = Call::post(format!("{PATH}/external-locations")).body(location)?;
        self.workspace.send(call).await
    }

    /// `force`: though tables depend on it.
    pub async fn delete_external_location(&self, name: &str, force: bool) -> Result<()> {
        self.done(Call::delete(at("external-locations", name)).query("force", force))
            .await
    }
}

/// One spelling of a URL: `s3a:` and `s3n:` are `s3:`, scheme and host in lower case, no slash at the end.
fn canonical(url: &str) -> String {
    let trimmed = url.trim().trim_end_matches('/');
    let Some((scheme, rest)) = trimmed.split_once("://") else {
        return trimmed.to_owned();
    };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "s3a" | "s3n" => "s3".to_owned(),
        other => other.to_owned(),
    };
    match rest.split_once('/') {
        Some((host, path)) => format!("{scheme}://{}/{path}", host.to_ascii_lowercase()),
        None => format!("{scheme}://{}", rest.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_covers_what_lies_below_it() {
        let location = |url: &str| ExternalLocation {
            name: "l".into(),
            url: url.into(),
            credential_name: "c".into(),
            read_only: false,
            owner: None,
            comment: None,
            rest: Map::new(),
        };
        let lake = location("s3://Bucket/lake/");
        assert!(lake.covers("s3://bucket/lake") && lake.covers("s3a://bucket/lake/t/"));
        assert!(!lake.covers("s3://bucket/lakes") && !lake.covers("s3://bucket"));
        assert!(!lake.covers("s3://bucket/Lake"));
        let azure = location("abfss://c@account.dfs.core.windows.net");
        assert!(azure.covers("abfss://c@ACCOUNT.dfs.core.windows.net/x"));
        assert!(!azure.covers("abfss://d@account.dfs.core.windows.net/x"));
    }
}
