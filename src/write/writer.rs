//! Rows of one table to files, one open file a partition.

use super::{
    EncodedFile, Result, WriteOptions,
    encode::{Lease, Plan},
    file::OpenFile,
    project,
    split::{Key, Selection, Splitter},
};
use crate::event::WriteSpec;
use arrow::array::RecordBatch;
use std::{collections::HashMap, fmt, sync::Arc};

/// Rows handed to the encoder at once, so that a large batch does not carry a file far past its target size.
const ROWS_AT_ONCE: usize = 32_768;

/// Encodes rows of one table at one version of its schema. Blocking: CPU only, no I/O.
///
/// Rows keep their order within a partition as long as its file is open. After an error drop the writer: its
/// files may hold some of the failed batch's rows and not others.
pub struct TableWriter {
    spec: Arc<WriteSpec>,
    options: WriteOptions,
    plan: Arc<Plan>,
    splitter: Option<Splitter>,
    open: HashMap<Key, OpenFile>,
    full: Vec<EncodedFile>,
}

impl TableWriter {
    /// Errors: `Bug` for partition columns of a type that has no order (lists, maps), `Unsupported` for a column of a
    /// type that Delta does not have.
    pub fn new(spec: Arc<WriteSpec>, options: WriteOptions) -> Result<Self> {
        Ok(Self {
            splitter: Splitter::new(&spec)?,
            plan: Arc::new(Plan::new(&spec, &options)?),
            spec,
            options,
            open: HashMap::new(),
            full: Vec::new(),
        })
    }

    /// Adds rows with the columns of [`WriteSpec::logical`], in its order.
    ///
    /// Errors: `InvalidData` for a value that cannot be a partition value or a null where none may be, `Bug` for
    /// rows of another schema.
    pub fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let physical = project::project(&self.spec, rows)?;
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let groups = match &self.splitter {
            None => vec![(Key::new(), Selection::All)],
            Some(splitter) => splitter.split(&self.spec, rows)?,
        };
        let mut lease = Lease::take();
        for (key, selection) in groups {
            self.append(key, &selection.of_batch(&physical)?, &mut lease)?;
        }
        Ok(())
    }

    fn append(&mut self, key: Key, rows: &RecordBatch, lease: &mut Lease) -> Result<()> {
        for start in (0..rows.num_rows()).step_by(ROWS_AT_ONCE) {
            let some = rows.slice(start, ROWS_AT_ONCE.min(rows.num_rows() - start));
            if !self.open.contains_key(&key) {
                self.make_room(lease)?;
                let file = OpenFile::create(&self.spec, &key, &self.options, &self.plan);
                self.open.insert(key.clone(), file);
            }
            let Some(file) = self.open.get_mut(&key) else {
                continue;
            };
            file.write(&some, lease)?;
            if file.size() >= self.options.target_file_size_bytes {
                self.close(&key, lease)?;
            }
        }
        Ok(())
    }

    /// Closes the largest files until one more may be opened.
    fn make_room(&mut self, lease: &mut Lease) -> Result<()> {
        while self.open.len() >= self.options.max_open_partitions.max(1) {
            let largest = self.open.iter().max_by_key(|(_, file)| file.size());
            let Some(key) = largest.map(|(key, _)| key.clone()) else {
                break;
            };
            self.close(&key, lease)?;
        }
        Ok(())
    }

    fn close(&mut self, key: &Key, lease: &mut Lease) -> Result<()> {
        if let Some(file) = self.open.remove(key) {
            self.full.push(file.close(lease)?);
        }
        Ok(())
    }

    /// Bytes of memory held: files done and not yet taken, and the encoders' buffers.
    pub fn memory_bytes(&self) -> u64 {
        let full: u64 = self.full.iter().map(|f| f.size).sum();
        full + self.open.values().map(OpenFile::memory).sum::<u64>()
    }

    /// Files that were closed because they, or the number of open files, reached their limit.
    pub fn take_full(&mut self) -> Vec<EncodedFile> {
        std::mem::take(&mut self.full)
    }

    /// Closes all files and returns those not yet taken. No rows, no files.
    pub fn finish(mut self) -> Result<Vec<EncodedFile>> {
        let keys: Vec<Key> = self.open.keys().cloned().collect();
        let mut lease = Lease::take();
        for key in &keys {
            self.close(key, &mut lease)?;
        }
        Ok(self.full)
    }
}

impl fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableWriter")
            .field("options", &self.options)
            .field("open", &self.open.len())
            .field("full", &self.full.len())
            .finish_non_exhaustive()
    }
}
