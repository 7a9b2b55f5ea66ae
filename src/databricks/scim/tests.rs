use super::*;
use crate::databricks::scripted::Server;
use serde_json::{Value, json};

fn principal(id: &str, application: &str, name: &str) -> Value {
    json!({ "id": id, "applicationId": application, "displayName": name, "active": true, "entitlements": [{ "value": "databricks-sql-access" }] })
}

#[tokio::test]
async fn me_is_a_user_or_a_service_principal() {
    let application = "0a1b2c3d-0000-1111-2222-333344445555";
    let server = Server::start(move |seen| {
        assert_eq!(seen.line(), "GET /api/2.0/preview/scim/v2/Me");
        match seen.number {
            0 => json!({
                "id": "4711", "userName": application, "displayName": "loader", "active": true,
                "groups": [{ "display": "admins", "type": "direct", "value": "1", "$ref": "Groups/1" }, { "value": "2" }],
                "entitlements": [{ "value": "workspace-access" }],
            }),
            _ => json!({ "id": "5", "userName": "a@b.c", "groups": [{ "display": "administrators", "value": "3" }], "emails": [] }),
        }
        .into()
    })
    .await;
    let scim = Scim::new(&server.workspace());
    let me = scim.me().await.unwrap();
    assert!(
        me.is_admin()
            && me.has_entitlement("workspace-access")
            && !me.has_entitlement("databricks-sql-access")
    );
    assert_eq!(me.application(), Some(ApplicationId::new(application)));
    assert_eq!(me.principal(), application);
    assert_eq!(
        me.to_string(),
        format!("service principal loader ({application})")
    );
    assert_eq!(me.id, ScimId::new("4711"));
    let me = scim.me().await.unwrap();
    assert!(!me.is_admin());
    assert_eq!(me.application(), None);
    assert_eq!(me.to_string(), "user a@b.c");
}

#[tokio::test]
async fn a_service_principal_is_found_over_pages_and_its_scim_id_told() {
    // A service that ignores the filter and has pages of two.
    let server = Server::start(|seen| {
        let all = [
            principal("1", "app-a", "loader"),
            principal("2", "app-b", "other"),
            principal("3", "app-c", "twice"),
            principal("4", "app-d", "twice"),
            principal("5", "app-e", "a \"quoted\" one"),
        ];
        let start: usize = seen.path.split("startIndex=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let page: Vec<_> = all.iter().skip(start - 1).take(2).cloned().collect();
        json!({ "totalResults": 5, "startIndex": start, "itemsPerPage": page.len(), "Resources": page }).into()
    })
    .await;
    let scim = Scim::new(&server.workspace());
    let found = scim
        .by_application_id(&ApplicationId::new("app-b"))
        .await
        .unwrap();
    assert_eq!((found.id.as_str(), server.seen().len()), ("2", 3));
    let first = &server.seen()[0].path;
    let decoded: Vec<(String, String)> =
        url::form_urlencoded::parse(first.split_once('?').unwrap().1.as_bytes())
            .into_owned()
            .collect();
    assert_eq!(
        decoded[0],
        ("filter".into(), "applicationId eq \"app-b\"".into())
    );
    assert_eq!(
        scim.by_display_name("loader")
            .await
            .unwrap()
            .application_id
            .as_str(),
        "app-a"
    );
    assert_eq!(
        scim.by_display_name("a \"quoted\" one")
            .await
            .unwrap()
            .id
            .as_str(),
        "5"
    );
    assert!(
        server
            .seen()
            .pop()
            .unwrap()
            .path
            .contains("%5C%22quoted%5C%22")
    );
    assert_eq!(
        scim.by_display_name("none").await.unwrap_err().kind(),
        Kind::NotFound
    );
    let error = scim.by_display_name("twice").await.unwrap_err();
    assert!(
        error.kind() == Kind::InvalidParameter && error.to_string().contains("app-c, app-d"),
        "{error}"
    );
}
