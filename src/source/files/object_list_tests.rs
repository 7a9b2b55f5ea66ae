//! Which objects an input names, and which it does not.

use super::{
    FilesError,
    inputs::{canonical, list},
    object_tests::Memory,
};
use crate::{
    error::Kind,
    storage::faulty::{Failure, Fault, Operation, Rule},
};

#[tokio::test]
async fn listings_of_thousands_folders_and_patterns() {
    let memory = Memory::default();
    for i in 0..2_500 {
        memory
            .put(&format!("big/d={}/{i:04}.json", i % 3), vec![b' '; i % 5])
            .await;
    }
    for (key, bytes) in [
        ("x/a.json", "{}"),
        ("x/b b[1].json", "{}"),
        ("x/.crc.json", "{}"),
        ("x/_SUCCESS", ""),
        ("x/_log/0.json", "{}"),
        ("x/note.txt", "{}"),
        ("x/mark", ""),
        ("x/y/100%.csv.gz", "{}"),
        ("x/y/z/c.parquet", "{}"),
        ("xx/a.json", "{}"),
    ] {
        memory.put(key, bytes.into()).await;
    }
    let names = async |input: &str| -> Result<Vec<String>, FilesError> {
        let inputs = canonical(&[input.into()], &memory)?;
        let found = list(&inputs, &memory).await?;
        Ok(found.into_iter().map(|f| f.path).collect())
    };
    assert_eq!(names("s3://b/big/").await.unwrap().len(), 2_500);
    assert_eq!(names("s3://b/big/d=1/*.json").await.unwrap().len(), 833);
    let folder = names("s3://b/x").await.unwrap();
    assert_eq!(
        folder,
        [
            "s3://b/x/a.json",
            "s3://b/x/b%20b%5B1%5D.json",
            "s3://b/x/y/100%25.csv.gz",
            "s3://b/x/y/z/c.parquet",
        ]
    );
    for (input, want) in [
        (
            "s3://b/x/*",
            &[
                "a.json",
                "b%20b%5B1%5D.json",
                "note.txt",
                "y/100%25.csv.gz",
                "y/z/c.parquet",
            ][..],
        ),
        ("s3://b/x/*.json", &["a.json", "b%20b%5B1%5D.json"]),
        ("s3://b/x/**/*.parquet", &["y/z/c.parquet"]),
        ("s3://b/x/_log/", &["_log/0.json"]),
        ("s3://b/x/_log/0.json", &["_log/0.json"]),
        ("s3://b/x/note.txt", &["note.txt"]),
        ("s3://b/x/mark", &["mark"]),
        ("s3://b/x/b b%5B1%5D.json", &["b%20b%5B1%5D.json"]),
    ] {
        let want: Vec<String> = want.iter().map(|name| format!("s3://b/x/{name}")).collect();
        assert_eq!(names(input).await.unwrap(), want, "{input}");
    }
    // What a listing names reads as that object alone.
    for name in folder {
        assert_eq!(names(&name).await.unwrap(), [name]);
    }
    for none in [
        "s3://b/x/none.json",
        "s3://b/none/",
        "s3://b/x/*.none",
        "s3://b/x/a.json/",
    ] {
        let error = names(none).await.unwrap_err();
        assert!(
            matches!(&error, FilesError::NoMatch(input) if input == none),
            "{error}"
        );
    }
}

/// Some mark a folder by an empty object under its own name, some by one whose name is listed without its slash.
#[tokio::test]
async fn marks_of_folders_are_no_inputs() {
    let memory = Memory::default();
    for (key, bytes) in [
        ("in", ""),
        ("in/a.json", "{}"),
        ("in/b.parquet", ""),
        ("in/b.parquet-old/c.json", "{}"),
        ("in/b.parquet/part.parquet", "{}"),
        ("in/d.json", ""),
        ("in/e.json", ""),
        ("bare", ""),
        ("bare/note.txt", "{}"),
        ("lone", ""),
    ] {
        memory.put(key, bytes.into()).await;
    }
    let names = async |input: &str| -> Result<Vec<String>, FilesError> {
        let found = list(&[input.to_owned()], &memory).await?;
        Ok(found.into_iter().map(|f| f.path).collect())
    };
    // The last one is `in/e.json/`.
    let missing = Fault::Fail(Failure::NotFound);
    memory
        .0
        .add(Rule::on(Operation::Get, missing).path("in/e.json"));
    let inputs = [
        "s3://b/in/a.json",
        "s3://b/in/b.parquet-old/c.json",
        "s3://b/in/b.parquet/part.parquet",
        "s3://b/in/d.json",
    ];
    for folder in ["s3://b/in", "s3://b/in/", "s3://b/in/*"] {
        assert_eq!(names(folder).await.unwrap(), inputs, "{folder}");
    }
    assert_eq!(names("s3://b/in/b.parquet").await.unwrap(), [inputs[2]]);
    assert_eq!(names("s3://b/lone").await.unwrap(), ["s3://b/lone"]);
    let nothing = names("s3://b/bare").await.unwrap_err();
    assert!(matches!(nothing, FilesError::NoMatch(_)), "{nothing}");
    // Whoever may not list takes the name at its word.
    let denied = Fault::Fail(Failure::PermissionDenied);
    memory.0.add(Rule::on(Operation::List, denied));
    assert_eq!(names("s3://b/lone").await.unwrap(), ["s3://b/lone"]);
}

#[tokio::test]
async fn a_name_that_cannot_be_read_is_told_with_the_way_on() {
    let memory = Memory::default();
    memory.put("x/a.json", b"{}".to_vec()).await;
    let broken = Fault::Fail(Failure::InvalidPath);
    memory.0.add(Rule::on(Operation::List, broken));
    let error = list(&["s3://b/x/".to_owned()], &memory).await.unwrap_err();
    assert!(matches!(error, FilesError::BadObjectName { .. }), "{error}");
    assert_eq!(error.kind(), Kind::InvalidData);
    assert!(error.to_string().contains("rename that object"), "{error}");
    assert!(error.to_string().contains("s3://b/x/"), "{error}");
}

/// Whoever may not list a bucket reads an object by its name, and is told what right is missing for others.
#[tokio::test]
async fn a_right_that_is_missing_is_not_taken_for_nothing_there() {
    let memory = Memory::default();
    memory.put("x/a.json", b"{}".to_vec()).await;
    let listed = async |input: &str| list(&[input.to_owned()], &memory).await;
    let denied = Fault::Fail(Failure::PermissionDenied);
    memory.0.add(Rule::on(Operation::List, denied));
    assert_eq!(listed("s3://b/x/a.json").await.unwrap().len(), 1);
    for input in ["s3://b/x/", "s3://b/x", "s3://b/x/*"] {
        assert_eq!(listed(input).await.unwrap_err().kind(), Kind::Unauthorized);
    }
    memory.0.reset();
    memory.0.add(Rule::on(Operation::Get, denied));
    assert_eq!(
        listed("s3://b/x").await.unwrap().len(),
        1,
        "a folder needs listing alone"
    );
    assert_eq!(
        listed("s3://b/x/none.json").await.unwrap_err().kind(),
        Kind::Unauthorized
    );
    memory.0.reset();
    memory
        .0
        .add(Rule::on(Operation::List, Fault::Fail(Failure::Unavailable)).times(2));
    assert_eq!(listed("s3://b/x/").await.unwrap().len(), 1, "asked again");
}
