//! One column under construction. A value that does not fit leaves the column as it was.

use super::{
    DecodeError,
    json::{Json, NodeKind},
    nested::{ListColumn, MapColumn, StructColumn},
    number,
    path::Path,
    row::Row,
    time::{self, MICROS_PER_DAY, TimestampUnit},
};
use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, BinaryBuilder, BooleanBuilder, PrimitiveBuilder,
        StringBuilder, new_null_array,
    },
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
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

pub(super) enum Column {
    Boolean(BooleanBuilder),
    Byte(PrimitiveBuilder<Int8Type>),
    Short(PrimitiveBuilder<Int16Type>),
    Integer(PrimitiveBuilder<Int32Type>),
    Long(PrimitiveBuilder<Int64Type>),
    Float(PrimitiveBuilder<Float32Type>),
    Double(PrimitiveBuilder<Float64Type>),
    Decimal(PrimitiveBuilder<Decimal128Type>, u8, i8),
    Text(StringBuilder),
    Json(StringBuilder),
    Binary(BinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>, ColumnRules),
    Timestamp(PrimitiveBuilder<TimestampMicrosecondType>, TimestampUnit),
    LocalTimestamp(PrimitiveBuilder<TimestampMicrosecondType>, TimestampUnit),
    Struct(Box<StructColumn>),
    List(Box<ListColumn>),
    Map(Box<MapColumn>),
    /// A type that events do not fill (void, variant, structs with fields that must not be null):
    /// always null.
    Never(DataType, usize),
}

