//! What can go wrong between a broker and the pipeline.

use crate::error::{Error, Kind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

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
        hint: &'static str,
    },
    #[error(
        "the topic's offsets went backwards: position {position} lies past its end {high}, so the topic was \
         recreated or its log truncated; if that is meant, begin anew with \
         `alluvium table positions reset TABLE --source {source_name} --topic {topic} --partition {partition} --to earliest`, \
         topic=`{topic}` partition=`{partition}`"
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
         `alluvium table positions reset TABLE --source {source_name} --topic {topic} --partition {partition} --to earliest`, \
         topic=`{topic}` partition=`{partition}`"
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
         `alluvium table positions reset TABLE --source {source_name} --topic {topic} --to earliest`, topic=`{topic}`"
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
            Self::WentBackwards { .. } | Self::RetentionOverrun { .. } | Self::Recreated { .. } => {
                Kind::InvalidData
            }
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
            hint: hint(code),
        }
    }

    /// As [`Self::broker`], of an error that librdkafka told by a callback.
    pub(crate) fn told(doing: &'static str, code: RDKafkaErrorCode, text: String) -> Self {
        Self::Broker {
            doing,
            error: text,
            code: Some(code),
            hint: hint(Some(code)),
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

fn kind_of(code: RDKafkaErrorCode) -> Kind {
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
