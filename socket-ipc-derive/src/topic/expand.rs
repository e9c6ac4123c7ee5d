//! Checks a type and writes its impls: its topic, the type of a received message, and the reply.

use std::mem;

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{
    BoundLifetimes, ConstParam, Data, DeriveInput, Error, GenericParam, Generics, Lifetime, LitStr, Path,
    PredicateType, Type, TypeParam, TypeParamBound, WherePredicate,
};

use super::attr::{self, TopicAttribute};
use super::request::Request;
use crate::mistakes::reported;

/// Writes `impl Topic` and the impls that go with it, preceded by every mistake that was found.
///
/// With mistakes the impls are a stand-in, so that uses of the type give no further errors.
pub(crate) fn topic(input: &DeriveInput) -> TokenStream {
    let mut errors = Vec::new();
    let attribute = attr::read(input, &mut errors);
    check_kind(input, &mut errors);
    check_one_lifetime(&input.generics, &mut errors);
    check_lifetime_is_free(&input.generics, &mut errors);
    check_types_are_static(&input.generics, &mut errors);

    check_request_is_owned(&input.generics, &attribute, &mut errors);

    let errors = reported(errors);
    let implementations = implementations(input, attribute);
    quote!(#errors #implementations)
}

/// Rejects a union: a message could not say which of its fields it holds.
fn check_kind(input: &DeriveInput, errors: &mut Vec<Error>) {
    if let Data::Union(_) = input.data {
        errors.push(Error::new(input.ident.span(), "a union cannot be a topic; use a struct or an enum"));
    }
}

/// Rejects a second lifetime: `Message<'m>` replaces only the lifetime of the bytes that the message arrived in.
fn check_one_lifetime(generics: &Generics, errors: &mut Vec<Error>) {
    let surplus = generics.lifetimes().skip(1);
    errors.extend(surplus.map(|param| {
        Error::new_spanned(&param.lifetime, "a topic borrows from one buffer: use one lifetime")
    }));
}

/// Rejects `'a: 'static`: the bytes of a message do not live as long as the program.
fn check_lifetime_is_free(generics: &Generics, errors: &mut Vec<Error>) {
    if let Some(bound) = static_lifetime_bound(generics) {
        errors.push(Error::new_spanned(
            bound,
            "a topic borrows from a buffer that does not live for `'static`: remove this bound",
        ));
    }
}

/// Rejects a type parameter that may borrow beside a lifetime. `Message<'m>` replaces only the lifetime, and a type
/// argument could live shorter than `'m`.
fn check_types_are_static(generics: &Generics, errors: &mut Vec<Error>) {
    errors.extend(types_not_static(generics).map(|param| {
        let ident = &param.ident;
        Error::new(
            ident.span(),
            format_args!(
                "a type parameter beside a lifetime must not borrow: add the bound `{ident}: 'static`"
            ),
        )
    }));
}

/// Rejects a lifetime on a request: a responder may still run when the buffer that the request arrived in is gone.
fn check_request_is_owned(generics: &Generics, attribute: &TopicAttribute, errors: &mut Vec<Error>) {
    let key = match (&attribute.reply, &attribute.stream) {
        (Some(_), _) => "reply",
        (None, Some(_)) => "stream",
        (None, None) => return,
    };
    // Further lifetimes are reported already.
    errors.extend(generics.lifetimes().next().map(|param| {
        let lifetime = &param.lifetime;
        Error::new_spanned(
            lifetime,
            format_args!("a request is an owned type: remove the lifetime `{lifetime}`, or the `{key}`"),
        )
    }));
}

/// The `'static` of `'a: 'static`, inline or in the where clause.
fn static_lifetime_bound(generics: &Generics) -> Option<&Lifetime> {
    let inline = generics.lifetimes().flat_map(|param| &param.bounds);
    let clause = predicates(generics).filter_map(|predicate| match predicate {
        WherePredicate::Lifetime(predicate) => Some(&predicate.bounds),
        _ => None,
    });
    inline.chain(clause.flatten()).find(|bound| is_static(bound))
}

/// The type parameters that stand beside a lifetime without `T: 'static`, inline or in the where clause.
fn types_not_static(generics: &Generics) -> impl Iterator<Item = &TypeParam> {
    let borrows = generics.lifetimes().next().is_some();
    generics.type_params().filter(move |param| {
        let clause = predicates(generics).filter_map(|predicate| match predicate {
            WherePredicate::Type(predicate) if is_param(&predicate.bounded_ty, &param.ident) => {
                Some(&predicate.bounds)
            }
            _ => None,
        });
        let mut bounds = param.bounds.iter().chain(clause.flatten());
        borrows
            && !bounds.any(|bound| matches!(bound, TypeParamBound::Lifetime(lifetime) if is_static(lifetime)))
    })
}

fn predicates(generics: &Generics) -> impl Iterator<Item = &WherePredicate> {
    generics.where_clause.iter().flat_map(|clause| &clause.predicates)
}

fn is_static(lifetime: &Lifetime) -> bool {
    lifetime.ident == "static"
}

/// Whether a type is exactly this type parameter.
fn is_param(ty: &Type, param: &Ident) -> bool {
    match ty {
        Type::Path(ty) => ty.qself.is_none() && ty.path.is_ident(param),
        Type::Group(group) => is_param(&group.elem, param),
        Type::Paren(paren) => is_param(&paren.elem, param),
        _ => false,
    }
}

/// Writes the impls, with a stand-in for each value that the attribute lacks.
fn implementations(input: &DeriveInput, attribute: TopicAttribute) -> TokenStream {
    let krate = attribute.krate.as_ref().map_or_else(|| quote!(::socket_ipc), Path::to_token_stream);
    // A new literal, so that lints on the user's literal (needless hashes) are reported only where it stands.
    let name = attribute.name.as_ref().map(LitStr::value).unwrap_or_default();
    let ident = &input.ident;
    let (params, where_clause) = impl_generics(&input.generics);
    let self_arguments = arguments(&input.generics, &quote!('_));
    let message = message(input);
    let request = Request::of(&attribute, &krate);
    let reply_name = request.as_ref().filter(|request| request.has_single_reply()).map(|_| {
        let topic = attribute.reply_topic.as_ref().map_or_else(|| name.clone(), LitStr::value);
        quote! {
            const REPLY: ::core::option::Option<&'static ::core::primitive::str> =
                ::core::option::Option::Some(#topic);
        }
    });
    let is_stream = request.as_ref().filter(|request| !request.has_single_reply()).map(|_| {
        quote! {
            const IS_STREAM: ::core::primitive::bool = true;
        }
    });
    let kind = match &request {
        Some(request) if request.has_single_reply() => quote!(Request),
        Some(_) => quote!(Stream),
        None => quote!(Message),
    };
    let request = request.map(|request| request.implementations(input, &attribute, &krate));

    quote! {
        #[automatically_derived]
        impl #params #krate::Topic for #ident #self_arguments #where_clause {
            const NAME: &'static ::core::primitive::str = #name;
            #reply_name
            #is_stream
            #message
        }
        #[automatically_derived]
        impl #params #krate::Exchange for #ident #self_arguments #where_clause {
            type Kind = #krate::kind::#kind;
        }
        #request
    }
}

/// Writes `type Message<'m> = …;`, with the user's own name for the lifetime.
fn message(input: &DeriveInput) -> TokenStream {
    match input.generics.lifetimes().next() {
        None => quote!(
            type Message<'m> = Self;
        ),
        // Two lifetimes are reported already, and can't be replaced by one.
        Some(_) if static_lifetime_bound(&input.generics).is_some() => quote!(
            type Message<'m> = Self;
        ),
        Some(param) => {
            let (ident, lifetime) = (&input.ident, &param.lifetime);
            let arguments = arguments(&input.generics, &lifetime.to_token_stream());
            quote!(type Message<#lifetime> = #ident #arguments;)
        }
    }
}

/// The arguments of the type, `lifetime` in place of its own.
pub(super) fn arguments(generics: &Generics, lifetime: &TokenStream) -> Option<TokenStream> {
    let arguments = generics.params.iter().map(|param| match param {
        GenericParam::Lifetime(_) => lifetime.clone(),
        GenericParam::Type(param) => param.ident.to_token_stream(),
        GenericParam::Const(param) => param.ident.to_token_stream(),
    });
    (!generics.params.is_empty()).then(|| quote!(<#(#arguments),*>))
}

/// The parameters and the where clause of the impl: those of the type, for any lifetime.
///
/// The impl is for `Hello<'_>`, and a bound that names the lifetime `'a` becomes `for<'a>`: it has to hold
/// for each `Message<'a>`, not only for one. This also leaves the name free for the parameter of `Message`.
pub(super) fn impl_generics(generics: &Generics) -> (TokenStream, TokenStream) {
    let lifetimes: Vec<_> = generics.lifetimes().map(|param| &param.lifetime).collect();
    let mut params = Vec::new();
    let mut clause = Vec::new();
    for param in &generics.params {
        match param {
            GenericParam::Lifetime(_) => {}
            GenericParam::Type(TypeParam { ident, bounds, .. }) => {
                params.push(ident.to_token_stream());
                clause.extend(bounds.iter().filter_map(|bound| for_any(&lifetimes, None, ident, bound)));
            }
            GenericParam::Const(ConstParam { ident, ty, .. }) => params.push(quote!(const #ident: #ty)),
        }
    }
    for predicate in predicates(generics) {
        // A bound on the only lifetime is either `'static`, a mistake, or means nothing.
        if let WherePredicate::Type(PredicateType { lifetimes: outer, bounded_ty, bounds, .. }) = predicate {
            let bounds = bounds.iter();
            clause.extend(bounds.filter_map(|bound| for_any(&lifetimes, outer.as_ref(), bounded_ty, bound)));
        }
    }
    // A missing `T: 'static` is reported already; the stand-in has to compile without it.
    clause.extend(types_not_static(generics).map(|TypeParam { ident, .. }| quote!(#ident: 'static)));
    (quote!(<#(#params),*>), quote!(where #(#clause,)*))
}

/// One bound of the where clause, with a `for` of the lifetimes of the type that the bound names.
///
/// A clause may have only one `for` (E0316), so the `for` of the bound itself (`T: for<'x> Visit<'x, 'a>`) moves to the
/// front. `T: 'a` is left out, because `T: 'static` implies it.
fn for_any(
    lifetimes: &[&Lifetime],
    outer: Option<&BoundLifetimes>,
    ty: &impl ToTokens,
    bound: &TypeParamBound,
) -> Option<TokenStream> {
    if matches!(bound, TypeParamBound::Lifetime(lifetime) if lifetimes.contains(&lifetime)) {
        return None;
    }
    let mut named = lifetimes.iter().filter(|lifetime| names(quote!(#ty: #bound), lifetime)).peekable();
    if named.peek().is_none() {
        return Some(quote!(#outer #ty: #bound));
    }
    let mut bound = bound.clone();
    let inner = match &mut bound {
        TypeParamBound::Trait(bound) => bound.lifetimes.take(),
        _ => None,
    };
    let own = outer.into_iter().chain(&inner).flat_map(|bound| &bound.lifetimes);
    Some(quote!(for<#(#named,)* #(#own),*> #ty: #bound))
}

/// Whether the tokens contain a lifetime. A `for` inside can't bind the same name again (E0496).
fn names(tokens: TokenStream, lifetime: &Lifetime) -> bool {
    let mut apostrophe = false;
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => names(group.stream(), lifetime),
        TokenTree::Ident(ident) => mem::take(&mut apostrophe) && ident == lifetime.ident,
        TokenTree::Punct(punct) => {
            apostrophe = punct.as_char() == '\'';
            false
        }
        TokenTree::Literal(_) => false,
    })
}
