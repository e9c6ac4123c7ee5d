//! Writes what makes a topic a request: its reply or the items of its stream, its errors, and what its responders may
//! return.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{DeriveInput, Generics, LitStr, parse_quote};

use super::attr::TopicAttribute;
use super::expand::{arguments, impl_generics};
use crate::types::with_lifetime;

/// The types of a request.
pub(super) struct Request {
    /// Whether the reply is a stream.
    is_stream: bool,
    /// The type of the reply, or of the items.
    pub(super) reply: TokenStream,
    pub(super) error: TokenStream,
    has_typed_error: bool,
}

impl Request {
    /// Those of a topic with `reply = …` or `stream = …`. A type that could not be read has a stand-in.
    pub(super) fn of(attribute: &TopicAttribute, krate: &TokenStream) -> Option<Self> {
        let is_stream = attribute.reply.is_none();
        let reply = attribute.reply.as_ref().or(attribute.stream.as_ref())?;
        let reply = reply.as_ref().map_or_else(|| quote!(Self), |reply| with_lifetime(reply, "static"));
        let (error, has_typed_error) = match &attribute.error {
            Some(Some(error)) => (with_lifetime(error, "static"), true),
            Some(None) | None => (quote!(#krate::ErrorReply), false),
        };
        Some(Self { is_stream, reply, error, has_typed_error })
    }

    pub(super) fn has_single_reply(&self) -> bool {
        !self.is_stream
    }

    pub(super) fn implementations(
        self,
        input: &DeriveInput,
        attribute: &TopicAttribute,
        krate: &TokenStream,
    ) -> TokenStream {
        let Self { is_stream, reply, error, has_typed_error } = &self;
        let Names { request, reply_type, replies, into_reply } = if *is_stream { STREAM } else { REPLY };
        let [request, reply_type, replies, into_reply] =
            [request, reply_type, replies, into_reply].map(|name| Ident::new(name, Span::call_site()));
        let ident = &input.ident;
        let (params, where_clause) = impl_generics(&input.generics);
        let arguments = arguments(&input.generics, &quote!('_));
        let (with_error, where_error) = impl_generics(&with_error_parameter(&input.generics));
        let reply_topic = attribute.reply_topic.as_ref().map(LitStr::value).map(|topic| {
            quote! {
                const REPLY_TOPIC: ::core::option::Option<&'static ::core::primitive::str> =
                    ::core::option::Option::Some(#topic);
            }
        });
        let no_cancel = attribute.no_cancel.then(|| {
            quote!(
                const IS_CANCELLED: ::core::primitive::bool = false;
            )
        });
        let errors = if *has_typed_error {
            quote! {
                fn error_text(error: &#error) -> #krate::__private::String {
                    // Its `Display`, if it has one.
                    #[allow(unused_imports)]
                    use #krate::__private::TextOfAny as _;
                    #krate::__private::TextOf(error).text()
                }
            }
        } else {
            quote! {
                const HAS_TYPED_ERROR: ::core::primitive::bool = false;
                fn error_reply(error: &#error) -> ::core::option::Option<&#krate::ErrorReply> {
                    ::core::option::Option::Some(error)
                }
            }
        };
        let fails = if *has_typed_error {
            quote! {
                #[automatically_derived]
                impl #params #krate::Fails<#error, #error> for #ident #arguments #where_clause {
                    fn into_error(error: #error) -> #error {
                        error
                    }
                }
            }
        } else {
            // An error that cannot be displayed is then an error that this request cannot fail with, and `Fails` says so.
            quote! {
                #[automatically_derived]
                #[diagnostic::do_not_recommend]
                impl #with_error #krate::Fails<__E, #krate::ErrorReply> for #ident #arguments #where_error
                    __E: ::core::convert::Into<#krate::ErrorReply>,
                {
                    fn into_error(error: __E) -> #krate::ErrorReply {
                        ::core::convert::Into::into(error)
                    }
                }
            }
        };
        quote! {
            #[automatically_derived]
            impl #params #krate::#request for #ident #arguments #where_clause {
                type #reply_type = #reply;
                type Error = #error;
                #reply_topic
                #no_cancel
                #errors
            }
            #[automatically_derived]
            impl #params #krate::#replies<#reply> for #ident #arguments #where_clause {
                fn #into_reply(reply: #reply) -> ::core::result::Result<#reply, #error> {
                    ::core::result::Result::Ok(reply)
                }
            }
            #[automatically_derived]
            impl #with_error #krate::#replies<::core::result::Result<#reply, __E>> for #ident #arguments #where_error
                Self: #krate::Fails<__E, #error>,
            {
                fn #into_reply(
                    reply: ::core::result::Result<#reply, __E>,
                ) -> ::core::result::Result<#reply, #error> {
                    ::core::result::Result::map_err(reply, <Self as #krate::Fails<__E, #error>>::into_error)
                }
            }
            #fails
        }
    }
}

/// The names of the traits and their items, for a single reply and for a stream.
struct Names {
    request: &'static str,
    reply_type: &'static str,
    replies: &'static str,
    into_reply: &'static str,
}

const REPLY: Names =
    Names { request: "Request", reply_type: "Reply", replies: "Replies", into_reply: "into_reply" };
const STREAM: Names =
    Names { request: "StreamRequest", reply_type: "Item", replies: "Items", into_reply: "into_item" };

/// The generics of the type, and the type of any error.
fn with_error_parameter(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    generics.params.push(parse_quote!(__E));
    generics
}
