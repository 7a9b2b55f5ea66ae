//! What this process has used, from `/proc`.

use std::{fs, time::Duration};

/// CPU time of all threads, ended ones too, in the clock ticks of 10 ms that Linux counts in.
pub(crate) fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("a Linux /proc");
    // The name in parentheses may hold blanks; utime and stime are the 14th and 15th fields.
    let rest = stat.rsplit(") ").next().expect("fields after the name");
    let ticks: u64 = rest
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 10)
}

pub(crate) fn resident_mib() -> f64 {
    status("VmRSS:")
}

/// The most that was resident since [`reset_peak`].
pub(crate) fn peak_mib() -> f64 {
    status("VmHWM:")
}

pub(crate) fn reset_peak() {
    // Refused in some containers: then the peak is the process's whole one.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn status(key: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("a Linux /proc");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .expect("a memory line");
    let kib: f64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("kibibytes");
    kib / 1024.0
}
