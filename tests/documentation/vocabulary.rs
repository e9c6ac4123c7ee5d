//! Words that must not come back: one thing has one name, in code and in text.

use std::fs;
use std::path::{Path, PathBuf};

/// Identifiers that have another name now: whole words, in code.
const IDENTIFIERS: [&str; 53] = [
    "Answer",
    "AskError",
    "Asker",
    "Begun",
    "ClientState",
    "EVENTS_LEN",
    "EndInsideMessages",
    "EndLength",
    "Figures",
    "HELD_BACK_LEN",
    "Heard",
    "Hears",
    "HearsAll",
    "LookAhead",
    "NotInTime",
    "OUTBOX_MARK",
    "QuestionUndecodable",
    "Questions",
    "Refusal",
    "Reporter",
    "RequestRefused",
    "RespondError",
    "SPARES",
    "Spares",
    "Unanswered",
    "alarm",
    "answer_at_the_end",
    "asker",
    "askers",
    "count_ends",
    "encoded_answer",
    "encoded_refusal",
    "figures",
    "hear",
    "hear_one_pass",
    "how_fast",
    "late_answer",
    "late_answers",
    "look_ahead",
    "may_be_answer",
    "on_unheard",
    "outbox_most",
    "question",
    "questions",
    "raw_messages",
    "refusal",
    "refusals",
    "refuse_path",
    "spares",
    "take_answer",
    "unheard",
    "who_answers",
    "whoever",
];

/// Phrases, in text for people.
const PHRASES: [&str; 12] = [
    "whoever asks",
    "whoever hears",
    "those who ask",
    "the asker",
    "under way",
    "at work for",
    "the other side",
    "this side",
    "both sides",
    "who hears",
    "is heard by",
    "answers that arrive",
];

/// The exceptions: a file, and the word that is right there; an empty word stands for all.
const EXCEPTIONS: [(&str, &str); 2] = [("tests/documentation/vocabulary.rs", ""), ("CHANGELOG.md", "")];

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", "corpus", ".git"].contains(&&*name) {
                files(&path, found);
            }
        } else if name.ends_with(".rs") || name.ends_with(".md") {
            found.push(path);
        }
    }
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).filter(|word| !word.is_empty())
}

#[test]
fn sources_use_no_replaced_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(root, &mut found);
    assert!(found.len() > 200, "the sources were not found: {}", found.len());
    let mut wrong = Vec::new();
    for path in found {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let excepted = |word: &str| {
            EXCEPTIONS.iter().any(|(file, but)| *file == name && (but.is_empty() || *but == word))
        };
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let in_words = words(line).filter(|word| name.ends_with(".rs") && IDENTIFIERS.contains(word));
            let lower = line.to_lowercase();
            let in_phrases = PHRASES.into_iter().filter(|phrase| lower.contains(phrase));
            for word in in_words.chain(in_phrases).filter(|word| !excepted(word)) {
                wrong.push(format!("{name}:{}: {word}", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{} old words:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn test_names_are_short_and_no_prose() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for directory in ["tests", "socket-ipc/tests"] {
        files(&root.join(directory), &mut found);
    }
    let prose = ["a_", "an_", "the_", "what_", "whoever_", "whatever_", "it_", "one_", "of_", "those_"];
    let mut wrong = Vec::new();
    for path in found.iter().filter(|path| !path.components().any(|part| part.as_os_str() == "ui")) {
        let text = fs::read_to_string(path).unwrap();
        for name in text.lines().filter_map(|line| {
            let line = line.trim_start().trim_start_matches("async ");
            line.strip_prefix("fn ")?.split_once("() {").map(|(name, _)| name)
        }) {
            if name.len() > 70
                || (name.matches('_').count() >= 3 && prose.iter().any(|word| name.starts_with(word)))
            {
                wrong.push(format!("{}: {name}", path.strip_prefix(root).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} names are prose:\n{}", wrong.len(), wrong.join("\n"));
}
