//! The impls of a set.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{DeriveInput, Path, Type};

use super::members::Member;

/// The path of the library. The default path has this span, so that a mistake in a type is reported at the type.
fn library(krate: Option<&Path>, span: Span) -> TokenStream {
    krate.map_or_else(|| quote_spanned!(span=> ::socket_ipc), Path::to_token_stream)
}

/// A span at a type for generated code. It still counts as generated, so that lints ignore the code.
fn at(ty: &Type) -> Span {
    Span::call_site().located_at(ty.span())
}

/// Writes the impls of a set without mistakes.
pub(super) fn implementations(
    input: &DeriveInput,
    krate: Option<&Path>,
    members: &[Member<'_>],
) -> TokenStream {
    let ident = &input.ident;
    let path = library(krate, Span::call_site());
    let (variants, topics): (Vec<_>, Vec<_>) =
        members.iter().map(|member| (member.variant, member.topic)).unzip();
    let list = topics.iter().rfold(quote!(()), |rest, topic| quote!((#topic, #rest)));
    let checks = names_once(input, krate, &topics);
    quote! {
        const _: () = {
            #[automatically_derived]
            impl #path::TopicSet for #ident {
                type Topics = #list;

                fn members(__members: &mut impl #path::__private::Members<Self>) {
                    #(__members.member::<#topics>(Self::#variants);)*
                }
            }
            #checks
        };
    }
}

/// Writes the check that no two members have the same topic: which of them is a message of it? Each check is a constant
/// of its own, so that all mistakes are reported at once, each at the later type.
fn names_once(input: &DeriveInput, krate: Option<&Path>, topics: &[&Type]) -> TokenStream {
    let set = input.ident.unraw().to_string();
    let count = topics.len();
    let path = library(krate, Span::call_site());
    let checks = topics.iter().enumerate().map(|(index, topic)| {
        let span = at(topic);
        let path = library(krate, span);
        quote_spanned! {span=>
            const _: () = #path::__private::set_has_topic_once(&NAMES, #index, #set);
        }
    });
    quote! {
        const NAMES: [&::core::primitive::str; #count] = [#(<#topics as #path::Topic>::NAME),*];
        #(#checks)*
    }
}

/// Writes a set without members, which travels wherever it is used.
pub(super) fn stand_in(input: &DeriveInput, krate: Option<&Path>) -> TokenStream {
    // Generics are a mistake that is reported already; a stand-in with them would have to satisfy bounds nobody knows.
    if !input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let ident = &input.ident;
    let path = library(krate, Span::call_site());
    quote! {
        const _: () = {
            #[automatically_derived]
            impl #path::TopicSet for #ident {
                type Topics = ();

                fn members(_: &mut impl #path::__private::Members<Self>) {}
            }
        };
    }
}
