//! What the reader gets from memory is what it would read from the disk.

use super::*;
use crate::{
    event::{ByteBudget, RecordSpan},
    source::spool::{
        Chunk,
        recent::{Recent, Request},
    },
};
use proptest::prelude::*;

fn with_budget(budget: &ByteBudget) -> Options {
    Options {
        recent: Some(budget.clone()),
        segment_bytes: 600 << 10,
        ..Options::default()
    }
}

/// (offset, table, text, reject code)
type Event = (Offset, String, String, Option<&'static str>);

fn events(chunk: &Chunk) -> Vec<Event> {
    let event = |record: &crate::event::RecordSpan| {
        let value = &chunk.slab[record.value.start as usize..record.value.end as usize];
        let code = match &record.kind {
            RecordKind::Rejected(reason) => Some(reason.code),
            _ => None,
        };
        let table = chunk.tables[record.table as usize].to_string();
        let text = String::from_utf8(value.to_vec()).unwrap();
        (record.offset, table, text, code)
    };
    chunk.records.iter().map(event).collect()
}

async fn from_disk(spool: &Spool, mut from: Offset) -> Vec<Event> {
    let mut reader = spool.reader(from, None).unwrap();
    let mut all = Vec::new();
    while from < spool.durable() {
        let chunk = reader.next(1 << 20).await.unwrap().unwrap();
        all.extend(events(&chunk));
        from = chunk.end;
    }
    all
}

#[tokio::test]
async fn a_reader_at_the_tail_is_served_from_memory_and_pays_for_it() {
    let folder = TempDir::new().unwrap();
    let budget = ByteBudget::new(64 << 20);
    let spool = Spool::open(folder.path(), "p", "web", with_budget(&budget)).unwrap();
    put(&spool, "a", &["nobody reads yet"]).await.unwrap();
    assert_eq!(budget.used(), 0);
    let mut reader = spool.reader(1, None).unwrap();
    put(&spool, "a", &["one", "two"]).await.unwrap();
    put(&spool, "b", &["three"]).await.unwrap();
    let large = "x".repeat(200_000);
    put(&spool, "a", &[&large]).await.unwrap();
    let held = budget.used();
    assert!(held > 200_000);
    let small = reader.recent().unwrap();
    assert_eq!((small.start, small.end), (1, 4), "small requests together");
    let texts: Vec<_> = events(&small).into_iter().map(|e| (e.1, e.2)).collect();
    let expected = [("a", "one"), ("a", "two"), ("b", "three")];
    assert_eq!(texts, expected.map(|(t, e)| (t.to_owned(), e.to_owned())));
    let alone = reader.recent().unwrap();
    assert_eq!((alone.start, alone.end), (4, 5));
    assert!(reader.recent().is_none());
    assert_eq!(budget.used(), held, "what is handed on is still charged");
    drop((small, alone));
    assert_eq!(budget.used(), 0);
    // Without room the disk serves, and after it memory again.
    let all = budget.charge(64 << 20);
    put(&spool, "a", &["from disk"]).await.unwrap();
    assert!(reader.recent().is_none());
    assert_eq!(reader.next(1 << 20).await.unwrap().unwrap().end, 6);
    drop(all);
    put(&spool, "a", &["from memory"]).await.unwrap();
    assert_eq!(reader.recent().unwrap().end, 7);
    put(&spool, "a", &["left"]).await.unwrap();
    assert!(budget.used() > 0);
    drop(reader);
    assert_eq!(budget.used(), 0, "nothing is kept for nobody");
}

#[tokio::test]
async fn what_is_not_durable_is_not_handed_on() {
    let folder = TempDir::new().unwrap();
    let disk = Arc::new(Faulty::default());
    let budget = ByteBudget::new(64 << 20);
    let spool = Spool::open_on(
        Arc::clone(&disk) as _,
        folder.path(),
        "p",
        "web",
        with_budget(&budget),
    )
    .unwrap();
    put(&spool, "a", &["first"]).await.unwrap();
    let mut reader = spool.reader(1, None).unwrap();
    *disk.sync_fails.lock() = true;
    assert!(put(&spool, "a", &["lost"]).await.is_err());
    assert!(reader.recent().is_none());
    assert_eq!(budget.used(), 0);
    *disk.sync_fails.lock() = false;
    let range = put(&spool, "a", &["kept"]).await.unwrap();
    // Numbers were skipped, which only the disk tells.
    assert!(reader.recent().is_none());
    let chunk = reader.next(1 << 20).await.unwrap().unwrap();
    assert_eq!((chunk.start, chunk.end), (1, range.end));
    assert!(range.start > 1);
    assert_eq!(events(&chunk).len(), 1);
    assert!(
        reader.recent().is_none(),
        "what came from the disk comes once"
    );
    assert_eq!(budget.used(), 0);
}

fn kept(text: &str) -> Request {
    Request {
        table: "a".into(),
        body: Bytes::from(text.to_owned()),
        events: std::iter::once(0..text.len() as u32).collect(),
        rejected: Vec::new(),
        received_at: 0,
    }
}

#[test]
fn what_is_kept_is_charged_by_the_memory_it_takes() {
    let budget = ByteBudget::new(16 << 20);
    let recent = Recent::new(Some(budget.clone()));
    recent.reader_came(0);
    let mut used = Vec::new();
    for start in 0..5_000 {
        let end = start + 1;
        let range = OffsetRange { start, end };
        recent.keep(range, kept(&"x".repeat(400)), (0, end));
        used.push(budget.used());
    }
    assert!(used[0] >= 64 << 10, "a buffer is no smaller: {}", used[0]);
    assert!(used[1] < used[0] + (1 << 10), "the next one shares it");
    assert!(budget.used() <= budget.limit() / 16);
    let taken = recent.take(0).unwrap().chunk;
    let permit = taken.permit.as_ref().unwrap();
    let least = taken.slab.len() + taken.records.len() * size_of::<RecordSpan>();
    assert!(permit.bytes() >= least as u64);
    drop(taken);
    recent.reader_left();
    assert_eq!(budget.used(), 0);
}

/// Growing leaves buffers of every size behind, and takes memory that must be cleared first.
#[test]
fn what_follows_is_given_as_much_room_as_the_last_took() {
    let budget = ByteBudget::new(256 << 20);
    let recent = Recent::new(Some(budget.clone()));
    recent.reader_came(0);
    let text = "x".repeat(30_000);
    let keep = |start: Offset| {
        let end = start + 1;
        recent.keep(OffsetRange { start, end }, kept(&text), (0, end));
        budget.used()
    };
    (0..9).for_each(|start| {
        keep(start);
    });
    drop(recent.take(0).unwrap());
    assert_eq!(budget.used(), 0);
    let first = keep(9);
    assert!((270_000..400_000).contains(&first), "{first}");
    assert!(
        (10..18).all(|start| keep(start) == first),
        "it does not grow"
    );
    drop(recent.take(9).unwrap());
    keep(18);
    drop(recent.take(18).unwrap());
    assert!(keep(19) < 128 << 10, "the last was small");
    // What is not there for so much may be for less.
    (20..28).for_each(|start| {
        keep(start);
    });
    drop(recent.take(19).unwrap());
    let _others = budget.charge((256 << 20) - (128 << 10));
    let before = budget.used();
    assert!(keep(28) > before);
    recent.reader_left();
}

/// The disk shows a group to readers a moment before memory does.
#[test]
fn what_the_reader_has_passed_is_not_kept() {
    let budget = ByteBudget::new(16 << 20);
    let recent = Recent::new(Some(budget.clone()));
    recent.reader_came(3);
    let keep = |start, end| recent.keep(OffsetRange { start, end }, kept("x"), (0, end));
    keep(2, 3);
    assert_eq!(budget.used(), 0);
    keep(3, 4);
    assert!(budget.used() > 0);
    recent.passed(5);
    keep(4, 5);
    assert_eq!(budget.used(), 0, "read from the disk meanwhile");
    keep(5, 6);
    drop(recent.take(5).unwrap());
    keep(5, 6);
    assert_eq!(budget.used(), 0);
    recent.reader_left();
    recent.reader_came(4);
    keep(4, 5);
    assert!(budget.used() > 0, "a reader that begins again begins here");
    recent.reader_left();
    assert_eq!(budget.used(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    /// Events of these lengths, one of them rejected perhaps.
    Append(Vec<usize>, Option<prop::sample::Index>),
    Memory,
    Disk(u64),
    /// Reads on from an earlier place.
    Rewind(prop::sample::Index),
    /// Takes or leaves the budget's room.
    Room(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![8 => 1usize..60, 1 => 90_000usize..120_000, 1 => Just(300_000)];
    prop_oneof![
        4 => (prop::collection::vec(length, 1..6), prop::option::of(any::<prop::sample::Index>())).prop_map(|(lengths, bad)| Step::Append(lengths, bad)),
        4 => Just(Step::Memory),
        1 => prop_oneof![Just(1u64), Just(1 << 20)].prop_map(Step::Disk),
        1 => any::<prop::sample::Index>().prop_map(Step::Rewind),
        1 => any::<bool>().prop_map(Step::Room),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn memory_and_disk_together_give_every_event_once(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = TempDir::new().unwrap();
            let budget = ByteBudget::new(16 << 20);
            let spool = Spool::open(folder.path(), "p", "web", with_budget(&budget)).unwrap();
            let mut reader = spool.reader(0, None).unwrap();
            let (mut seen, mut at, mut full, mut n): (Vec<Event>, Offset, _, _) = (Vec::new(), 0, None, 0);
            for step in steps {
                let chunk = match step {
                    Step::Append(lengths, bad) => {
                        let texts: Vec<_> = lengths.iter().map(|&length| {
                            n += 1;
                            format!("{n}{}", "x".repeat(length))
                        }).collect();
                        let mut append = request(["a", "b"][n % 2], &texts);
                        let reason = RejectReason { code: "malformed", detail: "why".into() };
                        append.rejected.extend(bad.map(|bad| (bad.index(texts.len()) as u32, reason)));
                        spool.append(append).await.unwrap();
                        None
                    }
                    Step::Memory => reader.recent(),
                    Step::Disk(_) if at == spool.durable() => None,
                    Step::Disk(max) => reader.next(max).await.unwrap(),
                    Step::Rewind(to) => {
                        at = to.index(at as usize + 1) as Offset;
                        seen.retain(|event| event.0 < at);
                        drop(reader);
                        reader = spool.reader(at, None).unwrap();
                        None
                    }
                    Step::Room(leave) => {
                        full = (!leave).then(|| budget.charge(16 << 20));
                        None
                    }
                };
                if let Some(chunk) = chunk {
                    assert_eq!(chunk.start, at, "chunks join");
                    at = chunk.end;
                    seen.extend(events(&chunk));
                }
            }
            let rest = from_disk(&spool, at).await;
            seen.extend(rest);
            assert_eq!(seen, from_disk(&spool, 0).await);
            drop((reader, full));
            assert_eq!(budget.used(), 0);
        });
    }
}
