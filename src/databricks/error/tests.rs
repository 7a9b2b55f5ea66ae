//! Every form a refusal comes in.

use super::*;
use crate::databricks::http::Answer;
use reqwest::header::HeaderMap;

fn told(status: u16, body: &str) -> ApiError {
    told_at(status, body, "GET /api/2.0/x")
}

fn told_at(status: u16, body: &str, request: &str) -> ApiError {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", "req-1".parse().unwrap());
    let answer = Answer {
        status,
        headers,
        body: body.to_owned().into(),
    };
    refusal(&answer, request)
}

#[test]
fn every_form_is_read() {
    for (status, body, kind, code, message) in [
        (
            403,
            r#"{"error_code":"PERMISSION_DENIED","message":"no right"}"#,
            Kind::PermissionDenied,
            Some("PERMISSION_DENIED"),
            "no right",
        ),
        (
            404,
            r#"{"error_code":404,"message":"gone"}"#,
            Kind::NotFound,
            Some("404"),
            "gone",
        ),
        (
            500,
            r#"{"error":"ContextNotFound: x"}"#,
            Kind::Unavailable,
            None,
            "ContextNotFound: x",
        ),
        (
            409,
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"detail":"taken","status":"409","scimType":"uniqueness"}"#,
            Kind::AlreadyExists,
            Some("uniqueness"),
            "taken",
        ),
        (
            404,
            r#"{"detail":"null","status":404}"#,
            Kind::NotFound,
            Some("SCIM_404"),
            "SCIM does not say why",
        ),
        (
            400,
            "BAD_REQUEST: not so",
            Kind::InvalidParameter,
            Some("BAD_REQUEST"),
            "not so",
        ),
        (
            400,
            r#""MALFORMED_REQUEST: quoted""#,
            Kind::InvalidParameter,
            Some("MALFORMED_REQUEST"),
            "quoted",
        ),
        (
            502,
            "<html><head><title>t</title></head><body><pre> gateway </pre></body>",
            Kind::Unavailable,
            None,
            "gateway",
        ),
        (
            503,
            "<html><title>busy</title></html>",
            Kind::Unavailable,
            None,
            "busy",
        ),
        (
            401,
            "",
            Kind::Unauthenticated,
            None,
            "the service says no more than Unauthorized",
        ),
        (
            599,
            "<html></html>",
            Kind::Unavailable,
            None,
            "the service does not say why",
        ),
        (
            404,
            r#"{"error":{"message":"no table","type":"NoSuchTableException","code":404}}"#,
            Kind::NotFound,
            Some("NoSuchTableException"),
            "no table",
        ),
        (
            400,
            r#"{"error":"invalid_request","error_description":"why"}"#,
            Kind::InvalidParameter,
            Some("invalid_request"),
            "why",
        ),
        (400, "[1]", Kind::InvalidParameter, None, "[1]"),
    ] {
        let error = told(status, body);
        assert_eq!(
            (
                error.kind,
                error.error_code.as_deref(),
                error.message.as_str()
            ),
            (kind, code, message),
            "{body}"
        );
        assert_eq!(
            (error.status, error.request_id.as_deref()),
            (status, Some("req-1"))
        );
    }
}

#[test]
fn the_code_is_judged_before_the_status() {
    for (status, code, message, kind) in [
        (400, "RESOURCE_DOES_NOT_EXIST", "", Kind::NotFound),
        (400, "SCHEMA_DOES_NOT_EXIST", "", Kind::NotFound),
        (404, "TABLE_OR_VIEW_NOT_FOUND", "", Kind::NotFound),
        (
            400,
            "INVALID_PARAMETER_VALUE",
            "Cluster 01-x does not exist",
            Kind::NotFound,
        ),
        (
            400,
            "INVALID_PARAMETER_VALUE",
            "bad name",
            Kind::InvalidParameter,
        ),
        (
            403,
            "INVALID_PARAMETER_VALUE",
            "Cluster 01-x does not exist",
            Kind::InvalidParameter,
        ),
        (400, "RESOURCE_ALREADY_EXISTS", "", Kind::AlreadyExists),
        (400, "CATALOG_ALREADY_EXISTS", "", Kind::AlreadyExists),
        (400, "QUOTA_EXCEEDED", "", Kind::Quota),
        (429, "REQUEST_LIMIT_EXCEEDED", "", Kind::RateLimited),
        (400, "REQUEST_LIMIT_EXCEEDED", "", Kind::Quota),
        (429, "RESOURCE_EXHAUSTED", "", Kind::RateLimited),
        (409, "ABORTED", "", Kind::Unavailable),
        (400, "INVALID_STATE", "", Kind::InvalidParameter),
        (400, "FEATURE_DISABLED", "", Kind::Unsupported),
        (400, "SOMETHING_NEW", "", Kind::InvalidParameter),
        (403, "SOMETHING_NEW", "", Kind::PermissionDenied),
        (
            403,
            "403",
            "Invalid access token. [ReqId: 1]",
            Kind::Unauthenticated,
        ),
        (504, "DEADLINE_EXCEEDED", "", Kind::Timeout),
        (200, "403", "", Kind::PermissionDenied),
    ] {
        let body = serde_json::json!({ "error_code": code, "message": message }).to_string();
        assert_eq!(told(status, &body).kind, kind, "{status} {code} {message}");
    }
}

