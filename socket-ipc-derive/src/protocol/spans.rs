//! Where generated code finds the library, and where its mistakes are reported.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Path, TypePath};

use super::attr::ProtocolAttribute;

/// Where the library is. Code whose mistakes are a type's is located at the type, and reported there; but a path that
/// the user wrote stays where it is, so that one which leads nowhere is reported once.
pub(super) fn library(attribute: &ProtocolAttribute, span: Span) -> TokenStream {
    attribute.krate.as_ref().map_or_else(|| quote_spanned!(span=> ::socket_ipc), Path::to_token_stream)
}

/// The span for generated code that is located at a type. It is still generated, so that lints pass it over.
pub(super) fn at(ty: &TypePath) -> Span {
    Span::call_site().located_at(ty.span())
}
