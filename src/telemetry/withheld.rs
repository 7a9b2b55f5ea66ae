//! What no filter lets through (invariant 7).

use tracing::{Level, Metadata};

/// Whether an event or span may be shown at all. At `trace` the crates of the AWS SDK print their requests whole, with
/// the tokens these are sent with.
pub(super) fn may_be_shown(what: &Metadata<'_>) -> bool {
    *what.level() != Level::TRACE || !what.target().starts_with("aws_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::{
        EnvFilter, Layer, filter::filter_fn, layer::Context, layer::SubscriberExt,
    };

    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            let meta = event.metadata();
            let told = format!("{} {}", meta.level(), meta.target());
            self.0.lock().unwrap().push(told);
        }
    }

    #[test]
    fn requests_of_the_aws_sdk_are_withheld_whatever_the_filter() {
        let seen = Seen::default();
        let subscriber = tracing_subscriber::registry()
            .with(EnvFilter::new("trace,aws_smithy_runtime::client=trace"))
            .with(filter_fn(may_be_shown))
            .with(seen.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "aws_smithy_runtime::client::orchestrator", "request");
            tracing::debug!(target: "aws_smithy_runtime::client::orchestrator", "attempt");
            tracing::trace!(target: "alluvium::storage", "ours");
        });
        let expected = [
            "DEBUG aws_smithy_runtime::client::orchestrator",
            "TRACE alluvium::storage",
        ];
        assert_eq!(*seen.0.lock().unwrap(), expected);
    }
}
