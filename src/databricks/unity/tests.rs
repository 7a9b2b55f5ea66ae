use super::*;
use crate::databricks::{
    TableId,
    scripted::{Reply, Server, refusal},
};
use serde_json::json;
use std::time::{Duration, SystemTime};

#[tokio::test]
async fn a_workspace_without_a_metastore_is_no_error() {
    let server = Server::start(|seen| match seen.number {
        0 => refusal(404, "METASTORE_DOES_NOT_EXIST", "No metastore assigned for the current workspace."),
        1 => json!({ "workspace_id": 7, "metastore_id": "m", "default_catalog_name": "main" }).into(),
        2 => refusal(403, "PERMISSION_DENIED", "no"),
        _ => json!({ "metastore_id": "m", "name": "primary", "external_access_enabled": true, "region": "eu-central-1" }).into(),
    })
    .await;
    let unity = Unity::new(&server.workspace());
    assert!(unity.assignment().await.unwrap().is_none());
    assert_eq!(
        unity
            .assignment()
            .await
            .unwrap()
            .unwrap()
            .default_catalog_name
            .as_deref(),
        Some("main")
    );
    assert_eq!(
        unity.assignment().await.unwrap_err().kind(),
        Kind::PermissionDenied
    );
    assert_eq!(
        unity.metastore().await.unwrap().external_access_enabled,
        Some(true)
    );
}

#[tokio::test]
async fn lists_are_followed_and_names_are_segments() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/api/2.1/unity-catalog/catalogs?max_results=0" => {
            json!({ "catalogs": [{ "name": "a", "new": 1 }], "next_page_token": "t" }).into()
        }
        "/api/2.1/unity-catalog/catalogs?max_results=0&page_token=t" => {
            json!({ "catalogs": [{ "name": "b" }] }).into()
        }
        "/api/2.1/unity-catalog/schemas?catalog_name=a+b&max_results=0" => json!({}).into(),
        "/api/2.1/unity-catalog/schemas/a.b%2Fc" => {
            json!({ "name": "b/c", "catalog_name": "a", "full_name": "a.b/c" }).into()
        }
        "/api/2.1/unity-catalog/catalogs/%C3%BC%3F?force=true" => json!({}).into(),
        other => panic!("{other}"),
    })
    .await;
    let unity = Unity::new(&server.workspace());
    let names: Vec<String> = unity
        .catalogs()
        .await
        .unwrap()
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert!(unity.schemas("a b").await.unwrap().is_empty());
    assert_eq!(unity.schema("a", "b/c").await.unwrap().full_name, "a.b/c");
    unity.delete_catalog("ü?", true).await.unwrap();
}

#[tokio::test]
async fn an_external_table_is_registered_and_looked_up() {
    let server = Server::start(|seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("POST", "/api/2.1/unity-catalog/tables") => {
            let mut table = seen.json();
            table["table_id"] = "t-1".into();
            table["full_name"] = "c.s.t".into();
            table.into()
        }
        ("GET", "/api/2.1/unity-catalog/tables/c.s.t/exists") => {
            json!({ "table_exists": true }).into()
        }
        ("GET", "/api/2.1/unity-catalog/tables/c.s.gone/exists") => {
            json!({ "table_exists": false }).into()
        }
        // A service without the call.
        ("GET", path) if path.ends_with("/exists") => {
            refusal(404, "ENDPOINT_NOT_FOUND", "no such API")
        }
        ("GET", "/api/2.1/unity-catalog/tables/c.s.old") => {
            json!({ "name": "old", "table_type": "MANAGED" }).into()
        }
        ("GET", _) => refusal(404, "TABLE_DOES_NOT_EXIST", "no"),
        ("DELETE", "/api/2.1/unity-catalog/tables/c.s.t") => Reply::Bytes(200, Vec::new()),
        (method, path) => panic!("{method} {path}"),
    })
    .await;
    let unity = Unity::new(&server.workspace());
    let column = Column {
        name: "n".into(),
        type_text: "bigint".into(),
        type_name: "LONG".into(),
        nullable: true,
        ..Column::default()
    };
    let new = NewTable {
        catalog: "c".into(),
        schema: "s".into(),
        name: "t".into(),
        location: "s3://b/t".into(),
        columns: vec![column],
        ..NewTable::default()
    };
    let made = unity.create_external_table(&new).await.unwrap();
    assert!(made.is_external() && made.is_delta() && !made.is_managed());
    assert_eq!(made.table_id, Some(TableId::new("t-1")));
    let sent = server.seen()[0].json();
    assert_eq!(sent["columns"][0]["type_name"], "LONG");
    assert_eq!(
        (
            sent["table_type"].as_str(),
            sent["data_source_format"].as_str()
        ),
        (Some("EXTERNAL"), Some("DELTA"))
    );
    for (name, there) in [
        ("c.s.t", true),
        ("c.s.gone", false),
        ("c.s.old", true),
        ("c.s.none", false),
    ] {
        assert_eq!(unity.table_exists(name).await.unwrap(), there, "{name}");
    }
    assert!(unity.find_table("c.s.none").await.unwrap().is_none());
    unity.delete_table("c.s.t").await.unwrap();
    let nowhere = NewTable {
        location: " ".into(),
        ..new
    };
    assert_eq!(
        unity
            .create_external_table(&nowhere)
            .await
            .unwrap_err()
            .kind(),
        Kind::InvalidParameter
    );
    assert_eq!(full_name("Main", "S", "T"), "main.s.t");
}

