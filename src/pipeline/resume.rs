//! Where to read a partition, decided from positions alone (exactly-once.md, rules 9 and 10).

use crate::event::Offset;

/// What the tables and the ledger say of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// The ledger's low-water mark.
    pub(crate) low_water: Option<Offset>,
    /// The ledger's record of where the partition was first read.
    pub(crate) start: Option<Offset>,
    /// The positions of the tables that have one.
    pub(crate) tables: Vec<Offset>,
    /// Whether the configuration lets the partition feed several tables.
    pub(crate) fan_out: bool,
    /// Whether the source itself keeps every record above the mark (a spool deletes a segment only
    /// below it): its oldest record is then the safe beginning where no mark is known.
    pub(crate) keeps_records: bool,
}

/// Where to read, and whether the low-water mark is to be kept in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    /// `None`: nobody knows the partition; the start policy applies.
    pub(crate) at: Option<Offset>,
    pub(crate) ledgered: bool,
}

/// A mark, once written, is kept for ever after: without it nothing would say how far the tables of
/// the time when the partition was fanned out have come.
pub(crate) fn decide(known: &Known) -> Resume {
    let ledgered = known.fan_out || known.low_water.is_some();
    let at = match known.low_water {
        Some(mark) => Some(mark),
        None if known.keeps_records => None,
        // Before its first fan-out a partition fed one table, whose position is its mark. With several
        // positions and no mark the lowest is the only safe choice.
        None => known.tables.iter().copied().min().or(known.start),
    };
    Resume { at, ledgered }
}

/// The mark to be written before the partition is read: where a fan-out has none yet.
pub(crate) fn first_mark(known: &Known, resume: &Resume) -> Option<Offset> {
    (known.fan_out && known.low_water.is_none())
        .then_some(resume.at)
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fan_out_without_a_mark_gets_one_before_it_is_read() {
        let known = |tables: &[Offset], low_water, fan_out| Known {
            tables: tables.to_vec(),
            low_water,
            fan_out,
            ..Known::default()
        };
        let mark = |known: Known| first_mark(&known, &decide(&known));
        assert_eq!(mark(known(&[70, 90], None, true)), Some(70));
        assert_eq!(mark(known(&[70], None, false)), None);
        assert_eq!(mark(known(&[70], Some(40), true)), None);
        assert_eq!(mark(known(&[], None, true)), None);
    }

    #[test]
    fn one_table_is_its_own_ledger() {
        let known = Known {
            tables: vec![70],
            start: Some(10),
            ..Known::default()
        };
        assert_eq!(
            decide(&known),
            Resume {
                at: Some(70),
                ledgered: false
            }
        );
    }

    #[test]
    fn a_mark_beats_the_positions_of_tables() {
        let known = Known {
            low_water: Some(40),
            tables: vec![70],
            ..Known::default()
        };
        assert_eq!(
            decide(&known),
            Resume {
                at: Some(40),
                ledgered: true
            }
        );
    }

    #[test]
    fn a_spool_without_a_mark_begins_at_its_oldest_record() {
        let known = Known {
            tables: vec![70],
            fan_out: true,
            keeps_records: true,
            ..Known::default()
        };
        assert_eq!(decide(&known).at, None);
    }

    #[test]
    fn an_unknown_partition_takes_its_recorded_start_or_the_policy() {
        let known = Known {
            start: Some(10),
            fan_out: true,
            ..Known::default()
        };
        assert_eq!(decide(&known).at, Some(10));
        assert_eq!(decide(&Known::default()).at, None);
    }
}
