//! Reads `#[handlers(server = …)]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::{Error, Path, Result, Token, Type};

use crate::keys::{CRATE, Language, expect_end, read_separated};
use crate::types::TypeName;

/// The struct handles topics on a server.
const SERVER: &str = "server";
/// The struct handles topics on a client.
const CLIENT: &str = "client";
/// The keys. A new one is added here, in [`Keys`] and in [`read_key`].
const LANGUAGE: Language = Language { attribute: "handlers", keys: &[SERVER, CLIENT, CRATE] };

/// The content of the attribute. What is missing or unusable stands for a server without a protocol.
pub(super) struct HandlersAttribute {
    is_client: bool,
    protocol: Option<Type>,
    krate: Option<Path>,
}

/// Reads what stands in the parentheses of the attribute.
pub(super) fn read(attribute: TokenStream, errors: &mut Vec<Error>) -> HandlersAttribute {
    let mut keys = Keys::default();
    let all = |input: ParseStream<'_>| read_separated(input, errors, |input, _| read_key(input, &mut keys));
    if let Err(error) = Parser::parse2(all, attribute) {
        errors.push(error);
    }
    if let [first, second, ..] = &keys.endpoints[..]
        && first != second
    {
        errors.push(Error::new(
            second.span(),
            format_args!("a block is for one endpoint: write another block for `{second}`"),
        ));
    }
    let is_client = keys.server.is_none() && keys.client.is_some();
    let protocol = if is_client { keys.client } else { keys.server };
    HandlersAttribute { is_client, protocol: protocol.flatten().flatten(), krate: keys.krate.flatten() }
}

/// The keys seen so far. The outer `Option` is `Some` once a key was seen, whatever its value. A server and a client
/// without a protocol have no value.
#[derive(Default)]
struct Keys {
    server: Option<Option<Option<Type>>>,
    client: Option<Option<Option<Type>>>,
    krate: Option<Option<Path>>,
    /// `server` and `client`, as they come.
    endpoints: Vec<Ident>,
}

/// One key and its value, up to the comma.
fn read_key(input: ParseStream<'_>, keys: &mut Keys) -> Result<()> {
    let key = LANGUAGE.read_key(input)?;
    let slot = match key.to_string().as_str() {
        SERVER => &mut keys.server,
        CLIENT => &mut keys.client,
        CRATE => return LANGUAGE.read_crate(&key, input, &mut keys.krate),
        _ => return Err(LANGUAGE.unknown(&key)),
    };
    keys.endpoints.push(key.clone());
    let form = format!("`{key} = …`");
    if input.peek(Token![=]) {
        let expected = format!("expected the protocol of the {key}, as in `{key} = Chat`");
        return LANGUAGE.read_value(&key, input, slot, &form, |ty: TypeName| ty.ty(&expected).map(Some));
    }
    LANGUAGE.occupy(&key, slot)?;
    expect_end(input, &format!("`{key}` or {form}"))
}

impl HandlersAttribute {
    /// The path of the library. The default path has this span, so that a mistake in a type is reported at the type.
    pub(super) fn library(&self, span: Span) -> TokenStream {
        self.krate.as_ref().map_or_else(|| quote_spanned!(span=> ::socket_ipc), Path::to_token_stream)
    }

    /// The type of the endpoint.
    pub(super) fn endpoint(&self, krate: &TokenStream) -> TokenStream {
        let name = Ident::new(if self.is_client { "Client" } else { "Server" }, Span::call_site());
        let protocol = self.protocol.as_ref().map(|protocol| quote!(<#protocol>));
        quote!(#krate::#name #protocol)
    }

    pub(super) fn has_protocol(&self) -> bool {
        self.protocol.is_some()
    }
}