#[tokio::test]
async fn credentials_and_locations_are_made_and_tried() {
    let server = Server::start(|seen| match seen.path.as_str() {
        "/api/2.1/unity-catalog/storage-credentials" => {
            assert_eq!(seen.json(), json!({ "name": "k", "aws_iam_role": { "role_arn": "arn:r" }, "read_only": false, "skip_validation": true }));
            json!({ "name": "k", "aws_iam_role": { "role_arn": "arn:r", "external_id": "e", "unity_catalog_iam_arn": "arn:u" } }).into()
        }
        "/api/2.1/unity-catalog/validate-storage-credentials" => {
            assert_eq!(seen.json(), json!({ "storage_credential_name": "k", "url": "s3://b", "read_only": true }));
            json!({ "results": [{ "operation": "LIST", "result": "PASS" }, { "operation": "WRITE", "result": "FAIL", "message": "no" }, { "operation": "DELETE", "result": "SKIP" }] }).into()
        }
        "/api/2.1/unity-catalog/external-locations?max_results=0" => json!({ "external_locations": [
            { "name": "outer", "url": "s3://b/" }, { "name": "inner", "url": "s3://b/lake" }, { "name": "other", "url": "s3://c" },
        ] })
        .into(),
        other => panic!("{other}"),
    })
    .await;
    let unity = Unity::new(&server.workspace());
    let role = AwsIamRole {
        role_arn: "arn:r".into(),
        ..AwsIamRole::default()
    };
    let new = NewStorageCredential {
        name: "k".into(),
        aws_iam_role: Some(role),
        skip_validation: true,
        ..NewStorageCredential::default()
    };
    let made = unity
        .create_storage_credential(&new)
        .await
        .unwrap()
        .aws_iam_role
        .unwrap();
    assert_eq!(
        (
            made.external_id.as_deref(),
            made.unity_catalog_iam_arn.as_deref()
        ),
        (Some("e"), Some("arn:u"))
    );
    let tried = unity
        .validate_storage_credential(Some("k"), &ValidationTarget::Url("s3://b".into()), true)
        .await
        .unwrap();
    let failed: Vec<&str> = tried
        .iter()
        .filter(|one| one.failed())
        .map(|one| one.operation.as_str())
        .collect();
    assert_eq!(failed, ["WRITE"]);
    let of = async |url: &str| {
        unity
            .external_location_of(url)
            .await
            .unwrap()
            .map(|location| location.name)
    };
    assert_eq!(of("s3://b/lake/t").await.as_deref(), Some("inner"));
    assert_eq!(of("s3://b/lakes").await.as_deref(), Some("outer"));
    assert_eq!(of("s3://d").await, None);
}

#[tokio::test]
async fn grants_are_read_in_any_order_and_changed_in_the_services_spelling() {
    let script = |seen: &crate::databricks::scripted::Seen| {
        match (seen.method.as_str(), seen.path.as_str()) {
        ("GET", "/api/2.1/unity-catalog/effective-permissions/catalog/main?principal=me&max_results=0") => json!({
            "privilege_assignments": [{ "principal": "me", "privileges": [
                { "privilege": "USE_CATALOG", "inherited_from_type": "METASTORE", "inherited_from_name": "m" }, { "privilege": "CREATE_SCHEMA" },
            ] }],
        })
        .into(),
        _ => json!({ "privilege_assignments": [
            { "principal": "b", "privileges": ["READ FILES"] }, { "principal": "a", "privileges": ["WRITE_FILES", "READ_FILES"] },
            { "principal": "b", "privileges": ["CREATE_EXTERNAL_TABLE"] },
        ] })
        .into(),
    }
    };
    let server = Server::start(script).await;
    let unity = Unity::new(&server.workspace());
    let effective = unity
        .effective_grants(Securable::Catalog, "main", Some("me"))
        .await
        .unwrap();
    assert_eq!(
        effective["me"][0].privilege,
        Privilege::new("CREATE_SCHEMA")
    );
    assert_eq!(effective["me"][1].inherited_from_name.as_deref(), Some("m"));
    let change = GrantChange {
        principal: "b".into(),
        add: vec![Privilege::new("CREATE EXTERNAL TABLE")],
        remove: vec![Privilege::new("MODIFY")],
    };
    let now = unity
        .change_grants(
            Securable::ExternalLocation,
            "l",
            std::slice::from_ref(&change),
        )
        .await
        .unwrap();
    assert_eq!(now["b"].len(), 2);
    let sent = server.seen().pop().unwrap();
    assert_eq!(
        sent.line(),
        "PATCH /api/2.1/unity-catalog/permissions/external_location/l"
    );
    assert_eq!(
        sent.json(),
        json!({ "changes": [{ "principal": "b", "add": ["CREATE_EXTERNAL_TABLE"], "remove": ["MODIFY"] }] })
    );
    let both = GrantChange {
        remove: change.add.clone(),
        ..change.clone()
    };
    let count = server.seen().len();
    assert_eq!(
        unity
            .change_grants(Securable::Catalog, "c", &[both])
            .await
            .unwrap_err()
            .kind(),
        Kind::InvalidParameter
    );
    assert_eq!(server.seen().len(), count);
    // The open Unity Catalog.
    let open = Server::start(script).await;
    let unity =
        Unity::new(&open.workspace_with(|options| options.vending_api_version = "2.1".into()));
    unity
        .change_grants(Securable::StorageCredential, "k", &[change])
        .await
        .unwrap();
    let sent = open.seen().pop().unwrap();
    assert_eq!(
        sent.line(),
        "PATCH /api/2.1/unity-catalog/permissions/credential/k"
    );
    assert_eq!(sent.json()["changes"][0]["add"][0], "CREATE EXTERNAL TABLE");
}

