//! From options to a librdkafka configuration.

use super::{KafkaOptions, error::KafkaSourceError};
use crate::secret::Secret;
use rdkafka::ClientConfig;

/// Properties that are ours to set (exactly-once.md, rules 10 and 13), with the reason.
pub const RESERVED: &[(&str, &str)] = &[
    (
        "auto.offset.reset",
        "an offset out of range must be a loud refusal, never a jump; `start` says where to begin",
    ),
    (
        "enable.auto.commit",
        "positions are in the tables; group offsets follow them",
    ),
    (
        "auto.commit.enable",
        "positions are in the tables; group offsets follow them",
    ),
    (
        "auto.commit.interval.ms",
        "positions are in the tables; group offsets follow them",
    ),
    (
        "enable.auto.offset.store",
        "positions are in the tables; group offsets follow them",
    ),
    (
        "offset.store.method",
        "positions are in the tables; group offsets follow them",
    ),
    (
        "offset.store.path",
        "positions are in the tables; group offsets follow them",
    ),
    (
        "offset.store.sync.interval.ms",
        "positions are in the tables; group offsets follow them",
    ),
    ("bootstrap.servers", "it is the option `brokers`"),
    ("metadata.broker.list", "it is the option `brokers`"),
    ("group.id", "it is the option `group`"),
    ("group.instance.id", "it is the option `instance_id`"),
    (
        "group.protocol",
        "the rebalance is driven by the classic protocol",
    ),
    (
        "enable.partition.eof",
        "the reader decides when a range ends",
    ),
    ("consume.callback.max.messages", "the reader polls"),
    ("log.queue", "log lines go to this program's log"),
];

/// Set unless the user's properties say otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    ("client.id", "alluvium"),
    ("isolation.level", "read_committed"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // A member that dies is replaced in 10 s (the brokers' least is 6 s by default).
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "3000"),
    ("topic.metadata.refresh.interval.ms", "60000"),
    ("allow.auto.create.topics", "false"),
    ("check.crcs", "true"),
    ("fetch.wait.max.ms", "100"),
    // A full queue is looked at again soon; librdkafka's second would leave a small one empty most of the time.
    ("fetch.queue.backoff.ms", "5"),
    ("socket.keepalive.enable", "true"),
    ("statistics.interval.ms", "5000"),
];

/// `fetch.max.bytes` where the user sets none. What a broker's answer brings is decompressed at once: more of it than caches
/// hold, with a queue to match, cost a tenth of the client's CPU time and three times the memory. From a far cluster take more.
const FETCH_BYTES: u64 = 2 << 20;

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// A member of the group.
    Group,
    /// Reads given ranges, without joining.
    Range,
}

