//! Connections that look wrong and may be right.

use super::*;

/// What may be right and looks wrong is said, and used all the same; a secret is read without the line end of its file.
#[test]
fn odd_credentials_are_warned_of() {
    let workspace = Workspace::start(|asked, _| match asked.line().as_str() {
        "POST /oidc/v1/token" => Some(Answer::ok(
            json!({"access_token": "by-oauth", "expires_in": 3600}),
        )),
        line if line.ends_with("/Me") => Some(Answer::ok(me())),
        _ => None,
    });
    let odd = |name: &str, auth: &str| {
        format!(
            "[connections.{name}]\nhost = \"{}\"\nauth = {{ {auth} }}\n",
            workspace.url
        )
    };
    let home = home(
        &(odd("pat", "type = \"pat\", token = \"xyz-1\"")
            + &odd(
                "oauth",
                "type = \"oauth_m2m\", client_id = \"app\", client_secret = \"xyz-2\"",
            )
            + &odd("file", "type = \"pat\", token = \"file:token\"")
            + &odd(
                "usual",
                "type = \"oauth_m2m\", client_id = \"5f0c1c9e-0000-4000-8000-000000000001\", client_secret = \"dose-3\"",
            )),
    );
    home.write("token", format!("{TOKEN}\n"));
    for (name, sent, warnings) in [
        ("pat", "xyz-1", &["does not begin with `dapi`"][..]),
        (
            "oauth",
            "by-oauth",
            &["the client id is no UUID", "does not begin with `dose`"],
        ),
        ("file", TOKEN, &[]),
        ("usual", "by-oauth", &[]),
    ] {
        let run = home.run(&["databricks", "me", "--connection", name]);
        assert!(run.status.success(), "{name} {}", text(&run));
        let said = String::from_utf8_lossy(&run.stderr);
        for warning in warnings {
            assert!(said.contains(warning), "{name}: {warning}: {said}");
        }
        assert_eq!(said.is_empty(), warnings.is_empty(), "{name} {said}");
        assert!(!said.contains("xyz-"), "{said}");
        let asked = workspace.asked();
        let last = asked.last().unwrap().header("authorization");
        assert_eq!(last, format!("Bearer {sent}"), "{name}");
    }
}

#[test]
fn the_password_of_a_jdbc_url_is_dropped_with_a_warning() {
    let url = "jdbc:spark://127.0.0.1:1/default;transportMode=http;ssl=1;httpPath=sql/protocolv1/o/0/1-2-abc;AuthMech=3;UID=token;PWD=planted";
    let home = home(&format!(
        "[connections.w]\nhost = \"{url}\"\nauth = {{ type = \"pat\", token = \"{TOKEN}\" }}\nretry_budget_seconds = 0.1\n"
    ));
    let run = home.run(&["databricks", "clusters", "get"]);
    assert_eq!(run.status.code(), Some(4), "{}", text(&run));
    let said = text(&run);
    assert!(
        said.contains("holds a password, which is not used") && !said.contains("planted"),
        "{said}"
    );
    // The cluster is that of the URL.
    assert!(said.contains("GET /api/2.1/clusters/get"), "{said}");
}

/// The setup documents make the principal an administrator; the check says that less is enough.
#[test]
fn an_administrator_is_told_that_less_is_enough() {
    for (group, told) in [("admins", true), ("engineers", false)] {
        let workspace = Workspace::start(move |asked, _| match asked.path.ends_with("/Me") {
            true => {
                let mut me = me();
                me["groups"] = json!([{"display": group, "value": "7"}]);
                Some(Answer::ok(me))
            }
            false => governed(asked, true),
        });
        let run = connected(&workspace, "").run(&["check"]);
        assert!(run.status.success(), "{}", text(&run));
        let words = "administrator of the workspace, which Alluvium does not need";
        assert_eq!(text(&run).contains(words), told, "{}", text(&run));
    }
}
