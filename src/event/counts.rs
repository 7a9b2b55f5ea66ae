//! What became of the offsets of a range.

use std::collections::BTreeMap;

/// The account of one table's range of one source partition, as commit metadata states it.
///
/// For a range `[start, end)`:
/// `records + dead_letters + skipped + elsewhere + gaps + unread == end - start`.
/// `rows` may exceed `records` where one record makes several rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Records that became at least one row of this table.
    pub records: u64,
    /// Rows of this table.
    pub rows: u64,
    /// Rows with at least one value in `_rescued_data`.
    pub rescued: u64,
    /// Records of this table that are rows of the dead-letter table instead.
    pub dead_letters: u64,
    /// Tombstones and empty values.
    pub skipped: u64,
    /// Records that belong to other tables.
    pub elsewhere: u64,
    /// Offsets that hold no record: transaction markers, aborted or compacted records, torn numbers.
    pub gaps: u64,
    /// Offsets below the low-water mark at which this run began to read: committed before, not read again.
    pub unread: u64,
    /// Rescued values by field path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rescued_fields: BTreeMap<String, u64>,
}

impl Counts {
    /// How many offsets are accounted for; equals the span of the range.
    pub fn offsets(&self) -> u64 {
        self.records + self.dead_letters + self.skipped + self.elsewhere + self.gaps + self.unread
    }

    pub fn add(&mut self, other: &Counts) {
        self.records += other.records;
        self.rows += other.rows;
        self.rescued += other.rescued;
        self.dead_letters += other.dead_letters;
        self.skipped += other.skipped;
        self.elsewhere += other.elsewhere;
        self.gaps += other.gaps;
        self.unread += other.unread;
        for (field, n) in &other.rescued_fields {
            *self.rescued_fields.entry(field.clone()).or_default() += n;
        }
    }
}
