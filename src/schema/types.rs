//! Delta's SQL spelling of types, and the Arrow types that carry them.
//!
//! The Arrow side is what delta_kernel's `arrow_conversion` makes: timestamps in microseconds,
//! UTC or none; list elements named `element`, map entries `key_value` of `key` and `value`.

use super::{ColumnType, SchemaError};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use std::sync::Arc;

/// The deepest nesting a declared type may have.
const MAX_TYPE_DEPTH: usize = 64;

impl ColumnType {
    /// The Arrow type. `json` is a string column.
    ///
    /// Errors name the character at which the spelling goes wrong.
    pub fn to_arrow(&self) -> Result<DataType, SchemaError> {
        let mut parser = Parser {
            text: &self.0,
            at: 0,
        };
        let data_type = parser.data_type(0)?;
        parser.spaces();
        if parser.at < self.0.len() {
            return Err(parser.error(parser.at, "unexpected text after the type"));
        }
        Ok(data_type)
    }

    /// Whether the column keeps any value as its JSON text.
    pub fn is_json(&self) -> bool {
        self.0.trim().eq_ignore_ascii_case("json")
    }
}

/// Arrow's `Timestamp(Microsecond, "UTC")`, Delta's `timestamp`.
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The element field of a list, as the kernel names it.
pub fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}

/// A map with nullable values, as the kernel names its entries.
pub fn map_of(key: DataType, value: DataType) -> DataType {
    let entries: Fields = vec![
        Field::new("key", key, false),
        Field::new("value", value, true),
    ]
    .into();
    DataType::Map(
        Arc::new(Field::new("key_value", DataType::Struct(entries), false)),
        false,
    )
}

/// Delta's SQL spelling of an Arrow type, as `CREATE TABLE` takes it.
pub fn to_sql(data_type: &DataType) -> Result<String, SchemaError> {
    Ok(match data_type {
        DataType::Boolean => "boolean".into(),
        DataType::Int8 => "byte".into(),
        DataType::Int16 => "short".into(),
        DataType::Int32 => "integer".into(),
        DataType::Int64 => "long".into(),
        DataType::Float32 => "float".into(),
        DataType::Float64 => "double".into(),
        DataType::Decimal128(p, s) if *s >= 0 => format!("decimal({p},{s})"),
        DataType::Utf8 => "string".into(),
        DataType::Binary => "binary".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "timestamp".into(),
        DataType::Timestamp(TimeUnit::Microsecond, None) => "timestamp_ntz".into(),
        DataType::Null => "void".into(),
        DataType::List(element) => format!("array<{}>", to_sql(element.data_type())?),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => format!(
                "map<{}, {}>",
                to_sql(fields[0].data_type())?,
                to_sql(fields[1].data_type())?
            ),
            other => return Err(SchemaError::NoDeltaType(other.to_string())),
        },
        DataType::Struct(fields) => {
            let fields: Result<Vec<_>, _> = fields
                .iter()
                .map(|f| Ok(format!("{}: {}", quoted(f.name()), to_sql(f.data_type())?)))
                .collect();
            format!("struct<{}>", fields?.join(", "))
        }
        other => return Err(SchemaError::NoDeltaType(other.to_string())),
    })
}

