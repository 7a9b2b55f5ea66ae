//! The requests to a landing zone's endpoint.

use super::{
    oauth::{self, Answer, Http},
    reply::Reply,
    token::Bearer,
};
use crate::{
    error::Kind,
    secret::{LiveSecret, Secret},
    storage::{Error, LandingZoneOptions, RefreshMethod, Result, StoreOptions, azure::unreadable},
};
use reqwest::{
    Method, Request,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    },
};
use std::time::Duration;

/// Tries of a plain GET, whose answer may be lost without harm.
const TRIES: u32 = 3;
/// A `Retry-After` longer than this is left to whoever asks next.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What became of a demand for a new signature.
pub(super) enum Demanded {
    Answered(Reply),
    /// It may or may not have been done.
    Unknown(String),
    /// It was not done.
    Refused(Error),
}

/// A landing zone's endpoint.
pub(super) struct Client {
    http: Http,
    endpoint: url::Url,
    headers: Vec<(HeaderName, LiveSecret)>,
    bearer: Bearer,
    refresh_method: RefreshMethod,
}

impl Client {
    pub(super) fn new(http: Http, zone: &LandingZoneOptions, store: &StoreOptions) -> Result<Self> {
        let wrong = |text: String| {
            Err(Error::credentials(
                Kind::Config,
                format!("landing zone: {text}"),
            ))
        };
        let endpoint = address("endpoint", &zone.endpoint, store.allow_http)?;
        if endpoint.query_pairs().any(|(name, _)| name == "action") {
            return wrong(format!(
                "leave `action` out of the endpoint, it is added when a refresh is due, endpoint=`{}`",
                oauth::bare(&zone.endpoint)
            ));
        }
        let token_url = zone
            .token_url
            .as_deref()
            .map(|url| address("token_url", url, store.allow_http));
        let bearer = Bearer::new(&http, zone, token_url.transpose()?)?;
        let mut headers = Vec::new();
        for (name, value) in &zone.headers {
            let Ok(name) = HeaderName::try_from(name.as_str()) else {
                return wrong(format!("not the name of a header, header=`{name}`"));
            };
            if name == AUTHORIZATION && !matches!(bearer, Bearer::None) {
                return wrong(
                    "give `access_token` or `token_url`, or a header `Authorization`, not both"
                        .into(),
                );
            }
            headers.push((name, value.clone()));
        }
        Ok(Self {
            http,
            endpoint,
            headers,
            bearer,
            refresh_method: zone.refresh_method,
        })
    }

    /// The endpoint without its query.
    pub(super) fn place(&self) -> String {
        oauth::bare(self.endpoint.as_str())
    }

