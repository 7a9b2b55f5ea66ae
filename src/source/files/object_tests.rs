//! Objects read as files are read: the same records, whatever the store does meanwhile.

use super::{
    FilesError, InputStores, Served,
    input::{Input, ReadAhead, Reading},
    inputs::{Found, canonical, list},
    object::Ahead,
    reader_tests::{gzip, records_from, records_of, write, zst},
    text::BytesRead,
};
use crate::{
    error::Kind,
    storage::{
        self,
        faulty::{Failure, Fault, FaultyStore, Operation, Rule},
    },
};
use ::parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use arrow::{
    array::{ArrayRef, Int64Array, StringArray},
    record_batch::RecordBatch,
};
use object_store::{ObjectStoreExt, memory::InMemory, path::Path};
use std::{io::Read, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// One store behind every bucket of `s3:`.
#[derive(Clone, Debug)]
pub(crate) struct Memory(pub(crate) FaultyStore);

impl Default for Memory {
    fn default() -> Self {
        Self(FaultyStore::new(Arc::new(InMemory::new())))
    }
}

impl InputStores for Memory {
    fn open_url(&self, url: &str) -> storage::Result<Served> {
        let (scheme, rest) = url.split_once("://").unwrap();
        if !matches!(scheme, "s3" | "s3a") {
            return Err(storage::Error::UnsupportedScheme {
                scheme: scheme.into(),
                url: url.into(),
            });
        }
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Served {
            store: Arc::new(self.0.clone()),
            path: Path::parse(path).unwrap(),
            url: ::url::Url::parse(&format!("s3://{bucket}/{path}")).unwrap(),
        })
    }
}

impl Memory {
    pub(crate) async fn put(&self, key: &str, bytes: Vec<u8>) {
        let path = Path::parse(key).unwrap();
        self.0.put(&path, bytes.into()).await.unwrap();
    }

