//! JDBC URLs of Databricks, as connection dialogs show them.
//!
//! `jdbc:spark://HOST:443/default;transportMode=http;ssl=1;httpPath=sql/protocolv1/o/ORG/CLUSTER;AuthMech=3;UID=token;PWD=…`
//! and `jdbc:databricks://HOST:443/default;…;httpPath=/sql/1.0/warehouses/ID`. Properties stand in any order and case.

use super::{ClusterId, Host, WarehouseId, trace::REDACTED};

/// What a JDBC URL says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JdbcUrl {
    pub host: Host,
    pub compute: Option<Compute>,
    /// The workspace's id, which the path to a cluster holds.
    pub workspace_id: Option<String>,
    /// The schema behind the host, as `default`.
    pub schema: Option<String>,
    /// Whether it held a password or token. That was dropped: the credential belongs into `auth`.
    pub dropped_secret: bool,
}

/// What runs statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compute {
    Warehouse(WarehouseId),
    Cluster(ClusterId),
}

/// What the names of properties contain that hold secrets.
const SECRETS: [&str; 6] = [
    "pwd",
    "password",
    "secret",
    "token",
    "passphrase",
    "assertion",
];

fn is_secret(key: &str) -> bool {
    let key = key.trim().to_ascii_lowercase();
    SECRETS.iter().any(|word| key.contains(word))
}

impl JdbcUrl {
    /// Whether a text means to be one.
    pub fn is_one(text: &str) -> bool {
        text.trim_start()
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("jdbc:"))
    }

    /// The text with the values of secret properties struck out, as it may be kept and shown.
    pub fn masked(text: &str) -> String {
        if !Self::is_one(text) {
            return text.to_owned();
        }
        let masked = text.split(';').map(|part| match part.split_once('=') {
            Some((key, value)) if is_secret(key) && !value.trim().is_empty() => {
                format!("{key}={REDACTED}")
            }
            _ => part.to_owned(),
        });
        masked.collect::<Vec<_>>().join(";")
    }

    /// # Errors
    /// What is wrong, in words that quote nothing of the text but its host.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let rest =
            strip(text, "jdbc:").ok_or("is no JDBC URL, which begins with jdbc:databricks://")?;
        let rest = strip(rest, "databricks://")
            .or_else(|| strip(rest, "spark://"))
            .ok_or("is a JDBC URL of something else; one of Databricks begins with jdbc:databricks:// or jdbc:spark://")?;
        let mut parts = rest.split(';');
        let place = parts.next().unwrap_or_default();
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        if authority.contains(['@', '?', '#']) {
            return Err("has more than a host and a port before the first `/`".into());
        }
        let schema = Some(path.trim().trim_end_matches('/'))
            .filter(|schema| !schema.is_empty())
            .map(str::to_owned);
        let (mut http_path, mut ssl, mut dropped_secret) = (None, true, false);
        for part in parts {
            let Some((key, value)) = part.split_once('=') else {
                continue;
            };
            match key.trim().to_ascii_lowercase().as_str() {
                "httppath" => http_path = Some(value.trim()),
                "ssl" => ssl = value.trim() != "0",
                secret if is_secret(secret) && !value.trim().is_empty() => dropped_secret = true,
                _ => {}
            }
        }
        let host = match authority.contains("://") {
            true => return Err("has more than a host and a port before the first `/`".into()),
            // Loopback alone may go without TLS.
            false if !ssl => Host::parse(&format!("http://{authority}"))?,
            false => Host::parse(authority)?,
        };
        let (compute, workspace_id) = match http_path {
            Some(path) => compute(path)?,
            None => (None, None),
        };
        Ok(Self {
            host,
            compute,
            workspace_id,
            schema,
            dropped_secret,
        })
    }
}

fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let start = text.get(..prefix.len())?;
    start
        .eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

/// `sql/protocolv1/o/ORG/CLUSTER`, `/sql/1.0/warehouses/ID`, and of old `/sql/1.0/endpoints/ID`.
fn compute(path: &str) -> Result<(Option<Compute>, Option<String>), String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let legal = |id: &str| {
        !id.is_empty()
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match parts.as_slice() {
        [sql, version, kind, id]
            if sql.eq_ignore_ascii_case("sql")
                && version.starts_with(|c: char| c.is_ascii_digit())
                && ["warehouses", "endpoints"].contains(&kind.to_ascii_lowercase().as_str())
                && legal(id) =>
        {
            Ok((Some(Compute::Warehouse(WarehouseId::new(*id))), None))
        }
        [sql, protocol, o, org, cluster]
            if sql.eq_ignore_ascii_case("sql")
                && protocol.to_ascii_lowercase().starts_with("protocolv")
                && o.eq_ignore_ascii_case("o")
                && org.bytes().all(|b| b.is_ascii_digit())
                && legal(cluster) =>
        {
            // 0 stands for a workspace whose id the form does not say.
            let org = Some(*org).filter(|org| org.bytes().any(|b| b != b'0')).map(str::to_owned);
            Ok((Some(Compute::Cluster(ClusterId::new(*cluster))), org))
        }
        _ => Err("has an httpPath that is neither of a warehouse (/sql/1.0/warehouses/ID) nor of a cluster (sql/protocolv1/o/ORG/CLUSTER)".into()),
    }
}

