//! What is wrong with the options of connections, before anything is asked of anybody.

use super::{
    AuthOptions, ConnectionOptions, Error, Host, HostKind, JdbcUrl, Result, WarehouseRef,
    host::placeholder, jdbc::Compute,
};
use crate::secret::LiveSecret;
use std::collections::BTreeMap;
use url::Url;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// `NAME` of `[connections.NAME]`.
    pub connection: String,
    /// The key below it, as `auth.client_id`.
    pub key: String,
    pub message: String,
}

/// Every misfit of every connection, by name.
pub fn judge(connections: &BTreeMap<String, ConnectionOptions>) -> Vec<Misfit> {
    let mut all = Vec::new();
    for (name, options) in connections {
        let misfit = |(key, message): (String, String)| Misfit {
            connection: name.clone(),
            key,
            message,
        };
        all.extend(misfits(options).into_iter().map(misfit));
    }
    all
}

/// What the options' host says: the host itself, and what a JDBC URL adds.
pub(super) struct Given {
    pub(super) host: Option<Host>,
    pub(super) workspace_id: Option<String>,
    pub(super) compute: Option<Compute>,
    /// A password of a JDBC URL was dropped.
    pub(super) dropped_secret: bool,
}

/// Reads the options that are complete in themselves. Errors: `Options`, the first misfit.
pub(super) fn read(connection: &str, options: &ConnectionOptions) -> Result<(Given, Vec<Host>)> {
    let wrong = |(key, message): (String, String)| Error::Options {
        connection: connection.to_owned(),
        key,
        message,
    };
    if let Some(first) = misfits(options).into_iter().next() {
        return Err(wrong(first));
    }
    let given = given(options).map_err(|message| wrong(("host".into(), message)))?;
    let trusted = options.trusted_hosts.iter().map(|text| Host::parse(text));
    let trusted = trusted
        .collect::<Result<Vec<_>, _>>()
        .map_err(|message| wrong(("trusted_hosts".into(), message)))?;
    Ok((given, trusted))
}

fn given(options: &ConnectionOptions) -> Result<Given, String> {
    let nothing = Given {
        host: None,
        workspace_id: None,
        compute: None,
        dropped_secret: false,
    };
    match options.host.as_deref() {
        None => Ok(nothing),
        Some(text) if JdbcUrl::is_one(text) => {
            let url = JdbcUrl::parse(text)?;
            Ok(Given {
                host: Some(url.host),
                workspace_id: url.workspace_id,
                compute: url.compute,
                dropped_secret: url.dropped_secret,
            })
        }
        Some(text) => Ok(Given {
            host: Some(Host::parse(text)?),
            ..nothing
        }),
    }
}

fn misfits(options: &ConnectionOptions) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut wrong = |key: &str, message: String| found.push((key.to_owned(), message));
    let explicit = !matches!(options.auth, AuthOptions::Environment);
    match given(options) {
        Err(message) => wrong("host", message),
        Ok(given) => match given.host {
            Some(host)
                if matches!(host.kind(), HostKind::Account(_))
                    && options.account_id.is_none()
                    && explicit =>
            {
                wrong(
                    "host",
                    format!(
                        "is the account console, not a workspace; open the workspace in the browser and copy its URL, or set `account_id` to use the account's APIs, host=`{host}`"
                    ),
                )
            }
            None if explicit => wrong("host", "is missing; give the workspace's URL".into()),
            _ => {}
        },
    }
    if explicit && options.profile.is_some() {
        wrong(
            "profile",
            "is read only where `auth` is of type `environment`; take one of them away".into(),
        );
    }
    for (key, value, low, high) in [
        ("timeout_seconds", options.timeout_seconds, 0.1, 3_600.0),
        (
            "retry_budget_seconds",
            options.budget_seconds(),
            0.0,
            86_400.0,
        ),
    ] {
        if !(value >= low && value <= high) {
            wrong(key, format!("must be from {low} to {high}, not `{value}`"));
        }
    }
    if !["2.0", "2.1"].contains(&options.vending_api_version.as_str()) {
        wrong(
            "vending_api_version",
            format!(
                "must be `2.0` or `2.1`, not `{}`",
                options.vending_api_version
            ),
        );
    }
    for (index, text) in options.trusted_hosts.iter().enumerate() {
        if let Err(message) = Host::parse(text) {
            wrong(&format!("trusted_hosts[{index}]"), message);
        }
    }
    for (key, value) in [
        ("account_id", &options.account_id),
        ("workspace_id", &options.workspace_id),
        ("cluster", &options.cluster),
        ("profile", &options.profile),
    ] {
        if let Some(message) = value
            .as_deref()
            .and_then(|value| id(value, key == "profile"))
        {
            wrong(key, message);
        }
    }
    match &options.warehouse {
        Some(WarehouseRef::Id(id)) if id.as_str().is_empty() => wrong(
            "warehouse",
            "is empty; give an id or a name, or leave the key out".into(),
        ),
        Some(WarehouseRef::Name(name)) if name.is_empty() => wrong(
            "warehouse",
            "is empty; give an id or a name, or leave the key out".into(),
        ),
        Some(WarehouseRef::Id(id))
            if !id
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            wrong(
                "warehouse",
                format!("is no id of a warehouse, which has letters and digits only, id=`{id}`"),
            );
        }
        _ => {}
    }
    if let Some(url) = &options.token_url {
        match &options.auth {
            AuthOptions::Pat(_) => wrong(
                "token_url",
                "means nothing with a personal access token; take it away".into(),
            ),
            AuthOptions::Entra(_) => wrong(
                "token_url",
                "means nothing with Entra ID; see `authority` of `auth`".into(),
            ),
            _ => {
                if let Err(message) = secret_url(url) {
                    wrong("token_url", message);
                }
            }
        }
    }
    auth(&options.auth, &mut |key, message| {
        wrong(&format!("auth.{key}"), message)
    });
    found
}

