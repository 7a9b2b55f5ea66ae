use super::*;
use crate::pipeline::testing::{partition, raw_batch};

fn batch(epoch: Epoch, start: Offset, end: Offset) -> RawBatch {
    raw_batch(epoch, start..end, start, end)
}

fn feed(table: &Arc<str>, first: Offset) -> Feed {
    Feed {
        table: table.clone(),
        first,
        withhold: false,
    }
}

fn acked(events: &mut mpsc::UnboundedReceiver<SourceEvent>) -> Vec<Offset> {
    std::iter::from_fn(|| events.try_recv().ok())
        .filter_map(|event| match event {
            SourceEvent::Acked(acked) => Some(acked.low_water),
            _ => None,
        })
        .collect()
}

#[test]
fn a_partition_that_comes_back_is_not_taken_for_what_was_dropped() {
    let (events, _inbox) = mpsc::unbounded_channel();
    let registry = Registry::default();
    let first = registry.next_epoch(&partition(), &events);
    registry.rewind(&partition().id, first);
    let second = registry.next_epoch(&partition(), &events);
    registry.release(&partition().id);
    let third = registry.next_epoch(&partition(), &events);
    assert!(first < second && second < third);
    let table: Arc<str> = "t".into();
    assert!(
        registry
            .read(&batch(third, 0, 1), &[feed(&table, 0)])
            .is_some()
    );
    assert!(
        registry
            .read(&batch(second, 1, 2), &[feed(&table, 1)])
            .is_none()
    );
}

#[test]
fn a_spool_is_told_a_mark_once_the_ledger_holds_it() {
    let (events, mut inbox) = mpsc::unbounded_channel();
    let registry = Registry::default();
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let epoch = registry.next_epoch(&partition(), &events);
    registry.set_ledgered(&partition().id, true, true, None);
    registry.read(&batch(epoch, 0, 4), &[feed(&a, 0), feed(&b, 1)]);
    registry.settled(&partition().id, epoch, &a, 4, Some(1));
    registry.settled(&partition().id, epoch, &b, 4, Some(1));
    assert!(acked(&mut inbox).is_empty());
    let due = registry.due_marks();
    assert_eq!(due[0].low_water, 4);
    registry.mark_written(&due[0]);
    assert_eq!(acked(&mut inbox), [4]);
    assert!(registry.due_marks().is_empty());
}

#[test]
fn what_was_settled_without_a_commit_gets_a_mark() {
    let (events, _inbox) = mpsc::unbounded_channel();
    let registry = Registry::default();
    let table: Arc<str> = "t".into();
    let epoch = registry.next_epoch(&partition(), &events);
    registry.set_ledgered(&partition().id, false, false, None);
    registry.read(&batch(epoch, 0, 4), &[feed(&table, 0)]);
    registry.settled(&partition().id, epoch, &table, 4, Some(1));
    assert!(
        registry.due_marks().is_empty(),
        "the table's position says it"
    );
    registry.read(&batch(epoch, 4, 6), &[feed(&table, 4)]);
    assert!(registry.due_marks().is_empty(), "it is not settled yet");
    registry.settled(&partition().id, epoch, &table, 6, None);
    assert_eq!(registry.due_marks()[0].low_water, 6);
}

/// Assigned, with both tables fed `[0, 10)` and `a` left out of `[10, 20)`.
fn lagging(registry: &Registry, events: &mpsc::UnboundedSender<SourceEvent>) -> Epoch {
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let epoch = registry.next_epoch(&partition(), events);
    registry.set_ledgered(&partition().id, true, false, None);
    registry.read(&batch(epoch, 0, 10), &[feed(&a, 0), feed(&b, 1)]);
    let late = Feed {
        withhold: true,
        ..feed(&a, 10)
    };
    let given = registry.read(&batch(epoch, 10, 20), &[late, feed(&b, 11)]);
    assert_eq!(given.unwrap(), [Given::Withheld, Given::Numbered(1)]);
    epoch
}

