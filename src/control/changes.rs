//! What is wanted of a table's schema, and what of it is still to be done.

use crate::schema::{SchemaChange, TableSchema, count_in, names::fold};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use std::sync::Arc;

/// Adds `more` to what is wanted already. A column wanted twice keeps the type first wanted; structs gain each
/// other's fields, since the events of one batch rarely show all of them.
pub fn merge(wanted: &mut Vec<SchemaChange>, more: &[SchemaChange]) {
    for change in more {
        let known = wanted.iter_mut().find(|other| is_same_place(other, change));
        match (known, change) {
            (None, change) => wanted.push(change.clone()),
            (
                Some(SchemaChange::AddColumn { field: mine, .. }),
                SchemaChange::AddColumn { field, .. },
            ) => *mine = both(mine, field),
            (Some(known), change) => *known = change.clone(),
        }
    }
}

fn is_same_place(a: &SchemaChange, b: &SchemaChange) -> bool {
    match (a, b) {
        (
            SchemaChange::AddColumn {
                parent: a,
                field: x,
            },
            SchemaChange::AddColumn {
                parent: b,
                field: y,
            },
        ) => a == b && fold(x.name()) == fold(y.name()),
        (SchemaChange::Widen { path: a, .. }, SchemaChange::Widen { path: b, .. }) => a == b,
        _ => false,
    }
}

/// The field with what the other has beside it.
fn both(mine: &FieldRef, other: &FieldRef) -> FieldRef {
    let data_type = both_types(mine.data_type(), other.data_type());
    match &data_type == mine.data_type() {
        true => Arc::clone(mine),
        false => Arc::new(mine.as_ref().clone().with_data_type(data_type)),
    }
}

fn both_types(mine: &DataType, other: &DataType) -> DataType {
    match (mine, other) {
        (DataType::Struct(mine), DataType::Struct(other)) => {
            let mut fields: Vec<FieldRef> = mine
                .iter()
                .map(|field| match same_name(other, field) {
                    Some(twin) => both(field, twin),
                    None => Arc::clone(field),
                })
                .collect();
            let added = other
                .iter()
                .filter(|field| same_name(mine, field).is_none());
            fields.extend(added.cloned());
            DataType::Struct(fields.into())
        }
        (DataType::List(mine), DataType::List(other)) => DataType::List(both(mine, other)),
        (DataType::Map(mine, sorted), DataType::Map(other, _)) => {
            match (mine.data_type(), other.data_type()) {
                (DataType::Struct(a), DataType::Struct(b)) if a.len() == 2 && b.len() == 2 => {
                    let pair = vec![Arc::clone(&a[0]), both(&a[1], &b[1])];
                    let entries = mine.as_ref().clone();
                    let entries = entries.with_data_type(DataType::Struct(pair.into()));
                    DataType::Map(Arc::new(entries), *sorted)
                }
                _ => DataType::Map(Arc::clone(mine), *sorted),
            }
        }
        _ => mine.clone(),
    }
}

fn same_name<'f>(fields: &'f Fields, field: &Field) -> Option<&'f FieldRef> {
    let folded = fold(field.name());
    fields.iter().find(|other| fold(other.name()) == folded)
}

/// What of `wanted` the table does not show yet. Gone from it: what stands there, and what the table has
/// overtaken (a column of another type, a struct that is no more): that is decided anew from the events.
pub fn outstanding(table: &TableSchema, wanted: &[SchemaChange]) -> Vec<SchemaChange> {
    let mut left = Vec::new();
    for change in wanted {
        match change {
            SchemaChange::AddColumn { parent, field } => {
                if let Some(fields) = struct_at(table.columns.fields(), parent) {
                    missing(&fields, parent, field, &mut left);
                }
            }
            SchemaChange::Widen { path, to } => {
                let Some((name, parent)) = path.split_last() else {
                    continue;
                };
                let stands = struct_at(table.columns.fields(), parent)
                    .and_then(|fields| fields.iter().find(|field| field.name() == name).cloned());
                if stands.is_some_and(|field| is_narrower(field.data_type(), to)) {
                    left.push(change.clone());
                }
            }
        }
    }
    // A struct wanted whole and a field of it wanted by its path may lack the same.
    let mut once = Vec::with_capacity(left.len());
    merge(&mut once, &left);
    once
}

