//! Events from Kafka.
//!
//! In: records of the partitions a consumer group assigns to this process, or of a given range. Out:
//! [`RawBatch`](crate::event::RawBatch)es of joined ranges through [`Intake`](crate::event::Intake).
//!
//! Positions come from the tables through `Intake::assign` and from nowhere else; group offsets are only told
//! (invariant 4). A position the topic no longer holds, a recreated topic and framed values stop the source
//! with the command that goes on (invariant 8). Memory: slabs are charged to the byte budget as they
//! grow; librdkafka's queue of fetched records is an eighth of it, between 4 and 8 MiB, on top, and what one
//! answer of each broker brings, and eight let-go buffers of slabs.
//!
//! Known limit: a topic deleted and made again while it is read is noticed by its id within ten seconds, or at
//! once if its offsets are out of range; records read in between bear the old id.

mod bounded;
mod bounds;
mod context;
mod error;
mod fetch;
mod metrics;
mod oauth;
mod options;
mod pace;
mod positions;
mod probe;
mod properties;
mod quiet;
mod reader;
mod slab;
mod source;
mod topic_id;

#[cfg(test)]
mod tests;

pub use bounded::{BoundedKafka, BoundedPartition};
pub use bounds::{Bound, TopicRange, resolve};
pub use error::{KafkaSourceError, reset_command};
pub use options::{KafkaOptions, MagicByte, OauthOptions, Property, StartPolicy};
pub use positions::partition;
pub use probe::{Facts, PartitionFacts, probe};
pub use properties::{RESERVED, validate};
pub use source::{KafkaSource, Running};