/// Checks the options, every error at once. Needs no broker.
pub fn validate(source: &str, options: &KafkaOptions) -> Vec<KafkaSourceError> {
    let mut errors = Vec::new();
    let mut wrong = |key: &str, what: &str| {
        errors.push(KafkaSourceError::Option {
            source_name: source.into(),
            key: key.into(),
            what: what.into(),
        });
    };
    if options.brokers.trim().is_empty() {
        wrong("brokers", "name at least one `host:port`");
    }
    if options.topics.is_empty() || options.topics.iter().any(|t| t.is_empty()) {
        wrong(
            "topics",
            "name at least one topic, or a pattern that begins with `^`",
        );
    }
    if options.topics.iter().any(|t| t.contains('\0')) {
        wrong("topics", "a topic's name has no zero byte");
    }
    if options.group.is_empty() {
        wrong("group", "name the consumer group");
    }
    if options.instance_id.as_deref() == Some("") {
        wrong("instance_id", "give a name, or leave the key out");
    }
    if !(0.0..=3_600.0).contains(&options.drain_timeout_seconds) {
        wrong("drain_timeout_seconds", "between 0 and 3600");
    }
    if options.batch_bytes == 0 || options.batch_bytes > MAX_BATCH_BYTES {
        wrong("batch_bytes", "between 1 and 67108864");
    }
    if options.max_event_bytes == 0 || options.max_event_bytes > MAX_BATCH_BYTES {
        wrong("max_event_bytes", "between 1 and 67108864");
    }
    if options.batch_milliseconds > 60_000 {
        wrong("batch_milliseconds", "at most 60000");
    }
    let bearer = ["sasl.mechanism", "sasl.mechanisms"].iter().any(|key| {
        options
            .properties
            .get(*key)
            .is_some_and(|v| v.expose().eq_ignore_ascii_case("OAUTHBEARER"))
    });
    match &options.oauth {
        Some(oauth) => {
            if oauth.token_file.is_some() == oauth.token_command.is_some() {
                wrong(
                    "oauth",
                    "give exactly one of `token_file` and `token_command`",
                );
            }
            if oauth.token_command.as_ref().is_some_and(Vec::is_empty) {
                wrong("oauth.token_command", "name a program");
            }
            if oauth
                .lifetime_seconds
                .is_some_and(|s| !(1.0..=1e9).contains(&s))
            {
                wrong("oauth.lifetime_seconds", "between 1 and 1000000000");
            }
            if !bearer {
                wrong(
                    "oauth",
                    "set properties.\"sasl.mechanism\" = \"OAUTHBEARER\" to use a token",
                );
            }
        }
        None if bearer => wrong("oauth", "OAUTHBEARER needs `token_file` or `token_command`"),
        None => {}
    }
    for key in options.properties.keys() {
        if let Some((_, why)) = RESERVED.iter().find(|(reserved, _)| reserved == key) {
            errors.push(KafkaSourceError::Reserved {
                source_name: source.into(),
                key: key.clone(),
                why,
            });
        }
    }
    errors
}

/// A batch and the one event that overflows it are decoded together, at most 128 MiB of them.
const MAX_BATCH_BYTES: u64 = 64 << 20;

/// The configuration of a client. `budget_bytes` sizes the queue of fetched records: an eighth of it, but no more than caches
/// hold, for a record is written by one core and read by another.
pub(crate) fn client_config(
    source: &str,
    options: &KafkaOptions,
    purpose: Use,
    budget_bytes: u64,
) -> Result<ClientConfig, KafkaSourceError> {
    if let Some(error) = validate(source, options).into_iter().next() {
        return Err(error);
    }
    let mut config = ClientConfig::new();
    for (key, value) in DEFAULTS {
        config.set(*key, *value);
    }
    let queue = (budget_bytes / 8 / 1024).clamp(1 << 10, 4 << 10);
    config.set("queued.max.messages.kbytes", queue.to_string());
    // librdkafka refuses a `fetch.max.bytes` that is set and less than `message.max.bytes`. What is no number it refuses too.
    let message = options.properties.get("message.max.bytes");
    let message = message.and_then(|value| value.expose().parse().ok());
    let fetch = FETCH_BYTES.max(message.unwrap_or(0));
    config.set("fetch.max.bytes", fetch.to_string());
    for (key, value) in &options.properties {
        config.set(key, value.expose());
    }
    config
        .set("bootstrap.servers", &options.brokers)
        .set("group.id", &options.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set(
            "enable.partition.eof",
            if purpose == Use::Range {
                "true"
            } else {
                "false"
            },
        );
    if let (Some(id), Use::Group) = (&options.instance_id, purpose) {
        config.set("group.instance.id", id);
    }
    config.set_log_level(rdkafka::config::RDKafkaLogLevel::Info);
    if options.properties.contains_key("debug") {
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Debug);
    }
    Ok(config)
}

