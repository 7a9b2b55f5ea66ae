use super::*;
use proptest::prelude::*;
use std::collections::HashSet;

/// Rows by the folder they went to.
fn by_folder(files: &[EncodedFile]) -> BTreeMap<String, Vec<i64>> {
    let mut found = BTreeMap::<String, Vec<i64>>::new();
    for file in files {
        let folder = file
            .path
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned();
        let rows = read(file);
        assert!(
            rows.column_by_name("key").is_none(),
            "partition columns are not in the file"
        );
        found
            .entry(folder)
            .or_default()
            .extend(rows["n"].as_primitive::<Int64Type>().values());
    }
    found
}

#[test]
fn rows_go_to_the_file_of_their_partition_values() {
    let keys = [Some("a"), None, Some("b/c"), Some(""), Some("a"), Some("a")];
    let rows = keyed(&keys, &[0, 0, 0, 0, 1, 0]);
    let files = encode(
        spec(&rows.schema(), &["key", "day"]),
        WriteOptions::default(),
        &[rows],
    );
    let null = "key=__HIVE_DEFAULT_PARTITION__/day=1970-01-01";
    let expected = BTreeMap::from([
        (null.to_owned(), vec![1, 3]),
        ("key=a/day=1970-01-01".to_owned(), vec![0, 5]),
        ("key=a/day=1970-01-02".to_owned(), vec![4]),
        ("key=b%2Fc/day=1970-01-01".to_owned(), vec![2]),
    ]);
    assert_eq!(by_folder(&files), expected);
    for file in &files {
        let key = file.partition_values["key"].as_deref();
        assert_eq!(
            key,
            if file.path.starts_with(null) {
                None
            } else {
                Some(if file.path.contains("%2F") {
                    "b/c"
                } else {
                    "a"
                })
            }
        );
    }
}

#[test]
fn batches_of_one_value_and_across_batches_share_a_file() {
    let one = keyed(&[Some("a"); 3], &[0; 3]);
    let two = keyed(&[Some("a"), Some("b")], &[0; 2]);
    let files = encode(
        spec(&one.schema(), &["key"]),
        WriteOptions::default(),
        &[one, two],
    );
    let expected = BTreeMap::from([
        ("key=a".to_owned(), vec![0, 1, 2, 0]),
        ("key=b".to_owned(), vec![1]),
    ]);
    assert_eq!(by_folder(&files), expected);
    assert_eq!(files.len(), 2);
}

#[test]
fn no_more_files_are_open_than_allowed_and_no_row_is_lost() {
    let keys: Vec<String> = (0..50).map(|i| format!("k{}", i * 7 % 50)).collect();
    let keys: Vec<Option<&str>> = keys.iter().map(|k| Some(k.as_str())).collect();
    let rows = keyed(&keys, &[0; 50]);
    let options = WriteOptions {
        max_open_partitions: 4,
        ..WriteOptions::default()
    };
    let mut writer = TableWriter::new(Arc::new(spec(&rows.schema(), &["key"])), options).unwrap();
    writer.write(&rows).unwrap();
    let early = writer.take_full();
    assert_eq!(early.len(), 46);
    let late = writer.finish().unwrap();
    assert_eq!(late.len(), 4);
    let all: Vec<_> = early.into_iter().chain(late).collect();
    let found = by_folder(&all);
    assert_eq!(
        found.values().flatten().copied().collect::<HashSet<_>>(),
        (0..50).collect()
    );
    let paths: HashSet<_> = all.iter().map(|f| &f.path).collect();
    assert_eq!(paths.len(), 50);
}

#[test]
fn the_largest_file_makes_room() {
    let mut keys = vec![Some("large"); 2_000];
    keys.push(Some("small"));
    let first = keyed(&keys, &vec![0; keys.len()]);
    let options = WriteOptions {
        max_open_partitions: 2,
        ..WriteOptions::default()
    };
    let spec = Arc::new(spec(&first.schema(), &["key"]));
    let mut writer = TableWriter::new(spec, options).unwrap();
    writer.write(&first).unwrap();
    assert!(writer.take_full().is_empty());
    writer.write(&keyed(&[Some("third")], &[0])).unwrap();
    let closed = writer.take_full();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].rows, 2_000);
}

#[test]
fn a_table_of_partition_columns_alone_keeps_its_row_count() {
    let rows = keyed(&[Some("a"), Some("a"), Some("b")], &[0; 3]);
    let rows = rows.project(&[1]).unwrap();
    let files = encode(
        spec(&rows.schema(), &["key"]),
        WriteOptions::default(),
        &[rows],
    );
    let counts: BTreeMap<_, _> = files
        .iter()
        .map(|f| (f.partition_values["key"].as_deref(), f.rows))
        .collect();
    assert_eq!(counts, BTreeMap::from([(Some("a"), 2), (Some("b"), 1)]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_row_lands_once_under_its_own_values(
        rows in prop::collection::vec((prop::option::of("[ab%/é]{0,2}"), -2..2_i32), 1..60),
        cut in 0..60_usize,
        open in 1..5_usize,
    ) {
        let keys: Vec<Option<&str>> = rows.iter().map(|(k, _)| k.as_deref()).collect();
        let days: Vec<i32> = rows.iter().map(|(_, d)| *d).collect();
        let batch = keyed(&keys, &days);
        let cut = cut.min(rows.len());
        let batches = [batch.slice(0, cut), batch.slice(cut, rows.len() - cut)];
        let options = WriteOptions { max_open_partitions: open, ..WriteOptions::default() };
        let files = encode(spec(&batch.schema(), &["key", "day"]), options, &batches);
        let mut seen = vec![false; rows.len()];
        for file in &files {
            for n in read(file)["n"].as_primitive::<Int64Type>().values() {
                let n = *n as usize;
                prop_assert!(!std::mem::replace(&mut seen[n], true));
                let key = rows[n].0.clone().filter(|k| !k.is_empty());
                prop_assert_eq!(&file.partition_values["key"], &key);
                let day = chrono::NaiveDate::default() + chrono::Duration::days(rows[n].1.into());
                prop_assert_eq!(&file.partition_values["day"], &Some(day.to_string()));
            }
        }
        prop_assert!(seen.iter().all(|s| *s));
    }
}
