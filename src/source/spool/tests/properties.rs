//! Any request, any cut, any flipped bit, any order of failures.

use super::*;
use proptest::prelude::*;

/// What a spool held when it stopped: its folder, what was acknowledged, in one request a group.
struct Stopped {
    folder: TempDir,
    /// Events of each request, and where in the segment it begins.
    requests: Vec<(Vec<String>, u64)>,
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// One segment of one request a group.
fn stopped(requests: Vec<Vec<String>>) -> Stopped {
    let folder = TempDir::new().unwrap();
    let spool = Spool::open(folder.path(), "p", "web", Options::default()).unwrap();
    let requests = runtime().block_on(async {
        let mut done = Vec::new();
        for events in requests {
            let at = spool.disk_bytes().max(segment::HEADER);
            spool.append(request("a", &events)).await.unwrap();
            done.push((events, at));
        }
        done
    });
    Stopped { folder, requests }
}

impl Stopped {
    fn segment(&self) -> PathBuf {
        segments(self.folder.path()).remove(0)
    }

    /// Opens the spool anew and checks that it holds exactly the first requests, whole; returns how
    /// many, and the first number given out after them.
    fn reopen(&self) -> Result<(usize, Offset)> {
        let spool = Spool::open(self.folder.path(), "p", "web", Options::default())?;
        runtime().block_on(async {
            let found: Vec<_> = read_from(&spool, 0, 1 << 20)
                .await?
                .into_iter()
                .map(|e| e.2)
                .collect();
            let next = put(&spool, "a", &["next"]).await?.start;
            let mut n = 0;
            let mut seen = 0;
            while seen < found.len() {
                let events = &self.requests[n].0;
                assert_eq!(found[seen..seen + events.len()], events[..]);
                seen += events.len();
                n += 1;
            }
            Ok((n, next))
        })
    }

