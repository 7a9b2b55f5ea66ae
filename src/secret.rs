//! A value that cannot be printed (invariant 7).

use std::{fmt, sync::Arc};

/// A password, key or token. `Debug` shows `[redacted]`; there is no `Display` and no `Serialize`.
///
/// ```
/// assert_eq!(format!("{:?}", alluvium::secret::Secret::new("x")), "[redacted]");
/// ```
///
/// ```compile_fail,E0277
/// println!("{}", alluvium::secret::Secret::new("x"));
/// ```
///
/// ```compile_fail,E0277
/// serde_json::to_string(&alluvium::secret::Secret::new("x"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself. Hand it to the client that needs it and to nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// A secret that may change while we run: a value, or `file:PATH`, which is read at every use.
#[derive(Clone, PartialEq, Eq)]
pub struct LiveSecret(Held);

#[derive(Clone, PartialEq, Eq)]
enum Held {
    Value(Secret),
    File(std::path::PathBuf),
}

impl LiveSecret {
    /// `file:PATH`, or the value itself.
    pub fn new(text: &str) -> Self {
        Self(match text.strip_prefix("file:") {
            Some(path) => Held::File(path.into()),
            None => Held::Value(Secret::new(text)),
        })
    }

    /// The value as it is now; of a file its text without the white space around it.
    ///
    /// Errors name the file.
    pub fn read(&self) -> std::io::Result<Secret> {
        match &self.0 {
            Held::Value(secret) => Ok(secret.clone()),
            Held::File(path) => {
                let told = |kind, what: &dyn fmt::Display| {
                    std::io::Error::new(
                        kind,
                        format!("cannot read a secret: {what}, file=`{}`", path.display()),
                    )
                };
                let text = std::fs::read_to_string(path).map_err(|e| told(e.kind(), &e))?;
                match text.trim() {
                    "" => Err(told(std::io::ErrorKind::InvalidData, &"the file is empty")),
                    text => Ok(Secret::new(text)),
                }
            }
        }
    }

    /// The file that holds it, if one does.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &self.0 {
            Held::Value(_) => None,
            Held::File(path) => Some(path),
        }
    }
}

/// Shows the file's name but no value.
impl fmt::Debug for LiveSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Held::Value(secret) => secret.fmt(f),
            Held::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl<'de> serde::Deserialize<'de> for LiveSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| LiveSecret::new(&text))
    }
}

impl schemars::JsonSchema for LiveSecret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LiveSecret".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_at_every_use_and_nothing_is_printed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let secret = LiveSecret::new(&format!("file:{}", path.display()));
        let missing = secret.read().unwrap_err().to_string();
        assert!(missing.contains("key`"), "{missing}");
        for value in ["one", "two"] {
            std::fs::write(&path, format!("{value}\n")).unwrap();
            assert_eq!(secret.read().unwrap().expose(), value);
            assert!(!format!("{secret:?}").contains(value));
        }
        std::fs::write(&path, " \n").unwrap();
        assert!(secret.read().is_err());
        let value = LiveSecret::new("planted");
        assert_eq!(value.read().unwrap().expose(), "planted");
        assert!(!format!("{value:?}").contains("planted"));
    }
}
