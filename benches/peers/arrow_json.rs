//! The arrow project's own way, as its users would write it: arrow-json's reader into parquet's `ArrowWriter`, zstd 1.
//!
//! `cargo run --release --example arrow_json -- flat|nested|hostile|mixed IN OUT`
#![allow(clippy::print_stderr, reason = "a program for the terminal")]

#[path = "../data/mod.rs"]
mod data;

use arrow::json::ReaderBuilder;
use data::{Kind, schema};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use std::{fs::File, io::BufReader, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let written = match arguments.as_slice() {
        [kind, input, out] => convert(kind, input, out),
        _ => Err("usage: arrow_json flat|nested|hostile|mixed IN OUT".into()),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn convert(kind: &str, input: &str, out: &str) -> Result<(), Box<dyn std::error::Error>> {
    let kind: Kind = kind.parse()?;
    let columns = schema::columns(kind);
    let reader = ReaderBuilder::new(columns.clone())
        .with_batch_size(8_192)
        .with_ignore_type_conflicts(kind == Kind::Hostile)
        .build(BufReader::with_capacity(1 << 20, File::open(input)?))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    let mut writer = ArrowWriter::try_new(File::create(out)?, columns, Some(properties))?;
    for batch in reader {
        writer.write(&batch?)?;
    }
    writer.close()?;
    Ok(())
}
