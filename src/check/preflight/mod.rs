//! `alluvium check`: everything a daemon with this configuration would need, tried.
//!
//! Probes run at once, each within [`PATIENCE`] or a limit of its own; those of the places where objects lie run
//! first, because others look into them. A probe never ends another: every finding is told, each with its remedy.
//!
//! - `section`: what a probe found, and how it is told
//! - `places`, `objects`, `rights`: stores, asked for what is needed of them
//! - `disk`, `spool`, `http`, `kafka`, `tables`: the rest; workspaces of Databricks: `check::connection`

mod disk;
mod http;
mod kafka;
mod objects;
mod places;
mod rights;
pub(super) mod section;
mod spool;
mod tables;

use super::{Preflight, connection};
use crate::{
    config::{Config, SourceOptions},
    databricks::Connections,
    error::{Kind, Result},
    storage::Stores,
};
use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt, join_all},
    stream,
};
use section::Section;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long one probe may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Places probed at once.
const PLACES_AT_ONCE: usize = 8;

/// Runs every probe.
pub(super) async fn preflight(
    config: &Config,
    thorough: bool,
    stop: CancellationToken,
) -> Result<Preflight> {
    let mut sections = vec![summary(config)];
    let stores = Stores::connected(&config.stores, &Connections::new(&config.connections))?;
    let places = places::all(config, &stores);
    let probed = stream::iter(&places).map(|place| places::probe(place, &stores, thorough));
    sections.extend(probed.buffered(PLACES_AT_ONCE).collect::<Vec<_>>().await);
    let trying = connection::Trying {
        stores: &stores,
        thorough,
        stop,
    };
    let mut probes: Vec<BoxFuture<'_, Section>> = vec![
        within("dead letters", tables::dead_letters(config)).boxed(),
        within("tables", tables::probe(config)).boxed(),
    ];
    for (name, source) in &config.sources {
        let title = format!("source {name}");
        probes.push(match source {
            SourceOptions::Http(options) => {
                within(title, http::probe(config, name, options)).boxed()
            }
            SourceOptions::Kafka(options) => {
                within(title, kafka::probe(config, name, options)).boxed()
            }
        });
        if let SourceOptions::Http(_) = source {
            let title = format!("spool {name}");
            probes.push(within(title, spool::probe(config, name)).boxed());
        }
    }
    probes.push(within("admin address", http::admin(config)).boxed());
    // Limits of their own: a warehouse may take minutes to start.
    let connections = config.connections.iter().map(|(name, options)| {
        let wanted = connection::wanted(config, name);
        Box::pin(connection::probe(name, options, wanted, &trying))
    });
    let (probed, connected) = futures::join!(join_all(probes), join_all(connections));
    sections.extend(probed);
    sections.extend(connected);
    Ok(section::report(&sections))
}

/// A probe that does not end in time is a fault.
async fn within(title: impl Into<String>, probe: impl Future<Output = Section>) -> Section {
    in_time(title.into(), PATIENCE, probe).await
}

async fn in_time(
    title: String,
    patience: Duration,
    probe: impl Future<Output = Section>,
) -> Section {
    match tokio::time::timeout(patience, probe).await {
        Ok(section) => section,
        Err(_) => {
            let mut section = Section::new(title);
            section.fault(
                Kind::Unavailable,
                format!("no answer within {} seconds", patience.as_secs()),
                "look whether the disk or service hangs, and check again",
            );
            section
        }
    }
}

fn summary(config: &Config) -> Section {
    let mut section = Section::new("configuration");
    let sources: Vec<String> = config
        .sources
        .iter()
        .map(|(name, source)| format!("{name} ({})", source.kind()))
        .collect();
    section.fine(format!("pipeline {}", config.pipeline));
    match sources.is_empty() {
        true => section.warn(
            "no source is configured, so a daemon has nothing to read",
            "add a [sources.NAME] with type = \"http\" or \"kafka\"",
        ),
        false => section.fine(format!("sources {}", sources.join(", "))),
    }
    let tables: Vec<&str> = config.tables.keys().map(String::as_str).collect();
    match tables.is_empty() {
        true => section.fine("no table has options of its own"),
        false => section.fine(format!("tables with options {}", tables.join(", "))),
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_probe_that_hangs_is_a_fault() {
        let section = in_time("slow".into(), Duration::ZERO, std::future::pending()).await;
        assert_eq!(section.title, "slow");
        assert!(matches!(
            section.lines[0],
            section::Line::Fault {
                kind: Kind::Unavailable,
                ..
            }
        ));
    }
}