/// The values that must not appear in a log line, however librdkafka came to print them.
pub(crate) fn secrets(options: &KafkaOptions) -> Vec<Secret> {
    options
        .properties
        .iter()
        .filter(|(key, value)| {
            let key = key.as_str();
            let names = [
                "password",
                "secret",
                ".pem",
                "username",
                "token",
                "jaas",
                "oauthbearer.config",
            ];
            names.iter().any(|name| key.contains(name)) && value.expose().len() >= 3
        })
        .map(|(_, value)| Secret::new(value.expose()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::kafka::Property;

    fn options() -> KafkaOptions {
        KafkaOptions {
            brokers: "127.0.0.1:9092".into(),
            topics: vec!["clicks".into()],
            ..KafkaOptions::default()
        }
    }

    #[test]
    fn rule_13_every_reserved_property_is_refused_at_once() {
        let mut options = options();
        for (key, _) in RESERVED {
            options.properties.insert((*key).into(), "x".into());
        }
        assert_eq!(validate("clicks", &options).len(), RESERVED.len());
    }

    #[test]
    fn the_users_properties_beat_the_defaults_but_not_the_rules() {
        let mut options = options();
        options
            .properties
            .insert("isolation.level".into(), "read_uncommitted".into());
        let config = client_config("clicks", &options, Use::Group, 256 << 20).unwrap();
        assert_eq!(config.get("isolation.level"), Some("read_uncommitted"));
        assert_eq!(config.get("auto.offset.reset"), Some("error"));
        assert_eq!(config.get("enable.auto.commit"), Some("false"));
        assert_eq!(config.get("queued.max.messages.kbytes"), Some("4096"));
        config.create_native_config().unwrap();
    }

    #[test]
    fn a_fetch_has_room_for_the_users_longest_message() {
        let created = |properties: &[(&str, &str)]| {
            let mut options = options();
            for (key, value) in properties {
                options.properties.insert((*key).into(), (*value).into());
            }
            let config = client_config("clicks", &options, Use::Range, 256 << 20).unwrap();
            let client: Result<rdkafka::consumer::BaseConsumer, _> = config.create();
            client.map(|_| config.get("fetch.max.bytes").unwrap().to_owned())
        };
        assert_eq!(created(&[]).unwrap(), "2097152");
        let short = ("message.max.bytes", "1000");
        assert_eq!(created(&[short]).unwrap(), "2097152");
        let long = ("message.max.bytes", "10485760");
        assert_eq!(created(&[long]).unwrap(), "10485760");
        let set = ("fetch.max.bytes", "20971520");
        assert_eq!(created(&[long, set]).unwrap(), "20971520");
        assert!(created(&[long, ("fetch.max.bytes", "1048576")]).is_err());
    }

    #[test]
    fn a_member_is_static_by_its_instance_id_and_a_range_joins_no_group() {
        let mut options = options();
        let built = |options: &KafkaOptions, purpose| {
            let config = client_config("clicks", options, purpose, 256 << 20).unwrap();
            config.create_native_config().unwrap();
            config.get("group.instance.id").map(str::to_owned)
        };
        assert_eq!(built(&options, Use::Group), None);
        options.instance_id = Some("alluvium-0".into());
        assert_eq!(built(&options, Use::Group).as_deref(), Some("alluvium-0"));
        assert_eq!(built(&options, Use::Range), None);
    }

    #[test]
    fn oauth_needs_one_source_of_tokens_and_its_mechanism() {
        let mut options = options();
        options.oauth = Some(Default::default());
        assert_eq!(validate("s", &options).len(), 2);
        options
            .properties
            .insert("sasl.mechanism".into(), "OAUTHBEARER".into());
        options.oauth.as_mut().unwrap().token_file = Some("/run/token".into());
        assert!(validate("s", &options).is_empty());
        options.oauth = None;
        assert_eq!(validate("s", &options).len(), 1);
    }

    #[test]
    fn property_values_are_never_printed() {
        let mut options = options();
        options
            .properties
            .insert("sasl.password".into(), Property::new("hunter2"));
        assert!(!format!("{options:?}").contains("hunter2"));
        options
            .properties
            .insert("no.such.key".into(), Property::new("hunter2"));
        let error = client_config("s", &options, Use::Group, 1 << 30)
            .unwrap()
            .create_native_config()
            .map(|_| ())
            .unwrap_err();
        let error = KafkaSourceError::broker("configure", &error);
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn properties_may_be_numbers() {
        let options: KafkaOptions = toml::from_str(
            "brokers = 'a:1'\nproperties = { 'session.timeout.ms' = 6000, 'check.crcs' = false }",
        )
        .unwrap();
        assert_eq!(options.properties["session.timeout.ms"].expose(), "6000");
        assert_eq!(options.properties["check.crcs"].expose(), "false");
        assert!(toml::from_str::<KafkaOptions>("properties = { a = [1] }").is_err());
    }
}
