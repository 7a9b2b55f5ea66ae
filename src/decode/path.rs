//! Where in an event a value stands, as a chain on the stack: it costs nothing until it is needed.

use std::{fmt::Write, sync::Arc};

/// The last step to a value.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// A field of an object, and the column it feeds.
    Field { event: &'a str, column: &'a str },
    /// An element of a list.
    Index(usize),
    /// A value of a map.
    Key(&'a str),
}

/// A value's place; `None` is the event itself.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    pub(super) parent: Option<&'a Path<'a>>,
    pub(super) step: Step<'a>,
}

/// The longest path by which rescued values are counted, in characters.
const MAX_COUNTED: usize = 200;

impl Path<'_> {
    /// The key in `_rescued_data`: `a.b[3].c`. A name that is empty or holds one of `` .[]` ``
    /// stands between backticks, a backtick in it doubled, so that no two places share a key.
    pub(super) fn key(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, true);
        out
    }

    /// The path by which rescued values are counted: `a.b[].c`, map keys as `{}`.
    pub(super) fn counted(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, false);
        if out.len() > MAX_COUNTED {
            out = out.chars().take(MAX_COUNTED).chain(['…']).collect();
        }
        out
    }

    fn write(&self, out: &mut String, exact: bool) {
        if let Some(parent) = self.parent {
            parent.write(out, exact);
        }
        let name = match self.step {
            Step::Field { event, .. } => event,
            Step::Key(key) if exact => key,
            Step::Key(_) => return out.push_str("{}"),
            Step::Index(i) => {
                // Writing to a string cannot fail.
                let _ = match exact {
                    true => write!(out, "[{i}]"),
                    false => out.write_str("[]"),
                };
                return;
            }
        };
        if self.parent.is_some() {
            out.push('.');
        }
        push_name(name, out);
    }

    /// The path of logical column names, as a schema change spells it.
    pub(super) fn columns(&self) -> Vec<String> {
        let mut path = self.parent.map(Path::columns).unwrap_or_default();
        path.push(match self.step {
            Step::Field { column, .. } => column.to_string(),
            Step::Index(_) => "element".to_string(),
            Step::Key(_) => "value".to_string(),
        });
        path
    }
}

/// A step to a column.
#[derive(Clone)]
pub(super) enum PlaceStep {
    /// A field, by its name in events, and its column.
    Field { event: Arc<str>, column: Arc<str> },
    /// The elements of a list.
    Element,
    /// The values of a map.
    Value,
}

/// Where a column's values stand, the same in every event.
#[derive(Clone, Default)]
pub(super) struct Place(Vec<PlaceStep>);

/// Which element of a list, which value of a map.
#[derive(Clone)]
pub(super) enum Within {
    Index(usize),
    Key(Arc<str>),
}

impl Place {
    pub(super) fn then(&self, step: PlaceStep) -> Place {
        let mut steps = self.0.clone();
        steps.push(step);
        Place(steps)
    }

    pub(super) fn field(&self, event: &str, column: &str) -> Place {
        self.then(PlaceStep::Field {
            event: Arc::from(event),
            column: Arc::from(column),
        })
    }

    /// How many objects and lists stand around a value here.
    pub(super) fn depth(&self) -> u32 {
        self.0.len() as u32
    }

    /// Whether it lies in no list and no map.
    pub(super) fn is_fixed(&self) -> bool {
        self.0
            .iter()
            .all(|step| matches!(step, PlaceStep::Field { .. }))
    }

    /// Reads the path to one value here. `within`: the innermost first, one for each list and map on
    /// the way; where there are fewer, the first element or an empty key stands for it.
    pub(super) fn with_path<R>(
        &self,
        within: &[Within],
        read: impl FnOnce(&Path<'_>) -> R,
    ) -> Option<R> {
        fn walk<R>(
            steps: &[PlaceStep],
            within: &[Within],
            parent: Option<&Path<'_>>,
            read: impl FnOnce(&Path<'_>) -> R,
        ) -> Option<R> {
            let Some((first, rest)) = steps.split_first() else {
                return parent.map(read);
            };
            let (outermost, inner) = match within.split_last() {
                Some((outermost, inner)) => (Some(outermost), inner),
                None => (None, within),
            };
            let (step, within) = match (first, outermost) {
                (PlaceStep::Field { event, column }, _) => (Step::Field { event, column }, within),
                (PlaceStep::Element, Some(Within::Index(i))) => (Step::Index(*i), inner),
                (PlaceStep::Element, _) => (Step::Index(0), inner),
                (PlaceStep::Value, Some(Within::Key(key))) => (Step::Key(key), inner),
                (PlaceStep::Value, _) => (Step::Key(""), inner),
            };
            walk_on(rest, within, Path { parent, step }, read)
        }
        // Apart, so that the path lives on the stack of its own call.
        fn walk_on<R>(
            steps: &[PlaceStep],
            within: &[Within],
            here: Path<'_>,
            read: impl FnOnce(&Path<'_>) -> R,
        ) -> Option<R> {
            walk(steps, within, Some(&here), read)
        }
        walk(&self.0, within, None, read)
    }
}

fn push_name(name: &str, out: &mut String) {
    if name.is_empty() || name.contains(['.', '[', ']', '`']) {
        out.push('`');
        out.push_str(&name.replace('`', "``"));
        out.push('`');
    } else {
        out.push_str(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_share_a_key() {
        let field = |event| Step::Field { event, column: "c" };
        let a = Path {
            parent: None,
            step: field("a"),
        };
        let element = Path {
            parent: Some(&a),
            step: Step::Index(3),
        };
        let b = Path {
            parent: Some(&element),
            step: field("b.`c"),
        };
        let key = Path {
            parent: Some(&b),
            step: Step::Key(""),
        };
        assert_eq!(key.key(), "a[3].`b.``c`.``");
        assert_eq!(key.counted(), "a[].`b.``c`{}");
        assert_eq!(key.columns(), ["c", "element", "c", "value"]);
    }
}
