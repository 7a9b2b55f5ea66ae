//! One workspace, as its callers hold it.
//!
//! Past 500 lines: what all callers may do with a workspace is found in one place.

use super::{
    AccountId, Call, ClusterId, ConnectionOptions, Discovery, Error, ExternalUrl, Host, Kind, Page,
    Result, WarehouseId, WarehouseRef, auth,
    auth::Surroundings,
    error::refusal,
    http::{self, Answer, Body, Failure, Http, Outgoing},
    jdbc::Compute,
    retry,
    rights::Rights,
    rules, trace,
};
use crate::secret::Secret;
use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use url::Url;

const WORKSPACE_ID: HeaderName = HeaderName::from_static("x-databricks-workspace-id");
/// Pages of one list at most: more is a service that does not end it.
const MOST_PAGES: usize = 100_000;

/// A connection to a workspace. Cheap to clone; clones share tokens and connections.
#[derive(Clone)]
pub struct Workspace(pub(super) Arc<Inner>);

pub(super) struct Inner {
    name: String,
    pub(super) host: Host,
    pub(super) trusted: Vec<Host>,
    account_id: Option<AccountId>,
    workspace_id: Option<HeaderValue>,
    warehouse: Option<WarehouseRef>,
    cluster: Option<ClusterId>,
    vending_api_version: String,
    pub(super) timeout: Duration,
    pub(super) budget: Duration,
    http: Http,
    auth: auth::Auth,
    rights: Rights,
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace")
            .field("name", &self.0.name)
            .field("host", &self.0.host)
            .finish_non_exhaustive()
    }
}

impl Workspace {
    /// Reads profiles and the environment where `options` want it; makes no request.
    ///
    /// `name`: of `[connections.NAME]`, for errors, logs and metrics. Errors: `Options`.
    pub fn new(name: &str, options: &ConnectionOptions) -> Result<Self> {
        let made = |direct: bool| {
            http::client(direct)
                .map_err(|error| Error::unexpected(format!("no HTTP client can be made: {error}")))
        };
        let remote = |host: &Host| made(super::host::is_loopback(host.url()));
        let workspace = Self::with(name, options, &Surroundings::of_process(), remote, || {
            made(true)
        })?;
        for doubt in rules::doubts(options) {
            tracing::warn!(connection = name, "{doubt}");
        }
        Ok(workspace)
    }

    /// The same in other surroundings.
    pub(super) fn with(
        name: &str,
        options: &ConnectionOptions,
        surroundings: &Surroundings,
        http: impl Fn(&Host) -> Result<Http>,
        local: impl FnOnce() -> Result<Http>,
    ) -> Result<Self> {
        let (given, trusted) = rules::read(name, options)?;
        if given.dropped_secret {
            tracing::warn!(
                connection = name,
                "the JDBC URL in `host` holds a password, which is not used; put the token into `auth` and take it out of the URL"
            );
        }
        let identity = auth::identify(
            name,
            options,
            given.host,
            &trusted,
            surroundings,
            &http,
            local,
        )?;
        let (mut warehouse, mut cluster) = (options.warehouse.clone(), options.cluster_id());
        if warehouse.is_none() && cluster.is_none() {
            match given.compute {
                Some(Compute::Warehouse(id)) => warehouse = Some(WarehouseRef::Id(id)),
                Some(Compute::Cluster(id)) => cluster = Some(id),
                None => {
                    warehouse = identity
                        .warehouse_id
                        .map(|id| WarehouseRef::Id(WarehouseId::new(id)));
                    cluster = identity.cluster_id.map(ClusterId::new);
                }
            }
        }
        let workspace_id = identity
            .workspace_id
            .or(given.workspace_id)
            .map(|id| HeaderValue::from_str(&id));
        let workspace_id = workspace_id.transpose().map_err(|_| Error::Options {
            connection: name.to_owned(),
            key: "workspace_id".into(),
            message: "has a character that no id has".into(),
        })?;
        Ok(Self(Arc::new(Inner {
            name: name.to_owned(),
            http: http(&identity.host)?,
            account_id: identity.account_id.map(AccountId::new),
            workspace_id,
            warehouse,
            cluster,
            vending_api_version: options.vending_api_version.clone(),
            // Both have been judged.
            timeout: Duration::try_from_secs_f64(options.timeout_seconds).unwrap_or_default(),
            budget: Duration::try_from_secs_f64(options.budget_seconds()).unwrap_or_default(),
            host: identity.host,
            trusted,
            auth: identity.auth,
            rights: Rights::new(name),
        })))
    }

