//! The `Topic` derive of socket-ipc.
use proc_macro::TokenStream;
/// Implements `Topic`.
#[proc_macro_derive(Topic, attributes(topic))]
pub fn derive_topic(_input: TokenStream) -> TokenStream {
    TokenStream::new()
}
