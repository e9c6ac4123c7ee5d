//! What the library brings with it, as the README says.

use std::process::Command;

/// The crates that a build of the library has, itself included.
fn crates(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "-p",
            "socket-ipc",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--locked",
            "--offline",
        ])
        .args(arguments)
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
fn a_default_build_has_as_many_crates_as_the_readme_says_and_none_of_the_features() {
    let default = crates(&[]);
    for optional in ["clap", "schemars", "jiff", "nix"] {
        assert!(!default.iter().any(|name| name == optional), "{optional} is in a default build");
    }
    let whole = crates(&["--features", "cli"]);
    assert!(whole.iter().any(|name| name == "clap"), "the feature brings it");
    let readme = include_str!("../README.md").replace('\n', " ");
    let said = format!("a default build has {} crates", default.len());
    assert!(readme.contains(&said), "the README does not say: {said}");
}
