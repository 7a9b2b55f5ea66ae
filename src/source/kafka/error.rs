//! What can go wrong between a broker and the pipeline.

use crate::{
    error::{Error, Kind},
    event::Offset,
};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::borrow::Cow;

/// An error of a Kafka source. Every one but `Broker` of kind `Unavailable` stops the source.
#[derive(Debug, thiserror::Error)]
pub enum KafkaSourceError {
    #[error("option of a kafka source is wrong: {what}, source=`{source_name}` key=`{key}`")]
    Option {
        source_name: String,
        key: String,
        what: String,
    },
    #[error(
        "librdkafka property is reserved, remove it: {why}, source=`{source_name}` key=`{key}`"
    )]
    Reserved {
        source_name: String,
        key: String,
        why: &'static str,
    },
    #[error("librdkafka refuses a property: {why}, key=`{key}`")]
    Property { key: String, why: String },
    #[error("oauth token is not to be had: {0}")]
    Token(String),
    #[error("{doing} failed: {error}{hint}")]
    Broker {
        doing: &'static str,
        error: String,
        code: Option<RDKafkaErrorCode>,
        hint: Cow<'static, str>,
    },
    #[error(
        "the topic's offsets went backwards: position {position} lies past its end {high}, so the topic was \
         recreated or its log truncated; if that is meant, begin anew with \
         `{}`, topic=`{topic}` partition=`{partition}`",
        reset_command(source_name, topic, Some(*partition), "earliest")
    )]
    WentBackwards {
        source_name: String,
        topic: String,
        partition: i32,
        position: u64,
        high: u64,
    },
    #[error(
        "{lost} offsets were deleted by the topic's retention before they were read: position {position}, oldest \
         kept {low}; to go on without them, \
         `{}`, topic=`{topic}` partition=`{partition}`",
        reset_command(source_name, topic, Some(*partition), &low.to_string())
    )]
    RetentionOverrun {
        source_name: String,
        topic: String,
        partition: i32,
        position: u64,
        low: u64,
        lost: u64,
    },
    #[error(
        "the topic was recreated while it was read: its id was {was} and is {is}, so its offsets mean other records \
         now; to read the new topic, \
         `{}`, topic=`{topic}`",
        reset_command(source_name, topic, None, "earliest")
    )]
    Recreated {
        source_name: String,
        topic: String,
        was: String,
        is: String,
    },
    #[error(
        "a value begins with a schema registry's magic byte (0x00, schema id {schema_id}): it is Avro, Protobuf or \
         JSON-Schema framed, not plain JSON; produce plain JSON, or set magic_byte = \"dead_letter\" to keep such \
         records as dead letters, source=`{source_name}` topic=`{topic}` partition=`{partition}` offset=`{offset}`"
    )]
    MagicByte {
        source_name: String,
        topic: String,
        partition: i32,
        offset: u64,
        schema_id: u32,
    },
    #[error(
        "records cannot be read, and reading on would pass over them: {reason}; upgrade this program or the brokers if \
         they disagree on the format, else mend the partition from a replica, or reset its position to the offset behind \
         what is broken (`kafka-dump-log` shows it) with `alluvium table positions reset`, source=`{source_name}` \
         partition=`{place}`"
    )]
    Unreadable {
        source_name: String,
        /// `topic/number` and the next offset of each partition that may be meant; librdkafka tells the offset alone.
        place: String,
        reason: String,
    },
    #[error("range of offsets is wrong: {0}")]
    Bounds(String),
    #[error("{0}")]
    Pipeline(Error),
    #[error("kafka reader ended without a word; this is a bug, please report it, source=`{0}`")]
    Ended(String),
}

impl KafkaSourceError {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Option { .. }
            | Self::Reserved { .. }
            | Self::Property { .. }
            | Self::Bounds(_) => Kind::Config,
            Self::Token(_) => Kind::Unauthorized,
            Self::Broker { code, .. } => code.map_or(Kind::Unavailable, kind_of),
            Self::WentBackwards { .. }
            | Self::RetentionOverrun { .. }
            | Self::Recreated { .. }
            | Self::Unreadable { .. } => Kind::InvalidData,
            Self::MagicByte { .. } => Kind::Unsupported,
            Self::Pipeline(error) => error.kind(),
            Self::Ended(_) => Kind::Bug,
        }
    }

    /// Wraps an answer of rdkafka. Its own message of a refused property would print the value.
    pub(crate) fn broker(doing: &'static str, error: &KafkaError) -> Self {
        if let KafkaError::ClientConfig(_, why, key, _) = error {
            return Self::Property {
                key: key.clone(),
                why: why.replace('\0', ""),
            };
        }
        let code = error.rdkafka_error_code();
        let text = code.map_or_else(|| error.to_string(), |code| code.to_string());
        Self::Broker {
            doing,
            error: text,
            code,
            hint: hint(code).into(),
        }
    }

    /// As [`Self::broker`], of an error that librdkafka told by a callback.
    pub(crate) fn told(doing: &'static str, code: RDKafkaErrorCode, text: String) -> Self {
        Self::Broker {
            doing,
            error: text,
            code: Some(code),
            hint: hint(Some(code)).into(),
        }
    }
}

