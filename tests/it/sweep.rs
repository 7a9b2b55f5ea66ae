//! `alluvium table sweep` beside a running daemon, and `alluvium check --json`.

use crate::support::{
    client::Client,
    home::{Home, text},
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

fn plant(path: &Path, days: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "left by a crash").unwrap();
    let at = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(at).unwrap();
}

/// Makes every data file of a table old, as if it had been committed long ago.
fn make_old(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "parquet") {
            let at = SystemTime::now() - Duration::from_secs(90 * 24 * 3600);
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(at).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_go_and_rows_stay_beside_a_running_daemon() {
    let home = Home::http("");
    let daemon = home.serve().await;
    let client = Client::of(&daemon.http);
    for id in 0..5 {
        client.commit("t", format!("{{\"id\":{id}}}")).await;
    }
    let table = home.lake().join("t");
    make_old(&table);
    let (old, young) = (
        table.join("part-old.zstd.parquet"),
        table.join("part-young.zstd.parquet"),
    );
    plant(&old, 8);
    plant(&young, 2);

    let dry = home.run(&["table", "sweep", "t"]);
    assert!(dry.status.success(), "{}", text(&dry));
    assert!(text(&dry).contains("1 file, 15 bytes"), "{}", text(&dry));
    assert!(text(&dry).contains("nothing was deleted"), "{}", text(&dry));
    assert!(old.exists());

    let unsafe_age = home.run(&["table", "sweep", "t", "--older-than", "3d", "--delete"]);
    assert_eq!(unsafe_age.status.code(), Some(2), "{}", text(&unsafe_age));
    assert!(old.exists() && young.exists());

    let swept = home.run(&["table", "sweep", "t", "--delete", "--json"]);
    assert!(swept.status.success(), "{}", text(&swept));
    let told: Value = serde_json::from_slice(&swept.stdout).unwrap();
    assert_eq!(told["success"], true, "{told}");
    assert_eq!(told["deleted"]["files"], 1, "{told}");
    assert_eq!(told["younger"]["files"], 1, "{told}");
    assert!(!old.exists() && young.exists());

    client.commit("t", "{\"id\":5}").await;
    daemon.stop().await;
    assert_eq!(home.table("t").numbers("id"), [0, 1, 2, 3, 4, 5]);
    home.assert_audited("web");
    let none = home.run(&["table", "sweep", "nope"]);
    assert_eq!(none.status.code(), Some(2), "{}", text(&none));
}

#[test]
fn a_check_tells_programs_what_it_tells_people() {
    let home = Home::http("[tables.elsewhere]\nurl = \"elsewhere\"\n");
    let run = home.run(&["check", "--json"]);
    assert!(run.status.success(), "{}", text(&run));
    let told: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(told["success"], true);
    let people = text(&home.run(&["check"]));
    let sections = told["sections"].as_array().unwrap();
    assert!(
        sections.iter().any(|section| section["title"]
            .as_str()
            .unwrap()
            .starts_with("table elsewhere ")),
        "{told}"
    );
    for section in sections {
        assert!(
            people.contains(section["title"].as_str().unwrap()),
            "{people}"
        );
        for finding in section["findings"].as_array().unwrap() {
            let keys: Vec<&String> = finding.as_object().unwrap().keys().collect();
            assert_eq!(keys, ["kind", "level", "message", "remedy"]);
            assert!(
                ["ok", "note", "warning", "fault"].contains(&finding["level"].as_str().unwrap())
            );
        }
    }
    // Nothing is left behind.
    assert!(!home.path("elsewhere").exists() && !home.lake().exists());

    fs::write(home.path("elsewhere"), "a file where a folder should be").unwrap();
    let run = home.run(&["check", "--json"]);
    assert!(!run.status.success());
    let told: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(told["success"], false);
    let findings = told["sections"].as_array().unwrap().iter();
    let faults: Vec<&Value> = findings
        .flat_map(|section| section["findings"].as_array().unwrap())
        .filter(|finding| finding["level"] == "fault")
        .collect();
    assert!(
        !faults.is_empty() && faults.iter().all(|fault| fault["kind"].is_string()),
        "{told}"
    );
}
