use super::*;
use std::time::{Duration, UNIX_EPOCH};

/// Adobe's first sample.
const SAMPLE: &str = "sv=2020-10-02&si=dlz-b1f4060b-6bbd-4043-9bd9-a5f5be72de30&sr=c&sp=racwdlm&sig=zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc%3D";
/// And its second, whose `sig` has slashes.
const SLASHES: &str = "sv=2020-10-02&si=dlz-6e17e5d6-de18-4efc-88c7-45f37d242617&sr=c&sp=racwdlm&sig=wvA4K3fcEmqAA%2FPvcMhB%2FA8y8RLwVJ7zhdWbxvT1uFM%3D";
const SIG: &str = "sig=%2B%2B%2F8z5lChrJ3YQUE2h6EShDZOsVeMczVQfmuElZJzOI%3D";

fn parsed(text: &str) -> Signature {
    Signature::parse(text).unwrap().0
}

fn at(text: &str) -> SystemTime {
    SystemTime::from(instant(text).unwrap())
}

#[test]
fn sig_is_kept_to_the_byte_however_it_was_encoded() {
    for (text, sig) in [
        (SAMPLE, "zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc="),
        (SLASHES, "wvA4K3fcEmqAA/PvcMhB/A8y8RLwVJ7zhdWbxvT1uFM="),
        (
            "sv=1&sig=++/8z5lChrJ3YQUE2h6EShDZOsVeMczVQfmuElZJzOI=",
            "++/8z5lChrJ3YQUE2h6EShDZOsVeMczVQfmuElZJzOI=",
        ),
        (
            &format!("?sv=1&{SIG}\n"),
            "++/8z5lChrJ3YQUE2h6EShDZOsVeMczVQfmuElZJzOI=",
        ),
    ] {
        let AzureCredential::SASToken(pairs) = parsed(text).credential() else {
            panic!("{text}")
        };
        assert_eq!(pairs.last().unwrap(), &("sig".to_owned(), sig.to_owned()));
    }
}

#[test]
fn fields_in_their_order_and_unknown_ones_are_sent_as_they_came() {
    let text = format!("sv=2023-11-03&zz=a%26b&sp=rl&{SIG}&sr=c");
    let AzureCredential::SASToken(pairs) = parsed(&text).credential() else {
        panic!()
    };
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["sv", "zz", "sp", "sig", "sr"]);
    assert_eq!(pairs[1].1, "a&b");
}

#[test]
fn an_uri_names_its_account_and_container() {
    for (place, account, container) in [
        ("https://acc.blob.core.windows.net/lake", "acc", "lake"),
        (
            "HTTPS://acc.blob.core.windows.net/lake/below",
            "acc",
            "lake",
        ),
        ("https://acc.blob.core.windows.net/", "acc", ""),
        (
            "http://127.0.0.1:10000/devstoreaccount1/lake",
            "devstoreaccount1",
            "lake",
        ),
        (
            "http://localhost:10000/devstoreaccount1/lake",
            "devstoreaccount1",
            "lake",
        ),
    ] {
        let (signature, named) = Signature::parse(&format!("{place}?{SAMPLE}")).unwrap();
        let (account, container) = (account.to_owned(), container.to_owned());
        assert_eq!(named, Some(Named { account, container }), "{place}");
        assert!(signature.is(&parsed(SAMPLE)));
    }
}

#[test]
fn what_is_not_a_token_is_refused_without_being_quoted() {
    for (text, told) in [
        ("", "no `sig`"),
        ("planted", "no `sig`"),
        ("sv=1&sr=c&sp=rl", "no `sig`"),
        ("sv=1&sig=planted", "32 bytes"),
        (
            "sv=1&sig=zVQfmuElZJzOKkUk8z5lChrJ3YQUE2h6EShDZOsVeMc%253D",
            "encoded twice",
        ),
        (&format!("sr=c&{SIG}"), "no `sv`"),
        (&format!("sv=1&sp=r&sp=planted&{SIG}"), "`sp` twice"),
        (&format!("sv=1&se=planted&{SIG}"), "`se` is not a time"),
        ("https://acc.blob.core.windows.net/lake", "no `?`"),
        (&format!("https://?sv=1&{SIG}"), "URI"),
    ] {
        let error = Signature::parse(text).unwrap_err().to_string();
        assert!(error.contains(told), "{text}: {error}");
        assert!(
            !error.contains("planted") && !error.contains("zVQ"),
            "{error}"
        );
    }
}