    fn events(&self) -> u64 {
        self.requests
            .iter()
            .map(|(events, _)| events.len() as u64)
            .sum()
    }
}

fn any_requests() -> impl Strategy<Value = Vec<Vec<String>>> {
    proptest::collection::vec(proptest::collection::vec("[a-z]{1,40}", 1..5), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_file_cut_anywhere_holds_the_whole_requests_before_the_cut(requests in any_requests(), at in 0.0..1.0f64) {
        let stopped = stopped(requests);
        let path = stopped.segment();
        let len = std::fs::metadata(&path).unwrap().len();
        let cut = (at * len as f64) as u64;
        File::options().write(true).open(&path).unwrap().set_len(cut).unwrap();
        let ends = stopped.requests.iter().skip(1).map(|(_, at)| *at).chain([len]);
        let whole = ends.filter(|end| *end <= cut).count();
        let (found, next) = stopped.reopen().unwrap();
        prop_assert_eq!(found, whole);
        let kept: u64 = stopped.requests[..whole].iter().map(|(events, _)| events.len() as u64).sum();
        prop_assert!(next >= kept);
    }

    #[test]
    fn rule_17_bytes_that_never_were_acknowledged_are_cut_and_their_numbers_skipped(
        requests in any_requests(), tail in proptest::collection::vec(any::<u8>(), 1..200)) {
        let stopped = stopped(requests);
        let path = stopped.segment();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(&tail);
        std::fs::write(&path, bytes).unwrap();
        let (found, next) = stopped.reopen().unwrap();
        prop_assert_eq!(found, stopped.requests.len());
        prop_assert!(next > stopped.events());
        // And again: the cut is durable, the numbers stay skipped.
        let spool = Spool::open(stopped.folder.path(), "p", "web", Options::default()).unwrap();
        prop_assert!(spool.durable() > next);
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_costs_the_last_group_alone(requests in any_requests(), at in 0.0..1.0f64, bit in 0u8..8) {
        let stopped = stopped(requests);
        let path = stopped.segment();
        let mut bytes = std::fs::read(&path).unwrap();
        let byte = (at * bytes.len() as f64) as usize;
        bytes[byte] ^= 1 << bit;
        std::fs::write(&path, &bytes).unwrap();
        let last = stopped.requests.last().unwrap().1 as usize;
        match stopped.reopen() {
            Err(SpoolError::Corrupt { .. }) => prop_assert!(byte < last),
            Err(error) => prop_assert!(false, "{}", error),
            Ok((found, _)) => {
                // The reserved bytes of a segment's header are under its checksum too.
                prop_assert!(byte >= last, "byte {} of {}", byte, bytes.len());
                prop_assert_eq!(found, stopped.requests.len() - 1);
            }
        }
    }

    #[test]
    fn any_bytes_may_stand_in_a_segment(bytes in proptest::collection::vec(any::<u8>(), 0..300), header: bool) {
        let folder = TempDir::new().unwrap();
        drop(Spool::open(folder.path(), "p", "web", Options::default()).unwrap());
        let mut all = if header { segment::header(7, 0).to_vec() } else { Vec::new() };
        all.extend_from_slice(&bytes);
        std::fs::write(segment::path(folder.path(), 7), &all).unwrap();
        match Spool::open(folder.path(), "p", "web", Options::default()) {
            Ok(spool) => {
                prop_assert!(header || all.len() <= 32);
                runtime().block_on(async {
                    assert!(read_from(&spool, 0, 1 << 20).await.unwrap().is_empty());
                    assert!(put(&spool, "a", &["next"]).await.unwrap().start >= 7);
                });
            }
            Err(error) => prop_assert!(!header && matches!(error, SpoolError::Corrupt { .. }), "{}", error),
        }
    }

    #[test]
    fn random_appends_failures_crashes_and_commits_lose_nothing(steps in proptest::collection::vec(0u8..10, 1..40)) {
        let folder = TempDir::new().unwrap();
        let disk = Arc::new(Faulty::default());
        let open = || Spool::open_on(Arc::clone(&disk) as _, folder.path(), "p", "web", small()).unwrap();
        runtime().block_on(async {
            let mut spool = open();
            let mut acknowledged: Vec<(Offset, String)> = Vec::new();
            let mut failed: Vec<String> = Vec::new();
            let mut low_water = 0;
            let mut highest = 0;
            for (n, step) in steps.into_iter().enumerate() {
                let text = format!("{n}{}", "x".repeat(300));
                match step {
                    0 => {
                        drop(spool);
                        spool = open();
                    }
                    1 => {
                        low_water = acknowledged.get(acknowledged.len() / 2).map_or(low_water, |e| e.0);
                        spool.truncate_below(low_water);
                    }
                    2 => {
                        *disk.sync_fails.lock() = true;
                        assert!(put(&spool, "a", &[&text]).await.is_err());
                        failed.push(text);
                        *disk.sync_fails.lock() = false;
                    }
                    3 => {
                        *disk.room.lock() = Some(100);
                        if let Ok(range) = put(&spool, "a", &[&text]).await {
                            acknowledged.push((range.start, text));
                        } else {
                            failed.push(text);
                        }
                        *disk.room.lock() = None;
                    }
                    _ => {
                        let range = put(&spool, "a", &[&text]).await.unwrap();
                        assert!(range.start >= highest, "a number is given out once");
                        highest = range.end;
                        acknowledged.push((range.start, text));
                    }
                }
            }
            let found = read_from(&spool, low_water, 4_000).await.unwrap();
            let expected: Vec<_> = acknowledged.into_iter().filter(|e| e.0 >= low_water).collect();
            // A write that failed may yet be found after a crash (its outcome is unknown); no other event may.
            let found: Vec<_> = found.into_iter().map(|e| (e.0, e.2)).filter(|e| !failed.contains(&e.1)).collect();
            assert_eq!(found, expected);
        });
    }
}
