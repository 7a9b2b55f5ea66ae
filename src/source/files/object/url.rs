//! Inputs in object stores as they are written: a URL whose path may be a pattern.
//!
//! Names, not text: a store is found by the plain names that a URL begins with, and what follows them is a path in
//! that store. The literal folders a pattern begins with are what the store is asked to list. `%XX` stands for a
//! byte of a name and never for a pattern: an object called `a[1].json` is `a%5B1%5D.json`.

use super::{super::FilesError, InputStores, Served};
use crate::storage;
use glob::Pattern;
use object_store::{ObjectStore, path::Path};
use std::{fmt::Write, sync::Arc};

/// The longest path that a store is found by.
const MAX_PLACE_BYTES: usize = 256;

/// One input, read.
#[derive(Clone, Debug)]
pub(crate) struct ObjectUrl {
    /// `scheme://authority`
    base: String,
    segments: Vec<Segment>,
    /// It ends in `/`: a folder, never an object.
    pub(crate) folder: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Segment {
    /// Percent-encoded, its pattern characters as they are.
    text: String,
    names: Names,
}

/// What a segment stands for.
#[derive(Clone, Debug)]
enum Names {
    Literal(String),
    Like(Pattern),
    /// `**`: any number of folders.
    Folders,
}

impl ObjectUrl {
    /// Reads an input that has a scheme.
    ///
    /// Errors: a query (signatures stand in queries, and a manifest is kept for ever), a name between
    /// two slashes that is empty, `.` or `..`, a pattern that is none. The query is in no message.
    pub(crate) fn parse(input: &str) -> Result<Self, FilesError> {
        let shown = input.split('?').next().unwrap_or_default();
        let bad = |reason: &str| FilesError::BadObjectUrl {
            input: shown.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = input
            .split_once("://")
            .ok_or_else(|| bad("it has no `://`"))?;
        let scheme = scheme.to_ascii_lowercase();
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        let signed = query.to_ascii_lowercase();
        if (rest.contains('?') && scheme.starts_with("http"))
            || signed.contains("sig=")
            || signed.contains("x-amz-")
        {
            return Err(bad(
                "it has a query; give a signature as the credentials of a [stores] entry, for the manifest keeps URLs, and write `?` in a name as %3F",
            ));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains(['*', '?', '[', ']']) {
            return Err(bad(
                "a pattern cannot stand in the bucket, container or account",
            ));
        }
        let folder = path.ends_with('/') || path.is_empty();
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = Vec::new();
        if !path.is_empty() {
            for text in path.split('/') {
                segments.push(Segment::parse(text).map_err(|reason| bad(&reason))?);
            }
        }
        if scheme.starts_with("http") && segments.first().is_none_or(Segment::is_pattern) {
            return Err(bad("name the container behind the host"));
        }
        Ok(Self {
            base: format!("{scheme}://{authority}"),
            segments,
            folder,
        })
    }

    /// Finds its store.
    pub(crate) fn locate(&self, stores: &dyn InputStores) -> Result<Located<'_>, FilesError> {
        let literal = self
            .segments
            .iter()
            .take_while(|segment| !segment.is_pattern())
            .count();
        let (literal, pattern) = self.segments.split_at(literal);
        let (mut place, mut path_bytes, mut plain) = (self.base.clone(), 0, 0);
        // Behind a host stands the container. Other names may look like placeholders, but no store is found by such.
        let container = usize::from(self.base.starts_with("http"));
        for segment in literal {
            path_bytes += segment.text.len() + 1;
            let odd = !segment.is_plain()
                || (plain >= container && storage::holds_placeholder(&segment.text));
            if odd || path_bytes > MAX_PLACE_BYTES {
                break;
            }
            place = format!("{place}/{}", segment.text);
            plain += 1;
        }
        let Served { store, path, url } = stores.open_url(&place)?;
        let mut bucket = url.as_str().trim_end_matches('/');
        for _ in path.parts() {
            bucket = bucket.rsplit_once('/').map_or(bucket, |(above, _)| above);
        }
        let mut names: Vec<&str> = Vec::new();
        if !path.is_root() {
            names.extend(path.as_ref().split('/'));
        }
        names.extend(literal[plain..].iter().filter_map(Segment::literal));
        Ok(Located {
            store,
            path: Path::parse(names.join("/")).map_err(|e| FilesError::BadObjectUrl {
                input: place,
                reason: e.to_string(),
            })?,
            pattern,
            folder: self.folder,
            bucket: bucket.to_owned(),
        })
    }
}

/// An input with its store.
pub(crate) struct Located<'a> {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The object or folder that the literal part names.
    pub(crate) path: Path,
    /// What follows it.
    pub(crate) pattern: &'a [Segment],
    pub(crate) folder: bool,
    /// The URL of the bucket, without a slash at its end.
    bucket: String,
}

impl Located<'_> {
    /// The input in the one spelling that all spellings of it share.
    pub(crate) fn canonical(&self) -> String {
        let mut text = self.url_of(&self.path);
        for segment in self.pattern {
            text = format!("{text}/{}", segment.text);
        }
        if self.folder && !text.ends_with('/') {
            text.push('/');
        }
        text
    }

