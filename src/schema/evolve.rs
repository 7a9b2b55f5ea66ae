//! The evolution decision: what was seen, the schema and the policy in; changes out. Pure.

use super::{
    Evolution, EvolutionPolicy, Kind, OnConflict, SchemaChange, Seen, SeenFields, Shape,
    TableSchema, names, table::count_in, types,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use std::{collections::HashSet, sync::Arc};

/// The outcome of [`evolve`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evolved {
    /// What to do now; empty unless `evolution = "auto"`.
    pub changes: Vec<SchemaChange>,
    /// What a person may do; filled under `evolution = "plan"`.
    pub proposals: Vec<SchemaChange>,
    /// One a table, field and kind, for the log: conflicts and fields that got no column.
    pub warnings: Vec<String>,
}

/// Decides what makes room for what was seen.
///
/// Unknown fields become nullable columns, inside structs too; those only ever null or empty wait.
/// Integers mixed with doubles make a double; other mixtures take the kind most often seen, and the
/// rest goes down the ladder when decoded again. Conflicts go down `on_conflict`. What is past a cap,
/// or whose name another column has, gets no column: the decoder rescues it.
pub fn evolve(schema: &TableSchema, seen: &Seen, policy: &EvolutionPolicy) -> Evolved {
    let mut decision = Decision {
        policy,
        schema,
        columns: schema.column_count(),
        changes: Vec::new(),
        warnings: Vec::new(),
    };
    for (path, shape) in &seen.conflicts {
        decision.conflict(path, shape);
    }
    for (parent, fields) in &seen.unknown {
        decision.unknown(parent, fields);
    }
    if seen.overflow() > 0 {
        decision.warnings.push(format!(
            "events have more distinct fields than are looked at; further ones are kept in _rescued_data: limit=`{}`",
            Seen::MAX_FIELDS
        ));
    }
    let Decision {
        changes, warnings, ..
    } = decision;
    match policy.evolution {
        Evolution::Auto => Evolved {
            changes,
            proposals: Vec::new(),
            warnings,
        },
        Evolution::Plan => Evolved {
            changes: Vec::new(),
            proposals: changes,
            warnings,
        },
        Evolution::None => Evolved {
            warnings,
            ..Evolved::default()
        },
    }
}

/// The column beside `column` for values of `kind`; `None` where no column helps.
pub fn sibling_name(column: &str, kind: Kind) -> Option<String> {
    kind.suffix().map(|suffix| format!("{column}__{suffix}"))
}

struct Decision<'a> {
    policy: &'a EvolutionPolicy,
    schema: &'a TableSchema,
    columns: usize,
    changes: Vec<SchemaChange>,
    warnings: Vec<String>,
}

