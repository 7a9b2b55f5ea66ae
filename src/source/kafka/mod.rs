//! Events from Kafka.

mod options;

pub use options::{KafkaOptions, StartPolicy};
