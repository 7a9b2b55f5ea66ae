//! One column under construction. A value that does not fit leaves the column as it was.

use super::{
    DecodeError,
    build::{Bits, Bytes, Texts, Values},
    json::{Json, NodeKind},
    nested::{ListColumn, MapColumn, StructColumn},
    number,
    path::{Path, Place},
    row::Row,
    time::{self, MICROS_PER_DAY, TimestampUnit},
};
use arrow::{
    array::{ArrayRef, PrimitiveArray, new_null_array},
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float32Type, Float64Type,
        Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    },
};
use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use std::sync::Arc;

const BASE64: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64_STANDARD: GeneralPurpose = GeneralPurpose::new(&STANDARD, BASE64);
const BASE64_URL_SAFE: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, BASE64);

/// What a column takes beside its Arrow type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ColumnRules {
    /// Any value, kept as its JSON text.
    pub(super) json: bool,
    pub(super) unit: TimestampUnit,
    /// A date may be taken from a time, since the time itself is kept elsewhere.
    pub(super) date_of_time: bool,
}

impl ColumnRules {
    /// What holds for what is inside the column.
    pub(super) fn within(self) -> Self {
        Self {
            json: false,
            ..self
        }
    }
}

/// Timestamps, and the day that was read last: most of a batch falls into few.
pub(super) struct Times {
    pub(super) values: Values<i64>,
    pub(super) unit: TimestampUnit,
    /// Text with a zone, as microseconds in UTC; else text without one, as local microseconds.
    pub(super) zoned: bool,
    /// `YYYY-MM-DD`.
    pub(super) day: [u8; 10],
    /// Its first microsecond.
    pub(super) day_us: i64,
    data_type: DataType,
}

pub(super) enum Column {
    Boolean(Bits),
    Byte(Values<i8>),
    Short(Values<i16>),
    Integer(Values<i32>),
    Long(Values<i64>),
    Float(Values<f32>),
    Double(Values<f64>),
    Decimal(Values<i128>, u8, i8),
    Text(Texts),
    Json(Texts),
    Binary(Bytes),
    Date(Values<i32>, ColumnRules),
    Timestamp(Box<Times>),
    Struct(Box<StructColumn>),
    List(Box<ListColumn>),
    Map(Box<MapColumn>),
    /// A type that events do not fill (void, variant, structs with fields that must not be null):
    /// always null.
    Never(DataType, usize),
}

