//! Where a catalog's external tables may lie.

use super::super::error::{ControlError, Result};
use url::Url;

/// The folder below a catalog's or schema's storage root in which Unity Catalog keeps managed tables.
const MANAGED_FOLDER: &str = "__unitystorage";

/// The folder of an external table, as Databricks spells it: no slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    url: String,
}

impl Location {
    /// Reads `s3:`, `s3a:`, `abfss:`, `gs:` and `file:` URLs. `file:` is for engines that share this machine's disk.
    ///
    /// Errors: another scheme (an `az:` URL lacks the account), a bucket without a folder, a folder of managed tables,
    /// a password or a query.
    pub fn parse(url: &str) -> Result<Self> {
        let refuse = |problem: &str| ControlError::Location {
            problem: problem.into(),
            url: url.split(['?', '#']).next().unwrap_or_default().to_owned(),
        };
        let parsed = Url::parse(url)
            .map_err(|_| refuse("it is no URL; a catalog needs one, as in s3://BUCKET/PREFIX"))?;
        match parsed.scheme() {
            "s3" | "s3a" | "abfss" | "gs" | "file" => {}
            "az" => {
                return Err(refuse(
                    "the account is not part of it; write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/…",
                ));
            }
            _ => {
                return Err(refuse(
                    "a catalog takes s3:, abfss: and gs: URLs of external locations",
                ));
            }
        }
        if parsed.password().is_some() || parsed.query().is_some() || parsed.fragment().is_some() {
            return Err(refuse("it holds a password, a query or a fragment"));
        }
        let path = parsed.path().trim_matches('/');
        if path.is_empty() {
            return Err(refuse(
                "a table needs a folder of its own below the bucket's root",
            ));
        }
        if path.split('/').any(is_managed_folder) {
            return Err(refuse(
                "`__unitystorage` holds managed tables, which only Unity Catalog writes; give the table a folder outside of it",
            ));
        }
        let url = url.trim_end_matches('/');
        Ok(Self {
            url: match url.strip_prefix("s3a://") {
                Some(rest) => format!("s3://{rest}"),
                None => url.to_owned(),
            },
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether one lies in the other, or both are one.
    pub fn overlaps(&self, other: &Location) -> bool {
        let (a, b) = (format!("{}/", self.url), format!("{}/", other.url));
        a.starts_with(&b) || b.starts_with(&a)
    }

    /// Whether a table's location, as a catalog tells it, is among those of managed tables.
    pub fn is_managed(url: &str) -> bool {
        url.split('/').any(is_managed_folder)
    }
}

fn is_managed_folder(part: &str) -> bool {
    part.eq_ignore_ascii_case(MANAGED_FOLDER)
}

/// Checks that no table lies in another's folder: Unity Catalog refuses overlapping paths.
pub fn check_apart<'a>(tables: impl IntoIterator<Item = (&'a str, &'a Location)>) -> Result<()> {
    let tables: Vec<(&str, &Location)> = tables.into_iter().collect();
    for (index, (name, location)) in tables.iter().enumerate() {
        if let Some((other, _)) = tables[..index]
            .iter()
            .find(|(_, other)| other.overlaps(location))
        {
            return Err(ControlError::Location {
                problem: format!(
                    "the paths of two tables overlap, which a catalog refuses, tables=`{other}, {name}`"
                ),
                url: location.url.clone(),
            });
        }
    }
    Ok(())
}
