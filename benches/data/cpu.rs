//! Criterion's measurements in CPU time of the process instead of wall time: on a machine that others use too, only
//! that says what a stage costs.

use cpu_time::ProcessTime;
use criterion::{
    Criterion,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use std::time::Duration;

/// User and system time of all threads.
pub struct CpuTime;

/// Criterion with its options from the command line.
pub fn criterion() -> Criterion<CpuTime> {
    Criterion::default().with_measurement(CpuTime)
}

impl Measurement for CpuTime {
    type Intermediate = ProcessTime;
    type Value = Duration;

    fn start(&self) -> ProcessTime {
        ProcessTime::now()
    }

    fn end(&self, start: ProcessTime) -> Duration {
        start.elapsed()
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
