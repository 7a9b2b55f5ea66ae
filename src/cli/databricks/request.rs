//! `alluvium databricks request`: any request, with all inputs that connectors give to raw requests.

use super::{
    rows::Sink,
    session::{Session, usage},
    show::document,
    text,
};
use crate::{
    databricks::{
        Error as DatabricksError, FilePart, RawAnswer, RawBody, RawData, RawRequest, ResponseType,
    },
    error::{Error, Kind, Result},
};
use base64::Engine;
use bytes::Bytes;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  alluvium databricks request /2.0/clusters/list
  alluvium databricks request -X POST /2.0/sql/statements --data '{\"statement\": \"select 1\", \"warehouse_id\": \"1234567890abcdef\"}'
  alluvium databricks request /2.0/workspace/list --query path=/Shared
  alluvium databricks request -X POST /2.0/workspace/import --form path=/Shared/a --form format=AUTO --file content=a.py
  alluvium databricks request /2.0/workspace/export --query path=/Shared/a --query direct_download=true --response binary -o a.py
  alluvium databricks request https://accounts.cloud.databricks.com/api/2.0/accounts/ID/scim/v2/Groups --connection account
  alluvium databricks request /2.1/jobs/list --max-retries 5 --exponential-backoff --retry-all-errors

A path is put behind https://WORKSPACE/api/. The token goes to the workspace and to `trusted_hosts` of the connection only.
Without --retry-all-errors, network errors are repeated, and 429 and 5xx of methods that change nothing twice (GET, HEAD,
OPTIONS, PUT, DELETE); Retry-After is heeded. The answer's body goes to stdout; a status that is no success ends with an
error, after the body.")]
pub(super) struct Args {
    /// A path such as /2.0/clusters/list, or a whole URL
    #[arg(value_name = "PATH|URL")]
    url: String,

    /// The HTTP method; by default GET, or POST where there is a body
    #[arg(long, short = 'X', value_name = "METHOD")]
    method: Option<String>,

    /// The body as text; @FILE and @- take it from a file or stdin
    #[arg(long, short, value_name = "TEXT|@FILE", conflicts_with_all = ["form", "file"])]
    data: Option<String>,

    /// A field of a multipart form
    #[arg(long, short = 'F', value_name = "KEY=VALUE", value_parser = pair)]
    form: Vec<(String, String)>,

    /// A file of a multipart form; - is stdin
    #[arg(long, value_name = "KEY=PATH", value_parser = pair)]
    file: Vec<(String, String)>,

    /// The name that a file goes under, for a key of --file; by default that of its path
    #[arg(long, value_name = "KEY=NAME", value_parser = pair, requires = "file")]
    file_name: Vec<(String, String)>,

    /// A query parameter; keys may repeat
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = pair)]
    query: Vec<(String, String)>,

    /// A header; Authorization is the connection's
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    header: Vec<(String, String)>,

    /// What the answer's body is expected to be
    #[arg(long, value_enum, default_value_t = Response::Json, value_name = "TYPE")]
    response: Response,

    /// How long one try may take
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout_ms: Option<u64>,

    /// The pause before each repetition
    #[arg(long, value_name = "MS", default_value_t = 0)]
    retry_delay_ms: u64,

    /// Repeat after every answer that is no success and after timeouts, whatever the method
    #[arg(long)]
    retry_all_errors: bool,

    /// Repetitions at most; 0 for none
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_retries: u32,

    /// Pauses double from repetition to repetition; --retry-delay-ms is ignored
    #[arg(long)]
    exponential_backoff: bool,

    /// Print one JSON document with status, headers, tries and body
    #[arg(long, short)]
    include: bool,

    /// Where the answer's body goes
    #[arg(long, short, value_name = "FILE", conflicts_with = "include")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Response {
    Json,
    Text,
    Binary,
}

/// `KEY=VALUE`; the key is not empty.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".into()),
    }
}

/// `NAME: VALUE`.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write NAME: VALUE".into()),
    }
}

