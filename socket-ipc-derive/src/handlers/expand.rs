//! Writes an impl of `Handles` for each method of a block.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, parse_quote};

use super::attr::{self, HandlersAttribute};
use super::block::{self, Block};
use super::method::Method;
use crate::mistakes::reported;
use crate::types::with_lifetime;

/// Writes the block as it is, the impls of its methods, and every mistake that was found.
///
/// A method with a mistake has a stand-in, so that to attach the struct gives no further error. So has every method of a
/// block whose attribute has a mistake, for every endpoint.
pub(crate) fn handlers(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Vec::new();
    let attribute = attr::read(attribute, &mut errors);
    let is_wrong = !errors.is_empty();
    let implementations = block::read(item.clone(), &mut errors).map(|mut block| {
        remove_duplicates(&mut block.methods, &mut errors);
        if is_wrong {
            stand_in(block, &attribute)
        } else {
            let endpoint = attribute.endpoint(&attribute.library(Span::call_site()));
            implementations(&block, &attribute, &endpoint)
        }
    });
    let errors = reported(errors);
    quote!(#errors #item #implementations)
}

/// Writes stand-ins of all methods, for every endpoint.
fn stand_in(mut block: Block, attribute: &HandlersAttribute) -> TokenStream {
    let krate = attribute.library(Span::call_site());
    block.generics.params.push(parse_quote!(__E: #krate::Endpoint));
    for method in &mut block.methods {
        method.is_wrong = true;
    }
    implementations(&block, attribute, &quote!(__E))
}

/// Rejects a second method of a topic.
fn remove_duplicates(methods: &mut Vec<Method>, errors: &mut Vec<Error>) {
    let mut seen: Vec<(String, Ident)> = Vec::new();
    methods.retain(|method| {
        let Some(topic) = &method.topic else { return true };
        let text = with_lifetime(topic, "static").to_string();
        // One of two methods that are there under different conditions is no duplicate.
        if !method.cfgs.is_empty() {
            return true;
        }
        let first = seen.iter().find(|(topic, _)| *topic == text);
        errors.extend(first.map(|(_, first)| {
            Error::new_spanned(topic, format_args!("this topic has a handler already: `{first}`"))
        }));
        let is_first = first.is_none();
        seen.push((text, method.ident.clone()));
        is_first
    });
}

/// Writes the impls of a block.
fn implementations(block: &Block, attribute: &HandlersAttribute, endpoint: &TokenStream) -> TokenStream {
    let krate = attribute.library(Span::call_site());
    let (params, _, where_clause) = block.generics.split_for_impl();
    let (ty, cfgs) = (&block.ty, &block.cfgs);
    let handlers = block.methods.iter().filter_map(|method| {
        let topic = with_lifetime(method.topic.as_ref()?, "static");
        let (cfgs, attach) = (&method.cfgs, attach(method));
        Some(quote! {
            #(#cfgs)*
            #[automatically_derived]
            impl #params #krate::Handles<#topic, #endpoint> for #ty #where_clause {
                fn attach(
                    __topic: #krate::Attaching<'_, Self, #topic, #endpoint>,
                ) -> ::core::result::Result<(), #krate::RegisterError> {
                    #attach
                }
            }
        })
    });
    let all = (!attribute.has_protocol()).then(|| attach_all(block, &krate, endpoint));
    // The method of a deprecated topic is still its handler.
    quote! {
        #(#cfgs)*
        #[allow(deprecated)]
        const _: () = {
            #(#handlers)*
            #all
        };
    }
}

/// Writes the call that attaches a method.
///
/// A mistake in what the method returns is reported at its return type, and every other one at the type of its message.
fn attach(method: &Method) -> TokenStream {
    let Method { ident, topic, returned: (first, last), .. } = method;
    if method.is_wrong {
        return quote!({
            let _ = __topic;
            ::core::result::Result::Ok(())
        });
    }
    let call = match (method.is_async, method.context.is_some()) {
        (false, false) => "method",
        (false, true) => "method_with_context",
        (true, false) => "async_method",
        (true, true) => "async_method_with_context",
    };
    let call = Ident::new(call, at(topic.as_ref().map_or_else(Span::call_site, Spanned::span)));
    let (first, last) = (at(*first), at(*last));
    let mut ident = ident.clone();
    ident.set_span(last);
    let checked = method.context.as_ref().map(|context| {
        let (check, context) = (at(context.span()), with_lifetime(context, "static"));
        quote_spanned!(check=> .with_context_type::<#context>())
    });
    if !method.is_async {
        let itself = quote_spanned!(first=> Self::);
        return quote!(__topic #checked.#call(#itself #ident));
    }
    let context = method.context.is_some().then(|| quote!(__context));
    let mut body = Group::new(
        Delimiter::Brace,
        quote_spanned!(last=> Self::#ident(&__handlers, __message, #context).await),
    );
    body.set_span(last);
    let closure = quote_spanned!(first=> |__handlers, __message, #context| async move);
    quote!(__topic #checked.#call(#closure #body))
}

/// Writes the impl that attaches all methods of the block, where no protocol has the list of them.
fn attach_all(block: &Block, krate: &TokenStream, endpoint: &TokenStream) -> TokenStream {
    let (params, _, where_clause) = block.generics.split_for_impl();
    let ty = &block.ty;
    let topics = block.methods.iter().filter_map(|method| {
        let topic = with_lifetime(method.topic.as_ref()?, "static");
        let cfgs = &method.cfgs;
        Some(quote! {
            #(#cfgs)*
            #krate::__private::AttachingAll::topic::<#topic>(__all)?;
        })
    });
    quote! {
        #[automatically_derived]
        impl #params #krate::__private::HandlersBlock<#endpoint> for #ty #where_clause {
            fn attach_block(
                __all: &#krate::__private::AttachingAll<'_, Self, #endpoint>,
            ) -> ::core::result::Result<(), #krate::RegisterError> {
                #(#topics)*
                ::core::result::Result::Ok(())
            }
        }
    }
}

/// A span at a token of the user. Code at it still counts as generated, so that lints ignore it.
fn at(span: Span) -> Span {
    Span::call_site().located_at(span)
}
