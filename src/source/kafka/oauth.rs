//! OAUTHBEARER tokens from a file or a command.

use super::{OauthOptions, error::KafkaSourceError};
use crate::secret::Secret;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    io::Read,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// A token as librdkafka wants it.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) value: Secret,
    pub(crate) principal: String,
    /// When it ends, in milliseconds since the epoch.
    pub(crate) expires_ms: i64,
}

/// Reads a token. Blocks, at most ten seconds. `now_ms`: milliseconds since the epoch.
pub(crate) fn fetch(options: &OauthOptions, now_ms: i64) -> Result<Token, KafkaSourceError> {
    let text = match (&options.token_file, &options.token_command) {
        (Some(path), _) => std::fs::read_to_string(path).map_err(|e| {
            KafkaSourceError::Token(format!("{e}, oauth.token_file=`{}`", path.display()))
        })?,
        (None, Some(command)) => run(command)?,
        (None, None) => {
            return Err(KafkaSourceError::Token(
                "set oauth.token_file or oauth.token_command".into(),
            ));
        }
    };
    let value = text.trim();
    if value.is_empty() || value.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(KafkaSourceError::Token(
            "the file or command must give one token and nothing else".into(),
        ));
    }
    let claims = claims(value).unwrap_or_default();
    let expires_ms = match (claims["exp"].as_f64(), options.lifetime_seconds) {
        (Some(exp), _) => (exp * 1_000.0) as i64,
        (None, Some(seconds)) => now_ms + (seconds * 1_000.0) as i64,
        (None, None) => {
            return Err(KafkaSourceError::Token(
                "the token has no `exp` claim; set oauth.lifetime_seconds".into(),
            ));
        }
    };
    if expires_ms <= now_ms {
        return Err(KafkaSourceError::Token(
            "the token has expired; renew the file or mend the command".into(),
        ));
    }
    let principal = options
        .principal
        .clone()
        .or_else(|| claims["sub"].as_str().map(str::to_owned))
        .unwrap_or_default();
    Ok(Token {
        value: Secret::new(value),
        principal,
        expires_ms,
    })
}

/// The claims of a JWT (RFC 7519, section 3), unverified: the broker judges the token, not we.
fn claims(token: &str) -> Option<serde_json::Value> {
    let body = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn run(command: &[String]) -> Result<String, KafkaSourceError> {
    let fail = |what: String| KafkaSourceError::Token(format!("oauth.token_command {what}"));
    let Some((program, arguments)) = command.split_first() else {
        return Err(fail("names no program".into()));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| fail(format!("cannot be started: {e}, program=`{program}`")))?;
    let reader = child.stdout.take().map(|out| {
        std::thread::spawn(move || {
            let mut text = String::new();
            out.take(MAX_TOKEN_BYTES)
                .read_to_string(&mut text)
                .map(|_| text)
        })
    });
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < COMMAND_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(fail(format!(
                    "took more than ten seconds, program=`{program}`"
                )));
            }
            Err(e) => {
                return Err(fail(format!(
                    "cannot be waited for: {e}, program=`{program}`"
                )));
            }
        }
    };
    if !status.success() {
        return Err(fail(format!("failed: {status}, program=`{program}`")));
    }
    // A grandchild may hold the pipe open after the program ended.
    while reader.as_ref().is_some_and(|r| !r.is_finished()) && begun.elapsed() < COMMAND_TIMEOUT {
        std::thread::sleep(Duration::from_millis(5));
    }
    match reader {
        Some(reader) if reader.is_finished() => match reader.join() {
            Ok(Ok(text)) => Ok(text),
            _ => Err(fail(format!("gave no text, program=`{program}`"))),
        },
        _ => Err(fail(format!(
            "did not close its output, program=`{program}`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_jwt_tells_its_own_end_and_principal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, jwt(r#"{"exp":2000,"sub":"svc"}"#) + "\n").unwrap();
        let options = OauthOptions {
            token_file: Some(path),
            ..OauthOptions::default()
        };
        let token = fetch(&options, 1_000_000).unwrap();
        assert_eq!(token.expires_ms, 2_000_000);
        assert_eq!(token.principal, "svc");
        assert!(!format!("{token:?}").contains("sig"));
        assert!(
            fetch(&options, 3_000_000).is_err(),
            "an expired token is not handed on"
        );
    }

    #[test]
    fn a_command_gives_an_opaque_token_with_a_stated_lifetime() {
        let mut options = OauthOptions {
            token_command: Some(vec!["echo".into(), "opaque".into()]),
            ..OauthOptions::default()
        };
        assert!(fetch(&options, 0).is_err(), "a lifetime is needed");
        options.lifetime_seconds = Some(60.0);
        let token = fetch(&options, 0).unwrap();
        assert_eq!((token.value.expose(), token.expires_ms), ("opaque", 60_000));
        options.token_command = Some(vec!["false".into()]);
        assert!(fetch(&options, 0).is_err());
        options.token_command = Some(vec!["/no/such/program".into()]);
        assert!(fetch(&options, 0).is_err());
    }
}