pub(super) async fn run(args: Args, session: &Session) -> Result<()> {
    let binary = args.response == Response::Binary && !args.include;
    // A terminal that cannot take the answer is said before the request is made.
    let mut sink = Sink::open(args.output.as_deref(), binary)?;
    let include = args.include;
    let wanted = args.response;
    let answer = session.workspace.raw(request(args)?).await;
    let answer = answer.map_err(usage)?;
    match include {
        true => document(&whole(&answer))?,
        false => {
            sink.put(&body(&answer.body))?;
            sink.end()?;
            if wanted == Response::Json
                && matches!(&answer.body, RawBody::Text(text) if !text.trim().is_empty())
            {
                session
                    .telemetry
                    .screen
                    .print("the answer is no JSON and is shown as it came\n");
            }
        }
    }
    match answer.error {
        Some(error) => Err(DatabricksError::Api(Box::new(error)).into()),
        None => Ok(()),
    }
}

fn request(args: Args) -> Result<RawRequest> {
    let names: Vec<&String> = args.file.iter().map(|(key, _)| key).collect();
    if let Some((key, _)) = args.file_name.iter().find(|(key, _)| !names.contains(&key)) {
        return Err(Error::new(
            Kind::Config,
            format!("--file-name: no --file has this key, key=`{key}`"),
        ));
    }
    let has_body = args.data.is_some() || !args.form.is_empty() || !args.file.is_empty();
    let method = args
        .method
        .unwrap_or_else(|| if has_body { "POST" } else { "GET" }.to_owned());
    let mut request = RawRequest::new(method, args.url);
    request.data = args.data.map(data).transpose()?;
    request.form = args.form;
    for (key, path) in args.file {
        let named = args
            .file_name
            .iter()
            .find(|(of, _)| *of == key)
            .map(|(_, name)| name.clone());
        let path = Path::new(&path);
        let of_path = || {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .filter(|name| name != "-")
        };
        request.files.push(FilePart {
            data: text::bytes(path)?.into(),
            file_name: named.or_else(of_path),
            key,
        });
    }
    request.query = args.query;
    request.headers = args.header;
    request.response_type = match args.response {
        Response::Json => ResponseType::Json,
        Response::Text => ResponseType::Text,
        Response::Binary => ResponseType::Binary,
    };
    request.timeout = args.timeout_ms.map(Duration::from_millis);
    request.retry_delay = Duration::from_millis(args.retry_delay_ms);
    request.retry_on_all_errors = args.retry_all_errors;
    request.max_retries = args.max_retries;
    request.exponential_backoff = args.exponential_backoff;
    Ok(request)
}

fn data(given: String) -> Result<RawData> {
    let Some(path) = given.strip_prefix('@') else {
        return Ok(RawData::Text(given));
    };
    let bytes = text::bytes(Path::new(path))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => RawData::Text(text),
        Err(error) => RawData::Bytes(error.into_bytes().into()),
    })
}

/// What is printed: JSON set out, text with an end of line, bytes as they are.
fn body(body: &RawBody) -> Bytes {
    match body {
        // What has no body is `null` as well.
        RawBody::Json(Value::Null) => Bytes::new(),
        RawBody::Json(value) => format!("{value:#}\n").into(),
        RawBody::Text(text) if text.is_empty() || text.ends_with('\n') => text.clone().into(),
        RawBody::Text(text) => format!("{text}\n").into(),
        RawBody::Binary(bytes) => bytes.clone(),
    }
}

