//! The credentials of the environment, each in a process of its own: a process cannot safely change its variables.

use super::*;
use std::process::Stdio;

/// What the child does: as many puts as it is told to, with the credentials of its environment.
#[tokio::test]
#[ignore = "run by the other tests of this file"]
async fn child() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let options = StoreOptions {
        endpoint: Some(variable("STORE")),
        allow_http: true,
        ..StoreOptions::default()
    };
    let opened = open("lake", "bucket", &options).unwrap();
    for n in 0..variable("PUTS").parse().unwrap() {
        let path = Path::from(format!("{n}"));
        opened.store.put(&path, "x".into()).await.unwrap();
    }
}

/// Runs the child with these variables and no others.
async fn puts(servers: &Servers, many: u32, variables: &[(&str, &str)]) {
    let home = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let module = module_path!().split_once("::").unwrap().1;
    command
        .args(["--exact", "--ignored", &format!("{module}::child")])
        .env_clear()
        .env("HOME", home.path())
        .env("STORE", &servers.url)
        .env("PUTS", many.to_string())
        .envs(variables.iter().copied())
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

#[tokio::test]
async fn variables_give_keys_and_region() {
    let servers = Servers::start(u32::MAX).await;
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDENV"),
        ("AWS_SECRET_ACCESS_KEY", "planted"),
        ("AWS_REGION", "ap-south-1"),
    ];
    puts(&servers, 1, &keys).await;
    let signed = servers.last_put()["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(signed.contains("Credential=AKIDENV/"), "{signed}");
    assert!(signed.contains("/ap-south-1/s3/"), "{signed}");
}

#[tokio::test]
async fn web_identity_is_found_by_its_variables() {
    let servers = Servers::start(2).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "planted-jwt").unwrap();
    let variables = [
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_SESSION_NAME", "pod"),
        ("AWS_ENDPOINT_URL_STS", &servers.url),
    ];
    puts(&servers, 5, &variables).await;
    let calls = servers.sts_calls();
    assert_eq!(calls.len(), 3, "each session is fetched anew");
    assert!(
        calls
            .iter()
            .all(|call| call.form["RoleSessionName"] == "pod")
    );
}

#[tokio::test]
async fn a_container_gives_credentials_anew_at_each_fetch() {
    let servers = Servers::start(2).await;
    let address = format!("{}/container", servers.url);
    let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str())];
    puts(&servers, 5, &variables).await;
    assert_eq!(servers.handed_out(), 3);
}

#[tokio::test]
async fn a_machine_gives_credentials_anew_at_each_fetch() {
    let servers = Servers::start(2).await;
    let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", servers.url.as_str())];
    puts(&servers, 5, &variables).await;
    assert_eq!(servers.handed_out(), 3);
}

#[tokio::test]
async fn metadata_services_are_not_asked_by_a_proxy() {
    let servers = Servers::start(u32::MAX).await;
    let container = format!("{}/container", servers.url);
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str());
    let machine = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", servers.url.as_str());
    let proxy = ("HTTP_PROXY", servers.url.as_str());
    for service in [container, machine] {
        puts(&servers, 1, &[service, proxy]).await;
    }
    assert_eq!(servers.handed_out(), 2);
    let proxied = servers.proxied();
    let metadata = |path: &String| path == "/container" || path.starts_with("/latest/");
    assert!(!proxied.iter().any(metadata), "{proxied:?}");
}
