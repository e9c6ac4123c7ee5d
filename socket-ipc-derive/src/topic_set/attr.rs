//! Reads `#[topic_set(crate = "…")]`.

use syn::parse::ParseStream;
use syn::{DeriveInput, Error, MacroDelimiter, Meta, Path};

use crate::keys::{CRATE, Language, read_separated};

/// The attribute's own name.
const TOPIC_SET: &str = "topic_set";
/// The attribute of a type that is a topic itself.
const TOPIC: &str = "topic";
/// The keys.
const LANGUAGE: Language = Language { attribute: TOPIC_SET, keys: &[CRATE] };
/// How the attribute is written.
const FORM: &str = "`#[topic_set(crate = \"…\")]`";

/// Rejects the attribute of a topic. A type that is one is a set already.
pub(super) fn check_no_topic(input: &DeriveInput) -> Option<Error> {
    let topic = input.attrs.iter().find(|attribute| attribute.path().is_ident(TOPIC))?;
    let text = "a topic set has no topic of its own, its variants do: remove one of the two derives";
    Some(Error::new_spanned(topic, text))
}

/// Reads the attribute of a set, which none needs: the path of the library, if it says one.
pub(super) fn read(input: &DeriveInput, errors: &mut Vec<Error>) -> Option<Path> {
    let mut attributes = input.attrs.iter().filter(|attribute| attribute.path().is_ident(TOPIC_SET));
    let attribute = attributes.next()?;
    errors.extend(attributes.map(|second| Error::new_spanned(second, "duplicate `#[topic_set]` attribute")));

    let mut krate = None;
    match &attribute.meta {
        Meta::List(list) if matches!(list.delimiter, MacroDelimiter::Paren(_)) => {
            let all = |input: ParseStream<'_>| {
                read_separated(input, errors, |input, _| {
                    let key = LANGUAGE.read_key(input)?;
                    match key.to_string().as_str() {
                        CRATE => LANGUAGE.read_crate(&key, input, &mut krate),
                        _ => Err(LANGUAGE.unknown(&key)),
                    }
                })
            };
            if let Err(error) = list.parse_args_with(all) {
                errors.push(error);
            }
        }
        _ => errors.push(Error::new_spanned(attribute, format_args!("expected {FORM}"))),
    }
    krate.flatten()
}
