//! Values for the markers `:name` of a statement.

use super::{Error, Kind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The value of one marker.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// The marker without its colon.
    pub name: String,
    /// Without it NULL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// As SQL writes it, `DECIMAL(10,2)`; by default `STRING`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Shows no value.
impl fmt::Debug for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            ":{} {}",
            self.name,
            self.kind.as_deref().unwrap_or("STRING")
        )
    }
}

impl Parameter {
    /// A string.
    pub fn text(name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            kind: None,
        }
    }

    /// A value of this type, `None` for NULL.
    pub fn typed(name: &str, kind: &str, value: Option<&str>) -> Self {
        Self {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            kind: Some(kind.to_owned()),
        }
    }

    /// `NAME=VALUE`, or `NAME:TYPE=VALUE`, as a command line gives it; `NAME:TYPE` alone is a NULL.
    pub fn parse(text: &str) -> Result<Self> {
        let (head, value) = match text.split_once('=') {
            Some((head, value)) => (head, Some(value)),
            None => (text, None),
        };
        let (name, kind) = match head.split_once(':') {
            Some((name, kind)) => (name, Some(kind)),
            None => (head, None),
        };
        if value.is_none() && kind.is_none() {
            return Err(invalid(
                "write NAME=VALUE, NAME:TYPE=VALUE, or NAME:TYPE for NULL".into(),
            ));
        }
        let parameter = Self {
            name: name.trim().to_owned(),
            value: value.map(str::to_owned),
            kind: kind.map(|kind| kind.trim().to_owned()),
        };
        parameter.check()?;
        Ok(parameter)
    }

    /// A JSON array of objects with `name`, `value` and, if it is no string, `type`. Numbers and booleans are values too.
    ///
    /// Errors tell line and column of what is no JSON, and hold no value.
    pub fn parse_list(json: &str) -> Result<Vec<Self>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            name: String,
            #[serde(default)]
            value: Value,
            #[serde(rename = "type", default)]
            kind: Option<String>,
        }
        let given: Vec<Given> = serde_json::from_str(json).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => {
                    "an entry is not {\"name\": …, \"value\": …, \"type\": …}"
                }
                serde_json::error::Category::Eof => {
                    "it ends too early, a bracket or quote is not closed"
                }
                _ => "it is no JSON",
            };
            invalid(format!(
                "{what}, line=`{}` column=`{}`",
                error.line(),
                error.column()
            ))
        })?;
        let of = |given: Given| {
            let value = match given.value {
                Value::Null => None,
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                Value::Bool(value) => Some(value.to_string()),
                Value::Array(_) | Value::Object(_) => {
                    return Err(invalid(format!(
                        "a value is a string, number, boolean or null; write a list as text and parse it in SQL, name=`{}`",
                        given.name
                    )));
                }
            };
            Ok(Self {
                name: given.name,
                value,
                kind: given.kind,
            })
        };
        let parameters: Vec<Self> = given.into_iter().map(of).collect::<Result<_>>()?;
        check(&parameters)?;
        Ok(parameters)
    }

    fn check(&self) -> Result<()> {
        let name = &self.name;
        let mut characters = name.chars();
        let begins = characters
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_');
        if !begins || !characters.all(|c| c.is_alphanumeric() || c == '_') {
            return Err(invalid(format!(
                "a parameter's name is that of its marker `:name`, letters, digits and `_`, name=`{name}`"
            )));
        }
        let kind = self
            .kind
            .as_deref()
            .map(|kind| kind.trim().to_ascii_uppercase());
        match kind.as_deref() {
            Some("") => Err(invalid(format!("the type is empty, name=`{name}`"))),
            Some(kind)
                if ["ARRAY", "MAP", "STRUCT"]
                    .iter()
                    .any(|complex| kind.starts_with(complex)) =>
            {
                Err(invalid(format!(
                    "parameters are of no complex type; give a STRING and parse it by from_json, name=`{name}` type=`{kind}`"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Each by itself, and no name twice.
pub(super) fn check(parameters: &[Parameter]) -> Result<()> {
    for (n, parameter) in parameters.iter().enumerate() {
        parameter.check()?;
        if parameters[..n]
            .iter()
            .any(|other| other.name == parameter.name)
        {
            return Err(invalid(format!(
                "a parameter is given twice, name=`{}`",
                parameter.name
            )));
        }
    }
    Ok(())
}

fn invalid(what: String) -> Error {
    Error::told(
        Kind::InvalidParameter,
        format!("not parameters of a statement: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_a_broken_one_is_told_by_its_place() {
        let given = r#"[{"name": "my_name", "value": "the name"}, {"name": "n", "value": 7, "type": "INT"}, {"name": "none"}]"#;
        let read = Parameter::parse_list(given).unwrap();
        let expected = [
            Parameter::text("my_name", "the name"),
            Parameter::typed("n", "INT", Some("7")),
            Parameter {
                name: "none".into(),
                value: None,
                kind: None,
            },
        ];
        assert_eq!(read, expected);
        // The sample of the connector's page, which has lost its bracket.
        let error =
            Parameter::parse_list(r#"[{ "name": "my_name", "value": "the name" }"#).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("line=`1` column=`43`") && !text.contains("the name"),
            "{text}"
        );
        for wrong in [
            r#"{"name": "a"}"#,
            r#"[{"name": "a", "value": [1]}]"#,
            r#"[{"name": "a b", "value": "x"}]"#,
            r#"[{"name": "a", "value": "x"}, {"name": "a", "value": "y"}]"#,
            r#"[{"name": "a", "type": "ARRAY<INT>"}]"#,
            r#"[{"name": "a", "wert": "x"}]"#,
            r#"[{"value": "x"}]"#,
        ] {
            let error = Parameter::parse_list(wrong).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidParameter, "{wrong}");
        }
    }

    #[test]
    fn a_command_lines_form_is_read() {
        let of = |text: &str| Parameter::parse(text).unwrap();
        assert_eq!(of("a=b=c"), Parameter::text("a", "b=c"));
        assert_eq!(of("a="), Parameter::text("a", ""));
        assert_eq!(
            of("n:DECIMAL(10,2)=1.5"),
            Parameter::typed("n", "DECIMAL(10,2)", Some("1.5"))
        );
        assert_eq!(of("n:INT"), Parameter::typed("n", "INT", None));
        for wrong in ["a", "=b", "1a=b", "a:=b", "a:MAP<INT,INT>=b"] {
            assert!(Parameter::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(format!("{:?}", of("a=planted")), ":a STRING");
    }
}
