//! Schema changes put into effect on a logical schema.

use super::{SchemaChange, SchemaError, TableSchema};
use arrow::datatypes::{DataType, FieldRef, Fields, Schema};
use std::sync::Arc;

impl TableSchema {
    /// The changed schema, logical names only: where the table maps columns, the commit gives the
    /// new ones their physical names and ids.
    ///
    /// A column that is already there with the same type is no error, so that two processes that
    /// decide the same change agree.
    pub fn apply(&self, changes: &[SchemaChange]) -> Result<TableSchema, SchemaError> {
        let mut fields = self.columns.fields().clone();
        for change in changes {
            fields = match change {
                SchemaChange::AddColumn { parent, field } => {
                    in_struct(&fields, parent, &|f| add(f, field))?
                }
                SchemaChange::Widen { path, to } => match path.split_last() {
                    Some((name, parent)) => in_struct(&fields, parent, &|f| widen(f, name, to))?,
                    None => return Err(change_error(path, "the path is empty")),
                },
            };
        }
        Ok(TableSchema::new(
            Arc::new(Schema::new_with_metadata(
                fields,
                self.columns.metadata().clone(),
            )),
            self.partition_columns.clone(),
        ))
    }
}

fn change_error(path: &[String], problem: &'static str) -> SchemaError {
    SchemaError::Change {
        path: path.join("."),
        problem,
    }
}

/// What a change does to the fields of one struct.
type Edit<'a> = &'a dyn Fn(&Fields) -> Result<Fields, SchemaError>;

fn in_struct(fields: &Fields, path: &[String], edit: Edit<'_>) -> Result<Fields, SchemaError> {
    let Some((name, rest)) = path.split_first() else {
        return edit(fields);
    };
    let mut found = false;
    let fields: Result<Vec<FieldRef>, SchemaError> = fields
        .iter()
        .map(|field| {
            if field.name() != name {
                return Ok(Arc::clone(field));
            }
            found = true;
            let data_type = in_type(field.data_type(), rest, edit)?;
            Ok(Arc::new(field.as_ref().clone().with_data_type(data_type)))
        })
        .collect();
    let fields = fields?;
    if !found {
        return Err(change_error(path, "there is no such column"));
    }
    Ok(fields.into())
}

fn in_type(data_type: &DataType, path: &[String], edit: Edit<'_>) -> Result<DataType, SchemaError> {
    let step = path.first().map(String::as_str);
    match data_type {
        DataType::Struct(fields) => Ok(DataType::Struct(in_struct(fields, path, edit)?)),
        DataType::List(element) if step == Some("element") => {
            let inner = in_type(element.data_type(), &path[1..], edit)?;
            let element = element.as_ref().clone().with_data_type(inner);
            Ok(DataType::List(Arc::new(element)))
        }
        DataType::Map(entries, sorted) if step == Some("value") => {
            let DataType::Struct(pair) = entries.data_type() else {
                return Err(change_error(path, "it is not a struct"));
            };
            let pair: Result<Vec<FieldRef>, SchemaError> = pair
                .iter()
                .enumerate()
                .map(|(i, field)| {
                    if i == 0 {
                        return Ok(Arc::clone(field));
                    }
                    let inner = in_type(field.data_type(), &path[1..], edit)?;
                    Ok(Arc::new(field.as_ref().clone().with_data_type(inner)))
                })
                .collect();
            let pair = DataType::Struct(pair?.into());
            let entries = entries.as_ref().clone().with_data_type(pair);
            Ok(DataType::Map(Arc::new(entries), *sorted))
        }
        _ => Err(change_error(path, "it is not a struct")),
    }
}

fn add(fields: &Fields, new: &FieldRef) -> Result<Fields, SchemaError> {
    let folded = super::names::fold(new.name());
    match fields
        .iter()
        .find(|field| super::names::fold(field.name()) == folded)
    {
        None => Ok(fields.iter().chain([new]).cloned().collect()),
        Some(old) if old.name() == new.name() && old.data_type() == new.data_type() => {
            Ok(fields.clone())
        }
        Some(_) => Err(change_error(
            std::slice::from_ref(new.name()),
            "a column of that name has another type",
        )),
    }
}

fn widen(fields: &Fields, name: &str, to: &DataType) -> Result<Fields, SchemaError> {
    let mut found = false;
    let fields = fields
        .iter()
        .map(|field| {
            if field.name() != name {
                return Arc::clone(field);
            }
            found = true;
            Arc::new(field.as_ref().clone().with_data_type(to.clone()))
        })
        .collect();
    if !found {
        return Err(change_error(&[name.to_string()], "there is no such column"));
    }
    Ok(fields)
}