/// How many columns the changes would add, the fields of structs counted.
pub fn columns(wanted: &[SchemaChange]) -> usize {
    let size = |change: &SchemaChange| match change {
        SchemaChange::AddColumn { field, .. } => 1 + count_in(field.data_type()),
        SchemaChange::Widen { .. } => 0,
    };
    wanted.iter().map(size).sum()
}

/// What `field` needs in the struct at `parent`, which has `fields`.
fn missing(fields: &Fields, parent: &[String], field: &FieldRef, left: &mut Vec<SchemaChange>) {
    match same_name(fields, field) {
        None => left.push(SchemaChange::AddColumn {
            parent: parent.to_vec(),
            field: Arc::clone(field),
        }),
        Some(stands) => {
            let mut path = parent.to_vec();
            path.push(stands.name().clone());
            missing_inside(stands.data_type(), &mut path, field.data_type(), left);
        }
    }
}

fn missing_inside(
    stands: &DataType,
    path: &mut Vec<String>,
    wanted: &DataType,
    left: &mut Vec<SchemaChange>,
) {
    match (stands, wanted) {
        (DataType::Struct(fields), DataType::Struct(wanted)) => {
            for field in wanted {
                missing(fields, path, field, left);
            }
        }
        (DataType::List(element), DataType::List(wanted)) => {
            path.push("element".into());
            missing_inside(element.data_type(), path, wanted.data_type(), left);
        }
        (DataType::Map(entries, _), DataType::Map(wanted, _)) => {
            if let (DataType::Struct(pair), DataType::Struct(wanted)) =
                (entries.data_type(), wanted.data_type())
                && let (Some(value), Some(wanted)) = (pair.get(1), wanted.get(1))
            {
                path.push("value".into());
                missing_inside(value.data_type(), path, wanted.data_type(), left);
            }
        }
        _ => {}
    }
}

/// Whether a column of one type is still to be widened to the other. Decimals are compared digit by digit:
/// somebody else may have widened further.
fn is_narrower(from: &DataType, to: &DataType) -> bool {
    use DataType::{Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Timestamp};
    match (from, to) {
        (Int8, Int16 | Int32 | Int64 | Float64)
        | (Int16, Int32 | Int64 | Float64)
        | (Int32, Int64 | Float64)
        | (Float32, Float64)
        | (Int8 | Int16 | Int32 | Int64, Decimal128(..))
        | (Date32, Timestamp(_, None)) => true,
        (Decimal128(p, s), Decimal128(q, t)) => {
            t >= s
                && i32::from(*q) - i32::from(*p) >= i32::from(*t) - i32::from(*s)
                && (p, s) != (q, t)
        }
        _ => false,
    }
}

