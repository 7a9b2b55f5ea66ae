//! Sources of type `http`: addresses, keys, limits.

use super::{Findings, names};
use crate::{
    config::{options::Config, source::SourceOptions, tree::join},
    decode::MAX_EVENT_BYTES,
    source::http::HttpOptions,
};
use std::net::{IpAddr, SocketAddr};

/// A slab of bytes is addressed by `u32` ([`crate::event::RecordSpan`]).
const MAX_BODY_BYTES: u64 = 2 << 30;
/// Events of a request are numbered by `u32`.
const MAX_EVENTS: usize = 100_000_000;
/// About 100 bytes of memory each.
const MAX_KEYS: usize = 100_000_000;

pub(super) fn check(path: &str, options: &HttpOptions, config: &Config, found: &mut Findings) {
    let at = |key: &str| join(path, key);
    match parse_address(&options.listen) {
        Err(message) => found.add(at("listen"), message),
        Ok(address) => {
            if !address.ip().is_loopback() && options.keys.is_empty() && !options.allow_anonymous {
                found.add_given(
                    at("keys"),
                    at("listen"),
                    format!(
                        "anybody who reaches this address could write; name `keys = [{{ key = \"${{KEY}}\", tables = [\"*\"] }}]`, or allow it with `allow_anonymous = true`; listen=`{}`",
                        options.listen
                    ),
                );
            }
        }
    }
    if let Some(tls) = &options.tls {
        if !tls.cert.expose().contains("-----BEGIN CERTIFICATE-----") {
            found.add(
                join(&at("tls"), "cert"),
                "is not a PEM certificate; give its text, or file:PATH",
            );
        }
        if !tls.key.expose().contains("PRIVATE KEY-----") {
            found.add(
                join(&at("tls"), "key"),
                "is not a PEM private key; give its text, or file:PATH",
            );
        }
    }
    for (index, key) in options.keys.iter().enumerate() {
        let at = format!("{}[{index}]", at("keys"));
        if key.key.expose().trim().is_empty() {
            found.add(format!("{at}.key"), "is empty");
        }
        if options.keys[..index]
            .iter()
            .any(|other| other.key == key.key)
        {
            found.add(
                format!("{at}.key"),
                "is listed twice; join the `tables` of the two entries",
            );
        }
        if key.tables.is_empty() {
            found.add(
                format!("{at}.tables"),
                "allows no table; list tables, or `[\"*\"]` for all",
            );
        }
        for (index, table) in key.tables.iter().enumerate() {
            let at = format!("{at}.tables[{index}]");
            if *table == config.dead_letters.table {
                found.add(at, "is the table of dead letters, which takes no events");
            } else if table != "*"
                && let Err(message) = names::check_table_name(table)
            {
                found.add(at, message);
            }
        }
    }
    if let Err(message) = names::check_template(path, &options.table, &config.dead_letters.table) {
        found.add(at("table"), message);
    }
    found.within(
        at("max_body_bytes"),
        options.max_body_bytes,
        1,
        MAX_BODY_BYTES,
    );
    found.within(
        at("max_decompressed_bytes"),
        options.max_decompressed_bytes,
        1,
        MAX_BODY_BYTES,
    );
    found.within(
        at("max_event_bytes"),
        options.max_event_bytes,
        1,
        options.max_decompressed_bytes.clamp(1, MAX_EVENT_BYTES),
    );
    found.within(at("max_events"), options.max_events, 1, MAX_EVENTS);
    // A body that never fits would be answered 429 for ever.
    found.within(
        at("max_inflight_bytes"),
        options.max_inflight_bytes,
        options.max_body_bytes.max(1),
        1 << 46,
    );
    found.within(
        at("max_idempotency_keys"),
        options.max_idempotency_keys,
        1,
        MAX_KEYS,
    );
    found.within(at("max_requests"), options.max_requests, 1, 1 << 20);
    found.within(at("max_connections"), options.max_connections, 1, 1 << 20);
    found.within(
        at("request_timeout_seconds"),
        options.request_timeout_seconds,
        0.1,
        3_600.0,
    );
    found.within(
        at("commit_timeout_seconds"),
        options.commit_timeout_seconds,
        0.1,
        3_600.0,
    );
}

/// No two listeners of the process on one address.
pub(super) fn check_addresses(config: &Config, found: &mut Findings) {
    let mut taken: Vec<(String, SocketAddr)> = Vec::new();
    for (name, source) in &config.sources {
        if let SourceOptions::Http(options) = source
            && let Ok(address) = parse_address(&options.listen)
        {
            take(
                &mut taken,
                join(&join("sources", name), "listen"),
                address,
                found,
            );
        }
    }
    if !config.admin.listen.is_empty() {
        match parse_address(&config.admin.listen) {
            Ok(address) => take(&mut taken, "admin.listen".into(), address, found),
            Err(message) => {
                found.add("admin.listen", format!("{message}; empty for none"));
            }
        }
    }
}

fn take(
    taken: &mut Vec<(String, SocketAddr)>,
    path: String,
    address: SocketAddr,
    found: &mut Findings,
) {
    let clash = taken.iter().find(|(_, other)| {
        // Port 0 asks for any free port.
        address.port() != 0
            && address.port() == other.port()
            && (address.ip() == other.ip()
                || address.ip().is_unspecified()
                || other.ip().is_unspecified())
    });
    if let Some((other, _)) = clash {
        found.add(
            &path,
            format!(
                "two listeners cannot share an address; the other is `{other}`, address=`{address}`"
            ),
        );
    }
    taken.push((path, address));
}

/// `IP:PORT`, or `localhost:PORT` for 127.0.0.1.
///
/// # Errors
/// In words, with an example.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Some(port) = text.strip_prefix("localhost:")
        && let Ok(port) = port.parse()
    {
        return Ok(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port));
    }
    text.parse().map_err(|_| {
        format!("is not an address to listen on; write IP:PORT, as in 127.0.0.1:8080 or [::1]:8080, not `{text}`")
    })
}