    /// What an input names now, which is one object.
    async fn found(&self, input: &str) -> Found {
        let inputs = canonical(&[input.into()], self).unwrap();
        let mut found = list(&inputs, self).await.unwrap();
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    pub(crate) fn reading(&self, block_bytes: u64, blocks: usize) -> Reading {
        Reading {
            stores: Arc::new(self.clone()),
            halt: CancellationToken::new(),
            ahead: ReadAhead {
                block_bytes,
                blocks,
            },
            bytes: BytesRead::default(),
        }
    }
}

/// For files, which need no store.
pub(crate) fn reading() -> Reading {
    Memory::default().reading(1 << 20, 2)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Many columns, several row groups and pages, none of a size that blocks divide.
fn parquet(rows: i64) -> Vec<u8> {
    parquet_of(rows, 10_007)
}

fn parquet_of(rows: i64, group_rows: usize) -> Vec<u8> {
    let text = |seed: i64| {
        let value = move |i: i64| match i % 7 {
            0 => None,
            _ => Some(format!(
                "{:x}",
                i.wrapping_mul(seed)
                    .wrapping_mul(0x9E37_79B9_7F4A_7C15u64 as i64)
            )),
        };
        Arc::new(StringArray::from_iter((0..rows).map(value))) as ArrayRef
    };
    let mut columns = vec![(
        "n".to_owned(),
        Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef,
    )];
    columns.extend((1..12).map(|seed| (format!("t{seed}"), text(seed))));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_size_limit(9_000)
        .build();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn lines(n: u64) -> String {
    let line = |i: u64| format!("{{\"i\":{}}}\n", i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    (0..n).map(line).collect()
}

#[tokio::test]
async fn every_format_and_compression_reads_as_from_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let memory = Memory::default();
    let text = lines(3_000);
    let array = format!("[{}]", text.trim_end().replace('\n', ","));
    let sequence = text.replace("{\"i\"", "{\n\"i\"");
    let csv: String = (0..3_000)
        .map(|i| format!("{i},\"a {i}\n\",{}\n", i % 2 == 0))
        .collect();
    let csv = format!("id,text,even\n{csv}");
    let tsv = csv.replace(',', "\t");
    let texts = [
        ("a.ndjson", &text),
        ("b.json", &array),
        ("c.json", &sequence),
        ("d.csv", &csv),
        ("e.tsv", &tsv),
    ];
    let mut files = vec![
        ("f.parquet".to_owned(), parquet(30_000)),
        ("small.parquet".to_owned(), parquet(10)),
        ("empty.json".to_owned(), Vec::new()),
        (
            "two.ndjson.gz".to_owned(),
            [gzip(b"1\n"), gzip(b"2\n")].concat(),
        ),
    ];
    for (name, text) in texts {
        files.push((name.to_owned(), text.clone().into_bytes()));
        files.push((format!("{name}.gz"), gzip(text.as_bytes())));
        files.push((format!("{name}.zst"), zst(text.as_bytes())));
    }
    for (name, bytes) in files {
        let path = write(dir.path(), &name, &bytes);
        memory.put(&format!("in/{name}"), bytes).await;
        let found = memory.found(&format!("s3://b/in/{name}")).await;
        let all = records_from(&path, 0, 1 << 20).unwrap();
        for (block, ahead, n, target) in [
            (1 << 20, 3, 0, 1 << 20),
            (997, 3, 0, 70_000),
            (4_096, 0, 1_234, 1_000),
            (65_536, 1, 2_999, 1),
        ] {
            let n = n.min(all.len());
            let (found, reading) = (found.clone(), memory.reading(block, ahead));
            let got = blocking(move || {
                let input = Input::found(&found, &*reading.stores)?;
                records_of(&input, &reading, n as u64, target)
            });
            assert!(
                got.await.unwrap() == all[n..],
                "{name} from {n} in blocks of {block}"
            );
        }
    }
}

#[tokio::test]
async fn damage_is_told_from_a_store_that_fails() {
    let memory = Memory::default();
    let gz = gzip(lines(3_000).as_bytes());
    let pq = parquet(30_000);
    for (name, bytes) in [
        ("a.ndjson.gz", gz[..gz.len() / 2].to_vec()),
        ("b.parquet", pq[..pq.len() / 2].to_vec()),
        (
            "c.parquet",
            [
                &pq[..pq.len() / 2],
                &vec![0; pq.len() / 3],
                &pq[pq.len() * 5 / 6..],
            ]
            .concat(),
        ),
    ] {
        memory.put(name, bytes).await;
        let found = memory.found(&format!("s3://b/{name}")).await;
        let reading = memory.reading(10_000, 2);
        let got = blocking(move || {
            records_of(&Input::found(&found, &*reading.stores)?, &reading, 0, 1_000)
        });
        let error = got.await.unwrap_err();
        assert!(
            matches!(error, FilesError::Damaged { .. }),
            "{name}: {error}"
        );
        assert!(
            error.to_string().contains(&format!("s3://b/{name}")),
            "{error}"
        );
    }
    for (name, bytes) in [
        ("d.parquet", pq),
        ("e.ndjson.zst", zst(lines(30_000).as_bytes())),
    ] {
        for skip in [1, 3, 5] {
            memory.put(name, bytes.clone()).await;
            memory.0.reset();
            let found = memory.found(&format!("s3://b/{name}")).await;
            let denied = Fault::Fail(Failure::PermissionDenied);
            memory.0.add(Rule::on(Operation::Get, denied).skip(skip));
            let reading = memory.reading(10_000, 2);
            let got = blocking(move || {
                records_of(&Input::found(&found, &*reading.stores)?, &reading, 0, 1_000)
            });
            let error = got.await.unwrap_err();
            assert_eq!(error.kind(), Kind::Unauthorized, "{name} {skip}: {error}");
            memory.0.reset();
        }
    }
}

/// Answers that break off are asked for again from the byte where they did: no block would ever be whole otherwise.
#[tokio::test]
async fn a_store_that_fails_is_asked_until_all_is_read() {
    let memory = Memory::default();
    let text = lines(400);
    let faults = [
        Fault::CutBody(3_000),
        Fault::EndBody(3_000),
        Fault::Fail(Failure::Unavailable),
        Fault::LoseAnswer(Failure::Unavailable),
        Fault::Delay(Duration::from_millis(20)),
    ];
    for (name, bytes) in [
        ("a.ndjson", text.clone().into_bytes()),
        ("b.ndjson.gz", gzip(text.as_bytes())),
        ("c.parquet", parquet(60)),
    ] {
        memory.put(name, bytes).await;
        let found = memory.found(&format!("s3://b/{name}")).await;
        let read = async || {
            let (found, reading) = (found.clone(), memory.reading(7_000, 2));
            let got = blocking(move || {
                records_of(&Input::found(&found, &*reading.stores)?, &reading, 0, 1_000)
            });
            got.await.unwrap()
        };
        let want = read().await;
        for fault in faults {
            memory.0.reset();
            let rule = Rule::on(Operation::Get, fault);
            memory.0.add(match fault {
                Fault::Fail(_) | Fault::LoseAnswer(_) => rule.skip(1).times(2),
                _ => rule,
            });
            assert_eq!(read().await, want, "{name} {fault:?}");
        }
        memory.0.reset();
    }
}

#[tokio::test]
async fn two_states_of_an_object_are_never_mixed() {
    let memory = Memory::default();
    let path = Path::from("a.ndjson");
    for change in ["other bytes", "other length", "nothing"] {
        memory.put("a.ndjson", vec![b'1'; 50_000]).await;
        let found = memory.found("s3://b/a.ndjson").await;
        let reading = memory.reading(10_000, 1);
        let open = blocking(move || {
            let Input::Object(object) = Input::found(&found, &*reading.stores).unwrap() else {
                panic!("an object");
            };
            let mut ahead = Ahead::open(object, &reading).unwrap();
            let mut first = vec![0; 10_000];
            ahead.read_exact(&mut first).unwrap();
            ahead
        });
        let mut ahead = open.await;
        match change {
            "nothing" => memory.0.delete(&path).await.unwrap(),
            "other length" => memory.put("a.ndjson", vec![b'2'; 50_001]).await,
            _ => memory.put("a.ndjson", vec![b'2'; 50_000]).await,
        }
        let error = blocking(move || {
            let mut rest = Vec::new();
            let error = FilesError::from_io(ahead.read_to_end(&mut rest).unwrap_err());
            assert!(rest.iter().all(|&b| b == b'1'), "no byte of the new state");
            error
        });
        let error = error.await;
        match change {
            "nothing" => {
                assert!(matches!(error, FilesError::ObjectGone(_)), "{error}");
                assert_eq!(error.kind(), Kind::Config);
            }
            _ => assert!(matches!(error, FilesError::ChangedWhileRead(_)), "{error}"),
        }
        assert!(error.to_string().contains("s3://b/a.ndjson"), "{error}");
    }
    // One that was empty when it was listed is looked at too.
    memory.put("e.json", Vec::new()).await;
    let found = memory.found("s3://b/e.json").await;
    memory.put("e.json", b"{}".to_vec()).await;
    let reading = memory.reading(10_000, 1);
    let read =
        blocking(move || records_of(&Input::found(&found, &*reading.stores)?, &reading, 0, 1_000));
    assert!(matches!(read.await, Err(FilesError::ChangedWhileRead(_))));
}

#[tokio::test]
async fn no_more_is_held_than_was_agreed() {
    let memory = Memory::default();
    memory.put("a.ndjson", vec![b' '; 1_000_000]).await;
    let found = memory.found("s3://b/a.ndjson").await;
    memory.0.reset();
    let reading = memory.reading(10_000, 3);
    let hold = |read: usize| {
        let (found, reading) = (found.clone(), reading.clone());
        blocking(move || {
            let input = Input::found(&found, &*reading.stores).unwrap();
            let mut source = input.open(&reading).unwrap();
            source
                .by_ref()
                .take(read as u64)
                .read_to_end(&mut Vec::new())
                .unwrap();
            source
        })
    };
    for (read, blocks) in [(1, 4), (10_000, 4), (10_001, 5), (123_456, 16)] {
        memory.0.reset();
        let source = hold(read).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(memory.0.count(Operation::Get), blocks, "{read} bytes read");
        drop(source);
    }
    for bytes in [0, 1 << 20, 5 << 20, 20 << 20, 1 << 40] {
        let ahead = ReadAhead::within(bytes);
        assert!(ahead.total_bytes() <= bytes.max(320 << 10) && ahead.block_bytes >= 64 << 10);
    }
}

/// Columns that would not fit together are read in turns of small blocks; what fits is asked for at once.
#[tokio::test]
async fn parquet_is_not_asked_for_page_by_page() {
    let memory = Memory::default();
    let bytes = parquet(30_000);
    let size = bytes.len() as u64;
    memory.put("a.parquet", bytes).await;
    let found = memory.found("s3://b/a.parquet").await;
    let mut gets = Vec::new();
    for block in [4 << 20, 1 << 16] {
        memory.0.reset();
        let (found, reading) = (found.clone(), memory.reading(block, 4));
        let got = blocking(move || {
            records_of(
                &Input::found(&found, &*reading.stores)?,
                &reading,
                0,
                1 << 20,
            )
        });
        assert_eq!(got.await.unwrap().len(), 30_000);
        gets.push(memory.0.count(Operation::Get) as u64);
    }
    // One for the format, one for the footer, a few a row group.
    assert!(gets[0] <= 2 + 3 * 4, "{gets:?} for {size} bytes");
    assert!(
        gets[1] <= 2 + 3 * 12 + 2 * size / (64 << 10),
        "{gets:?} for {size} bytes"
    );
}

/// A batch would be of many row groups: each is fetched once all the same, not once for each column.
#[tokio::test]
async fn small_row_groups_are_fetched_once() {
    let memory = Memory::default();
    memory.put("a.parquet", parquet_of(5_000, 200)).await;
    let found = memory.found("s3://b/a.parquet").await;
    for first in [0, 123] {
        memory.0.reset();
        let (found, reading) = (found.clone(), memory.reading(4 << 20, 4));
        let got = blocking(move || {
            records_of(
                &Input::found(&found, &*reading.stores)?,
                &reading,
                first,
                1 << 20,
            )
        });
        assert_eq!(got.await.unwrap().len() as u64, 5_000 - first);
        // One for the format, one for the footer, one or two for each group.
        let gets = memory.0.count(Operation::Get);
        assert!(gets <= 2 + 2 * 25, "{gets} from {first}");
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_asked_again() {
    let memory = Memory::default();
    memory.put("a.ndjson", lines(100).into_bytes()).await;
    let found = memory.found("s3://b/a.ndjson").await;
    let read = async |failure: Failure, times: u64| {
        memory.0.reset();
        let fault = Fault::Fail(failure);
        memory.0.add(Rule::on(Operation::Get, fault).times(times));
        let (found, reading) = (found.clone(), memory.reading(10_000, 0));
        let halt = reading.halt.clone();
        let read = blocking(move || {
            records_of(&Input::found(&found, &*reading.stores)?, &reading, 0, 1_000)
        });
        let read = tokio::time::timeout(Duration::from_secs(10), read).await;
        // The thread must not outlive the test.
        halt.cancel();
        read.expect("an answer in time")
    };
    for failure in [
        Failure::Status(400),
        Failure::Status(410),
        Failure::Status(416),
        Failure::NotPartial,
    ] {
        let error = read(failure, u64::MAX).await.unwrap_err();
        assert_eq!(memory.0.count(Operation::Get), 1, "{failure:?}");
        assert_ne!(error.kind(), Kind::Unavailable, "{failure:?}");
        match failure {
            Failure::NotPartial => {
                assert!(matches!(error, FilesError::NoRanges(_)), "{error}");
                assert!(error.to_string().contains("`Range`"), "{error}");
            }
            Failure::Status(416) => {
                assert!(matches!(error, FilesError::ChangedWhileRead(_)), "{error}");
            }
            _ => assert!(matches!(error, FilesError::Refused { .. }), "{error}"),
        }
        assert!(error.to_string().contains("s3://b/a.ndjson"), "{error}");
    }
    for status in [408, 429, 503] {
        let got = read(Failure::Status(status), 2).await.unwrap();
        assert_eq!(got.len(), 100, "{status}");
    }
}

#[tokio::test]
async fn who_must_leave_does_not_wait_for_a_store() {
    let memory = Memory::default();
    memory.put("a.ndjson", b"{}\n".to_vec()).await;
    let found = memory.found("s3://b/a.ndjson").await;
    memory
        .0
        .add(Rule::on(Operation::Get, Fault::Fail(Failure::Unavailable)));
    let reading = memory.reading(10_000, 1);
    let halt = reading.halt.clone();
    let read = tokio::task::spawn_blocking(move || {
        records_of(&Input::found(&found, &*reading.stores)?, &reading, 0, 1_000)
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(memory.0.count(Operation::Get) > 1, "asked again meanwhile");
    halt.cancel();
    let error = tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(matches!(error, FilesError::Halted), "{error}");
}
