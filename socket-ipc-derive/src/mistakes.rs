//! All mistakes of an item at once.

use proc_macro2::TokenStream;
use syn::Error;

/// The `compile_error!` of every mistake, or `None` without mistakes.
pub(crate) fn reported(errors: Vec<Error>) -> Option<TokenStream> {
    let errors = errors.into_iter().reduce(|mut all, error| {
        all.combine(error);
        all
    });
    errors.map(Error::into_compile_error)
}
