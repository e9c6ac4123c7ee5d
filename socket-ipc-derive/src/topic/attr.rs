//! Reads `#[topic = "…"]` and `#[topic(…)]`.
//!
//! Every mistake is pushed to the caller's list and reading goes on, so that one compilation shows them all.

use proc_macro2::Ident;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{
    Attribute, DeriveInput, Error, Expr, Lit, LitStr, MacroDelimiter, Meta, MetaList, Path, Result, Type,
};

use crate::keys::{CRATE, Language, expect_end, read_separated, skip, string_literal, ungrouped};
use crate::types::{TypeName, check_owned};

/// The attribute's own name.
const TOPIC: &str = "topic";
/// The key of the topic's name, in the long form.
const NAME: &str = "name";
/// The key of the reply's type, in the long form.
const REPLY: &str = "reply";
/// The key of the type of a stream's items.
const STREAM: &str = "stream";
/// The type that a responder fails with.
const ERROR: &str = "error";
/// The topic of the reply, where it is not that of the request.
const REPLY_TOPIC: &str = "reply_topic";
/// Makes the responder run on when the requester gives up.
const NO_CANCEL: &str = "no_cancel";
/// The keys of the long form. A new key stands here, in [`Keys`] and in [`read_key`].
const LANGUAGE: Language =
    Language { attribute: TOPIC, keys: &[NAME, REPLY, STREAM, ERROR, REPLY_TOPIC, NO_CANCEL, CRATE] };

/// The longest topic name that every peer accepts by default.
const MAX_NAME_LEN: usize = 256;

/// The content of the attribute. A missing or unusable value is `None`.
#[derive(Default)]
pub(crate) struct TopicAttribute {
    pub(crate) name: Option<LitStr>,
    /// `Some(None)` where there is a reply, but nothing usable.
    pub(crate) reply: Option<Option<Type>>,
    /// The same for the items of a stream. There is never both.
    pub(crate) stream: Option<Option<Type>>,
    /// The same for the error.
    pub(crate) error: Option<Option<Type>>,
    pub(crate) reply_topic: Option<LitStr>,
    pub(crate) no_cancel: bool,
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
    // The second attribute may be meant to replace the first, so it is an error. The first is used for the stand-in.
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
    if let Some(topic) = &read.reply_topic {
        check_name(topic, errors);
    }
    // The requester holds them long after the buffer that they arrived in is gone.
    if let Some(Some(reply)) = &read.reply {
        check_owned("a reply", reply, errors);
    }
    if let Some(Some(item)) = &read.stream {
        check_owned("an item of a stream", item, errors);
    }
    if let Some(Some(error)) = &read.error {
        check_owned("an error", error, errors);
    }
    read
}

/// `#[topic = "name"]`.
fn read_short(value: &Expr, errors: &mut Vec<Error>) -> TopicAttribute {
    let name = string_literal(value)
        .ok_or_else(|| Error::new_spanned(ungrouped(value), "expected a string literal: `#[topic = \"…\"]`"));
    TopicAttribute { name: name.map_err(|error| errors.push(error)).ok(), ..TopicAttribute::default() }
}

/// Whether this is meant as `#[topic(key = value)]`. A literal in the parentheses is meant as the short form.
fn is_long_form(list: &MetaList) -> bool {
    let begins_with_literal = |input: ParseStream<'_>| {
        let literal = input.peek(Lit);
        skip(input, |_| false)?;
        Ok(literal)
    };
    matches!(list.delimiter, MacroDelimiter::Paren(_))
        && !list.parse_args_with(begins_with_literal).unwrap_or_default()
}

/// `#[topic(name = "…", reply = …, crate = "…")]`.
fn read_long(attribute: &Attribute, list: &MetaList, errors: &mut Vec<Error>) -> TopicAttribute {
    let mut keys = Keys::default();
    let all = |input: ParseStream<'_>| read_separated(input, errors, |input, _| read_key(input, &mut keys));
    if let Err(error) = list.parse_args_with(all) {
        errors.push(error);
    }
    if keys.name.is_none() {
        errors.push(Error::new_spanned(
            attribute,
            format_args!("missing topic name: add `{NAME} = \"…\"` to `#[{TOPIC}(…)]`"),
        ));
    }
    check_request(&mut keys, errors);
    TopicAttribute {
        name: keys.name.flatten(),
        reply: keys.reply,
        stream: keys.stream,
        error: keys.error,
        reply_topic: keys.reply_topic.flatten(),
        no_cancel: keys.no_cancel.is_some(),
        krate: keys.krate.flatten(),
    }
}

