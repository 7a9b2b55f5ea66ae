//! Arrow values as JSON where arrow's own writer would change or lose them.
//!
//! - binary is base64, as decoding expects (arrow: hexadecimal)
//! - NaN and the infinities are text, so that they end in `_rescued_data` (arrow: null)
//! - a time outside the calendar that can be printed is its number (arrow: the text of an error)
//! - a map keeps its null values and takes keys of any scalar type (arrow: drops them, text keys only)
//!
//! Integers keep all 64 bits, decimals all digits, both as JSON numbers; timestamps are RFC 3339, with
//! `Z` where the column is UTC.

use arrow::{
    array::{Array, ArrayAccessor, ArrayRef, AsArray, MapArray},
    compute::cast,
    datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type, Int64Type},
    error::ArrowError,
    json::{
        Encoder, EncoderFactory, EncoderOptions, LineDelimitedWriter, WriterBuilder,
        writer::{LineDelimited, NullableEncoder, make_encoder},
    },
    record_batch::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{io::Write, sync::Arc};

/// Each row of the batch as one line of JSON; nulls are left out.
pub(crate) fn write_lines(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let mut writer: LineDelimitedWriter<&mut Vec<u8>> = WriterBuilder::new()
        .with_encoder_factory(Arc::new(Exact))
        .build::<_, LineDelimited>(out);
    writer.write(batch)?;
    writer.finish()
}

#[derive(Debug)]
struct Exact;

impl EncoderFactory for Exact {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Binary => Box::new(Base64(array.as_binary::<i32>())),
            DataType::LargeBinary => Box::new(Base64(array.as_binary::<i64>())),
            DataType::BinaryView => Box::new(Base64(array.as_binary_view())),
            DataType::FixedSizeBinary(_) => Box::new(Base64(array.as_fixed_size_binary())),
            DataType::Float16 => {
                let values = array.as_primitive::<Float16Type>();
                Box::new(Float(move |i| f64::from(values.value(i)), None))
            }
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>();
                // The shortest text that reads back as the same float, not as its double.
                Box::new(Float(
                    move |i| f64::from(values.value(i)),
                    Some(Box::new(move |i| values.value(i).to_string())),
                ))
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>();
                Box::new(Float(move |i| values.value(i), None))
            }
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => Box::new(Time {
                text: ArrayFormatter::try_new(
                    array,
                    &FormatOptions::new().with_display_error(false),
                )?,
                number: cast(array, &DataType::Int64)?,
            }),
            DataType::Map(_, _) => Box::new(MapObject::new(field, array.as_map(), options)?),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

struct Base64<A>(A);

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Encoder for Base64<A> {
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(BASE64_STANDARD.encode(self.0.value(idx)).as_bytes());
        out.push(b'"');
    }
}

/// The value as a double, and its own text where a double's would be longer.
struct Float<'a, F>(F, Option<Box<dyn Fn(usize) -> String + 'a>>);

impl<F: Fn(usize) -> f64> Encoder for Float<'_, F> {
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        let value = (self.0)(idx);
        // Writing to a Vec cannot fail.
        let _ = match (value.is_nan(), value.is_infinite(), &self.1) {
            (true, _, _) => out.write_all(b"\"NaN\""),
            (_, true, _) if value > 0.0 => out.write_all(b"\"Infinity\""),
            (_, true, _) => out.write_all(b"\"-Infinity\""),
            (_, _, Some(text)) => {
                let text = text(idx);
                let whole = text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
                write!(out, "{text}{}", if whole { ".0" } else { "" })
            }
            (_, _, None) => serde_json::to_writer(&mut *out, &value).map_err(Into::into),
        };
    }
}

struct Time<'a> {
    text: ArrayFormatter<'a>,
    number: ArrayRef,
}

impl Encoder for Time<'_> {
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = match self.text.value(idx).try_to_string() {
            Ok(text) => write!(out, "\"{text}\""),
            Err(_) => write!(
                out,
                "{}",
                self.number.as_primitive::<Int64Type>().value(idx)
            ),
        };
    }
}

struct MapObject<'a> {
    array: &'a MapArray,
    keys: NullableEncoder<'a>,
    values: NullableEncoder<'a>,
}

impl<'a> MapObject<'a> {
    fn new(
        field: &'a FieldRef,
        array: &'a MapArray,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        let keys = array.keys();
        let key_type = keys.data_type();
        if key_type.is_nested() || keys.null_count() > 0 {
            return Err(ArrowError::JsonError(format!(
                "a map's keys must be scalars and not null: {key_type}"
            )));
        }
        Ok(Self {
            array,
            keys: make_encoder(field, keys.as_ref(), options)?,
            values: make_encoder(field, array.values().as_ref(), options)?,
        })
    }
}

impl Encoder for MapObject<'_> {
    fn encode(&mut self, idx: usize, out: &mut Vec<u8>) {
        let offsets = self.array.value_offsets();
        let entries = offsets[idx] as usize..offsets[idx + 1] as usize;
        out.push(b'{');
        for (n, entry) in entries.enumerate() {
            if n > 0 {
                out.push(b',');
            }
            let start = out.len();
            self.keys.encode(entry, out);
            if out.get(start) != Some(&b'"') {
                out.insert(start, b'"');
                out.push(b'"');
            }
            out.push(b':');
            if self.values.is_null(entry) {
                out.extend_from_slice(b"null");
            } else {
                self.values.encode(entry, out);
            }
        }
        out.push(b'}');
    }
}
