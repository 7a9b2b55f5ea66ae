//! Whether the host is there and is a workspace: name, connection, TLS, each told apart.

use super::{Section, refused};
use crate::{
    databricks::{Error, Host, HostKind, Kind as Told, Workspace},
    error::Kind,
};

/// Whether it is worth going on.
pub(super) async fn probe(section: &mut Section, workspace: &Workspace) -> bool {
    let host = workspace.host();
    match workspace.discover().await {
        Ok(Some(told)) => {
            let mut text = "answers and is a workspace of Databricks".to_owned();
            if let HostKind::Account(_) = host.kind() {
                text = "answers and is the account console".to_owned();
            }
            for (key, value) in [
                ("workspace_id", &told.workspace_id),
                ("account_id", &told.account_id),
                ("cloud", &told.cloud),
            ] {
                if let Some(value) = value {
                    text.push_str(&format!(" {key}=`{value}`"));
                }
            }
            section.fine(text);
            true
        }
        Ok(None) => {
            section.note("answers, and tells nothing of itself at /.well-known/databricks-config");
            true
        }
        Err(error) if matches!(error.kind(), Told::Network | Told::Timeout) => {
            let (what, remedy) = explained(host, &error).await;
            section.fault(Kind::Unavailable, format!("{what}: {error}"), remedy);
            false
        }
        Err(error) => {
            refused(
                section,
                "the host answers, and not as a workspace does",
                error,
                "check `host` of the connection: open the workspace in a browser and copy its URL",
            );
            false
        }
    }
}

/// Where on the way there it ends.
async fn explained(host: &Host, error: &Error) -> (&'static str, String) {
    let name = host.url().host_str().unwrap_or_default();
    let port = host.url().port_or_known_default().unwrap_or(443);
    let is_known = tokio::net::lookup_host((name.trim_matches(['[', ']']), port))
        .await
        .is_ok_and(|mut all| all.next().is_some());
    if !is_known && goes_by_proxy() {
        return (
            "the host is not to be reached, and this machine does not know its name",
            format!(
                "check that the proxy of HTTPS_PROXY is there and connects to {}, as it is the proxy that resolves the name, and `host` for a typing error",
                host.authority()
            ),
        );
    }
    if !is_known {
        return (
            "the host's name does not resolve",
            format!(
                "check `host` for a typing error, and this machine's DNS (a private workspace is known by its own network's), host=`{name}`"
            ),
        );
    }
    let text = error.to_string().to_ascii_lowercase();
    if ["certificate", "tls", "ssl", "handshake"]
        .iter()
        .any(|word| text.contains(word))
    {
        return (
            "no TLS with the host",
            "add the certificate authority to this machine's trust store if a proxy ends TLS on the way, and check this machine's clock".into(),
        );
    }
    (
        "the host is not to be reached",
        format!(
            "let this machine connect to {} (firewall, proxy by HTTPS_PROXY, private link, the workspace's IP access list)",
            host.authority()
        ),
    )
}

/// Whether the environment names a proxy, which then has to know the names.
fn goes_by_proxy() -> bool {
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|proxy| !proxy.is_empty()))
}
