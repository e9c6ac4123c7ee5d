//! The types that attributes name, and the lifetimes in them.

use proc_macro2::{Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Lifetime, Lit, Result, Type, TypePath};

/// What stands where a type is expected, bare or in a string.
pub(crate) struct TypeName {
    tokens: TokenStream,
    ty: Option<Type>,
}

impl Parse for TypeName {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(Lit) {
            let literal: Lit = input.parse()?;
            let ty = match &literal {
                Lit::Str(literal) => literal.parse().ok(),
                _ => None,
            };
            return Ok(Self { tokens: literal.into_token_stream(), ty });
        }
        let ty: Type = input.parse()?;
        Ok(Self { tokens: ty.to_token_stream(), ty: Some(ty) })
    }
}

impl TypeName {
    /// The type, if it is one that a value can be decoded into.
    pub(crate) fn ty(self, expected: &str) -> Result<Type> {
        self.ty.filter(is_value).ok_or_else(|| Error::new_spanned(self.tokens, expected))
    }
}

/// Whether a type may be that of a reply: a path, a tuple or an array of such.
fn is_value(ty: &Type) -> bool {
    match ty {
        Type::Path(_) | Type::Macro(_) => true,
        Type::Tuple(tuple) => tuple.elems.iter().all(is_value),
        Type::Array(array) => is_value(&array.elem),
        Type::Group(group) => is_value(&group.elem),
        Type::Paren(paren) => is_value(&paren.elem),
        _ => false,
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

/// Rejects a type that borrows: what is received and kept can't borrow from the buffer that its message arrived in.
/// `what` names the type in the error.
pub(crate) fn check_owned(what: &str, ty: &impl ToTokens, errors: &mut Vec<Error>) {
    if let Some(lifetime) = lifetimes(ty).into_iter().find(|lifetime| lifetime.ident != "static") {
        errors.push(Error::new_spanned(
            &lifetime,
            format_args!("{what} is an owned type: remove the lifetime `{lifetime}`"),
        ));
    }
}

/// All lifetimes in a type, however deep.
pub(crate) fn lifetimes(ty: &impl ToTokens) -> Vec<Lifetime> {
    let mut found = Vec::new();
    map_lifetimes(ty.to_token_stream(), &mut |lifetime| {
        found.push(lifetime.clone());
        lifetime
    });
    found
}

/// The type with another lifetime in place of each but `'static`.
pub(crate) fn with_lifetime(ty: &impl ToTokens, replacement: &str) -> TokenStream {
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
