//! The values of one column, whatever their type.

use super::{
    boolean::Boolean, bounds::Extremes, bytes::Bytes, codec::Scale, fixed::Fixed, native::Native,
    scratch::Buffers,
};
use crate::write::options::ValueEncoding;
use arrow::{
    array::{Array, AsArray, GenericByteArray, PrimitiveArray},
    buffer::NullBuffer,
    datatypes::{
        ArrowPrimitiveType, ByteArrayType, DataType, Date32Type, Decimal128Type, Float32Type,
        Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    },
};
use parquet::{
    basic::{Encoding, Type},
    errors::{ParquetError, Result},
    file::statistics::Statistics,
};

/// By Parquet's physical type.
pub(super) enum Values {
    Boolean(Boolean),
    Int32(Fixed<i32>),
    Int64(Fixed<i64>),
    Float(Fixed<f32>),
    Double(Fixed<f64>),
    /// Decimals of more than 18 digits.
    Decimal(Fixed<i128>),
    Bytes(Bytes),
}

macro_rules! each {
    ($values:expr, $inner:ident => $result:expr) => {
        match $values {
            Values::Boolean($inner) => $result,
            Values::Int32($inner) => $result,
            Values::Int64($inner) => $result,
            Values::Float($inner) => $result,
            Values::Double($inner) => $result,
            Values::Decimal($inner) => $result,
            Values::Bytes($inner) => $result,
        }
    };
}

impl Values {
    /// `None` for a physical type that no column of ours has. `width`: bytes of a value of fixed length.
    pub(super) fn new(
        physical: Type,
        width: usize,
        text: bool,
        encoding: ValueEncoding,
    ) -> Option<Self> {
        Some(match physical {
            Type::BOOLEAN => Values::Boolean(Boolean::new()),
            Type::INT32 => Values::Int32(Fixed::new(4, encoding)),
            Type::INT64 => Values::Int64(Fixed::new(8, encoding)),
            Type::FLOAT => Values::Float(Fixed::new(4, encoding)),
            Type::DOUBLE => Values::Double(Fixed::new(8, encoding)),
            Type::FIXED_LEN_BYTE_ARRAY if (1..=16).contains(&width) => {
                Values::Decimal(Fixed::new(width, encoding))
            }
            Type::BYTE_ARRAY => Values::Bytes(Bytes::new(text, encoding)),
            _ => return None,
        })
    }