    /// The present credentials of the container. Tried a few times.
    pub(super) async fn get(&self) -> Result<Reply> {
        let mut tried = 1;
        loop {
            let (error, wait) = match self.ask(Method::GET, &self.endpoint).await? {
                Ok((answer, _)) if answer.status.is_success() => return self.parse(&answer),
                Ok((answer, sent)) => {
                    let error = self.refusal("GET", &answer, &sent);
                    (error, after(&answer).unwrap_or(backoff(tried)))
                }
                Err(e) => {
                    let text = format!(
                        "the landing zone does not answer, check that it can be reached: {e}, endpoint=`{}`",
                        self.place()
                    );
                    (Error::credentials(Kind::Unavailable, text), backoff(tried))
                }
            };
            if error.kind() != Kind::Unavailable || tried == TRIES || wait > LONGEST_WAIT {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            tried += 1;
        }
    }

    /// Demands a new signature, which revokes the present one. Sent once; a bearer token that had ended is replaced, for
    /// then nothing was done.
    pub(super) async fn refresh(&self) -> Demanded {
        let (method, name) = match self.refresh_method {
            RefreshMethod::Post => (Method::POST, "POST"),
            RefreshMethod::Get => (Method::GET, "GET"),
        };
        let mut url = self.endpoint.clone();
        let query = match url.query() {
            Some(query) if !query.is_empty() => format!("{query}&action=refresh"),
            _ => "action=refresh".to_owned(),
        };
        url.set_query(Some(&query));
        let (answer, sent) = match self.ask(method, &url).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(lost)) => return Demanded::Unknown(lost),
            Err(error) => return Demanded::Refused(error),
        };
        match answer.status.as_u16() {
            200..=299 => match Reply::parse(&answer.body) {
                Ok(reply) => Demanded::Answered(reply),
                Err(e) => Demanded::Unknown(e.to_string()),
            },
            // 429 says that it was not let in; of the others that a gateway may have spoken for a service that did it.
            429 | 400..=407 | 409..=499 => Demanded::Refused(self.refusal(name, &answer, &sent)),
            status => Demanded::Unknown(format!(
                "status {status}, {}",
                oauth::said(&answer.body, &sent.exposed())
            )),
        }
    }

    /// One request, and one more if the bearer token is refused and there is another. The outer error: it could not be
    /// sent, for want of a secret or token. The inner: no answer came.
    async fn ask(&self, method: Method, url: &url::Url) -> Result<Result<(Answer, Sent), String>> {
        let mut bearer = self.bearer.token().await?;
        let mut again = true;
        loop {
            let sent = self.secrets(bearer.as_ref())?;
            let mut request = Request::new(method.clone(), url.clone());
            *request.headers_mut() = sent.headers.clone();
            if method == Method::POST {
                // Some services refuse a POST that does not say how long it is.
                request
                    .headers_mut()
                    .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
            }
            let answer = match self.http.send(request).await {
                Ok(answer) => answer,
                Err(lost) => return Ok(Err(lost)),
            };
            if answer.status == 401
                && again
                && let Some(refused) = &bearer
            {
                again = false;
                if let Some(other) = self.bearer.instead_of(refused).await? {
                    bearer = Some(other);
                    continue;
                }
            }
            return Ok(Ok((answer, sent)));
        }
    }

    fn secrets(&self, bearer: Option<&Secret>) -> Result<Sent> {
        let mut headers = HeaderMap::new();
        let mut secrets = Vec::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut insert = |name: &HeaderName, text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| {
                let text = format!("landing zone: the value cannot be sent, it has a line break or control character, header=`{name}`");
                Error::credentials(Kind::Unauthorized, text)
            })?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
            Ok::<_, Error>(())
        };
        for (name, value) in &self.headers {
            let value = value.read().map_err(|e| unreadable(&e))?;
            insert(name, value.expose())?;
            secrets.push(value);
        }
        if let Some(token) = bearer {
            insert(&AUTHORIZATION, &format!("Bearer {}", token.expose()))?;
            secrets.push(token.clone());
        }
        Ok(Sent { headers, secrets })
    }

    fn parse(&self, answer: &Answer) -> Result<Reply> {
        Reply::parse(&answer.body).map_err(|e| {
            let text = format!(
                "the landing zone answers with something else than credentials: {e}, endpoint=`{}`",
                self.place()
            );
            Error::credentials(Kind::Unavailable, text)
        })
    }

    fn refusal(&self, method: &str, answer: &Answer, sent: &Sent) -> Error {
        let status = answer.status.as_u16();
        let remedy = match status {
            401 => "check its access token, or client id and secret",
            403 => {
                "the token's owner may not read it; check `x-api-key`, `x-gw-ims-org-id` and `x-sandbox-name`, and the rights of the project"
            }
            400 => "check its headers and query",
            404 => "check its address and query",
            405 if method == "POST" => "it does not refresh by POST, set refresh_method=`GET`",
            405 => "it does not take GET; for refreshes set refresh_method=`POST`",
            300..=399 => "it redirects, give the address it moved to",
            _ => "try again later",
        };
        let text = format!(
            "the landing zone refuses, {remedy}: {}, status=`{status}` method=`{method}` endpoint=`{}`",
            oauth::said(&answer.body, &sent.exposed()),
            self.place()
        );
        Error::credentials(oauth::kind_of_status(answer.status), text)
    }
}

/// What a request carried.
struct Sent {
    headers: HeaderMap,
    secrets: Vec<Secret>,
}

impl Sent {
    fn exposed(&self) -> Vec<&str> {
        self.secrets.iter().map(Secret::expose).collect()
    }
}

/// Secrets go by https, but to this machine itself.
fn address(option: &str, text: &str, allow_http: bool) -> Result<url::Url> {
    let wrong = |why: &str| {
        let text = format!("landing zone: {why}, {option}=`{}`", oauth::bare(text));
        Err(Error::credentials(Kind::Config, text))
    };
    match url::Url::parse(text) {
        Ok(url) if url.scheme() == "https" => Ok(url),
        Ok(url) if url.scheme() == "http" && (allow_http || oauth::is_loopback(&url)) => Ok(url),
        Ok(url) if url.scheme() == "http" => {
            wrong("secrets are sent by https only, or set allow_http = true")
        }
        _ => wrong("not an address of a web service"),
    }
}

fn backoff(tried: u32) -> Duration {
    Duration::from_millis(500) * 2u32.pow(tried - 1)
}

/// `Retry-After` in seconds.
fn after(answer: &Answer) -> Option<Duration> {
    let text = answer.headers.get("retry-after")?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}