fn auth(auth: &AuthOptions, wrong: &mut dyn FnMut(&str, String)) {
    let mut secret = |key: &str, secret: &LiveSecret| {
        // Of a file the value is read when it is needed.
        let Some(value) = secret
            .file()
            .is_none()
            .then(|| secret.read().ok())
            .flatten()
        else {
            return;
        };
        let value = value.expose().trim();
        let message = if value.is_empty() {
            "is empty; write the value, `${VARIABLE}` or `file:PATH`"
        } else if placeholder(value) {
            "is still the placeholder of an example"
        } else if value.chars().any(|c| c.is_whitespace() || c.is_control()) {
            "has white space in it; copy it again, whole and alone"
        } else {
            return;
        };
        wrong(key, message.to_owned());
    };
    match auth {
        AuthOptions::Environment => {}
        AuthOptions::Pat(options) => secret("token", &options.token),
        AuthOptions::OauthM2m(options) => {
            secret("client_secret", &options.client_secret);
            client(&options.client_id, wrong);
            scopes(&options.scopes, wrong);
        }
        AuthOptions::OidcFederation(options) => {
            secret("token", &options.token);
            if let Some(id) = &options.client_id {
                client(id, wrong);
            }
            scopes(&options.scopes, wrong);
        }
        AuthOptions::Entra(options) => {
            secret("client_secret", &options.client_secret);
            client(&options.client_id, wrong);
            if let Some(Err(message)) = options.authority.as_deref().map(secret_url) {
                wrong("authority", message);
            }
            if let Some(message) = options
                .tenant_id
                .as_deref()
                .and_then(|tenant| id(tenant, false))
            {
                wrong("tenant_id", message);
            }
            let resource = options.workspace_resource_id.as_deref();
            if resource.is_some_and(|id| !id.starts_with("/subscriptions/") || placeholder(id)) {
                wrong("workspace_resource_id", "must be the resource's id, as /subscriptions/…/providers/Microsoft.Databricks/workspaces/NAME".into());
            }
        }
    }
}

fn client(value: &str, wrong: &mut dyn FnMut(&str, String)) {
    if let Some(message) = id(value.trim(), false) {
        wrong("client_id", message);
    } else if value.contains(':') {
        // It would end the user's name of Basic authentication.
        wrong(
            "client_id",
            "must not hold a colon; give the application id, a UUID".into(),
        );
    }
}

fn scopes(scopes: &[String], wrong: &mut dyn FnMut(&str, String)) {
    if scopes.is_empty()
        || scopes
            .iter()
            .any(|scope| scope.is_empty() || scope.contains(char::is_whitespace))
    {
        wrong(
            "scopes",
            "must name scopes without white space, as [\"all-apis\"]".into(),
        );
    }
}

/// What is wrong with an id, which stands in headers and paths. `name`: a name, which may hold what ids do not.
fn id(value: &str, name: bool) -> Option<String> {
    let of_id = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '?' | '#' | '%' | '\\');
    let legal = |c: char| if name { !c.is_control() } else { of_id(c) };
    if value.is_empty() {
        Some("is empty; give a value, or leave the key out".into())
    } else if placeholder(value) {
        Some("is still the placeholder of an example".into())
    } else if !value.chars().all(legal) {
        Some("has a character that no id has".into())
    } else {
        None
    }
}

/// A URL that secrets are sent to.
pub(super) fn secret_url(text: &str) -> Result<Url, String> {
    if placeholder(text) {
        return Err(
            "is still the placeholder of an example; put your workspace's host there".into(),
        );
    }
    let url = Url::parse(text.trim()).map_err(|error| format!("is no URL: {error}"))?;
    let safe = url.scheme() == "https" || url.scheme() == "http" && super::host::is_loopback(&url);
    if !safe {
        return Err("must be an https URL, since secrets are sent to it".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password".into());
    }
    Ok(url)
}

/// What looks unlike what it should be, but may be right: for a warning.
pub(super) fn doubts(options: &ConnectionOptions) -> Vec<&'static str> {
    let uuid = |text: &str| uuid::Uuid::parse_str(text.trim()).is_ok();
    let starts = |secret: &LiveSecret, starts: &[&str]| match secret.file() {
        Some(_) => true,
        None => secret.read().is_ok_and(|value| {
            starts
                .iter()
                .any(|start| value.expose().trim().starts_with(start))
        }),
    };
    let mut doubts = Vec::new();
    match &options.auth {
        AuthOptions::Pat(pat) if !starts(&pat.token, &["dapi", "dkea"]) => {
            doubts.push("the personal access token does not begin with `dapi`");
        }
        AuthOptions::OauthM2m(m2m) => {
            if !uuid(&m2m.client_id) {
                doubts
                    .push("the client id is no UUID, as application ids of service principals are");
            }
            if !starts(&m2m.client_secret, &["dose"]) {
                doubts.push("the client secret does not begin with `dose`, as OAuth secrets of Databricks do");
            }
        }
        _ => {}
    }
    doubts
}