impl Column {
    /// An empty column, whose values stand at `place`.
    pub(super) fn new(data_type: &DataType, rules: ColumnRules, place: &Place) -> Column {
        match data_type {
            DataType::Boolean => Column::Boolean(Bits::default()),
            DataType::Int8 => Column::Byte(Values::default()),
            DataType::Int16 => Column::Short(Values::default()),
            DataType::Int32 => Column::Integer(Values::default()),
            DataType::Int64 => Column::Long(Values::default()),
            DataType::Float32 => Column::Float(Values::default()),
            DataType::Float64 => Column::Double(Values::default()),
            DataType::Decimal128(p, s) => Column::Decimal(Values::default(), *p, *s),
            DataType::Utf8 if rules.json => Column::Json(Texts::default()),
            DataType::Utf8 => Column::Text(Texts::default()),
            DataType::Binary => Column::Binary(Bytes::default()),
            DataType::Date32 => Column::Date(Values::default(), rules),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Column::Timestamp(Box::new(Times {
                    values: Values::default(),
                    unit: rules.unit,
                    zoned: zone.is_some(),
                    day: *b"1970-01-01",
                    day_us: 0,
                    data_type: data_type.clone(),
                }))
            }
            DataType::Struct(fields)
                if !fields.is_empty() && fields.iter().all(|field| field.is_nullable()) =>
            {
                Column::Struct(Box::new(StructColumn::new(fields.clone(), rules, place)))
            }
            DataType::List(element) => {
                Column::List(Box::new(ListColumn::new(Arc::clone(element), rules, place)))
            }
            DataType::Map(entries, sorted) => {
                match MapColumn::new(Arc::clone(entries), *sorted, rules, place) {
                    Some(map) => Column::Map(Box::new(map)),
                    None => Column::Never(data_type.clone(), 0),
                }
            }
            other => Column::Never(other.clone(), 0),
        }
    }

    /// Appends a value; `false`, and nothing appended, where it does not fit. A JSON null fits
    /// everywhere. Within structs, what does not fit is handed to `row`.
    pub(super) fn append(
        &mut self,
        json: Json<'_>,
        at: u32,
        path: Option<&Path<'_>>,
        row: &mut Row,
    ) -> bool {
        if json.is_null(at) {
            self.pad(self.len() + 1);
            return true;
        }
        match self {
            Column::Boolean(b) => boolean(json, at).map(|v| b.push(v)),
            Column::Byte(b) => integer(json, at).map(|v| b.push(v)),
            Column::Short(b) => integer(json, at).map(|v| b.push(v)),
            Column::Integer(b) => integer(json, at).map(|v| b.push(v)),
            Column::Long(b) => integer(json, at).map(|v| b.push(v)),
            Column::Float(b) => num(json, at, number::float).map(|v| b.push(v)),
            Column::Double(b) => num(json, at, number::double).map(|v| b.push(v)),
            Column::Decimal(b, p, s) => {
                num(json, at, |text, _| number::decimal(text, *p, *s)).map(|v| b.push(v))
            }
            Column::Text(b) => json.string(at).map(|v| b.push(&v)),
            Column::Json(b) => {
                b.push(json.text(at));
                Some(())
            }
            Column::Binary(b) => json.string(at).and_then(|v| binary(&v)).map(|v| b.push(&v)),
            Column::Date(b, rules) => date(json, at, *rules).map(|v| b.push(v)),
            Column::Timestamp(times) => timestamp(json, at, times).map(|v| times.values.push(v)),
            Column::Struct(column) => column.append(json, at, path, row).then_some(()),
            Column::List(column) => column.append(json, at, path, row).then_some(()),
            Column::Map(column) => column.append(json, at, path, row).then_some(()),
            Column::Never(..) => None,
        }
        .is_some()
    }

    /// Whether [`Column::append`] would take the value.
    pub(super) fn fits(&self, json: Json<'_>, at: u32) -> bool {
        if json.is_null(at) {
            return true;
        }
        match self {
            Column::Boolean(_) => boolean(json, at).is_some(),
            Column::Byte(_) => integer::<i8>(json, at).is_some(),
            Column::Short(_) => integer::<i16>(json, at).is_some(),
            Column::Integer(_) => integer::<i32>(json, at).is_some(),
            Column::Long(_) => integer::<i64>(json, at).is_some(),
            Column::Float(_) => num(json, at, number::float).is_some(),
            Column::Double(_) => num(json, at, number::double).is_some(),
            Column::Decimal(_, p, s) => {
                num(json, at, |text, _| number::decimal(text, *p, *s)).is_some()
            }
            Column::Text(_) => matches!(json.kind(at), NodeKind::Plain | NodeKind::Escaped),
            Column::Json(_) => true,
            Column::Binary(_) => json.string(at).and_then(|v| binary(&v)).is_some(),
            Column::Date(_, rules) => date(json, at, *rules).is_some(),
            Column::Timestamp(times) => timestamp(json, at, times).is_some(),
            Column::Struct(_) => json.kind(at) == NodeKind::Object,
            Column::List(column) => column.fits(json, at),
            Column::Map(column) => column.fits(json, at),
            Column::Never(..) => false,
        }
    }

    /// How many rows there are, nulls included.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        match self {
            Column::Boolean(b) => b.len(),
            Column::Byte(b) => b.len(),
            Column::Short(b) => b.len(),
            Column::Integer(b) | Column::Date(b, _) => b.len(),
            Column::Long(b) => b.len(),
            Column::Float(b) => b.len(),
            Column::Double(b) => b.len(),
            Column::Decimal(b, ..) => b.len(),
            Column::Text(b) | Column::Json(b) => b.len(),
            Column::Binary(b) => b.len(),
            Column::Timestamp(times) => times.values.len(),
            Column::Struct(column) => column.len(),
            Column::List(column) => column.len(),
            Column::Map(column) => column.len(),
            Column::Never(_, rows) => *rows,
        }
    }

    /// Appends nulls, until there are so many rows.
    pub(super) fn pad(&mut self, rows: usize) {
        if self.len() >= rows {
            return;
        }
        match self {
            Column::Boolean(b) => b.pad(rows),
            Column::Byte(b) => b.pad(rows),
            Column::Short(b) => b.pad(rows),
            Column::Integer(b) | Column::Date(b, _) => b.pad(rows),
            Column::Long(b) => b.pad(rows),
            Column::Float(b) => b.pad(rows),
            Column::Double(b) => b.pad(rows),
            Column::Decimal(b, ..) => b.pad(rows),
            Column::Text(b) | Column::Json(b) => b.pad(rows),
            Column::Binary(b) => b.pad(rows),
            Column::Timestamp(times) => times.values.pad(rows),
            Column::Struct(column) => column.pad(rows),
            Column::List(column) => column.pad(rows),
            Column::Map(column) => column.pad(rows),
            Column::Never(_, count) => *count = rows,
        }
    }

    /// Takes back the rows from this one on, and what was begun of one.
    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Column::Boolean(b) => b.truncate(rows),
            Column::Byte(b) => b.truncate(rows),
            Column::Short(b) => b.truncate(rows),
            Column::Integer(b) | Column::Date(b, _) => b.truncate(rows),
            Column::Long(b) => b.truncate(rows),
            Column::Float(b) => b.truncate(rows),
            Column::Double(b) => b.truncate(rows),
            Column::Decimal(b, ..) => b.truncate(rows),
            Column::Text(b) | Column::Json(b) => b.truncate(rows),
            Column::Binary(b) => b.truncate(rows),
            Column::Timestamp(times) => times.values.truncate(rows),
            Column::Struct(column) => column.truncate(rows),
            Column::List(column) => column.truncate(rows),
            Column::Map(column) => column.truncate(rows),
            Column::Never(_, count) => *count = rows.min(*count),
        }
    }

    /// Says in which place of its level what is left over within is told.
    pub(super) fn set_rank(&mut self, rank: u32) {
        match self {
            Column::Struct(column) => column.rank = rank,
            Column::List(column) => column.rank = rank,
            Column::Map(column) => column.rank = rank,
            _ => {}
        }
    }

    /// Forgets the spots of what is left over within.
    pub(super) fn forget_spots(&mut self) {
        match self {
            Column::Struct(column) => column.columns.forget_spots(),
            Column::List(column) => column.column.forget_spots(),
            Column::Map(column) => column.values.forget_spots(),
            _ => {}
        }
    }

    /// The array of so many rows, the last of them null where there are fewer; the column starts anew.
    pub(super) fn finish(&mut self, rows: usize) -> Result<ArrayRef, DecodeError> {
        self.pad(rows);
        Ok(match self {
            Column::Boolean(b) => Arc::new(b.finish()),
            Column::Byte(b) => primitive::<Int8Type>(b, &DataType::Int8),
            Column::Short(b) => primitive::<Int16Type>(b, &DataType::Int16),
            Column::Integer(b) => primitive::<Int32Type>(b, &DataType::Int32),
            Column::Long(b) => primitive::<Int64Type>(b, &DataType::Int64),
            Column::Float(b) => primitive::<Float32Type>(b, &DataType::Float32),
            Column::Double(b) => primitive::<Float64Type>(b, &DataType::Float64),
            Column::Decimal(b, p, s) => {
                primitive::<Decimal128Type>(b, &DataType::Decimal128(*p, *s))
            }
            Column::Text(b) | Column::Json(b) => Arc::new(b.finish()?),
            Column::Binary(b) => Arc::new(b.finish_binary()?),
            Column::Date(b, _) => primitive::<Date32Type>(b, &DataType::Date32),
            Column::Timestamp(times) => {
                primitive::<TimestampMicrosecondType>(&mut times.values, &times.data_type)
            }
            Column::Struct(column) => Arc::new(column.finish()?),
            Column::List(column) => Arc::new(column.finish()?),
            Column::Map(column) => Arc::new(column.finish()?),
            Column::Never(data_type, rows) => new_null_array(data_type, std::mem::take(rows)),
        })
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Values<T::Native>,
    data_type: &DataType,
) -> ArrayRef {
    let (values, nulls) = values.finish();
    Arc::new(PrimitiveArray::<T>::new(values, nulls).with_data_type(data_type.clone()))
}

