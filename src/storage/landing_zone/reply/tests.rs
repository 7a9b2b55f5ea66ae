use super::*;

/// Adobe's sample, with the file's white space.
const SAMPLE: &str = r#"{
    "containerName": "dlz-databricks-container",
    "SASToken": "sv=2020-10-02&si=dlz-b1f4060b-6bbd-4043-9bd9-a5f5be72de30&sr=c&sp=racwdlm&sig=zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc%3D",
    "storageAccountName": "sndbxdtlndga8m7ajbvgc64k",
    "SASUri": "https://sndbxdtlndga8m7ajbvgc64k.blob.core.windows.net/dlz-databricks-container?sv=2020-10-02&si=dlz-b1f4060b-6bbd-4043-9bd9-a5f5be72de30&sr=c&sp=racwdlm&sig=zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc%3D",
    "expiryDate": "2025-07-05"
}"#;

fn changed(
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> Result<Reply, Malformed> {
    let mut value: serde_json::Value = serde_json::from_str(SAMPLE).unwrap();
    change(value.as_object_mut().unwrap());
    Reply::parse(value.to_string().as_bytes())
}

#[test]
fn adobes_sample_is_read() {
    let reply = Reply::parse(SAMPLE.as_bytes()).unwrap();
    assert_eq!(reply.account, "sndbxdtlndga8m7ajbvgc64k");
    assert_eq!(reply.container, "dlz-databricks-container");
    assert_eq!(
        reply.signature.get("sig"),
        Some("zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc=")
    );
    assert_eq!(reply.ends, expiry::parse("2025-07-05"));
    assert_eq!(reply.contradiction, None);
}

#[test]
fn what_one_field_lacks_another_has_and_more_does_no_harm() {
    for gone in ["containerName", "SASToken", "storageAccountName", "SASUri"] {
        let reply = changed(|map| {
            map.remove(gone);
            map.insert("dlzProvider".into(), "Azure".into());
        });
        let reply = reply.unwrap();
        assert_eq!(reply.account, "sndbxdtlndga8m7ajbvgc64k", "{gone}");
        assert_eq!(reply.container, "dlz-databricks-container", "{gone}");
        assert!(
            reply
                .signature
                .is(&Reply::parse(SAMPLE.as_bytes()).unwrap().signature),
            "{gone}"
        );
    }
    assert_eq!(
        changed(|map| drop(map.insert("expiryDate".into(), serde_json::Value::Null)))
            .unwrap()
            .ends,
        None
    );
}

#[test]
fn the_earlier_end_counts() {
    for (se, date, ends) in [
        ("2025-07-04T12:00:00Z", "2025-07-05", "2025-07-04T12:00:00Z"),
        ("2025-07-09T12:00:00Z", "2025-07-05", "2025-07-05"),
        ("2025-07-04T12:00:00Z", "", "2025-07-04T12:00:00Z"),
    ] {
        let reply = changed(|map| {
            let token = map["SASToken"].as_str().unwrap().to_owned();
            map.insert("SASToken".into(), format!("se={se}&{token}").into());
            map.insert("expiryDate".into(), date.into());
        });
        assert_eq!(reply.unwrap().ends, expiry::parse(ends), "{se} {date}");
    }
}

#[test]
fn an_uri_that_says_otherwise_is_told_of() {
    for (from, to, what) in [
        ("sndbxdtlndga8m7ajbvgc64k", "other", "account"),
        ("/dlz-databricks-container", "/other", "container"),
        ("zVQ", "zVR", "signature"),
        ("sp=racwdlm", "sp=rl", "signature"),
    ] {
        let reply = changed(|map| {
            let uri = map["SASUri"].as_str().unwrap().replace(from, to);
            map.insert("SASUri".into(), uri.into());
        });
        let reply = reply.unwrap();
        assert_eq!(reply.contradiction, Some(what));
        assert_eq!(reply.account, "sndbxdtlndga8m7ajbvgc64k");
    }
}

#[test]
fn what_is_no_reply_is_refused_without_being_quoted() {
    for body in [
        "",
        "planted",
        "[]",
        "null",
        r#"{"SASToken":["planted"]}"#,
        "{}",
    ] {
        let error = Reply::parse(body.as_bytes()).unwrap_err().to_string();
        assert!(!error.contains("planted"), "{error}");
    }
    for (field, value, told) in [
        ("SASToken", "planted", "in SASToken"),
        ("SASUri", "planted", "in SASUri"),
        ("expiryDate", "tomorrow", "expiryDate=`tomorrow`"),
    ] {
        let error = changed(|map| drop(map.insert(field.into(), value.into())))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(told) && !error.contains("planted"),
            "{error}"
        );
    }
    let error = changed(|map| {
        map.remove("SASUri");
        map.remove("storageAccountName");
    });
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("`storageAccountName`")
    );
}
