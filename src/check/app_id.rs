//! What a `txn` app id stands for (exactly-once.md, Identity).

/// An app id read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AppId<'a> {
    /// A source partition of a daemon.
    Daemon,
    /// A lane or a partition of a backfill.
    Backfill,
    /// The dead letters of one table from a source partition; empty for records without a table.
    DeadLetters { partition: &'a str, table: &'a str },
    /// The low-water mark of a source partition.
    LowWater { partition: &'a str },
    /// Where a source partition was first read.
    Start { partition: &'a str },
    /// Another program's.
    Other,
}

impl<'a> AppId<'a> {
    pub(super) fn parse(app_id: &'a str) -> Self {
        let Some((partition, part)) = app_id.split_once('!') else {
            return kind(app_id);
        };
        let of_ours = kind(partition) != Self::Other;
        match part {
            "low-water" if of_ours => Self::LowWater { partition },
            "start" if of_ours => Self::Start { partition },
            _ => match part.strip_prefix("dead/") {
                Some(table) if of_ours => Self::DeadLetters { partition, table },
                _ => Self::Other,
            },
        }
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Daemon => "next offset of a daemon".into(),
            Self::Backfill => "next offset of a backfill".into(),
            Self::DeadLetters { table: "", .. } => {
                "dead letters without a table, next offset".into()
            }
            Self::DeadLetters { table, .. } => format!("dead letters of {table}, next offset"),
            Self::LowWater { .. } => "low-water mark".into(),
            Self::Start { .. } => "first offset ever read".into(),
            Self::Other => "another program's".into(),
        }
    }
}

fn kind(partition: &str) -> AppId<'_> {
    let parts: Vec<&str> = partition.split('/').collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_topic = |text: &str| {
        text.split_once('#')
            .is_some_and(|(t, id)| !t.is_empty() && !id.is_empty())
    };
    let is_backfill = |text: &str| {
        text.strip_prefix("backfill-")
            .is_some_and(|id| !id.is_empty())
    };
    match parts.as_slice() {
        [_, run, lane] if is_backfill(run) && is_number(lane) => AppId::Backfill,
        [_, run, topic, number] if is_backfill(run) && is_topic(topic) && is_number(number) => {
            AppId::Backfill
        }
        [_, _, spool] if spool.starts_with("spool-") => AppId::Daemon,
        [_, _, topic, number] if is_topic(topic) && is_number(number) => AppId::Daemon,
        _ => AppId::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_are_told_from_others() {
        let spool = "default/web/spool-b4997e57";
        let kafka = "p/clicks/clicks#tz_1-x/12";
        assert_eq!(AppId::parse(spool), AppId::Daemon);
        assert_eq!(AppId::parse(kafka), AppId::Daemon);
        assert_eq!(AppId::parse("p/backfill-1a2b/0"), AppId::Backfill);
        assert_eq!(AppId::parse("p/backfill-1a2b/clicks#x/3"), AppId::Backfill);
        assert_eq!(
            AppId::parse("p/clicks/clicks#x/1!dead/plan"),
            AppId::DeadLetters {
                partition: "p/clicks/clicks#x/1",
                table: "plan"
            }
        );
        assert_eq!(
            AppId::parse("default/web/spool-b4997e57!low-water"),
            AppId::LowWater { partition: spool }
        );
        assert_eq!(
            AppId::parse("p/clicks/clicks#tz_1-x/12!start"),
            AppId::Start { partition: kafka }
        );
        for other in [
            "my-app",
            "a/b/c",
            "a/b/c/d",
            "x!low-water",
            "a/b!dead/t",
            "",
            "p/backfill-/0",
        ] {
            assert_eq!(AppId::parse(other), AppId::Other, "{other}");
        }
    }
}
