//! Names of Rust types for error texts.

/// The name of a type without the paths of its modules, which say nothing to the reader of an error, and nothing that a
/// peer should know: `Vec<Job>` for `alloc::vec::Vec<jobs::queue::Job>`.
pub(crate) fn type_name<T: ?Sized>() -> String {
    short_type_name(std::any::type_name::<T>())
}

/// The same for a name with paths.
pub(crate) fn short_type_name(full: &str) -> String {
    let is_path = |character: char| character.is_alphanumeric() || matches!(character, '_' | ':');
    let mut short = String::with_capacity(full.len());
    let mut rest = full;
    while !rest.is_empty() {
        let (path, after) = rest.split_at(rest.find(|character| !is_path(character)).unwrap_or(rest.len()));
        short.push_str(path.rsplit("::").next().unwrap_or(path));
        let other = after.find(is_path).unwrap_or(after.len());
        short.push_str(&after[..other]);
        rest = &after[other..];
    }
    // A lifetime has no name here.
    short.replace("<'_>", "").replace("'_, ", "")
}

#[cfg(test)]
mod tests {
    use super::short_type_name;

    #[test]
    fn short_type_name_has_no_module() {
        for (full, short) in [
            ("jobs::queue::Job", "Job"),
            ("Job", "Job"),
            ("u64", "u64"),
            ("()", "()"),
            ("alloc::vec::Vec<jobs::queue::Job>", "Vec<Job>"),
            ("core::result::Result<(a::B, [c::D; 4]), &e::F>", "Result<(B, [D; 4]), &F>"),
            ("dyn core::fmt::Debug + core::marker::Send", "dyn Debug + Send"),
            ("r\u{e9}sum\u{e9}::\u{c9}tat", "\u{c9}tat"),
            ("logs::Log<'_>", "Log"),
            ("logs::Pair<'_, logs::Log<'_>>", "Pair<Log>"),
            ("", ""),
        ] {
            assert_eq!(short_type_name(full), short);
        }
    }
}
