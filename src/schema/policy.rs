//! What a table allows its schema to become.

use super::{Evolution, Kind, OnConflict, Shape};
use arrow::datatypes::DataType;

/// What a table's configuration and features allow.
#[derive(Clone, Debug, PartialEq)]
pub struct EvolutionPolicy {
    pub evolution: Evolution,
    /// The ladder, tried in order.
    pub on_conflict: Vec<OnConflict>,
    /// Whether the table's type-widening feature is on and its authority can write type changes;
    /// the kernel cannot, so `false` for authority `log`.
    pub widening: bool,
    /// Whether RFC 3339 text makes a timestamp column.
    pub infer_timestamps: bool,
    /// The most columns, fields of structs counted.
    pub max_columns: usize,
    /// The deepest level a column is made at; 1 is the top. A struct or a list goes one deeper.
    pub max_depth: usize,
}

impl Default for EvolutionPolicy {
    fn default() -> Self {
        Self {
            evolution: Evolution::Auto,
            on_conflict: vec![OnConflict::Widen, OnConflict::Sibling, OnConflict::Rescue],
            widening: false,
            infer_timestamps: false,
            max_columns: 1_000,
            max_depth: 10,
        }
    }
}

impl EvolutionPolicy {
    /// Whether Delta widens the one type to the other (protocol, "Type Widening") and this table may.
    pub fn can_widen(&self, from: &DataType, to: &DataType) -> bool {
        use DataType::{
            Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp,
        };
        self.widening
            && match (from, to) {
                (Int8, Int16 | Int32 | Int64 | Float64)
                | (Int16, Int32 | Int64 | Float64)
                | (Int32, Int64 | Float64)
                | (Float32, Float64) => true,
                (Date32, Timestamp(_, None)) => true,
                (Int8 | Int16 | Int32, Decimal128(p, s)) => i32::from(*p) - i32::from(*s) >= 10,
                (Int64, Decimal128(p, s)) => i32::from(*p) - i32::from(*s) >= 20,
                (Decimal128(p, s), Decimal128(q, t)) => {
                    t >= s && i32::from(*q) - i32::from(*p) >= i32::from(*t) - i32::from(*s)
                }
                _ => false,
            }
    }

    /// The wider type for a column that holds its values and these, if this table may have it.
    pub fn widens(&self, column: &DataType, shape: &Shape) -> Option<DataType> {
        widened(column, shape).filter(|to| self.can_widen(column, to))
    }
}

/// The narrowest type that holds the column's values and all of `shape`, where Delta has one.
fn widened(from: &DataType, shape: &Shape) -> Option<DataType> {
    let only = |kinds: &[Kind]| shape.kinds.keys().all(|kind| kinds.contains(kind));
    match from {
        DataType::Int8 | DataType::Int16 | DataType::Int32 if only(&[Kind::Long]) => {
            Some(DataType::Int64)
        }
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Float32
            if only(&[Kind::Double]) =>
        {
            Some(DataType::Float64)
        }
        DataType::Int64 if only(&[Kind::BigInteger]) => Some(DataType::Decimal128(38, 0)),
        DataType::Decimal128(_, s) if only(&[Kind::Long, Kind::BigInteger]) => {
            Some(DataType::Decimal128(38, *s))
        }
        _ => None,
    }
}
