//! Where one table is.

use super::{DurableLocal, Error, Place, Remote, Result, Stores, guard::MANAGED};
use object_store::{ObjectStore, path::Path};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use url::Url;

/// What a crashed process staged is removed when nobody wrote to it for this long.
const STAGING_AGE: Duration = Duration::from_secs(24 * 3600);

/// A table's folder and the store that holds it.
#[derive(Clone, Debug)]
pub struct TableLocation {
    /// Ends in `/`.
    pub url: Url,
    /// Takes the decoded path of a URL below [`Self::url`] as the object's path: of a bucket its key, of a local
    /// folder the path from `/`.
    pub store: Arc<dyn ObjectStore>,
    /// The table's folder in `store`.
    pub root: Path,
}

impl TableLocation {
    /// The object at `relative`, a plain path (not URL-encoded) below the table's folder.
    pub fn object_path(&self, relative: &str) -> Result<Path> {
        let whole = if self.root.is_root() {
            relative.to_owned()
        } else {
            format!("{}/{relative}", self.root)
        };
        Path::parse(&whole).map_err(|source| Error::Store {
            action: "naming an object",
            path: whole,
            source: source.into(),
        })
    }
}

/// A folder with its store: a lake, or a table that lies outside of it.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) url: Url,
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) root: Path,
    /// Where it is, if on this machine.
    pub(super) local: Option<PathBuf>,
}

impl Folder {
    /// Opens a place (see [`Place::parse`]), remote ones by the store that serves them. It need not exist; a first
    /// put makes it.
    pub(super) fn open(place: &str, stores: &Stores) -> Result<Self> {
        match Place::parse(place)? {
            Place::Remote(remote) => Self::remote(&remote, stores),
            Place::Local(path) => Self::local(path).map_err(|reason| Error::InvalidUrl {
                url: place.to_owned(),
                reason,
            }),
        }
    }

    fn remote(place: &Remote, stores: &Stores) -> Result<Self> {
        let place = stores.resolved(place)?;
        Ok(Self {
            url: place.url().clone(),
            store: stores.open(&place)?.store,
            root: place.prefix().clone(),
            local: None,
        })
    }

    fn local(path: PathBuf) -> std::result::Result<Self, String> {
        let path = resolved(&path);
        if path.exists() && !path.is_dir() {
            return Err("it is a file, name a folder".into());
        }
        let text = path
            .to_str()
            .ok_or("its path is not UTF-8, choose another")?;
        // The kernel does not encode `%` when it makes URLs of listed paths, and object stores know no
        // control characters.
        if text
            .chars()
            .any(|c| c == '%' || c == '\\' || c.is_control())
        {
            return Err("its path holds `%`, `\\` or a control character, choose another".into());
        }
        let url = Url::from_directory_path(&path).map_err(|()| "its path is not absolute")?;
        let root = Path::from_url_path(url.path()).map_err(|e| e.to_string())?;
        let store = DurableLocal::new(&path);
        if let Err(error) = store.clean_staging(STAGING_AGE, SystemTime::now()) {
            tracing::warn!(%error, folder = %path.display(), "cannot clean up what crashed processes staged");
        }
        Ok(Self {
            url,
            store: Arc::new(store),
            root,
            local: Some(path),
        })
    }

    /// The table in the folder `name` below.
    pub(super) fn child(&self, name: &str) -> Result<TableLocation> {
        validate_table_name(name)?;
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| Error::InvalidUrl {
                url: self.url.to_string(),
                reason: "nothing can lie below it".into(),
            })?
            .pop_if_empty()
            .push(name)
            .push("");
        let root =
            Path::parse(format!("{}/{name}", self.root)).map_err(|_| Error::InvalidName {
                name: name.to_owned(),
                reason: "it is not a folder name of object stores",
            })?;
        Ok(TableLocation {
            url,
            store: self.store.clone(),
            root,
        })
    }
}

/// Without symbolic links as far as the path exists, and without `.` and `..`. The kernel resolves links by
/// itself; one spelling lets the store know the lake's folders when the kernel names them.
fn resolved(path: &std::path::Path) -> PathBuf {
    use std::path::Component;
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            part => {
                out.push(part);
                if let Ok(real) = out.canonicalize() {
                    out = real;
                }
            }
        }
    }
    out
}

