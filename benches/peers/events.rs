//! Writes events of the benches into a file, one JSON object a line.
//!
//! `cargo run --release --example events -- flat|nested|hostile|mixed BYTES SEED OUT`
#![allow(clippy::print_stderr, reason = "a program for the terminal")]

#[path = "../data/mod.rs"]
mod data;

use data::{Events, Kind};
use std::{
    fs::File,
    io::{BufWriter, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let written = match arguments.as_slice() {
        [kind, bytes, seed, out] => write(kind, bytes, seed, out),
        _ => Err("usage: events flat|nested|hostile|mixed BYTES SEED OUT".into()),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(kind: &str, bytes: &str, seed: &str, out: &str) -> Result<(), Box<dyn std::error::Error>> {
    let kind: Kind = kind.parse()?;
    let (bytes, seed): (u64, u64) = (bytes.parse()?, seed.parse()?);
    let mut events = Events::new(kind, seed);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(out)?);
    let (mut line, mut written) = (String::new(), 0);
    while written < bytes {
        line.clear();
        events.push(&mut line);
        line.push('\n');
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    file.flush()?;
    Ok(())
}
