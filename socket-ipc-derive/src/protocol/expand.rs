//! Checks a type and writes its protocol: what travels in which direction, and which endpoint receives it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, GenericParam, Path, TypePath, parse_quote};

use super::attr::{self, Entry, ProtocolAttribute};
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

/// Where the library is. Code whose mistakes are a type's is located at the type, and reported there; but a path that
/// the user wrote stays where it is, so that one which leads nowhere is reported once.
fn library(attribute: &ProtocolAttribute, span: Span) -> TokenStream {
    attribute.krate.as_ref().map_or_else(|| quote_spanned!(span=> ::socket_ipc), Path::to_token_stream)
}

/// The span for generated code that is located at a type. It is still generated, so that lints pass it over.
fn at(ty: &TypePath) -> Span {
    Span::call_site().located_at(ty.span())
}

/// Writes the impls.
fn implementations(input: &DeriveInput, attribute: &ProtocolAttribute) -> TokenStream {
    let krate = library(attribute, Span::call_site());
    let (ident, name) = (&input.ident, input.ident.unraw().to_string());
    let to_server = Direction {
        listed: &attribute.to_server,
        replies_in: &attribute.to_client,
        marker: quote!(#krate::ToServer),
        endpoint: quote!(#krate::Server<#ident>),
        words: "to the server",
    };
    let to_client = Direction {
        listed: &attribute.to_client,
        replies_in: &attribute.to_server,
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
            let topics: Vec<_> = entries.iter().map(|entry| with_lifetime(&entry.topic, "static")).collect();
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
    let requests = attribute.to_server.iter().chain(&attribute.to_client);
    let replies = requests.filter_map(|entry| reply(entry, attribute));

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
            #(#replies)*
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
        topics.extend(entries.iter().map(|entry| with_lifetime(&entry.topic, "static")));
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

/// One direction of a protocol.
struct Direction<'a> {
    listed: &'a [Entry],
    /// The other direction's topics, whose replies travel in this one.
    replies_in: &'a [Entry],
    /// The trait that says that a topic travels in it.
    marker: TokenStream,
    /// The endpoint that receives it.
    endpoint: TokenStream,
    /// What it is called.
    words: &'static str,
}

impl Direction<'_> {
    /// All that travels in this direction, each type once: several requests may have the same reply, and it may be
    /// a topic of its own, too.
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

    /// `impl ToServer<Hello> for Chat {}` for each.
    fn travels(&self, input: &DeriveInput) -> TokenStream {
        let (marker, ident) = (&self.marker, &input.ident);
        let topics = self.topics();
        // From a single impl the compiler would conclude that every message is of its type, and report another one as
        // mismatched, with no word of the protocol; and where there is none, it would not wait to learn the type it
        // names. So there are two at least, if of types that are no topics and that cannot be sent.
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

    /// The impl that attaches a struct that has a method for every listed topic. Without any there is nothing to
    /// attach, which is a compile error.
    fn attaches(&self, input: &DeriveInput, krate: &TokenStream) -> Option<TokenStream> {
        if self.listed.is_empty() {
            return None;
        }
        let (ident, endpoint) = (&input.ident, &self.endpoint);
        // Bounds that name the struct: what it has to receive, and that this can be decoded, matters where one is
        // attached. A struct that hears `Log<'static>` hears every `Log<'_>`: its method takes a message of any
        // lifetime.
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

    /// The check that all are topics, and no two of this direction the same one: they could not be told apart.
    ///
    /// Only the compiler knows the topics of types. Each has a constant of its own, so that all mistakes are reported
    /// at once, each on the later type.
    fn names(&self, protocol: &str, attribute: &ProtocolAttribute) -> Option<TokenStream> {
        let topics = self.topics();
        if topics.is_empty() {
            return None;
        }
        let words = self.words;
        let checks = topics.iter().enumerate().map(|(index, topic)| {
            let span = at(topic);
            let krate = library(attribute, span);
            quote_spanned! {span=>
                const _: () = #krate::__private::stands_once(&NAMES, #index, #words, #protocol);
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

/// The check that a request has the reply to that the arrow says.
fn reply(entry: &Entry, attribute: &ProtocolAttribute) -> Option<TokenStream> {
    let Entry { topic: request, reply } = entry;
    let reply = reply.as_ref()?;
    let span = at(reply);
    let krate = library(attribute, span);
    Some(quote_spanned! {span=>
        const _: () = #krate::__private::has_reply::<#request, #reply>();
    })
}

/// A protocol in which everything may travel and everybody may be attached.
fn stand_in(input: &DeriveInput, attribute: &ProtocolAttribute) -> TokenStream {
    let krate = library(attribute, Span::call_site());
    let (ident, name) = (&input.ident, input.ident.unraw().to_string());
    // Generics are a mistake, but the stand-in has to compile all the same.
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
    let attaches = ["Server", "Client"].map(|side| {
        let side = Ident::new(side, Span::call_site());
        quote! {
            #[automatically_derived]
            impl #of_struct #krate::Attaches<__L, #krate::#side<Self>> for #ident #arguments #where_clause {
                fn attach_to(
                    _: &#krate::__private::Attaching<'_, __L, #krate::#side<Self>>,
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
        #(#attaches)*
    }
}
