//! What tables need of their catalog and schema, and the GRANT for what is missing.

use super::{Section, Wanted, refused};
use crate::{
    databricks::{
        Kind as Told, Result,
        scim::Me,
        unity::{Privilege, Securable, Unity},
    },
    error::Kind,
};
use std::collections::BTreeSet;

/// The workspace's old metastore, under the name of a catalog.
const HIVE: &str = "hive_metastore";

/// Looks at catalog and schema of a table, and tells whether both are there.
pub(super) async fn probe(section: &mut Section, unity: &Unity, me: &Me, wanted: &Wanted) -> bool {
    let (table, catalog, schema) = (&wanted.table, &wanted.catalog, &wanted.schema);
    if catalog.eq_ignore_ascii_case(HIVE) {
        section.fault(
            Kind::Unsupported,
            format!(
                "{table}: hive_metastore is not governed by Unity Catalog, catalog=`{catalog}`"
            ),
            "name a catalog of Unity Catalog",
        );
        return false;
    }
    let on_catalog = quoted(catalog);
    let found = match unity.catalog(catalog).await {
        Ok(found) => found,
        Err(error) => {
            let remedy = match error.kind() {
                Told::PermissionDenied => {
                    grant("USE CATALOG", &format!("CATALOG {on_catalog}"), me)
                }
                Told::NotFound => format!(
                    "check the name, or, if it is there and hidden: {}",
                    grant("USE CATALOG", &format!("CATALOG {on_catalog}"), me)
                ),
                _ => String::new(),
            };
            refused(
                section,
                &format!("{table}: the catalog is not to be had"),
                error,
                remedy,
            );
            return false;
        }
    };
    let full = format!("{catalog}.{schema}");
    let found_schema = match unity.schema(catalog, schema).await {
        Ok(found) => Some(found),
        Err(error) if error.kind() == Told::NotFound => None,
        Err(error) => {
            let remedy = grant(
                "USE SCHEMA",
                &format!("SCHEMA {on_catalog}.{}", quoted(schema)),
                me,
            );
            refused(
                section,
                &format!("{table}: the schema is not to be had"),
                error,
                remedy,
            );
            return false;
        }
    };
    let of_catalog: &[&str] = match found_schema {
        Some(_) => &["USE_CATALOG"],
        None => &["USE_CATALOG", "CREATE_SCHEMA"],
    };
    let place = format!("CATALOG {on_catalog}");
    needs(
        section,
        unity,
        me,
        Needed {
            table,
            on: Securable::Catalog,
            name: catalog,
            owner: found.owner.as_deref(),
            place: &place,
            rights: of_catalog,
        },
    )
    .await;
    match found_schema {
        None => {
            section.note(format!(
                "{table}: the schema {full} is not there yet and will be made, so no table is tried"
            ));
            false
        }
        Some(found) => {
            let place = format!("SCHEMA {on_catalog}.{}", quoted(schema));
            needs(
                section,
                unity,
                me,
                Needed {
                    table,
                    on: Securable::Schema,
                    name: &full,
                    owner: found.owner.as_deref(),
                    place: &place,
                    rights: &["USE_SCHEMA", "CREATE_TABLE"],
                },
            )
            .await;
            true
        }
    }
}

/// Rights on one thing.
pub(super) struct Needed<'a> {
    pub(super) table: &'a str,
    pub(super) on: Securable,
    pub(super) name: &'a str,
    pub(super) owner: Option<&'a str>,
    /// As GRANT names it.
    pub(super) place: &'a str,
    pub(super) rights: &'a [&'a str],
}

/// Tells which rights are there and which are missing; those of groups and of owners count.
pub(super) async fn needs(section: &mut Section, unity: &Unity, me: &Me, needed: Needed<'_>) {
    let Needed { table, place, .. } = &needed;
    let held = match held(unity, me, &needed).await {
        Ok(held) => held,
        Err(error) => {
            section.note(format!(
                "{table}: rights on {place} are not to be read, so they are not judged: {error}"
            ));
            return;
        }
    };
    let all = needed.rights.iter().map(|right| Privilege::new(right));
    let missing: Vec<String> = all
        .filter(|right| !held.iter().any(|one| one.covers(right)))
        .map(|right| right.sql())
        .collect();
    match missing.is_empty() {
        true => section.fine(format!(
            "{table}: {} on {place}",
            needed.rights.join(", ").replace('_', " ")
        )),
        false => section.fault(
            Kind::Unauthorized,
            format!(
                "{table}: missing {} on {place}, principal=`{}`",
                missing.join(", "),
                me.principal()
            ),
            grant(&missing.join(", "), place, me),
        ),
    }
}

async fn held(unity: &Unity, me: &Me, needed: &Needed<'_>) -> Result<BTreeSet<Privilege>> {
    let mine = names(me);
    let is_mine = |name: &str| mine.contains(&name.to_lowercase());
    let mut held = BTreeSet::new();
    if needed.owner.is_some_and(is_mine) {
        held.insert(Privilege::new(Privilege::ALL));
    }
    // All grants show what comes by groups; whoever may not see them may see its own.
    let all = match unity.effective_grants(needed.on, needed.name, None).await {
        Err(error) if error.kind() == Told::PermissionDenied => {
            unity
                .effective_grants(needed.on, needed.name, Some(me.principal()))
                .await
        }
        all => all,
    };
    let all = match all {
        Err(error) if held.is_empty() => return Err(error),
        all => all.unwrap_or_default(),
    };
    for (principal, grants) in all {
        if is_mine(&principal) {
            held.extend(grants.into_iter().map(|grant| grant.privilege));
        }
    }
    Ok(held)
}

/// Under which names grants may mean us, in lower case.
fn names(me: &Me) -> BTreeSet<String> {
    let groups = me
        .groups
        .iter()
        .filter_map(|group| group.display.as_deref());
    // Everybody is in these.
    let everybody = ["account users", "users"];
    let all = groups.chain(everybody).chain([
        me.principal(),
        me.user_name.as_str(),
        me.display_name.as_str(),
    ]);
    all.filter(|name| !name.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The statement that gives a right.
pub(super) fn grant(rights: &str, place: &str, me: &Me) -> String {
    format!("GRANT {rights} ON {place} TO {}", quoted(me.principal()))
}

/// In backticks, inner ones doubled.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
