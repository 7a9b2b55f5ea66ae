//! A table's dead letters in `table show`.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_tables_letters_are_shown_by_reason() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), WEB);
    let web = vec![range(SPOOL, None, 4, records(4, 0))];
    land(&config, "clicks", web, &[], &[]).await;
    let text = show_table(&config, "clicks").await.unwrap().text;
    assert!(!text.contains("by reason"), "{text}");

    let lake = open::lake(&config).unwrap();
    let (settings, log) = open::table_log(&config, &lake, "_dead_letters").unwrap();
    let schema = schema_of(crate::schema::dead_letter_schema());
    let tables: &[&str] = &["clicks", "plan", "clicks", "clicks"];
    let reasons: &[&str] = &["malformed", "malformed", "too_large", "malformed"];
    let texts = [("table", tables), ("reason", reasons)];
    let files = files_of(&settings, &log, &schema, &texts).await;
    let stream = format!("{SPOOL}!dead/clicks");
    let change = Upload {
        files,
        schema,
        earlier: Vec::new(),
        ranges: vec![range(&stream, None, 4, records(4, 0))],
        marks: Vec::new(),
    };
    log.commit(change, CancellationToken::new()).await.unwrap();

    let text = show_table(&config, "clicks").await.unwrap().text;
    assert!(
        text.contains("2        malformed\n  1        too_large\n"),
        "{text}"
    );
    let text = show_table(&config, "_dead_letters").await.unwrap().text;
    assert!(
        text.contains("of all tables") && text.contains("3        malformed"),
        "{text}"
    );
}
