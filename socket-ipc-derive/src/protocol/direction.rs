//! The impls and checks for one direction of a protocol.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{DeriveInput, TypePath};

use super::attr::{Entry, ProtocolAttribute};
use super::spans::{at, library};
use crate::types::with_lifetime;

/// One direction of a protocol.
pub(super) struct Direction<'a> {
    pub(super) listed: &'a [Entry],
    /// The topics of the other direction. Their replies travel in this one.
    pub(super) replies_in: &'a [Entry],
    /// The trait of the topics that travel in this direction.
    pub(super) marker: TokenStream,
    /// The endpoint that receives the topics.
    pub(super) endpoint: TokenStream,
    /// The direction in words, for an error message.
    pub(super) words: &'static str,
}

impl Direction<'_> {
    /// All topics and replies of this direction, each type once. Several requests may have the same reply, and a reply
    /// may be listed as a topic, too.
    fn topics(&self) -> Vec<&TypePath> {
        let replies = self.replies_in.iter().filter_map(|entry| entry.reply.as_ref());
        let mut topics: Vec<&TypePath> = Vec::new();
        let mut seen = Vec::new();
        for topic in self.listed.iter().map(|entry| &entry.topic).chain(replies) {
            let text = topic.to_token_stream().to_string();
            if !seen.contains(&text) {
                seen.push(text);
                topics.push(topic);
            }
        }
        topics
    }

    /// Writes `impl ToServer<Hello> for Chat {}` for each topic.
    pub(super) fn travels(&self, input: &DeriveInput) -> TokenStream {
        let (marker, ident) = (&self.marker, &input.ident);
        let topics = self.topics();
        // There are always at least two impls. With a single one the compiler infers its type for every message, and
        // reports another type as a mismatch without naming the protocol. Without any it reports the missing impl
        // before it infers the type. The types of the additional impls are no topics, so they can't be sent.
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

    /// Writes the impl that attaches a struct with a method for every listed topic. A direction without topics has no
    /// such impl, so attaching a struct does not compile.
    pub(super) fn attaches(&self, input: &DeriveInput, krate: &TokenStream) -> Option<TokenStream> {
        if self.listed.is_empty() {
            return None;
        }
        let (ident, endpoint) = (&input.ident, &self.endpoint);
        // The bounds name the struct, so that a missing method or a type that can't be decoded is an error where a
        // struct is attached. A struct with a method for `Log<'static>` receives every `Log<'_>`: the method takes a
        // message of any lifetime.
        let sets: Vec<_> =
            self.listed.iter().map(|Entry { topic, .. }| with_lifetime(topic, "static")).collect();
        Some(quote! {
            #[automatically_derived]
            impl<__L> #krate::Attaches<__L, #endpoint> for #ident
            where
                #((#sets,): #krate::Attaches<__L, #endpoint>,)*
            {
                fn attach_to(
                    __room: &#krate::__private::Attaching<'_, __L, #endpoint>,
                ) -> ::core::result::Result<(), #krate::RegisterError> {
                    #(<(#sets,) as #krate::Attaches<__L, #endpoint>>::attach_to(__room)?;)*
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
        let topics = self.topics();
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
