//! The dependencies of the library are those that the README states.

use std::process::Command;

/// The crates of a default build, the library included. Cargo has downloaded all of them once the library is built.
fn crates() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "socket-ipc", "--edges", "normal,build", "--prefix", "none"])
        .args(["--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut crates: Vec<_> =
        text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    crates.sort();
    crates.dedup();
    crates
}

#[test]
fn default_build_has_the_documented_number_of_crates() {
    let default = crates();
    let manifest = include_str!("../../socket-ipc/Cargo.toml");
    let lines = manifest.lines().filter(|line| line.contains("optional = true"));
    let optional: Vec<_> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(optional.contains(&"clap") && optional.contains(&"schemars"), "{optional:?}");
    for optional in optional {
        assert!(!default.iter().any(|name| name == optional), "{optional} is in a default build");
    }
    let readme = include_str!("../../README.md").replace('\n', " ");
    let documented = format!("a default build has {} crates", default.len());
    assert!(readme.contains(&documented), "the README does not say: {documented}");
}
