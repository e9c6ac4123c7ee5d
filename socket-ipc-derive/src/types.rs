//! The types that attributes name, and the lifetimes in them.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Lifetime, Lit, Result, Type, TypePath};

/// The value of an attribute where the path of a type is expected, bare or in a string.
pub(crate) struct TypeName {
    tokens: TokenStream,
    path: Option<TypePath>,
}

impl Parse for TypeName {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(Lit) {
            let literal: Lit = input.parse()?;
            let path = match &literal {
                Lit::Str(literal) => literal.parse().ok().as_ref().and_then(type_path),
                _ => None,
            };
            return Ok(Self { tokens: literal.into_token_stream(), path });
        }
        let ty: Type = input.parse()?;
        Ok(Self { path: type_path(&ty), tokens: ty.into_token_stream() })
    }
}

impl TypeName {
    /// Returns the path, or an error for a type that is no path, such as a tuple or a reference.
    pub(crate) fn path(self, expected: &str) -> Result<TypePath> {
        self.path.ok_or_else(|| Error::new_spanned(self.tokens, expected))
    }
}

/// The path of a type, without the invisible group that a macro's fragment (`$topic:ty`) wraps around it.
pub(crate) fn type_path(ty: &Type) -> Option<TypePath> {
    match ty {
        Type::Path(path) => Some(path.clone()),
        Type::Group(group) => type_path(&group.elem),
        _ => None,
    }
}

/// Checks that a type has no lifetime: its values outlive the buffer that they arrived in. The error message names it
/// `what`.
pub(crate) fn check_owned(what: &str, ty: &TypePath, errors: &mut Vec<Error>) {
    if let Some(lifetime) = lifetimes(ty).into_iter().find(|lifetime| lifetime.ident != "static") {
        errors.push(Error::new_spanned(
            &lifetime,
            format_args!("{what} is an owned type: remove the lifetime `{lifetime}`"),
        ));
    }
}

/// All lifetimes in a type, at any depth.
pub(crate) fn lifetimes(ty: &TypePath) -> Vec<Lifetime> {
    let mut found = Vec::new();
    map_lifetimes(ty.to_token_stream(), &mut |lifetime| {
        found.push(lifetime.clone());
        lifetime
    });
    found
}

/// The type with each lifetime replaced, except `'static`.
pub(crate) fn with_lifetime(ty: &TypePath, replacement: &str) -> TokenStream {
    map_lifetimes(ty.to_token_stream(), &mut |mut lifetime| {
        if lifetime.ident != "static" {
            lifetime.ident = Ident::new(replacement, lifetime.ident.span());
        }
        lifetime
    })
}

/// Maps the lifetimes in tokens. Walking the syntax tree instead would take a case for each kind of argument.
fn map_lifetimes(tokens: TokenStream, map: &mut impl FnMut(Lifetime) -> Lifetime) -> TokenStream {
    let mut mapped = TokenStream::new();
    let mut tokens = tokens.into_iter();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(apostrophe) if apostrophe.as_char() == '\'' => {
                // An identifier always follows: every other apostrophe is part of a literal.
                if let Some(TokenTree::Ident(ident)) = tokens.next() {
                    map(Lifetime { apostrophe: apostrophe.span(), ident }).to_tokens(&mut mapped);
                }
            }
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), map_lifetimes(group.stream(), map));
                inner.set_span(group.span());
                mapped.extend([TokenTree::Group(inner)]);
            }
            other => mapped.extend([other]),
        }
    }
    mapped
}
