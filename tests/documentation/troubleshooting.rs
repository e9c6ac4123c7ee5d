//! The chapter on troubleshooting has every error that a program can meet.

use std::path::Path;

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The variants of the public error enums in a source file, as `Enum::Variant`.
fn variants(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = None;
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("pub enum ") {
            current = rest.split([' ', '<']).next();
        } else if line == "}" {
            current = None;
        }
        let Some(name) = current else { continue };
        let variant = line
            .strip_prefix("    ")
            .filter(|rest| rest.starts_with(|letter: char| letter.is_ascii_uppercase()));
        if let Some(variant) = variant {
            let end = variant.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(variant.len());
            found.push(format!("{name}::{}", &variant[..end]));
        }
    }
    found
}

#[test]
fn chapter_names_every_variant_of_every_error() {
    let chapter = document("socket-ipc/src/guide/troubleshooting.md");
    let sources = [
        "cluster/error.rs",
        "endpoint/reply_error.rs",
        "error/connect.rs",
        "error/fault.rs",
        "error/group.rs",
        "error/listen.rs",
        "error/message.rs",
        "error/register.rs",
        "error/request.rs",
        "error/send.rs",
        "wire/encode.rs",
    ];
    let all: Vec<_> =
        sources.iter().flat_map(|file| variants(&document(&format!("socket-ipc/src/{file}")))).collect();
    assert!(all.len() > 60, "the errors were not found: {all:?}");
    let missing: Vec<_> = all.iter().filter(|variant| !chapter.contains(variant.as_str())).collect();
    assert!(missing.is_empty(), "the chapter lacks {missing:?}");
}
