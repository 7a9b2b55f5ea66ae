//! Many statements on the standard output, one JSON object a line, for the check `control_sql`, whose parser is not ours.

use super::{super::*, properties};
use crate::schema::{SchemaChange, TableSchema};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use proptest::{
    collection::vec,
    strategy::{Strategy, ValueTree},
    test_runner::{Config, TestRng, TestRunner},
};
use serde_json::{Value, json};
use std::sync::Arc;

const STATEMENTS: usize = 400;

/// `{"name": …, "type": [kind, …]}` in terms that no dialect of SQL owns.
fn described(path: &[String], data_type: &DataType) -> Value {
    json!({ "path": path, "type": shape(data_type) })
}

fn shape(data_type: &DataType) -> Value {
    match data_type {
        DataType::List(element) => json!(["ARRAY", shape(element.data_type())]),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                json!([
                    "MAP",
                    shape(pair[0].data_type()),
                    shape(pair[1].data_type())
                ])
            }
            other => panic!("{other}"),
        },
        DataType::Struct(fields) => json!([
            "STRUCT",
            fields
                .iter()
                .map(|f| json!([f.name(), shape(f.data_type())]))
                .collect::<Vec<_>>()
        ]),
        DataType::Decimal128(p, s) => json!(["DECIMAL", p, s]),
        DataType::Timestamp(_, None) => json!(["TIMESTAMP_NTZ"]),
        DataType::Timestamp(_, Some(_)) => json!(["TIMESTAMP"]),
        DataType::Boolean => json!(["BOOLEAN"]),
        DataType::Int8 => json!(["TINYINT"]),
        DataType::Int16 => json!(["SMALLINT"]),
        DataType::Int32 => json!(["INT"]),
        DataType::Int64 => json!(["BIGINT"]),
        DataType::Float32 => json!(["FLOAT"]),
        DataType::Float64 => json!(["DOUBLE"]),
        DataType::Utf8 => json!(["STRING"]),
        DataType::Binary => json!(["BINARY"]),
        DataType::Date32 => json!(["DATE"]),
        other => panic!("{other}"),
    }
}

#[test]
#[ignore = "prints statements for the acceptance check control_sql"]
#[allow(clippy::print_stdout, reason = "the check reads the lines")]
fn statements_for_another_parser() {
    let config = Config::default();
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let mut draw = {
        let runner = &mut runner;
        let columns = vec((properties::column_name(), properties::any_type()), 1..6);
        let parent = vec(properties::column_name(), 0..3);
        let name = || properties::object_name();
        let strategy = (name(), name(), name(), columns, parent, ".{0,20}");
        move || strategy.new_tree(runner).unwrap().current()
    };
    let print = |what: &str, statement: Statement, expected: Value| {
        let sql = statement.sql().unwrap();
        println!(
            "sql: {}",
            json!({ "what": what, "sql": sql, "expected": expected })
        );
    };
    for _ in 0..STATEMENTS {
        let (catalog, schema, name, columns, parent, comment) = draw();
        let table = TableName::new(&catalog, &schema, &name).unwrap();
        let names = json!([catalog, schema, name]);
        let location = Location::parse("s3://lake/it's/a table").unwrap();
        let url = location.url().to_owned();

        let changes: Vec<SchemaChange> = columns
            .iter()
            .map(|(name, data_type)| SchemaChange::AddColumn {
                parent: parent.clone(),
                field: Arc::new(Field::new(name, data_type.clone(), true)),
            })
            .collect();
        let expected: Vec<Value> = columns
            .iter()
            .map(|(name, data_type)| {
                let path: Vec<String> = parent.iter().chain([name]).cloned().collect();
                described(&path, data_type)
            })
            .collect();
        for statement in alterations(&table, &changes).unwrap() {
            print(
                "add",
                statement,
                json!({ "table": names, "columns": expected }),
            );
        }

        let (column, to) = columns[0].clone();
        let path: Vec<String> = parent.iter().chain([&column]).cloned().collect();
        let expected = json!({ "table": names, "column": described(&path, &to) });
        let table_of = || table.clone();
        print(
            "type",
            Statement::AlterType {
                table: table_of(),
                path,
                to,
            },
            expected,
        );

        let fields: Fields = columns
            .iter()
            .map(|(n, t)| Field::new(n, t.clone(), true))
            .collect();
        let expected: Vec<Value> = columns
            .iter()
            .map(|(name, data_type)| described(std::slice::from_ref(name), data_type))
            .collect();
        let definition = Definition {
            schema: Some(TableSchema::new(Arc::new(Schema::new(fields)), Vec::new())),
            cluster_by: vec![columns[0].0.clone()],
            comment: Some(comment.clone()),
            properties: [("delta.appendOnly".to_string(), "true".to_string())].into(),
        };
        let create = CreateTable {
            table: table_of(),
            definition: Some(definition),
            location,
        };
        let expected =
            json!({ "table": names, "columns": expected, "location": url, "comment": comment });
        print("create", Statement::CreateTable(create.clone()), expected);
        let location = create.location;
        for comment in [None, Some(comment)] {
            let mut expected = json!({ "table": names, "columns": [], "location": url });
            if let Some(comment) = &comment {
                expected["comment"] = comment.as_str().into();
            }
            let create = CreateTable::register(table_of(), location.clone(), comment);
            print("create", Statement::CreateTable(create), expected);
        }

        let expected = json!({ "schema": [catalog, schema] });
        let owner = table.schema().clone();
        print(
            "schema",
            Statement::CreateSchema {
                schema: owner,
                comment: None,
            },
            expected,
        );
        let expected = json!({ "table": names });
        print("sync", Statement::SyncMetadata { table }, expected);
    }
}