#[test]
fn a_drain_does_not_wait_for_what_was_withheld_and_its_mark_is_lower() {
    let (events, _inbox) = mpsc::unbounded_channel();
    let registry = Registry::default();
    let id = partition().id.clone();
    let epoch = lagging(&registry, &events);
    registry.settled(&id, epoch, &"a".into(), 10, Some(1));
    registry.settled(&id, epoch, &"b".into(), 20, Some(1));
    assert!(registry.open_tables(&id).is_empty());
    assert!(registry.all_open_tables().is_empty());
    assert_eq!(registry.due_marks()[0].low_water, 10);
    assert_eq!(registry.release(&id).unwrap().acked.unwrap().low_water, 10);
}

#[test]
fn whoever_waits_for_a_lagging_table_waits_until_it_was_read_again() {
    let (events, mut inbox) = mpsc::unbounded_channel();
    let registry = Registry::default();
    let id = partition().id.clone();
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let epoch = lagging(&registry, &events);
    let mut waiting = registry.wait(&id, vec![a.clone()], 15).unwrap();
    let mut other = registry.wait(&id, vec![b.clone()], 15).unwrap();
    registry.settled(&id, epoch, &a, 10, Some(1));
    registry.settled(&id, epoch, &b, 20, Some(1));
    assert!(other.try_recv().is_ok());
    assert!(waiting.try_recv().is_err());
    assert!(registry.reread(&id, epoch) && !registry.reread(&id, epoch));
    assert!(matches!(
        std::iter::from_fn(|| inbox.try_recv().ok()).last(),
        Some(SourceEvent::Rewind { .. })
    ));
    let next = registry.next_epoch(&partition(), &events);
    registry.read(&batch(next, 10, 20), &[feed(&a, 10), feed(&b, 11)]);
    assert!(waiting.try_recv().is_err());
    registry.settled(&id, next, &a, 20, Some(2));
    assert_eq!(waiting.try_recv().unwrap(), Some(2));
}

#[test]
fn an_epoch_continues_another_only_where_nobody_else_could_have_read() {
    let (events, _inbox) = mpsc::unbounded_channel();
    let id = partition().id.clone();
    let b: Arc<str> = "b".into();
    let begin = |registry: &Registry, start: Offset| {
        let next = registry.next_epoch(&partition(), &events);
        registry.read(&batch(next, start, 20), &[feed(&b, 11)]);
        next
    };
    // Read again for a table that lagged: the others go on, and what they had under way counts.
    let registry = Registry::default();
    let epoch = lagging(&registry, &events);
    registry.settled(&id, epoch, &"a".into(), 10, Some(1));
    registry.settled(&id, epoch, &b, 10, Some(1));
    registry.reread(&id, epoch);
    let next = begin(&registry, 10);
    assert!(registry.is_continued(&id, epoch, next));
    registry.settled(&id, epoch, &b, 20, Some(2));
    assert_eq!(registry.low_water(&id), Some(20));
    // After a fence everybody looks at the positions again.
    let registry = Registry::default();
    let epoch = lagging(&registry, &events);
    registry.rewind(&id, epoch);
    let next = begin(&registry, 0);
    assert!(!registry.is_continued(&id, epoch, next));
    registry.settled(&id, epoch, &b, 20, Some(2));
    assert_eq!(registry.low_water(&id), Some(11));
    // So they do when the source begins above the mark that this process knows.
    let registry = Registry::default();
    let epoch = lagging(&registry, &events);
    registry.reread(&id, epoch);
    let next = begin(&registry, 10);
    assert!(!registry.is_continued(&id, epoch, next));
    // And where the partition was given up in between.
    let registry = Registry::default();
    let epoch = lagging(&registry, &events);
    registry.reread(&id, epoch);
    registry.release(&id);
    let next = begin(&registry, 0);
    assert!(!registry.is_continued(&id, epoch, next));
}

#[test]
fn nothing_is_read_again_while_it_drains() {
    let (events, _inbox) = mpsc::unbounded_channel();
    let registry = Registry::default();
    let id = partition().id.clone();
    let epoch = lagging(&registry, &events);
    registry.drain(&id);
    assert!(!registry.reread(&id, epoch));
    assert_eq!(registry.open_tables(&id).len(), 2);
    registry.release(&id);
    let epoch = lagging(&registry, &events);
    registry.stop_rereads();
    assert!(!registry.reread(&id, epoch));
}
