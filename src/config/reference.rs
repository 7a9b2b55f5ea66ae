//! docs/configuration.md, from the option types' own words.

use super::shape::{Form, Shape};
use serde_json::Value;
use std::fmt::Write;

const INTRODUCTION: &str = r#"# Configuration

<!-- Made from the doc comments of the option types by `UPDATE_DOCS=1 cargo test --lib config::`; do not edit. -->

Alluvium runs without a configuration file: `alluvium serve` then takes HTTP events on 127.0.0.1:8080 and lands them
below `./lake`. With `--config FILE` it reads TOML, and only the sources of that file exist. Unknown keys, wrong types and
values that contradict each other are refused, all at once, each with its key path and line; `alluvium check` and
`alluvium config show` do so without starting anything. Commented examples are in [`config/`](../config/), and
`alluvium config schema` prints a JSON Schema for editors.

## Where a value comes from

Flags win over environment variables, these over the file, the file over the defaults below. `alluvium config show`
prints every value with where it came from, secrets redacted.

**Flags**: `--lake` sets `lake.url`; `--listen` sets `listen` of the one source of type `http`.

**Environment**: `ALLUVIUM_` and the key path in upper case, `__` for each dot. In `[lake]`, `[spool]`, `[dead_letters]`,
`[admin]` and `[table_defaults]` one `_` will do for the dot.

| variable | key |
|---|---|
| `ALLUVIUM_PIPELINE=orders` | `pipeline` |
| `ALLUVIUM_LAKE_URL=/var/lib/lake` | `lake.url` |
| `ALLUVIUM_SOURCES__WEB__LISTEN=0.0.0.0:8080` | `sources.web.listen` |
| `ALLUVIUM_SOURCES__CLICKS__TOPICS=["a", "b"]` | `sources.clicks.topics` |
| `ALLUVIUM_SOURCES__CLICKS__PROPERTIES__SASL_PASSWORD=…` | `sources.clicks.properties."sasl.password"` |
| `ALLUVIUM_STORES__RAW__CREDENTIALS__TYPE=profile` | `stores.raw.credentials.type` |

Strings are taken as they are, everything else is written as in TOML. A name of yours (a source's, a table's) stands for
the one in the file that is the same but for case and punctuation, else for the name in lower case; in `properties` an `_`
stands for a dot, in `headers` for a `-`. A variable that names no key is refused, but for `ALLUVIUM_CONFIG`, `ALLUVIUM_LOG` and
`ALLUVIUM_LOG_FORMAT` (of the command line) and those that Kubernetes sets for a Service named `alluvium`.

**References**: `${NAME}` in any string of the file is the environment variable NAME, `${NAME:-text}` with a default for one
that is not set or empty; `$${` is a plain `${`. Where a secret is wanted, and in librdkafka `properties`, `file:PATH` is the
content of that file without the line ends at its end. Secrets of `[stores]` and `[connections]` are read from their files
whenever they are needed, so they may change while Alluvium runs.
"#;

/// The whole reference, Markdown.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    section(&mut out, "", "Top level", Shape::root(), &[]);
    out
}

/// One table of keys, then what lies below it.
///
/// `above`: the tables this one lies in, as credentials may lie in credentials.
fn section(out: &mut String, path: &str, title: &str, shape: Shape, above: &[Shape]) {
    let above = &[above, &[shape]].concat();
    let (keys, required) = match shape.form() {
        Form::Keys {
            properties,
            required,
        } => (properties.keys().collect::<Vec<_>>(), required),
        Form::Tagged(kinds) => {
            for (kind, shape) in kinds {
                section(
                    out,
                    path,
                    &format!("`[{path}]` with `type = \"{kind}\"`"),
                    shape,
                    above,
                );
            }
            return;
        }
        _ => return,
    };
    let _ = write!(out, "\n## {title}\n\n");
    let description = shape.description();
    // A kind of source says in its words what the title says.
    let is_source = path.starts_with("sources.") && title.contains("type =");
    if !description.is_empty() && !path.is_empty() && !is_source {
        let _ = write!(out, "{}\n\n", one_line(description));
    }
    let mut below = Vec::new();
    let mut rows = String::new();
    for key in keys {
        let Some(shape) = shape.key(key) else {
            continue;
        };
        let at = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match shape.form() {
            Form::Tagged(_) if above.iter().any(|one| one.is(shape)) => {}
            Form::Keys { .. } | Form::Tagged(_) => {
                below.push((at.clone(), format!("`[{at}]`"), shape));
            }
            Form::Named(values) if matches!(values.form(), Form::Keys { .. } | Form::Tagged(_)) => {
                let at = format!("{at}.NAME");
                below.push((at.clone(), format!("`[{at}]`"), values));
            }
            Form::Array(items) if matches!(items.form(), Form::Keys { .. }) => {
                below.push((at.clone(), format!("`[[{at}]]`"), items));
            }
            _ => {}
        }
        let _ = writeln!(
            rows,
            "| `{key}` | {} | {} | {} |",
            type_name(shape),
            if required.contains(&key.as_str()) {
                "required".into()
            } else {
                default(shape)
            },
            meaning(shape)
        );
    }
    out.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    out.push_str(&rows);
    for (path, title, shape) in below {
        section(out, &path, &title, shape, above);
    }
}

fn type_name(shape: Shape) -> String {
    match shape.form() {
        Form::Keys { .. } | Form::Tagged(_) => "table".into(),
        Form::Named(values) => match values.form() {
            Form::Keys { .. } | Form::Tagged(_) => "tables by name".into(),
            _ => format!("table of {}", type_name(values)),
        },
        Form::Array(items) => format!("list of {}", type_name(items)),
        Form::Words(words) => words
            .iter()
            .map(|word| format!("`\"{word}\"`"))
            .collect::<Vec<_>>()
            .join(", "),
        Form::Secret | Form::LiveSecret => "secret".into(),
        Form::Text => "string".into(),
        Form::Scalar => "string, number or boolean".into(),
        Form::Integer => "integer".into(),
        Form::Number => "number".into(),
        Form::Boolean => "boolean".into(),
    }
}

fn default(shape: Shape) -> String {
    match (shape.form(), shape.default()) {
        (Form::Tagged(_), Some(default)) => {
            return match default.get("type") {
                Some(kind) => format!("`type = {kind}`"),
                None => String::new(),
            };
        }
        (Form::Keys { .. } | Form::Named(_) | Form::Tagged(_), _) => return String::new(),
        _ => {}
    }
    match shape.default() {
        Some(Value::String(text)) if text.is_empty() => String::new(),
        Some(value) => format!("`{value}`"),
        None => String::new(),
    }
}

fn meaning(shape: Shape) -> String {
    let mut text = one_line(shape.description());
    for (word, meaning) in shape.word_meanings() {
        let _ = write!(text, " `{word}`: {}", one_line(meaning));
    }
    text.replace('|', "\\|")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
