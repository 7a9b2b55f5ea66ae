//! Which files and objects a command line names.

use super::{
    FilesError,
    error::path_text,
    format::is_known_name,
    object::{self, InputStores, ObjectUrl, same_etag},
    plan::blocking,
};
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};
use url::Url;

/// A file or an object as listed: what a manifest remembers of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// An absolute path, or the URL of an object.
    pub path: String,
    pub size: u64,
    /// Modification time, microseconds since the epoch.
    pub modified_us: i64,
    /// Of an object, if its store tells one.
    pub etag: Option<String>,
}

impl Found {
    /// Whether it is in the state that was remembered. An etag decides where both have one: stores
    /// tell times by the second.
    pub(crate) fn is_same(&self, size: u64, modified_us: i64, etag: Option<&str>) -> bool {
        self.size == size
            && match (self.etag.as_deref(), etag) {
                (Some(now), Some(then)) => same_etag(now, then),
                _ => self.modified_us == modified_us,
            }
    }
}

/// The arguments in the one form that names a run: absolute paths, URLs and patterns, sorted, each
/// once. `file:` URLs become paths.
pub(crate) fn canonical(
    inputs: &[String],
    stores: &dyn InputStores,
) -> Result<Vec<String>, FilesError> {
    let mut all = Vec::with_capacity(inputs.len());
    for input in inputs {
        all.push(match is_object_url(input) {
            true => ObjectUrl::parse(input)?.locate(stores)?.canonical(),
            false => absolute(input)?,
        });
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// Whether an input is in an object store.
pub(crate) fn is_object_url(input: &str) -> bool {
    scheme(input).is_some_and(|scheme| !scheme.eq_ignore_ascii_case("file"))
}

/// What canonical inputs name now, sorted by path, each once. An input that names nothing is an error.
pub(crate) async fn list(
    inputs: &[String],
    stores: &dyn InputStores,
) -> Result<Vec<Found>, FilesError> {
    let mut found = BTreeMap::new();
    let (objects, files): (Vec<String>, Vec<String>) = inputs
        .iter()
        .cloned()
        .partition(|input| is_object_url(input));
    for file in blocking(move || list_files(&files)).await? {
        found.insert(file.path.clone(), file);
    }
    for input in objects {
        if !object::list(&input, stores, &mut found).await? {
            return Err(FilesError::NoMatch(input));
        }
    }
    Ok(found.into_values().collect())
}

/// The files of this machine that canonical inputs name now. A folder stands for the files of known
/// names below it, hidden ones and those that begin with `_` left out.
fn list_files(inputs: &[String]) -> Result<Vec<Found>, FilesError> {
    let mut found = BTreeMap::new();
    for input in inputs {
        let before = found.len();
        let mut any = false;
        for path in matches(input)? {
            any |= collect(&path, &mut found)?;
        }
        if !any && found.len() == before {
            return Err(FilesError::NoMatch(input.clone()));
        }
    }
    Ok(found.into_values().collect())
}

/// What the file is now.
pub(crate) fn stat(path: &str) -> Result<Found, FilesError> {
    let metadata = std::fs::metadata(path).map_err(|e| FilesError::open(path, e))?;
    let modified = metadata.modified().map_err(|e| FilesError::open(path, e))?;
    let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    let modified_us = match modified.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    };
    Ok(Found {
        path: path.to_owned(),
        size: metadata.len(),
        modified_us,
        etag: None,
    })
}

fn absolute(input: &str) -> Result<String, FilesError> {
    let path = match scheme(input) {
        None => PathBuf::from(input),
        Some(_) => Url::parse(input)
            .ok()
            .and_then(|url| url.to_file_path().ok())
            .ok_or_else(|| FilesError::BadFileUrl(input.to_owned()))?,
    };
    let path = std::path::absolute(&path).map_err(|e| FilesError::open(input, e))?;
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    path_text(plain)
}

/// The scheme of `scheme://…` or `file:…`; a path with a colon in it has none.
fn scheme(input: &str) -> Option<&str> {
    let (scheme, rest) = input.split_once(':')?;
    let named = !scheme.is_empty()
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (named && (scheme.eq_ignore_ascii_case("file") || rest.starts_with("//"))).then_some(scheme)
}

/// The paths of one input; one that exists as it stands is no pattern, whatever it contains.
fn matches(input: &str) -> Result<Vec<PathBuf>, FilesError> {
    if Path::new(input).exists() || !input.contains(['*', '?', '[']) {
        return Ok(vec![PathBuf::from(input)]);
    }
    let bad = |reason: String| FilesError::BadPattern {
        input: input.to_owned(),
        reason,
    };
    // As in a shell: `*` names no hidden file and stays within its folder.
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    glob::glob_with(input, options)
        .map_err(|e| bad(e.to_string()))?
        .map(|path| {
            path.map_err(|e| {
                let at = e.path().to_string_lossy().into_owned();
                FilesError::open(&at, e.into())
            })
        })
        .collect()
}

/// Adds a file, or the files below a folder; whether there was any.
fn collect(path: &Path, found: &mut BTreeMap<String, Found>) -> Result<bool, FilesError> {
    let text = path_text(path.to_owned())?;
    if !path.is_dir() {
        if !path.exists() {
            return Ok(false);
        }
        let file = stat(&text)?;
        found.insert(text, file);
        return Ok(true);
    }
    let mut any = false;
    for entry in std::fs::read_dir(path).map_err(|e| FilesError::open(&text, e))? {
        let entry = entry.map_err(|e| FilesError::open(&text, e))?;
        let hidden = entry.file_name().to_string_lossy().starts_with(['.', '_']);
        let kind = entry.file_type().map_err(|e| FilesError::open(&text, e))?;
        // A folder that is a link is not followed: it could lead back.
        if !hidden && (kind.is_dir() || (entry.path().is_file() && is_known_name(&entry.path()))) {
            any |= collect(&entry.path(), found)?;
        }
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::{super::object_tests::Memory, *};
    use std::fs;

    #[test]
    fn one_form_for_every_spelling() {
        let cwd = std::env::current_dir().unwrap();
        let cwd = cwd.to_str().unwrap();
        let spellings = [
            "b/../a.json",
            "./a.json",
            "a.json",
            &format!("file://{cwd}/a.json"),
        ];
        let inputs: Vec<String> = spellings.iter().map(|s| s.to_string()).collect();
        assert_eq!(
            canonical(&inputs, &Memory::default()).unwrap(),
            vec![format!("{cwd}/a.json")]
        );
        let colon = canonical(&["12:30.json".into()], &Memory::default()).unwrap();
        assert_eq!(colon, vec![format!("{cwd}/12:30.json")]);
    }

    #[test]
    fn what_no_store_serves_is_refused() {
        let canonical = |input: &str| canonical(&[input.into()], &Memory::default());
        let error = canonical("gs://bucket/a.json").unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Unsupported, "{error}");
        assert!(matches!(
            canonical("file://host/a"),
            Err(FilesError::BadFileUrl(_))
        ));
    }

    #[test]
    fn globs_folders_and_literal_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir_all(dir.path().join("sub/.hidden")).unwrap();
        for name in [
            "a.json",
            "b[1].json",
            "sub/c.csv.gz",
            ".crc.json",
            "sub/_SUCCESS",
            "sub/note.txt",
            "sub/.hidden/d.json",
        ] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let names = |input: String| -> Vec<String> {
            list_files(&[input])
                .unwrap()
                .into_iter()
                .map(|f| f.path)
                .collect()
        };
        assert_eq!(names(at("*.json")), vec![at("a.json"), at("b[1].json")]);
        assert_eq!(names(at("b[1].json")), vec![at("b[1].json")]);
        assert_eq!(
            names(at("")),
            vec![at("a.json"), at("b[1].json"), at("sub/c.csv.gz")]
        );
        assert!(matches!(
            list_files(&[at("none*")]),
            Err(FilesError::NoMatch(_))
        ));
        assert!(matches!(
            list_files(&[at("none.json")]),
            Err(FilesError::NoMatch(_))
        ));
        let twice = list_files(&[at("*.json"), at("a.json")]).unwrap();
        assert_eq!(twice.len(), 2);
    }
}
