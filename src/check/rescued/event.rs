//! The values of `_rescued_data` put back into an event.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A place in an event, with what stands there.
enum Node<'a> {
    Value(&'a RawValue),
    Object(BTreeMap<String, Node<'a>>),
}

/// The rescued values of one row as an event; `None` where nothing of it is a field.
///
/// Values within lists and whole events (`_record`) have no column to come and are left out.
pub(super) fn event(rescued: &str) -> Option<String> {
    let values: BTreeMap<String, &RawValue> = serde_json::from_str(rescued).ok()?;
    let mut root = BTreeMap::new();
    for (key, value) in values {
        if key == "_record" || key == "_record_base64" {
            continue;
        }
        if let Some(steps) = steps(&key) {
            put(&mut root, &steps, value);
        }
    }
    (!root.is_empty()).then(|| {
        let mut out = String::new();
        write(&Node::Object(root), &mut out);
        out
    })
}

fn put<'a>(level: &mut BTreeMap<String, Node<'a>>, steps: &[String], value: &'a RawValue) {
    match steps {
        [] => {}
        [name] => {
            level.insert(name.clone(), Node::Value(value));
        }
        [name, rest @ ..] => {
            let below = level
                .entry(name.clone())
                .or_insert_with(|| Node::Object(BTreeMap::new()));
            if let Node::Object(below) = below {
                put(below, rest, value);
            }
        }
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
    }
}

/// The names of a key such as `` a.`b.c`.d `` (`decode::path`); `None` where it goes into a list.
fn steps(key: &str) -> Option<Vec<String>> {
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
            name.push_str(plain);
            rest = after;
        }
        steps.push(name);
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
            r#"{"a":1,"b":{"c":"x","d.`e":[1]},"big":12345678901234567890123}"#
        );
        assert_eq!(event(r#"{"_record":"{}"}"#), None);
        assert_eq!(event("torn {"), None);
        assert_eq!(steps("``"), Some(vec![String::new()]));
        assert_eq!(steps("`a"), None);
        assert_eq!(steps("m.[_key]"), None);
    }
}
