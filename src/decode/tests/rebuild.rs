//! Rows read back as JSON, and held against the events that they were made of. The fuzz target `decode` includes this
//! file too, so it names nothing but the crate's own paths.

use crate::schema::{is_sibling_name, names};
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Fields, Float32Type, Float64Type, Int8Type,
        Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    },
};
use base64::Engine as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use std::{collections::HashSet, fmt};

/// Mark values that read back in another form than events have: decimals as text, floats, which only print as the
/// event's number does, and dates in days.
const DECIMAL: &str = "$decimal";
const FLOAT: &str = "$float";
const DATE: &str = "$date";

/// The rows as JSON objects, nulls left out, `_rescued_data` parsed.
pub(crate) fn rows(batch: &RecordBatch) -> Vec<Map<String, Value>> {
    (0..batch.num_rows()).map(|at| row(batch, at)).collect()
}

/// One of them. `serde_json` must be able to read its event: it reads no number beyond a double.
pub(crate) fn row(batch: &RecordBatch, at: usize) -> Map<String, Value> {
    let mut object = Map::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let mut value = read(column, at);
        if field.name() == "_rescued_data"
            && let Value::String(text) = &value
        {
            let parsed: Map<String, Value> = serde_json::from_str(text).unwrap();
            assert_no_doubled_key(text);
            value = Value::Object(parsed);
        }
        if !value.is_null() {
            object.insert(field.name().clone(), value);
        }
    }
    object
}

/// A value of an array as JSON: times in microseconds, dates in days, decimals and bytes as text.
pub(crate) fn read(array: &ArrayRef, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).into(),
        DataType::Decimal128(..) => array
            .as_primitive::<Decimal128Type>()
            .value_as_string(row)
            .into(),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Binary => base64::engine::general_purpose::STANDARD
            .encode(array.as_binary::<i32>().value(row))
            .into(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).into(),
        DataType::Timestamp(..) => array
            .as_primitive::<TimestampMicrosecondType>()
            .value(row)
            .into(),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let object: Map<String, Value> = fields
                .iter()
                .zip(columns)
                .map(|(field, column)| (field.name().clone(), read(column, row)))
                .filter(|(_, value)| !value.is_null())
                .collect();
            Value::Object(object)
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            (0..elements.len()).map(|i| read(&elements, i)).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let object: Map<String, Value> = (0..entries.len())
                .map(|i| {
                    let key = entries.column(0).as_string::<i32>().value(i).to_string();
                    (key, read(entries.column(1), i))
                })
                .collect();
            assert_eq!(object.len(), entries.len(), "a doubled key in a map");
            Value::Object(object)
        }
        other => panic!("{other}"),
    }
}

