//! What the README guarantees names the tests that hold it: they exist.

use std::path::Path;

#[test]
fn every_guarantee_of_the_readme_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let table = readme.split("## What it guarantees").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ") && line.contains(". |")).collect();
    assert!(rows.len() >= 10, "the table of guarantees was not found");
    for row in rows {
        let names: Vec<_> = row.split('`').filter_map(|code| code.split_once(".rs::")).collect();
        assert!(!names.is_empty(), "no test holds this: {row}");
        for (file, name) in names {
            let path = root.join(file).with_extension("rs");
            let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}.rs: {error}"));
            assert!(source.contains(&format!("fn {name}(")), "no `{name}` in {file}.rs");
        }
    }
}
