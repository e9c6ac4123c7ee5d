//! What the library brings with it, as the README says.

use std::process::Command;

/// The crates that a default build of the library has, itself included. All of them are there once it has been built.
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
fn default_build_has_as_many_crates_as_the_readme_says_and_none_of_the_features() {
    let default = crates();
    let manifest = include_str!("../socket-ipc/Cargo.toml");
    let lines = manifest.lines().filter(|line| line.contains("optional = true"));
    let optional: Vec<_> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(optional.contains(&"clap") && optional.contains(&"schemars"), "{optional:?}");
    for optional in optional {
        assert!(!default.iter().any(|name| name == optional), "{optional} is in a default build");
    }
    let readme = include_str!("../README.md").replace('\n', " ");
    let said = format!("a default build has {} crates", default.len());
    assert!(readme.contains(&said), "the README does not say: {said}");
}
