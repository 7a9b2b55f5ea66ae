//! What tables need of their catalog and schema, and the GRANT for what is missing.

use super::{Line, Section, Wanted, refused};
use crate::{
    control::sql::quote,
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
    let on_catalog = quote(catalog);
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
                &format!("SCHEMA {on_catalog}.{}", quote(schema)),
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
            let place = format!("SCHEMA {on_catalog}.{}", quote(schema));
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
///
/// A workspace does not tell of groups within groups of the account. So a right that some group has which may be ours is not
/// missing but unseen.
pub(super) async fn needs(section: &mut Section, unity: &Unity, me: &Me, needed: Needed<'_>) {
    let Needed { table, place, .. } = &needed;
    let (held, others) = match held(unity, me, &needed).await {
        Ok(found) => found,
        Err(error) => {
            section.note(format!(
                "{table}: rights on {place} are not to be read, so they are not judged: {error}"
            ));
            return;
        }
    };
    let lacks = |held: &BTreeSet<Privilege>| -> Vec<String> {
        let all = needed.rights.iter().map(|right| Privilege::new(right));
        let missing = all.filter(|right| !held.iter().any(|one| one.covers(right)));
        missing.map(|right| right.sql()).collect()
    };
    let unseen = lacks(&held);
    if unseen.is_empty() {
        section.fine(format!(
            "{table}: {} on {place}",
            needed.rights.join(", ").replace('_', " ")
        ));
        return;
    }
    let missing = lacks(&held.union(&others).cloned().collect());
    if missing.is_empty() {
        section.warn(
            format!(
                "{table}: {} on {place} could not be seen, principal=`{}`; a group that it is in by another group may have it",
                unseen.join(", "),
                me.principal()
            ),
            format!(
                "try it by `alluvium check --thorough`, or: {}",
                grant(&unseen.join(", "), place, me)
            ),
        );
        return;
    }
    section.fault(
        Kind::Unauthorized,
        format!(
            "{table}: missing {} on {place}, principal=`{}`",
            missing.join(", "),
            me.principal()
        ),
        grant(&unseen.join(", "), place, me),
    );
}

/// Rights that were found missing or not found, before a trial that cannot do without them succeeded.
pub(super) fn proven(judged: &mut [Line]) {
    for line in judged {
        if let Line::Warning { what, .. }
        | Line::Fault {
            kind: Kind::Unauthorized,
            what,
            ..
        } = line
        {
            *line = Line::Note(format!(
                "{what}; and yet a table could be made, so it is there by a way that the workspace does not tell"
            ));
        }
    }
}

/// What we have, and what groups have that are not known to be ours.
async fn held(
    unity: &Unity,
    me: &Me,
    needed: &Needed<'_>,
) -> Result<(BTreeSet<Privilege>, BTreeSet<Privilege>)> {
    let mine = names(me);
    let is_mine = |name: &str| mine.contains(&name.to_lowercase());
    let (mut held, mut others) = (BTreeSet::new(), BTreeSet::new());
    // Everybody is shown who owns a thing, so another owner says nothing of us.
    if needed.owner.is_some_and(is_mine) {
        held.insert(Privilege::new(Privilege::ALL));
    }
    // All grants show what comes by groups; whoever may not see them may see its own.
    let mut all = unity.effective_grants(needed.on, needed.name, None).await;
    if matches!(&all, Err(error) if error.kind() == Told::PermissionDenied) {
        others.insert(Privilege::new(Privilege::ALL));
        let own = Some(me.principal());
        all = unity.effective_grants(needed.on, needed.name, own).await;
    }
    let all = match all {
        Err(error) if held.is_empty() => return Err(error),
        all => all.unwrap_or_default(),
    };
    for (principal, grants) in all {
        let grants = grants.into_iter().map(|grant| grant.privilege);
        if is_mine(&principal) {
            held.extend(grants);
        } else if may_be_group(&principal) {
            others.extend(grants);
        }
    }
    Ok((held, others))
}

/// Users are named by their addresses, service principals by their applications' ids.
fn may_be_group(principal: &str) -> bool {
    !principal.contains('@') && uuid::Uuid::try_parse(principal).is_err()
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
    format!("GRANT {rights} ON {place} TO {}", quote(me.principal()))
}