/// Nulls within objects say nothing.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(elements) => elements.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn same(event: &Value, got: &Value) -> bool {
    match (event, got) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            // A double of a 64-bit integer must be that very integer.
            (Some(a), None) => b.as_f64().is_some_and(|b| b as i128 == i128::from(a)),
            _ => a.as_f64() == b.as_f64(),
        },
        (Value::Number(a), Value::Object(marked)) => {
            let text = marked.get(DECIMAL).and_then(Value::as_str);
            let float = marked.get(FLOAT).and_then(Value::as_f64);
            match (text, float, a.as_i64()) {
                (Some(text), _, Some(a)) => {
                    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
                    whole.parse() == Ok(a) && places.bytes().all(|digit| digit == b'0')
                }
                (Some(text), _, None) => text.parse().ok() == a.as_f64(),
                (None, Some(float), _) => {
                    Some(float) == a.as_f64()
                        || (float as f32).to_string().parse().ok() == a.as_f64()
                }
                _ => false,
            }
        }
        (Value::String(a), Value::Object(marked)) => {
            let day = chrono::NaiveDate::parse_from_str(a, "%Y-%m-%d").ok();
            let days = day.map(|day| day.signed_duration_since(chrono::NaiveDate::default()));
            let got = marked.get(DATE).and_then(Value::as_i64);
            got.is_some() && days.map(|days| days.num_days()) == got
        }
        (Value::String(a), Value::Number(b)) => {
            chrono::DateTime::parse_from_rfc3339(a)
                .map(|t| t.timestamp_micros())
                .ok()
                == b.as_i64()
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A row's columns under the names that the event has, siblings under their field's.
fn renamed(fields: &Fields, row: &Value, event: &Value) -> Value {
    let mut out = Map::new();
    for field in fields {
        let Some(value) = row.get(field.name()) else {
            continue;
        };
        let own = names::event_field(field);
        let sibling = is_sibling_name(field.name(), |base| fields.iter().any(|f| f.name() == base));
        let key = match sibling && event.get(own).is_none() {
            true => {
                let base = field.name().rsplit_once("__").unwrap().0;
                names::event_field(fields.iter().find(|f| f.name() == base).unwrap())
            }
            false => own,
        };
        let inner = event.get(key).unwrap_or(&Value::Null);
        let previous = out.insert(
            key.to_string(),
            renamed_value(field.data_type(), value, inner),
        );
        assert!(previous.is_none(), "{key} stands twice in {row}");
    }
    Value::Object(out)
}

fn renamed_value(data_type: &DataType, value: &Value, event: &Value) -> Value {
    match (data_type, value) {
        (_, Value::Null) => Value::Null,
        (DataType::Struct(fields), Value::Object(_)) => renamed(fields, value, event),
        (DataType::List(element), Value::Array(elements)) => elements
            .iter()
            .enumerate()
            .map(|(i, v)| renamed_value(element.data_type(), v, &event[i]))
            .collect(),
        (DataType::Map(entries, _), Value::Object(members)) => {
            let DataType::Struct(pair) = entries.data_type() else {
                panic!()
            };
            members
                .iter()
                .map(|(k, v)| (k.clone(), renamed_value(pair[1].data_type(), v, &event[k])))
                .collect()
        }
        (DataType::Decimal128(..), _) => json!({ DECIMAL: value }),
        (DataType::Float32, _) => json!({ FLOAT: value }),
        (DataType::Date32, _) => json!({ DATE: value }),
        _ => value.clone(),
    }
}

/// The steps of a key of `_rescued_data`.
fn steps(key: &str) -> Vec<Result<String, usize>> {
    let mut out = Vec::new();
    let mut rest = key;
    while !rest.is_empty() {
        if let Some(index) = rest.strip_prefix('[') {
            let (digits, after) = index.split_once(']').unwrap();
            out.push(Err(digits.parse().unwrap()));
            rest = after;
            continue;
        }
        rest = if out.is_empty() {
            rest
        } else {
            rest.strip_prefix('.').unwrap()
        };
        if let Some(quoted) = rest.strip_prefix('`') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            loop {
                let (i, c) = chars.next().unwrap();
                if c != '`' {
                    name.push(c);
                } else if chars.peek().is_some_and(|(_, c)| *c == '`') {
                    chars.next();
                    name.push('`');
                } else {
                    rest = &quoted[i + 1..];
                    break;
                }
            }
            out.push(Ok(name));
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            out.push(Ok(rest[..end].to_string()));
            rest = &rest[end..];
        }
    }
    out
}

/// Puts a rescued value back; nothing may stand there.
fn put(into: &mut Value, steps: &[Result<String, usize>], value: Value) {
    let (step, rest) = steps.split_first().expect("a place");
    let slot = match (step, into) {
        (Ok(name), Value::Object(members)) => members.entry(name.clone()).or_insert(Value::Null),
        (Err(i), Value::Array(elements)) => &mut elements[*i],
        (step, into) => panic!("{step:?} of {into}"),
    };
    if rest.is_empty() {
        assert!(slot.is_null(), "{step:?} stands twice");
        *slot = value;
    } else {
        put(slot, rest, value);
    }
}

fn assert_no_doubled_key(text: &str) {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = ();

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut keys = HashSet::new();
            while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                assert!(keys.insert(key.clone()), "`{key}` is doubled");
            }
            Ok(())
        }
    }
    let mut text = serde_json::Deserializer::from_str(text);
    serde::Deserializer::deserialize_map(&mut text, Keys).unwrap();
}

/// Holds a row of these columns against its event, as `serde_json` reads it: whatever the event has is in a column or
/// in `_rescued_data`, once. `texts`: columns of JSON text.
pub(crate) fn assert_says(
    columns: &Fields,
    texts: &[&str],
    mut row: Map<String, Value>,
    event: &Value,
) {
    let rescued = row.remove("_rescued_data").unwrap_or_else(|| json!({}));
    if let Value::String(whole) = &rescued["_record"]
        && event.get("_record").is_none()
    {
        assert!(row.is_empty(), "{row:?} beside {whole}");
        assert_eq!(
            serde_json::from_str::<Value>(whole).ok().as_ref(),
            Some(event)
        );
        return;
    }
    for (name, value) in &mut row {
        if let (Value::String(text), true) = (&*value, texts.contains(&name.as_str())) {
            *value = serde_json::from_str(text).unwrap();
        }
    }
    let mut rebuilt = renamed(columns, &Value::Object(row), event);
    for (key, value) in rescued.as_object().unwrap() {
        put(&mut rebuilt, &steps(key), value.clone());
    }
    let (event, rebuilt) = (without_nulls(event.clone()), without_nulls(rebuilt));
    assert!(
        same(&event, &rebuilt),
        "event {event}\n got  {rebuilt}\n columns {columns:?}"
    );
}
