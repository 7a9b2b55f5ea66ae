//! What holds of every service: addresses, times, secrets.

use super::{Judged, StoreOptions};
use crate::secret::LiveSecret;
use crate::storage::{Place, UnityCatalogOptions, VendingOperation};
use std::net::IpAddr;
use url::{Host, Url};

pub(super) fn judge(options: &StoreOptions, judged: &mut Judged) {
    if let Some(endpoint) = &options.endpoint {
        address("endpoint", endpoint, options.allow_http, judged);
    }
    judged.within(
        "request_timeout_seconds",
        options.request_timeout_seconds,
        0.1,
        3_600.0,
    );
    judged.within(
        "connect_timeout_seconds",
        options.connect_timeout_seconds,
        0.1,
        600.0,
    );
}

/// An address of a service: `https:`, or `http:` where that is allowed; no user, query or fragment.
pub(super) fn address(key: &str, text: &str, allow_http: bool, judged: &mut Judged) {
    let Some(url) = web_url(key, text, judged) else {
        return;
    };
    if url.query().is_some() {
        judged.wrong(key, "holds a query (`?…`), which an address has not");
    }
    if url.scheme() == "http" && !allow_http {
        judged.wrong(
            key,
            "is of `http:`, which sends credentials and data in the clear; write https:, or set `allow_http = true`",
        );
    }
}

/// A URL of `http:` or `https:` without user and fragment, or a finding.
pub(super) fn web_url(key: &str, text: &str, judged: &mut Judged) -> Option<Url> {
    if !judged.filled(key, text) {
        return None;
    }
    let url = Url::parse(text).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        judged.wrong(
            key,
            "is no URL of https:, as in `https://storage.example:9000`",
        );
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        judged.wrong(key, "holds a user, a password or a fragment; take it out");
    }
    Some(url)
}

/// Whether a URL leads to this machine or its link, where metadata services are.
pub(super) fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// A secret that stands in the configuration itself: not empty, not a placeholder. A file is read when it is needed.
pub(super) fn secret(key: &str, secret: &LiveSecret, judged: &mut Judged) {
    if secret.file().is_some() {
        return;
    }
    let Ok(value) = secret.read() else { return };
    let text = value.expose().trim();
    let enclosed = text.starts_with(['<', '{']) && text.ends_with(['>', '}']);
    let plain = text.to_ascii_lowercase().replace(['_', ' '], "-");
    if text.is_empty() {
        judged.wrong(key, "is empty; give the secret, or file:PATH");
    } else if enclosed || ["replace-me", "changeme", "change-me"].contains(&plain.as_str()) {
        judged.wrong(key, "is a placeholder that was not replaced");
    }
}

/// Temporary credentials: of a table or of a path.
pub(super) fn unity_catalog(key: &str, unity: &UnityCatalogOptions, judged: &mut Judged) {
    let at = |below: &str| format!("{key}.{below}");
    judged.filled(&at("connection"), &unity.connection);
    match (&unity.table, &unity.path) {
        (Some(_), Some(_)) => judged.wrong(at("path"), "and `table` exclude each other"),
        (Some(table), None) => {
            let parts: Vec<&str> = table.split('.').collect();
            let legal = |part: &&str| !part.is_empty() && !part.contains([' ', '/', '`']);
            if judged.filled(&at("table"), table) && !(parts.len() == 3 && parts.iter().all(legal))
            {
                judged.wrong(
                    at("table"),
                    format!("is written catalog.schema.table, without quotes, not `{table}`"),
                );
            }
            if unity.operation == VendingOperation::CreateTable {
                judged.wrong(
                    at("operation"),
                    "`create_table` is for a `path`, where no table is yet; take `read_write`",
                );
            }
        }
        (None, Some(path)) => {
            if judged.filled(&at("path"), path)
                && !matches!(Place::parse(path), Ok(Place::Remote(_)))
            {
                judged.wrong(
                    at("path"),
                    format!(
                        "is no URL of an object store, path=`{}`",
                        crate::storage::place::redacted(path)
                    ),
                );
            }
        }
        (None, None) => {}
    }
}
