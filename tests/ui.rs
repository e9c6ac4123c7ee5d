//! What the compiler says of a mistake: one a file in `tests/ui`, beside the whole of its message.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages anew; read them before you commit them.

use std::process::Command;

/// The messages around ours are rustc's own, and change from release to release.
const PINNED: &str = "rustc 1.95.";

#[test]
fn every_mistake_says_what_to_write() {
    let version = rustc_version();
    if !version.starts_with(PINNED) {
        let why = format!("they are those of {PINNED}x, this is {version}");
        return support::skip("the compiler's messages", &why);
    }
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/derive/*.rs");
    cases.compile_fail("tests/ui/api/*.rs");
    cases.compile_fail("tests/ui/protocol/*.rs");
}

/// The compiler that cargo runs for the cases.
fn rustc_version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc can be run");
    String::from_utf8(output.stdout).expect("a version is text").trim().to_owned()
}