fn boolean(json: Json<'_>, at: u32) -> Option<bool> {
    match json.kind(at) {
        NodeKind::True => Some(true),
        NodeKind::False => Some(false),
        _ => None,
    }
}

/// Calls `read` with a number's text and whether it is digits alone.
fn num<T>(json: Json<'_>, at: u32, read: impl Fn(&str, bool) -> Option<T>) -> Option<T> {
    match json.kind(at) {
        NodeKind::Integer => read(json.text(at), true),
        NodeKind::Float => read(json.text(at), false),
        _ => None,
    }
}

fn integer<T: TryFrom<i64>>(json: Json<'_>, at: u32) -> Option<T> {
    T::try_from(num(json, at, |text, _| number::long(text))?).ok()
}

/// Base64 of either alphabet, padded or not.
pub(super) fn binary(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD
        .decode(text.as_bytes())
        .or_else(|_| BASE64_URL_SAFE.decode(text.as_bytes()))
        .ok()
}

impl Times {
    /// The microseconds of a text.
    pub(super) fn read(&self, text: &str) -> Option<i64> {
        match self.zoned {
            true => time::instant(text),
            false => time::local(text),
        }
    }
}

fn timestamp(json: Json<'_>, at: u32, times: &Times) -> Option<i64> {
    match json.string(at) {
        Some(text) => times.read(&text),
        None => num(json, at, |text, _| times.unit.micros(text)),
    }
}

fn date(json: Json<'_>, at: u32, rules: ColumnRules) -> Option<i32> {
    match json.string(at) {
        Some(text) => date_of_text(&text, rules),
        None => num(json, at, |text, _| date_of_number(text, rules)),
    }
}

pub(super) fn date_of_text(text: &str, rules: ColumnRules) -> Option<i32> {
    if let Some(date) = time::date(text) {
        return Some(date);
    }
    if !rules.date_of_time {
        return None;
    }
    day(time::instant(text).or_else(|| time::local(text))?)
}

pub(super) fn date_of_number(text: &str, rules: ColumnRules) -> Option<i32> {
    match rules.date_of_time {
        true => day(rules.unit.micros(text)?),
        false => None,
    }
}

fn day(micros: i64) -> Option<i32> {
    i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok()
}
