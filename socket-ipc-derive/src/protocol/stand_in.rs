//! The impls for a protocol with mistakes.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{DeriveInput, GenericParam, parse_quote};

use super::attr::ProtocolAttribute;
use super::spans::library;

/// Writes a protocol in which every topic may travel and every struct may be attached.
pub(super) fn stand_in(input: &DeriveInput, attribute: &ProtocolAttribute) -> TokenStream {
    let krate = library(attribute, Span::call_site());
    let (ident, name) = (&input.ident, input.ident.unraw().to_string());
    // Generics are a mistake that is reported already; the stand-in has to compile with them.
    let mut generics = input.generics.clone();
    if !generics.params.is_empty() {
        generics.make_where_clause().predicates.push(parse_quote!(Self: 'static));
    }
    let (params, arguments, where_clause) = generics.split_for_impl();
    let with = |param: GenericParam| {
        let mut generics = generics.clone();
        generics.params.push(param);
        generics
    };
    let [of_topic, of_struct, of_schema] =
        [with(parse_quote!(__T)), with(parse_quote!(__L)), with(parse_quote!(__S))];
    let [of_topic, of_struct, of_schema] =
        [&of_topic, &of_struct, &of_schema].map(|generics| generics.split_for_impl().0);
    let topics = ["Server", "Client"].map(|endpoint| {
        let endpoint = Ident::new(endpoint, Span::call_site());
        quote! {
            #[automatically_derived]
            impl #of_struct #krate::__private::Topics<__L, #krate::#endpoint<Self>> for #ident #arguments #where_clause {
                fn attach_to(
                    _: &#krate::__private::AttachingAll<'_, __L, #krate::#endpoint<Self>>,
                ) -> ::core::result::Result<(), #krate::RegisterError> {
                    ::core::result::Result::Ok(())
                }
            }
        }
    });

    quote! {
        #[automatically_derived]
        impl #params #krate::Protocol for #ident #arguments #where_clause {
            const NAME: &'static ::core::primitive::str = #name;
        }
        #[automatically_derived]
        impl #of_topic #krate::ToServer<__T> for #ident #arguments #where_clause {}
        #[automatically_derived]
        impl #of_topic #krate::ToClient<__T> for #ident #arguments #where_clause {}
        #[automatically_derived]
        impl #of_schema #krate::__private::DescribesItself<__S> for #ident #arguments #where_clause {
            fn describe(_: &mut #krate::Description) {}
        }
        #(#topics)*
    }
}