impl Decision<'_> {
    fn unknown(&mut self, parent: &[String], fields: &SeenFields) {
        let Some(level) = struct_at(self.schema.columns.fields(), parent) else {
            return;
        };
        // Siblings decided before are there already.
        let mut taken = taken_names(&level);
        for change in &self.changes {
            if let SchemaChange::AddColumn { parent: at, field } = change
                && at == parent
            {
                taken.insert(names::fold(field.name()));
            }
        }
        let depth = parent.len() + 1;
        for (name, field) in self.named(fields, taken, depth) {
            let size = 1 + count_in(field.data_type());
            if self.columns + size > self.policy.max_columns {
                self.warn(
                    "the table has as many columns as it may; the field is kept in _rescued_data, raise max_columns to give it a column",
                    parent,
                    name,
                );
                continue;
            }
            self.columns += size;
            self.changes.push(SchemaChange::AddColumn {
                parent: parent.to_vec(),
                field,
            });
        }
    }

    /// The fields that get a column, each with its event's name, in the order first seen.
    fn named<'f>(
        &mut self,
        fields: &'f SeenFields,
        mut taken: HashSet<String>,
        depth: usize,
    ) -> Vec<(&'f str, FieldRef)> {
        // Of names that collide the valid one wins, then the first in the alphabet, so that the
        // order of events does not matter.
        let mut order: Vec<(usize, &str, &Shape)> = fields
            .iter()
            .enumerate()
            .map(|(i, (name, shape))| (i, name, shape))
            .collect();
        order.sort_by_key(|&(_, name, _)| (!names::is_valid_column_name(name), name));
        let mut made: Vec<(usize, &str, FieldRef)> = Vec::new();
        for (i, name, shape) in order {
            let safe = names::safe_column_name(name);
            if safe.len() > names::MAX_NAME_BYTES {
                let start: String = name.chars().take(40).collect();
                self.warn("the name is too long for a column", &[], &start);
                continue;
            }
            let Some(data_type) = self.infer(shape, depth) else {
                continue;
            };
            if !taken.insert(names::fold(&safe)) {
                self.warn(
                    "another column has this name, case and cleaning aside; the field is kept in _rescued_data",
                    &[],
                    name,
                );
                continue;
            }
            let mut field = Field::new(&safe, data_type, true);
            if safe != name {
                field = field
                    .with_metadata([(names::EVENT_FIELD.to_string(), name.to_string())].into());
            }
            made.push((i, name, Arc::new(field)));
        }
        made.sort_by_key(|(i, _, _)| *i);
        made.into_iter().map(|(_, name, f)| (name, f)).collect()
    }

    /// The type for a field of this shape at this depth; `None`: wait, or too deep.
    fn infer(&mut self, shape: &Shape, depth: usize) -> Option<DataType> {
        if depth > self.policy.max_depth {
            return None;
        }
        let numbers = shape.of(Kind::Long) + shape.of(Kind::BigInteger) + shape.of(Kind::Double);
        let texts = shape.of(Kind::String) + shape.of(Kind::Timestamp);
        // Ties go to the earlier of these.
        let candidates = [
            (shape.of(Kind::Struct), Kind::Struct),
            (shape.of(Kind::List), Kind::List),
            (texts, Kind::String),
            (numbers, Kind::Double),
            (shape.of(Kind::Boolean), Kind::Boolean),
        ];
        let most = candidates.iter().map(|(n, _)| *n).max()?;
        if most == 0 {
            return None;
        }
        let mut by_count = candidates;
        by_count.sort_by_key(|&(n, _)| std::cmp::Reverse(n));
        // The next most frequent kind where the first cannot make a column yet, such as `{}`.
        by_count
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .find_map(|(_, kind)| self.infer_kind(shape, kind, depth))
    }

    fn infer_kind(&mut self, shape: &Shape, kind: Kind, depth: usize) -> Option<DataType> {
        Some(match kind {
            Kind::Boolean => DataType::Boolean,
            Kind::Double if shape.of(Kind::Double) > 0 => DataType::Float64,
            Kind::Double if shape.of(Kind::BigInteger) > 0 => DataType::Decimal128(38, 0),
            Kind::Double => DataType::Int64,
            Kind::String if shape.of(Kind::String) == 0 && self.policy.infer_timestamps => {
                types::timestamp()
            }
            Kind::String => DataType::Utf8,
            Kind::Struct => {
                let fields: Vec<FieldRef> = self
                    .named(&shape.fields, HashSet::new(), depth + 1)
                    .into_iter()
                    .map(|(_, field)| field)
                    .collect();
                if fields.is_empty() {
                    return None;
                }
                DataType::Struct(fields.into())
            }
            Kind::List => types::list_of(self.infer(shape.element.as_deref()?, depth + 1)?),
            Kind::Null | Kind::Long | Kind::BigInteger | Kind::Huge | Kind::Timestamp => {
                return None;
            }
        })
    }

    fn conflict(&mut self, path: &[String], shape: &Shape) {
        let Some((name, parent)) = path.split_last() else {
            return;
        };
        let Some(level) = struct_at(self.schema.columns.fields(), parent) else {
            return;
        };
        let Some(column) = level.iter().find(|field| field.name() == name) else {
            return;
        };
        for (kind, n) in &shape.kinds {
            let of = types::to_sql(column.data_type())
                .unwrap_or_else(|_| column.data_type().to_string());
            self.warnings.push(format!(
                "values do not fit their column: field=`{}` type=`{of}` found=`{}` values=`{n}`",
                path.join("."),
                kind.name()
            ));
        }
        for rung in &self.policy.on_conflict {
            match rung {
                OnConflict::Widen => {
                    if let Some(to) = self.policy.widens(column.data_type(), shape) {
                        self.changes.push(SchemaChange::Widen {
                            path: path.to_vec(),
                            to,
                        });
                        return;
                    }
                }
                OnConflict::Sibling => {
                    if self.siblings(parent, &level, column, shape) {
                        return;
                    }
                }
                OnConflict::Rescue | OnConflict::Reject => return,
            }
        }
    }

    /// Adds the siblings that `shape` needs; whether there was one to add.
    fn siblings(
        &mut self,
        parent: &[String],
        level: &Fields,
        column: &Field,
        shape: &Shape,
    ) -> bool {
        if is_sibling_name(column.name(), |base| level.iter().any(|f| f.name() == base)) {
            return false;
        }
        let mut taken = taken_names(level);
        let mut added = false;
        for &kind in shape.kinds.keys() {
            let Some(name) = sibling_name(column.name(), kind) else {
                continue;
            };
            if !taken.insert(names::fold(&name)) {
                continue;
            }
            let data_type = match kind {
                Kind::Boolean => Some(DataType::Boolean),
                Kind::Long => Some(DataType::Int64),
                Kind::BigInteger => Some(DataType::Decimal128(38, 0)),
                Kind::Double => Some(DataType::Float64),
                Kind::String | Kind::Timestamp => Some(DataType::Utf8),
                Kind::Struct | Kind::List => self.infer_kind(shape, kind, parent.len() + 1),
                Kind::Null | Kind::Huge => None,
            };
            // A sibling of the column's own type would not take what the column does not.
            let Some(data_type) = data_type.filter(|t| t != column.data_type()) else {
                continue;
            };
            let size = 1 + count_in(&data_type);
            if self.columns + size > self.policy.max_columns {
                self.warn("the table has as many columns as it may", parent, &name);
                continue;
            }
            self.columns += size;
            added = true;
            self.changes.push(SchemaChange::AddColumn {
                parent: parent.to_vec(),
                field: Arc::new(Field::new(name, data_type, true)),
            });
        }
        added
    }

    fn warn(&mut self, what: &str, parent: &[String], name: &str) {
        let mut path = parent.to_vec();
        path.push(name.to_string());
        self.warnings
            .push(format!("{what}: field=`{}`", path.join(".")));
    }
}

