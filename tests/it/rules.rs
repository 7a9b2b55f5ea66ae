//! Each numbered rule of exactly-once delivery (`exactly-once.md` in comments; ARCHITECTURE.md tells what they keep) has a test
//! that names it: by its function, `rule_9_…` or `rules_2_3_and_5_…`. Comments of the product do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const RULES: u32 = 21;

/// The rules that a test function's name begins with, `rules_2_3_and_5_a_…` giving 2, 3 and 5.
fn rules_of(function: &str) -> Vec<u32> {
    let Some(rest) = function
        .strip_prefix("rule_")
        .or_else(|| function.strip_prefix("rules_"))
    else {
        return Vec::new();
    };
    rest.split('_')
        .filter(|word| *word != "and")
        .map_while(|word| word.parse().ok())
        .collect()
}

/// Names of the functions of a text that are marked as tests, those of `proptest!` included.
fn tests_of(text: &str) -> Vec<&str> {
    let mut marked = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((before, after)) = line.split_once("fn ")
            && ["", "async "].contains(&before)
        {
            if marked {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                found.push(&after[..end.unwrap_or(after.len())]);
            }
            marked = false;
        }
    }
    found
}

fn walk(folder: &Path, named: &mut BTreeMap<u32, BTreeSet<String>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, named);
        } else if path.extension().is_some_and(|ext| ext == "rs") && !path.ends_with("it/rules.rs")
        {
            let text = fs::read_to_string(&path).unwrap();
            for test in tests_of(&text) {
                for rule in rules_of(test) {
                    let place = format!("{test} in {}", path.display());
                    named.entry(rule).or_default().insert(place);
                }
            }
        }
    }
}

#[test]
fn every_rule_has_a_test_that_names_it() {
    let mut named = BTreeMap::new();
    for folder in ["src", "tests/it"] {
        walk(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
            &mut named,
        );
    }
    let lacking: Vec<u32> = (1..=RULES)
        .filter(|rule| !named.contains_key(rule))
        .collect();
    assert!(lacking.is_empty(), "no test names rules {lacking:?}");
    let unknown: Vec<_> = named
        .iter()
        .filter(|(rule, _)| !(1..=RULES).contains(*rule))
        .collect();
    assert!(unknown.is_empty(), "there are no such rules: {unknown:#?}");
}

#[test]
fn names_are_read_from_tests_alone() {
    assert_eq!(rules_of("rule_9_a_mark"), [9]);
    assert_eq!(rules_of("rules_2_3_5_and_6_two_writers"), [2, 3, 5, 6]);
    assert!(rules_of("a_rule_9").is_empty());
    let text = "/// rule 7\nfn rule_1_helper() {}\n#[test]\nfn rule_2_x() {}\nfn rule_3_y() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn rule_4_z() {\n";
    assert_eq!(tests_of(text), ["rule_2_x", "rule_4_z"]);
}
