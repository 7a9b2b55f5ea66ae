//! What a commit costs as commits and files add up: CPU, memory and reads of the log per thousand
//! commits of one process on one table, and on a table of 100,000 files beside an empty one.
//!
//! Everything a process does is counted, checkpoints in the background too. Exits with 1 where CPU
//! or memory is not flat within 20 %.
//!
//! ```sh
//! cargo bench --bench commit_flat
//! cargo bench --bench commit_flat -- --commits 2000 --files 20000 --store memory
//! ```

#![allow(clippy::print_stdout, reason = "a program for the terminal")]

mod counting;
mod process;
mod table;

use alluvium::storage::{Lake, Stores, TableLocation};
use clap::Parser;
use counting::Counting;
use object_store::{memory::InMemory, path::Path};
use std::{sync::Arc, time::Instant};
use table::Table;

/// As in the binary.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a later measurement may cost, against an earlier one.
const FLAT: f64 = 1.2;

#[derive(Parser)]
struct Arguments {
    /// Commits of one file each to one table. A checkpoint reads every commit since the one before, up to 5,000:
    /// in fewer than 40,000 commits the halves hardly have their share of checkpoints each.
    #[arg(long, default_value_t = 40_000)]
    commits: usize,
    /// Files of the large table before it is measured.
    #[arg(long, default_value_t = 100_000)]
    files: usize,
    /// Where the tables are: `disk`, synced, in the folder for temporary files, or `memory`.
    #[arg(long, default_value = "disk")]
    store: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one window of commits cost.
#[derive(Clone, Copy)]
struct Window {
    cpu_ms_per_commit: f64,
    resident_mib: f64,
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let flat = runtime.block_on(run(&arguments));
    std::process::exit(i32::from(!flat));
}

async fn run(arguments: &Arguments) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |name: &str| -> TableLocation {
        match arguments.store.as_str() {
            "memory" => TableLocation {
                url: "memory:///t".parse().expect("a URL"),
                store: Arc::new(InMemory::new()),
                root: Path::from("t"),
            },
            _ => Lake::open(
                folder.path().to_str().expect("a path in UTF-8"),
                &Stores::default(),
            )
            .and_then(|lake| lake.table(name, None))
            .expect("a lake"),
        }
    };
    let window = (arguments.commits / 10).max(1);
    println!("one table, commits of one file each ({})", arguments.store);
    header();
    let mut grown = Table::new(Counting::wrap(open("grown")));
    let small = measure(&mut grown, arguments.commits, window).await;

    println!("\na table of {} files", arguments.files);
    header();
    let mut large = Table::new(Counting::wrap(open("large")));
    large.fill(arguments.files).await;
    process::reset_peak();
    let (cpu, clock) = (process::cpu(), Instant::now());
    large.log.checkpoint().await.expect("a checkpoint");
    println!(
        "a checkpoint of it: {:.0} ms CPU, {:.0} ms, peak {:.0} MiB resident",
        (process::cpu() - cpu).as_secs_f64() * 1e3,
        clock.elapsed().as_secs_f64() * 1e3,
        process::peak_mib(),
    );
    let large = measure(&mut large, arguments.commits / 2, window).await;

    // Halves: each has its share of checkpoints, which cost as much as hundreds of commits.
    let (start, end) = small.split_at(small.len() / 2);
    println!();
    let checks = [
        (
            "CPU per commit, second half to first",
            mean(end, cpu_of) / mean(start, cpu_of),
        ),
        (
            "resident memory, second half to first",
            mean(end, memory_of) / mean(start, memory_of),
        ),
        (
            "CPU per commit, large table to new one",
            mean(&large, cpu_of) / mean(&small[..large.len()], cpu_of),
        ),
        (
            "resident memory, large table's last window to its first",
            memory_of(&large[large.len() - 1]) / memory_of(&large[0]),
        ),
    ];
    let mut flat = true;
    for (what, ratio) in checks {
        let holds = ratio <= FLAT;
        flat &= holds;
        println!("{what}: {ratio:.2} {}", if holds { "" } else { "NOT FLAT" });
    }
    flat
}

fn header() {
    println!(
        "{:>8} {:>14} {:>14} {:>12} {:>12} {:>14} {:>14} {:>12}",
        "commits",
        "CPU ms/commit",
        "wall ms/commit",
        "RSS MiB",
        "peak MiB",
        "read B/commit",
        "listed/commit",
        "checkpoints"
    );
}

async fn measure(table: &mut Table, commits: usize, window: usize) -> Vec<Window> {
    let mut windows = Vec::new();
    for number in 1..=commits / window {
        process::reset_peak();
        let (cpu, clock, counts) = (process::cpu(), Instant::now(), table.counts());
        for _ in 0..window {
            table.append(1).await;
        }
        let per = |value: f64| value / window as f64;
        let counts = table.counts().since(counts);
        let found = Window {
            cpu_ms_per_commit: per((process::cpu() - cpu).as_secs_f64() * 1e3),
            resident_mib: process::resident_mib(),
        };
        println!(
            "{:>8} {:>14.3} {:>14.3} {:>12.1} {:>12.1} {:>14.0} {:>14.2} {:>12}",
            number * window,
            found.cpu_ms_per_commit,
            per(clock.elapsed().as_secs_f64() * 1e3),
            found.resident_mib,
            process::peak_mib(),
            per(counts.read_bytes as f64),
            per(counts.listed as f64),
            counts.checkpoints,
        );
        windows.push(found);
    }
    windows
}

fn cpu_of(window: &Window) -> f64 {
    window.cpu_ms_per_commit
}

fn memory_of(window: &Window) -> f64 {
    window.resident_mib
}

fn mean(windows: &[Window], of: fn(&Window) -> f64) -> f64 {
    windows.iter().map(of).sum::<f64>() / windows.len() as f64
}
