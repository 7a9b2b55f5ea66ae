//! An STS and an S3 in one process, as far as a store of ours uses them.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, Method, Request, Response, StatusCode},
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use url::form_urlencoded;

#[derive(Clone, Debug)]
pub(super) struct StsCall {
    pub(super) form: HashMap<String, String>,
    pub(super) authorization: String,
    pub(super) token: Option<String>,
}

pub(super) struct Servers {
    pub(super) url: String,
    state: Arc<Mutex<Lake>>,
}

#[derive(Default)]
struct Lake {
    /// How many requests a session lives.
    life: u32,
    calls: Vec<StsCall>,
    /// By token, what is left of it and whose key it belongs to.
    sessions: HashMap<String, (u32, String)>,
    /// How many credentials containers and machines were given.
    handed_out: usize,
    sts_refusal: Option<String>,
    s3_refusal: Option<(u16, String)>,
    objects: BTreeMap<String, Bytes>,
    uploads: HashMap<String, BTreeMap<u32, Bytes>>,
    begun: u32,
    last_put: HeaderMap,
    /// The paths of what came as to a proxy.
    proxied: Vec<String>,
}

impl Servers {
    /// `life`: how many requests a session lives; keys without a token live for ever.
    pub(super) async fn start(life: u32) -> Self {
        let state = Arc::new(Mutex::new(Lake {
            life,
            ..Lake::default()
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(super) fn sts_calls(&self) -> Vec<StsCall> {
        self.state.lock().calls.clone()
    }

    pub(super) fn sts_refuses(&self, code: &str, message: &str) {
        self.sts_says(&format!(
            "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ));
    }

    pub(super) fn sts_says(&self, refusal: &str) {
        self.state.lock().sts_refusal = Some(refusal.into());
    }

    pub(super) fn sts_accepts(&self) {
        self.state.lock().sts_refusal = None;
    }

    pub(super) fn s3_refuses(&self, status: u16, body: &str) {
        self.state.lock().s3_refusal = Some((status, body.into()));
    }

    pub(super) fn knows(&self, key: &str, token: &str) {
        let mut state = self.state.lock();
        let life = state.life;
        state.sessions.insert(token.into(), (life, key.into()));
    }

    pub(super) fn handed_out(&self) -> usize {
        self.state.lock().handed_out
    }

    pub(super) fn proxied(&self) -> Vec<String> {
        self.state.lock().proxied.clone()
    }

    pub(super) fn uploads(&self) -> usize {
        self.state.lock().uploads.len()
    }

    pub(super) fn last_put(&self) -> HeaderMap {
        self.state.lock().last_put.clone()
    }
}

type Answer = Response<Body>;

fn xml(status: u16, body: impl Into<Body>) -> Answer {
    Response::builder()
        .status(status)
        .body(body.into())
        .unwrap()
}

async fn answer(State(state): State<Arc<Mutex<Lake>>>, request: Request<Body>) -> Answer {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let mut lake = state.lock();
    if parts.uri.authority().is_some() {
        lake.proxied.push(parts.uri.path().to_owned());
    }
    if parts.uri.path() == "/" {
        return lake.sts(&parts.headers, &body);
    }
    if !parts.uri.path().starts_with("/bucket") {
        return lake.metadata(parts.uri.path());
    }
    let head = parts.method == Method::HEAD;
    let refusal = lake
        .s3_refusal
        .clone()
        .or_else(|| lake.refusal(&parts.headers));
    if let Some((status, body)) = refusal {
        return xml(status, if head { String::new() } else { body });
    }
    let key = parts.uri.path().strip_prefix("/bucket").unwrap();
    let key = key.trim_start_matches('/').to_owned();
    let query: HashMap<String, String> =
        form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    lake.s3(&parts.method, &key, &query, &parts.headers, body)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().unwrap().to_owned())
}

impl Lake {
    fn sts(&mut self, headers: &HeaderMap, body: &Bytes) -> Answer {
        let form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
        let action = form["Action"].clone();
        self.calls.push(StsCall {
            authorization: header(headers, "authorization").unwrap_or_default(),
            token: header(headers, "x-amz-security-token"),
            form,
        });
        if let Some(refusal) = &self.sts_refusal {
            return xml(403, refusal.clone());
        }
        let n = self.calls.len();
        let (key, token, ends) = self.session(n);
        xml(
            200,
            format!(
                "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>planted-session-secret</SecretAccessKey><SessionToken>{token}</SessionToken><Expiration>{ends}</Expiration></Credentials></{action}Result></{action}Response>"
            ),
        )
    }

    fn session(&mut self, n: usize) -> (String, String, String) {
        let (key, token) = (format!("ASIA{n}"), format!("planted-token-{n}"));
        self.sessions
            .insert(token.clone(), (self.life, key.clone()));
        let ends = chrono::Utc::now() + chrono::Duration::hours(1);
        let ends = ends.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        (key, token, ends)
    }

    /// The metadata services: of a container at `/container`, of a machine as IMDSv2.
    fn metadata(&mut self, path: &str) -> Answer {
        const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
        match path {
            "/latest/api/token" => Response::builder()
                .header("x-aws-ec2-metadata-token-ttl-seconds", "21600")
                .body("metadata-token".into())
                .unwrap(),
            ROLES => xml(200, "machine"),
            path if path == "/container" || path.strip_prefix(ROLES) == Some("machine") => {
                self.handed_out += 1;
                let (key, token, ends) = self.session(self.handed_out);
                xml(
                    200,
                    format!(
                        r#"{{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"{ends}","AccessKeyId":"{key}","SecretAccessKey":"planted","Token":"{token}","Expiration":"{ends}"}}"#
                    ),
                )
            }
            _ => xml(404, ""),
        }
    }

    /// What is said to a session that has ended; as AWS does, its token is said too.
    fn refusal(&mut self, headers: &HeaderMap) -> Option<(u16, String)> {
        let signed = header(headers, "authorization").unwrap_or_default();
        let token = header(headers, "x-amz-security-token")?;
        let session = self.sessions.get_mut(&token);
        let good = session.is_some_and(|(left, key)| {
            let good = *left > 0 && signed.contains(&format!("Credential={key}/"));
            *left = left.saturating_sub(1);
            good
        });
        (!good).then(|| {
            let body = format!("<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message><Token-0>{token}</Token-0></Error>");
            (400, body)
        })
    }

    fn s3(
        &mut self,
        method: &Method,
        key: &str,
        query: &HashMap<String, String>,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Answer {
        let upload = query.get("uploadId").cloned();
        match (method.as_str(), upload) {
            ("PUT", Some(id)) => {
                let part = query["partNumber"].parse().unwrap();
                self.uploads.get_mut(&id).unwrap().insert(part, body);
                stored()
            }
            ("PUT", None) => self.put(key, headers, body),
            ("GET", None) if query.contains_key("list-type") => self.list(query),
            ("GET" | "HEAD", _) => self.get(key, method == Method::HEAD),
            ("POST", _) if query.contains_key("delete") => self.delete(&body),
            ("POST", None) => {
                self.begun += 1;
                let id = format!("upload{}", self.begun);
                self.uploads.insert(id.clone(), BTreeMap::new());
                xml(
                    200,
                    format!(
                        "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                    ),
                )
            }
            ("POST", Some(id)) => {
                let parts = self.uploads.remove(&id).unwrap();
                self.objects
                    .insert(key.to_owned(), parts.into_values().flatten().collect());
                xml(
                    200,
                    "<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>",
                )
            }
            ("DELETE", Some(id)) => {
                self.uploads.remove(&id);
                xml(204, "")
            }
            other => panic!("{other:?}"),
        }
    }

    fn put(&mut self, key: &str, headers: &HeaderMap, body: Bytes) -> Answer {
        self.last_put = headers.clone();
        if headers.contains_key("if-none-match") && self.objects.contains_key(key) {
            return xml(412, "<Error><Code>PreconditionFailed</Code></Error>");
        }
        let body = match header(headers, "x-amz-copy-source") {
            Some(from) => self.objects[from.strip_prefix("bucket/").unwrap()].clone(),
            None => body,
        };
        self.objects.insert(key.to_owned(), body);
        stored()
    }

    fn get(&self, key: &str, head: bool) -> Answer {
        let Some(object) = self.objects.get(key) else {
            return xml(
                404,
                if head {
                    ""
                } else {
                    "<Error><Code>NoSuchKey</Code></Error>"
                },
            );
        };
        Response::builder()
            .header("content-length", object.len())
            .header("last-modified", "Sat, 21 Nov 2026 17:00:00 GMT")
            .header("etag", "\"e\"")
            .body(if head {
                Body::empty()
            } else {
                object.clone().into()
            })
            .unwrap()
    }

    /// Pages of three.
    fn list(&self, query: &HashMap<String, String>) -> Answer {
        let prefix = query.get("prefix").cloned().unwrap_or_default();
        let after = query.get("continuation-token").or(query.get("start-after"));
        let after = after.cloned().unwrap_or_default();
        let keys = self.objects.iter();
        let found: Vec<_> = keys
            .filter(|(key, _)| key.starts_with(&prefix) && **key > after)
            .collect();
        let page = found.iter().take(3);
        let next = (found.len() > 3).then(|| found[2].0.clone());
        let contents: String = page
            .map(|(key, object)| {
                format!("<Contents><Key>{key}</Key><LastModified>2026-11-21T17:00:00.000Z</LastModified><ETag>\"e\"</ETag><Size>{}</Size></Contents>", object.len())
            })
            .collect();
        let next =
            next.map(|next| format!("<NextContinuationToken>{next}</NextContinuationToken>"));
        xml(
            200,
            format!(
                "<ListBucketResult>{contents}{}</ListBucketResult>",
                next.unwrap_or_default()
            ),
        )
    }

    fn delete(&mut self, body: &Bytes) -> Answer {
        let text = std::str::from_utf8(body).unwrap();
        let keys = text
            .split("<Key>")
            .skip(1)
            .map(|rest| rest.split('<').next().unwrap());
        let mut deleted = String::new();
        for key in keys {
            self.objects.remove(key);
            deleted.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
        }
        xml(200, format!("<DeleteResult>{deleted}</DeleteResult>"))
    }
}

fn stored() -> Answer {
    Response::builder()
        .status(StatusCode::OK)
        .header("etag", "\"e\"")
        .body(Body::empty())
        .unwrap()
}
