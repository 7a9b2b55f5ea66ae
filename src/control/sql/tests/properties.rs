//! Whatever goes in comes out again when the text is read.

use super::super::*;
use crate::{
    control::testing::{Read, Token, read, tokens},
    schema::{SchemaChange, types},
};
use arrow::datatypes::{DataType, Field};
use proptest::{collection::vec, prelude::*};
use std::sync::Arc;

/// Names as hostile as they come, and as a catalog takes them.
pub(super) fn object_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z`'\\\\\";:@$#*(){}\\[\\]<>=,%-]{1,12}",
        "[^. /\\x00-\\x1f\\x7f-\\x9f]{1,255}",
    ]
    .prop_filter("a variable", |name| {
        !name.contains("${") && SchemaName::new(name, "s").is_ok()
    })
}

pub(super) fn column_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z`'\\\\\"; :@$#*(){}\\[\\]<>=,%.\n-]{1,12}",
        "\\PC{1,40}",
    ]
    .prop_filter("a variable", |name| !name.contains("${"))
}

pub(super) fn any_type() -> impl Strategy<Value = DataType> {
    let plain = prop_oneof![
        Just(DataType::Boolean),
        Just(DataType::Int8),
        Just(DataType::Int16),
        Just(DataType::Int32),
        Just(DataType::Int64),
        Just(DataType::Float32),
        Just(DataType::Float64),
        Just(DataType::Utf8),
        Just(DataType::Binary),
        Just(DataType::Date32),
        Just(types::timestamp()),
        Just(DataType::Timestamp(
            arrow::datatypes::TimeUnit::Microsecond,
            None
        )),
        (1u8..=38).prop_flat_map(|p| (0..=p as i8).prop_map(move |s| DataType::Decimal128(p, s))),
    ];
    plain.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(types::list_of),
            inner
                .clone()
                .prop_map(|value| types::map_of(DataType::Utf8, value)),
            vec((column_name(), inner, ".{0,8}"), 1..4).prop_map(|fields| {
                let field = |(name, data_type, comment): (String, DataType, String)| {
                    let field = Field::new(name, data_type, true);
                    match comment.is_empty() {
                        true => field,
                        false => field.with_metadata([("comment".to_string(), comment)].into()),
                    }
                };
                DataType::Struct(fields.into_iter().map(field).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_literal_reads_back(text in "(?s).{0,60}|[\\\\'\"${}nu0\n\t\u{0}\u{7f}]{0,20}") {
        let sql = literal(&text);
        prop_assert!(!sql.contains("${") && !sql.contains('\n'), "{}", sql);
        prop_assert_eq!(tokens(&sql), [Token::Text(text)]);
    }

    #[test]
    fn names_read_back(catalog in object_name(), schema in object_name(), table in object_name()) {
        let name = TableName::new(&catalog, &schema, &table).unwrap();
        let sql = Statement::SyncMetadata { table: name }.sql().unwrap();
        prop_assert_eq!(read(&sql), Read::Sync(vec![catalog, schema, table]));
    }

    #[test]
    fn columns_read_back(
        columns in vec((vec(column_name(), 0..4), column_name(), any_type()), 1..5),
        widened in (vec(column_name(), 1..4), any_type()),
    ) {
        let table = TableName::new("c", "s", "t").unwrap();
        let path = vec!["c".to_string(), "s".into(), "t".into()];
        let wanted: Vec<(Vec<String>, Field)> = columns
            .into_iter()
            .map(|(parent, name, data_type)| (parent, Field::new(name, data_type, true)))
            .collect();
        let mut changes: Vec<SchemaChange> = wanted
            .iter()
            .map(|(parent, field)| SchemaChange::AddColumn {
                parent: parent.clone(),
                field: Arc::new(field.clone()),
            })
            .collect();
        changes.push(SchemaChange::Widen { path: widened.0.clone(), to: widened.1.clone() });
        let statements = alterations(&table, &changes).unwrap();
        prop_assert_eq!(statements.len(), 2);
        let added = read(&statements[0].sql().unwrap());
        prop_assert_eq!(added, Read::AddColumns(path.clone(), wanted));
        let altered = read(&statements[1].sql().unwrap());
        prop_assert_eq!(altered, Read::AlterType(path, widened.0, widened.1));
    }

    #[test]
    fn locations_read_back(folder in "[a-z'\\\\`-]{1,12}") {
        let Ok(location) = Location::parse(&format!("s3://bucket/{folder}")) else {
            return Ok(());
        };
        let table = TableName::new("c", "s", "t").unwrap();
        let url = location.url().to_owned();
        let sql = Statement::CreateTable(CreateTable::register(table, location, None)).sql().unwrap();
        let Read::CreateTable { location, .. } = read(&sql) else {
            panic!("{sql}");
        };
        prop_assert_eq!(location, url);
    }
}