#[tokio::test]
async fn temporary_credentials_of_every_kind_are_read_or_refused() {
    for (version, path) in [("2.0", "/api/2.0"), ("2.1", "/api/2.1")] {
        let server = Server::start(|seen| {
            match seen.number {
                0 => json!({ "aws_temp_credentials": { "access_key_id": "AKID", "secret_access_key": "planted", "session_token": "planted", "access_point": "" }, "expiration_time": 1_700_000_000_123i64, "url": "s3://b/t" }),
                1 => json!({ "r2_temp_credentials": { "access_key_id": "AKID", "secret_access_key": "planted" }, "expiration_time": 0 }),
                2 => json!({ "azure_user_delegation_sas": { "sas_token": "sig=planted" }, "expiration_time": -1 }),
                3 => json!({ "azure_aad": { "aad_token": "planted" } }),
                4 => json!({ "gcp_oauth_token": { "oauth_token": "planted" } }),
                _ => json!({ "something_new": "planted" }),
            }
            .into()
        })
        .await;
        let unity = Unity::new(
            &server.workspace_with(|options| options.vending_api_version = version.into()),
        );
        let table = TableId::new("t-1");
        let vended = unity
            .table_credential(&table, Operation::ReadWrite)
            .await
            .unwrap();
        assert!(!format!("{vended:?}").contains("planted"), "{vended:?}");
        assert_eq!(
            vended.expires,
            Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123))
        );
        let VendedCredential::Aws(keys) = vended.credential else {
            panic!()
        };
        assert_eq!(
            (
                keys.access_key_id.as_str(),
                keys.session_token.unwrap().expose()
            ),
            ("AKID", "planted")
        );
        let vended = unity
            .path_credential("s3://b/t", Operation::Read)
            .await
            .unwrap();
        assert!(matches!(vended.credential, VendedCredential::Aws(_)));
        let vended = unity
            .path_credential("abfss://c@a.dfs.core.windows.net/t", Operation::CreateTable)
            .await
            .unwrap();
        assert!(
            matches!(vended.credential, VendedCredential::AzureSas(_)) && vended.expires.is_none()
        );
        for kind in ["azure_aad", "gcp_oauth_token", "newer"] {
            let error = unity
                .table_credential(&table, Operation::Read)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), Kind::Unsupported);
            let text = format!("{error} {error:?}");
            assert!(text.contains(kind) && !text.contains("planted"), "{text}");
        }
        let seen = server.seen();
        assert_eq!(
            seen[0].line(),
            format!("POST {path}/unity-catalog/temporary-table-credentials")
        );
        assert_eq!(
            seen[0].json(),
            json!({ "table_id": "t-1", "operation": "READ_WRITE" })
        );
        assert_eq!(
            seen[1].line(),
            format!("POST {path}/unity-catalog/temporary-path-credentials")
        );
        assert_eq!(
            seen[1].json(),
            json!({ "url": "s3://b/t", "operation": "PATH_READ" })
        );
        assert_eq!(seen[2].json()["operation"], "PATH_CREATE_TABLE");
    }
}

#[tokio::test]
async fn a_refused_credential_names_the_grants_it_takes() {
    let server = Server::start(|_| {
        refusal(
            403,
            "PERMISSION_DENIED",
            "User does not have EXTERNAL USE SCHEMA on Schema 'c.s'.",
        )
    })
    .await;
    let unity = Unity::new(&server.workspace());
    let error = unity
        .table_credential(&TableId::new("t"), Operation::ReadWrite)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::PermissionDenied);
    let remedy = &error.api().unwrap().remedy;
    assert!(
        remedy.contains("external data access on the metastore")
            && remedy.contains("EXTERNAL USE SCHEMA"),
        "{remedy}"
    );
    let error = unity
        .may_vend_path("s3://b", Operation::Read)
        .await
        .unwrap_err();
    assert!(
        error
            .api()
            .unwrap()
            .remedy
            .contains("EXTERNAL USE LOCATION")
    );
    assert_eq!(server.seen().pop().unwrap().json()["dry_run"], true);
    let error = unity
        .table_credential(&TableId::new("t"), Operation::CreateTable)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidParameter);
}
