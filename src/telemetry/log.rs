//! Log lines: text for people, JSON for machines.

use super::{Screen, TelemetryError, withheld::may_be_shown};
use std::io::IsTerminal;
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, registry::LookupSpan,
    util::SubscriberInitExt,
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text when stderr is a terminal, else JSON.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Installs the process's subscriber. Returns whether there is a terminal to draw on.
pub(super) fn start(
    format: LogFormat,
    filter: &str,
    screen: &Screen,
) -> Result<bool, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    let text = match format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let color = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::registry()
        .with(parse(filter)?)
        .with(filter_fn(may_be_shown))
        .with(layer(text, color, screen))
        .try_init()
        .map_err(|error| TelemetryError::Twice(error.to_string()))?;
    Ok(terminal && text)
}

fn layer<S>(text: bool, color: bool, screen: &Screen) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let base = tracing_subscriber::fmt::layer().with_writer(screen.clone());
    if text {
        base.compact().with_ansi(color).with_target(false).boxed()
    } else {
        base.json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    }
}

/// A level alone is for this program; what libraries say is shown from `warn`, but for the kernel, whose
/// errors all come back to us and are judged there. Anything else is a
/// list of directives as they are.
fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    let filter = filter.trim();
    let directives = match filter.to_ascii_lowercase().as_str() {
        level @ ("error" | "warn" | "info" | "debug" | "trace") => {
            format!(
                "{},delta_kernel=off,alluvium={level}",
                if level == "error" { "error" } else { "warn" }
            )
        }
        "off" | "" => "off".to_owned(),
        _ => filter.to_owned(),
    };
    EnvFilter::try_new(directives).map_err(|source| TelemetryError::Filter {
        filter: filter.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::screen::tests::Sink;

    fn logged(text: bool, filter: &str) -> String {
        let sink = Sink::default();
        let screen = Screen::of(Box::new(sink.clone()));
        let subscriber = tracing_subscriber::registry()
            .with(parse(filter).unwrap())
            .with(filter_fn(may_be_shown))
            .with(layer(text, false, &screen));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("commit", table = "clicks");
            let _guard = span.enter();
            tracing::info!(version = 7, "committed");
            tracing::debug!("detail");
            tracing::info!(target: "rdkafka", "chatter");
        });
        sink.text()
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = logged(false, "info");
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert_eq!(lines[0]["message"], "committed");
        assert_eq!(lines[0]["version"], 7);
        assert_eq!(lines[0]["span"]["table"], "clicks");
        assert_eq!(lines[0]["level"], "INFO");
    }

    #[test]
    fn text_is_for_people() {
        let text = logged(true, "debug");
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains("committed") && text.contains("version=7"));
    }

    #[test]
    fn filters() {
        assert_eq!(logged(false, "off"), "");
        assert_eq!(logged(false, "INFO,rdkafka=info").lines().count(), 2);
        let error = parse("a=b=c").unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Config);
        assert!(error.to_string().contains("filter=`a=b=c`"));
    }
}
