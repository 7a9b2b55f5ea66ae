//! Lakes made in a temporary folder, and what the commands tell of them.

mod kafka;
mod letters;

use super::*;
use crate::{
    commit::{CommitOutcome, Mark, Upload, new_table_spec},
    event::{CommitRange, Counts, Offset, OffsetRange, Partition, SourcePartition},
    schema::RESCUED_DATA,
    write::{TableWriter, UploadOptions, upload},
};
use arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
use std::{path::Path, sync::Arc};
use tokio_util::sync::CancellationToken;

const SPOOL: &str = "default/web/spool-1";

fn config(folder: &Path, more: &str) -> Config {
    let text = format!(
        "[lake]\nurl = {:?}\n[admin]\nlisten = \"\"\n{more}",
        folder.join("lake")
    );
    let environment = crate::config::Environment::fixed([], []);
    Config::parse(&text, &environment, &crate::config::Flags::default()).unwrap()
}

const WEB: &str = "[sources.web]\ntype = \"http\"\nlisten = \"127.0.0.1:0\"\n";

fn range(app_id: &str, expected: Option<Offset>, to: Offset, counts: Counts) -> CommitRange {
    let end = to;
    let start = expected.unwrap_or(end - counts.offsets());
    CommitRange {
        partition: Arc::new(Partition {
            id: SourcePartition::new(app_id),
            source: "web".into(),
            label: "web".into(),
            topic: "".into(),
            number: 0,
        }),
        expected,
        range: OffsetRange { start, end },
        counts,
    }
}

fn records(n: u64, elsewhere: u64) -> Counts {
    Counts {
        records: n,
        rows: n,
        elsewhere,
        ..Counts::default()
    }
}

/// One commit: ranges, marks, and one file whose rows have these texts in `_rescued_data`.
async fn land(
    config: &Config,
    table: &str,
    ranges: Vec<CommitRange>,
    marks: &[(&str, Offset)],
    rescued: &[&str],
) {
    let lake = open::lake(config).unwrap();
    let (settings, log) = open::table_log(config, &lake, table).unwrap();
    let schema = match table == config.dead_letters.table {
        true => schema_of(crate::schema::dead_letter_schema()),
        false => schema_of(settings.base_schema().unwrap()),
    };
    let texts = [(RESCUED_DATA, rescued)];
    let files = match rescued.is_empty() {
        true => Vec::new(),
        false => files_of(&settings, &log, &schema, &texts).await,
    };
    let change = Upload {
        files,
        schema,
        earlier: Vec::new(),
        ranges,
        marks: marks
            .iter()
            .map(|(app_id, version)| Mark {
                app_id: (*app_id).into(),
                version: *version,
            })
            .collect(),
    };
    let outcome = log.commit(change, CancellationToken::new()).await.unwrap();
    assert!(matches!(outcome, CommitOutcome::Committed { .. }));
}

/// Files of one batch whose columns named have these texts; the others are null.
async fn files_of(
    settings: &crate::pipeline::TableSettings,
    log: &crate::commit::TableLog,
    schema: &Arc<crate::schema::TableSchema>,
    texts: &[(&str, &[&str])],
) -> Vec<crate::event::DataFile> {
    let rows = texts.first().map_or(0, |(_, texts)| texts.len());
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let texts = texts.iter().find(|(name, _)| *name == field.name());
        match texts {
            Some((_, texts)) => Arc::new(StringArray::from(texts.to_vec())) as ArrayRef,
            None => new_null_array(field.data_type(), rows),
        }
    };
    let columns: Vec<ArrayRef> = schema.columns.fields().iter().map(column).collect();
    let rows = RecordBatch::try_new(schema.columns.clone(), columns).unwrap();
    let mut writer =
        TableWriter::new(Arc::new(new_table_spec(schema)), settings.write.clone()).unwrap();
    writer.write(&rows).unwrap();
    let mut files = Vec::new();
    for file in writer.finish().unwrap() {
        let options = UploadOptions::default();
        files.push(upload(log.location(), file, &options).await.unwrap());
    }
    files
}

fn schema_of(schema: crate::schema::TableSchema) -> Arc<crate::schema::TableSchema> {
    Arc::new(schema)
}

