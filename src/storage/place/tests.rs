//! Every spelling of a place, and every slip.

use super::*;
use crate::error::Kind;

fn remote(text: &str) -> Remote {
    match Place::parse(text) {
        Ok(Place::Remote(remote)) => remote,
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn refused(text: &str, words: &str) {
    let error = Place::parse(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Config, "{text}");
    let told = error.to_string();
    assert!(told.contains(words), "{text}: {told}");
    assert!(!told.contains("hunter"), "{told}");
}

#[test]
fn every_spelling_has_one_canonical_url() {
    for (text, url, bucket, prefix) in [
        ("s3://raw", "s3://raw/", "raw", ""),
        ("s3://raw/", "s3://raw/", "raw", ""),
        ("S3A://raw/a/b/", "s3://raw/a/b/", "raw", "a/b"),
        ("s3://raw/a@b", "s3://raw/a@b/", "raw", "a@b"),
        (
            "s3://my.raw-1/a b/é",
            "s3://my.raw-1/a%20b/%C3%A9/",
            "my.raw-1",
            "a b/é",
        ),
        ("az://raw/lake", "az://raw/lake/", "raw", "lake"),
        (
            "abfss://raw@acme1.dfs.core.windows.net/lake",
            "abfss://raw@acme1.dfs.core.windows.net/lake/",
            "raw",
            "lake",
        ),
        (
            "abfs://raw@ACME1.blob.core.windows.net",
            "abfss://raw@acme1.dfs.core.windows.net/",
            "raw",
            "",
        ),
        (
            "https://acme1.blob.core.windows.net/raw/lake/",
            "abfss://raw@acme1.dfs.core.windows.net/lake/",
            "raw",
            "lake",
        ),
        (
            "https://acme1.dfs.core.chinacloudapi.cn/raw",
            "abfss://raw@acme1.dfs.core.chinacloudapi.cn/",
            "raw",
            "",
        ),
        (
            "https://acme1.blob.core.usgovcloudapi.net/raw/x",
            "abfss://raw@acme1.dfs.core.usgovcloudapi.net/x/",
            "raw",
            "x",
        ),
    ] {
        let place = remote(text);
        assert_eq!(place.url().as_str(), url, "{text}");
        assert_eq!(place.bucket(), bucket, "{text}");
        assert_eq!(place.prefix().as_ref(), prefix, "{text}");
        assert_eq!(
            Path::from_url_path(place.url().path()).unwrap(),
            *place.prefix(),
            "{text}"
        );
        // The canonical URL is a spelling too (a path in it would be decoded, so plain ones only).
        if !url.contains('%') {
            assert_eq!(remote(url), place, "{text}");
        }
    }
}

#[test]
fn sovereign_accounts_have_their_own_address() {
    let place = remote("abfss://raw@acme1.dfs.core.usgovcloudapi.net/x");
    let account = place.account().unwrap();
    assert_eq!(
        account.endpoint(),
        "https://acme1.blob.core.usgovcloudapi.net"
    );
    assert!(!account.is_public());
    assert!(Account::public("acme1").is_public());
}

#[test]
fn secrets_are_no_part_of_a_url() {
    refused("s3://key:hunter2@raw/x", "type = \"static\"");
    refused("s3://key:hun/hunter2@raw/x", "type = \"static\"");
    refused("s3://raw/x?X-Amz-Signature=hunter2", "no query");
    let sas = "https://acme1.blob.core.windows.net/raw?sv=2022-11-02&sig=hunter2%3D";
    refused(sas, "type = \"sas\"");
    refused(sas, "file:PATH");
    refused("az://raw/x?sig=hunter2", "type = \"sas\"");
    refused(
        "abfss://raw:hunter2@acme1.dfs.core.windows.net/",
        "no password",
    );
    refused(
        "https://user:hunter2@acme1.blob.core.windows.net/raw",
        "no user",
    );
    refused("s3://raw/x#hunter2", "`#`");
    assert_eq!(
        redacted("abfss://raw@acme1.dfs.core.windows.net/x?sig=hunter2"),
        "abfss://raw@acme1.dfs.core.windows.net/x"
    );
}

#[test]
fn slips_are_told_with_what_was_meant() {
    for (text, words) in [
        ("s3:raw", "write `//`"),
        ("s3:/raw", "write `//`"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3://raw:9000/x", "`endpoint`"),
        ("s3://10.0.0.1/x", "IP address"),
        ("s3://Raw/x", "as in `raw`"),
        ("s3://ra", "3 to 63"),
        ("s3://raw_events", "not '_'"),
        ("s3://raw..events", "two dots"),
        ("s3://-raw", "begin and end"),
        ("s3://raw.", "begin and end"),
        ("s3://xn--raw", "begin so"),
        ("s3://<YOUR-BUCKET-NAME>/x", "placeholder"),
        ("s3://REPLACE-ME", "placeholder"),
        ("s3://{bucket}", "placeholder"),
        ("s3://amzn-s3-demo-bucket", "placeholder"),
        ("s3://raw/<prefix>", "placeholder"),
        ("s3://raw//x", "`//`"),
        ("s3://raw/x//", "`//`"),
        ("s3://raw/x/../y", "`..`"),
        ("s3://raw/./y", "`.`"),
        ("s3://raw/a%20b", "`%`"),
        ("s3://raw/a\\b", "`%`"),
        ("s3://raw/a\nb", "control"),
        (" s3://raw", "space"),
        ("az://raw@acme1/x", "abfss://CONTAINER@ACCOUNT"),
        ("az://", "names no container"),
        ("az://raw--x/", "two `-`"),
        ("az://raw.x/", "not '.'"),
        ("abfss://raw/x", "az://CONTAINER"),
        ("abfss://raw@acme1.dfs/x", "no address of Azure"),
        ("abfss://raw@ac.dfs.core.windows.net/x", "3 to 24"),
        (
            "abfss://raw@<ACCOUNT>.dfs.core.windows.net/x",
            "placeholder",
        ),
        ("https://acme1.blob.core.windows.net", "names no container"),
        ("http://acme1.blob.core.windows.net/raw", "write https"),
        ("https://raw.s3.eu-central-1.amazonaws.com/x", "`s3://raw`"),
        ("https://s3.eu-central-1.amazonaws.com/raw/x", "`s3://raw`"),
        ("https://minio.example:9000/raw", "`endpoint`"),
        ("az://raw/adobe-managed-staging/x", "belongs to Adobe"),
    ] {
        refused(text, words);
    }
    let long = format!("s3://raw/{}", "x".repeat(513));
    refused(&long, "longer than 512");
}

#[test]
fn a_placeholder_is_a_word_of_its_own() {
    for text in [
        "s3://raw/exchange_messages",
        "s3://exchange-messages",
        "s3://raw/your_events/2026",
        "s3://raw/x/your-events",
        "s3://raw/changemeister",
    ] {
        remote(text);
    }
    for text in [
        "s3://raw/CHANGE_ME",
        "s3://raw/x/replace-me/y",
        "s3://raw/your-prefix",
        "s3://your-data",
        "s3://raw/x-changeme.json",
    ] {
        refused(text, "placeholder");
    }
}

#[test]
fn other_schemes_are_named() {
    for text in [
        "gs://raw/x",
        "wasbs://raw@acme1.blob.core.windows.net",
        "s3n://raw",
        "ftp://h/x",
    ] {
        let error = Place::parse(text).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{text}");
        assert!(error.to_string().contains("scheme=`"), "{error}");
    }
}

#[test]
fn folders_are_paths() {
    let here = std::env::current_dir().unwrap();
    for (text, path) in [
        ("lake", here.join("lake")),
        ("/data/my lake", "/data/my lake".into()),
        ("file:///data/my%20lake", "/data/my lake".into()),
        ("a:b", here.join("a:b")),
    ] {
        assert_eq!(Place::parse(text).unwrap(), Place::Local(path), "{text}");
    }
}

#[test]
fn a_bucket_alone_is_a_name_and_no_more() {
    assert_eq!(
        Remote::bucket_named("my.raw-1").unwrap(),
        remote("s3://my.raw-1")
    );
    for (text, words) in [
        ("", "name the bucket"),
        ("s3://raw", "as in `raw`"),
        ("s3a://raw/x", "as in `raw`"),
        ("s3://key:hunter2@raw/x", "as in `raw`"),
        ("https://raw.s3.amazonaws.com", "as in `raw`"),
        ("https://raw.s3.eu-central-1.amazonaws.com/x", "as in `raw`"),
        ("https://s3.amazonaws.com/raw/x", "as in `raw`"),
        ("raw.s3.amazonaws.com", "as in `raw`"),
        ("arn:aws:s3:::raw", "as in `raw`"),
        ("raw/x", "s3://raw/x"),
        ("/raw", "as in `raw`"),
        ("Raw", "as in `raw`"),
        ("192.168.0.1", "IP address"),
        ("raw.", "begin and end"),
        ("raw ", "space"),
        ("<YOUR-BUCKET-NAME>", "placeholder"),
        ("YOUR-BUCKET", "placeholder"),
        ("replace_me", "placeholder"),
    ] {
        let error = Remote::bucket_named(text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
        assert!(!error.contains("hunter"), "{error}");
    }
}

#[test]
fn one_place_holds_another_at_borders_of_folders() {
    let outer = remote("s3://raw/lake");
    for (inner, holds) in [
        ("s3://raw/lake", true),
        ("s3a://raw/lake/t/", true),
        ("s3://raw/lakes", false),
        ("s3://raw", false),
        ("s3://raw2/lake", false),
        ("az://raw/lake", false),
    ] {
        assert_eq!(outer.holds(&remote(inner)), holds, "{inner}");
    }
    let named = remote("abfss://raw@acme1.dfs.core.windows.net/");
    assert!(named.holds(&remote("az://raw/x")));
    assert!(remote("az://raw").holds(&named));
    assert!(!named.holds(&remote("abfss://raw@acme2.dfs.core.windows.net/x")));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(s3|az|abfss|https|file)?:?/{0,3}[a-z0-9@:/?#%.<>{}é -]{0,40}") {
        let _ = Place::parse(&text);
        let _ = Remote::bucket_named(&text);
        let _ = redacted(&text);
    }

    #[test]
    fn what_parses_keeps_its_path(bucket in "[a-z]{3}", prefix in "[a-zA-Z0-9 é~!$&'()*+,;=:@._-]{1,20}") {
        if let Ok(Place::Remote(place)) = Place::parse(&format!("s3://{bucket}/{prefix}")) {
            proptest::prop_assert_eq!(place.prefix().as_ref(), prefix.as_str());
            proptest::prop_assert_eq!(&Path::from_url_path(place.url().path()).unwrap(), place.prefix());
        }
    }
}
