//! Reads `#[protocol(to_server(…), to_client(…))]`.

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::parse::ParseStream;
use syn::{
    Attribute, DeriveInput, Error, GenericArgument, Lifetime, Lit, MacroDelimiter, Meta, MetaList, Path,
    PathArguments, Result, Token, Type, TypePath, parenthesized, token,
};

use crate::keys::{CRATE, Language, expect_end, read_separated};
use crate::types::{lifetimes, type_path};

/// The attribute's own name.
const PROTOCOL: &str = "protocol";
/// The topics that travel from clients to the server.
const TO_SERVER: &str = "to_server";
/// The topics that travel from the server to clients.
const TO_CLIENT: &str = "to_client";
/// The keys. A new one is added here, in [`Keys`] and in [`read_key`].
const LANGUAGE: Language = Language { attribute: PROTOCOL, keys: &[TO_SERVER, TO_CLIENT, CRATE] };
/// How the attribute is written.
const FORM: &str = "`#[protocol(to_server(…), to_client(…))]`";

/// The content of the attribute. A missing or unusable value is empty.
#[derive(Default)]
pub(crate) struct ProtocolAttribute {
    pub(crate) to_server: Vec<TypePath>,
    pub(crate) to_client: Vec<TypePath>,
    pub(crate) krate: Option<Path>,
}

/// Reads the protocol attribute of a type.
pub(crate) fn read(input: &DeriveInput, errors: &mut Vec<Error>) -> ProtocolAttribute {
    let mut attributes = input.attrs.iter().filter(|attribute| attribute.path().is_ident(PROTOCOL));
    let Some(attribute) = attributes.next() else {
        errors.push(Error::new(
            input.ident.span(),
            format_args!("missing topics: add {FORM} above `{}`", input.ident),
        ));
        return ProtocolAttribute::default();
    };
    // The second attribute may be meant to extend the first or to replace it, so it is an error.
    errors.extend(attributes.map(|second| Error::new_spanned(second, "duplicate `#[protocol]` attribute")));

    match &attribute.meta {
        Meta::List(list) if matches!(list.delimiter, MacroDelimiter::Paren(_)) => {
            read_list(attribute, list, errors)
        }
        _ => {
            errors.push(Error::new_spanned(attribute, format_args!("expected {FORM}")));
            ProtocolAttribute::default()
        }
    }
}

/// `#[protocol(to_server(…), to_client(…), crate = "…")]`.
fn read_list(attribute: &Attribute, list: &MetaList, errors: &mut Vec<Error>) -> ProtocolAttribute {
    let mut keys = Keys::default();
    let before = errors.len();
    let all = |input: ParseStream<'_>| {
        read_separated(input, errors, |input, errors| read_key(input, &mut keys, errors))
    };
    if let Err(error) = list.parse_args_with(all) {
        errors.push(error);
    }
    let to_server = keys.to_server.flatten().unwrap_or_default();
    let to_client = keys.to_client.flatten().unwrap_or_default();
    // Only without mistakes: a broken item may be a topic that could not be read.
    if to_server.is_empty() && to_client.is_empty() && errors.len() == before {
        errors.push(Error::new_spanned(
            attribute,
            format_args!("a protocol has at least one topic: name it in {FORM}"),
        ));
    }
    for (key, entries) in [(TO_SERVER, &to_server), (TO_CLIENT, &to_client)] {
        check_once(key, entries, errors);
        for entry in entries {
            check_lifetimes(entry, errors);
        }
    }
    ProtocolAttribute { to_server, to_client, krate: keys.krate.flatten() }
}

/// The keys seen so far. The outer `Option` is `Some` once a key was seen, whatever its value.
#[derive(Default)]
struct Keys {
    to_server: Option<Option<Vec<TypePath>>>,
    to_client: Option<Option<Vec<TypePath>>>,
    krate: Option<Option<Path>>,
}

/// Reads one key and its value, up to the comma.
fn read_key(input: ParseStream<'_>, keys: &mut Keys, errors: &mut Vec<Error>) -> Result<()> {
    let key = LANGUAGE.read_key(input)?;
    match key.to_string().as_str() {
        TO_SERVER => read_entries(&key, input, &mut keys.to_server, errors),
        TO_CLIENT => read_entries(&key, input, &mut keys.to_client, errors),
        CRATE => LANGUAGE.read_crate(&key, input, &mut keys.krate),
        _ => Err(LANGUAGE.unknown(&key)),
    }
}

/// `(Hello, Add)` and its end, into the slot of its key.
fn read_entries(
    key: &Ident,
    input: ParseStream<'_>,
    slot: &mut Option<Option<Vec<TypePath>>>,
    errors: &mut Vec<Error>,
) -> Result<()> {
    LANGUAGE.occupy(key, slot)?;
    if !input.peek(token::Paren) {
        return Err(Error::new(key.span(), format_args!("expected `{key}(…)`")));
    }
    let content;
    parenthesized!(content in input);
    let mut entries = Vec::new();
    read_separated(&content, errors, |input, _| {
        entries.push(read_entry(input)?);
        Ok(())
    })?;
    *slot = Some(Some(entries));
    expect_end(input, &format!("`{key}(…)`"))
}

/// `Hello`, up to the comma.
fn read_entry(input: ParseStream<'_>) -> Result<TypePath> {
    let topic = read_type(input, input.span(), "expected the type of a topic, as in `to_server(Hello)`")?;
    // Earlier versions named the reply behind an arrow.
    if input.peek(Token![->]) || input.peek(Token![=>]) {
        let name = topic.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
        let text = format!(
            "a reply belongs to its request: write `{name}` alone, and `reply = …` in its `#[topic]`"
        );
        return Err(Error::new(input.span(), text));
    }
    expect_end(input, "the topic")?;
    Ok(topic)
}

/// Reads the path of a type. A string is an error: it is probably the name of a topic.
fn read_type(input: ParseStream<'_>, at: Span, expected: &str) -> Result<TypePath> {
    if input.peek(Lit) {
        return Err(Error::new(at, expected));
    }
    let ty: Type = input.parse().map_err(|_| Error::new(at, expected))?;
    type_path(&ty).ok_or_else(|| Error::new_spanned(&ty, expected))
}

/// A topic that stands twice in a list is a line that was copied and not changed.
fn check_once(key: &str, entries: &[TypePath], errors: &mut Vec<Error>) {
    let mut seen = Vec::new();
    for topic in entries {
        let text = topic.to_token_stream().to_string();
        if seen.contains(&text) {
            errors.push(Error::new_spanned(
                topic,
                format_args!("this topic is already listed in `{key}`: remove one of the two"),
            ));
        } else {
            seen.push(text);
        }
    }
}

/// Messages have any lifetime, and there is nowhere to declare one.
fn check_lifetimes(topic: &TypePath, errors: &mut Vec<Error>) {
    let named = lifetimes(topic).into_iter().filter(|it| it.ident != "_" && it.ident != "static");
    let fixed = own_lifetimes(topic).filter(|it| it.ident == "static").cloned();
    errors.extend(named.chain(fixed).map(|lifetime| {
        Error::new_spanned(
            &lifetime,
            format_args!("a message may have any lifetime: write `'_` instead of `{lifetime}`"),
        )
    }));
}

/// The lifetimes that are arguments of the type itself. A `'static` inside a type argument is allowed.
fn own_lifetimes(topic: &TypePath) -> impl Iterator<Item = &Lifetime> {
    let arguments = topic.path.segments.last().and_then(|segment| match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    });
    arguments.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Lifetime(lifetime) => Some(lifetime),
        _ => None,
    })
}
