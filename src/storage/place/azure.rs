//! URLs of Azure Blob Storage.

use super::{
    Account, Remote, Service,
    names::{check_account, of_host},
    split,
};

/// What follows the service in the host names of the public cloud.
pub(super) const PUBLIC: &str = "core.windows.net";
/// And in those of China, the US government and (gone) Germany.
const SOVEREIGN: [&str; 3] = [
    "core.chinacloudapi.cn",
    "core.usgovcloudapi.net",
    "core.cloudapi.de",
];

/// `CONTAINER[/PREFIX]`.
pub(super) fn short(rest: &str) -> Result<Remote, String> {
    let (container, prefix) = split(rest)?;
    if container.contains(['@', ':']) {
        return Err(
            "an az: URL names the container alone; the account is the `account` of a `[stores.NAME]`, or write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/…".into(),
        );
    }
    Remote::new(Service::Azure, container, None, prefix)
}

/// `CONTAINER@ACCOUNT.dfs.core.windows.net[/PREFIX]`.
pub(super) fn hadoop(rest: &str) -> Result<Remote, String> {
    let (authority, prefix) = split(rest)?;
    let Some((container, host)) = authority.split_once('@') else {
        return Err(
            "write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/…, or az://CONTAINER/… with the `account` in `[stores.NAME]`".into(),
        );
    };
    if container.contains(':') || host.contains('@') {
        return Err("a URL holds no password; credentials belong in `[stores.NAME]`".into());
    }
    Remote::new(Service::Azure, container, Some(account(host)?), prefix)
}

/// `ACCOUNT.blob.core.windows.net/CONTAINER[/PREFIX]`.
pub(super) fn web(rest: &str, secure: bool) -> Result<Remote, String> {
    if rest
        .split(['/', '?'])
        .next()
        .is_some_and(|a| a.contains('@'))
    {
        return Err(
            "a URL holds no user and password; credentials belong in `[stores.NAME]`".into(),
        );
    }
    let (host, path) = split(rest)?;
    if host.to_ascii_lowercase().ends_with(".amazonaws.com") {
        return Err(format!(
            "an S3 bucket is written s3://BUCKET/…, as in `s3://{}`",
            of_host(rest)
        ));
    }
    let account = account(host)?;
    if !secure {
        return Err("write https:".into());
    }
    let (container, prefix) = path.split_once('/').unwrap_or((path, ""));
    Remote::new(Service::Azure, container, Some(account), prefix)
}

/// The account of a host name.
fn account(host: &str) -> Result<Account, String> {
    let host = host.to_ascii_lowercase();
    let parts = host.split_once('.').and_then(|(name, rest)| {
        let suffix = rest
            .strip_prefix("dfs.")
            .or_else(|| rest.strip_prefix("blob."))?;
        (suffix == PUBLIC || SOVEREIGN.contains(&suffix)).then_some((name, suffix))
    });
    let Some((name, suffix)) = parts else {
        return Err(format!(
            "it is no address of Azure Blob Storage, as in ACCOUNT.blob.{PUBLIC}; write s3://BUCKET/… or az://CONTAINER/… and give another address of the service as `endpoint` of a `[stores.NAME]`, host=`{host}`"
        ));
    };
    check_account(name)?;
    Ok(Account {
        name: name.to_owned(),
        suffix: suffix.to_owned(),
    })
}
