//! Sources of type `kafka`: brokers, topics, reserved properties.

use super::{Findings, names};
use crate::{
    config::{options::Config, tree::join},
    source::kafka::KafkaOptions,
};

const OFFSETS: &str = "positions are kept in the tables, and group offsets only follow them";

/// librdkafka properties that the user may not set, with the reason (exactly-once.md, rules 10, 13 and 14).
pub const RESERVED_KAFKA_PROPERTIES: &[(&str, &str)] = &[
    (
        "auto.offset.reset",
        "an offset out of range must be refused, never jumped over; where reading begins is said by `start`",
    ),
    ("enable.auto.commit", OFFSETS),
    ("auto.commit.enable", OFFSETS),
    ("auto.commit.interval.ms", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("offset.store.method", OFFSETS),
    ("offset.store.path", OFFSETS),
    ("offset.store.sync.interval.ms", OFFSETS),
    ("bootstrap.servers", "brokers are named by `brokers`"),
    ("metadata.broker.list", "brokers are named by `brokers`"),
    ("group.id", "the group is named by `group`"),
    (
        "group.protocol",
        "partitions are assigned by the classic protocol, with a callback that reads the tables' positions",
    ),
    (
        "enable.partition.eof",
        "where a bounded read ends is decided by its captured end",
    ),
];

pub(super) fn check(path: &str, options: &KafkaOptions, config: &Config, found: &mut Findings) {
    let at = |key: &str| join(path, key);
    if options.brokers.trim().is_empty() {
        found.add(
            at("brokers"),
            "is missing; name at least one broker, as in `localhost:9092`",
        );
    }
    for broker in options.brokers.split(',').map(str::trim) {
        let plain = broker.rsplit("://").next().unwrap_or(broker);
        let port = plain
            .rsplit_once(':')
            .map(|(host, port)| (host, port.parse::<u16>()));
        let good = match port {
            Some((host, Ok(_))) => !host.is_empty(),
            // An IPv6 address has colons of its own; librdkafka adds the port 9092.
            Some((_, Err(_))) => plain.ends_with(']'),
            None => !plain.is_empty(),
        };
        if !good && !options.brokers.trim().is_empty() {
            found.add(
                at("brokers"),
                "is a list of `host:port`, commas between them",
            );
            break;
        }
    }
    if options.topics.is_empty() {
        found.add(
            at("topics"),
            "is missing; name topics, or a pattern that begins with `^`",
        );
    }
    for (index, topic) in options.topics.iter().enumerate() {
        let at = format!("{}[{index}]", at("topics"));
        if options.topics[..index].contains(topic) {
            found.add(&at, format!("is listed twice; topic=`{topic}`"));
        }
        if topic.starts_with('^') {
            if topic.len() == 1 {
                found.add(&at, "is an empty pattern");
            }
        } else if let Err(message) = check_topic(topic) {
            found.add(&at, message);
        }
    }
    if options.group.trim().is_empty() {
        found.add(at("group"), "is empty; name the consumer group");
    }
    if let Err(message) = names::check_template(&options.table, &config.dead_letters.table) {
        found.add(at("table"), message);
    }
    found.within(
        at("drain_timeout_seconds"),
        options.drain_timeout_seconds,
        0.0,
        3_600.0,
    );
    for name in options.properties.keys() {
        if let Some((_, why)) = RESERVED_KAFKA_PROPERTIES
            .iter()
            .find(|(reserved, _)| reserved.eq_ignore_ascii_case(name.trim()))
        {
            found.add(join(&at("properties"), name), format!("is reserved: {why}"));
        }
    }
}

/// Kafka's own rule for names of topics.
pub(super) fn check_topic(topic: &str) -> Result<(), String> {
    let legal = topic
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if legal && !topic.is_empty() && topic.len() <= 249 && topic != "." && topic != ".." {
        return Ok(());
    }
    Err(format!(
        "is not the name of a topic (letters, digits, `.`, `_`, `-`, at most 249); a pattern begins with `^`; topic=`{topic}`"
    ))
}
