//! Types of TypeScript, and how they combine.

/// The text of a type, and the operator in it that binds least.
pub(super) struct Type {
    pub(super) text: String,
    binds: Binds,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Binds {
    /// `A | B`
    Union,
    /// `A & B`
    Intersection,
    /// A type without an operator.
    Whole,
}

impl Type {
    pub(super) fn whole(text: impl Into<String>) -> Self {
        Self { text: text.into(), binds: Binds::Whole }
    }

    pub(super) fn unknown() -> Self {
        Self::whole("unknown")
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.text == "unknown"
    }

    /// The text of the type inside an operator, in brackets where that operator would bind more tightly.
    pub(super) fn within(self, binds: Binds) -> String {
        if self.binds < binds { format!("({})", self.text) } else { self.text }
    }
}

/// The union of types, without duplicates. The union of no types is `never`.
pub(super) fn union(types: impl IntoIterator<Item = Type>) -> Type {
    let mut members: Vec<Type> = Vec::new();
    for member in types {
        if member.is_unknown() {
            return member;
        }
        if member.text != "never" && members.iter().all(|other| other.text != member.text) {
            members.push(member);
        }
    }
    if members.len() > 1 {
        let members: Vec<_> = members.into_iter().map(|member| member.within(Binds::Intersection)).collect();
        return Type { text: members.join(" | "), binds: Binds::Union };
    }
    members.pop().unwrap_or_else(|| Type::whole("never"))
}

/// The intersection of types. The intersection of no types is `unknown`.
pub(super) fn intersection(types: impl IntoIterator<Item = Type>) -> Type {
    let mut parts: Vec<_> = types.into_iter().filter(|part| !part.is_unknown()).collect();
    if parts.len() > 1 {
        let parts: Vec<_> = parts.into_iter().map(|part| part.within(Binds::Whole)).collect();
        return Type { text: parts.join(" & "), binds: Binds::Intersection };
    }
    parts.pop().unwrap_or_else(Type::unknown)
}
