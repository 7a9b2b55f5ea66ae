//! Files, once, whatever is killed.

use crate::support::{
    home::{Home, text},
    lake, until,
};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use std::{fs::File, io::Write, sync::Arc, time::Duration};

fn home() -> Home {
    let home = Home::bare();
    home.configure(&format!(
        "[lake]\nurl = \"{}\"\n[admin]\nlisten = \"\"\n[table_defaults]\nflush_interval_seconds = 0.2\n",
        home.lake().display()
    ));
    home
}

fn lines(ids: std::ops::Range<i64>) -> String {
    ids.map(|id| format!("{{\"id\":{id},\"name\":\"n{id}\"}}\n"))
        .collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

fn parquet(home: &Home, name: &str, ids: std::ops::Range<i64>) {
    let id: ArrayRef = Arc::new(Int64Array::from_iter_values(ids.clone()));
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(
        ids.map(|id| format!("n{id}")),
    ));
    let batch = RecordBatch::try_from_iter([("id", id), ("name", names)]).unwrap();
    let file = File::create(home.write(name, "")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn five_formats(home: &Home) {
    home.write("in/a.ndjson", lines(0..100));
    home.write("in/b.ndjson.gz", gzip(&lines(100..200)));
    let csv: String = (200..300).map(|id| format!("{id},n{id}\n")).collect();
    home.write("in/c.csv", format!("id,name\n{csv}"));
    parquet(home, "in/d.parquet", 300..400);
    let array: Vec<_> = (400..500)
        .map(|id| serde_json::json!({"id": id, "name": format!("n{id}")}))
        .collect();
    home.write("in/e.json", serde_json::json!(array).to_string());
    home.write(
        "in/f.ndjson.zst",
        zstd::encode_all(lines(500..600).as_bytes(), 1).unwrap(),
    );
}

#[test]
fn every_format_by_glob_and_a_second_run_is_nothing_to_do() {
    let home = home();
    five_formats(&home);
    let words = ["backfill", "--table", "t", "in/*"];
    let dry = home.run(&["backfill", "--table", "t", "in/*", "--dry-run"]);
    assert!(dry.status.success(), "{}", text(&dry));
    assert!(text(&dry).contains("id long  new"), "{}", text(&dry));
    assert!(!home.lake().join("t").exists(), "a dry run wrote something");
    let first = home.run(&words);
    assert!(first.status.success(), "{}", text(&first));
    assert!(
        text(&first).contains("finished: 600 records of 6 files"),
        "{}",
        text(&first)
    );
    let table = home.table("t");
    assert_eq!(table.numbers("id"), (0..600).collect::<Vec<_>>());
    assert!(
        table
            .rows()
            .iter()
            .all(|row| row["name"] == format!("n{}", row["id"]))
    );
    let second = home.run(&words);
    assert!(second.status.success(), "{}", text(&second));
    assert!(text(&second).contains("nothing to do"), "{}", text(&second));
    assert_eq!(home.table("t").versions.len(), table.versions.len());
}

#[test]
fn malformed_records_are_dead_letters_and_exit_code_5() {
    let home = home();
    home.write("in/a.ndjson", "{\"id\":1}\n{broken\n{\"id\":2}\n");
    let run = home.run(&["backfill", "--table", "t", "in/a.ndjson"]);
    assert_eq!(run.status.code(), Some(5), "{}", text(&run));
    assert_eq!(home.table("t").numbers("id"), [1, 2]);
    let letters = home.table("_dead_letters").rows();
    assert_eq!(letters.len(), 1);
    assert_eq!(lake::bytes(&letters[0]["value"]), b"{broken");
}

#[test]
fn rule_20_changed_inputs_are_refused() {
    let home = home();
    home.write("in/a.ndjson", lines(0..10));
    home.write("in/b.ndjson", format!("{}{{\"id\":", lines(10..20)));
    let words = ["backfill", "--table", "t", "--run-id", "r", "in/*"];
    home.run(&words);
    home.write("in/a.ndjson", lines(0..11));
    let run = home.run(&words);
    assert!(!run.status.success(), "{}", text(&run));
    assert!(text(&run).contains("a.ndjson"), "{}", text(&run));
    let before = home.table("t").numbers("id");
    assert!(
        before
            .iter()
            .all(|id| *id != 10 || before.iter().filter(|i| *i == id).count() == 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_it_goes_on_and_doubles_nothing() {
    let home = home();
    for file in 0..8 {
        let ids = file * 4_000..(file + 1) * 4_000;
        match file % 2 {
            0 => home.write(&format!("in/{file}.ndjson"), lines(ids)),
            _ => home.write(&format!("in/{file}.ndjson.gz"), gzip(&lines(ids))),
        };
    }
    let words = ["backfill", "--table", "t", "in/*"];
    let (mut kills, mut longest) = (0, 60);
    loop {
        let mut child = home
            .command(&words)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Each life may be longer than the last: in the end one finishes.
        let life = Duration::from_millis(fastrand::u64(longest / 2..longest));
        longest += 40;
        tokio::time::sleep(life).await;
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        assert!(kills < 200);
    }
    assert!(kills >= 3, "only {kills} kills");
    assert_eq!(
        home.table("t").numbers("id"),
        (0..32_000).collect::<Vec<_>>()
    );
    let again = home.run(&words);
    assert!(text(&again).contains("nothing to do"), "{}", text(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_commits_what_was_read_and_the_same_command_goes_on() {
    let home = home();
    home.write("in/a.ndjson", lines(0..60_000));
    let words = ["backfill", "--table", "t", "in/*"];
    let stopped = crate::support::daemon::Daemon::spawn(home.command(&words));
    until("something was committed", || {
        !home.table("t").versions.is_empty()
    })
    .await;
    stopped.signal("TERM");
    let (status, log) = stopped.ended().await;
    // A fast machine may have been done.
    assert!(matches!(status.code(), Some(0 | 4)), "{status} {log}");
    let run = home.run(&words);
    assert!(run.status.success(), "{}", text(&run));
    assert_eq!(
        home.table("t").numbers("id"),
        (0..60_000).collect::<Vec<_>>()
    );
}
