//! Reads a method of a block up to its body, and checks that it can be a handler.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, Error, GenericParam, Generics, Lifetime, LitStr, Result, Token, Type, WhereClause,
    parenthesized, token,
};

use crate::types::lifetimes;

/// A method that is the handler of a topic, or was meant to be.
pub(super) struct Method {
    /// `#[cfg(…)]`, which its impl needs, too.
    pub(super) cfgs: Vec<Attribute>,
    pub(super) is_async: bool,
    pub(super) ident: Ident,
    /// The type of its message; `None` where there is none.
    pub(super) topic: Option<Type>,
    /// The type of its context, if it takes one.
    pub(super) context: Option<Type>,
    /// Where a mistake in what it returns is reported: from here to there.
    pub(super) returned: (Span, Span),
    /// It has a mistake, which is reported.
    pub(super) is_wrong: bool,
}

/// What stands before `fn`.
struct Qualifiers {
    is_async: bool,
    unsafety: Option<Token![unsafe]>,
}

impl Parse for Qualifiers {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        input.parse::<Option<Token![const]>>()?;
        let is_async = input.parse::<Option<Token![async]>>()?.is_some();
        let unsafety = input.parse()?;
        if input.parse::<Option<Token![extern]>>()?.is_some() {
            input.parse::<Option<LitStr>>()?;
        }
        input.parse::<Token![fn]>()?;
        Ok(Self { is_async, unsafety })
    }
}

/// Whether a method is next.
pub(super) fn is_next(input: ParseStream<'_>) -> bool {
    input.fork().parse::<Qualifiers>().is_ok()
}

/// Reads a method.
pub(super) fn read(input: ParseStream<'_>, cfgs: Vec<Attribute>, errors: &mut Vec<Error>) -> Result<Method> {
    let before = errors.len();
    let Qualifiers { is_async, unsafety } = input.parse()?;
    let ident = input.call(Ident::parse_any)?;
    let generics: Generics = input.parse()?;
    let arguments;
    parenthesized!(arguments in input);
    let arguments = Arguments::read(&arguments)?;
    let returned = returned(input)?;
    input.parse::<Option<WhereClause>>()?;
    if !input.peek(token::Brace) {
        return Err(input.error(format_args!("expected the body of `{ident}`")));
    }
    input.parse::<TokenTree>()?;

    if let Some(unsafety) = unsafety {
        errors.push(Error::new_spanned(unsafety, "a handler is not `unsafe`: the library calls it"));
    }
    check_generics(&ident, &generics, errors);
    arguments.check(&ident, is_async, errors);
    let ends = returned.unwrap_or((ident.span(), ident.span()));
    let is_wrong = errors.len() > before;
    let mut others = arguments.others.into_iter();
    let (topic, context) = (others.next(), others.next());
    let topic = topic.and_then(|topic| match topic {
        // What was meant is the type behind it.
        Type::Reference(reference) => Some(*reference.elem),
        Type::ImplTrait(_) => None,
        topic => Some(topic),
    });
    Ok(Method { cfgs, is_async, ident, topic, context, returned: ends, is_wrong })
}

/// Where the return type begins and ends, if there is one.
fn returned(input: ParseStream<'_>) -> Result<Option<(Span, Span)>> {
    if input.parse::<Option<Token![->]>>()?.is_none() {
        return Ok(None);
    }
    let ty = input.parse::<Type>()?.into_token_stream();
    let mut spans = ty.into_iter().map(|token| token.span());
    let ends = spans.next().map(|first| (first, spans.last().unwrap_or(first)));
    Ok(ends)
}

/// Rejects generic methods: which topic they handle would depend on the call.
fn check_generics(ident: &Ident, generics: &Generics, errors: &mut Vec<Error>) {
    let generic = generics.params.iter().find(|param| !matches!(param, GenericParam::Lifetime(_)));
    errors.extend(generic.map(|param| {
        Error::new_spanned(
            param,
            format_args!("a handler is for one topic: remove the generic parameters of `{ident}`"),
        )
    }));
}

/// The arguments of a method.
struct Arguments {
    /// The tokens of `self`, as it is taken.
    receiver: Option<Receiver>,
    /// The types of the others.
    others: Vec<Type>,
}

/// `&self`, or another form of it.
struct Receiver {
    tokens: TokenStream,
    is_reference: bool,
    is_mutable: bool,
}

