//! Alluvium's own columns.

use super::*;

fn declared(name: &str, sql: &str) -> ColumnOptions {
    ColumnOptions {
        name: name.into(),
        data_type: ColumnType(sql.into()),
        field: None,
        timestamp_unit: None,
        comment: Some("why".into()),
    }
}

#[test]
fn a_new_table_begins_with_what_is_known() {
    let made = base_schema(
        &[declared("event_date", "date")],
        &MetadataColumn::DEFAULT,
        &["event_date".into(), "_source".into()],
    )
    .unwrap();
    let names: Vec<&str> = made
        .columns
        .fields()
        .iter()
        .map(|f| f.name().as_str())
        .collect();
    assert_eq!(
        names,
        [
            "event_date",
            "_source",
            "_partition",
            "_offset",
            "_index",
            "_event_time",
            "_ingested_at",
            "_rescued_data"
        ]
    );
    assert_eq!(made.columns.field(0).metadata()["comment"], "why");

    let fails = |columns: &[ColumnOptions], by: &[&str]| {
        let by: Vec<String> = by.iter().map(|s| s.to_string()).collect();
        base_schema(columns, &MetadataColumn::DEFAULT, &by).unwrap_err()
    };
    assert!(matches!(
        fails(&[declared("a b", "long")], &[]),
        SchemaError::BadName(_)
    ));
    assert!(matches!(
        fails(&[declared("_SOURCE", "long")], &[]),
        SchemaError::Duplicate(_)
    ));
    assert!(matches!(
        fails(&[declared("a", "longer")], &[]),
        SchemaError::Type { .. }
    ));
    assert!(matches!(
        fails(&[], &["day"]),
        SchemaError::UndeclaredPartitionColumn(_)
    ));
    assert!(matches!(
        fails(&[declared("a", "array<long>")], &["a"]),
        SchemaError::PartitionType { .. }
    ));
    assert!("_when".parse::<MetadataColumn>().is_err());
    assert_eq!("_key".parse(), Ok(MetadataColumn::Key));
}

#[test]
fn a_foreign_table_gets_what_it_lacks() {
    let table = schema(&[("id", "long"), ("_offset", "long"), ("_key", "binary")]);
    let wanted = [
        MetadataColumn::Offset,
        MetadataColumn::Source,
        MetadataColumn::Key,
    ];
    assert_eq!(
        lines(&missing_columns(&table, &wanted).unwrap()),
        ["_source: string", "_rescued_data: string"]
    );
    for bad in [
        ("_offset", "string"),
        ("_OFFSET", "long"),
        ("_rescued_data", "long"),
    ] {
        let error = missing_columns(&schema(&[bad]), &wanted).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Config);
    }
    assert_eq!(
        lines(&missing_declared(&table, &[declared("id", "long"), declared("d", "date")]).unwrap()),
        ["d: date"]
    );
    assert!(missing_declared(&table, &[declared("id", "string")]).is_err());
}
