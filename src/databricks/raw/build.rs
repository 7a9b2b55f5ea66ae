//! From what the user put to what is sent.

use super::{RawData, RawRequest, ResponseType};
use crate::databricks::{
    Error, Host, Result,
    client::Who,
    host::is_loopback,
    http::{Body, Outgoing, Part},
    trace,
};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use std::time::Duration;
use url::Url;

/// The request, and whether our credential goes with it. Errors: `InvalidParameter`.
pub(super) fn build(
    raw: &RawRequest,
    host: &Host,
    trusted: &[Host],
    timeout: Duration,
) -> Result<(Outgoing, Who)> {
    let method =
        Method::from_bytes(raw.method.trim().to_ascii_uppercase().as_bytes()).map_err(|_| {
            Error::invalid(format!(
                "this is no method of HTTP, method=`{}`",
                trace::text(&raw.method)
            ))
        })?;
    let mut url = address(&raw.url, host)?;
    if !raw.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&raw.query);
    }
    let ours = host.serves(&url) || trusted.iter().any(|host| host.serves(&url));
    let who = if ours { Who::Ours } else { Who::Stranger };
    let mut headers = headers(&raw.headers, who)?;
    let (body, kind) = body(raw)?;
    if let Some(kind) = kind {
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(kind));
    } else if matches!(body, Body::Multipart(_)) && headers.remove(CONTENT_TYPE).is_some() {
        return Err(Error::invalid(
            "the content type of a form with parts is set here, as it names their boundary; leave the header out",
        ));
    }
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static(match raw.response_type {
            ResponseType::Json => "application/json, text/plain, */*",
            ResponseType::Text | ResponseType::Binary => "*/*",
        }));
    Ok((
        Outgoing {
            method,
            url,
            headers,
            body,
            timeout: raw.timeout.unwrap_or(timeout),
        },
        who,
    ))
}

/// `https://HOST/api/` before a path; an absolute URL as it is.
fn address(text: &str, host: &Host) -> Result<Url> {
    let text = text.trim();
    let wrong = |what: &str| {
        Err(Error::invalid(format!(
            "{what}, url=`{}`",
            trace::text(text.split(['?', '#']).next().unwrap_or_default())
        )))
    };
    if text.is_empty() || text.chars().any(|c| c.is_control() || c == '\\') {
        return wrong("a request needs a path, as /2.0/clusters/list, or a whole URL");
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let absolute = scheme.is_some_and(|scheme| {
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    });
    if absolute {
        let Ok(mut url) = Url::parse(text) else {
            return wrong("this is no URL");
        };
        if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
            return wrong("a whole URL must be https");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid(
                "a URL must not hold a user or a password; the connection has the credential",
            ));
        }
        url.set_fragment(None);
        return Ok(url);
    }
    let text = text.split('#').next().unwrap_or_default();
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    let path = path.trim_start_matches('/');
    // A path that was copied whole is taken as it is meant.
    let path = path.strip_prefix("api/").unwrap_or(path);
    let dots = |part: &str| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part == "." || part == ".."
    };
    if path.is_empty() || path.split('/').any(dots) {
        return wrong("a path goes on below /api/ and has no dot segments");
    }
    let mut url = host.at(&format!("/api/{path}"));
    url.set_query(query);
    Ok(url)
}

fn headers(given: &[(String, String)], who: Who) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let told = || {
            trace::text(
                &name
                    .chars()
                    .filter(|c| c.is_ascii_graphic())
                    .take(64)
                    .collect::<String>(),
            )
        };
        let key = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| {
            Error::invalid(format!("this is no name of a header, name=`{}`", told()))
        })?;
        let mut text = HeaderValue::from_str(value.trim_matches([' ', '\t'])).map_err(|_| {
            Error::invalid(format!(
                "a header's value has a line end or another character that none has, name=`{}`",
                told()
            ))
        })?;
        if who == Who::Ours && key == AUTHORIZATION {
            return Err(Error::invalid(
                "the connection sets Authorization; leave the header out, or name another connection",
            ));
        }
        if ["host", "content-length", "transfer-encoding", "connection"].contains(&key.as_str()) {
            return Err(Error::invalid(format!(
                "this header follows from the request; leave it out, name=`{key}`"
            )));
        }
        text.set_sensitive(trace::is_secret(key.as_str()));
        headers.append(key, text);
    }
    Ok(headers)
}

