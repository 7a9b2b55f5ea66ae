//! JSON values into the kinds and shapes that inference decides by.

use super::{
    json::{Json, NodeKind},
    number, time,
};
use crate::schema::{Kind, Room, Shape};

/// The kind of a value.
pub(super) fn kind(json: Json<'_>, at: u32) -> Kind {
    kind_of(json.kind(at), json.text(at))
}

/// The kind of the value that this JSON text is.
pub(super) fn kind_of(node: NodeKind, text: &str) -> Kind {
    match node {
        NodeKind::Null => Kind::Null,
        NodeKind::True | NodeKind::False => Kind::Boolean,
        NodeKind::Object => Kind::Struct,
        NodeKind::Array => Kind::List,
        NodeKind::Integer if text.parse::<i64>().is_ok() => Kind::Long,
        NodeKind::Integer if number::decimal(text, 38, 0).is_some() => Kind::BigInteger,
        NodeKind::Float if number::double(text, false).is_some() => Kind::Double,
        NodeKind::Integer | NodeKind::Float => Kind::Huge,
        NodeKind::Plain => match text.get(1..text.len().saturating_sub(1)) {
            Some(text) if time::instant(text).is_some() => Kind::Timestamp,
            _ => Kind::String,
        },
        NodeKind::Escaped => match serde_json::from_str::<String>(text) {
            Ok(text) if time::instant(&text).is_some() => Kind::Timestamp,
            _ => Kind::String,
        },
    }
}

/// Adds a value to a shape, with all that is in it.
pub(super) fn observe(json: Json<'_>, at: u32, shape: &mut Shape, room: &mut Room) {
    let kind = kind(json, at);
    shape.count(kind);
    match kind {
        Kind::Struct => {
            for (key, value) in json.members(at) {
                if let Some(name) = json.string(key)
                    && let Some(inner) = shape.fields.entry(&name, room)
                {
                    observe(json, value, inner, room);
                }
            }
        }
        Kind::List => {
            for element in json.elements(at) {
                observe(json, element, shape.element_mut(), room);
            }
        }
        _ => {}
    }
}