/// The JDBC URL of what runs statements, as connection dialogs want it. It holds no credential.
pub fn jdbc_url(host: &Host, workspace_id: &str, compute: &Compute) -> String {
    let name = host.url().host_str().unwrap_or_default();
    let port = host.url().port_or_known_default().unwrap_or(443);
    match compute {
        Compute::Warehouse(id) => format!(
            "jdbc:databricks://{name}:{port}/default;transportMode=http;ssl=1;AuthMech=3;httpPath=/sql/1.0/warehouses/{id}"
        ),
        Compute::Cluster(id) => format!(
            "jdbc:spark://{name}:{port}/default;transportMode=http;ssl=1;httpPath=sql/protocolv1/o/{workspace_id}/{id};AuthMech=3"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLUSTER: &str = "jdbc:spark://dbc-1a2b.cloud.databricks.com:443/default;transportMode=http;ssl=1;httpPath=sql/protocolv1/o/1234567890/0123-456789-abcdefgh;AuthMech=3;UID=token;PWD=planted-7f3a9c";

    #[test]
    fn both_forms_are_read() {
        let url = JdbcUrl::parse(CLUSTER).unwrap();
        assert_eq!(
            url.host.to_string(),
            "https://dbc-1a2b.cloud.databricks.com"
        );
        assert_eq!(
            url.compute,
            Some(Compute::Cluster(ClusterId::new("0123-456789-abcdefgh")))
        );
        assert_eq!(url.workspace_id.as_deref(), Some("1234567890"));
        assert_eq!(url.schema.as_deref(), Some("default"));
        assert!(url.dropped_secret && !format!("{url:?}").contains("planted"));
        for text in [
            "jdbc:databricks://h.cloud.databricks.com:443/default;httpPath=/sql/1.0/warehouses/1234567890abcdef;AuthMech=3",
            " JDBC:Databricks://h.cloud.databricks.com;HTTPPATH=sql/1.0/endpoints/1234567890abcdef;; ",
            "jdbc:databricks://h.cloud.databricks.com:443;ssl=1;httppath=/SQL/1.0/Warehouses/1234567890abcdef/;PWD=",
        ] {
            let url = JdbcUrl::parse(text).unwrap();
            assert_eq!(
                url.host.to_string(),
                "https://h.cloud.databricks.com",
                "{text}"
            );
            assert_eq!(
                url.compute,
                Some(Compute::Warehouse(WarehouseId::new("1234567890abcdef"))),
                "{text}"
            );
            assert!(!url.dropped_secret, "{text}");
        }
        let plain = JdbcUrl::parse("jdbc:spark://h.cloud.databricks.com:8443/").unwrap();
        assert_eq!(
            plain.host.to_string(),
            "https://h.cloud.databricks.com:8443"
        );
        assert_eq!((plain.compute, plain.schema), (None, None));
    }

    #[test]
    fn what_is_none_is_told_without_its_secret() {
        for text in [
            "jdbc:mysql://h/db;PWD=planted",
            "https://h",
            "jdbc:spark://user:planted@h.cloud.databricks.com/x",
            "jdbc:spark://h.cloud.databricks.com;httpPath=planted;PWD=planted",
            "jdbc:spark://h.cloud.databricks.com;httpPath=sql/protocolv1/o/x/planted",
            "jdbc:spark://;PWD=planted",
            "jdbc:spark://h.cloud.databricks.com;ssl=0;PWD=planted",
            "jdbc:",
        ] {
            let error = JdbcUrl::parse(text).unwrap_err();
            assert!(!error.contains("planted"), "{error}");
        }
    }

    #[test]
    fn a_text_is_kept_without_its_secret() {
        let masked = JdbcUrl::masked(CLUSTER);
        assert_eq!(masked, CLUSTER.replace("planted-7f3a9c", REDACTED));
        assert!(JdbcUrl::parse(&masked).unwrap().dropped_secret);
        assert_eq!(JdbcUrl::masked("h.example;PWD=x"), "h.example;PWD=x");
        assert_eq!(
            JdbcUrl::masked("jdbc:spark://h; Auth_JWT_Key_Passphrase =x;SSLTrustStorePwd=y;UID=z"),
            format!(
                "jdbc:spark://h; Auth_JWT_Key_Passphrase ={REDACTED};SSLTrustStorePwd={REDACTED};UID=z"
            )
        );
    }

    #[test]
    fn one_made_is_one_read() {
        let host = Host::parse("h.cloud.databricks.com").unwrap();
        // As connection dialogs show it, less the credential.
        let read = JdbcUrl::parse(CLUSTER).unwrap();
        let (shown, _) = CLUSTER.split_once(";UID=").unwrap();
        assert_eq!(
            jdbc_url(&read.host, "1234567890", &read.compute.unwrap()),
            shown
        );
        for compute in [
            Compute::Warehouse(WarehouseId::new("1234567890abcdef")),
            Compute::Cluster(ClusterId::new("0123-456789-abcdefgh")),
        ] {
            let read = JdbcUrl::parse(&jdbc_url(&host, "42", &compute)).unwrap();
            assert_eq!((read.host, read.compute), (host.clone(), Some(compute)));
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_password_shows(text in "\\PC{0,40}", tail in "\\PC{0,20}") {
            let _ = JdbcUrl::parse(&text);
            let whole = format!("jdbc:spark://{text};PWD=planted7f3a{tail}");
            match JdbcUrl::parse(&whole) {
                Ok(url) => {
                    let shown = format!("{url:?}");
                    prop_assert!(!shown.contains("planted7f3a"), "{}", shown);
                }
                Err(error) => prop_assert!(!error.contains("planted7f3a"), "{}", error),
            }
        }

        #[test]
        fn the_order_of_properties_does_not_matter(order in Just(vec!["ssl=1", "httpPath=/sql/1.0/warehouses/ab12", "AuthMech=3", "UID=token", "PWD=x"]).prop_shuffle()) {
            let url = JdbcUrl::parse(&format!("jdbc:databricks://h.cloud.databricks.com:443/default;{};", order.join(";"))).unwrap();
            prop_assert_eq!(url.compute, Some(Compute::Warehouse(WarehouseId::new("ab12"))));
            prop_assert!(url.dropped_secret);
        }
    }
}
