//! What `config show`, `Debug` and error messages must not print (invariant 7).

use crate::databricks;

pub(super) const REDACTED: &str = "[redacted]";

/// Whether a librdkafka property holds a password, a key or a token, by its name. Names of files
/// (`ssl.key.location`) are not secret.
pub(super) fn is_secret_property(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if name.ends_with(".location") || name.ends_with(".file") || name.ends_with(".url") {
        return false;
    }
    [
        "password",
        "secret",
        "token",
        "key.pem",
        "pkcs12",
        "private",
        "credential",
        "assertion",
        "oauthbearer.config",
        "jaas",
        "passphrase",
    ]
    .iter()
    .any(|word| name.contains(word))
}

/// Hides the password of a JDBC URL, `user:password@` of any other, and the signature in its query. What stands before the `@` of an `abfss:` URL
/// is a container.
pub(super) fn mask_url(text: &str) -> String {
    if databricks::JdbcUrl::is_one(text) {
        return databricks::JdbcUrl::masked(text);
    }
    let text = &mask_signature(text);
    let Some(scheme_end) = text.find("://") else {
        return text.to_owned();
    };
    if text.starts_with("abfs") && text.matches([':', '@']).count() == 2 {
        return text.to_owned();
    }
    let authority = scheme_end + 3;
    let rest = text.get(authority..).unwrap_or_default();
    let end = rest.find('/').unwrap_or(rest.len());
    match rest.get(..end).and_then(|host| host.rfind('@')) {
        Some(at) => format!(
            "{}{REDACTED}{}",
            text.get(..authority).unwrap_or_default(),
            rest.get(at..).unwrap_or_default()
        ),
        None => text.to_owned(),
    }
}

fn mask_signature(text: &str) -> String {
    let Some((before, after)) = text.split_once("sig=") else {
        return text.to_owned();
    };
    let rest = after.find('&').and_then(|at| after.get(at..));
    format!("{before}sig={REDACTED}{}", rest.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_judged_by_their_names() {
        for secret in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
        ] {
            assert!(is_secret_property(secret), "{secret}");
        }
        for plain in [
            "security.protocol",
            "ssl.key.location",
            "ssl.ca.location",
            "sasl.username",
            "sasl.oauthbearer.token.endpoint.url",
        ] {
            assert!(!is_secret_property(plain), "{plain}");
        }
    }

    #[test]
    fn urls_lose_their_user() {
        assert_eq!(mask_url("https://u:p@h/x@y"), "https://[redacted]@h/x@y");
        assert_eq!(mask_url("./lake"), "./lake");
        assert_eq!(mask_url("file:///a@b"), "file:///a@b");
        assert_eq!(mask_url("abfss://c@a.dfs/x"), "abfss://c@a.dfs/x");
        assert_eq!(
            mask_url("abfss://c:p@a.dfs/x"),
            "abfss://[redacted]@a.dfs/x"
        );
        assert_eq!(
            mask_url("jdbc:spark://h;PWD=p;x=1"),
            "jdbc:spark://h;PWD=[redacted];x=1"
        );
        assert_eq!(
            mask_url("https://h/c?se=1&sig=p%3D&sp=r"),
            "https://h/c?se=1&sig=[redacted]&sp=r"
        );
    }
}
