//! `events_{type}`: the name of a table from a record.

use super::{RouteError, clean};

/// A parsed template. `{{` and `}}` stand for braces, which no table name keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(super) parts: Vec<Part>,
    /// Paths of the fields that the template takes, each once.
    pub(super) fields: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Topic,
    /// The table that the record names itself.
    Table,
    /// Index into [`Template::fields`].
    Field(usize),
}

impl Template {
    /// `origin` is the configuration's name of the source, for messages.
    pub fn parse(origin: &str, template: &str) -> Result<Self, RouteError> {
        let error = |at, problem| RouteError::Template {
            origin: origin.to_owned(),
            template: template.to_owned(),
            at,
            problem,
        };
        let mut parsed = Self {
            parts: Vec::new(),
            fields: Vec::new(),
        };
        let mut text = String::new();
        let mut rest = template;
        while let Some(c) = rest.chars().next() {
            let at = template.len() - rest.len();
            if rest.starts_with("{{") || rest.starts_with("}}") {
                text.push(c);
                rest = &rest[2..];
            } else if c == '{' {
                let Some(end) = rest.find('}') else {
                    return Err(error(at, "a `{` is not closed; write `{{` for a brace"));
                };
                let name = &rest[1..end];
                if name.contains('{') {
                    return Err(error(
                        at,
                        "a `{` stands within a placeholder; close the first with `}`",
                    ));
                }
                if name.split('.').any(|step| step.trim().is_empty()) {
                    return Err(error(
                        at,
                        "a placeholder needs a name, as in `{topic}`, `{table}`, `{type}` or `{context.app}`",
                    ));
                }
                if !text.is_empty() {
                    parsed.parts.push(Part::Text(std::mem::take(&mut text)));
                }
                let part = parsed.placeholder(name);
                parsed.parts.push(part);
                rest = &rest[end + 1..];
            } else if c == '}' {
                return Err(error(
                    at,
                    "a `}` has no `{` before it; write `}}` for a brace",
                ));
            } else {
                text.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
        if !text.is_empty() {
            parsed.parts.push(Part::Text(text));
        }
        if parsed.parts.is_empty() {
            return Err(error(
                0,
                "the template is empty; name a table, as in `{topic}`",
            ));
        }
        if let [Part::Text(fixed)] = parsed.parts.as_slice() {
            clean(fixed).map_err(|problem| RouteError::Name {
                origin: origin.to_owned(),
                template: template.to_owned(),
                problem,
            })?;
        }
        Ok(parsed)
    }

    fn placeholder(&mut self, name: &str) -> Part {
        match name {
            "topic" => Part::Topic,
            "table" => Part::Table,
            path => {
                let path: Vec<String> = path.split('.').map(|s| s.trim().to_owned()).collect();
                let known = self.fields.iter().position(|f| *f == path);
                Part::Field(known.unwrap_or_else(|| {
                    self.fields.push(path);
                    self.fields.len() - 1
                }))
            }
        }
    }

    /// Whether all records of one topic get the same name.
    pub(super) fn is_by_topic(&self) -> bool {
        self.parts
            .iter()
            .all(|part| matches!(part, Part::Text(_) | Part::Topic))
    }
}
