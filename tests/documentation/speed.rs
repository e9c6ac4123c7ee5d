//! The documented cost of a message is the measured one.

use std::fs;
use std::path::Path;

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn documented_instructions_are_those_of_the_baseline() {
    let page = document("socket-ipc/src/guide/performance.md");
    let table = page.split("| | instructions |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let documented: Vec<_> = rows.map(|row| row.replace(" | ", ": ").replace(',', "")).collect();
    let baseline = document("socket-ipc/benches/instructions.txt");
    let counted: Vec<_> = baseline.lines().skip(1).map(|line| line.replace(',', "")).collect();
    assert!(!counted.is_empty());
    assert_eq!(documented, counted);
}

#[test]
fn readme_figure_is_that_of_the_performance_chapter() {
    let page = document("socket-ipc/src/guide/performance.md");
    let row = page.lines().find_map(|line| line.strip_prefix("| socket-ipc, current thread | ")).unwrap();
    let figure = row.split(" (").next().unwrap();
    let readme = document("README.md");
    assert!(readme.contains(&format!("takes {figure} small messages a second")), "the README lacks {figure}");
}

#[test]
fn readme_is_one_screen_of_text_and_a_few_examples() {
    let count = document("README.md").lines().count();
    assert!(count <= 160, "the README has {count} lines: what is new belongs in the book");
}
