//! Privileges and what they are granted on, in the spelling of whoever is asked.

use super::{Error, Kind, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// Whose Unity Catalog it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    #[default]
    Databricks,
    /// The open one, which writes privileges with spaces.
    Open,
}

/// A privilege, as `CREATE_EXTERNAL_TABLE`. Read in any spelling; equal whatever it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Privilege(String);

impl Privilege {
    pub const ALL: &str = "ALL_PRIVILEGES";

    /// Of a constant, as `USE_CATALOG`.
    pub fn new(text: &str) -> Self {
        let words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || c == '_')
            .filter(|word| !word.is_empty())
            .map(str::to_ascii_uppercase)
            .collect();
        Self(words.join("_"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As `GRANT` wants it: `CREATE EXTERNAL TABLE`.
    pub fn sql(&self) -> String {
        self.0.replace('_', " ")
    }

    /// As a service's REST wants it.
    pub fn spelled(&self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Databricks => self.0.clone(),
            Dialect::Open => self.sql(),
        }
    }

    /// Whether whoever has this one may do what `wanted` allows. ALL PRIVILEGES has neither MANAGE nor the use from outside,
    /// and nor has an owner.
    pub fn covers(&self, wanted: &Privilege) -> bool {
        let apart = ["EXTERNAL_USE_SCHEMA", "EXTERNAL_USE_LOCATION", "MANAGE"];
        self == wanted || self.0 == Self::ALL && !apart.contains(&wanted.as_str())
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Privilege {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text))
    }
}

impl Serialize for Privilege {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A kind of thing that privileges are granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Securable {
    Metastore,
    Catalog,
    Schema,
    Table,
    Volume,
    Function,
    ExternalLocation,
    StorageCredential,
}

impl Securable {
    const ALL: [Securable; 8] = [
        Self::Metastore,
        Self::Catalog,
        Self::Schema,
        Self::Table,
        Self::Volume,
        Self::Function,
        Self::ExternalLocation,
        Self::StorageCredential,
    ];

    /// In a path.
    pub fn spelled(self, dialect: Dialect) -> &'static str {
        match self {
            Self::Metastore => "metastore",
            Self::Catalog => "catalog",
            Self::Schema => "schema",
            Self::Table => "table",
            Self::Volume => "volume",
            Self::Function => "function",
            Self::ExternalLocation => "external_location",
            Self::StorageCredential if dialect == Dialect::Open => "credential",
            Self::StorageCredential => "storage_credential",
        }
    }
}

impl fmt::Display for Securable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spelled(Dialect::Databricks))
    }
}

impl FromStr for Securable {
    type Err = Error;

    /// In any case, with spaces, hyphens or underscores.
    fn from_str(text: &str) -> Result<Self> {
        let plain = text.trim().to_ascii_lowercase().replace([' ', '-'], "_");
        Self::ALL
            .into_iter()
            .find(|one| {
                [Dialect::Databricks, Dialect::Open]
                    .iter()
                    .any(|dialect| one.spelled(*dialect) == plain)
            })
            .ok_or_else(|| {
                let known = Self::ALL.map(|one| one.to_string()).join(", ");
                let what = format!("a securable is one of {known}, securable=`{text}`");
                Error::told(Kind::InvalidParameter, what)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_privilege_is_one_in_every_spelling() {
        let one = Privilege::new("CREATE_EXTERNAL_TABLE");
        for text in [
            "create external table",
            "CREATE EXTERNAL TABLE",
            " Create_External  Table ",
        ] {
            assert_eq!(Privilege::new(text), one);
            assert_eq!(
                serde_json::from_value::<Privilege>(text.into()).unwrap(),
                one
            );
        }
        assert_eq!(one.sql(), "CREATE EXTERNAL TABLE");
        assert_eq!(one.spelled(Dialect::Databricks), "CREATE_EXTERNAL_TABLE");
        assert_eq!(one.spelled(Dialect::Open), "CREATE EXTERNAL TABLE");
    }

    #[test]
    fn all_privileges_leave_out_the_use_from_outside() {
        let all = Privilege::new("ALL PRIVILEGES");
        for (wanted, covered) in [
            ("SELECT", true),
            ("USE_CATALOG", true),
            ("EXTERNAL_USE_SCHEMA", false),
            ("EXTERNAL_USE_LOCATION", false),
            ("MANAGE", false),
        ] {
            assert_eq!(all.covers(&Privilege::new(wanted)), covered, "{wanted}");
        }
        assert!(!Privilege::new("SELECT").covers(&Privilege::new("MODIFY")));
    }

    #[test]
    fn securables_are_read_in_both_dialects() {
        for (text, securable) in [
            ("TABLE", Securable::Table),
            ("external location", Securable::ExternalLocation),
            ("storage-credential", Securable::StorageCredential),
            ("credential", Securable::StorageCredential),
        ] {
            assert_eq!(text.parse::<Securable>().unwrap(), securable);
        }
        assert!("tables".parse::<Securable>().is_err());
        assert_eq!(
            Securable::StorageCredential.spelled(Dialect::Open),
            "credential"
        );
    }
}
