//! What tables need of a workspace, against one on loopback.

use super::*;
use crate::{
    databricks::{AuthOptions, PatOptions, WarehouseRef},
    secret::LiveSecret,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

#[allow(dead_code)]
#[path = "../../../tests/it/support/workspace.rs"]
mod workspace;

use workspace::{Answer, Asked, Workspace as Server};

const PRINCIPAL: &str = "5f0c1c9e-0000-4000-8000-000000000001";

/// A workspace and what it grants: `privilege_assignments` by the path behind `effective-permissions/`.
#[derive(Clone)]
struct Governed {
    grants: BTreeMap<&'static str, Value>,
    /// The URL of the external location; none, no location.
    location: Option<String>,
    has_schema: bool,
    /// What the probe table reads back.
    rows: Value,
    /// The error of `CREATE TABLE`.
    refuses: Option<&'static str>,
    /// What the catalog has under the table's name.
    table: Option<Value>,
    /// What a table's folder held when it was registered.
    seen: Arc<Mutex<Vec<String>>>,
}

impl Governed {
    /// All that is needed, by a group for the catalog.
    fn whole(location: &str) -> Self {
        let to = |principal: &str, privileges: &[&str]| {
            let privileges: Vec<Value> = privileges
                .iter()
                .map(|one| json!({"privilege": one}))
                .collect();
            json!([{"principal": principal, "privileges": privileges}])
        };
        Self {
            grants: BTreeMap::from([
                (
                    "catalog/main",
                    to("Engineers", &["USE_CATALOG", "CREATE_SCHEMA"]),
                ),
                ("schema/main.web", to(PRINCIPAL, &["ALL_PRIVILEGES"])),
                (
                    "external_location/lake",
                    to(PRINCIPAL, &["CREATE EXTERNAL TABLE"]),
                ),
            ]),
            location: Some(location.to_owned()),
            has_schema: true,
            rows: json!([["1", "alluvium check, é"]]),
            refuses: None,
            table: None,
            seen: Arc::default(),
        }
    }

    fn answer(&self, asked: &Asked) -> Option<Answer> {
        let line = asked.line();
        let line = line.split('?').next().unwrap();
        if let Some(on) = line.strip_prefix("GET /api/2.1/unity-catalog/effective-permissions/") {
            let assignments = self.grants.get(on).cloned().unwrap_or(json!([]));
            return Some(match asked.path.contains("principal=") {
                false if assignments.is_null() => {
                    Answer::error(403, "PERMISSION_DENIED", "not all of them")
                }
                true => Answer::ok(json!({})),
                false => Answer::ok(json!({"privilege_assignments": assignments})),
            });
        }
        Some(match line {
            "GET /api/2.0/preview/scim/v2/Me" => Answer::ok(json!({
                "id": "42", "userName": PRINCIPAL, "displayName": "lander", "groups": [{"display": "engineers", "value": "7"}],
            })),
            "GET /api/2.0/token/list" => Answer::ok(json!({})),
            "GET /api/2.1/unity-catalog/metastore_summary" => {
                Answer::ok(json!({"metastore_id": "m", "name": "meta"}))
            }
            "GET /api/2.1/unity-catalog/catalogs/main" => {
                Answer::ok(json!({"name": "main", "owner": "somebody"}))
            }
            "GET /api/2.1/unity-catalog/schemas/main.web" if self.has_schema => {
                Answer::ok(json!({"name": "web", "catalog_name": "main", "full_name": "main.web"}))
            }
            "GET /api/2.1/unity-catalog/tables/main.web.clicks" => match &self.table {
                Some(table) => Answer::ok(table.clone()),
                None => Answer::error(404, "TABLE_DOES_NOT_EXIST", "there is none"),
            },
            "GET /api/2.1/unity-catalog/external-locations" => {
                let url = self.location.iter();
                let all: Vec<Value> = url
                    .map(|url| json!({"name": "lake", "url": url, "credential_name": "c"}))
                    .collect();
                Answer::ok(json!({"external_locations": all}))
            }
            "GET /api/2.0/sql/warehouses/00000000000000aa" => {
                Answer::ok(json!({"id": "00000000000000aa", "name": "small", "state": "RUNNING"}))
            }
            "POST /api/2.0/sql/statements" => {
                self.statement(asked.json()["statement"].as_str().unwrap())
            }
            _ => return None,
        })
    }

    fn statement(&self, sql: &str) -> Answer {
        let state = |state: &str| json!({"statement_id": "s", "status": {"state": state}});
        if let Some((_, location)) = sql.split_once("LOCATION '") {
            let folder = PathBuf::from(
                location
                    .trim_end_matches('\'')
                    .strip_prefix("file://")
                    .unwrap(),
            );
            let log = std::fs::read_to_string(folder.join("_delta_log/00000000000000000000.json"));
            self.seen.lock().push(log.unwrap_or_default());
            if let Some(message) = self.refuses {
                let mut failed = state("FAILED");
                failed["status"]["error"] =
                    json!({"error_code": "BAD_REQUEST", "message": message});
                return Answer::ok(failed);
            }
        }
        let mut done = state("SUCCEEDED");
        if sql.starts_with("SELECT n") {
            done["manifest"] = json!({"format": "JSON_ARRAY", "schema": {"columns": [{"name": "n"}, {"name": "said"}]}});
            done["result"] = json!({"chunk_index": 0, "data_array": self.rows});
        }
        Answer::ok(done)
    }
}

struct Run {
    told: String,
    asked: Vec<Asked>,
    lake: tempfile::TempDir,
}

impl Run {
    fn statements(&self) -> Vec<String> {
        let posts = self
            .asked
            .iter()
            .filter(|asked| asked.path.ends_with("/statements"));
        posts
            .map(|asked| asked.json()["statement"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// `change` is told the lake's URL.
async fn checked(
    catalog: &str,
    thorough: bool,
    change: impl FnOnce(&mut Governed),
) -> (Run, Governed) {
    let lake = tempfile::tempdir().unwrap();
    let url = format!("file://{}", lake.path().display());
    let mut governed = Governed::whole(&url);
    change(&mut governed);
    let rules = governed.clone();
    let server = Server::start(move |asked, _| rules.answer(asked));
    let options = ConnectionOptions {
        host: Some(server.url.clone()),
        auth: AuthOptions::Pat(PatOptions {
            token: LiveSecret::new("dapi0123456789abcdef"),
        }),
        warehouse: Some(WarehouseRef::parse("00000000000000aa")),
        ..ConnectionOptions::default()
    };
    let wanted = Wanted {
        table: "clicks".into(),
        catalog: catalog.into(),
        schema: "web".into(),
        name: "clicks".into(),
        location: lake.path().join("clicks").display().to_string(),
    };
    let stores = Stores::new(&BTreeMap::new()).unwrap();
    let trying = Trying {
        stores: &stores,
        thorough,
        stop: CancellationToken::new(),
    };
    let section = probe("w", &options, vec![wanted], &trying).await;
    let told = super::super::preflight::section::report(&[section])
        .report
        .text;
    (
        Run {
            told,
            asked: server.asked(),
            lake,
        },
        governed,
    )
}

#[tokio::test]
async fn rights_by_groups_and_all_privileges_suffice_and_nothing_is_made() {
    let (run, _) = checked("main", false, |_| {}).await;
    let told = &run.told;
    assert!(told.ends_with("Success!\n"), "{told}");
    for words in [
        "USE CATALOG on CATALOG `main`",
        "USE SCHEMA, CREATE TABLE on SCHEMA `main`.`web`",
        "external location lake holds file:///",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    assert_eq!(run.statements(), ["SELECT 1"]);
}

#[tokio::test]
async fn a_missing_right_is_told_as_the_grant_that_mends_it() {
    let (run, _) = checked("main", false, |governed| governed.grants.clear()).await;
    for grant in [
        format!("GRANT USE CATALOG ON CATALOG `main` TO `{PRINCIPAL}`"),
        format!("GRANT USE SCHEMA, CREATE TABLE ON SCHEMA `main`.`web` TO `{PRINCIPAL}`"),
        format!("GRANT CREATE EXTERNAL TABLE ON EXTERNAL LOCATION `lake` TO `{PRINCIPAL}`"),
    ] {
        assert!(run.told.contains(&grant), "{grant}\n{}", run.told);
    }
    assert!(!run.told.contains("Success!"));
}

#[tokio::test]
async fn a_right_of_a_group_that_may_be_ours_is_unseen_and_not_missing() {
    let assigned = |principal: &str, privilege: &str| json!([{"principal": principal, "privileges": [{"privilege": privilege}]}]);
    let (run, _) = checked("main", false, |governed| {
        let all = assigned("all engineers of the account", "ALL_PRIVILEGES");
        governed.grants.insert("schema/main.web", all);
    })
    .await;
    let told = &run.told;
    assert!(
        told.contains("WARNING") && told.ends_with("Success!\n"),
        "{told}"
    );
    for words in [
        "USE SCHEMA, CREATE TABLE on SCHEMA `main`.`web` could not be seen".to_owned(),
        format!("GRANT USE SCHEMA, CREATE TABLE ON SCHEMA `main`.`web` TO `{PRINCIPAL}`"),
    ] {
        assert!(told.contains(&words), "{words}\n{told}");
    }
    // Where only our own grants may be seen, those of such a group may not.
    let (run, _) = checked("main", false, |governed| {
        governed.grants.insert("schema/main.web", Value::Null);
    })
    .await;
    assert!(
        run.told.contains("could not be seen") && run.told.ends_with("Success!\n"),
        "{}",
        run.told
    );
    // Neither a user nor another principal is a group of ours.
    for other in ["ann@example.com", "5f0c1c9e-0000-4000-8000-000000000002"] {
        let (run, _) = checked("main", false, |governed| {
            let all = assigned(other, "ALL_PRIVILEGES");
            governed.grants.insert("schema/main.web", all);
        })
        .await;
        assert!(
            run.told
                .contains("missing USE SCHEMA, CREATE TABLE on SCHEMA"),
            "{}",
            run.told
        );
    }
}

#[tokio::test]
async fn a_trial_that_succeeds_decides_on_rights() {
    let (run, _) = checked("main", true, |governed| governed.grants.clear()).await;
    let told = &run.told;
    assert!(
        told.contains("missing USE CATALOG on CATALOG `main`")
            && told.contains("and yet a table could be made")
            && told.ends_with("Success!\n"),
        "{told}"
    );
    let (run, _) = checked("main", true, |governed| {
        governed.grants.clear();
        governed.refuses = Some("[PERMISSION_DENIED] no");
    })
    .await;
    assert!(!run.told.contains("and yet"), "{}", run.told);
}

#[tokio::test]
async fn what_the_catalog_has_of_a_table_is_told() {
    let (run, _) = checked("main", false, |_| {}).await;
    let told = "table clicks: will be registered as main.web.clicks once it is there";
    assert!(run.told.contains(told), "{}", run.told);
    let cases = [
        (
            "MANAGED",
            "file:///elsewhere",
            "FAULT",
            "it is a managed table",
        ),
        ("VIEW", "", "FAULT", "of type `VIEW`"),
        (
            "EXTERNAL",
            "file:///elsewhere/clicks",
            "FAULT",
            "at another place",
        ),
        ("EXTERNAL", "", "WARNING", "its folder holds no table"),
    ];
    for (kind, at, level, words) in cases {
        let (run, _) = checked("main", false, |governed| {
            let own = format!("{}/clicks", governed.location.clone().unwrap());
            let at = if kind == "EXTERNAL" && at.is_empty() { &own } else { at };
            governed.table = Some(json!({
                "name": "clicks", "table_type": kind, "data_source_format": "DELTA", "storage_location": at,
            }));
        })
        .await;
        let told = &run.told;
        assert!(
            told.contains(level) && told.contains(words),
            "{kind} {told}"
        );
        assert_eq!(told.contains("Success!"), level == "WARNING", "{told}");
    }
}

#[tokio::test]
async fn a_schema_that_is_not_there_needs_the_right_to_make_it() {
    let (run, _) = checked("main", false, |governed| {
        governed.has_schema = false;
        governed.grants.remove("catalog/main");
    })
    .await;
    let grant = format!("GRANT USE CATALOG, CREATE SCHEMA ON CATALOG `main` TO `{PRINCIPAL}`");
    assert!(
        run.told.contains(&grant) && run.told.contains("is not there yet"),
        "{}",
        run.told
    );
}

#[tokio::test]
async fn what_is_not_governed_is_refused() {
    let (run, _) = checked("hive_metastore", false, |_| {}).await;
    assert!(
        run.told.contains("FAULT") && run.told.contains("hive_metastore is not governed"),
        "{}",
        run.told
    );
    let (run, _) = checked("main", false, |governed| governed.location = None).await;
    assert!(
        run.told.contains("no external location holds the folder")
            && run.told.contains("CREATE EXTERNAL LOCATION"),
        "{}",
        run.told
    );
    let (run, _) = checked("main", false, |governed| {
        governed.location = Some("s3://elsewhere/x".into())
    })
    .await;
    assert!(
        run.told.contains("no external location holds the folder"),
        "{}",
        run.told
    );
}

#[tokio::test]
async fn a_table_of_ours_is_registered_read_back_and_taken_away() {
    let (run, governed) = checked("main", true, |_| {}).await;
    assert!(
        run.told.contains("what we write is read back") && run.told.ends_with("Success!\n"),
        "{}",
        run.told
    );
    let statements = run.statements();
    assert_eq!(statements[0], "SELECT 1");
    assert!(
        statements[1].starts_with("CREATE TABLE `main`.`web`.`_alluvium_probe_"),
        "{statements:?}"
    );
    assert!(
        statements[3].starts_with("DROP TABLE IF EXISTS `main`.`web`.`_alluvium_probe_"),
        "{statements:?}"
    );
    let seen = governed.seen.lock().clone();
    assert!(
        seen.len() == 1 && seen[0].contains("\"add\"") && seen[0].contains("\"metaData\""),
        "{seen:?}"
    );
    assert_eq!(files(run.lake.path()), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn whatever_fails_on_the_way_what_was_made_is_taken_away() {
    let (run, _) = checked("main", true, |governed| {
        governed.refuses = Some("LOCATION_OVERLAP")
    })
    .await;
    assert!(
        run.told.contains("cannot be registered") && run.told.contains("LOCATION_OVERLAP"),
        "{}",
        run.told
    );
    assert!(
        run.statements().last().unwrap().starts_with("DROP TABLE"),
        "{:?}",
        run.statements()
    );
    assert_eq!(files(run.lake.path()), Vec::<PathBuf>::new());
    let (run, _) = checked("main", true, |governed| {
        governed.rows = json!([["2", "other"]])
    })
    .await;
    assert!(run.told.contains("reads back otherwise"), "{}", run.told);
    assert!(
        run.statements().last().unwrap().starts_with("DROP TABLE"),
        "{:?}",
        run.statements()
    );
    assert_eq!(files(run.lake.path()), Vec::<PathBuf>::new());
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn tables_side_by_side_are_tried_once() {
    let of = |table: &str, schema: &str, location: &str| Wanted {
        table: table.into(),
        catalog: "main".into(),
        schema: schema.into(),
        name: table.into(),
        location: location.into(),
    };
    let all = vec![
        of("a", "web", "s3://lake/x/a"),
        of("b", "web", "s3://lake/x/b/"),
        of("c", "shop", "s3://lake/x/c"),
        of("d", "web", "s3://lake/d"),
        of("e", "web", "s3://lake/x/e"),
        of("f", "web", "s3://lake/x/f"),
    ];
    let called: Vec<String> = alike(all).into_iter().map(|one| one.table).collect();
    assert_eq!(called, ["tables a, b, e and 1 more", "table c", "table d"]);
}
