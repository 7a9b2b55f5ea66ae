//! A workspace's address, from whatever a person copies: with or without scheme, path, query, port.

use std::fmt;
use url::Url;

/// `https://HOST[:PORT]` without anything behind it.
#[derive(Clone, PartialEq, Eq)]
pub struct Host {
    url: Url,
    kind: HostKind,
}

/// What a host is, judged by its name alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKind {
    Workspace(Cloud),
    /// The account console, which serves the account's APIs and no workspace's.
    Account(Cloud),
    /// A name of somebody's own, or an address: only a request can tell.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    Aws,
    Azure,
    Gcp,
}

const WORKSPACES: [(&str, Cloud); 8] = [
    (".cloud.databricks.com", Cloud::Aws),
    (".cloud.databricks.us", Cloud::Aws),
    (".cloud.databricks.mil", Cloud::Aws),
    (".dev.databricks.com", Cloud::Aws),
    (".gcp.databricks.com", Cloud::Gcp),
    (".azuredatabricks.net", Cloud::Azure),
    (".databricks.azure.us", Cloud::Azure),
    (".databricks.azure.cn", Cloud::Azure),
];

/// First labels below the domains of workspaces that no workspace has.
const NO_DEPLOYMENTS: [&str; 7] = ["www", "docs", "help", "login", "signup", "status", "kb"];

impl Host {
    /// Takes a URL or a bare host with its whole domain. Path, query, fragment and port 443 are dropped, the scheme is
    /// added; `http:` is taken for loopback only.
    ///
    /// # Errors
    /// What is wrong and how to mend it, in words; never a user or password of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is empty; give the workspace's URL, as https://dbc-1a2b3c4d-5e6f.cloud.databricks.com".into());
        }
        if placeholder(text) {
            return Err(
                "is still the placeholder of an example; put your workspace's host there".into(),
            );
        }
        if text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '\\')
        {
            return Err("has white space or a character that no URL has".into());
        }
        let with_scheme = match text.split_once("://") {
            Some(_) => text.to_owned(),
            None => format!("https://{}", text.trim_start_matches('/')),
        };
        let parsed = Url::parse(&with_scheme)
            .map_err(|error| format!("is no URL of a workspace: {error}"))?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err("must not hold a user or a password; those belong into `auth`".into());
        }
        let name = parsed
            .host_str()
            .map(|host| host.trim_end_matches('.').to_owned())
            .filter(|host| !host.is_empty())
            .ok_or("has no host")?;
        match parsed.scheme() {
            "https" => {}
            "http" if is_loopback(&parsed) => {}
            "http" => {
                return Err(format!(
                    "must be https, since tokens travel by it, host=`{name}`"
                ));
            }
            scheme => return Err(format!("must be an https URL, not scheme=`{scheme}`")),
        }
        let address = !matches!(parsed.host(), Some(url::Host::Domain(_)));
        if !address && !name.contains('.') && name != "localhost" {
            return Err(format!(
                "is not a whole domain; write it in full, as {name}.cloud.databricks.com or {name}.azuredatabricks.net, host=`{name}`"
            ));
        }
        let kind = classify(&name)?;
        let port = parsed
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let url = Url::parse(&format!("{}://{name}{port}/", parsed.scheme()))
            .map_err(|error| format!("is no URL of a workspace: {error}"))?;
        Ok(Self { url, kind })
    }

    /// `https://HOST[:PORT]/`.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// `HOST[:PORT]`.
    pub fn authority(&self) -> String {
        let name = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        }
    }

    pub fn kind(&self) -> HostKind {
        self.kind
    }

    pub fn cloud(&self) -> Option<Cloud> {
        match self.kind {
            HostKind::Workspace(cloud) | HostKind::Account(cloud) => Some(cloud),
            HostKind::Unknown => None,
        }
    }

    /// Whether a URL lies on this host: scheme, name and port are the same.
    pub fn serves(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }

    /// The URL of a path from the root, percent-encoded already.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn classify(name: &str) -> Result<HostKind, String> {
    let first = name.split('.').next().unwrap_or_default();
    let suffix = WORKSPACES.iter().find(|(suffix, _)| name.ends_with(suffix));
    match suffix {
        Some((suffix, cloud)) => {
            let deployment = name.strip_suffix(suffix).unwrap_or_default();
            if deployment == "accounts" || deployment == "accounts-dod" {
                Ok(HostKind::Account(*cloud))
            } else if NO_DEPLOYMENTS.contains(&first) {
                Err(format!(
                    "is a site of Databricks, not a workspace, host=`{name}`"
                ))
            } else {
                Ok(HostKind::Workspace(*cloud))
            }
        }
        None if first == "accounts" && name.contains("databricks") => Err(format!(
            "is no workspace; open the workspace in the browser and copy its URL, host=`{name}`"
        )),
        None if ours(name) => Err(format!(
            "is a site of Databricks, not a workspace; open the workspace in the browser and copy its URL, host=`{name}`"
        )),
        None => Ok(HostKind::Unknown),
    }
}

