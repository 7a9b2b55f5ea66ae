//! Whether a table's folder lies in an external location that takes tables.

use super::{
    Section, Wanted, lacking, refused,
    rights::{Needed, grant, needs},
};
use crate::{
    control::sql::quote,
    databricks::{
        scim::Me,
        unity::{Securable, Unity},
    },
    error::Kind,
    storage::{self, Stores},
};

/// Where Unity Catalog keeps managed tables.
const MANAGED: &str = "__unitystorage";

/// A table's folder as a catalog spells it, and the external location that holds it.
pub(super) struct Held {
    pub(super) url: String,
    pub(super) location: String,
    /// The external location holds what lies beside the table, too.
    pub(super) beside: bool,
}

pub(super) async fn probe(
    section: &mut Section,
    unity: &Unity,
    me: &Me,
    wanted: &Wanted,
    stores: &Stores,
) -> Option<Held> {
    let table = &wanted.table;
    let url = match spelled(&wanted.location, stores) {
        Ok(url) => url,
        Err((what, remedy)) => {
            lacking(
                section,
                format!("{table}: {what}, url=`{}`", wanted.location),
                remedy,
            );
            return None;
        }
    };
    let found = match unity.external_location_of(&url).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            section.fault(
                Kind::Config,
                format!("{table}: no external location holds the folder, or none that the principal may see, url=`{url}`"),
                format!(
                    "CREATE EXTERNAL LOCATION `alluvium` URL '{}' WITH (STORAGE CREDENTIAL `NAME`), then: {}",
                    above(&url),
                    grant("CREATE EXTERNAL TABLE, BROWSE", "EXTERNAL LOCATION `alluvium`", me)
                ),
            );
            return None;
        }
        Err(error) => {
            refused(
                section,
                &format!("{table}: external locations are not to be had"),
                error,
                "",
            );
            return None;
        }
    };
    section.fine(format!(
        "{table}: external location {} holds {url}",
        found.name
    ));
    if found.read_only {
        section.fault(
            Kind::Config,
            format!(
                "{table}: the external location is read only, location=`{}`",
                found.name
            ),
            "let it be written (Catalog Explorer, External Locations, Limit to read-only use)",
        );
    }
    let place = format!("EXTERNAL LOCATION {}", quote(&found.name));
    needs(
        section,
        unity,
        me,
        Needed {
            table,
            on: Securable::ExternalLocation,
            name: &found.name,
            owner: found.owner.as_deref(),
            place: &place,
            rights: &["CREATE_EXTERNAL_TABLE"],
        },
    )
    .await;
    Some(Held {
        beside: found.covers(above(&url)),
        url,
        location: found.name,
    })
}

/// The URL of a folder as a catalog takes it: no slash at its end. Errors: what is wrong, and its remedy.
pub(super) fn spelled(
    location: &str,
    stores: &Stores,
) -> Result<String, (&'static str, &'static str)> {
    let wrong = (
        "its folder is no place that a catalog knows",
        "give it a URL with s3: or abfss:",
    );
    let url = match storage::Place::parse(location).map_err(|_| wrong)? {
        storage::Place::Local(path) => url::Url::from_directory_path(&path)
            .map_err(|()| wrong)?
            .to_string(),
        storage::Place::Remote(remote) => {
            stores.resolved(&remote).unwrap_or(remote).url().to_string()
        }
    };
    if url.starts_with("az://") {
        return Err((
            "a catalog wants to know the storage account",
            "name `account` in its [stores.NAME], or write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/…",
        ));
    }
    if url
        .split('/')
        .any(|part| part.eq_ignore_ascii_case(MANAGED))
    {
        return Err((
            "`__unitystorage` holds managed tables, which only Unity Catalog writes",
            "give the table a folder outside of it",
        ));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The folder that a table's lies in.
pub(super) fn above(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    match url[host..].rfind('/') {
        Some(at) => &url[..host + at],
        None => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn folders_as_a_catalog_spells_them() {
        let stores = Stores::new(&BTreeMap::new()).unwrap();
        let of = |text: &str| spelled(text, &stores);
        assert_eq!(of("s3a://my-lake/a/b/").unwrap(), "s3://my-lake/a/b");
        assert_eq!(of("/data/lake/t").unwrap(), "file:///data/lake/t");
        assert_eq!(
            of("https://acc1.dfs.core.windows.net/box/t").unwrap(),
            "abfss://box@acc1.dfs.core.windows.net/t"
        );
        assert!(of("az://box/t").unwrap_err().0.contains("account"));
        assert!(
            of("s3://my-lake/__unitystorage/x")
                .unwrap_err()
                .0
                .contains("managed")
        );
        assert_eq!(above("s3://b/a/t"), "s3://b/a");
        assert_eq!(above("s3://b"), "s3://b");
    }
}
