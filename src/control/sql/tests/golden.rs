//! The texts, word by word.

use super::super::*;
use crate::schema::{ColumnOptions, ColumnType, EVENT_FIELD, SchemaChange, base_schema};
use arrow::datatypes::{DataType, Field};
use std::sync::Arc;

pub(super) fn table() -> TableName {
    TableName::new("main", "web", "orders").unwrap()
}

fn field(name: &str, of: &str) -> Field {
    Field::new(name, ColumnType(of.into()).to_arrow().unwrap(), true)
}

fn add(parent: &[&str], field: Field) -> SchemaChange {
    SchemaChange::AddColumn {
        parent: parent.iter().map(ToString::to_string).collect(),
        field: Arc::new(field),
    }
}

fn texts(statements: &[Statement]) -> Vec<String> {
    statements.iter().map(|s| s.sql().unwrap()).collect()
}

#[test]
fn all_columns_stand_in_one_statement_and_each_type_in_its_own() {
    let renamed = field("a_b", "string").with_metadata(
        [
            (EVENT_FIELD.to_string(), "a b".to_string()),
            ("comment".to_string(), "It's".to_string()),
            ("delta.columnMapping.id".to_string(), "7".to_string()),
        ]
        .into(),
    );
    let widen = |path: &[&str], to| SchemaChange::Widen {
        path: path.iter().map(ToString::to_string).collect(),
        to,
    };
    let changes = [
        widen(&["n"], DataType::Int64),
        add(&[], renamed),
        add(&["customer"], field("vip`s", "boolean")),
        add(&["items", "element"], field("price", "decimal(38,18)")),
        add(&["labels", "value"], field("at", "timestamp_ntz")),
        add(
            &[],
            field(
                "s",
                "struct<x: array<map<string, struct<y: timestamp>>>, z: date>",
            ),
        ),
        widen(&["items", "element", "n"], DataType::Float64),
    ];
    assert_eq!(
        texts(&alterations(&table(), &changes).unwrap()),
        [
            "ALTER TABLE `main`.`web`.`orders` ADD COLUMNS (\
             `a_b` STRING COMMENT 'It\\'s (event field \"a b\")', \
             `customer`.`vip``s` BOOLEAN, \
             `items`.`element`.`price` DECIMAL(38,18), \
             `labels`.`value`.`at` TIMESTAMP_NTZ, \
             `s` STRUCT<`x`: ARRAY<MAP<STRING, STRUCT<`y`: TIMESTAMP>>>, `z`: DATE>)",
            "ALTER TABLE `main`.`web`.`orders` ALTER COLUMN `n` TYPE BIGINT",
            "ALTER TABLE `main`.`web`.`orders` ALTER COLUMN `items`.`element`.`n` TYPE DOUBLE",
        ]
    );
    assert_eq!(alterations(&table(), &[]).unwrap(), []);
}

#[test]
fn schemas_and_tables_are_made_where_they_are_not() {
    let schema = SchemaName::new("main", "web").unwrap();
    let comment = Some("Events of the web site".to_string());
    assert_eq!(
        Statement::CreateSchema { schema, comment }.sql().unwrap(),
        "CREATE SCHEMA IF NOT EXISTS `main`.`web` COMMENT 'Events of the web site'"
    );
    let location = Location::parse("s3://lake/web/orders/").unwrap();
    let register = CreateTable::register(table(), location.clone(), None);
    assert_eq!(
        Statement::CreateTable(register).sql().unwrap(),
        "CREATE TABLE IF NOT EXISTS `main`.`web`.`orders` USING DELTA LOCATION 's3://lake/web/orders'"
    );
    let commented = CreateTable::register(table(), location.clone(), Some("It's ours".into()));
    assert_eq!(
        Statement::CreateTable(commented).sql().unwrap(),
        "CREATE TABLE IF NOT EXISTS `main`.`web`.`orders` USING DELTA LOCATION 's3://lake/web/orders' COMMENT 'It\\'s ours'"
    );
    let declared = [ColumnOptions {
        name: "id".into(),
        data_type: ColumnType("long".into()),
        field: None,
        timestamp_unit: None,
        comment: Some("The order".into()),
    }];
    let mut definition = Definition {
        schema: Some(base_schema(&declared, &[], &[]).unwrap()),
        cluster_by: vec!["id".into()],
        comment: Some("Orders".into()),
        properties: [("delta.appendOnly".to_string(), "true".to_string())].into(),
    };
    let create = |definition: &Definition| {
        Statement::CreateTable(CreateTable {
            table: table(),
            definition: Some(definition.clone()),
            location: location.clone(),
        })
    };
    assert_eq!(
        create(&definition).sql().unwrap(),
        "CREATE TABLE IF NOT EXISTS `main`.`web`.`orders` (`id` BIGINT COMMENT 'The order', `_rescued_data` STRING) USING DELTA \
         CLUSTER BY (`id`) LOCATION 's3://lake/web/orders' COMMENT 'Orders' TBLPROPERTIES ('delta.appendOnly' = 'true')"
    );
    definition.schema = Some(base_schema(&declared, &[], &["id".into()]).unwrap());
    assert!(
        create(&definition)
            .sql()
            .unwrap_err()
            .to_string()
            .contains("not both")
    );
    definition.cluster_by.clear();
    assert!(
        create(&definition)
            .sql()
            .unwrap()
            .contains(" PARTITIONED BY (`id`) LOCATION")
    );
    definition.schema = None;
    definition.cluster_by = vec!["a".into(); 5];
    assert!(create(&definition).sql().is_err());
}

#[test]
fn a_catalog_is_told_to_look_again() {
    assert_eq!(
        texts(&[Statement::SyncMetadata { table: table() }]),
        ["MSCK REPAIR TABLE `main`.`web`.`orders` SYNC METADATA"]
    );
}

#[test]
fn what_is_missing_is_granted_by_statements_too() {
    let to = Principal("6d1e-app`id".into());
    let add = Statement::AddColumns {
        table: table(),
        columns: Vec::new(),
    };
    assert_eq!(
        add.grants(&to),
        [
            "GRANT USE CATALOG ON CATALOG `main` TO `6d1e-app``id`",
            "GRANT USE SCHEMA ON SCHEMA `main`.`web` TO `6d1e-app``id`",
            "GRANT MODIFY ON TABLE `main`.`web`.`orders` TO `6d1e-app``id`",
        ]
    );
    let location = Location::parse("s3://lake/web/orders").unwrap();
    let create = Statement::CreateTable(CreateTable::register(table(), location, None));
    assert_eq!(
        create.grants(&to)[2..],
        [
            "GRANT CREATE TABLE ON SCHEMA `main`.`web` TO `6d1e-app``id`",
            "GRANT CREATE EXTERNAL TABLE ON EXTERNAL LOCATION `<the one that covers s3://lake/web/orders>` TO `6d1e-app``id`",
        ]
    );
    let schema = SchemaName::new("main", "web").unwrap();
    let comment = None;
    assert_eq!(
        Statement::CreateSchema { schema, comment }.grants(&to),
        ["GRANT USE CATALOG, CREATE SCHEMA ON CATALOG `main` TO `6d1e-app``id`"]
    );
}
