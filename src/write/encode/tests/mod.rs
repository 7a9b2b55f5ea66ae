//! Files made here are read by the Parquet crate, and compared with what its own writer makes of the same rows.

use super::*;
use crate::{
    event::{SchemaFingerprint, WriteSpec},
    write::options::{Compression, ValueEncoding, WriteOptions},
};
use arrow::{
    array::*,
    datatypes::{Field, Schema, TimeUnit},
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Encoding,
    file::{
        metadata::ColumnChunkMetaData,
        properties::WriterProperties,
        reader::{FileReader, SerializedFileReader},
    },
};

mod arbitrary;
mod chunks;
mod properties;

fn plan(schema: &Schema, options: &WriteOptions) -> Plan {
    let spec = WriteSpec {
        logical: Arc::new(schema.clone()),
        physical: Arc::new(schema.clone()),
        projection: (0..schema.fields().len()).collect(),
        partition_columns: vec![],
        stats_columns: schema
            .fields()
            .iter()
            .map(|f| vec![f.name().clone()])
            .collect(),
        random_prefix_length: None,
        fingerprint: SchemaFingerprint(0),
    };
    Plan::new(&spec, options).unwrap()
}

fn encode(plan: Plan, batches: &[RecordBatch]) -> Bytes {
    let mut encoder = FileEncoder::new(Arc::new(plan));
    let mut lease = Lease::take();
    for batch in batches {
        encoder.write(batch, &mut lease).unwrap();
    }
    let encoded = encoder.finish(&mut lease).unwrap();
    let bytes: Bytes = encoded.chunks.concat().into();
    assert_eq!(bytes.len() as u64, encoded.size);
    assert_eq!(
        encoded.stats.rows(),
        batches.iter().map(|b| b.num_rows() as u64).sum::<u64>()
    );
    bytes
}

fn read(file: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn metadata(file: &Bytes) -> ParquetMetaData {
    SerializedFileReader::new(file.clone())
        .unwrap()
        .metadata()
        .clone()
}

fn assert_same(file: &Bytes, expected: &RecordBatch) {
    let back = read(file);
    assert_eq!(back.num_rows(), expected.num_rows());
    for (i, field) in expected.schema().fields().iter().enumerate() {
        assert_eq!(
            back.column(i).as_ref(),
            expected.column(i).as_ref(),
            "{field:?}"
        );
    }
}

fn one_column(array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([("c", array, true)]).unwrap()
}