#[test]
fn words_are_with_their_remedy_and_without_secrets() {
    let body = r#"{"error_code":"PERMISSION_DENIED","message":"token dapi0123456789abcdef has no CAN USE",
        "details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R","domain":"d","metadata":{"a":"b"}},
                   {"@type":"type.googleapis.com/google.rpc.RequestInfo","request_id":"req-2"}]}"#;
    let error = told_at(403, body, "POST /api/2.0/sql/statements");
    assert_eq!(error.details[0].reason, "R");
    let shown = Error::Api(Box::new(error)).to_string();
    assert_eq!(
        shown,
        "token [redacted] has no CAN USE; grant the identity CAN USE on the SQL warehouse (CAN MANAGE to create or change one) and the \
         entitlement databricks-sql-access, error_code=`PERMISSION_DENIED` status=`403` request=`POST /api/2.0/sql/statements` request_id=`req-1`"
    );
    let long = told(500, &"x".repeat(1 << 20));
    assert!(long.message.len() < 5_000);
}

#[test]
fn a_redirect_is_no_answer() {
    let mut headers = HeaderMap::new();
    headers.insert(
        "location",
        "https://login.example/?error=private-link-validation-error:1"
            .parse()
            .unwrap(),
    );
    let answer = Answer {
        status: 302,
        headers,
        body: Default::default(),
    };
    let error = refusal(&answer, "GET /x");
    assert_eq!(error.kind, Kind::PermissionDenied);
    assert!(error.remedy.contains("private endpoint"), "{error}");
    let mut other = answer.clone();
    other.headers.insert(
        "location",
        "https://other.example/login?token=planted".parse().unwrap(),
    );
    let error = refusal(&other, "GET /x");
    assert_eq!(error.kind, Kind::Unexpected);
    assert!(
        error.remedy.contains("other.example") && !error.to_string().contains("planted"),
        "{error}"
    );
}

/// As for an identity whose token is good, refused by a policy.
#[test]
fn a_denial_that_names_its_reason_is_no_matter_of_the_token() {
    let body = |reason: &str| {
        format!(
            r#"{{"error_code":"UNAUTHENTICATED","message":"no","details":[{{"@type":"x/google.rpc.ErrorInfo","reason":"{reason}"}}]}}"#
        )
    };
    for (reason, kind) in [
        ("IP_ACCESS_DENIED", Kind::PermissionDenied),
        ("TOKEN_EXPIRED", Kind::Unauthenticated),
    ] {
        assert_eq!(told(401, &body(reason)).kind, kind, "{reason}");
    }
}

#[test]
fn a_failed_statement_names_what_it_was_told_alone() {
    let failure = |error_code: Option<&str>, sql_state: Option<&str>| {
        let failure = StatementFailure {
            statement: StatementId::new("s-1"),
            error_code: error_code.map(str::to_owned),
            sql_state: sql_state.map(str::to_owned),
            message: "no such column".into(),
        };
        failure.to_string()
    };
    assert_eq!(
        failure(Some("BAD_REQUEST"), Some("42703")),
        "the statement failed, no such column, error_code=`BAD_REQUEST` sql_state=`42703` statement=`s-1`"
    );
    assert_eq!(
        failure(None, Some("")),
        "the statement failed, no such column, statement=`s-1`"
    );
}
