//! The `alluvium` binary: parse, run, say what went wrong.

use alluvium::{
    cli::{Cli, exit_code},
    error::{Error, Kind},
};
use clap::Parser;
use std::{io::Write, process::ExitCode};

#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A stderr that is closed leaves the exit code to speak.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(exit_code(error.kind()))
        }
    }
}

fn run(cli: Cli) -> Result<(), Error> {
    let telemetry = cli.start_telemetry()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(Kind::Unavailable, "cannot start the runtime's threads").with_source(error)
        })?;
    let outcome = runtime.block_on(cli.run(telemetry));
    // A blocking read that nothing waits for any more must not hold the process.
    runtime.shutdown_background();
    outcome
}
