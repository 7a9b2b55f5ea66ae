//! The metrics recorder and its buckets.

use super::TelemetryError;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// From a memory operation to a request that times out.
const DURATIONS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// From a fast flush to a backlog of a day, close together where flush intervals and a second more are.
const FRESHNESS: &[f64] = &[
    0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 10.0, 11.0, 12.5, 15.0,
    20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 21_600.0, 86_400.0,
];
/// Powers of four from 4 KiB to 1 GiB.
const SIZES: &[f64] = &[
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
];
const NUMBERS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0,
];

pub(super) fn builder() -> Result<PrometheusBuilder, BuildError> {
    let full = |name: &str| Matcher::Full(name.to_owned());
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), DURATIONS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".into()), SIZES)?
        .set_buckets_for_metric(full(super::names::EVENT_TO_COMMIT), FRESHNESS)?
        .set_buckets_for_metric(full(super::names::SPOOL_GROUP_REQUESTS), NUMBERS)
}

/// Makes the process's recorder.
pub(super) fn install() -> Result<PrometheusHandle, TelemetryError> {
    builder()
        .map_err(|error| TelemetryError::Buckets(error.to_string()))?
        .install_recorder()
        .map_err(|error| TelemetryError::Twice(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::names;

    #[test]
    fn histograms_have_buckets_and_everything_its_words() {
        let recorder = builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            names::describe();
            metrics::histogram!(names::COMMIT_DURATION, "outcome" => "committed").record(0.3);
            metrics::histogram!(names::EVENT_TO_COMMIT).record(7_000.0);
            metrics::histogram!(names::WRITE_FILE_SIZE).record(5_000.0);
            metrics::counter!(names::ERRORS, "stage" => "commit", "kind" => "bug").increment(2);
        });
        let text = handle.render();
        for line in [
            "alluvium_commit_duration_seconds_bucket{outcome=\"committed\",le=\"0.25\"} 0",
            "alluvium_commit_duration_seconds_bucket{outcome=\"committed\",le=\"0.5\"} 1",
            "alluvium_event_to_commit_seconds_bucket{le=\"21600\"} 1",
            "alluvium_write_file_size_bytes_bucket{le=\"16384\"} 1",
            "alluvium_errors_total{stage=\"commit\",kind=\"bug\"} 2",
            "# HELP alluvium_errors_total Errors, by stage and kind.",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