impl Arguments {
    fn read(input: ParseStream<'_>) -> Result<Self> {
        let receiver = read_receiver(input)?;
        let mut others = Vec::new();
        while !input.is_empty() {
            input.call(Attribute::parse_outer)?;
            skip_pattern(input)?;
            others.push(input.parse()?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self { receiver, others })
    }

    /// Rejects what the library does not call.
    fn check(&self, ident: &Ident, is_async: bool, errors: &mut Vec<Error>) {
        match &self.receiver {
            None => {
                errors.push(Error::new(
                    ident.span(),
                    format_args!("a handler takes `&self`: move `{ident}` into another `impl` block"),
                ));
                return;
            }
            Some(Receiver { tokens, is_mutable: true, .. }) => errors.push(Error::new_spanned(
                tokens,
                "a handler takes `&self`, because several connections call it at once: put what changes into a `Mutex`",
            )),
            Some(Receiver { tokens, is_reference: false, .. }) => {
                errors.push(Error::new_spanned(tokens, "a handler takes `&self`: its struct is shared"));
            }
            Some(_) => {}
        }
        let Some(message) = self.others.first() else {
            errors.push(Error::new(
                ident.span(),
                format_args!(
                    "missing message: write its topic as the second argument, `fn {ident}(&self, message: …)`"
                ),
            ));
            return;
        };
        match message {
            Type::Reference(reference) => errors.push(Error::new_spanned(
                message,
                format_args!("a handler owns its message: write `{}`", shown(&reference.elem)),
            )),
            Type::ImplTrait(_) => {
                errors.push(Error::new_spanned(message, "a handler is for one topic: write the type of it"));
            }
            _ => {}
        }
        if let Some(lifetime) = lifetimes(message).into_iter().find(|it| is_async && it.ident != "static")
            && !matches!(message, Type::Reference(_))
        {
            errors.push(Error::new_spanned(
                &lifetime,
                format_args!(
                    "an asynchronous handler outlives the bytes of its message: remove `async` or `{lifetime}`"
                ),
            ));
        }
        if let Some(Type::Reference(reference)) = self.others.get(1) {
            errors.push(Error::new_spanned(
                reference,
                format_args!("a handler owns its context: write `{}`", shown(&reference.elem)),
            ));
        }
        errors.extend(self.others.get(2).map(|surplus| {
            Error::new_spanned(surplus, "a handler takes a message and its context, and nothing else")
        }));
    }
}

/// A type as it is written, without the spaces that tokens get between them.
fn shown(ty: &Type) -> String {
    let text = ty.to_token_stream().to_string();
    [(" :: ", "::"), (" < ", "<"), (" >", ">"), ("< ", "<"), (" ,", ",")]
        .iter()
        .fold(text, |text, (spaced, tight)| text.replace(spaced, tight))
}

/// `&self`, `&mut self`, `&'a self`, `self`, `mut self`, `self: Type`, and the comma after it.
fn read_receiver(input: ParseStream<'_>) -> Result<Option<Receiver>> {
    let ahead = input.fork();
    ahead.call(Attribute::parse_outer)?;
    let reference: Option<Token![&]> = ahead.parse()?;
    if reference.is_some() {
        ahead.parse::<Option<Lifetime>>()?;
    }
    let mutable: Option<Token![mut]> = ahead.parse()?;
    let Ok(itself) = ahead.parse::<Token![self]>() else { return Ok(None) };
    let mut tokens = quote!(#reference #mutable #itself);
    let (mut is_reference, mut is_mutable) = (reference.is_some(), reference.is_some() && mutable.is_some());
    if ahead.parse::<Option<Token![:]>>()?.is_some() {
        let ty: Type = ahead.parse()?;
        ty.to_tokens(&mut tokens);
        (is_reference, is_mutable) = match &ty {
            Type::Reference(reference) if is_self(&reference.elem) => (true, reference.mutability.is_some()),
            _ => (false, false),
        };
    }
    if !ahead.is_empty() {
        ahead.parse::<Token![,]>()?;
    }
    input.advance_to(&ahead);
    Ok(Some(Receiver { tokens, is_reference, is_mutable }))
}

fn is_self(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident("Self"))
}

/// Skips the pattern of an argument and its colon. The name may be any pattern, such as `Submit { command }`.
fn skip_pattern(input: ParseStream<'_>) -> Result<()> {
    while !input.peek(Token![:]) || input.peek(Token![::]) {
        if input.peek(Token![::]) {
            input.parse::<Token![::]>()?;
        } else {
            input.parse::<TokenTree>()?;
        }
    }
    input.parse::<Token![:]>().map(drop)
}
