//! What commands print.

use crate::{
    check::Report,
    error::{Error, Kind, Result},
};
use std::io::{self, Write};

/// Writes to stdout. A reader that has gone (`| head`) is not an error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(Kind::Unavailable, "cannot write to stdout").with_source(error))
        }
        _ => Ok(()),
    }
}

/// Prints a report; its faults become the command's error.
pub(super) fn report(report: Report) -> Result<()> {
    let mut text = report.text;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    print(&text)?;
    match report.faults {
        0 => Ok(()),
        1 => Err(Error::new(report.kind, "one fault, told above")),
        n => Err(Error::new(report.kind, format!("{n} faults, told above"))),
    }
}
