//! The impls and checks for one direction of a protocol.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{DeriveInput, TypePath};

use super::attr::ProtocolAttribute;
use super::spans::{at, library};
use crate::types::with_lifetime;

/// One direction of a protocol.
pub(super) struct Direction<'a> {
    pub(super) topics: &'a [TypePath],
    /// The trait that says that a topic travels in it.
    pub(super) marker: TokenStream,
    /// The endpoint that receives the topics.
    pub(super) endpoint: TokenStream,
    /// The direction in words, for an error message.
    pub(super) words: &'static str,
}

impl Direction<'_> {
    /// `impl ToServer<Hello> for Chat {}` for each.
    pub(super) fn travels(&self, input: &DeriveInput) -> TokenStream {
        let (marker, ident) = (&self.marker, &input.ident);
        let topics = self.topics;
        // There are at least two impls, the missing ones for types that are no topics and cannot be sent. From a single
        // impl the compiler would conclude that every message is of its type, and its error for another type would not
        // name the protocol. Without an impl it would report an error before it knows the type of the message.
        let others = [quote!(::core::convert::Infallible), quote!(::core::marker::PhantomPinned)];
        let others = others.into_iter().take(2_usize.saturating_sub(topics.len()));
        quote! {
            #(
                #[automatically_derived]
                impl #marker<#topics> for #ident {}
            )*
            #(
                #[automatically_derived]
                #[diagnostic::do_not_recommend]
                impl #marker<#others> for #ident {}
            )*
        }
    }

    /// Writes the impl that attaches a struct with a handler for every listed topic. A direction without topics has no
    /// such impl, so attaching a struct does not compile.
    pub(super) fn topics(&self, input: &DeriveInput, krate: &TokenStream) -> Option<TokenStream> {
        if self.topics.is_empty() {
            return None;
        }
        let (ident, endpoint) = (&input.ident, &self.endpoint);
        // A struct that handles `Log<'static>` handles every `Log<'_>`: its method takes a message of any lifetime.
        let topics: Vec<_> = self.topics.iter().map(|topic| with_lifetime(topic, "static")).collect();
        // Not `#[automatically_derived]`: the compiler would advise to write the impl by hand.
        Some(quote! {
            impl<__L> #krate::__private::Topics<__L, #endpoint> for #ident
            where
                #((#topics,): #krate::__private::Topics<__L, #endpoint>,)*
            {
                fn attach_to(
                    __all: &#krate::__private::AttachingAll<'_, __L, #endpoint>,
                ) -> ::core::result::Result<(), #krate::RegisterError> {
                    #(<(#topics,) as #krate::__private::Topics<__L, #endpoint>>::attach_to(__all)?;)*
                    ::core::result::Result::Ok(())
                }
            }
        })
    }

    /// Writes the check that every type is a topic, and that no two types of this direction have the same one: their
    /// messages could not be told apart.
    ///
    /// Only the compiler knows the topics of types. Each check is a constant of its own, so that all mistakes are
    /// reported at once, each at the later type.
    pub(super) fn names(&self, protocol: &str, attribute: &ProtocolAttribute) -> Option<TokenStream> {
        let topics = self.topics;
        if topics.is_empty() {
            return None;
        }
        let words = self.words;
        let checks = topics.iter().enumerate().map(|(index, topic)| {
            let span = at(topic);
            let krate = library(attribute, span);
            quote_spanned! {span=>
                const _: () = #krate::__private::has_topic_once(&NAMES, #index, #words, #protocol);
            }
        });
        let krate = library(attribute, Span::call_site());
        let names = topics.iter().map(|topic| {
            let topic = with_lifetime(topic, "static");
            quote!(<#topic as #krate::Topic>::NAME)
        });
        let count = topics.len();
        Some(quote! {
            const _: () = {
                const NAMES: [&::core::primitive::str; #count] = [#(#names),*];
                #(#checks)*
            };
        })
    }
}
