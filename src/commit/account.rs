//! What our commits say of themselves in `commitInfo.userMetadata`; `audit` reads it back.

use crate::event::{CommitRange, Counts, Offset};
use serde::{Deserialize, Serialize};

/// The account of one commit: `{"alluvium":1,"ranges":[…],"marks":[…]}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CommitAccount {
    /// The version of this format.
    pub alluvium: u32,
    #[serde(default)]
    pub ranges: Vec<RangeAccount>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<MarkAccount>,
    /// Positions that a person set (`alluvium table positions reset`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resets: Vec<ResetAccount>,
}

/// A position that a person set, and what it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetAccount {
    pub app_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Offset>,
    pub to: Offset,
}

/// One range: `[start, end)` of a source partition, and what became of its offsets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RangeAccount {
    /// The source partition, which is the `txn` app id.
    pub partition: String,
    pub start: Offset,
    pub end: Offset,
    /// The table's position before, absent for the first range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Offset>,
    #[serde(flatten)]
    pub counts: Counts,
}

/// One mark of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkAccount {
    pub app_id: String,
    pub version: Offset,
}

impl CommitAccount {
    const FORMAT: u32 = 1;

    pub(super) fn new(ranges: &[CommitRange], marks: &[MarkAccount]) -> Self {
        Self {
            alluvium: Self::FORMAT,
            ranges: ranges
                .iter()
                .map(|range| RangeAccount {
                    partition: range.partition.id.app_id().to_owned(),
                    start: range.range.start,
                    end: range.range.end,
                    expected: range.expected,
                    counts: range.counts.clone(),
                })
                .collect(),
            marks: marks.to_vec(),
            resets: Vec::new(),
        }
    }

    pub(super) fn of_resets(resets: Vec<ResetAccount>) -> Self {
        Self {
            alluvium: Self::FORMAT,
            resets,
            ..Self::default()
        }
    }

    /// `None` for the metadata of other writers.
    pub(super) fn parse(user_metadata: &str) -> Option<Self> {
        serde_json::from_str::<Self>(user_metadata)
            .ok()
            .filter(|account| account.alluvium == Self::FORMAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_reads_back_as_it_was_written() {
        let account = CommitAccount {
            resets: Vec::new(),
            alluvium: 1,
            ranges: vec![RangeAccount {
                partition: "default/clicks/clicks#x/0".into(),
                start: 3,
                end: 9,
                expected: Some(3),
                counts: Counts {
                    records: 5,
                    rows: 5,
                    gaps: 1,
                    ..Counts::default()
                },
            }],
            marks: vec![MarkAccount {
                app_id: "default/clicks/clicks#x/0!low-water".into(),
                version: 3,
            }],
        };
        let text = serde_json::to_string(&account).unwrap();
        assert_eq!(CommitAccount::parse(&text), Some(account));
    }

    #[test]
    fn metadata_of_others_is_foreign() {
        assert_eq!(CommitAccount::parse("nightly run"), None);
        assert_eq!(CommitAccount::parse(r#"{"alluvium":2,"ranges":[]}"#), None);
        assert_eq!(CommitAccount::parse(r#"{"ranges":[]}"#), None);
    }
}