    /// `NAME` of `[connections.NAME]`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// The configured warehouse: of the options, a JDBC URL, the profile or the environment.
    pub fn warehouse(&self) -> Option<&WarehouseRef> {
        self.0.warehouse.as_ref()
    }

    /// The configured cluster, from the same places.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.0.cluster.as_ref()
    }

    /// The account's id, for its APIs.
    pub fn account_id(&self) -> Option<&AccountId> {
        self.0.account_id.as_ref()
    }

    /// `2.0` or `2.1`: the version in the path of temporary credentials.
    pub fn vending_api_version(&self) -> &str {
        &self.0.vending_api_version
    }

    /// Makes a call and reads its answer. An empty body counts as `{}`, or `null` where `T` wants that.
    pub async fn send<T: DeserializeOwned>(&self, call: Call) -> Result<T> {
        let request = self.outgoing(&call)?;
        let name = request.name();
        let answer = self.0.carried_out(request, call.repeatable).await?;
        read(&answer, &name)
    }

    /// Every item of a list, page by page. Errors also if the service repeats a page's token.
    pub async fn whole<T, P: Page<Item = T>>(&self, call: Call) -> Result<Vec<T>> {
        let mut items = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut call = call.clone();
            if let Some(token) = &token {
                call.query.retain(|(key, _)| key != "page_token");
                call = call.query("page_token", token);
            }
            let path = call.path.clone();
            let page: P = self.send(call).await?;
            let (more, next) = page.into_parts();
            items.extend(more);
            let next = next.filter(|next| !next.is_empty());
            if next.is_some() && next == token {
                return Err(Error::unexpected(format!(
                    "the service repeats a page of a list without an end, path=`{path}`"
                )));
            }
            token = next;
            if token.is_none() {
                return Ok(items);
            }
        }
        Err(Error::unexpected(format!(
            "a list has no end, path=`{}`",
            call.path
        )))
    }

    /// Reads a presigned URL without our token. `headers`: those that the link came with.
    ///
    /// Errors: `PermissionDenied` where the link has expired: ask for a new one.
    pub async fn fetch_external(
        &self,
        link: &ExternalUrl,
        headers: &BTreeMap<String, Secret>,
    ) -> Result<Bytes> {
        let url = Url::parse(link.expose()).ok();
        // Over plain HTTP only to this machine.
        let url = url.filter(|url| url.scheme() == "https" || super::host::is_loopback(url));
        let url = url.ok_or_else(|| {
            Error::unexpected(format!(
                "a link to results is no https URL, link=`{link:?}`"
            ))
        })?;
        let mut request = Outgoing::get(url, self.0.timeout);
        for (name, value) in headers {
            let header = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .zip(HeaderValue::from_str(value.expose()).ok());
            let (name, mut value) = header.ok_or_else(|| {
                Error::unexpected("a link to results wants a header that is none")
            })?;
            value.set_sensitive(true);
            request.headers.insert(name, value);
        }
        // The path may hold what the signature covers.
        let name = format!("GET {link:?}");
        let mut tries = retry::Tries::within(self.0.budget, self.name());
        loop {
            let result = self.0.try_unnamed(&request).await;
            let (pause, error) = match result {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer.body),
                Ok(answer) => {
                    let pause = match answer.status {
                        429 | 500.. => Some(
                            retry::after_answer(&answer, "", true).unwrap_or(retry::Pause::Growing),
                        ),
                        _ => None,
                    };
                    let mut told = refusal(&answer, &name);
                    told.message = format!(
                        "the storage behind a link to results answers {}",
                        answer.status
                    );
                    told.remedy = match told.kind {
                        Kind::PermissionDenied | Kind::Unauthenticated => {
                            "the link may have expired: ask for the chunk again".into()
                        }
                        _ => String::new(),
                    };
                    (pause, Error::Api(Box::new(told)))
                }
                Err(failure) => (
                    retry::after_failure(&failure, true),
                    no_answer(&failure, &name, request.timeout),
                ),
            };
            let pause = pause.map(|pause| pause.length(tries.made));
            match pause {
                Some(pause) if tries.again(pause, &error).await => {}
                _ => return Err(error),
            }
        }
    }

    /// What the workspace tells of itself, without a token. `None`: it tells nothing, so it may be no workspace.
    pub async fn discover(&self) -> Result<Option<Discovery>> {
        auth::discover(&self.0.http, &self.0.host).await
    }

    /// What the connection authenticates by; makes no request.
    pub fn credential(&self) -> auth::Credential {
        self.0.auth.credential()
    }

    fn outgoing(&self, call: &Call) -> Result<Outgoing> {
        if !call.path.starts_with('/')
            || call.path.starts_with("//")
            || call.path.contains(['?', '#', '\\'])
            || climbs(&call.path)
        {
            return Err(Error::invalid(format!(
                "a path begins with / and holds no query and no dot segment, path=`{}`",
                trace::text(&call.path)
            )));
        }
        let mut url = self.0.host.at(&call.path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let body = match &call.body {
            Some(body) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let bytes = serde_json::to_vec(body)
                    .map_err(|error| Error::invalid(format!("the body is no JSON: {error}")))?;
                Body::Bytes(bytes.into())
            }
            None => Body::None,
        };
        Ok(Outgoing {
            method: call.method.clone(),
            url,
            headers,
            body,
            timeout: call.timeout.unwrap_or(match call.repeatable {
                // One that hangs leaves the budget room for others.
                true if !self.0.budget.is_zero() => self.0.timeout.min(self.0.budget / 3),
                _ => self.0.timeout,
            }),
        })
    }
}

