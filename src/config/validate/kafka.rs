//! Sources of type `kafka`: brokers, topics, reserved properties.

use super::{Findings, names};
use crate::{
    config::{options::Config, tree::join},
    source::kafka::{self, KafkaOptions, KafkaSourceError},
};

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
    if let Err(message) = names::check_template(path, &options.table, &config.dead_letters.table) {
        found.add(at("table"), message);
    }
    // What else the source itself refuses; the keys above are judged here in more detail.
    for error in kafka::validate(path, options) {
        match error {
            KafkaSourceError::Option { key, what, .. } => {
                let judged = ["brokers", "topics", "group"].contains(&key.as_str());
                if !judged {
                    found.add(at(&key), what);
                }
            }
            KafkaSourceError::Reserved { key, why, .. } => {
                found.add(join(&at("properties"), &key), format!("is reserved: {why}"));
            }
            other => found.add(at("properties"), other.to_string()),
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
