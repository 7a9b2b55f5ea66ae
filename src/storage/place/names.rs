//! Names of buckets, containers and accounts, and the slips people make with them.

use super::Service;

/// What stands for a name in documentation, with `-` for `_` and for spaces.
const PLACEHOLDERS: [&str; 13] = [
    "replace-me",
    "replaceme",
    "change-me",
    "changeme",
    "your-bucket",
    "your-container",
    "your-account",
    "your-role",
    "your-key",
    "your-prefix",
    "your-folder",
    "your-path",
    "amzn-s3-demo",
];

/// Whether a value is one that a person was to replace: `<YOUR-BUCKET-NAME>`, `{bucket}`, `REPLACE-ME`.
pub(crate) fn is_placeholder(text: &str) -> bool {
    plain(text).starts_with("your-") || holds_placeholder(text)
}

/// Whether a path holds such a value. Folders may well begin with `your_`.
pub(crate) fn holds_placeholder(text: &str) -> bool {
    let enclosed = |open: char, close: char| {
        text.split_once(open)
            .and_then(|(_, rest)| rest.split_once(close))
            .is_some_and(|(inside, _)| !inside.is_empty())
    };
    let plain = plain(text);
    enclosed('<', '>')
        || enclosed('{', '}')
        || PLACEHOLDERS.iter().any(|word| holds_word(&plain, word))
}

fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '_' | ' ' => '-',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

/// Whether a word stands in a text with no letter or digit beside it: `exchange-messages` holds no `change-me`.
fn holds_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.into_iter().chain(after).any(char::is_alphanumeric)
    })
}

/// The names that S3 and Azure take.
///
/// S3: "General purpose bucket naming rules"; Azure: "Naming and referencing containers, blobs, and metadata".
pub(crate) fn check_bucket(service: Service, name: &str) -> Result<(), String> {
    let what = match service {
        Service::S3 => "bucket",
        Service::Azure => "container",
    };
    if name.is_empty() {
        return Err(format!("it names no {what}"));
    }
    if is_placeholder(name) {
        return Err(format!(
            "the {what} is a placeholder that was not replaced, {what}=`{name}`"
        ));
    }
    let wrong = |reason: &str| Err(format!("{reason}, {what}=`{name}`"));
    let lower = name.to_ascii_lowercase();
    if lower != *name {
        return wrong(&format!(
            "names of {what}s are in lower case, as in `{lower}`"
        ));
    }
    let dots = service == Service::S3;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if let Some(c) = name.chars().find(|&c| !(legal(c) || dots && c == '.')) {
        let more = if dots { ", `.`" } else { "" };
        return wrong(&format!(
            "names of {what}s have lower-case letters, digits{more} and `-`, not {c:?}"
        ));
    }
    if !(3..=63).contains(&name.len()) {
        return wrong(&format!("names of {what}s have 3 to 63 characters"));
    }
    if name.starts_with(['-', '.']) || name.ends_with(['-', '.']) {
        return wrong(&format!(
            "names of {what}s begin and end with a letter or a digit"
        ));
    }
    match service {
        Service::Azure if name.contains("--") => {
            wrong("names of containers have no two `-` in a row")
        }
        Service::S3 if name.contains("..") => wrong("names of buckets have no two dots in a row"),
        Service::S3 if name.parse::<std::net::Ipv4Addr>().is_ok() => wrong(
            "an IP address is no bucket's name; another address of the service is the `endpoint` of a `[stores.NAME]`",
        ),
        Service::S3 if name.starts_with("xn--") || name.starts_with("sthree-") => {
            wrong("names of buckets do not begin so")
        }
        _ => Ok(()),
    }
}

/// Names of storage accounts: 3 to 24 lower-case letters and digits.
pub(crate) fn check_account(name: &str) -> Result<(), String> {
    if is_placeholder(name) {
        return Err(format!(
            "the account is a placeholder that was not replaced, account=`{name}`"
        ));
    }
    let legal = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    match legal && (3..=24).contains(&name.len()) {
        true => Ok(()),
        false => Err(format!(
            "names of storage accounts have 3 to 24 lower-case letters and digits, account=`{name}`"
        )),
    }
}

/// Names of regions, as in `eu-central-1`; those of compatible stores may be any word.
pub(crate) fn check_region(name: &str) -> Result<(), String> {
    let legal = !name.is_empty()
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    match legal {
        true => Ok(()),
        false => Err("is no region, as in `eu-central-1`".into()),
    }
}

/// Refuses what is more than a name, with the name that was probably meant.
pub(super) fn only_a_name(text: &str) -> Result<(), String> {
    let meant = |name: &str| {
        format!("give the bucket's name alone, without URL, scheme or path, as in `{name}`")
    };
    if text.is_empty() {
        return Err("name the bucket".into());
    }
    if text.trim() != text {
        return Err("it starts or ends with a space".into());
    }
    if let Some(name) = text
        .strip_prefix("arn:")
        .and_then(|_| text.rsplit(':').next())
    {
        return Err(meant(first(name)));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let rest = rest.rsplit('@').next().unwrap_or(rest);
        return Err(meant(match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => of_host(rest),
            _ => first(rest),
        }));
    }
    if text.to_ascii_lowercase().ends_with(".amazonaws.com") {
        return Err(meant(of_host(text)));
    }
    if text.contains('/') {
        return Err(format!(
            "{}; for a folder in it write `url = \"s3://{}\"`",
            meant(first(text)),
            text.trim_matches('/')
        ));
    }
    Ok(())
}

fn first(path: &str) -> &str {
    path.split(['/', '?', '#'])
        .find(|part| !part.is_empty())
        .unwrap_or_default()
}

/// The bucket that an address of S3 names: in the host (`x.s3.eu-central-1.amazonaws.com`) or first in the path.
pub(super) fn of_host(rest: &str) -> &str {
    let host = first(rest);
    let in_host = host
        .find(".s3.")
        .or_else(|| host.find(".s3-"))
        .and_then(|at| host.get(..at));
    match in_host {
        Some(bucket) => bucket,
        None => first(rest.get(host.len()..).unwrap_or_default()),
    }
}