/// Whether a path has a segment `.` or `..`, in whatever way a URL's reader takes it for one.
fn climbs(path: &str) -> bool {
    let read = path
        .replace(['\t', '\n', '\r'], "")
        .to_ascii_lowercase()
        .replace("%2e", ".");
    read.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Who is asked, and with what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// The workspace or a trusted host: with the credential.
    Ours,
    /// Anybody else: without.
    Stranger,
}

impl Inner {
    /// An answer of success, after as many tries as it takes and the budget allows.
    async fn carried_out(&self, request: Outgoing, repeatable: bool) -> Result<Answer> {
        let name = request.name();
        let mut tries = retry::Tries::within(self.budget, self.name.as_str());
        loop {
            let mut request = request.clone();
            if let Some(left) = tries.left().filter(|_| tries.made > 1) {
                let left = left.max(Duration::from_secs(1));
                request.timeout = request.timeout.min(left);
            }
            let timeout = request.timeout;
            let result = self.authorized(request, Who::Ours).await?;
            let (pause, error) = match result {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer),
                Ok(answer) => {
                    let told = refusal(&answer, &name);
                    let pause = retry::after_answer(&answer, &told.message, repeatable);
                    (pause, Error::Api(Box::new(told)))
                }
                Err(failure) => (
                    retry::after_failure(&failure, repeatable),
                    no_answer(&failure, &name, timeout),
                ),
            };
            let pause = pause.map(|pause| pause.length(tries.made));
            match pause {
                Some(pause) if tries.again(pause, &error).await => {}
                _ => return Err(error),
            }
        }
    }

    /// One try with the credential, where it is ours to send. A credential that is refused is renewed once and the request
    /// sent again: it was refused before anything was done.
    pub(super) async fn authorized(
        &self,
        mut request: Outgoing,
        who: Who,
    ) -> Result<Result<Answer, Failure>> {
        if who == Who::Stranger {
            return Ok(self.try_once(&request).await);
        }
        if let Some(id) = &self.workspace_id
            && self.host.serves(&request.url)
        {
            request.headers.insert(WORKSPACE_ID, id.clone());
        }
        let mut renewed = false;
        loop {
            let (credential, generation) = self.auth.headers().await.inspect_err(|error| {
                if error.kind().lacks_rights() {
                    self.rights.lost("", error);
                }
            })?;
            let mut request = request.clone();
            request.headers.extend(credential);
            let answer = match self.try_once(&request).await {
                Ok(answer) => answer,
                Err(failure) => return Ok(Err(failure)),
            };
            let path = request.url.path();
            match answer.status {
                401 | 403 => {
                    let told = refusal(&answer, &request.name());
                    let unknown = told.kind == Kind::Unauthenticated;
                    if unknown && !renewed && self.auth.renew(generation).await.unwrap_or(false) {
                        renewed = true;
                        continue;
                    }
                    let path = if unknown { "" } else { path };
                    self.rights.lost(path, &Error::Api(Box::new(told)));
                }
                200..=299 => self.rights.held(path),
                _ => {}
            }
            return Ok(Ok(answer));
        }
    }

    /// One request, one answer, counted and traced.
    async fn try_once(&self, request: &Outgoing) -> Result<Answer, Failure> {
        tracing::debug!(target: trace::TARGET, connection = %self.name, "> {}", trace::Request(request));
        let result = self.http.send(request.clone()).await;
        match &result {
            Ok(answer) => {
                tracing::debug!(target: trace::TARGET, connection = %self.name, "< {}", trace::Response(answer))
            }
            Err(failure) => {
                tracing::debug!(target: trace::TARGET, connection = %self.name, "< {}", trace::failure(failure));
            }
        }
        self.count(&result);
        result
    }

    /// The same without a word of what is sent and answered: links and results.
    async fn try_unnamed(&self, request: &Outgoing) -> Result<Answer, Failure> {
        let result = self.http.send(request.clone()).await;
        if let Ok(answer) = &result {
            let (status, bytes) = (answer.status, answer.body.len());
            tracing::debug!(target: trace::TARGET, connection = %self.name, status, bytes, "read a link to results");
        }
        self.count(&result);
        result
    }

    fn count(&self, result: &Result<Answer, Failure>) {
        let status = match result {
            Ok(answer) => answer.status.to_string(),
            Err(Failure::TimedOut) => "timeout".into(),
            Err(_) => "none".into(),
        };
        metrics::counter!("alluvium_databricks_requests_total", "connection" => self.name.clone(), "status" => status).increment(1);
    }
}