fn quoted(name: &str) -> String {
    if !name.is_empty() && name.chars().all(is_plain) {
        name.to_string()
    } else {
        format!("`{}`", name.replace('`', "``"))
    }
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | '@')
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn error(&self, at: usize, problem: impl Into<String>) -> SchemaError {
        SchemaError::Type {
            text: self.text.to_string(),
            position: self.text[..at].chars().count() + 1,
            problem: problem.into(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn spaces(&mut self) {
        while let Some(c) = self.peek().filter(|c| c.is_whitespace()) {
            self.at += c.len_utf8();
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), SchemaError> {
        if self.accept(wanted) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(found) => self.error(self.at, format!("expected `{wanted}`, found `{found}`")),
            None => self.error(self.at, format!("expected `{wanted}`, found the end")),
        })
    }

    fn accept(&mut self, wanted: char) -> bool {
        self.spaces();
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn word(&mut self, allowed: fn(char) -> bool) -> (usize, String) {
        self.spaces();
        let start = self.at;
        while let Some(c) = self.peek().filter(|c| allowed(*c)) {
            self.at += c.len_utf8();
        }
        (start, self.text[start..self.at].to_string())
    }

    fn field_name(&mut self) -> Result<String, SchemaError> {
        self.spaces();
        let start = self.at;
        let name = if self.accept('`') {
            let mut name = String::new();
            loop {
                let Some(c) = self.peek() else {
                    return Err(self.error(start, "a quoted name has no closing backtick"));
                };
                self.at += c.len_utf8();
                if c != '`' {
                    name.push(c);
                } else if self.peek() == Some('`') {
                    self.at += 1;
                    name.push('`');
                } else {
                    break;
                }
            }
            name
        } else {
            self.word(is_plain).1
        };
        if super::names::is_valid_column_name(&name) {
            Ok(name)
        } else {
            Err(self.error(start, "expected the name of a field"))
        }
    }

    fn number(&mut self) -> Result<(usize, u8), SchemaError> {
        let (start, digits) = self.word(|c| c.is_ascii_digit());
        match digits.parse() {
            Ok(number) => Ok((start, number)),
            Err(_) => Err(self.error(start, "expected a number from 0 to 38")),
        }
    }

    fn data_type(&mut self, depth: usize) -> Result<DataType, SchemaError> {
        let (start, word) = self.word(|c| c.is_ascii_alphanumeric() || c == '_');
        if depth > MAX_TYPE_DEPTH {
            return Err(self.error(start, format!("nested deeper than {MAX_TYPE_DEPTH}")));
        }
        Ok(match word.to_ascii_lowercase().as_str() {
            "boolean" | "bool" => DataType::Boolean,
            "byte" | "tinyint" => DataType::Int8,
            "short" | "smallint" => DataType::Int16,
            "integer" | "int" => DataType::Int32,
            "long" | "bigint" => DataType::Int64,
            "float" | "real" => DataType::Float32,
            "double" => DataType::Float64,
            "string" => DataType::Utf8,
            "json" if depth == 0 => DataType::Utf8,
            "binary" => DataType::Binary,
            "date" => DataType::Date32,
            "timestamp" => timestamp(),
            "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
            "decimal" => self.decimal()?,
            "array" => {
                self.expect('<')?;
                let element = self.data_type(depth + 1)?;
                self.expect('>')?;
                list_of(element)
            }
            "map" => {
                self.expect('<')?;
                self.spaces();
                let at = self.at;
                let key = self.data_type(depth + 1)?;
                if key != DataType::Utf8 {
                    return Err(self.error(at, "a map's keys must be string"));
                }
                self.expect(',')?;
                let value = self.data_type(depth + 1)?;
                self.expect('>')?;
                map_of(key, value)
            }
            "struct" => self.structure(depth)?,
            "" => return Err(self.error(start, "expected a type")),
            _ => return Err(self.error(start, "no such type")),
        })
    }

    fn decimal(&mut self) -> Result<DataType, SchemaError> {
        if !self.accept('(') {
            return Ok(DataType::Decimal128(10, 0));
        }
        let (at, precision) = self.number()?;
        if !(1..=38).contains(&precision) {
            return Err(self.error(at, "the precision must be 1 to 38"));
        }
        let mut scale = 0;
        if self.accept(',') {
            let (at, number) = self.number()?;
            if number > precision {
                return Err(self.error(at, "the scale must be at most the precision"));
            }
            scale = number;
        }
        self.expect(')')?;
        Ok(DataType::Decimal128(precision, scale as i8))
    }

    fn structure(&mut self, depth: usize) -> Result<DataType, SchemaError> {
        self.expect('<')?;
        let mut fields: Vec<FieldRef> = Vec::new();
        let mut names = std::collections::HashSet::new();
        loop {
            self.spaces();
            let at = self.at;
            let name = self.field_name()?;
            if !names.insert(super::names::fold(&name)) {
                return Err(self.error(at, "the struct has this field already"));
            }
            self.accept(':');
            let data_type = self.data_type(depth + 1)?;
            fields.push(Arc::new(Field::new(name, data_type, true)));
            if !self.accept(',') {
                break;
            }
        }
        self.expect('>')?;
        Ok(DataType::Struct(fields.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use delta_kernel::engine::arrow_conversion::{TryIntoArrow as _, TryIntoKernel as _};

    fn parse(text: &str) -> Result<DataType, SchemaError> {
        ColumnType(text.into()).to_arrow()
    }

    #[test]
    fn every_type_survives_sql_and_the_kernel() {
        for text in [
            "boolean",
            "byte",
            "short",
            "integer",
            "long",
            "float",
            "double",
            "decimal(10,2)",
            "string",
            "binary",
            "date",
            "timestamp",
            "timestamp_ntz",
            "array<long>",
            "map<string, double>",
            "struct<a: long, `b c`: array<struct<x: decimal(38,18)>>>",
        ] {
            if text.contains('`') {
                assert!(parse(text).is_err(), "a name Parquet forbids");
                continue;
            }
            let arrow = parse(text).unwrap();
            assert_eq!(to_sql(&arrow).unwrap(), text);
            let kernel: delta_kernel::schema::DataType = (&arrow).try_into_kernel().unwrap();
            let back: DataType = (&kernel).try_into_arrow().unwrap();
            assert_eq!(back, arrow, "{text}");
        }
    }

    #[test]
    fn other_spellings() {
        assert_eq!(parse(" BIGINT ").unwrap(), DataType::Int64);
        assert_eq!(parse("decimal").unwrap(), DataType::Decimal128(10, 0));
        assert_eq!(parse("json").unwrap(), DataType::Utf8);
        assert_eq!(
            parse("struct<a.b long>").unwrap(),
            parse("struct<`a.b`: long>").unwrap()
        );
    }

    #[test]
    fn errors_show_the_place() {
        for (text, position, part) in [
            ("", 1, "expected a type"),
            ("strng", 1, "no such type"),
            ("array<strng>", 7, "no such type"),
            ("array<string", 13, "found the end"),
            ("long long", 6, "after the type"),
            ("decimal(39,1)", 9, "precision"),
            ("decimal(5,6)", 11, "scale"),
            ("decimal(999)", 9, "number"),
            ("map<long, string>", 5, "keys"),
            ("struct<a long, A string>", 16, "already"),
            ("struct<>", 8, "name"),
            ("struct<größe: nö>", 15, "no such type"),
            ("array<json>", 7, "no such type"),
        ] {
            match parse(text) {
                Err(SchemaError::Type {
                    position: at,
                    problem,
                    ..
                }) => {
                    assert_eq!(at, position, "{text}: {problem}");
                    assert!(problem.contains(part), "{text}: {problem}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(parse(&"array<".repeat(10_000)).is_err());
    }
}
