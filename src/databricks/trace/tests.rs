//! A planted secret shows nowhere.

use super::*;
use crate::databricks::{Call, ExternalUrl, FilePart, RawData, RawRequest, testing};
use crate::secret::Secret;
use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json as j;
use std::{collections::BTreeMap, io, sync::Arc};

const P: &str = "planted7f3a9c";

#[test]
fn text_loses_what_looks_like_a_secret() {
    for (given, kept) in [
        (
            format!("token dapi0123{P} refused"),
            "token [redacted] refused",
        ),
        (
            format!("dose0123{P}, dkea0123{P}"),
            "[redacted], [redacted]",
        ),
        (format!("eyJhbGciOiJSUzI1NiJ9.eyJ{P}.{P}-x_y"), "[redacted]"),
        (
            format!("Authorization: Bearer {P}"),
            "Authorization: Bearer [redacted]",
        ),
        (format!("basic {P}=="), "basic [redacted]"),
        (
            format!("https://a.blob.core.windows.net/c?sp=r&sig={P}%3D&se=1"),
            "https://a.blob.core.windows.net/c?sp=r&sig=[redacted]&se=1",
        ),
        (
            format!("https://b.s3/x?X-Amz-Credential={P}%2F1&X-Amz-Date=2&X-Amz-Signature={P}"),
            "https://b.s3/x?X-Amz-Credential=[redacted]&X-Amz-Date=2&X-Amz-Signature=[redacted]",
        ),
        (format!("https://u:{P}@h/x"), "https://[redacted]@h/x"),
        (
            format!("jdbc:spark://h:443/default;AuthMech=3;UID=token;PWD={P};x=1"),
            "jdbc:spark://h:443/default;AuthMech=3;UID=token;PWD=[redacted];x=1",
        ),
        (
            format!(
                "COPY INTO t FROM 's3://b' WITH (CREDENTIAL (AWS_ACCESS_KEY='{P}', AWS_SECRET_KEY = 'a)b\\'{P}', AWS_SESSION_TOKEN=\"{P}\")) FILEFORMAT = PARQUET"
            ),
            "COPY INTO t FROM 's3://b' WITH (CREDENTIAL ([redacted])) FILEFORMAT = PARQUET",
        ),
        (
            format!("credential(\n azure_sas_token = 'sv=1&sig={P}'\n)"),
            "credential([redacted])",
        ),
        (
            format!(
                "CREATE CONNECTION c TYPE mysql OPTIONS (host 'h', password '{P}''{P}', \"password\" = \"{P}\")"
            ),
            "CREATE CONNECTION c TYPE mysql OPTIONS (host 'h', password '[redacted]', \"password\" = \"[redacted]\")",
        ),
        (
            format!("ENCRYPTION (TYPE='AWS_SSE_C', MASTER_KEY='{P}'), master_key='{P}"),
            "ENCRYPTION ([redacted]), master_key='[redacted]'",
        ),
        (
            r#"{"field": "password", "more": ["password" , "x"]}"#.to_owned(),
            r#"{"field": "password", "more": ["password" , "x"]}"#,
        ),
        (
            format!("AZURE_SAS_TOKEN='sp=r&x={P}"),
            "AZURE_SAS_TOKEN=[redacted]",
        ),
        (
            format!(r#"got {{"client_secret": "a\"{P}", "x": 1}}"#),
            r#"got {"client_secret": "[redacted]", "x": 1}"#,
        ),
        (
            "SELECT sig, token FROM t WHERE a = 1".into(),
            "SELECT sig, token FROM t WHERE a = 1",
        ),
        ("page_token=abc&next=1".into(), "page_token=abc&next=1"),
    ] {
        assert_eq!(text(&given), kept);
    }
}

#[test]
fn names_tell_secrets_apart() {
    for secret in [
        "token",
        "access_token",
        "token_value",
        "client_secret",
        "clientSecret",
        "PWD",
        "Authorization",
        "X-Databricks-Azure-SP-Management-Token",
        "Set-Cookie",
        "sas_token",
        "SASToken",
        "sig",
        "aws_secret_access_key",
        "s3.secret-access-key",
        "azure.sas-token",
        "string_value",
        "fs.azure.sas.c.a.blob.core.windows.net",
        "fs.azure.account.key.a.dfs.core.windows.net",
        "http_headers",
        "external_link",
        "external_links",
        "subject_token",
        "secret",
    ] {
        assert!(is_secret(secret), "{secret}");
    }
    for plain in [
        "token_id",
        "page_token",
        "next_page_token",
        "token_type",
        "client_id",
        "storage_credential_name",
        "token_url",
        "statement",
        "warehouse_id",
        "design",
        "cassandra",
        "x-request-id",
    ] {
        assert!(!is_secret(plain), "{plain}");
    }
}

#[test]
fn json_loses_values_by_their_names() {
    let given = j!({
        "statement": format!("COPY INTO t WITH (CREDENTIAL (AWS_SECRET_KEY='{P}'))"),
        "parameters": [{ "name": "password", "value": P }, { "name": "n", "value": "kept" }],
        "spark_conf": { "fs.azure.sas.c.a.blob.core.windows.net": P, "spark.x": "kept" },
        "token_info": { "token_id": "kept", "comment": "kept" },
        "token_value": P,
        "aws_temp_credentials": { "access_key_id": "AKIA", "secret_access_key": P, "session_token": P },
        "azure_aad": { "aad_token": P },
        "external_links": [{ "external_link": P, "http_headers": { "x": P }, "chunk_index": 0 }],
        "scope": "s", "key": "k", "string_value": P,
        "tokens": [P, 5],
    });
    let shown = json(&given);
    assert!(!shown.to_string().contains(P), "{shown}");
    assert_eq!(shown["parameters"][1]["value"], "kept");
    assert_eq!(shown["spark_conf"]["spark.x"], "kept");
    assert_eq!(shown["scope"], "s");
}

/// What a subscriber is told, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_call_of_any_sort_logs_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let fake = testing::Fake::new(|request, number| match request.url.path() {
        "/oidc/v1/token" => testing::json(200, j!({ "access_token": P, "expires_in": 60 })),
        "/api/2.0/refused" if number % 2 == 0 => testing::json(
            401,
            j!({ "error_code": "UNAUTHENTICATED", "message": format!("no dapi0123{P}") }),
        ),
        "/link" => testing::text(500, P),
        _ => testing::Reply::Answer(
            200,
            vec![
                ("set-cookie", P.into()),
                ("location", format!("https://x/?token={P}")),
            ],
            j!({ "token_value": P, "message": format!("https://x/?sig={P}") })
                .to_string()
                .into(),
        ),
    });
    let mut errors = String::new();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            for mut options in [testing::pat(), testing::m2m()] {
                let auth = match options.auth.kind() {
                    "pat" => j!({ "type": "pat", "token": format!("dapi{P}") }),
                    _ => j!({ "type": "oauth_m2m", "client_id": "a", "client_secret": format!("dose{P}") }),
                };
                options.auth = serde_json::from_value(auth).unwrap();
                options.host = Some(format!("jdbc:spark://h.cloud.databricks.com;PWD={P}"));
                let workspace = testing::workspace(&options, &fake);
                let call = Call::post("/api/2.0/sql/statements")
                    .query("sig", P)
                    .json(j!({ "statement": format!("COPY INTO t WITH (CREDENTIAL (AZURE_SAS_TOKEN='{P}'))"), "password": P }));
                for path in ["/api/2.0/sql/statements", "/api/2.0/refused"] {
                    let call = Call { path: path.into(), ..call.clone() };
                    if let Err(error) = workspace.send::<serde_json::Value>(call).await {
                        errors += &format!("{error} {error:?}");
                    }
                }
                let link = ExternalUrl::new(&format!("https://b.example/link?X-Amz-Signature={P}"));
                let headers = BTreeMap::from([("x-amz-key".to_owned(), Secret::new(P))]);
                let error = workspace.fetch_external(&link, &headers).await.unwrap_err();
                errors += &format!("{error} {error:?}");
                let raw = RawRequest {
                    data: Some(RawData::Text(format!("grant_type=x&client_secret={P}"))),
                    query: vec![("token".into(), P.into())],
                    headers: vec![("x-api-key".into(), P.into())],
                    debug: true,
                    ..RawRequest::new("POST", "/2.0/x")
                };
                errors += &format!("{raw:?}");
                errors += &format!("{:?}", workspace.raw(raw).await.unwrap());
                let form = RawRequest {
                    form: vec![("password".into(), P.into())],
                    files: vec![FilePart { key: "f".into(), data: P.into(), file_name: None }],
                    debug: true,
                    ..RawRequest::new("POST", "/2.0/x")
                };
                workspace.raw(form).await.unwrap();
            }
        });
    });
    let told = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(
        told.contains(
            "> POST https://h.cloud.databricks.com/api/2.0/sql/statements?sig=[redacted]"
        ),
        "{told}"
    );
    assert!(
        told.contains("JDBC URL")
            && told.contains("CREDENTIAL ([redacted])")
            && told.contains("INFO alluvium::databricks"),
        "{told}"
    );
    for (what, text) in [("log", &told), ("errors", &errors)] {
        let at = text
            .find(P)
            .map(|at| text[at.saturating_sub(200)..at + 20].to_owned());
        assert_eq!(at, None, "{what}");
    }
}

proptest! {
    #[test]
    fn any_text_is_taken(words in "\\PC{0,200}") {
        let _ = text(&words);
    }

    #[test]
    fn a_token_in_any_company_is_struck_out(before in "[ -~]{0,30}", after in "[ ,.;\"')]{1}[ -~]{0,30}") {
        let shown = text(&format!("{before} dapi0123456789{P}{after}"));
        prop_assert!(!shown.contains(P), "{}", shown);
    }

    #[test]
    fn credentials_of_sql_are_struck_out_whatever_stands_in_them(value in "[ -&(-\\[\\]-~]{0,30}") {
        let shown = text(&format!("WITH (CREDENTIAL (AWS_SECRET_KEY = '{value}{P}', X = '{P}')) FILEFORMAT = CSV"));
        prop_assert!(!shown.contains(P) && shown.ends_with(") FILEFORMAT = CSV"), "{}", shown);
    }
}