pub(super) fn no_answer(failure: &Failure, request: &str, timeout: Duration) -> Error {
    match failure {
        Failure::TimedOut => Error::Timeout {
            what: format!("request=`{request}`"),
            after: timeout,
        },
        Failure::Unsendable(reason) => {
            Error::unexpected(format!("{}, request=`{request}`", trace::text(reason)))
        }
        failure => Error::Network {
            request: request.to_owned(),
            reason: trace::failure(failure),
        },
    }
}

fn read<T: DeserializeOwned>(answer: &Answer, request: &str) -> Result<T> {
    let body = answer.body.trim_ascii();
    if body.is_empty() {
        let empty = serde_json::from_str("{}").or_else(|_| serde_json::from_str("null"));
        return empty
            .map_err(|_| Error::unexpected(format!("the answer is empty, request=`{request}`")));
    }
    if body.starts_with(b"<") {
        return Err(Error::unexpected(format!(
            "the answer is a page and not JSON; check that `host` is a workspace, request=`{request}`"
        )));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| misread(&error.path().to_string(), error.inner(), request))?;
    reader.end().map_err(|error| misread("", &error, request))?;
    Ok(value)
}

/// Where an answer is not what was expected. The parser's own words would quote it, and it may hold a secret.
fn misread(path: &str, error: &serde_json::Error, request: &str) -> Error {
    let what = match error.classify() {
        serde_json::error::Category::Data => "a value is missing or of another type",
        serde_json::error::Category::Eof => "it ends in the middle",
        _ => "it is no JSON",
    };
    Error::unexpected(format!(
        "the answer is not understood: {what}, path=`{}` line=`{}` column=`{}` request=`{request}`",
        trace::text(path),
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests;
