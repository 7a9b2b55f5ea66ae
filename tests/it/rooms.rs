//! Rooms import only what ARCHITECTURE.md allows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What each room may use beside `error`, `secret`, `event` and `telemetry`.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("event", &[][..]),
        ("telemetry", &[]),
        ("storage", &["databricks"]),
        ("json", &[]),
        ("databricks", &[]),
        ("schema", &[]),
        ("batch", &[]),
        ("route", &["json", "schema"]),
        ("decode", &["json", "schema"]),
        ("write", &["storage"]),
        ("commit", &["storage", "schema"]),
        ("control", &["databricks", "schema", "commit"]),
        ("source", &["json", "storage"]),
        (
            "config",
            &[
                "commit",
                "control",
                "databricks",
                "decode",
                "schema",
                "source",
                "write",
                "storage",
                "route",
            ],
        ),
        (
            "check",
            &[
                "batch",
                "commit",
                "config",
                "control",
                "databricks",
                "decode",
                "json",
                "pipeline",
                "route",
                "schema",
                "source",
                "storage",
                "write",
            ],
        ),
        ("maintain", &["check", "commit", "config", "storage"]),
        (
            "pipeline",
            &[
                "batch",
                "check",
                "commit",
                "config",
                "control",
                "databricks",
                "decode",
                "route",
                "schema",
                "source",
                "storage",
                "write",
            ],
        ),
        (
            "cli",
            &[
                "batch",
                "check",
                "commit",
                "config",
                "control",
                "databricks",
                "decode",
                "maintain",
                "pipeline",
                "route",
                "schema",
                "source",
                "storage",
                "write",
            ],
        ),
    ])
}

const EVERYWHERE: [&str; 4] = ["error", "secret", "event", "telemetry"];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the source folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

/// The rooms that a file's `crate::` paths name, tests left out.
fn used(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut rooms = BTreeSet::new();
    let lines: Vec<&str> = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let code = lines.join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = code[at + "crate::".len()..].trim_start();
        if let Some(group) = rest.strip_prefix('{') {
            rooms.extend(first_names(group));
        } else {
            rooms.extend(name_at(rest));
        }
    }
    rooms
}

fn name_at(text: &str) -> Option<String> {
    let name: String = text
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}

/// The first segment of each entry of a `use crate::{…}` group.
fn first_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut at_start) = (0, Vec::new(), true);
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && !c.is_whitespace() => {
                names.extend(name_at(&group[i..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn no_room_imports_what_it_may_not() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed = allowed();
    let mut faults = Vec::new();
    let mut edges = 0;
    for file in rust_files(&src) {
        let inside = file.strip_prefix(&src).expect("below src");
        let Some(room) = inside
            .components()
            .next()
            .and_then(|c| c.as_os_str().to_str())
            .filter(|room| allowed.contains_key(room))
        else {
            continue;
        };
        let text = fs::read_to_string(&file).expect("a readable file");
        for other in used(&text) {
            edges += 1;
            let ok = other == room
                || EVERYWHERE.contains(&other.as_str())
                || allowed[room].contains(&other.as_str());
            if !ok {
                faults.push(format!("{} uses crate::{other}", inside.display()));
            }
        }
    }
    assert!(edges > 20, "the test reads nothing");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn groups_and_paths_are_both_read() {
    let names = used(
        "use crate::{commit::{Mark, Upload}, error::Error};\nfn f() { crate::write::upload() }",
    );
    let expected: BTreeSet<String> = ["commit", "error", "write"].map(String::from).into();
    assert_eq!(names, expected);
}