/// Refuses names that are not one plain folder below the lake.
///
/// Names with a leading dot are the lake's own (`.staging`, `.spool`); `%` is refused because the kernel does
/// not encode it when it makes URLs of listed paths.
pub fn validate_table_name(name: &str) -> Result<()> {
    let refuse = |reason| {
        Err(Error::InvalidName {
            name: name.to_owned(),
            reason,
        })
    };
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > 200 {
        return refuse("it is longer than 200 bytes");
    }
    if name.starts_with('.') {
        return refuse("it starts with a dot");
    }
    if matches!(name, "_delta_log" | "_change_data" | "_delta_index") {
        return refuse("Delta uses it inside of tables");
    }
    if name == MANAGED {
        return refuse("Adobe keeps that folder for itself in a landing zone");
    }
    if name
        .chars()
        .any(|c| matches!(c, '/' | '\\' | '%' | '#' | '?') || c.is_control())
    {
        return refuse("it holds one of / \\ % # ? or a control character");
    }
    if name.trim() != name {
        return refuse("it starts or ends with a space");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn open(place: &str) -> Result<Folder> {
        Folder::open(place, &Stores::default())
    }

    #[test]
    fn folders_and_file_urls_open_as_absolute_urls() {
        let here = std::env::current_dir().unwrap();
        let cases = [
            ("./lake", here.join("lake")),
            ("lake/../other", here.join("other")),
            ("/data/my lake", "/data/my lake".into()),
            ("file:///data/my%20lake", "/data/my lake".into()),
            ("file:/data/lake/", "/data/lake".into()),
            ("a:b", here.join("a:b")),
        ];
        for (place, path) in cases {
            let folder = open(place).unwrap();
            assert_eq!(
                folder.url,
                Url::from_directory_path(&path).unwrap(),
                "{place}"
            );
            assert!(folder.url.path().ends_with('/'));
            assert_eq!(
                format!("/{}", folder.root),
                path.to_str().unwrap(),
                "{place}"
            );
            assert_eq!(folder.local, Some(path));
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_resolved_as_the_kernel_does() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("real/inner")).unwrap();
        std::os::unix::fs::symlink(real.join("real/inner"), real.join("link")).unwrap();
        let local = |tail: &str| {
            let place = real.join(tail);
            open(place.to_str().unwrap()).unwrap().local
        };
        assert_eq!(local("link/lake"), Some(real.join("real/inner/lake")));
        assert_eq!(local("link/../lake"), Some(real.join("real/lake")));
    }

    #[test]
    fn what_cannot_be_served_says_so() {
        let kind = |place: &str| open(place).unwrap_err().kind();
        assert_eq!(kind("gs://bucket/x"), Kind::Unsupported);
        for place in [
            "",
            "file:lake",
            "file://host/x",
            "/a%20b",
            "/a\nb",
            "s3://Bucket",
            "https://h/x",
        ] {
            assert_eq!(kind(place), Kind::Config, "{place}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(kind(file.path().to_str().unwrap()), Kind::Config);
    }

    #[test]
    fn a_table_of_a_bucket_has_its_key_and_its_url() {
        let stores = Stores::in_memory();
        for (lake, url, root) in [
            ("s3://raw", "s3://raw/a%20b/", "a b"),
            ("s3://raw/lake/", "s3://raw/lake/a%20b/", "lake/a b"),
            (
                "https://acme1.blob.core.windows.net/raw/lake",
                "abfss://raw@acme1.dfs.core.windows.net/lake/a%20b/",
                "lake/a b",
            ),
        ] {
            let folder = Folder::open(lake, &stores).unwrap();
            assert_eq!(folder.local, None);
            let table = folder.child("a b").unwrap();
            assert_eq!(table.url.as_str(), url);
            assert_eq!(table.root.as_ref(), root);
            assert_eq!(Path::from_url_path(table.url.path()).unwrap(), table.root);
            let object = table.object_path("x=1/part.parquet").unwrap();
            assert_eq!(object.as_ref(), format!("{root}/x=1/part.parquet"));
        }
    }

    #[test]
    fn names_that_escape_the_lake_are_refused() {
        let lake = open("/data/lake").unwrap();
        let long = "x".repeat(201);
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc",
            "a\\b",
            ".spool",
            "_delta_log",
            "adobe-managed-staging",
            "a%2fb",
            "a\0b",
            "a\nb",
            " a",
            &long,
        ] {
            assert_eq!(
                lake.child(name).unwrap_err().kind(),
                Kind::InvalidData,
                "{name:?}"
            );
        }
        for name in [
            "clicks",
            "_dead_letters",
            "a b",
            "café",
            "a:b",
            "a..b",
            "日本",
        ] {
            let table = lake.child(name).unwrap();
            assert_eq!(table.root.as_ref(), format!("data/lake/{name}"));
            assert_eq!(Path::from_url_path(table.url.path()).unwrap(), table.root);
            assert!(table.url.path().ends_with('/'));
        }
    }

    #[test]
    fn object_paths_keep_percent_signs() {
        let table = open("/data/lake").unwrap().child("t").unwrap();
        let path = table.object_path("a=x%2Fy/part.parquet").unwrap();
        assert_eq!(path.as_ref(), "data/lake/t/a=x%2Fy/part.parquet");
        assert!(table.object_path("../x").is_err());
    }
}