fn body(raw: &RawRequest) -> Result<(Body, Option<&'static str>)> {
    let parts = !raw.form.is_empty() || !raw.files.is_empty();
    Ok(match &raw.data {
        Some(_) if parts => {
            return Err(Error::invalid(
                "a request has either data or a form with files; take one of them away",
            ));
        }
        None if parts => {
            let fields = raw.form.iter().map(|(key, value)| Part {
                key: key.clone(),
                data: value.clone().into(),
                file_name: None,
            });
            let files = raw.files.iter().map(|file| Part {
                key: file.key.clone(),
                data: file.data.clone(),
                file_name: Some(file.file_name.clone().unwrap_or_else(|| file.key.clone())),
            });
            (Body::Multipart(fields.chain(files).collect()), None)
        }
        None => (Body::None, None),
        Some(RawData::Json(value)) => {
            let bytes = serde_json::to_vec(value)
                .map_err(|error| Error::invalid(format!("the data is no JSON: {error}")))?;
            (Body::Bytes(bytes.into()), Some("application/json"))
        }
        Some(RawData::Text(text)) => {
            let json = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
            let kind = if json {
                "application/json"
            } else {
                "application/x-www-form-urlencoded"
            };
            (Body::Bytes(text.clone().into()), Some(kind))
        }
        Some(RawData::Bytes(bytes)) => {
            (Body::Bytes(bytes.clone()), Some("application/octet-stream"))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, String> {
        let host = Host::parse("h.cloud.databricks.com").unwrap();
        address(text, &host)
            .map(String::from)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_joined_as_the_document_says() {
        let base = "https://h.cloud.databricks.com/api/";
        for (text, path) in [
            ("/2.0/clusters/list", "2.0/clusters/list"),
            ("2.0/clusters/list", "2.0/clusters/list"),
            ("/api/2.0/clusters/list", "2.0/clusters/list"),
            ("//evil.example/x", "evil.example/x"),
            ("/2.0/a?x=1&y=a%20b#f", "2.0/a?x=1&y=a%20b"),
            ("/2.0/a b/é", "2.0/a%20b/%C3%A9"),
            ("/2.0/x:y@z", "2.0/x:y@z"),
            ("/2.0/see?at=https://x", "2.0/see?at=https://x"),
        ] {
            assert_eq!(at(text).unwrap(), format!("{base}{path}"), "{text}");
        }
        for bad in [
            "",
            "/",
            "/api/",
            "/2.0/../../login",
            "/2.0/%2e%2E/x",
            "/2.0/./x",
            "\\\\evil\\x",
            "/2.0/a\r\nb",
            "http://h.cloud.databricks.com/x",
            "ftp://h/x",
            "https://",
            "https://u:planted@h/x",
        ] {
            let error = at(bad).unwrap_err();
            assert!(!error.contains("planted"), "{error}");
        }
        assert_eq!(
            at("HTTPS://accounts.cloud.databricks.com/api/2.0/x#y").unwrap(),
            "https://accounts.cloud.databricks.com/api/2.0/x"
        );
        assert_eq!(at("http://127.0.0.1:1/x").unwrap(), "http://127.0.0.1:1/x");
    }

    #[test]
    fn headers_are_a_list_and_cannot_be_injected() {
        let of =
            |name: &str, value: &str, who| headers(&[(name.to_owned(), value.to_owned())], who);
        assert!(of("x-a", "b\r\nauthorization: planted", Who::Ours).is_err());
        assert!(of("x-a\r\nb", "c", Who::Ours).is_err());
        assert!(of("AUTHORIZATION", "Bearer planted", Who::Ours).is_err());
        assert!(of("authorization", "Bearer theirs", Who::Stranger).is_ok());
        assert!(of("Content-Length", "1", Who::Ours).is_err());
        let twice = headers(
            &[("x-a".into(), "1".into()), ("X-A".into(), "2".into())],
            Who::Ours,
        )
        .unwrap();
        assert_eq!(twice.get_all("x-a").iter().count(), 2);
    }
}
