//! Reads `#[topic = "…"]` and `#[topic(…)]`.
//!
//! Every mistake is pushed to the caller's list and reading goes on, so that one compilation shows them all.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{
    Attribute, DeriveInput, Error, Expr, ExprLit, ExprPath, Lit, LitStr, MacroDelimiter, Meta, MetaList,
    Path, Result, Token,
};

/// The attribute's own name.
const TOPIC: &str = "topic";
/// The topic string, in the long form.
const NAME: &str = "name";
/// Where generated code finds the library, in the long form.
const CRATE: &str = "crate";
/// The keys of the long form, as a message lists them. A new key stands here, in [`Keys`] and in
/// [`read_key`].
const KEYS: [&str; 2] = [NAME, CRATE];

/// The longest topic name that every peer accepts by default.
const MAX_NAME_LEN: usize = 256;

/// What the attribute says; `None` where it says nothing, or nothing usable.
#[derive(Default)]
pub(crate) struct TopicAttribute {
    pub(crate) name: Option<LitStr>,
    pub(crate) krate: Option<Path>,
}

/// Reads the topic attribute of a type.
pub(crate) fn read(input: &DeriveInput, errors: &mut Vec<Error>) -> TopicAttribute {
    let mut attributes = input.attrs.iter().filter(|attribute| attribute.path().is_ident(TOPIC));
    let Some(attribute) = attributes.next() else {
        errors.push(Error::new(
            input.ident.span(),
            format_args!("missing topic name: add `#[topic = \"…\"]` above `{}`", input.ident),
        ));
        return TopicAttribute::default();
    };
    // The first one counts: which of two names a message travels under must not depend on a guess.
    errors.extend(attributes.map(|second| Error::new_spanned(second, "duplicate `#[topic]` attribute")));

    let read = match &attribute.meta {
        Meta::NameValue(short) => read_short(&short.value, errors),
        Meta::List(long) if is_long_form(long) => read_long(attribute, long, errors),
        Meta::List(_) | Meta::Path(_) => {
            errors.push(expected_short_form(attribute, input));
            TopicAttribute::default()
        }
    };
    if let Some(name) = &read.name {
        check_name(name, errors);
    }
    read
}

/// `#[topic = "name"]`.
fn read_short(value: &Expr, errors: &mut Vec<Error>) -> TopicAttribute {
    let name = string_literal(value)
        .ok_or_else(|| Error::new_spanned(ungrouped(value), "expected a string literal: `#[topic = \"…\"]`"));
    TopicAttribute { name: name.map_err(|error| errors.push(error)).ok(), krate: None }
}

/// Whether this is meant as `#[topic(key = value)]`. A literal in the parentheses is meant as the short form,
/// and other delimiters are read by no one.
fn is_long_form(list: &MetaList) -> bool {
    let begins_with_literal = |input: ParseStream<'_>| {
        let literal = input.peek(Lit);
        skip(input, |_| false)?;
        Ok(literal)
    };
    matches!(list.delimiter, MacroDelimiter::Paren(_))
        && !list.parse_args_with(begins_with_literal).unwrap_or_default()
}

