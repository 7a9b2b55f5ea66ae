//! An access key from the configuration or from files.

use crate::{
    error::Kind,
    secret::{LiveSecret, Secret},
    storage::{
        Error, Result, StaticKeys,
        credentials::{Ask, Lease, Source},
    },
};
use async_trait::async_trait;
use object_store::aws::AwsCredential;
use parking_lot::Mutex;
use std::time::{Duration, SystemTime};

/// Keys in files are read again so often without being asked to, so that a rotation is seen before the old key goes.
const REREAD: Duration = Duration::from_secs(5 * 60);

/// An access key; its id, its secret and its session's token are read at every fetch.
#[derive(Debug)]
pub(super) struct StaticSource {
    keys: StaticKeys,
    /// What was handed out last.
    last: Mutex<Option<Read>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Read {
    id: Secret,
    secret: Secret,
    token: Option<Secret>,
}

impl StaticSource {
    pub(super) fn new(keys: StaticKeys) -> Result<Self> {
        let source = Self {
            keys,
            last: Mutex::new(None),
        };
        source.read()?;
        Ok(source)
    }

    fn read(&self) -> Result<Read> {
        let of = |secret: &LiveSecret, what: &str| {
            secret.read().map_err(|error| {
                Error::credentials(
                    Kind::Unauthorized,
                    format!(
                        "no {what} for an S3 access key; put it there: {error}, access_key_id=`{}`",
                        self.shown()
                    ),
                )
            })
        };
        let keys = &self.keys;
        let token = keys.session_token.as_ref();
        let read = Read {
            id: of(&keys.access_key_id, "id")?,
            secret: of(&keys.secret_access_key, "secret")?,
            token: token.map(|token| of(token, "session token")).transpose()?,
        };
        let legal = |byte: u8| byte.is_ascii_graphic() && !b"<>".contains(&byte);
        let id = read.id.expose();
        if id.is_empty() || !id.bytes().all(legal) {
            return Err(Error::credentials(
                Kind::Unauthorized,
                format!("not an access key's id, access_key_id=`{}`", self.shown()),
            ));
        }
        Ok(read)
    }

    /// The id's file, or how it begins: an id and a secret that were mixed up must not be told.
    fn shown(&self) -> String {
        let id = &self.keys.access_key_id;
        match (id.file(), id.read()) {
            (Some(file), _) => format!("file:{}", file.display()),
            (None, Ok(id)) => format!("{}…", id.expose().chars().take(4).collect::<String>()),
            (None, Err(_)) => String::new(),
        }
    }

    fn in_files(&self) -> bool {
        let tokens = self.keys.session_token.iter();
        tokens
            .chain([&self.keys.access_key_id, &self.keys.secret_access_key])
            .any(|secret| secret.file().is_some())
    }
}

#[async_trait]
impl Source for StaticSource {
    type Credential = AwsCredential;

    async fn fetch(&self, ask: Ask) -> Result<Lease<AwsCredential>> {
        let read = self.read()?;
        let mut last = self.last.lock();
        if ask == Ask::Refused && last.as_ref() == Some(&read) {
            let remedy = if self.in_files() {
                "its files still hold what was refused; put a valid key there, they are read again"
            } else {
                "set a valid key; one that changes belongs in a file (`file:PATH`), which is read again"
            };
            return Err(Error::credentials(
                Kind::Unauthorized,
                format!(
                    "the store refuses the access key, and there is no other: {remedy}, access_key_id=`{}`",
                    self.shown()
                ),
            ));
        }
        let credential = AwsCredential {
            key_id: read.id.expose().to_owned(),
            secret_key: read.secret.expose().to_owned(),
            token: read.token.as_ref().map(|token| token.expose().to_owned()),
        };
        *last = Some(read);
        let expires = self.in_files().then(|| SystemTime::now() + REREAD);
        Ok(Lease::new(credential, expires))
    }

    fn describe(&self) -> String {
        format!("access key {}", self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str, token: Option<&str>) -> StaticKeys {
        StaticKeys {
            access_key_id: LiveSecret::new("AKIDEXAMPLE"),
            secret_access_key: LiveSecret::new(secret),
            session_token: token.map(LiveSecret::new),
        }
    }

    #[tokio::test]
    async fn a_refused_key_is_read_again_and_refused_if_it_has_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "planted-one\n").unwrap();
        let source = StaticSource::new(keys(&format!("file:{}", path.display()), None)).unwrap();
        let lease = source.fetch(Ask::Ahead).await.unwrap();
        assert_eq!(lease.credential.secret_key, "planted-one");
        assert!(lease.expires.is_some());
        let error = source.fetch(Ask::Refused).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unauthorized);
        assert!(error.to_string().contains("files still hold"), "{error}");
        assert!(!error.to_string().contains("planted"));
        std::fs::write(&path, "planted-two\n").unwrap();
        let lease = source.fetch(Ask::Refused).await.unwrap();
        assert_eq!(lease.credential.secret_key, "planted-two");
        assert!(!format!("{source:?}").contains("planted"));
    }

    #[tokio::test]
    async fn an_id_and_its_secret_rotate_together() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            LiveSecret::new(&format!("file:{}", path.display()))
        };
        let source = StaticSource::new(StaticKeys {
            access_key_id: file("id", "AKIDONE\n"),
            secret_access_key: LiveSecret::new("planted"),
            session_token: None,
        })
        .unwrap();
        let lease = source.fetch(Ask::Ahead).await.unwrap();
        assert_eq!(lease.credential.key_id, "AKIDONE");
        assert!(lease.expires.is_some());
        source.fetch(Ask::Refused).await.unwrap_err();
        file("id", "AKIDTWO\n");
        let lease = source.fetch(Ask::Refused).await.unwrap();
        assert_eq!(lease.credential.key_id, "AKIDTWO");
        file("id", "two\nlines\n");
        let error = source.fetch(Ask::Ahead).await.unwrap_err();
        assert!(
            error.to_string().contains("not an access key's id"),
            "{error}"
        );
        let shown = format!("{source:?} {} {error}", source.describe());
        assert!(
            !shown.contains("AKID") && !shown.contains("lines"),
            "{shown}"
        );
        assert!(source.describe().contains("/id"), "{shown}");
    }

    #[tokio::test]
    async fn an_id_that_is_a_secret_by_mistake_is_not_told() {
        let swapped = StaticKeys {
            access_key_id: LiveSecret::new("wJalrXUtnFEMIplanted"),
            secret_access_key: LiveSecret::new("AKIDEXAMPLE"),
            session_token: None,
        };
        let source = StaticSource::new(swapped.clone()).unwrap();
        source.fetch(Ask::Ahead).await.unwrap();
        let error = source.fetch(Ask::Refused).await.unwrap_err();
        let shown = format!("{source:?} {swapped:?} {} {error}", source.describe());
        assert!(!shown.contains("planted"), "{shown}");
        assert_eq!(source.describe(), "access key wJal…");
    }

    #[tokio::test]
    async fn a_key_in_the_configuration_lives_for_ever_and_a_missing_file_is_told_at_once() {
        let source = StaticSource::new(keys("planted", Some("token"))).unwrap();
        let lease = source.fetch(Ask::Ahead).await.unwrap();
        assert_eq!(lease.expires, None);
        assert_eq!(lease.credential.token.as_deref(), Some("token"));
        let error = source.fetch(Ask::Refused).await.unwrap_err();
        assert!(error.to_string().contains("`file:PATH`"), "{error}");
        let error = StaticSource::new(keys("file:/nowhere/at/all", None)).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }
}
