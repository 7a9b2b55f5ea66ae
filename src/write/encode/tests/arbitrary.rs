//! Any schema that a table may have, and any rows of it, drawn from a seed.

use super::*;
use arrow::{
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{
        Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, TimestampMicrosecondType,
    },
};
use fastrand::Rng;

pub(super) fn schema(random: &mut Rng) -> Schema {
    let fields = 1 + random.usize(..4);
    Schema::new(
        (0..fields)
            .map(|i| field(random, &format!("f{i}"), 3))
            .collect::<Vec<_>>(),
    )
}

fn field(random: &mut Rng, name: &str, depth: usize) -> Field {
    let nullable = random.u8(..4) > 0;
    let data_type = match random.u8(..if depth == 0 { 12 } else { 20 }) {
        0 => DataType::Boolean,
        1 => DataType::Int8,
        2 => DataType::Int16,
        3 => DataType::Int32,
        4 => DataType::Int64,
        5 => DataType::Float32,
        6 => DataType::Float64,
        7 => DataType::Date32,
        8 => DataType::Timestamp(TimeUnit::Microsecond, random.bool().then(|| "UTC".into())),
        9 => DataType::Decimal128(random.u8(1..=38), 0),
        10 => DataType::Utf8,
        11 => DataType::Binary,
        12..15 => {
            let fields = 1 + random.usize(..3);
            let fields = (0..fields).map(|i| field(random, &format!("s{i}"), depth - 1));
            DataType::Struct(fields.collect())
        }
        15..18 => DataType::List(Arc::new(field(random, "element", depth - 1))),
        _ => {
            let key = Field::new("key", DataType::Utf8, false);
            let entries = DataType::Struct(vec![key, field(random, "value", depth - 1)].into());
            DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
        }
    };
    Field::new(name, data_type, nullable)
}

pub(super) fn batch(random: &mut Rng, schema: &Schema, rows: usize) -> RecordBatch {
    let columns = schema
        .fields()
        .iter()
        .map(|f| array(random, f, rows))
        .collect();
    RecordBatch::try_new(Arc::new(schema.clone()), columns).unwrap()
}

fn nulls(random: &mut Rng, field: &Field, rows: usize) -> Option<NullBuffer> {
    let of_ten = match random.u8(..4) {
        _ if !field.is_nullable() => return None,
        0 => return None,
        1 => 0,
        2 => 9,
        _ => 5,
    };
    Some(
        (0..rows)
            .map(|_| random.u8(..10) < of_ten)
            .collect::<Vec<_>>()
            .into(),
    )
}

fn array(random: &mut Rng, field: &Field, rows: usize) -> ArrayRef {
    let nulls = nulls(random, field, rows);
    // How many values differ: one, a few, all.
    let spread = [1, 3, u64::MAX][random.usize(..3)];
    let any = |random: &mut Rng| random.u64(..) % spread;
    macro_rules! numbers {
        ($arrow:ty, $value:expr) => {{
            let value = $value;
            let values: Vec<_> = (0..rows).map(|_| value(any(random))).collect();
            let array = PrimitiveArray::<$arrow>::new(ScalarBuffer::from(values), nulls);
            Arc::new(array.with_data_type(field.data_type().clone()))
        }};
    }
    // Ends of each range come up often.
    let wide = |n: u64| match n % 11 {
        9 => i64::MIN,
        10 => i64::MAX,
        _ => n as i64,
    };
    match field.data_type() {
        DataType::Boolean => {
            let values: Vec<bool> = (0..rows).map(|_| any(random) % 2 == 1).collect();
            Arc::new(BooleanArray::new(values.into(), nulls))
        }
        DataType::Int8 => numbers!(Int8Type, |n| n as i8),
        DataType::Int16 => numbers!(Int16Type, |n| n as i16),
        DataType::Int32 => numbers!(Int32Type, |n| wide(n) as i32),
        DataType::Int64 => numbers!(Int64Type, wide),
        DataType::Date32 => numbers!(Date32Type, |n| wide(n) as i32),
        DataType::Timestamp(..) => numbers!(TimestampMicrosecondType, wide),
        DataType::Float32 => numbers!(Float32Type, |n: u64| match n % 7 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => -0.0,
            4 => 0.0,
            _ => n as f32,
        }),
        DataType::Float64 => numbers!(Float64Type, |n: u64| match n % 7 {
            1 => f64::INFINITY,
            2 => f64::NEG_INFINITY,
            3 => -0.0,
            4 => 0.0,
            _ => n as f64,
        }),
        DataType::Decimal128(precision, _) => {
            let limit = 10_i128.pow(u32::from(*precision));
            numbers!(Decimal128Type, |n: u64| match n % 5 {
                3 => limit - 1,
                4 => 1 - limit,
                _ => i128::from(n) % limit,
            })
        }
        DataType::Utf8 => {
            let values: Vec<String> = (0..rows).map(|_| text(any(random))).collect();
            let (offsets, data, _) = StringArray::from(values).into_parts();
            Arc::new(StringArray::new(offsets, data, nulls))
        }
        DataType::Binary => {
            let values: Vec<Vec<u8>> = (0..rows).map(|_| text(any(random)).into_bytes()).collect();
            let (offsets, data, _) = BinaryArray::from_iter_values(values).into_parts();
            Arc::new(BinaryArray::new(offsets, data, nulls))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|f| array(random, f, rows)).collect();
            Arc::new(
                StructArray::try_new_with_length(fields.clone(), columns, nulls, rows).unwrap(),
            )
        }
        DataType::List(element) => {
            let offsets = offsets(random, rows);
            let elements = offsets[rows] as usize + random.usize(..3);
            let values = array(random, element, elements);
            Arc::new(ListArray::new(element.clone(), offsets, values, nulls))
        }
        DataType::Map(entries, _) => {
            let offsets = offsets(random, rows);
            let elements = offsets[rows] as usize + random.usize(..3);
            let values = array(random, entries, elements);
            Arc::new(MapArray::new(
                entries.clone(),
                offsets,
                values.as_struct().clone(),
                nulls,
                false,
            ))
        }
        other => panic!("{other}"),
    }
}

fn text(n: u64) -> String {
    match n % 9 {
        0 => String::new(),
        1 => format!("{n:x}é日本🎵"),
        2 => "\u{10FFFF}".repeat((n % 40) as usize),
        3 => "long ".repeat((n % 100) as usize) + &n.to_string(),
        _ => n.to_string(),
    }
}

/// Lists of any length; null ones too may span elements, and the first element need not be in any list.
fn offsets(random: &mut Rng, rows: usize) -> OffsetBuffer<i32> {
    let mut at = random.i32(0..3);
    let most = [1, 4][random.usize(..2)];
    let mut offsets = vec![at];
    for _ in 0..rows {
        at += random.i32(0..=most);
        offsets.push(at);
    }
    OffsetBuffer::new(offsets.into())
}
