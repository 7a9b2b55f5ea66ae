//! Fingerprints, files that fit, changes applied.

use super::*;

fn with_physical(table: &TableSchema, column: &str, physical: &str) -> TableSchema {
    let fields: Vec<FieldRef> = table
        .columns
        .fields()
        .iter()
        .map(|field| {
            if field.name() != column {
                return field.clone();
            }
            let metadata = [(PHYSICAL_NAME.to_string(), physical.to_string())].into();
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        })
        .collect();
    TableSchema::new(
        Arc::new(Schema::new(fields)),
        table.partition_columns.clone(),
    )
}

#[test]
fn fingerprints_tell_what_a_file_depends_on() {
    let a = schema(&[("a", "long"), ("b", "struct<x: long>")]);
    assert_eq!(
        a.fingerprint,
        schema(&[("a", "long"), ("b", "struct<x: long>")]).fingerprint
    );
    assert_eq!(
        a.fingerprint.0, 2919315828575617068,
        "the same in every build"
    );
    for other in [
        schema(&[("a", "long")]),
        schema(&[("b", "struct<x: long>"), ("a", "long")]),
        schema(&[("a", "integer"), ("b", "struct<x: long>")]),
        schema(&[("a", "long"), ("b", "struct<y: long>")]),
        TableSchema::new(a.columns.clone(), vec!["a".into()]),
        with_physical(&a, "a", "col-1"),
    ] {
        assert_ne!(a.fingerprint, other.fingerprint, "{other:?}");
    }
}

#[test]
fn a_file_fits_a_table_that_only_gained_nullable_columns() {
    let file = schema(&[
        ("a", "long"),
        ("b", "struct<x: long>"),
        ("c", "map<string, struct<y: long>>"),
    ]);
    let fits = |columns: &[(&str, &str)]| file.fits(&schema(columns));
    let (a, b, c) = (
        ("a", "long"),
        ("b", "struct<x: long>"),
        ("c", "map<string, struct<y: long>>"),
    );
    assert!(fits(&[a, b, c]));
    assert!(fits(&[
        ("z", "string"),
        c,
        a,
        ("b", "struct<w: string, x: long>")
    ]));
    assert!(fits(&[
        a,
        b,
        ("c", "map<string, struct<y: long, z: long>>")
    ]));
    assert!(!fits(&[a, b]));
    assert!(!fits(&[("a", "double"), b, c]));
    assert!(!fits(&[a, ("b", "struct<w: string>"), c]));
    assert!(!file.fits(&TableSchema::new(file.columns.clone(), vec!["a".into()])));
    assert!(!file.fits(&with_physical(&file, "a", "col-1")));
    assert!(with_physical(&file, "a", "col-1").fits(&with_physical(&file, "a", "col-1")));

    let mut strict: Vec<FieldRef> = file.columns.fields().iter().cloned().collect();
    strict.push(Arc::new(Field::new("must", DataType::Int64, false)));
    let strict = TableSchema::new(Arc::new(Schema::new(strict)), Vec::new());
    assert!(
        !file.fits(&strict),
        "the file would hold nulls where none may be"
    );
}

#[test]
fn changes_apply_at_any_depth_or_not_at_all() {
    let table = schema(&[("a", "array<map<string, struct<x: integer>>>")]);
    let add = |parent: &str, name: &str, sql: &str| SchemaChange::AddColumn {
        parent: path(parent),
        field: Arc::new(Field::new(name, column_type(sql), true)),
    };
    let grown = table
        .apply(&[add("a.element.value", "y", "string"), add("", "z", "long")])
        .unwrap();
    assert_eq!(
        grown,
        schema(&[
            ("a", "array<map<string, struct<x: integer, y: string>>>"),
            ("z", "long")
        ])
    );
    assert_eq!(
        grown.apply(&[add("", "z", "long")]).unwrap(),
        grown,
        "the same again"
    );
    let wider = SchemaChange::Widen {
        path: path("a.element.value.x"),
        to: DataType::Int64,
    };
    assert_eq!(
        table.apply(&[wider]).unwrap(),
        schema(&[("a", "array<map<string, struct<x: long>>>")])
    );
    for bad in [
        add("nope", "x", "long"),
        add("a", "x", "long"),
        add("", "A", "long"),
        add("a.value", "x", "long"),
    ] {
        assert!(table.apply(std::slice::from_ref(&bad)).is_err(), "{bad:?}");
    }
}

#[test]
fn comments_name_the_events_fields_where_metadata_does_not() {
    let comment = |text: &str| [("comment".to_string(), text.to_string())].into();
    let inner =
        Field::new("x_y", DataType::Int64, true).with_metadata(comment("event field \"x y\""));
    let list = types::list_of(DataType::Struct(vec![inner].into()));
    let fields = vec![
        Field::new("a_b", DataType::Utf8, true).with_metadata(comment("Its (event field \"a b\")")),
        Field::new("plain", DataType::Utf8, true).with_metadata(comment("no field")),
        Field::new("list", list, true),
    ];
    let before = TableSchema::new(Arc::new(Schema::new(fields)), Vec::new());
    let after = before.with_commented_fields();
    assert_eq!(after.fingerprint, before.fingerprint);
    let named = |field: &Field| names::event_field(field).to_owned();
    assert_eq!(named(after.columns.field(0)), "a b");
    assert_eq!(named(after.columns.field(1)), "plain");
    let DataType::List(element) = after.columns.field(2).data_type() else {
        panic!("a list");
    };
    let DataType::Struct(inner) = element.data_type() else {
        panic!("a struct");
    };
    assert_eq!(named(&inner[0]), "x y");
}