/// Checks that the keys that belong to a request come with `reply` or `stream`, which make the topic one.
fn check_request(keys: &mut Keys, errors: &mut Vec<Error>) {
    if let [_, second, ..] = &keys.kinds[..] {
        errors.push(Error::new(
            second.span(),
            format_args!("a topic has either `{REPLY} = …` or `{STREAM} = …`: remove one of them"),
        ));
        // The stand-in is a plain request.
        keys.stream = None;
    }
    let (has_reply, has_stream) = (keys.reply.is_some(), keys.stream.is_some());
    errors.extend(keys.of_requests.drain(..).filter_map(|key| {
        let message = if key == ERROR && !has_reply && !has_stream {
            format!("`{key}` belongs to a request: add `{REPLY} = …` or `{STREAM} = …`")
        } else if key == ERROR || has_reply {
            return None;
        } else if !has_stream {
            format!("`{key}` belongs to a request: add `{REPLY} = …`")
        } else if key == NO_CANCEL {
            format!("a stream always ends when its requester gives up: remove `{key}`")
        } else {
            format!("the items of a stream travel under the topic of its request: remove `{key}`")
        };
        Some(Error::new(key.span(), message))
    }));
    if has_stream {
        // The stand-in has nowhere to put them.
        (keys.reply_topic, keys.no_cancel) = (None, None);
    }
}

/// The keys seen so far. The outer `Option` is `Some` once a key was seen, whatever its value: a key with a
/// bad value is neither missing nor free to be given again.
#[derive(Default)]
struct Keys {
    name: Option<Option<LitStr>>,
    reply: Option<Option<Type>>,
    stream: Option<Option<Type>>,
    error: Option<Option<Type>>,
    reply_topic: Option<Option<LitStr>>,
    no_cancel: Option<Option<()>>,
    krate: Option<Option<Path>>,
    /// `reply` and `stream`, in the order in which they stand.
    kinds: Vec<Ident>,
    /// The keys that only a request has.
    of_requests: Vec<Ident>,
}

/// One `key = value`, up to the comma.
fn read_key(input: ParseStream<'_>, keys: &mut Keys) -> Result<()> {
    let key = LANGUAGE.read_key(input)?;
    if [ERROR, REPLY_TOPIC, NO_CANCEL].iter().any(|of_request| key == of_request) {
        keys.of_requests.push(key.clone());
    }
    let is_new = (key == REPLY && keys.reply.is_none()) || (key == STREAM && keys.stream.is_none());
    if is_new {
        keys.kinds.push(key.clone());
    }
    match key.to_string().as_str() {
        NAME => LANGUAGE.read_value(&key, input, &mut keys.name, "`name = \"…\"`", |value: Expr| {
            string_literal(&value).ok_or_else(|| {
                Error::new_spanned(ungrouped(&value), "expected a string literal: `name = \"…\"`")
            })
        }),
        REPLY => LANGUAGE.read_value(&key, input, &mut keys.reply, "`reply = …`", |value: TypeName| {
            value.ty("expected the type of the reply, as in `reply = Sum`")
        }),
        STREAM => LANGUAGE.read_value(&key, input, &mut keys.stream, "`stream = …`", |value: TypeName| {
            value.ty("expected the type of the items, as in `stream = JobEvent`")
        }),
        ERROR => LANGUAGE.read_value(&key, input, &mut keys.error, "`error = …`", |value: TypeName| {
            value.ty("expected the type of the error, as in `error = SubmitError`")
        }),
        REPLY_TOPIC => LANGUAGE.read_value(
            &key,
            input,
            &mut keys.reply_topic,
            "`reply_topic = \"…\"`",
            |value: Expr| {
                string_literal(&value).ok_or_else(|| {
                    Error::new_spanned(ungrouped(&value), "expected a string literal: `reply_topic = \"…\"`")
                })
            },
        ),
        NO_CANCEL => {
            LANGUAGE.occupy(&key, &mut keys.no_cancel)?;
            expect_end(input, "`no_cancel`")
        }
        CRATE => LANGUAGE.read_crate(&key, input, &mut keys.krate),
        _ => Err(LANGUAGE.unknown(&key)),
    }
}

/// The error for `#[topic]` and `#[topic("hello")]`. It shows the right form, with the given name or one that is made
/// from the name of the type.
fn expected_short_form(attribute: &Attribute, input: &DeriveInput) -> Error {
    let given = attribute.parse_args::<LitStr>().map(|literal| literal.value());
    let name = given.unwrap_or_else(|_| input.ident.unraw().to_string().to_lowercase());
    Error::new_spanned(attribute, format_args!("expected `#[{TOPIC} = {name:?}]`"))
}

/// Checks the rules of topic names. Peers have the same rules: a name that breaks one would fail at the first send.
fn check_name(literal: &LitStr, errors: &mut Vec<Error>) {
    let name = literal.value();
    let mut reject = |message: String| errors.push(Error::new(literal.span(), message));
    if name.is_empty() {
        reject("topic name must not be empty".into());
    }
    if name.len() > MAX_NAME_LEN {
        reject(format!("topic name must not exceed {MAX_NAME_LEN} bytes, this one has {}", name.len()));
    }
    // Control characters garble logs and terminals, and most delimiters hold one.
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        reject(format!(
            "topic name must not contain control characters: remove `{}`",
            control.escape_default()
        ));
    }
}
