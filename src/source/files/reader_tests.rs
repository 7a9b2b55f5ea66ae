//! Every format, plain and compressed: the same records at every reading, wherever it begins.
//!
//! Past 500 lines: what these and other tests of files read with stands beside them.

use super::{
    Compression, CsvType, FileEntry, FilesError, Format,
    csv::guess_types,
    csv_types::CsvTypes,
    format::{detect, open},
    input::{Input, Reading},
    inputs::stat,
    lane::LaneReader,
    object_tests::reading,
    records::Chunk,
};
use crate::event::RecordKind;
use proptest::prelude::*;
use std::{io::Write, path::Path, sync::Arc};

pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn file(path: &str) -> Input {
    Input::File(path.into())
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// All records from the n-th on, as text, with the code of those rejected.
pub(crate) fn records_from(
    path: &str,
    n: u64,
    target: usize,
) -> Result<Vec<(String, &'static str)>, FilesError> {
    records_of(&file(path), &reading(), n, target)
}

/// The same of any input.
pub(crate) fn records_of(
    input: &Input,
    reading: &Reading,
    n: u64,
    target: usize,
) -> Result<Vec<(String, &'static str)>, FilesError> {
    let (format, compression) = detect(input, reading)?;
    let types: CsvTypes = match format.separator() {
        Some(separator) => guess_types(input, compression, separator, reading)?
            .into_iter()
            .map(|(name, guess)| (name, guess.decide()))
            .collect(),
        None => CsvTypes::new(),
    };
    let mut reader = open(input, format, compression, &types, reading)?;
    assert!(reader.skip(n)? <= n);
    let mut all = Vec::new();
    loop {
        let mut chunk = Chunk::default();
        let more = reader.read(&mut chunk, target)?;
        for (span, kind) in &chunk.records {
            let bytes = &chunk.slab[span.start as usize..span.end as usize];
            let code = match kind {
                RecordKind::Rejected(reason) => reason.code,
                _ => "",
            };
            all.push((String::from_utf8_lossy(bytes).into_owned(), code));
        }
        if !more {
            return Ok(all);
        }
    }
}

pub(crate) fn values(path: &str) -> Vec<String> {
    let all = records_from(path, 0, 1 << 20).unwrap();
    for n in 0..=all.len() {
        let rest = records_from(path, n as u64, 7).unwrap();
        assert_eq!(rest, all[n..], "read on from record {n} of {path}");
    }
    all.into_iter().map(|(value, _)| value).collect()
}

#[test]
fn lines_blank_lines_line_ends_and_a_byte_order_mark() {
    let dir = tempfile::tempdir().unwrap();
    let text = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \t\r\nnot json\n{\"a\":2}";
    let want = vec!["{\"a\":1}", "not json", "{\"a\":2}"];
    for (name, bytes) in [
        ("a.ndjson", text.to_vec()),
        ("a.jsonl", text.to_vec()),
        ("a.ndjson.gz", gzip(text)),
        ("a.jsonl.zst", zst(text)),
        ("no_extension", text.to_vec()),
        ("wrongly-named.ndjson", gzip(text)),
    ] {
        assert_eq!(values(&write(dir.path(), name, &bytes)), want, "{name}");
    }
    assert!(values(&write(dir.path(), "empty.json", b"")).is_empty());
    let two_members = [gzip(b"1\n"), gzip(b"2\n")].concat();
    assert_eq!(
        values(&write(dir.path(), "two.ndjson.gz", &two_members)),
        ["1", "2"]
    );
}

#[test]
fn arrays_are_split_by_structure_alone() {
    let dir = tempfile::tempdir().unwrap();
    let text = br#" [ {"a":[1,{"b":"],}\"["}]} , "x,]" ,nope,{"c":1]  , 5 ] "#;
    let want = vec![
        r#"{"a":[1,{"b":"],}\"["}]}"#,
        r#""x,]""#,
        "nope",
        "{\"c\":1]",
        "5",
    ];
    for (name, bytes) in [
        ("a.json", text.to_vec()),
        ("a.json.gz", gzip(text)),
        ("a.zst", zst(text)),
    ] {
        let path = write(dir.path(), name, &bytes);
        assert_eq!(
            detect(&file(&path), &reading()).unwrap().0,
            Format::JsonArray
        );
        assert_eq!(values(&path), want, "{name}");
    }
    assert!(values(&write(dir.path(), "none.json", b"[ ]")).is_empty());
    let gaps = records_from(&write(dir.path(), "gaps.json", b"[1,,2,]"), 0, 100).unwrap();
    let codes: Vec<_> = gaps.iter().map(|(v, code)| (v.as_str(), *code)).collect();
    assert_eq!(
        codes,
        [("1", ""), ("", "malformed"), ("2", ""), ("", "malformed")]
    );
}

#[test]
fn objects_over_several_lines() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(
        dir.path(),
        "a.json",
        b"{\n \"a\": \"}\\\"{\"\n}\n{\n\"b\":[{}]\n}{} 7 ",
    );
    assert_eq!(
        detect(&file(&path), &reading()).unwrap().0,
        Format::JsonSequence
    );
    assert_eq!(
        values(&path),
        ["{\n \"a\": \"}\\\"{\"\n}", "{\n\"b\":[{}]\n}", "{}", "7"]
    );
    let lines = write(dir.path(), "b.json", b"{\"a\":1}\n{\"a\":\n{\"a\":2}\n");
    assert_eq!(detect(&file(&lines), &reading()).unwrap().0, Format::Ndjson);
    assert_eq!(values(&lines), ["{\"a\":1}", "{\"a\":", "{\"a\":2}"]);
}

#[test]
fn damage_is_an_error_that_says_where_never_an_end() {
    let dir = tempfile::tempdir().unwrap();
    // Incompressible enough that cutting the end cuts records.
    let lines: String = (0..5000u64)
        .map(|i| format!("{{\"i\":{}}}\n", i.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    let array = format!("[{}]", lines.trim_end().replace('\n', ","));
    for (name, whole) in [
        ("a.ndjson.gz", gzip(lines.as_bytes())),
        ("a.ndjson.zst", zst(lines.as_bytes())),
        ("a.json.gz", gzip(array.as_bytes())),
        ("a.json", array.as_bytes().to_vec()),
    ] {
        assert_eq!(
            records_from(&write(dir.path(), name, &whole), 0, 1000)
                .unwrap()
                .len(),
            5000
        );
        for cut in [whole.len() - 1, whole.len() / 2] {
            let path = write(dir.path(), name, &whole[..cut]);
            let error = records_from(&path, 0, 1000).unwrap_err();
            assert!(
                matches!(error, FilesError::Damaged { .. }),
                "{name} cut at {cut}: {error}"
            );
            assert!(
                error.to_string().contains(&path) && error.to_string().contains("after_records")
            );
        }
    }
    for bad in [&b"[1] 2"[..], b"[1", b"[\"a", b"[{", b"[1,", b"["] {
        let path = write(dir.path(), "bad.json", bad);
        assert!(records_from(&path, 0, 100).is_err(), "{bad:?}");
    }
}

/// The records before the damage are handed on, then comes the error, never the end of the lane.
#[test]
fn a_lane_meets_damage_after_what_precedes_it() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..60_000u64)
        .map(|i| format!("{{\"i\":{}}}\n", i.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
        .collect();
    for (name, whole) in [
        ("a.ndjson.gz", gzip(lines.as_bytes())),
        ("a.ndjson.zst", zst(lines.as_bytes())),
        (
            "a.json",
            format!("[{}]", lines.trim_end().replace('\n', ",")).into_bytes(),
        ),
    ] {
        let path = write(dir.path(), name, &whole[..whole.len() * 3 / 4]);
        let (format, compression) = detect(&file(&path), &reading()).unwrap();
        let found = stat(&path).unwrap();
        let file = FileEntry {
            url: url::Url::from_file_path(&path).unwrap().into(),
            size: found.size,
            modified_us: found.modified_us,
            etag: None,
            format,
            compression,
            lane: 0,
        };
        let mut lane = LaneReader::new(vec![file], Arc::default(), reading());
        let mut records = 0;
        let error = loop {
            match lane.next(1 << 18) {
                Ok(Some(chunk)) => records += chunk.chunk.records.len(),
                Ok(None) => panic!("{name}: the lane ended"),
                Err(e) => break e,
            }
        };
        assert!(
            matches!(error, FilesError::Damaged { .. }),
            "{name}: {error}"
        );
        assert!((30_000..60_000).contains(&records), "{name}: {records}");
        assert_eq!(lane.offset(), records as u64);
    }
}

#[test]
fn what_cannot_be_told_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        detect(&file(&write(dir.path(), name, bytes)), &reading()).unwrap_err()
    };
    assert!(matches!(
        refused("a.txt", b"hello"),
        FilesError::UnknownFormat(_)
    ));
    assert!(matches!(
        refused("a.json", b"\xff\xfe{\0"),
        FilesError::Utf16(_)
    ));
    assert!(matches!(
        refused("a.parquet", b"{}"),
        FilesError::Damaged { .. }
    ));
    assert!(matches!(
        detect(&file("/nowhere/a.json"), &reading()),
        Err(FilesError::Read { .. })
    ));
}

#[test]
fn csv_values_by_the_type_of_their_column() {
    let dir = tempfile::tempdir().unwrap();
    let text = "\u{feff}id,zip,price,ok,note,none\r\n\
                1,10001,1.50,true,\"a,\"\"b\"\"\n c\",\r\n\
                2,02134,2,false,,\r\n";
    let want = vec![
        r#"{"id":1,"zip":"10001","price":1.50,"ok":true,"note":"a,\"b\"\n c"}"#,
        r#"{"id":2,"zip":"02134","price":2,"ok":false}"#,
    ];
    for (name, bytes) in [
        ("a.csv", text.as_bytes().to_vec()),
        ("a.csv.gz", gzip(text.as_bytes())),
        ("a.csv.zst", zst(text.as_bytes())),
    ] {
        assert_eq!(values(&write(dir.path(), name, &bytes)), want, "{name}");
    }
    assert_eq!(
        values(&write(dir.path(), "a.tsv", b"a\tb\n1\tx,y\n")),
        [r#"{"a":1,"b":"x,y"}"#]
    );
    assert!(values(&write(dir.path(), "header.csv", b"a,b\n")).is_empty());
    assert!(values(&write(dir.path(), "empty.csv", b"")).is_empty());
}

#[test]
fn csv_rows_that_do_not_fit_are_records_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", b"a,b\n1,2\n3\n4,5,6\n7,\xff\n8,9\n");
    let all = records_from(&path, 0, 1000).unwrap();
    let got: Vec<_> = all.iter().map(|(v, code)| (v.as_str(), *code)).collect();
    assert_eq!(
        got,
        [
            (r#"{"a":1,"b":"2"}"#, ""),
            ("3", "malformed"),
            ("4,5,6", "malformed"),
            ("7,\u{fffd}", "invalid_utf8"),
            (r#"{"a":8,"b":"9"}"#, ""),
        ]
    );
    assert_eq!(records_from(&path, 3, 1).unwrap(), all[3..]);
    for header in ["a,a\n1,2\n", "a,\n1,2\n"] {
        let path = write(dir.path(), "bad.csv", header.as_bytes());
        assert!(matches!(
            records_from(&path, 0, 1),
            Err(FilesError::Header { .. })
        ));
    }
}

#[test]
fn a_record_longer_than_the_limit_stops_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let long = super::MAX_RECORD_BYTES + 1_000_000;
    // Compressed, as a bomb would be.
    for (name, head) in [
        ("a.ndjson.gz", "{}\n\""),
        ("a.csv.gz", "a,b\n1,2\n3,\""),
        ("a.json.gz", "[1,\""),
        ("b.json.gz", "[1,"),
    ] {
        let mut text = head.as_bytes().to_vec();
        text.resize(long, b'1');
        let path = write(dir.path(), name, &gzip(&text));
        let error = records_from(&path, 0, 1000).unwrap_err();
        assert!(
            matches!(error, FilesError::RecordTooLong { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn whole_lines_between_the_resume_position_and_damage_are_handed_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut long = b"1\n2\r\n\n3\n4\n\"".to_vec();
    long.resize(super::MAX_RECORD_BYTES + 1_000_000, b'x');
    let mut cut = gzip(b"1\n2\r\n\n3\n4\n5");
    cut.truncate(cut.len() - 8);
    let files = [("long.ndjson", long, 4), ("cut.ndjson.gz", cut, 4)];
    for (name, bytes, whole) in files {
        let path = write(dir.path(), name, &bytes);
        let (format, compression) = detect(&file(&path), &reading()).unwrap();
        let (input, reading) = (file(&path), reading());
        for n in 1..=whole {
            let types = CsvTypes::new();
            let mut reader = open(&input, format, compression, &types, &reading).unwrap();
            assert_eq!(reader.skip(n).unwrap(), n, "{name}");
            let mut texts = Vec::new();
            let error = loop {
                let mut chunk = Chunk::default();
                let read = reader.read(&mut chunk, 1 << 20);
                texts.extend(chunk.records.iter().map(|(span, _)| {
                    let bytes = &chunk.slab[span.start as usize..span.end as usize];
                    String::from_utf8_lossy(bytes).into_owned()
                }));
                if let Err(error) = read {
                    break error;
                }
            };
            assert_eq!(texts, ["1", "2", "3", "4"][n as usize..], "{name} from {n}");
            let records = match error {
                FilesError::RecordTooLong { records, .. } | FilesError::Damaged { records, .. } => {
                    records
                }
                error => panic!("{name}: {error}"),
            };
            assert_eq!(records, whole, "{name}");
        }
        let types = CsvTypes::new();
        let mut reader = open(&input, format, compression, &types, &reading).unwrap();
        assert!(reader.skip(whole + 1).is_err(), "{name}");
    }
}

#[test]
fn lines_are_whole_wherever_blocks_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let mut want = Vec::new();
    let mut text = String::new();
    // Empty, short and tiny lines, and some that are longer than a block.
    for n in 0..3_000 {
        let length = match random.u32(..1_000) {
            0 => 300_000,
            1..900 => random.usize(0..700),
            _ => 0,
        };
        let line = format!("{n}{}", "x".repeat(length));
        text += &line;
        text += ["\n", "\r\n", "\n\n  \n"][random.usize(..3)];
        want.push(line);
    }
    for (name, bytes) in [
        ("a.ndjson", text.clone().into_bytes()),
        ("a.ndjson.gz", gzip(text.as_bytes())),
        ("a.ndjson.zst", zst(text.as_bytes())),
    ] {
        let path = write(dir.path(), name, &bytes);
        for (n, target) in [
            (0, 1 << 20),
            (0, 70_000),
            (1, 1),
            (1_700, 65_536),
            (2_999, 5),
        ] {
            let got = records_from(&path, n, target).unwrap();
            let got: Vec<_> = got.into_iter().map(|(value, _)| value).collect();
            assert!(got == want[n as usize..], "{name} from {n} by {target}");
        }
    }
}

#[test]
fn a_batch_of_tiny_lines_is_bounded_by_their_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.ndjson", "7\n".repeat(200_000).as_bytes());
    let types = CsvTypes::new();
    let mut reader = open(
        &file(&path),
        Format::Ndjson,
        Compression::None,
        &types,
        &reading(),
    )
    .unwrap();
    let mut all = 0;
    loop {
        let mut chunk = Chunk::default();
        let more = reader.read(&mut chunk, 1 << 20).unwrap();
        assert!(chunk.records.len() <= 1 << 16);
        all += chunk.records.len();
        if !more {
            break;
        }
    }
    assert_eq!(all, 200_000);
}

#[test]
fn a_tables_column_overrides_what_the_csv_looks_like() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.csv", b"n,t\nx,1\n7,2\n");
    let types = CsvTypes::from([("n".into(), CsvType::Number), ("t".into(), CsvType::Text)]);
    let mut reader = open(
        &file(&path),
        Format::Csv,
        Compression::None,
        &types,
        &reading(),
    )
    .unwrap();
    let mut chunk = Chunk::default();
    reader.read(&mut chunk, 1000).unwrap();
    assert_eq!(chunk.slab, br#"{"n":"x","t":"1"}{"n":7,"t":"2"}"#);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Arrays and lines of the same values give the same records, however small the reads.
    #[test]
    fn an_array_is_its_elements(values in prop::collection::vec(json(), 0..8), pretty in any::<bool>(), target in 1usize..64) {
        let dir = tempfile::tempdir().unwrap();
        let array = serde_json::Value::Array(values.clone());
        let text = if pretty { serde_json::to_string_pretty(&array) } else { serde_json::to_string(&array) }.unwrap();
        let path = write(dir.path(), "a.json", text.as_bytes());
        let lines: String = values.iter().map(|v| format!("{v}\n")).collect();
        let ndjson = write(dir.path(), "a.ndjson", lines.as_bytes());
        let parse = |path: &str| -> Vec<serde_json::Value> {
            records_from(path, 0, target).unwrap().iter().map(|(v, _)| serde_json::from_str(v).unwrap()).collect()
        };
        prop_assert_eq!(&parse(&path), &values);
        prop_assert_eq!(&parse(&ndjson), &values);
    }

    /// Whatever the bytes: no panic, and reading twice gives the same.
    #[test]
    fn any_bytes_read_the_same_twice(bytes in prop::collection::vec(prop::sample::select(&b"[]{},:\"\\ \nab1\xff\x1f\x8b"[..]), 0..64), name in prop::sample::select(&["a.json", "a.ndjson", "a.csv", "a"][..])) {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), name, &bytes);
        let first = records_from(&path, 0, 8).map_err(|e| e.to_string());
        let again = records_from(&path, 0, 1000).map_err(|e| e.to_string());
        prop_assert_eq!(&first, &again);
        if let Ok(all) = first {
            let half = all.len() / 2;
            prop_assert_eq!(records_from(&path, half as u64, 3).unwrap(), all[half..].to_vec());
        }
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "[\\[\\]{},\":\\\\ a\n]{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::vec(("[a\"\\[]{0,3}", inner), 0..4)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}