/// The fields of the struct at a path of names, `element` and `value`.
fn struct_at(fields: &Fields, path: &[String]) -> Option<Fields> {
    let Some((name, mut rest)) = path.split_first() else {
        return Some(fields.clone());
    };
    let field = fields.iter().find(|field| field.name() == name)?;
    let mut data_type = field.data_type();
    loop {
        match data_type {
            DataType::Struct(inner) => return struct_at(inner, rest),
            DataType::List(element) if rest.first().is_some_and(|step| step == "element") => {
                data_type = element.data_type();
            }
            DataType::Map(entries, _) if rest.first().is_some_and(|step| step == "value") => {
                match entries.data_type() {
                    DataType::Struct(pair) => data_type = pair.get(1)?.data_type(),
                    _ => return None,
                }
            }
            _ => return None,
        }
        rest = rest.get(1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ColumnType;
    use arrow::datatypes::Schema;

    fn schema(columns: &str) -> TableSchema {
        let DataType::Struct(fields) = ColumnType(format!("struct<{columns}>")).to_arrow().unwrap()
        else {
            panic!("a struct");
        };
        TableSchema::new(Arc::new(Schema::new(fields)), Vec::new())
    }

    fn add(parent: &[&str], name: &str, of: &str) -> SchemaChange {
        let data_type = ColumnType(of.into()).to_arrow().unwrap();
        SchemaChange::AddColumn {
            parent: parent.iter().map(ToString::to_string).collect(),
            field: Arc::new(Field::new(name, data_type, true)),
        }
    }

    #[test]
    fn what_is_wanted_twice_is_wanted_once() {
        let mut wanted = vec![add(&[], "a", "long"), add(&[], "s", "struct<x: long>")];
        merge(
            &mut wanted,
            &[
                add(&[], "A", "string"),
                add(&[], "s", "struct<y: array<struct<z: long>>>"),
                add(&["s"], "w", "long"),
            ],
        );
        assert_eq!(
            wanted,
            [
                add(&[], "a", "long"),
                add(&[], "s", "struct<x: long, y: array<struct<z: long>>>"),
                add(&["s"], "w", "long"),
            ]
        );
        merge(
            &mut wanted,
            &[add(&[], "s", "struct<y: array<struct<q: long>>>")],
        );
        assert_eq!(
            wanted[1],
            add(
                &[],
                "s",
                "struct<x: long, y: array<struct<z: long, q: long>>>"
            )
        );
    }

    #[test]
    fn what_stands_is_not_wanted_any_more() {
        let table = schema(
            "a: long, s: struct<x: long>, l: array<struct<x: long>>, m: map<string, struct<x: long>>",
        );
        let wanted = [
            add(&[], "A", "long"),
            add(&[], "a", "string"),
            add(&[], "b", "string"),
            add(&[], "s", "struct<x: long, y: long>"),
            add(&["l", "element"], "y", "long"),
            add(&["l", "element"], "x", "long"),
            add(&[], "m", "map<string, struct<y: long>>"),
            // By its path too.
            add(&["s"], "y", "long"),
            add(&["gone"], "y", "long"),
        ];
        assert_eq!(
            outstanding(&table, &wanted),
            [
                add(&[], "b", "string"),
                add(&["s"], "y", "long"),
                add(&["l", "element"], "y", "long"),
                add(&["m", "value"], "y", "long"),
            ]
        );
    }

    #[test]
    fn a_wider_type_is_wanted_until_it_is_there() {
        let widen = |to| SchemaChange::Widen {
            path: vec!["a".into()],
            to,
        };
        let wanted = [widen(DataType::Int64)];
        assert_eq!(outstanding(&schema("a: integer"), &wanted), wanted);
        for overtaken in ["a: long", "a: double", "a: string", "b: integer"] {
            assert_eq!(outstanding(&schema(overtaken), &wanted), [], "{overtaken}");
        }
        let wanted = [widen(DataType::Decimal128(20, 2))];
        assert_eq!(outstanding(&schema("a: decimal(10,2)"), &wanted), wanted);
        assert_eq!(outstanding(&schema("a: decimal(30,2)"), &wanted), []);
    }

    #[test]
    fn applying_what_is_outstanding_leaves_nothing() {
        let table = schema("a: long, s: struct<x: long, l: array<struct<p: long>>>");
        let wanted = [
            add(&[], "b", "string"),
            add(
                &[],
                "s",
                "struct<x: long, y: struct<z: long>, l: array<struct<q: long>>>",
            ),
        ];
        let changes = outstanding(&table, &wanted);
        assert_eq!(changes.len(), 3);
        let after = table.apply(&changes).unwrap();
        assert_eq!(outstanding(&after, &wanted), []);
    }
}
