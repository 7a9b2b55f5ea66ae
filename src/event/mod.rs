//! The nouns that travel from a source to a committed Delta version.
//!
//! Every carrier names the source partition and the half-open offset range it accounts for, and
//! holds a permit of the byte budget (invariants 1, 2 and 6). This room uses nothing else of ours.

mod budget;
mod counts;
mod files;
mod intake;
mod partition;
mod raw;

pub use budget::{ByteBudget, BytePermit};
pub use counts::Counts;
pub use files::{CommitRange, DataFile, DeadLetter, PartitionColumn, SchemaFingerprint, WriteSpec};
pub use intake::{Acked, Assignment, Intake, Offer, SourceEvent};
pub use partition::{Epoch, Offset, OffsetRange, Partition, SourcePartition};
pub use raw::{RawBatch, RecordKind, RecordSpan, RejectReason, RoutedBatch};
