//! Where generated code finds the library, and where its mistakes are reported.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::{Path, TypePath};

use super::attr::ProtocolAttribute;

/// The path of the library. The default path has this span, so that a mistake in a type is reported at the type. A path
/// from the attribute keeps its own span, so that a path that leads nowhere is reported once.
pub(super) fn library(attribute: &ProtocolAttribute, span: Span) -> TokenStream {
    attribute.krate.as_ref().map_or_else(|| quote_spanned!(span=> ::socket_ipc), Path::to_token_stream)
}

/// A span at a type for generated code. It still counts as generated, so that lints ignore the code.
pub(super) fn at(ty: &TypePath) -> Span {
    Span::call_site().located_at(ty.span())
}