fn whole(answer: &RawAnswer) -> Value {
    let headers: Vec<Value> = answer
        .headers
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    let (key, value) = match &answer.body {
        RawBody::Json(value) => ("body", value.clone()),
        RawBody::Text(text) => ("body", json!(text)),
        RawBody::Binary(bytes) => (
            "body_base64",
            json!(base64::engine::general_purpose::STANDARD.encode(bytes)),
        ),
    };
    json!({"status": answer.status, "tries": answer.tries, "headers": headers, key: value})
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    fn asked(words: &[&str]) -> Result<RawRequest, String> {
        let words = std::iter::once("request").chain(words.iter().copied());
        let args = Only::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .args;
        request(args).map_err(|error| error.to_string())
    }

    #[test]
    fn every_input_of_the_connectors_page() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.bin");
        std::fs::write(&path, [0, 255]).unwrap();
        let file = format!("content={}", path.display());
        let made = asked(&[
            "/2.0/x",
            "--method",
            "PURGE",
            "--form",
            "path=/a=b",
            "--file",
            &file,
            "--file-name",
            "content=b.bin",
            "--query",
            "k=1",
            "--query",
            "k=2",
            "--header",
            "X-A: b: c",
            "--response",
            "binary",
            "--timeout-ms",
            "1500",
            "--retry-delay-ms",
            "20",
            "--retry-all-errors",
            "--max-retries",
            "3",
            "--exponential-backoff",
        ])
        .unwrap();
        assert_eq!(
            (made.method.as_str(), made.url.as_str()),
            ("PURGE", "/2.0/x")
        );
        assert_eq!(made.form, [("path".to_owned(), "/a=b".to_owned())]);
        assert_eq!(made.files[0].data.as_ref(), [0, 255]);
        assert_eq!(made.files[0].file_name.as_deref(), Some("b.bin"));
        assert_eq!(made.query.len(), 2);
        assert_eq!(made.headers, [("X-A".to_owned(), "b: c".to_owned())]);
        assert_eq!(made.response_type, ResponseType::Binary);
        assert_eq!(made.timeout, Some(Duration::from_millis(1500)));
        assert_eq!(made.retry_delay, Duration::from_millis(20));
        assert!(made.retry_on_all_errors && made.exponential_backoff);
        assert_eq!(made.max_retries, 3);
    }

    #[test]
    fn defaults_are_those_of_the_page_and_a_body_makes_a_post() {
        let made = asked(&["2.0/x"]).unwrap();
        assert_eq!(
            (made.method.as_str(), made.response_type),
            ("GET", ResponseType::Json)
        );
        assert_eq!((made.retry_delay, made.max_retries), (Duration::ZERO, 0));
        assert!(!made.retry_on_all_errors && !made.exponential_backoff && made.timeout.is_none());
        assert_eq!(asked(&["/x", "-d", "{}"]).unwrap().method, "POST");
        assert_eq!(
            asked(&["/x", "-X", "PATCH", "-d", "{}"]).unwrap().method,
            "PATCH"
        );
    }

    #[test]
    fn what_does_not_go_together() {
        for words in [
            &[][..],
            &["/x", "--data", "a", "--form", "a=b"],
            &["/x", "--data", "a", "--file", "a=/dev/null"],
            &["/x", "--file-name", "a=b"],
            &["/x", "--file", "a=/dev/null", "--file-name", "b=c"],
            &["/x", "--form", "a"],
            &["/x", "--form", "=a"],
            &["/x", "--header", "nothing"],
            &["/x", "--response", "xml"],
            &["/x", "--max-retries", "-1"],
            &["/x", "--include", "--output", "f"],
            &["/x", "--data", "@/nowhere/at/all"],
        ] {
            assert!(asked(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_body_is_taken_from_a_file_whatever_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("body");
        let at = format!("@{}", path.display());
        std::fs::write(&path, [0xff]).unwrap();
        assert!(matches!(
            asked(&["/x", "-d", &at]).unwrap().data,
            Some(RawData::Bytes(_))
        ));
        std::fs::write(&path, "{}").unwrap();
        assert!(
            matches!(asked(&["/x", "-d", &at]).unwrap().data, Some(RawData::Text(text)) if text == "{}")
        );
    }

    #[test]
    fn bodies_as_they_are_printed() {
        assert_eq!(body(&RawBody::Text(String::new())), "");
        assert_eq!(body(&RawBody::Text("a".into())), "a\n");
        assert_eq!(body(&RawBody::Json(json!({}))), "{}\n");
        let answer = RawAnswer {
            status: 200,
            headers: vec![("etag".into(), "e".into())],
            body: RawBody::Binary(Bytes::from_static(&[0xff])),
            tries: 2,
            error: None,
        };
        assert_eq!(
            whole(&answer),
            json!({"status": 200, "tries": 2, "headers": [["etag", "e"]], "body_base64": "/w=="})
        );
    }
}
