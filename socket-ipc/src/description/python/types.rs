//! Types of Python, and how they combine.

use std::collections::BTreeSet;

use super::text::quoted;

/// Longer lines are divided, as formatters of Python do.
pub(super) const MAX_LINE_LEN: usize = 110;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Type {
    Any,
    /// No value has this type.
    Never,
    /// `None`, `int` and the like.
    Plain(&'static str),
    /// A type that the file declares.
    Declared(String),
    List(Box<Type>),
    /// An object with keys of any name.
    Dict(Box<Type>),
    /// The text of a literal.
    Literal(String),
    Union(Vec<Type>),
}

impl Type {
    pub(super) fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    pub(super) fn dict(value: Self) -> Self {
        Self::Dict(Box::new(value))
    }

    /// The text of the type, where annotations are not evaluated.
    pub(super) fn text(&self) -> String {
        self.written(&|name| name.to_owned())
    }

    /// The text of the type as a value: types that are not declared yet are in quotes.
    pub(super) fn value(&self, declared: &BTreeSet<String>) -> String {
        let name = |name: &str| reference(name, declared);
        match self {
            // Neither a text nor `None` would be a type.
            Self::Declared(of) if !declared.contains(of) => format!("Union[{}]", name(of)),
            Self::Plain("None") => "Union[None]".to_owned(),
            _ => self.written(&name),
        }
    }

    /// The value, with a line for each member of a union that is too long for one. `indent` is what stands before it.
    pub(super) fn fitting(&self, declared: &BTreeSet<String>, indent: usize) -> String {
        let line = self.value(declared);
        match self {
            Self::Union(members) if indent + line.len() > MAX_LINE_LEN => {
                let texts = Self::texts(members, &|name| reference(name, declared));
                let lines: String = texts.iter().map(|text| format!("    {text},\n")).collect();
                format!("Union[\n{lines}]")
            }
            _ => line,
        }
    }

    fn written(&self, name: &dyn Fn(&str) -> String) -> String {
        match self {
            Self::Any => "Any".to_owned(),
            Self::Never => "NoReturn".to_owned(),
            Self::Plain(text) => (*text).to_owned(),
            Self::Declared(of) => name(of),
            Self::List(item) => format!("list[{}]", item.written(name)),
            Self::Dict(value) => format!("dict[str, {}]", value.written(name)),
            Self::Literal(text) => format!("Literal[{text}]"),
            Self::Union(members) => {
                let texts = Self::texts(members, name);
                match &*texts {
                    [text] => text.clone(),
                    [text, none] if none == "None" => format!("Optional[{text}]"),
                    _ => format!("Union[{}]", texts.join(", ")),
                }
            }
        }
    }

    /// The texts of the members of a union. The literals are one.
    fn texts(members: &[Self], name: &dyn Fn(&str) -> String) -> Vec<String> {
        let literals: Vec<&str> = members.iter().filter_map(Self::literal).collect();
        let mut texts: Vec<String> = Vec::new();
        if !literals.is_empty() {
            texts.push(format!("Literal[{}]", literals.join(", ")));
        }
        let others = members.iter().filter(|member| member.literal().is_none());
        texts.extend(others.map(|member| member.written(name)));
        texts
    }

    fn literal(&self) -> Option<&str> {
        if let Self::Literal(text) = self { Some(text) } else { None }
    }
}

/// A declared type as a value: in quotes if it is declared further below.
fn reference(name: &str, declared: &BTreeSet<String>) -> String {
    if declared.contains(name) { name.to_owned() } else { quoted(name) }
}

/// The union of types, without duplicates.
pub(super) fn union(types: impl IntoIterator<Item = Type>) -> Type {
    let (mut members, mut seen) = (Vec::new(), BTreeSet::new());
    for member in types {
        let inner = match member {
            Type::Any => return Type::Any,
            Type::Never => continue,
            Type::Union(inner) => inner,
            member => vec![member],
        };
        for member in inner {
            if seen.insert(member.clone()) {
                members.push(member);
            }
        }
    }
    // Last, as people write it.
    members.sort_by_key(|member| *member == Type::Plain("None"));
    match members.len() {
        0 => Type::Never,
        1 => members.remove(0),
        _ => Type::Union(members),
    }
}