/// What to do about an answer, appended to the message.
fn hint(code: Option<RDKafkaErrorCode>) -> &'static str {
    match code.map(kind_of) {
        Some(Kind::Unauthorized) => {
            "; grant the principal READ and DESCRIBE on the topics and READ on the group, or mend its credentials"
        }
        Some(Kind::Config) if code == Some(RDKafkaErrorCode::FencedInstanceId) => {
            "; another member of the group has the same instance_id, give each its own"
        }
        _ => "",
    }
}

/// The command that sets the stored positions of a topic, of one partition or of all: what the command line takes
/// once `TABLE` and `FILE` are filled in. `to` is `earliest`, `latest` or an offset.
pub fn reset_command(source: &str, topic: &str, partition: Option<i32>, to: &str) -> String {
    let partition = partition.map_or_else(String::new, |number| format!(" --partition {number}"));
    format!(
        "alluvium table positions reset TABLE --config FILE --source {source} --topic {topic}{partition} --to {to}"
    )
}

/// Whether an error of consuming means records that librdkafka could not decode. It passes over them
/// (`rd_kafka_msgset_reader.c`, librdkafka 2.12), so the next record would make them look like a gap; or, of one too
/// large to fetch, asks for it for ever.
pub(crate) fn is_unreadable(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as C;
    matches!(
        code,
        C::BadMessage
            | C::BadCompression
            | C::NotImplemented
            | C::CriticalSystemResource
            | C::InvalidMessageSize
            | C::InvalidTimestamp
            | C::MessageSizeTooLarge
    )
}

/// The partitions that an error without a name may mean: those whose next offset the text names, else all.
/// `read` holds each partition's topic, number and next offset.
pub(crate) fn suspects<'a>(
    read: impl IntoIterator<Item = (&'a str, i32, Offset)>,
    text: &str,
) -> Vec<(&'a str, i32, Offset)> {
    let named: Vec<Offset> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect();
    let all: Vec<_> = read.into_iter().collect();
    let meant: Vec<_> = all
        .iter()
        .copied()
        .filter(|(_, _, next)| named.contains(next))
        .collect();
    if meant.is_empty() { all } else { meant }
}

/// [`KafkaSourceError::Unreadable`], of what is read.
pub(crate) fn unreadable<'a>(
    source: &str,
    read: impl IntoIterator<Item = (&'a str, i32, Offset)>,
    reason: String,
) -> KafkaSourceError {
    const SHOWN: usize = 8;
    let meant = suspects(read, &reason);
    let mut place: Vec<String> = meant
        .iter()
        .take(SHOWN)
        .map(|(topic, number, next)| format!("{topic}/{number} at {next}"))
        .collect();
    if meant.len() > SHOWN {
        place.push(format!("{} more", meant.len() - SHOWN));
    }
    KafkaSourceError::Unreadable {
        source_name: source.into(),
        place: place.join(", "),
        reason,
    }
}

pub(crate) fn kind_of(code: RDKafkaErrorCode) -> Kind {
    use RDKafkaErrorCode as C;
    match code {
        C::Authentication
        | C::SaslAuthenticationFailed
        | C::TopicAuthorizationFailed
        | C::GroupAuthorizationFailed
        | C::ClusterAuthorizationFailed => Kind::Unauthorized,
        C::FencedInstanceId | C::InvalidTopic | C::InvalidGroupId | C::InvalidArgument => {
            Kind::Config
        }
        C::UnsupportedVersion | C::UnsupportedFeature | C::NotImplemented => Kind::Unsupported,
        C::AutoOffsetReset | C::OffsetOutOfRange => Kind::InvalidData,
        _ => Kind::Unavailable,
    }
}

impl From<KafkaSourceError> for Error {
    fn from(error: KafkaSourceError) -> Self {
        match error {
            KafkaSourceError::Pipeline(error) => error,
            error => Error::new(error.kind(), error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partition_of_an_unreadable_record_is_found_by_its_offset() {
        let read = [("a", 0, 700), ("a", 1, 42), ("b", 0, 42), ("b", 1, 9)];
        let text = "MessageSet at offset 9 (700 bytes) failed CRC32C check";
        let meant = suspects(read, text);
        assert_eq!(
            meant,
            [("a", 0, 700), ("b", 1, 9)],
            "no length is told from an offset"
        );
        let error = unreadable("s", read, "Decompression of message at 42 failed".into());
        assert_eq!(error.kind(), Kind::InvalidData);
        let text = error.to_string();
        assert!(
            text.ends_with("source=`s` partition=`a/1 at 42, b/0 at 42`"),
            "{text}"
        );
        let many = (0..20).map(|n| ("a", n, 1_000));
        let text = unreadable("s", many, "no number".into()).to_string();
        assert!(text.ends_with("a/7 at 1000, 12 more`"), "{text}");
    }

    #[test]
    fn only_errors_that_no_waiting_mends_are_unreadable() {
        use RDKafkaErrorCode as C;
        for code in [C::BadMessage, C::BadCompression, C::NotImplemented] {
            assert!(is_unreadable(code));
        }
        for code in [
            C::BrokerTransportFailure,
            C::AllBrokersDown,
            C::InvalidMessage,
            C::PartitionEOF,
        ] {
            assert!(!is_unreadable(code));
        }
    }
}