/// Whether a name lies in a domain of Databricks, below which only [`WORKSPACES`] are workspaces.
fn ours(name: &str) -> bool {
    [
        "databricks.com",
        "databricks.us",
        "databricks.mil",
        "azuredatabricks.net",
        "databricks.azure.us",
        "databricks.azure.cn",
    ]
    .iter()
    .any(|domain| name == *domain || name.ends_with(&format!(".{domain}")))
}

/// Whether a text was copied from an example without being filled in.
pub(super) fn placeholder(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains(['<', '>', '{', '}'])
        || [
            "replace-me",
            "replace_me",
            "your-workspace",
            "your_workspace",
            "workspace-url",
        ]
        .iter()
        .any(|mark| lower.contains(mark))
}

/// Whether an address is this machine's own.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whatever_a_person_copies_is_the_same_host() {
        for text in [
            "https://dbc-1a2b.cloud.databricks.com",
            "https://dbc-1a2b.cloud.databricks.com/",
            "dbc-1a2b.cloud.databricks.com",
            " DBC-1A2B.Cloud.Databricks.com. ",
            "HTTPS://dbc-1a2b.cloud.databricks.com:443/?o=1234567890",
            "https://dbc-1a2b.cloud.databricks.com/browse?o=1#notebook/2/command/3",
            "dbc-1a2b.cloud.databricks.com/sql/warehouses",
            "//dbc-1a2b.cloud.databricks.com",
        ] {
            assert_eq!(
                Host::parse(text).unwrap().to_string(),
                "https://dbc-1a2b.cloud.databricks.com",
                "{text}"
            );
        }
        assert_eq!(
            Host::parse("h.example:8443/x").unwrap().authority(),
            "h.example:8443"
        );
        assert_eq!(
            Host::parse("http://127.0.0.1:8080/x").unwrap().to_string(),
            "http://127.0.0.1:8080"
        );
        assert_eq!(
            Host::parse("http://[::1]:8080").unwrap().to_string(),
            "http://[::1]:8080"
        );
    }

    #[test]
    fn hosts_are_told_apart() {
        let kind = |text: &str| Host::parse(text).unwrap().kind();
        assert_eq!(
            kind("dbc-1.cloud.databricks.com"),
            HostKind::Workspace(Cloud::Aws)
        );
        assert_eq!(
            kind("adb-1.2.azuredatabricks.net"),
            HostKind::Workspace(Cloud::Azure)
        );
        assert_eq!(
            kind("adb-1.2.databricks.azure.us"),
            HostKind::Workspace(Cloud::Azure)
        );
        assert_eq!(
            kind("1.2.gcp.databricks.com"),
            HostKind::Workspace(Cloud::Gcp)
        );
        assert_eq!(
            kind("https://accounts.cloud.databricks.com/login"),
            HostKind::Account(Cloud::Aws)
        );
        assert_eq!(
            kind("accounts.azuredatabricks.net"),
            HostKind::Account(Cloud::Azure)
        );
        assert_eq!(
            kind("accounts-dod.cloud.databricks.us"),
            HostKind::Account(Cloud::Aws)
        );
        assert_eq!(kind("databricks.corp.example"), HostKind::Unknown);
        for (text, words) in [
            ("", "is empty"),
            ("dbc-1a2b3c4d", "dbc-1a2b3c4d.cloud.databricks.com"),
            ("https://docs.databricks.com/en", "not a workspace"),
            ("www.databricks.com", "not a workspace"),
            ("login.databricks.com", "not a workspace"),
            ("docs.gcp.databricks.com", "not a workspace"),
            ("https://<WORKSPACE-URL>/", "placeholder"),
            ("dbc-REPLACE-ME.cloud.databricks.com", "placeholder"),
            ("http://dbc-1.cloud.databricks.com", "must be https"),
            ("ftp://dbc-1.cloud.databricks.com", "scheme=`ftp`"),
            ("https://user:planted@dbc-1.cloud.databricks.com", "`auth`"),
            ("https://", "no URL"),
            ("a b.example", "white space"),
        ] {
            let error = Host::parse(text).unwrap_err();
            assert!(
                error.contains(words) && !error.contains("planted"),
                "{text}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_taken_is_stable(text in "\\PC{0,60}") {
            if let Ok(host) = Host::parse(&text) {
                let again = Host::parse(&host.to_string());
                prop_assert_eq!(again, Ok(host.clone()));
                prop_assert!(host.url().path() == "/" && host.url().query().is_none() && host.url().username().is_empty());
            }
        }

        #[test]
        fn tails_do_not_matter(path in "(/[a-zA-Z0-9_%.-]{0,10}){0,3}", query in "(\\?o=[0-9]{1,9})?", fragment in "(#[a-z/]{0,9})?", port in "(:443)?") {
            let text = format!("https://dbc-1.cloud.databricks.com{port}{path}{query}{fragment}");
            prop_assert_eq!(Host::parse(&text).unwrap().to_string(), "https://dbc-1.cloud.databricks.com");
        }
    }
}
