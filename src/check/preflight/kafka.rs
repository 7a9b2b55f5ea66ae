//! Whether brokers answer, topics exist, and still hold what tables have not read.

use super::{PATIENCE, Section};
use crate::{
    check::{app_id::AppId, open, text},
    config::Config,
    error::{Kind, Result},
    event::Offset,
    source::kafka::{self, Facts, KafkaOptions},
};
use std::{collections::BTreeMap, time::Duration};

/// How long brokers may take for one question; several are asked within the probe's time.
const QUESTION: Duration = Duration::from_secs(5);

pub(super) async fn probe(config: &Config, name: &str, options: &KafkaOptions) -> Section {
    let mut section = Section::new(format!("source {name} (kafka)"));
    let wrong = kafka::validate(name, options);
    if !wrong.is_empty() {
        for error in wrong {
            section.fault(error.kind(), error.to_string(), "");
        }
        return section;
    }
    // A blocking question cannot be dropped: the probe's own time ends a little later.
    let asked = kafka::probe(options, &config.pipeline, name, QUESTION.min(PATIENCE));
    let facts = match asked.await {
        Ok(facts) => facts,
        Err(error) => {
            let remedy = match error.kind() {
                Kind::Unavailable => format!(
                    "look whether `brokers` is right, whether they run, and whether security.protocol is theirs, \
                     brokers=`{}`",
                    options.brokers
                ),
                Kind::Config => "make the topic, or correct `topics`".into(),
                _ => String::new(),
            };
            section.fault(error.kind(), error.to_string(), remedy);
            return section;
        }
    };
    section.fine(format!(
        "{} at {}",
        text::count(facts.brokers as u64, "broker answers", "brokers answer"),
        options.brokers
    ));
    topics(&mut section, options, &facts);
    match &facts.group {
        Ok(()) => section.fine(format!("group {} can be read", options.group)),
        Err(error) => section.fault(error.kind(), error.to_string(), ""),
    }
    match positions(config).await {
        Ok((marks, tables)) => stands(&mut section, name, &facts, &marks, &tables),
        Err(error) => section.note(format!(
            "positions are not held against the topics, since tables do not read: {error}"
        )),
    }
    section
}

fn topics(section: &mut Section, options: &KafkaOptions, facts: &Facts) {
    let mut topics: BTreeMap<&str, u64> = BTreeMap::new();
    for one in &facts.partitions {
        *topics.entry(&one.partition.topic).or_default() += 1;
    }
    for (topic, partitions) in &topics {
        let n = text::count(*partitions, "partition", "partitions");
        section.fine(format!("topic {topic} has {n}"));
    }
    if topics.is_empty() {
        section.warn(
            format!("no topic matches, topics=`{}`", options.topics.join(", ")),
            "that is right if they are made later; else correct the pattern",
        );
    }
    if facts
        .partitions
        .iter()
        .any(|one| one.partition.id.app_id().contains("#-/"))
    {
        section
            .note("brokers give no topic ids, so a recreated topic is seen by its offsets alone");
    }
    for one in &facts.partitions {
        if let Err(error) = &one.ends {
            section.fault(
                error.kind(),
                format!("{error}, partition=`{}`", one.partition.id),
                "",
            );
        }
    }
}

/// A table's name and its position of a partition.
type Stand = (String, Offset);

/// The ledger's marks, and the positions of all tables, by source partition.
async fn positions(
    config: &Config,
) -> Result<(BTreeMap<String, Offset>, BTreeMap<String, Vec<Stand>>)> {
    let lake = open::lake(config)?;
    let mut marks = BTreeMap::new();
    if let Some(ledger) = open::find(config, &lake, &config.dead_letters.table).await? {
        for (app_id, at) in ledger.log.all_positions().await? {
            if let AppId::LowWater { partition } = AppId::parse(&app_id) {
                marks.insert(partition.to_owned(), at);
            }
        }
    }
    let mut tables: BTreeMap<String, Vec<Stand>> = BTreeMap::new();
    for name in open::all_names(config, &lake).await? {
        if let Some(table) = open::find(config, &lake, &name).await? {
            for (app_id, at) in table.log.all_positions().await? {
                if AppId::parse(&app_id) == AppId::Daemon {
                    tables.entry(app_id).or_default().push((name.clone(), at));
                }
            }
        }
    }
    Ok((marks, tables))
}

fn stands(
    section: &mut Section,
    source: &str,
    facts: &Facts,
    marks: &BTreeMap<String, Offset>,
    tables: &BTreeMap<String, Vec<Stand>>,
) {
    let (mut known, mut recreated) = (0, 0);
    for one in &facts.partitions {
        let (partition, Ok((low, high))) = (&one.partition, &one.ends) else {
            continue;
        };
        let (low, high) = (*low, *high);
        let app_id = partition.id.app_id();
        let stands = tables.get(app_id).map_or(&[][..], Vec::as_slice);
        let lowest = stands.iter().min_by_key(|(_, at)| *at);
        // As a daemon decides it (rules 9 and 10).
        let Some(resume) = marks.get(app_id).copied().or(lowest.map(|(_, at)| *at)) else {
            recreated += u64::from(another_id(section, source, partition, tables));
            continue;
        };
        known += 1;
        let table = lowest.map_or("TABLE", |(table, _)| table);
        let (topic, number) = (&partition.topic, partition.number);
        let reset = |to: &str| {
            format!(
                "alluvium table positions reset {table} --source {source} --topic {topic} --partition {number} --to {to}"
            )
        };
        if resume > high {
            section.fault(
                Kind::InvalidData,
                format!("the topic's offsets went backwards: positions stand at {resume}, past its end {high}, partition=`{app_id}`"),
                format!("was the topic recreated or its log cut? to begin anew: {}", reset("earliest")),
            );
        } else if resume < low {
            section.fault(
                Kind::InvalidData,
                format!(
                    "retention has deleted {} offsets that were not read: positions stand at {resume}, the oldest kept is {low}, partition=`{app_id}`",
                    low - resume
                ),
                format!("to go on without them: {}", reset("earliest")),
            );
        } else {
            section.fine(format!(
                "partition {topic}/{number} goes on at {resume}, {} behind its end",
                text::count(high - resume, "offset", "offsets")
            ));
        }
    }
    if known == 0 && recreated == 0 {
        section.fine("no table has read from it yet: the start policy applies");
    }
}

/// Whether positions stand under another id of the same topic: it was made anew.
fn another_id(
    section: &mut Section,
    source: &str,
    partition: &crate::event::Partition,
    tables: &BTreeMap<String, Vec<Stand>>,
) -> bool {
    let app_id = partition.id.app_id();
    let Some((start, rest)) = app_id.split_once('#') else {
        return false;
    };
    let Some((_, number)) = rest.split_once('/') else {
        return false;
    };
    let old = tables.iter().find(|(other, _)| {
        other
            .strip_prefix(start)
            .and_then(|other| other.strip_prefix('#'))
            .and_then(|other| other.split_once('/'))
            .is_some_and(|(_, n)| n == number)
    });
    let found = old.is_some();
    if let Some((old, stands)) = old {
        let table = stands.first().map_or("TABLE", |(table, _)| table.as_str());
        section.fault(
            Kind::InvalidData,
            format!("the topic was recreated: tables hold positions under its old id, position=`{old}` now=`{app_id}`"),
            format!(
                "if it is to be read as a new topic: alluvium table positions reset {table} --source {source} --topic {} --to earliest",
                partition.topic
            ),
        );
    }
    found
}
