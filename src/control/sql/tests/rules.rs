//! What is refused: names, types, places.

use super::super::*;
use crate::error::Kind;
use arrow::datatypes::{DataType, Field, TimeUnit};
use std::sync::Arc;

#[test]
fn names_that_a_catalog_does_not_take_are_refused() {
    for name in [
        "a",
        "Größe",
        "a-b",
        "a`b",
        "select",
        "日本",
        &"é".repeat(255),
    ] {
        assert!(TableName::new(name, name, name).is_ok(), "{name}");
    }
    for name in [
        "",
        "a.b",
        "a b",
        "a/b",
        "a\u{0}",
        "a\n",
        "a\u{7f}",
        "a\u{85}",
        "${x}",
        &"x".repeat(256),
    ] {
        for (catalog, schema, table) in [(name, "s", "t"), ("c", name, "t"), ("c", "s", name)] {
            let error = TableName::new(catalog, schema, table).unwrap_err();
            assert_eq!(error.kind(), Kind::Config, "{error}");
        }
    }
    assert!(SchemaName::new("Hive_Metastore", "default").is_err());
    assert_eq!(
        TableName::new("A", "b", "C").unwrap(),
        TableName::new("a", "B", "c").unwrap()
    );
}

#[test]
fn no_variable_is_replaced_in_what_we_write() {
    let change = crate::schema::SchemaChange::AddColumn {
        parent: vec!["a${spark.x}".into()],
        field: Arc::new(Field::new("b", DataType::Utf8, true)),
    };
    let table = TableName::new("c", "s", "t").unwrap();
    assert!(alterations(&table, &[change]).is_err());
    assert_eq!(literal("${x} $x"), "'\\u0024{x} $x'");
}

#[test]
fn types_without_a_spelling_are_refused() {
    for refused in [
        DataType::Null,
        DataType::Timestamp(TimeUnit::Nanosecond, None),
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Duration(TimeUnit::Microsecond),
        DataType::Decimal128(39, 0),
        DataType::Decimal128(5, -1),
        DataType::Decimal128(5, 6),
        DataType::Struct(Vec::<Field>::new().into()),
        DataType::List(Arc::new(Field::new("element", DataType::Null, true))),
    ] {
        let error = data_type("x", &refused).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    }
    for (unsigned, wider) in [
        (DataType::UInt8, "SMALLINT"),
        (DataType::UInt16, "INT"),
        (DataType::UInt32, "BIGINT"),
        (DataType::UInt64, "DECIMAL(20,0)"),
    ] {
        assert_eq!(data_type("x", &unsigned).unwrap(), wider);
    }
}

#[test]
fn a_table_lies_in_a_folder_of_its_own_outside_of_managed_ones() {
    for (url, spelt) in [
        ("s3://b/a/", "s3://b/a"),
        ("s3a://b/a/b", "s3://b/a/b"),
        (
            "abfss://c@a.dfs.core.windows.net/x/",
            "abfss://c@a.dfs.core.windows.net/x",
        ),
        ("gs://b/x", "gs://b/x"),
        ("file:///tmp/lake/t", "file:///tmp/lake/t"),
    ] {
        assert_eq!(Location::parse(url).unwrap().url(), spelt);
    }
    for (url, part) in [
        ("s3://b", "folder of its own"),
        ("s3://b//", "folder of its own"),
        ("az://c/x", "abfss://"),
        ("https://a.blob.core.windows.net/c/x", "external locations"),
        ("/tmp/x", "no URL"),
        ("s3://b/root/__unitystorage/catalogs/x", "managed tables"),
        ("s3://b/__UnityStorage", "managed tables"),
        ("s3://user:word@b/x", "password"),
        ("s3://b/x?versionId=secret", "query"),
    ] {
        let error = Location::parse(url).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(!error.contains("versionId=secret"), "{error}");
    }
    assert!(Location::is_managed(
        "s3://b/r/__unitystorage/schemas/1/tables/2"
    ));
    assert!(!Location::is_managed("s3://b/r/x__unitystorage"));
}

#[test]
fn no_table_lies_in_anothers_folder() {
    let at = |url| Location::parse(url).unwrap();
    let (a, b, c) = (at("s3://b/x"), at("s3://b/xy"), at("s3a://b/x/deeper/"));
    assert!(check_apart([("a", &a), ("b", &b)]).is_ok());
    let error = check_apart([("a", &a), ("b", &b), ("c", &c)]).unwrap_err();
    assert!(error.to_string().contains("a, c"), "{error}");
    assert!(check_apart([("a", &a), ("same", &a)]).is_err());
}

#[test]
fn more_than_a_statement_holds_becomes_two() {
    let table = TableName::new("c", "s", "t").unwrap();
    let column = |i: usize| {
        let comment = [("comment".to_string(), "x".repeat(3 << 20))].into();
        crate::schema::SchemaChange::AddColumn {
            parent: Vec::new(),
            field: Arc::new(
                Field::new(format!("c{i}"), DataType::Utf8, true).with_metadata(comment),
            ),
        }
    };
    let changes: Vec<_> = (0..6).map(column).collect();
    let statements = alterations(&table, &changes).unwrap();
    assert!(statements.len() > 1);
    let columns: usize = statements
        .iter()
        .map(|statement| match statement {
            Statement::AddColumns { columns, .. } => columns.len(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(columns, 6);
    for statement in &statements {
        assert!(statement.sql().unwrap().len() <= MAX_STATEMENT_BYTES);
    }
}
