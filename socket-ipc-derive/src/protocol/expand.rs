//! Checks a type and writes its protocol: what travels in which direction, and which endpoint receives it.

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

/// What makes a protocol of a type, preceded by every mistake that was found in it.
///
/// With mistakes it is a stand-in in which everything may travel, so that uses of the type aren't reported as well.
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

/// A protocol has no values, and a union is nothing but a puzzle about them.
fn check_kind(input: &DeriveInput, errors: &mut Vec<Error>) {
    if let Data::Union(_) = input.data {
        errors.push(Error::new(
            input.ident.span(),
            "a union cannot be a protocol; use a struct without fields",
        ));
    }
}

/// Both ends have to mean the same topics by a protocol, whatever either would choose for a parameter.
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
        let attaches = direction.attaches(input, &krate);
        let names = direction.names(&name, attribute);
        quote!(#travels #attaches #names)
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
                    ),
                )*
            }
        },
    );
    let described = described(input, attribute, &krate);

    // What is deprecated is no less part of the protocol; a program that sends it is warned.
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

/// The impl that describes a protocol, in whatever kind of schema all its topics have. A topic without one is no
/// mistake: its use is a compile error that says so.
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
