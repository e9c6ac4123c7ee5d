//! The members of a set: a variant for each topic.

use proc_macro2::Ident;
use quote::ToTokens;
use syn::{Data, DeriveInput, Error, Fields, Type, Variant};

/// One variant.
pub(super) struct Member<'a> {
    pub(super) variant: &'a Ident,
    /// The topic that it holds.
    pub(super) topic: &'a Type,
}

/// Reads the variants.
pub(super) fn read<'a>(input: &'a DeriveInput, errors: &mut Vec<Error>) -> Vec<Member<'a>> {
    let kind = match &input.data {
        Data::Enum(data) if data.variants.is_empty() => {
            let text = format!("a topic set has a variant for each topic: add one to `{}`", input.ident);
            errors.push(Error::new(input.ident.span(), text));
            return Vec::new();
        }
        Data::Enum(data) => {
            let members: Vec<_> =
                data.variants.iter().filter_map(|variant| member(variant, errors)).collect();
            check_once(&members, errors);
            return members;
        }
        Data::Struct(_) => "struct",
        Data::Union(_) => "union",
    };
    let text = format!("a {kind} cannot be a topic set; use an enum with a variant for each topic");
    errors.push(Error::new(input.ident.span(), text));
    Vec::new()
}

fn member<'a>(variant: &'a Variant, errors: &mut Vec<Error>) -> Option<Member<'a>> {
    if let Fields::Unnamed(fields) = &variant.fields
        && let (Some(field), 1) = (fields.unnamed.first(), fields.unnamed.len())
    {
        return Some(Member { variant: &variant.ident, topic: &field.ty });
    }
    let name = &variant.ident;
    let text = format!("a variant of a topic set holds one topic: write `{name}(…)` with its type");
    errors.push(Error::new_spanned(variant, text));
    None
}

/// A type that two variants hold is a line that was copied and not changed.
fn check_once(members: &[Member<'_>], errors: &mut Vec<Error>) {
    let mut seen = Vec::new();
    for member in members {
        let text = member.topic.to_token_stream().to_string();
        if seen.contains(&text) {
            errors.push(Error::new_spanned(
                member.topic,
                "an earlier variant holds this topic: remove one of the two",
            ));
        } else {
            seen.push(text);
        }
    }
}
