//! Checks a type and writes its impl of `Protocol`: which topics travel in which direction, and which endpoint receives
//! them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error};

use super::attr::{self, ProtocolAttribute};
use super::direction::Direction;
use super::spans::library;
use super::stand_in::stand_in;
use crate::mistakes::reported;
use crate::types::with_lifetime;

/// Writes the impls of a protocol, preceded by every mistake that was found.
///
/// With mistakes the impls are a stand-in that lets every topic travel, so that uses of the type give no further
/// errors.
pub(crate) fn protocol(input: &DeriveInput) -> TokenStream {
    let mut errors = Vec::new();
    let attribute = attr::read(input, &mut errors);
    check_kind(input, &mut errors);
    check_no_generics(input, &mut errors);

    match reported(errors) {
        Some(errors) => {
            let stand_in = stand_in(input, &attribute);
            quote!(#errors #stand_in)
        }
        None => implementations(input, &attribute),
    }
}

/// Rejects a union: a protocol has no values, so a struct without fields is enough.
fn check_kind(input: &DeriveInput, errors: &mut Vec<Error>) {
    if let Data::Union(_) = input.data {
        errors.push(Error::new(
            input.ident.span(),
            "a union cannot be a protocol; use a struct without fields",
        ));
    }
}

/// Rejects generics: both ends must mean the same topics by a protocol.
fn check_no_generics(input: &DeriveInput, errors: &mut Vec<Error>) {
    if !input.generics.params.is_empty() {
        errors.push(Error::new_spanned(
            &input.generics,
            format_args!("a protocol is the same at both ends: remove the generics of `{}`", input.ident),
        ));
    }
}

/// Writes the impls.
fn implementations(input: &DeriveInput, attribute: &ProtocolAttribute) -> TokenStream {
    let krate = library(attribute, Span::call_site());
    let (ident, name) = (&input.ident, input.ident.unraw().to_string());
    let to_server = Direction {
        topics: &attribute.to_server,
        marker: quote!(#krate::ToServer),
        endpoint: quote!(#krate::Server<#ident>),
        words: "to the server",
    };
    let to_client = Direction {
        topics: &attribute.to_client,
        marker: quote!(#krate::ToClient),
        endpoint: quote!(#krate::Client<#ident>),
        words: "to clients",
    };
    let directions = [to_server, to_client].map(|direction| {
        let travels = direction.travels(input);
        let topics = direction.topics(input, &krate);
        let names = direction.names(&name, attribute);
        quote!(#travels #topics #names)
    });
    let travels = [(&attribute.to_server, "to_server"), (&attribute.to_client, "to_client")].map(
        |(entries, direction)| {
            let direction = Ident::new(direction, Span::call_site());
            let topics: Vec<_> = entries.iter().map(|topic| with_lifetime(topic, "static")).collect();
            quote! {
                #(
                    #krate::__private::Travels::#direction(
                        <#topics as #krate::Topic>::NAME,
                        <#topics as #krate::Topic>::REPLY,
                        <#topics as #krate::Topic>::IS_STREAM,
                    ),
                )*
            }
        },
    );
    let described = described(input, attribute, &krate);

    // A deprecated topic is still part of the protocol. A program that sends it gets the warning.
    quote! {
        #[allow(deprecated)]
        const _: () = {
            #[automatically_derived]
            impl #krate::Protocol for #ident {
                const NAME: &'static ::core::primitive::str = #name;
                const TOPICS: &'static [#krate::__private::Travels] = &[#(#travels)*];
            }
            #(#directions)*
            #described
        };
    }
}

/// Writes the impl that describes a protocol, for any kind of schema that all its topics have. A topic without a schema
/// is no mistake here; only asking for the schema of the protocol does not compile then.
fn described(input: &DeriveInput, attribute: &ProtocolAttribute, krate: &TokenStream) -> TokenStream {
    let ident = &input.ident;
    let (mut topics, mut directions) = (Vec::new(), Vec::new());
    for (entries, direction) in
        [(&attribute.to_server, "TowardServer"), (&attribute.to_client, "TowardClient")]
    {
        let direction = Ident::new(direction, Span::call_site());
        topics.extend(entries.iter().map(|topic| with_lifetime(topic, "static")));
        directions.extend(entries.iter().map(|_| quote!(#krate::description::Direction::#direction)));
    }
    quote! {
        #[automatically_derived]
        impl<__S> #krate::__private::DescribesItself<__S> for #ident
        where
            #(#topics: #krate::__private::DescribedIn<__S>,)*
        {
            fn describe(__description: &mut #krate::Description) {
                #(__description.describe::<__S, #topics>(#directions);)*
            }
        }
    }
}
