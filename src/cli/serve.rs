//! `alluvium serve`.

use super::args::ConfigArgs;
use crate::{
    config::{Config, SourceOptions},
    error::{Error, Kind, Result},
    pipeline::{self, Listening},
    telemetry::Telemetry,
};
use std::fmt::Write;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium serve
  curl -d '{\"page\": \"/\", \"user\": 7}' http://127.0.0.1:8080/v1/events/clicks
      lands one row in ./lake/clicks
  alluvium serve --listen 127.0.0.1:9000 --lake /var/lib/lake
  alluvium serve --config alluvium.toml --log-format json

SIGTERM commits what is held, within shutdown_timeout_seconds, and exits with 0; a second one exits
at once.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,

    /// Address of the HTTP source, over its `listen`
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

pub(super) async fn run(args: Args, telemetry: Telemetry) -> Result<()> {
    let config = args.config.load(args.listen)?;
    if config.sources.is_empty() {
        return Err(Error::new(
            Kind::Config,
            "the configuration names no source; add a `[sources.NAME]`, as in config/quickstart.toml",
        ));
    }
    let shown = config.clone();
    let screen = telemetry.screen.clone();
    let live = telemetry.live;
    pipeline::serve(config, telemetry, move |listening: &Listening| {
        if live {
            screen.print(&banner(&shown, listening));
        } else {
            tell(&shown, listening);
        }
    })
    .await
}

/// For a terminal: where it listens, where the tables are, a line to try.
fn banner(config: &Config, listening: &Listening) -> String {
    let mut text = String::new();
    for (name, address, tls) in &listening.http {
        let scheme = if *tls { "https" } else { "http" };
        let _ = writeln!(text, "listening  {scheme}://{address}  ({name})");
    }
    for (name, source) in &config.sources {
        if let SourceOptions::Kafka(kafka) = source {
            let topics = kafka.topics.join(", ");
            let _ = writeln!(text, "reading    {topics} at {}  ({name})", kafka.brokers);
        }
    }
    let _ = writeln!(text, "tables     {}", config.lake.url);
    if let Some(admin) = listening.admin {
        let _ = writeln!(text, "metrics    http://{admin}/metrics");
    }
    if let Some((name, address, tls)) = listening.http.first() {
        let keyed = matches!(&config.sources.get(name), Some(SourceOptions::Http(http)) if !http.keys.is_empty());
        let _ = writeln!(
            text,
            "try        curl{}{} -d '{{\"page\": \"/\", \"user\": 7}}' {}://{}/v1/events/clicks",
            if *tls { " -k" } else { "" },
            if keyed {
                " -H \"authorization: Bearer $KEY\""
            } else {
                ""
            },
            if *tls { "https" } else { "http" },
            reachable(*address),
        );
    }
    text
}

/// An address that can be connected to: an unspecified one is reached by loopback.
fn reachable(address: std::net::SocketAddr) -> std::net::SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// For a log.
fn tell(config: &Config, listening: &Listening) {
    for (name, address, tls) in &listening.http {
        tracing::info!(source = %name, %address, tls, "listening");
    }
    let admin = listening.admin.map(|address| address.to_string());
    tracing::info!(
        pipeline = %config.pipeline,
        lake = %config.lake.url,
        admin = admin.as_deref().unwrap_or("none"),
        version = env!("CARGO_PKG_VERSION"),
        "ready"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Flags};

    #[test]
    fn the_banner_names_everything_and_a_line_to_try() {
        let config = Config::parse(
            "[sources.web]\ntype='http'\nlisten='0.0.0.0:0'\nkeys=[{key='secret-key',tables=['*']}]\n\
             [sources.k]\ntype='kafka'\nbrokers='b:9092'\ntopics=['clicks']\n",
            &Environment::fixed([], []),
            &Flags::default(),
        )
        .unwrap();
        let listening = Listening {
            http: vec![("web".into(), ([0, 0, 0, 0], 8080).into(), false)],
            admin: Some(([127, 0, 0, 1], 9464).into()),
        };
        let text = banner(&config, &listening);
        for words in [
            "http://0.0.0.0:8080",
            "clicks at b:9092",
            "./lake",
            "http://127.0.0.1:9464/metrics",
            "Bearer $KEY",
            "http://127.0.0.1:8080/v1/events/clicks",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert!(!text.contains("secret-key"));
    }
}