#[test]
fn it_ends_with_its_key_and_all_forms_of_time_are_read() {
    let ends = |fields: &str| parsed(&format!("sv=1&sr=c&{fields}&{SIG}")).ends();
    assert_eq!(ends("sp=r"), None);
    for text in [
        "2025-07-05",
        "2025-07-05T00:00Z",
        "2025-07-05T00:00:00Z",
        "2025-07-05T00%3A00%3A00.0000000Z",
    ] {
        assert_eq!(
            ends(&format!("se={text}")),
            Some(at("2025-07-05T00:00:00Z")),
            "{text}"
        );
    }
    let delegated =
        "se=2025-07-05T12:00:00Z&skoid=o&ske=2025-07-05T09:00:00Z&skt=2025-07-04T09:00:00Z";
    assert_eq!(ends(delegated), Some(at("2025-07-05T09:00:00Z")));
}

#[test]
fn use_outside_its_time_resource_or_protocol_is_explained() {
    let now = at("2025-07-05T12:00:00Z");
    let check = |fields: &str, http: bool| parsed(&format!("sv=1&{fields}&{SIG}")).check(now, http);
    for good in [
        "sr=c&sp=r",
        "sr=c&spr=https,http",
        "ss=bfqt&srt=sco&sp=r",
        "sr=c&st=2025-07-05T11:59:59Z&se=2025-07-05T12:00:01Z",
    ] {
        assert_eq!(check(good, true), Ok(()), "{good}");
    }
    for (fields, told, passing) in [
        ("sr=b", "sr=`c`", false),
        ("sr=d&sdd=1", "sr=`c`", false),
        ("sr=s", "sr=`s`", false),
        ("sp=r", "neither `sr` nor `ss`", false),
        ("ss=f&srt=co", "ss=`f`", false),
        ("ss=b&srt=o", "srt=`co`", false),
        ("sr=c&spr=https", "https only", false),
        ("sr=c&st=2025-07-05T12:00:01Z", "clock", true),
        ("sr=c&se=2025-07-05T12:00:00Z", "has ended", true),
        (
            "sr=c&skoid=o&ske=2025-07-05T11:00:00Z&se=2026-01-01",
            "has ended",
            true,
        ),
    ] {
        let unusable = check(fields, true).unwrap_err();
        assert!(unusable.reason.contains(told), "{fields}: {unusable}");
        assert_eq!(unusable.passing, passing, "{fields}");
    }
    assert_eq!(check("sr=c&spr=https", false), Ok(()));
}

#[test]
fn each_missing_letter_is_named_with_its_purpose() {
    use crate::storage::azure::rights::{Right, check};
    let judge = |sp: &str| {
        let signature = parsed(&format!("sv=1&sr=c{sp}&{SIG}"));
        check(&signature.credential(), Right::ALL)
    };
    assert!(judge("&sp=racwdlm").is_ok());
    assert!(judge("&sp=rwdl").is_ok(), "w includes c");
    assert!(judge("").is_ok(), "the policy knows");
    for right in Right::ALL {
        let kept: String = "rwdl".chars().filter(|c| *c != right.letter()).collect();
        let error = judge(&format!("&sp={kept}")).unwrap_err();
        assert_eq!(error.0, [*right]);
        assert_eq!(error.sp(), format!("sp {}", right.letter()));
        let named = format!("`{}` (to ", right.letter());
        assert!(error.to_string().contains(&named), "{error}");
    }
    assert_eq!(judge("&sp=rl").unwrap_err().sp(), "sp wd");
    assert!(check(&AzureCredential::BearerToken("t".into()), Right::ALL).is_ok());
}

#[test]
fn nothing_shows_the_sig() {
    let text = format!("sv=1&sr=c&sp=rl&se=2025-07-05&zz=planted&{SIG}");
    let signature = parsed(&text);
    let shown = format!("{signature} {signature:?}");
    assert!(
        !shown.contains("planted") && !shown.contains("lChrJ3"),
        "{shown}"
    );
    assert_eq!(
        signature.to_string(),
        "shared access signature sr=`c` sp=`rl` se=`2025-07-05T00:00:00Z`"
    );
}

#[test]
fn times_far_away_do_no_harm() {
    assert!(instant("0000-01-01").map(SystemTime::from).is_some());
    let far = parsed(&format!("sv=1&sr=c&se=9999-12-31T23:59:59Z&{SIG}"));
    assert!(far.ends().unwrap() > UNIX_EPOCH + Duration::from_secs(1 << 37));
}
