//! The compiler's message for each mistake. A file in `tests/ui` holds one mistake; the file beside it holds the message.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages anew. Read them before you commit them.

use std::process::Command;

/// The text around our messages is rustc's own, and changes between releases.
const PINNED: &str = "rustc 1.95.";

#[test]
fn compile_errors_say_what_to_write() {
    let version = rustc_version();
    if !version.starts_with(PINNED) {
        let why = format!("they are those of {PINNED}x, this is {version}");
        return support::skip("the compiler's messages", &why);
    }
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/derive/*.rs");
    cases.compile_fail("tests/ui/api/*.rs");
    cases.compile_fail("tests/ui/protocol/*.rs");
    cases.compile_fail("tests/ui/handlers/*.rs");
}

/// The compiler that cargo runs for the cases.
fn rustc_version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc can be run");
    String::from_utf8(output.stdout).expect("a version is text").trim().to_owned()
}