/// `#[topic(name = "…", crate = "…")]`.
fn read_long(attribute: &Attribute, list: &MetaList, errors: &mut Vec<Error>) -> TopicAttribute {
    let mut keys = Keys::default();
    let all = |input: ParseStream<'_>| {
        while !input.is_empty() {
            if let Err(error) = read_key(input, &mut keys) {
                errors.push(error);
                // The rest of a broken key says nothing; the next key stands after the comma.
                skip(input, |input| input.peek(Token![,]))?;
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    };
    if let Err(error) = list.parse_args_with(all) {
        errors.push(error);
    }
    if keys.name.is_none() {
        errors.push(Error::new_spanned(
            attribute,
            format_args!("missing topic name: add `{NAME} = \"…\"` to `#[{TOPIC}(…)]`"),
        ));
    }
    TopicAttribute { name: keys.name.flatten(), krate: keys.krate.flatten() }
}

/// The keys seen so far. The outer `Option` is `Some` once a key was seen, whatever its value: a key with a
/// bad value is neither missing nor free to be given again.
#[derive(Default)]
struct Keys {
    name: Option<Option<LitStr>>,
    krate: Option<Option<Path>>,
}

/// One `key = value`, up to the comma.
fn read_key(input: ParseStream<'_>, keys: &mut Keys) -> Result<()> {
    // `parse_any`, because `crate` is a keyword.
    let key = Ident::parse_any(input).map_err(|error| Error::new(error.span(), expected_one_of()))?;
    match key.to_string().as_str() {
        NAME => read_value(&key, input, &mut keys.name, "`name = \"…\"`", |value: Expr| {
            string_literal(&value).ok_or_else(|| {
                Error::new_spanned(ungrouped(&value), "expected a string literal: `name = \"…\"`")
            })
        }),
        CRATE => read_value(&key, input, &mut keys.krate, "`crate = \"…\"`", |value: Expr| {
            path(&value).ok_or_else(|| {
                Error::new_spanned(ungrouped(&value), "expected a path: `crate = \"my_crate::socket_ipc\"`")
            })
        }),
        unknown => Err(Error::new(
            key.span(),
            format_args!("unknown topic attribute `{unknown}`, {}", expected_one_of()),
        )),
    }
}

/// `= value` and its end, into the slot of its key. `form` is how it is written, for the message.
fn read_value<V: Parse, T>(
    key: &Ident,
    input: ParseStream<'_>,
    slot: &mut Option<Option<T>>,
    form: &str,
    convert: impl FnOnce(V) -> Result<T>,
) -> Result<()> {
    if slot.is_some() {
        return Err(Error::new(key.span(), format_args!("duplicate topic attribute `{key}`")));
    }
    *slot = Some(None);
    let expected = |span: Span| Error::new(span, format_args!("expected {form}"));
    input.parse::<Token![=]>().map_err(|_| expected(key.span()))?;
    let value = input.parse::<V>().map_err(|_| expected(key.span()))?;
    if !input.is_empty() && !input.peek(Token![,]) {
        return Err(Error::new(input.span(), format_args!("expected `,` after {form}")));
    }
    *slot = Some(Some(convert(value)?));
    Ok(())
}

/// Skips tokens up to the end, or to where `stop` holds.
fn skip(input: ParseStream<'_>, stop: impl Fn(ParseStream<'_>) -> bool) -> Result<()> {
    while !input.is_empty() && !stop(input) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

fn expected_one_of() -> String {
    format!("expected one of: `{}`", KEYS.join("`, `"))
}

/// For `#[topic]` and `#[topic("hello")]`: the form to write, with the name that was given or one made of the
/// type's.
fn expected_short_form(attribute: &Attribute, input: &DeriveInput) -> Error {
    let given = attribute.parse_args::<LitStr>().map(|literal| literal.value());
    let name = given.unwrap_or_else(|_| input.ident.unraw().to_string().to_lowercase());
    Error::new_spanned(attribute, format_args!("expected `#[{TOPIC} = {name:?}]`"))
}

/// What a macro's fragment (`$name:expr`) wraps in an invisible group.
fn ungrouped(mut value: &Expr) -> &Expr {
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    value
}

/// A plain string literal: no bytes, no C string, no suffix.
fn string_literal(value: &Expr) -> Option<LitStr> {
    match ungrouped(value) {
        Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) if literal.suffix().is_empty() => {
            Some(literal.clone())
        }
        _ => None,
    }
}

/// A path, bare or in a string. In a string it gets the literal's span, so that a crate that isn't there is
/// reported on the attribute.
fn path(value: &Expr) -> Option<Path> {
    match ungrouped(value) {
        Expr::Lit(ExprLit { lit: Lit::Str(literal), .. }) => literal.parse_with(Path::parse_mod_style).ok(),
        Expr::Path(ExprPath { qself: None, path, .. })
            if path.segments.iter().all(|segment| segment.arguments.is_none()) =>
        {
            Some(path.clone())
        }
        _ => None,
    }
}

/// The rules of topic names. They are a peer's rules too: a name that breaks one would be refused at the
/// first send.
fn check_name(literal: &LitStr, errors: &mut Vec<Error>) {
    let name = literal.value();
    let mut refuse = |message: String| errors.push(Error::new(literal.span(), message));
    if name.is_empty() {
        refuse("topic name must not be empty".into());
    }
    if name.len() > MAX_NAME_LEN {
        refuse(format!("topic name must not exceed {MAX_NAME_LEN} bytes, this one has {}", name.len()));
    }
    // They garble logs and terminals, and the end of a message holds one on every wire but the oldest.
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        refuse(format!(
            "topic name must not contain control characters: remove `{}`",
            control.escape_default()
        ));
    }
}
