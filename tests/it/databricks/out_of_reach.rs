//! `alluvium check` of hosts that nothing is heard of.

use super::*;

/// What ends before the first word of HTTP is told apart, too.
#[test]
fn a_name_that_nobody_knows_and_a_host_without_tls_are_told_apart() {
    let plain = Workspace::start(|asked, _| governed(asked, true));
    let of = |name: &str, host: &str| {
        format!(
            "[connections.{name}]\nhost = \"{host}\"\nauth = {{ type = \"pat\", token = \"{TOKEN}\" }}\n"
        )
    };
    let tls = plain.url.replace("http://", "https://");
    let home = home(&(of("tls", &tls) + &of("unknown", "https://no-such-workspace.invalid")));
    let run = home.run(&["check"]);
    assert_eq!(run.status.code(), Some(4), "{}", text(&run));
    let said = text(&run);
    let (of_tls, of_name) = said
        .split_once("connection unknown")
        .expect("both are told");
    assert!(
        of_tls.contains("no TLS with the host") && of_tls.contains("trust store"),
        "{said}"
    );
    assert!(
        of_name.contains("the host's name does not resolve")
            && of_name.contains("host=`no-such-workspace.invalid`"),
        "{said}"
    );
    assert!(plain.asked().is_empty(), "{:?}", plain.lines());
}
