//! What a person can do about a refusal.

use super::Kind;

pub(super) fn of(
    kind: Kind,
    status: u16,
    code: Option<&str>,
    message: &str,
    request: &str,
    location: Option<&str>,
) -> String {
    if let Some(location) = location.filter(|_| (300..400).contains(&status)) {
        if location.contains("private-link-validation-error") {
            return "the workspace takes requests by its private endpoint only; run this where that endpoint is reached, or allow public access".into();
        }
        let host = url::Url::parse(location)
            .ok()
            .and_then(|url| url.host_str().map(str::to_owned));
        let host = host.unwrap_or_else(|| "another page of the same host".into());
        return format!(
            "it redirects to {host}, which is not followed with a token; check that `host` is the workspace's own address"
        );
    }
    let text = match kind {
        Kind::Unauthenticated if message.contains("expired") || message.contains("Expired") => {
            "the token has ended; make a new one and put it where `auth` of the connection says"
        }
        Kind::Unauthenticated => {
            "check the credential that `auth` of the connection names: it may be wrong, revoked, expired, or of another workspace or account"
        }
        Kind::PermissionDenied if message.contains("IP") && message.contains("access list") => {
            "add this machine's address to the workspace's IP access list"
        }
        Kind::PermissionDenied
            if request.contains("/sql/warehouses") || request.contains("/sql/statements") =>
        {
            "grant the identity CAN USE on the SQL warehouse (CAN MANAGE to create or change one) and the entitlement databricks-sql-access"
        }
        Kind::PermissionDenied
            if request.contains("/clusters/") || request.contains("/api/1.2/") =>
        {
            "grant the identity CAN ATTACH TO on the cluster (CAN RESTART to start or stop it) and the entitlement allow-cluster-create to make one"
        }
        Kind::PermissionDenied if request.contains("temporary-table-credentials") => {
            "grant the identity EXTERNAL USE SCHEMA on the schema, SELECT and MODIFY on the table, and enable external data access of the metastore"
        }
        Kind::PermissionDenied if request.contains("temporary-path-credentials") => {
            "grant the identity EXTERNAL USE LOCATION on the external location, and enable external data access of the metastore"
        }
        Kind::PermissionDenied if request.contains("/unity-catalog/") => {
            "grant the identity the privilege that the message names, by GRANT … TO `APPLICATION ID` or in the catalog explorer"
        }
        Kind::PermissionDenied if request.contains("/scim/") || request.contains("/accounts/") => {
            "this takes an administrator of the workspace or account"
        }
        Kind::PermissionDenied => "grant the identity the right that the message names",
        Kind::NotFound if code == Some("ENDPOINT_NOT_FOUND") => {
            "this address has no such API; check the path, and that `host` is a workspace, not the account console"
        }
        Kind::NotFound => {
            "check the name or id; what the identity may not see is told as missing too"
        }
        Kind::AlreadyExists => "",
        Kind::Quota => "delete what is no longer needed, or have the limit raised by Databricks",
        Kind::RateLimited => {
            "too many requests are made; try later, or raise `retry_budget_seconds` of the connection"
        }
        Kind::Unavailable | Kind::Timeout => {
            "try later; status.databricks.com tells of wider trouble"
        }
        Kind::Unsupported => "the workspace does not offer this, or it is not enabled",
        Kind::Unexpected => "check that `host` is a workspace",
        _ => "",
    };
    text.to_owned()
}