/// Whether the column is the sibling of another one of its struct: then it has none of its own.
/// `has` tells whether the struct has a column of a name.
pub fn is_sibling_name(name: &str, has: impl Fn(&str) -> bool) -> bool {
    name.rsplit_once("__").is_some_and(|(base, suffix)| {
        [
            Kind::Boolean,
            Kind::Long,
            Kind::BigInteger,
            Kind::Double,
            Kind::String,
            Kind::Struct,
            Kind::List,
        ]
        .iter()
        .any(|kind| kind.suffix() == Some(suffix))
            && has(base)
    })
}

/// The fields of the struct at a path of logical names, `element` and `value`.
fn struct_at(fields: &Fields, path: &[String]) -> Option<Fields> {
    let Some((name, mut rest)) = path.split_first() else {
        return Some(fields.clone());
    };
    let mut data_type = fields
        .iter()
        .find(|field| field.name() == name)?
        .data_type();
    loop {
        match data_type {
            DataType::Struct(inner) => return struct_at(inner, rest),
            DataType::List(element) if rest.first().is_some_and(|s| s == "element") => {
                data_type = element.data_type();
            }
            DataType::Map(entries, _) if rest.first().is_some_and(|s| s == "value") => {
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

fn taken_names(fields: &Fields) -> HashSet<String> {
    fields.iter().map(|f| names::fold(f.name())).collect()
}