/// Ten records: clicks has [0, 4) and 8, plan has 4 to 6 and a dead letter 7, and 9 has no table.
async fn fan_out(config: &Config) {
    let dead = Counts {
        dead_letters: 1,
        ..records(3, 4)
    };
    land(
        config,
        "clicks",
        vec![range(SPOOL, None, 4, records(4, 0))],
        &[],
        &[],
    )
    .await;
    let letter = |table: &str| format!("{SPOOL}!dead/{table}");
    let letters = vec![
        range(&letter("plan"), None, 8, records(1, 7)),
        range(&letter(""), None, 10, records(1, 9)),
    ];
    land(config, "_dead_letters", letters, &[], &[]).await;
    land(config, "plan", vec![range(SPOOL, None, 8, dead)], &[], &[]).await;
    land(
        config,
        "clicks",
        vec![range(SPOOL, Some(4), 10, records(1, 5))],
        &[],
        &[],
    )
    .await;
    let mark = format!("{SPOOL}!low-water");
    land(config, "_dead_letters", Vec::new(), &[(&mark, 10)], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_fan_out_is_proved_and_its_positions_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), WEB);
    fan_out(&config).await;
    let report = audit_source(&config, "web").await.unwrap();
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(
        report
            .text
            .contains("PROVED: 10 offsets of 1 source partition"),
        "{}",
        report.text
    );
    assert!(!report.text.contains("undecided"), "{}", report.text);
    let table = audit_table(&config, "plan").await.unwrap();
    assert!(
        table.faults == 0 && table.text.contains("PROVED for this table"),
        "{}",
        table.text
    );

    let positions = table_positions(&config, "plan").await.unwrap().text;
    for part in [
        "8       next offset of a daemon",
        "10      low-water mark",
        "8       dead letters of plan",
        "10      dead letters without a table",
    ] {
        assert!(positions.contains(part), "{positions}");
    }
    let ledger = table_positions(&config, "_dead_letters")
        .await
        .unwrap()
        .text;
    assert!(
        ledger.contains("low-water mark") && ledger.contains("ledger of the marks"),
        "{ledger}"
    );

    let error = show_table(&config, "nope").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("clicks, plan"), "{error}");
    let error = audit_source(&config, "other").await.unwrap_err();
    assert!(error.to_string().contains("sources=`web`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_no_table_and_a_letter_not_kept_are_faults() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), WEB);
    fan_out(&config).await;
    // One record said to be another table's, which has it not; a dead letter that the ledger lacks.
    let dead = Counts {
        dead_letters: 1,
        ..records(0, 2)
    };
    land(
        &config,
        "plan",
        vec![range(SPOOL, Some(8), 11, dead)],
        &[],
        &[],
    )
    .await;
    land(
        &config,
        "clicks",
        vec![range(SPOOL, Some(10), 12, records(0, 2))],
        &[],
        &[],
    )
    .await;
    let mark = format!("{SPOOL}!low-water");
    land(&config, "_dead_letters", Vec::new(), &[(&mark, 12)], &[]).await;
    let report = audit_source(&config, "web").await.unwrap();
    assert_eq!(
        (report.faults, report.kind),
        (2, Kind::InvalidData),
        "{}",
        report.text
    );
    assert!(
        report.text.contains("at least 1 were read as records"),
        "{}",
        report.text
    );
    assert!(
        report.text.contains(
            "for offsets [8, 11) tables state 1 dead letters, the dead-letter table holds 0"
        ),
        "{}",
        report.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_of_a_ledger_that_is_gone_are_missed() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), WEB);
    let dead = Counts {
        dead_letters: 1,
        ..records(1, 0)
    };
    land(
        &config,
        "clicks",
        vec![range(SPOOL, None, 2, dead)],
        &[],
        &[],
    )
    .await;
    let report = audit_source(&config, "web").await.unwrap();
    assert_eq!(report.faults, 1, "{}", report.text);
    assert!(
        report.text.contains("the dead-letter table holds 0"),
        "{}",
        report.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_cannot_be_read_is_a_fault_and_makes_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), WEB);
    fan_out(&config).await;
    let log = dir.path().join("lake/clicks/_delta_log");
    std::fs::write(
        log.join("00000000000000000002.json"),
        "{\"protocol\":{\"minReaderVersion\":1,\"minWriterVersion\":7,\"writerFeatures\":[\"checkConstraints\"]}}\n",
    )
    .unwrap();
    let report = audit_source(&config, "web").await.unwrap();
    assert_eq!(report.faults, 1, "{}", report.text);
    assert!(
        report.text.contains("DROP FEATURE checkConstraints"),
        "{}",
        report.text
    );
    assert!(
        !report.text.contains("are in no table\n"),
        "{}",
        report.text
    );
    let checked = preflight(&config, false, CancellationToken::new())
        .await
        .unwrap()
        .report;
    assert_eq!(
        (checked.faults, checked.kind),
        (1, Kind::Unsupported),
        "{}",
        checked.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_told_and_is_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), WEB);
    land(
        &config,
        "clicks",
        vec![range(SPOOL, None, 4, records(4, 0))],
        &[],
        &[],
    )
    .await;
    let lake = open::lake(&config).unwrap();
    let (_, log) = open::table_log(&config, &lake, "clicks").unwrap();
    log.reset_positions(&[(SPOOL.to_owned(), 9)]).await.unwrap();
    land(
        &config,
        "clicks",
        vec![range(SPOOL, Some(9), 12, records(3, 0))],
        &[],
        &[],
    )
    .await;
    let report = audit_table(&config, "clicks").await.unwrap();
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(
        report.text.contains("[4, 9) was given up"),
        "{}",
        report.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rescued_is_proposed_as_columns() {
    let dir = tempfile::tempdir().unwrap();
    let plan = format!("{WEB}[tables.plan]\nevolution = \"plan\"\n");
    let config = config(dir.path(), &plan);
    let counts = Counts {
        rescued: 2,
        rescued_fields: [("price".to_owned(), 2), ("who.id".to_owned(), 1)].into(),
        ..records(2, 0)
    };
    let rescued = [r#"{"price":10,"who.id":"a"}"#, r#"{"price":9.99}"#];
    land(
        &config,
        "plan",
        vec![range(SPOOL, None, 2, counts)],
        &[],
        &rescued,
    )
    .await;
    let text = show_table(&config, "plan").await.unwrap().text;
    for part in [
        "alter table `plan` add columns (`price` double, `who` struct<id: string>);",
        "2       price",
        "_offset        long",
        "with rescued values   2",
        "protocol        reader 1, writer 2, no features",
        "1 version (0 to 0): 1 by alluvium/",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
}

fn everything_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.display().to_string());
        if path.is_dir() {
            found.extend(everything_below(&path));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_what_is_not_there_yet_succeeds_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &format!("{WEB}[tables.clicks]\n"));
    let report = preflight(&config, false, CancellationToken::new())
        .await
        .unwrap()
        .report;
    assert_eq!(report.faults, 0, "{}", report.text);
    assert!(report.text.ends_with("Success!\n"), "{}", report.text);
    assert!(
        report.text.contains("clicks: not there yet"),
        "{}",
        report.text
    );
    assert_eq!(everything_below(dir.path()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_finding_is_told_at_once_with_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let more = format!(
        "[sources.web]\ntype = \"http\"\nlisten = \"{address}\"\n\
         [tables.frozen]\nevolution = \"none\"\nmetadata_columns = [\"_offset\"]\n\
         [dead_letters]\ntable = \"letters\"\n"
    );
    let made = config(dir.path(), &more);
    land(
        &made,
        "frozen",
        vec![range(SPOOL, None, 1, records(1, 0))],
        &[],
        &[],
    )
    .await;
    // An ordinary table where letters should be.
    let other = config(dir.path(), &more.replace("\"letters\"", "\"elsewhere\""));
    land(
        &other,
        "letters",
        vec![range(SPOOL, None, 1, records(1, 0))],
        &[],
        &[],
    )
    .await;
    let asked = config(
        dir.path(),
        &more.replace("[\"_offset\"]", "[\"_offset\", \"_event_time\"]"),
    );
    let report = preflight(&asked, false, CancellationToken::new())
        .await
        .unwrap()
        .report;
    assert_eq!(
        (report.faults, report.kind),
        (3, Kind::Unsupported),
        "{}",
        report.text
    );
    for part in [
        "the address is in use",
        "stop what holds the port",
        "run: alter table `frozen` add columns (`_event_time` timestamp)",
        "name another by dead_letters.table",
    ] {
        assert!(report.text.contains(part), "{part}\n{}", report.text);
    }
    assert!(!report.text.contains("Success"));
}