    /// The URL of an object of the store, which reads as this object alone.
    pub(crate) fn url_of(&self, path: &Path) -> String {
        path.parts().fold(self.bucket.clone(), |url, name| {
            format!("{url}/{}", encode(name.as_ref()))
        })
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut name, mut pattern, mut plain) = (Vec::new(), Vec::new(), String::new());
        let (mut rest, mut is_pattern) = (text.as_bytes(), false);
        while let Some((&byte, behind)) = rest.split_first() {
            let escaped = behind
                .get(..2)
                .filter(|hex| byte == b'%' && hex.iter().all(u8::is_ascii_hexdigit))
                .and_then(|hex| std::str::from_utf8(hex).ok())
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            rest = &behind[if escaped.is_some() { 2 } else { 0 }..];
            let special = matches!(byte, b'*' | b'?' | b'[' | b']');
            is_pattern |= matches!(byte, b'*' | b'?' | b'[');
            let byte = escaped.unwrap_or(byte);
            name.push(byte);
            if special {
                pattern.push(byte);
                plain.push(char::from(byte));
                continue;
            }
            encode_byte(&mut plain, byte);
            match byte {
                b'*' | b'?' | b'[' | b']' => pattern.extend_from_slice(&[b'[', byte, b']']),
                byte => pattern.push(byte),
            }
        }
        let text_of =
            |bytes| String::from_utf8(bytes).map_err(|_| "a name is not UTF-8".to_owned());
        let name = text_of(name)?;
        if matches!(name.as_str(), "" | "." | "..") {
            return Err("a name between two slashes is empty, `.` or `..`".into());
        }
        if name.contains('/') {
            return Err("a name holds an encoded slash".into());
        }
        let names =
            match (is_pattern, text) {
                (false, _) => {
                    // A `]` that closes nothing is a letter.
                    plain = encode(&name);
                    Names::Literal(name)
                }
                (true, "**") => Names::Folders,
                (true, _) => Names::Like(Pattern::new(&text_of(pattern)?).map_err(|e| {
                    format!("{e} in the pattern `{text}`; write `[` in a name as %5B")
                })?),
            };
        Ok(Self { text: plain, names })
    }

    fn is_pattern(&self) -> bool {
        self.literal().is_none()
    }

    fn literal(&self) -> Option<&str> {
        match &self.names {
            Names::Literal(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it is spelled alike, encoded or not.
    fn is_plain(&self) -> bool {
        self.literal() == Some(&self.text)
    }

    /// Whether it names this object or folder. As in a shell, a wildcard at the front names nothing
    /// hidden; here neither what begins with `_`, which writers keep for themselves.
    fn is(&self, name: &str) -> bool {
        match &self.names {
            Names::Literal(literal) => literal == name,
            Names::Like(pattern) => {
                let spelled = pattern.as_str().as_bytes().first() == name.as_bytes().first();
                pattern.matches(name) && (spelled || !is_hidden(name))
            }
            Names::Folders => !is_hidden(name),
        }
    }
}

/// Whether the object with these names below the literal part is an input: the pattern names it, or
/// it is of a known format and below a folder that the pattern names. `plain` says whether it may be taken
/// for its name alone, `known` whether its name is of a known format.
pub(crate) fn names(pattern: &[Segment], below: &[&str], plain: bool, known: bool) -> bool {
    match pattern.split_first() {
        None if below.is_empty() => plain,
        None => known && !below.iter().any(|name| is_hidden(name)),
        Some((first, rest)) if matches!(first.names, Names::Folders) => (0..below.len())
            .take_while(|&n| n == 0 || first.is(below[n - 1]))
            .any(|n| names(rest, &below[n..], plain, known)),
        Some((first, rest)) => below
            .split_first()
            .is_some_and(|(name, below)| first.is(name) && names(rest, below, plain, known)),
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// A name as a segment of a URL: neither a pattern nor anything else than itself.
fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    name.bytes().for_each(|byte| encode_byte(&mut text, byte));
    text
}

fn encode_byte(text: &mut String, byte: u8) {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(char::from(byte)),
        b'-' | b'.' | b'_' | b'~' | b'=' | b'+' | b'@' | b':' | b',' | b'!' => {
            text.push(char::from(byte));
        }
        // Writing to a String cannot fail.
        byte => drop(write!(text, "%{byte:02X}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::object_tests::Memory, *};

    fn canonical(input: &str) -> String {
        let url = ObjectUrl::parse(input).unwrap();
        url.locate(&Memory::default()).unwrap().canonical()
    }

    #[test]
    fn one_form_for_every_spelling() {
        for (input, want) in [
            ("S3://bucket/a/b.json", "s3://bucket/a/b.json"),
            ("s3a://bucket/a/b.json", "s3://bucket/a/b.json"),
            ("s3://bucket", "s3://bucket/"),
            ("s3://bucket/", "s3://bucket/"),
            ("s3://bucket/a", "s3://bucket/a"),
            ("s3://bucket/a/", "s3://bucket/a/"),
            ("s3://bucket/a/*/", "s3://bucket/a/*/"),
            ("s3://bucket/a b/ü.json", "s3://bucket/a%20b/%C3%BC.json"),
            ("s3://bucket/a%20b/%61.json", "s3://bucket/a%20b/a.json"),
            (
                "s3://bucket/d=1/[ab]?%2A.json",
                "s3://bucket/d=1/[ab]?%2A.json",
            ),
            ("s3://bucket/100%.json", "s3://bucket/100%25.json"),
            ("s3://bucket/%+1.json", "s3://bucket/%25+1.json"),
            ("s3://bucket/a].json", "s3://bucket/a%5D.json"),
        ] {
            assert_eq!(canonical(input), want);
            assert_eq!(canonical(want), want, "reads as it was written");
        }
    }

    #[test]
    fn the_literal_part_and_the_pattern() {
        let long = "x".repeat(200);
        for (input, path, rest) in [
            ("s3://b/x/y.json", "x/y.json", 0),
            ("s3://b/x/2026-*/y.json", "x", 2),
            ("s3://b/*.json", "", 1),
            ("s3://b/x/**/y", "x", 2),
            ("s3://b/x/%5B1%5D.json", "x/[1].json", 0),
            ("s3://b/a%2520b/{c}/100%/*", "a%20b/{c}/100%", 1),
            (
                &format!("s3://b/{long}/{long}/a"),
                &format!("{long}/{long}/a"),
                0,
            ),
        ] {
            let url = ObjectUrl::parse(input).unwrap();
            let located = url.locate(&Memory::default()).unwrap();
            let found = (located.path.as_ref(), located.pattern.len());
            assert_eq!(found, (path, rest), "{input}");
        }
    }

    /// Refuses what the stores of a configuration refuse.
    #[derive(Debug)]
    struct Strict(Memory);

    impl InputStores for Strict {
        fn open_url(&self, url: &str) -> storage::Result<Served> {
            storage::Place::parse(url)?;
            self.0.open_url(url)
        }
    }

    #[test]
    fn a_key_may_look_like_a_placeholder() {
        for input in [
            "s3://bucket/exchange_messages/a.json",
            "s3://bucket/your_events/a.json",
            "s3://bucket/x/change-me/replaceme.json",
            "s3://bucket/your-key.json",
        ] {
            let url = ObjectUrl::parse(input).unwrap();
            let located = url.locate(&Strict(Memory::default())).unwrap();
            assert_eq!(located.canonical(), input);
        }
        let url = ObjectUrl::parse("s3://your-bucket/a.json").unwrap();
        assert!(url.locate(&Strict(Memory::default())).is_err());
    }

    #[test]
    fn what_is_no_input_is_refused_without_its_query() {
        for input in [
            "s3://b/a//b",
            "s3://b/a%2Fb",
            "s3://b/../b",
            "s3://b/%2e%2E/b",
            "s3://b/[a",
            "s3://b*/a",
            "https://account.blob.core.windows.net/",
            "https://account.blob.core.windows.net/*/a",
            "https://account.blob.core.windows.net/c/a.json?sv=1&sig=secret",
            "s3://b/a.json?X-Amz-Signature=secret",
            "az://c/a.json?sv=1&SIG=secret",
        ] {
            let error = ObjectUrl::parse(input).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    fn is_input(pattern: &str, key: &str) -> bool {
        let url = ObjectUrl::parse(&format!("s3://b/{pattern}")).unwrap();
        let names_of: Vec<&str> = key.split('/').collect();
        let located = url.locate(&Memory::default()).unwrap();
        names(located.pattern, &names_of, true, key.ends_with(".json"))
    }

    #[test]
    fn patterns_name_what_a_shell_would() {
        for (pattern, key, want) in [
            ("*.json", "a.json", true),
            ("*.json", "x/a.json", false),
            ("*.txt", "a.txt", true),
            ("*.json", ".a.json", false),
            ("*", "_SUCCESS", false),
            ("*", "x/_temporary/a.json", false),
            ("_*", "_SUCCESS", true),
            ("d=*/*.json", "d=1/a.json", true),
            ("d=?", "d=1/a.json", true),
            ("d=?", "d=1/a.txt", false),
            ("d=?", "d=1/x/y/a.json", true),
            ("d=?", "d=12/a.json", false),
            ("**/a.json", "a.json", true),
            ("**/a.json", "x/y/a.json", true),
            ("**/a.json", "x/.y/a.json", false),
            ("**/a.json", "x/_y/a.json", false),
            ("**", "x/y/a.json", true),
            ("**", "x/y/a.txt", false),
            ("x*/**/*.json", "x1/y/z/b.json", true),
            ("x*/**/*.json", "x1/b.json", true),
            ("*%5B1%5D.json", "a[1].json", true),
            ("*%5B1%5D.json", "a1.json", false),
            ("*[!a].json", "b.json", true),
        ] {
            assert_eq!(is_input(pattern, key), want, "{pattern} {key}");
        }
    }
}
