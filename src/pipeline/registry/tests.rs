use super::*;
use crate::pipeline::testing::{partition, raw_batch};

fn batch(epoch: Epoch, start: Offset, end: Offset) -> RawBatch {
    raw_batch(epoch, start..end, start, end)
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
    assert!(registry.read(&batch(third, 0, 1), &[("t".into(), 0)]));
    assert!(!registry.read(&batch(second, 1, 2), &[("t".into(), 1)]));
}

#[test]
fn a_spool_is_told_a_mark_once_the_ledger_holds_it() {
    let (events, mut inbox) = mpsc::unbounded_channel();
    let registry = Registry::default();
    let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
    let epoch = registry.next_epoch(&partition(), &events);
    registry.set_ledgered(&partition().id, true, true, None);
    registry.read(&batch(epoch, 0, 4), &[(a.clone(), 0), (b.clone(), 1)]);
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
    registry.read(&batch(epoch, 0, 4), &[(table.clone(), 0)]);
    registry.settled(&partition().id, epoch, &table, 4, Some(1));
    assert!(
        registry.due_marks().is_empty(),
        "the table's position says it"
    );
    registry.read(&batch(epoch, 4, 6), &[(table.clone(), 4)]);
    assert!(registry.due_marks().is_empty(), "it is not settled yet");
    registry.settled(&partition().id, epoch, &table, 6, None);
    assert_eq!(registry.due_marks()[0].low_water, 6);
}
