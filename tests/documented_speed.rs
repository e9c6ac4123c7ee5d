//! What the documentation says a message costs is what is counted.

use std::fs;
use std::path::Path;

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_table_of_instructions_is_the_baseline() {
    let page = document("socket-ipc/src/how_fast.md");
    let table = page.split("| | instructions |").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let said: Vec<_> = rows.map(|row| row.replace(" | ", ": ").replace(',', "")).collect();
    let baseline = document("socket-ipc/benches/instructions.txt");
    let counted: Vec<_> = baseline.lines().skip(1).map(|line| line.replace(',', "")).collect();
    assert!(!counted.is_empty());
    assert_eq!(said, counted);
}
