use super::*;
use crate::storage::kind_of;

fn answers() -> Answers {
    Answers {
        store: "lake".into(),
        container: "c".into(),
        identity: "me".into(),
        by_role: false,
    }
}

fn answer(status: &str, body: &str) -> Error {
    let source = format!(
        "Error performing PUT REDACTED in 2ms - Server returned non-2xx status code: {status}: {body}"
    );
    match &status[..3] {
        "401" => Error::Unauthenticated {
            path: "t/x".into(),
            source: source.into(),
        },
        "403" => Error::PermissionDenied {
            path: "t/x".into(),
            source: source.into(),
        },
        "404" => Error::NotFound {
            path: "t/x".into(),
            source: source.into(),
        },
        "409" => Error::AlreadyExists {
            path: "t/x".into(),
            source: source.into(),
        },
        _ => Error::Generic {
            store: "MicrosoftAzure",
            source: source.into(),
        },
    }
}

fn xml(code: &str, message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}\nRequestId:1\nTime:2</Message></Error>"
    )
}

#[test]
fn only_a_credential_that_ended_is_renewed() {
    for (status, code, verdict) in [
        ("403 Forbidden", "AuthenticationFailed", Verdict::Ended),
        (
            "401 Unauthorized",
            "InvalidAuthenticationInfo",
            Verdict::Ended,
        ),
        (
            "403 Forbidden",
            "AuthorizationPermissionMismatch",
            Verdict::Other,
        ),
        ("403 Forbidden", "AuthorizationFailure", Verdict::Other),
        (
            "403 Forbidden",
            "KeyBasedAuthenticationNotPermitted",
            Verdict::Other,
        ),
        ("409 Conflict", "BlobAlreadyExists", Verdict::Other),
        ("404 Not Found", "BlobNotFound", Verdict::Other),
        ("503 Service Unavailable", "ServerBusy", Verdict::Other),
    ] {
        assert_eq!(
            answers().verdict(&answer(status, &xml(code, ""))),
            verdict,
            "{code}"
        );
    }
    assert_eq!(
        answers().verdict(&answer("403 Forbidden", "")),
        Verdict::Suspicious
    );
    let of_batch = Error::Generic {
        store: "MicrosoftAzure",
        source: "Bulk delete request failed for key t/a: Server failed to authenticate the request (code: 403)".into(),
    };
    assert_eq!(answers().verdict(&of_batch), Verdict::Ended);
}

#[test]
fn a_missing_right_is_named_as_a_letter_or_a_role() {
    let body = xml(
        "AuthorizationPermissionMismatch",
        "This request is not authorized to perform this operation using this permission.",
    );
    for (operation, letters) in [
        (Operation::Put, "sp w"),
        (Operation::Create, "sp w"),
        (Operation::Multipart, "sp w"),
        (Operation::Get, "sp r"),
        (Operation::Head, "sp r"),
        (Operation::List, "sp l"),
        (Operation::Delete, "sp dw"),
    ] {
        let error = answers().explain(
            operation,
            Some(&Path::from("t/x")),
            answer("403 Forbidden", &body),
        );
        assert_eq!(kind_of(&error), Kind::Unauthorized);
        let Some(crate::storage::Error::Answer { right, message, .. }) = ours(&error) else {
            panic!("{error}")
        };
        assert_eq!(right.as_deref(), Some(letters));
        assert!(
            message.contains("store=`lake` container=`c` blob=`t/x` said=`This request"),
            "{message}"
        );
        assert!(!message.contains("RequestId"), "{message}");
    }
    let of_role = Answers {
        by_role: true,
        ..answers()
    };
    let error = of_role.explain(Operation::Put, None, answer("403 Forbidden", &body));
    let Some(crate::storage::Error::Answer { right, message, .. }) = ours(&error) else {
        panic!("{error}")
    };
    assert_eq!(right.as_deref(), Some("Storage Blob Data Contributor"));
    assert!(!message.contains("`sp`"), "{message}");
}

#[test]
fn each_refusal_has_its_remedy() {
    for (status, code, message, kind, told) in [
        (
            "403 Forbidden",
            "AuthenticationFailed",
            "Server failed",
            Kind::Unauthorized,
            "renew it",
        ),
        (
            "403 Forbidden",
            "AuthenticationFailed",
            "Request date header too old",
            Kind::Unavailable,
            "NTP",
        ),
        (
            "403 Forbidden",
            "AuthorizationFailure",
            "",
            Kind::Unauthorized,
            "network rules",
        ),
        (
            "403 Forbidden",
            "AuthorizationResourceTypeMismatch",
            "",
            Kind::Unauthorized,
            "srt=`co`",
        ),
        (
            "403 Forbidden",
            "AuthorizationServiceMismatch",
            "",
            Kind::Unauthorized,
            "ss=`b`",
        ),
        (
            "403 Forbidden",
            "AuthorizationProtocolMismatch",
            "",
            Kind::Unauthorized,
            "https",
        ),
        (
            "403 Forbidden",
            "AuthorizationSourceIPMismatch",
            "",
            Kind::Unauthorized,
            "sip",
        ),
        (
            "403 Forbidden",
            "KeyBasedAuthenticationNotPermitted",
            "",
            Kind::Unauthorized,
            "managed_identity",
        ),
        (
            "403 Forbidden",
            "Unheard",
            "",
            Kind::Unauthorized,
            "refuses",
        ),
        (
            "404 Not Found",
            "ContainerNotFound",
            "",
            Kind::Unauthorized,
            "no such container",
        ),
    ] {
        let error = answers().explain(Operation::Put, None, answer(status, &xml(code, message)));
        assert_eq!(kind_of(&error), kind, "{code}");
        assert!(error.to_string().contains(told), "{code}: {error}");
    }
}

#[test]
fn what_callers_look_for_stays_what_it_is() {
    let missing = answers().explain(
        Operation::Get,
        None,
        answer("404 Not Found", &xml("BlobNotFound", "")),
    );
    assert!(matches!(missing, Error::NotFound { .. }) && ours(&missing).is_none());
    let raced = answers().explain(
        Operation::Create,
        None,
        answer("409 Conflict", &xml("BlobAlreadyExists", "")),
    );
    assert!(matches!(raced, Error::AlreadyExists { .. }) && ours(&raced).is_none());
}

#[test]
fn the_signature_that_azure_repeats_is_struck_out() {
    let mac = "zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc=";
    let message = format!(
        "The MAC signature found in the HTTP request '{mac}' is not the same as any computed signature, https://h/c?sig={mac}"
    );
    let error = answers().explain(
        Operation::Put,
        None,
        answer("403 Forbidden", &xml("AuthenticationFailed", &message)),
    );
    let Some(crate::storage::Error::Answer { message, .. }) = ours(&error) else {
        panic!("{error}")
    };
    assert!(
        message.contains("[redacted]") && !message.contains("zVQ"),
        "{message}"
    );
}
