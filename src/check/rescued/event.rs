//! The values of `_rescued_data` put back into an event.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A place in an event, with what stands there.
enum Node<'a> {
    Value(&'a RawValue),
    Object(BTreeMap<String, Node<'a>>),
    /// The elements that are known, by their places.
    List(BTreeMap<u64, Node<'a>>),
}

/// A step of a key.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    Place(u64),
}

/// The rescued values of one row as an event; `None` where nothing of it is a field.
///
/// Whole events (`_record`) have no column to come and are left out. A list holds the elements alone of which something
/// was rescued, in their order.
pub(super) fn event(rescued: &str) -> Option<String> {
    let values: BTreeMap<String, &RawValue> = serde_json::from_str(rescued).ok()?;
    let mut root = Node::Object(BTreeMap::new());
    for (key, value) in values {
        if key == "_record" || key == "_record_base64" {
            continue;
        }
        if let Some(steps) = steps(&key) {
            put(&mut root, &steps, value);
        }
    }
    let is_empty = matches!(&root, Node::Object(fields) if fields.is_empty());
    (!is_empty).then(|| {
        let mut out = String::new();
        write(&root, &mut out);
        out
    })
}

/// What is in the way stays: a place is an object or a list, not both.
fn put<'a>(level: &mut Node<'a>, steps: &[Step], value: &'a RawValue) {
    let Some((step, rest)) = steps.split_first() else {
        *level = Node::Value(value);
        return;
    };
    let below = || match rest.first() {
        Some(Step::Place(_)) => Node::List(BTreeMap::new()),
        _ => Node::Object(BTreeMap::new()),
    };
    let next = match (level, step) {
        (Node::Object(fields), Step::Name(name)) => {
            fields.entry(name.clone()).or_insert_with(below)
        }
        (Node::List(elements), Step::Place(at)) => elements.entry(*at).or_insert_with(below),
        _ => return,
    };
    if rest.is_empty() || !matches!(next, Node::Value(_)) {
        put(next, rest, value);
    }
}

fn write(node: &Node<'_>, out: &mut String) {
    match node {
        Node::Value(value) => out.push_str(value.get()),
        Node::Object(fields) => {
            out.push('{');
            for (i, (name, node)) in fields.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::Value::from(name.as_str()).to_string());
                out.push(':');
                write(node, out);
            }
            out.push('}');
        }
        Node::List(elements) => {
            out.push('[');
            for (i, node) in elements.values().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(node, out);
            }
            out.push(']');
        }
    }
}

/// The steps of a key such as `` a.`b.c`[3].d `` (`decode::path`); `None` of what is no such key.
fn steps(key: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = key;
    loop {
        let mut name = String::new();
        if let Some(mut quoted) = rest.strip_prefix('`') {
            loop {
                let (part, after) = quoted.split_once('`')?;
                name.push_str(part);
                match after.strip_prefix('`') {
                    Some(more) => {
                        name.push('`');
                        quoted = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (plain, after) = rest.split_at(end);
            // One without quotes is never empty.
            if plain.is_empty() {
                return None;
            }
            name.push_str(plain);
            rest = after;
        }
        steps.push(Step::Name(name));
        while let Some(inside) = rest.strip_prefix('[') {
            let (place, after) = inside.split_once(']')?;
            steps.push(Step::Place(place.parse().ok()?));
            rest = after;
        }
        if rest.is_empty() {
            return Some(steps);
        }
        rest = rest.strip_prefix('.')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescued_values_become_events_again() {
        let rescued = r#"{"a":1,"b.c":"x","b.`d.``e`":[1],"list[3].y":2,"_record":"{}","big":12345678901234567890123}"#;
        assert_eq!(
            event(rescued).unwrap(),
            r#"{"a":1,"b":{"c":"x","d.`e":[1]},"big":12345678901234567890123,"list":[{"y":2}]}"#
        );
        let nested = r#"{"l[12].a":1,"l[2].a":"x","l[2].m[0][1].b":true,"l[2].a.c":3,"n[1]":7}"#;
        assert_eq!(
            event(nested).unwrap(),
            r#"{"l":[{"a":"x","m":[[{"b":true}]]},{"a":1}],"n":[7]}"#
        );
        assert_eq!(event(r#"{"_record":"{}"}"#), None);
        assert_eq!(event("torn {"), None);
        assert_eq!(steps("``"), Some(vec![Step::Name(String::new())]));
        for none in ["`a", "m.[_key]", "l[x].a", "l[3", "l[3]a", "[3]"] {
            assert_eq!(steps(none), None, "{none}");
        }
    }
}
