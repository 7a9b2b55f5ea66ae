//! Whether the addresses can be listened on, and certificates read.

use super::Section;
use crate::{
    config::Config,
    error::{Error, Kind},
    source::http::{self, HttpError, HttpOptions},
};
use std::{io::ErrorKind, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How long our own admin address may take to answer.
const SOON: Duration = Duration::from_secs(2);
/// The most bytes of its answer.
const ANSWER_BYTES: u64 = 64 << 10;
const TAKEN: &str = "stop what holds the port, or choose another";

pub(super) async fn probe(config: &Config, name: &str, options: &HttpOptions) -> Section {
    let mut section = Section::new(format!("source {name} (http)"));
    match http::check_listen(options).await {
        Ok(()) => section.fine(format!("{} can be listened on", options.listen)),
        Err(HttpError::Bind { source, .. }) if source.kind() == ErrorKind::AddrInUse => {
            if is_alluvium(&config.admin.listen).await {
                section.note(format!(
                    "{} is in use, and an alluvium is running here",
                    options.listen
                ));
            } else {
                section.fault(
                    Kind::Unavailable,
                    format!("the address is in use, listen=`{}`", options.listen),
                    TAKEN,
                );
            }
        }
        Err(error) => section.error(&error.into()),
    }
    match &options.tls {
        None => {}
        Some(tls) => match http::check_tls(tls) {
            Ok(()) => section.fine("certificate and key fit together"),
            Err(error) => section.error(&error.into()),
        },
    }
    match (options.keys.len(), options.allow_anonymous) {
        (0, true) => section.warn(
            "anybody who reaches the address may write (allow_anonymous)",
            "name keys, unless the network keeps strangers away",
        ),
        (0, false) => section.note("no keys: whoever can reach the loopback address may write"),
        (n, _) => section.fine(crate::check::text::count(n as u64, "key", "keys")),
    }
    section
}

/// The address of metrics and health.
pub(super) async fn admin(config: &Config) -> Section {
    let listen = &config.admin.listen;
    let mut section = Section::new("admin address");
    if listen.is_empty() {
        section.note("none: no metrics and no health are served");
        return section;
    }
    match TcpListener::bind(listen).await {
        Ok(_) => section.fine(format!("{listen} can be listened on")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if is_alluvium(listen).await {
                section.note(format!("{listen} is in use by a running alluvium"));
            } else {
                section.fault(
                    Kind::Unavailable,
                    format!("the address is in use, admin.listen=`{listen}`"),
                    TAKEN,
                );
            }
        }
        Err(error) => section.error(
            &Error::new(
                Kind::Config,
                format!("cannot listen; choose another address, or \"\" for none, admin.listen=`{listen}`"),
            )
            .with_source(error),
        ),
    }
    section
}

/// Whether `/healthz` there answers as ours does.
async fn is_alluvium(address: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream
            .take(ANSWER_BYTES)
            .read_to_string(&mut answer)
            .await
            .ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let body: serde_json::Value = serde_json::from_str(body.trim()).ok()?;
        let ours = body.get("ok")?.as_bool()? && body.get("version")?.is_string();
        Some(head.starts_with("HTTP/1.1 200") && ours)
    };
    timeout(SOON, ask).await.ok().flatten().unwrap_or(false)
}