    /// Adds the values of `array` that `nulls` does not hide; `array`'s own nulls are among them.
    ///
    /// Errors: an array of a type that the column does not hold, a decimal of more digits than its type says.
    pub(super) fn add(
        &mut self,
        array: &dyn Array,
        nulls: Option<&NullBuffer>,
        buffers: &mut Buffers,
    ) -> Result<()> {
        use DataType as T;
        match (self, array.data_type()) {
            (Values::Boolean(values), T::Boolean) => {
                values.add(array.as_boolean().values(), nulls);
            }
            (Values::Int32(values), T::Int32) => {
                add_fixed(
                    values,
                    array.as_primitive::<Int32Type>(),
                    nulls,
                    &mut buffers.i32,
                );
            }
            (Values::Int32(values), T::Date32) => {
                add_fixed(
                    values,
                    array.as_primitive::<Date32Type>(),
                    nulls,
                    &mut buffers.i32,
                );
            }
            (Values::Int32(values), T::Int8) => {
                let array = array.as_primitive::<Int8Type>();
                values.add(collect(array, nulls, &mut buffers.i32)?);
            }
            (Values::Int32(values), T::Int16) => {
                let array = array.as_primitive::<Int16Type>();
                values.add(collect(array, nulls, &mut buffers.i32)?);
            }
            (Values::Int32(values), T::Decimal128(..)) => {
                let array = array.as_primitive::<Decimal128Type>();
                values.add(collect(array, nulls, &mut buffers.i32)?);
            }
            (Values::Int64(values), T::Int64) => {
                add_fixed(
                    values,
                    array.as_primitive::<Int64Type>(),
                    nulls,
                    &mut buffers.i64,
                );
            }
            (Values::Int64(values), T::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _)) => {
                let array = array.as_primitive::<TimestampMicrosecondType>();
                add_fixed(values, array, nulls, &mut buffers.i64);
            }
            (Values::Int64(values), T::Decimal128(..)) => {
                let array = array.as_primitive::<Decimal128Type>();
                values.add(collect(array, nulls, &mut buffers.i64)?);
            }
            (Values::Float(values), T::Float32) => {
                add_fixed(
                    values,
                    array.as_primitive::<Float32Type>(),
                    nulls,
                    &mut buffers.f32,
                );
            }
            (Values::Double(values), T::Float64) => {
                add_fixed(
                    values,
                    array.as_primitive::<Float64Type>(),
                    nulls,
                    &mut buffers.f64,
                );
            }
            (Values::Decimal(values), T::Decimal128(..)) => {
                let array = array.as_primitive::<Decimal128Type>();
                add_fixed(values, array, nulls, &mut buffers.i128);
            }
            (Values::Bytes(values), T::Utf8) => add_bytes(values, array.as_string::<i32>(), nulls),
            (Values::Bytes(values), T::Binary) => {
                add_bytes(values, array.as_binary::<i32>(), nulls)
            }
            (_, other) => {
                return Err(ParquetError::General(format!(
                    "a column got values of type {other}"
                )));
            }
        }
        Ok(())
    }

    /// Values of the page.
    pub(super) fn len(&self) -> usize {
        each!(self, values => values.len())
    }

    /// Bytes of memory the page's values use.
    pub(super) fn buffered(&self) -> usize {
        each!(self, values => values.buffered())
    }

    /// Bytes the page and the dictionary would take before compression, about.
    pub(super) fn pending(&self) -> usize {
        each!(self, values => values.pending())
    }

    /// Whether the page must end because the dictionary takes no more values.
    pub(super) fn is_full(&self) -> bool {
        each!(self, values => values.is_full())
    }

    /// Appends the page's values and forgets them.
    pub(super) fn page(&mut self, out: &mut Vec<u8>, scale: &mut Scale<'_>) -> Result<Encoding> {
        match self {
            Values::Boolean(values) => Ok(values.page(out)),
            Values::Bytes(values) => Ok(values.page(out)),
            Values::Int32(values) => values.page(out, scale),
            Values::Int64(values) => values.page(out, scale),
            Values::Float(values) => values.page(out, scale),
            Values::Double(values) => values.page(out, scale),
            Values::Decimal(values) => values.page(out, scale),
        }
    }

    /// Appends the chunk's dictionary in plain form, if there is one; returns its number of entries.
    pub(super) fn dictionary(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        each!(self, values => values.dictionary(out))
    }

    /// Of the whole chunk; after [`Self::dictionary`].
    pub(super) fn statistics(&self, nulls: u64) -> Statistics {
        each!(self, values => values.statistics(nulls))
    }

    /// Of the whole chunk; after [`Self::dictionary`].
    pub(super) fn extremes(&self) -> Extremes<'_> {
        each!(self, values => values.extremes())
    }

    /// Begins a new chunk.
    pub(super) fn reset(&mut self) {
        each!(self, values => values.reset());
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        each!(self, values => values.memory())
    }
}

fn add_fixed<A: ArrowPrimitiveType>(
    to: &mut Fixed<A::Native>,
    array: &PrimitiveArray<A>,
    nulls: Option<&NullBuffer>,
    buffer: &mut Vec<A::Native>,
) where
    A::Native: Native,
{
    let values = array.values();
    match nulls {
        None => to.add(values),
        Some(nulls) => {
            buffer.clear();
            for (start, end) in nulls.valid_slices() {
                buffer.extend_from_slice(&values[start..end]);
            }
            to.add(buffer);
        }
    }
}

/// Values in another width.
fn collect<'a, A: ArrowPrimitiveType, N>(
    array: &PrimitiveArray<A>,
    nulls: Option<&NullBuffer>,
    buffer: &'a mut Vec<N>,
) -> Result<&'a [N]>
where
    N: TryFrom<A::Native>,
{
    buffer.clear();
    let mut extend = |values: &[A::Native]| {
        for value in values {
            let too_wide = |_| ParquetError::General(format!("{value:?} does not fit its column"));
            buffer.push(N::try_from(*value).map_err(too_wide)?);
        }
        Ok::<(), ParquetError>(())
    };
    match nulls {
        None => extend(array.values())?,
        Some(nulls) => {
            for (start, end) in nulls.valid_slices() {
                extend(&array.values()[start..end])?;
            }
        }
    }
    Ok(buffer)
}

fn add_bytes<T: ByteArrayType<Offset = i32>>(
    to: &mut Bytes,
    array: &GenericByteArray<T>,
    nulls: Option<&NullBuffer>,
) {
    let (offsets, data) = (array.value_offsets(), array.value_data());
    match nulls {
        None => to.add(offsets, data),
        Some(nulls) => {
            for (start, end) in nulls.valid_slices() {
                to.add(&offsets[start..=end], data);
            }
        }
    }
}
