//! The book can be read from the first chapter to the last: each has an example and leads on to the next.

use std::path::Path;

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The chapters, in the order of the table of contents.
fn chapters() -> Vec<String> {
    let contents = document("socket-ipc/src/guide/mod.rs");
    let rows = contents.lines().filter_map(|line| line.strip_prefix("//! | [")?.split_once("] | "));
    rows.map(|(name, _)| name.to_owned()).collect()
}

fn text(chapter: &str) -> String {
    let files: &[&str] = match chapter {
        "blocking" => &["blocking.md", "blocking_calls.md"],
        _ => &[&format!("{chapter}.md")],
    };
    files.iter().map(|file| document(&format!("socket-ipc/src/guide/{file}"))).collect()
}

#[test]
fn chapter_ends_with_a_link_to_the_next() {
    let chapters = chapters();
    assert!(chapters.len() >= 20, "the table of contents was not found: {chapters:?}");
    for (chapter, next) in chapters.iter().zip(chapters.iter().skip(1)) {
        let text = text(chapter);
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(
            last.starts_with("Next: ") && last.contains(&format!("](super::{next})")),
            "{chapter}: {last}"
        );
    }
}

#[test]
fn chapter_has_an_example() {
    for chapter in chapters() {
        let has_example = chapter == "blocking" || text(&chapter).contains("\n```");
        assert!(has_example, "{chapter} has no example");
    }
}

#[test]
fn crate_page_and_modules_have_every_chapter() {
    let (page, modules) = (document("socket-ipc/src/lib.rs"), document("socket-ipc/src/guide/mod.rs"));
    let (_, modules) = modules.split_once("\nchapters! {").unwrap();
    let mut files: Vec<_> =
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("socket-ipc/src/guide"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter_map(|name| name.strip_suffix(".md").map(str::to_owned))
            .filter(|name| name != "blocking_calls")
            .collect();
    for chapter in chapters() {
        assert!(page.contains(&format!("](guide::{chapter})")), "the crate's page lacks {chapter}");
        assert!(modules.split_whitespace().any(|word| word == chapter), "{chapter} is no module");
        files.retain(|file| *file != chapter);
    }
    assert_eq!(files, [""; 0], "chapters that the table of contents lacks");
}
