//! Reads an `impl` block: its head, and of each method what stands before the body.
//!
//! Bodies stay the tokens that they are. So a body that is half typed is no mistake here, and the library needs no parser
//! for expressions.

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Error, Generics, Result, Token, Type, Visibility, braced, token};

use super::method::{self, Method};
use crate::keys::skip;

/// An `impl` block.
pub(super) struct Block {
    /// `#[cfg(…)]` of the block itself, which its impls need, too.
    pub(super) cfgs: Vec<Attribute>,
    pub(super) generics: Generics,
    pub(super) ty: Type,
    pub(super) methods: Vec<Method>,
}

/// Reads the block. `None`, with a mistake, where there is none.
pub(super) fn read(item: TokenStream, errors: &mut Vec<Error>) -> Option<Block> {
    let head = Head::parse.parse2(item).map_err(|error| errors.push(error)).ok()?;
    let Head { cfgs, generics, ty, body } = head;
    let mut methods = Vec::new();
    let read = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if let Err(error) = read_item(input, &mut methods, errors) {
                errors.push(error);
                skip_item(input)?;
            }
        }
        Ok(())
    };
    if let Err(error) = read.parse2(body) {
        errors.push(error);
    }
    Some(Block { cfgs, generics, ty, methods })
}

/// What stands before the methods, and their tokens.
struct Head {
    cfgs: Vec<Attribute>,
    generics: Generics,
    ty: Type,
    body: TokenStream,
}

impl Parse for Head {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let cfgs = cfgs(input.call(Attribute::parse_outer)?);
        let (start, unsafety) = (input.span(), input.parse::<Option<Token![unsafe]>>()?);
        if unsafety.is_some() || !input.peek(Token![impl]) {
            skip(input, |_| false)?;
            return Err(Error::new(
                start,
                "`#[handlers]` belongs above an `impl` block, such as `impl Desk`",
            ));
        }
        input.parse::<Token![impl]>()?;
        // `impl<T> ..` and not `impl <T as Trait>::Type ..`.
        let mut generics: Generics = input.parse()?;
        let ty: Type = input.parse()?;
        if input.peek(Token![for]) {
            skip(input, |_| false)?;
            return Err(Error::new_spanned(
                ty,
                "`#[handlers]` belongs above an `impl` block of the struct itself, without a trait",
            ));
        }
        generics.where_clause = input.parse()?;
        let body;
        braced!(body in input);
        Ok(Self { cfgs, generics, ty, body: body.parse()? })
    }
}

/// The attributes that say whether an item exists.
pub(super) fn cfgs(attributes: Vec<Attribute>) -> Vec<Attribute> {
    attributes.into_iter().filter(|attribute| attribute.path().is_ident("cfg")).collect()
}

/// Reads a method, or skips an item that is none.
fn read_item(input: ParseStream<'_>, methods: &mut Vec<Method>, errors: &mut Vec<Error>) -> Result<()> {
    let attributes = input.call(Attribute::parse_outer)?;
    input.parse::<Visibility>()?;
    if method::is_next(input) {
        methods.push(method::read(input, cfgs(attributes), errors)?);
        return Ok(());
    }
    // A constant, a type or a macro: no method, so no handler.
    if input.peek(Token![const]) || input.peek(Token![type]) {
        skip(input, |input| input.peek(Token![;]))?;
        return input.parse::<Token![;]>().map(drop);
    }
    skip(input, is_end)?;
    if input.is_empty() { Err(input.error("expected a method")) } else { skip_item(input) }
}

/// Whether the end of an item is next: a semicolon, or a block in braces.
fn is_end(input: ParseStream<'_>) -> bool {
    input.peek(Token![;]) || input.peek(token::Brace)
}

/// Skips to the end of an item.
fn skip_item(input: ParseStream<'_>) -> Result<()> {
    skip(input, is_end)?;
    if !input.is_empty() {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}