impl Column {
    pub(super) fn new(data_type: &DataType, rules: ColumnRules) -> Column {
        match data_type {
            DataType::Boolean => Column::Boolean(BooleanBuilder::new()),
            DataType::Int8 => Column::Byte(PrimitiveBuilder::new()),
            DataType::Int16 => Column::Short(PrimitiveBuilder::new()),
            DataType::Int32 => Column::Integer(PrimitiveBuilder::new()),
            DataType::Int64 => Column::Long(PrimitiveBuilder::new()),
            DataType::Float32 => Column::Float(PrimitiveBuilder::new()),
            DataType::Float64 => Column::Double(PrimitiveBuilder::new()),
            DataType::Decimal128(p, s) => Column::Decimal(
                PrimitiveBuilder::new().with_data_type(data_type.clone()),
                *p,
                *s,
            ),
            DataType::Utf8 if rules.json => Column::Json(StringBuilder::new()),
            DataType::Utf8 => Column::Text(StringBuilder::new()),
            DataType::Binary => Column::Binary(BinaryBuilder::new()),
            DataType::Date32 => Column::Date(PrimitiveBuilder::new(), rules),
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let builder = PrimitiveBuilder::new().with_data_type(data_type.clone());
                match zone {
                    Some(_) => Column::Timestamp(builder, rules.unit),
                    None => Column::LocalTimestamp(builder, rules.unit),
                }
            }
            DataType::Struct(fields)
                if !fields.is_empty() && fields.iter().all(|field| field.is_nullable()) =>
            {
                Column::Struct(Box::new(StructColumn::new(fields.clone(), rules)))
            }
            DataType::List(element) => {
                Column::List(Box::new(ListColumn::new(Arc::clone(element), rules)))
            }
            DataType::Map(entries, sorted) => {
                match MapColumn::new(Arc::clone(entries), *sorted, rules) {
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
            self.append_null();
            return true;
        }
        match self {
            Column::Boolean(b) => boolean(json, at).map(|v| b.append_value(v)),
            Column::Byte(b) => integer::<Int8Type>(json, at).map(|v| b.append_value(v)),
            Column::Short(b) => integer::<Int16Type>(json, at).map(|v| b.append_value(v)),
            Column::Integer(b) => integer::<Int32Type>(json, at).map(|v| b.append_value(v)),
            Column::Long(b) => integer::<Int64Type>(json, at).map(|v| b.append_value(v)),
            Column::Float(b) => num(json, at, number::float).map(|v| b.append_value(v)),
            Column::Double(b) => num(json, at, number::double).map(|v| b.append_value(v)),
            Column::Decimal(b, p, s) => {
                num(json, at, |text, _| number::decimal(text, *p, *s)).map(|v| b.append_value(v))
            }
            Column::Text(b) => json.string(at).map(|v| b.append_value(v)),
            Column::Json(b) => {
                b.append_value(json.text(at));
                Some(())
            }
            Column::Binary(b) => binary(json, at).map(|v| b.append_value(v)),
            Column::Date(b, rules) => date(json, at, *rules).map(|v| b.append_value(v)),
            Column::Timestamp(b, unit) => {
                timestamp(json, at, *unit, time::instant).map(|v| b.append_value(v))
            }
            Column::LocalTimestamp(b, unit) => {
                timestamp(json, at, *unit, time::local).map(|v| b.append_value(v))
            }
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
            Column::Byte(_) => integer::<Int8Type>(json, at).is_some(),
            Column::Short(_) => integer::<Int16Type>(json, at).is_some(),
            Column::Integer(_) => integer::<Int32Type>(json, at).is_some(),
            Column::Long(_) => integer::<Int64Type>(json, at).is_some(),
            Column::Float(_) => num(json, at, number::float).is_some(),
            Column::Double(_) => num(json, at, number::double).is_some(),
            Column::Decimal(_, p, s) => {
                num(json, at, |text, _| number::decimal(text, *p, *s)).is_some()
            }
            Column::Text(_) => matches!(json.kind(at), NodeKind::Plain | NodeKind::Escaped),
            Column::Json(_) => true,
            Column::Binary(_) => binary(json, at).is_some(),
            Column::Date(_, rules) => date(json, at, *rules).is_some(),
            Column::Timestamp(_, unit) => timestamp(json, at, *unit, time::instant).is_some(),
            Column::LocalTimestamp(_, unit) => timestamp(json, at, *unit, time::local).is_some(),
            Column::Struct(_) => json.kind(at) == NodeKind::Object,
            Column::List(column) => column.fits(json, at),
            Column::Map(column) => column.fits(json, at),
            Column::Never(..) => false,
        }
    }

    pub(super) fn append_null(&mut self) {
        match self {
            Column::Boolean(b) => b.append_null(),
            Column::Byte(b) => b.append_null(),
            Column::Short(b) => b.append_null(),
            Column::Integer(b) => b.append_null(),
            Column::Long(b) => b.append_null(),
            Column::Float(b) => b.append_null(),
            Column::Double(b) => b.append_null(),
            Column::Decimal(b, ..) => b.append_null(),
            Column::Text(b) | Column::Json(b) => b.append_null(),
            Column::Binary(b) => b.append_null(),
            Column::Date(b, _) => b.append_null(),
            Column::Timestamp(b, _) | Column::LocalTimestamp(b, _) => b.append_null(),
            Column::Struct(column) => column.append_null(),
            Column::List(column) => column.append_null(),
            Column::Map(column) => column.append_null(),
            Column::Never(_, rows) => *rows += 1,
        }
    }

    /// The array of what was appended; the column starts anew.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, DecodeError> {
        fn shared(array: impl Array + 'static) -> ArrayRef {
            Arc::new(array)
        }
        Ok(match self {
            Column::Boolean(b) => shared(b.finish()),
            Column::Byte(b) => shared(b.finish()),
            Column::Short(b) => shared(b.finish()),
            Column::Integer(b) => shared(b.finish()),
            Column::Long(b) => shared(b.finish()),
            Column::Float(b) => shared(b.finish()),
            Column::Double(b) => shared(b.finish()),
            Column::Decimal(b, ..) => shared(b.finish()),
            Column::Text(b) | Column::Json(b) => shared(b.finish()),
            Column::Binary(b) => shared(b.finish()),
            Column::Date(b, _) => shared(b.finish()),
            Column::Timestamp(b, _) | Column::LocalTimestamp(b, _) => shared(b.finish()),
            Column::Struct(column) => shared(column.finish()?),
            Column::List(column) => shared(column.finish()?),
            Column::Map(column) => shared(column.finish()?),
            Column::Never(data_type, rows) => new_null_array(data_type, std::mem::take(rows)),
        })
    }
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

fn integer<T: ArrowPrimitiveType>(json: Json<'_>, at: u32) -> Option<T::Native>
where
    T::Native: TryFrom<i64>,
{
    T::Native::try_from(num(json, at, |text, _| number::long(text))?).ok()
}

/// Base64 of either alphabet, padded or not.
fn binary(json: Json<'_>, at: u32) -> Option<Vec<u8>> {
    let text = json.string(at)?;
    BASE64_STANDARD
        .decode(text.as_bytes())
        .or_else(|_| BASE64_URL_SAFE.decode(text.as_bytes()))
        .ok()
}

fn timestamp(
    json: Json<'_>,
    at: u32,
    unit: TimestampUnit,
    read: fn(&str) -> Option<i64>,
) -> Option<i64> {
    match json.string(at) {
        Some(text) => read(&text),
        None => num(json, at, |text, _| unit.micros(text)),
    }
}

fn date(json: Json<'_>, at: u32, rules: ColumnRules) -> Option<i32> {
    let text = json.string(at);
    if let Some(date) = text.as_deref().and_then(time::date) {
        return Some(date);
    }
    if !rules.date_of_time {
        return None;
    }
    let micros = match text {
        Some(text) => time::instant(&text).or_else(|| time::local(&text)),
        None => num(json, at, |text, _| rules.unit.micros(text)),
    };
    i32::try_from(micros?.div_euclid(MICROS_PER_DAY)).ok()
}
