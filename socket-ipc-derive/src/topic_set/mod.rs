//! `#[derive(TopicSet)]`: an enum with a variant for each of several topics.

mod attr;
mod expand;
mod members;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error};

use crate::mistakes::reported;

/// Writes the impls of a set, preceded by every mistake that was found.
///
/// With mistakes the impls are a stand-in without members, so that uses of the type give no further errors.
pub(crate) fn topic_set(input: &DeriveInput) -> TokenStream {
    if let Some(error) = attr::check_no_topic(input) {
        return error.into_compile_error();
    }
    let mut errors = Vec::new();
    let krate = attr::read(input, &mut errors);
    let members = members::read(input, &mut errors);
    check_no_generics(input, &mut errors);

    match reported(errors) {
        Some(errors) => {
            let stand_in = expand::stand_in(input, krate.as_ref());
            quote!(#errors #stand_in)
        }
        None => expand::implementations(input, krate.as_ref(), &members),
    }
}

/// Rejects generics: which topics a set has is checked where it is declared.
fn check_no_generics(input: &DeriveInput, errors: &mut Vec<Error>) {
    if !input.generics.params.is_empty() {
        errors.push(Error::new_spanned(
            &input.generics,
            format_args!("a topic set names its topics: remove the generics of `{}`", input.ident),
        ));
    }
}
