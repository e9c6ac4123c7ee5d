//! The documented guarantees and the catalogue of attacks name tests that exist.

use std::collections::HashSet;
use std::path::Path;

/// A document of the repository.
fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The rows of all tables in a text, without the headings.
fn rows(text: &str) -> Vec<&str> {
    let lines: Vec<_> = text.lines().collect();
    let is_row = |at: &usize| lines[*at].starts_with("| ");
    let is_heading = |at: usize| lines.get(at + 1).is_some_and(|next| next.starts_with("|---"));
    (0..lines.len()).filter(is_row).filter(|at| !is_heading(*at)).map(|at| lines[at]).collect()
}

/// The tests that a text names. Fails if one does not exist.
fn tests_named(text: &str) -> Vec<&str> {
    let named: Vec<_> = text.split('`').filter(|code| code.contains(".rs::")).collect();
    for test in &named {
        let (file, name) = test.split_once(".rs::").unwrap();
        assert!(document(&format!("{file}.rs")).contains(&format!("fn {name}(")), "no `{name}` in {file}.rs");
    }
    named
}

#[test]
fn guarantee_of_the_chapter_names_existing_tests() {
    let chapter = document("socket-ipc/src/guide/guarantees.md");
    assert!(rows(&chapter).len() >= 10, "the table of guarantees was not found");
    let subjects = rows(&chapter).into_iter().map(|row| row.split('|').nth(1)).collect::<HashSet<_>>();
    assert_eq!(subjects.len(), rows(&chapter).len(), "two guarantees of one subject");
    for row in rows(&chapter) {
        assert!(!tests_named(row).is_empty(), "no test for this guarantee: {row}");
    }
}

#[test]
fn promise_of_the_cluster_chapter_names_existing_tests() {
    let chapter = document("socket-ipc/src/guide/cluster.md");
    let promises = chapter.split("\n# ").find(|section| section.starts_with("What is promised?")).unwrap();
    assert!(rows(promises).len() >= 11, "the table of promises was not found");
    for row in rows(promises) {
        assert!(!tests_named(row).is_empty(), "no test for this promise: {row}");
    }
}

#[test]
fn catalogue_case_names_existing_tests() {
    let catalogue = document("tests/README.md");
    let all = rows(&catalogue);
    for (letter, last, beside) in [
        ("I", 24, None),
        ("O", 10, Some("O5b")),
        ("F", 28, None),
        ("C", 12, None),
        ("L", 14, Some("L4b")),
        ("S", 18, None),
        ("Q", 25, None),
        ("G", 8, None),
        ("N", 23, None),
    ] {
        let ids = (1..=last).map(|number| format!("{letter}{number}"));
        for id in ids.chain(beside.map(str::to_owned)) {
            let found: Vec<_> = all.iter().filter(|row| row.starts_with(&format!("| {id} |"))).collect();
            assert_eq!(found.len(), 1, "{id} in the catalogue");
            // L9 is a macro that other tests use, L14 is a build.
            assert!(
                !tests_named(found[0]).is_empty() || ["L9", "L14"].contains(&&*id),
                "no test for this case: {id}"
            );
        }
    }
    let known = catalogue.split("## Known bugs of others, replayed").nth(1).unwrap();
    for row in rows(known.split("\n## ").next().unwrap()) {
        let made_by = row.rsplit(" | ").next().unwrap();
        let cases = made_by.trim_end_matches(" |").split(", ");
        let refers = cases.into_iter().any(|id| all.iter().any(|row| row.starts_with(&format!("| {id} |"))));
        assert!(refers || !tests_named(row).is_empty() || made_by.starts_with("the versions"), "{row}");
    }
    assert!(tests_named(&catalogue).len() > 100);
}
