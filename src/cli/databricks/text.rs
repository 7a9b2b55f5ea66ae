//! Statements and code: given in place, from a file, from stdin.

use crate::error::{Error, Kind, Result};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The most that is read: the service takes no longer statement.
const LONGEST: u64 = 16 << 20;

/// The text of an argument or a file; `-` in place of either is stdin.
///
/// # Errors
/// Config, for one that cannot be read, is empty, longer than 16 MiB or no UTF-8.
pub(super) fn given(text: Option<&str>, file: Option<&PathBuf>) -> Result<String> {
    let text = match (text, file.map(PathBuf::as_path)) {
        (Some("-"), _) => stdin()?,
        (_, Some(path)) if path == Path::new("-") => stdin()?,
        (_, Some(path)) => {
            let file = std::fs::File::open(path)
                .map_err(|error| unreadable(&path.display().to_string(), &error))?;
            read(file, &path.display().to_string())?
        }
        (Some(text), None) => text.to_owned(),
        (None, None) => String::new(),
    };
    match text.trim().is_empty() {
        true => Err(Error::new(
            Kind::Config,
            "there is nothing to run: the text is empty",
        )),
        false => Ok(text),
    }
}

/// The bytes of a file, or of stdin for `-`.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().lock().read_to_end(&mut bytes),
        false => std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.map_err(|error| unreadable(&name, &error))?;
    Ok(bytes)
}

fn stdin() -> Result<String> {
    read(io::stdin().lock(), "-")
}

fn read(from: impl Read, name: &str) -> Result<String> {
    let mut text = String::new();
    from.take(LONGEST + 1)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(name, &error))?;
    match text.len() as u64 > LONGEST {
        true => Err(Error::new(
            Kind::Config,
            format!("longer than 16 MiB, which the service does not take, file=`{name}`"),
        )),
        false => Ok(text),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    Error::new(Kind::Config, format!("cannot read: {error}, file=`{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_given_in_place_or_by_a_file() {
        assert_eq!(given(Some("select 1"), None).unwrap(), "select 1");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.sql");
        std::fs::write(&path, "select 2\n").unwrap();
        assert_eq!(given(None, Some(&path)).unwrap(), "select 2\n");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(
            given(None, Some(&path))
                .unwrap_err()
                .to_string()
                .contains("q.sql")
        );
        assert_eq!(bytes(&path).unwrap(), [0xff, 0xfe]);
        for text in ["", " \n"] {
            assert_eq!(given(Some(text), None).unwrap_err().kind(), Kind::Config);
        }
        assert!(given(None, Some(&dir.path().join("none"))).is_err());
    }
}
