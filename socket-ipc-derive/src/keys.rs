//! The `key = value` language of the attributes, and the values that both of them take.
//!
//! Every mistake is pushed to the caller's list and reading goes on, so that one compilation shows them all.

use proc_macro2::{Ident, Span, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, ExprLit, ExprPath, Lit, LitStr, Path, Result, Token};

/// Where generated code finds the library.
pub(crate) const CRATE: &str = "crate";
/// How [`CRATE`] is written.
const CRATE_FORM: &str = "`crate = \"…\"`";

/// The language of one attribute: its name, and its keys in the order in which an error lists them.
pub(crate) struct Language {
    pub(crate) attribute: &'static str,
    pub(crate) keys: &'static [&'static str],
}

impl Language {
    /// Reads the next key.
    pub(crate) fn read_key(&self, input: ParseStream<'_>) -> Result<Ident> {
        // `parse_any`, because `crate` is a keyword.
        Ident::parse_any(input).map_err(|error| Error::new(error.span(), self.expected_one_of()))
    }

    pub(crate) fn unknown(&self, key: &Ident) -> Error {
        let (attribute, expected) = (self.attribute, self.expected_one_of());
        Error::new(key.span(), format_args!("unknown {attribute} attribute `{key}`, {expected}"))
    }

    /// Marks the slot of a key as seen, with a placeholder that stays if the value is bad.
    pub(crate) fn occupy<T>(&self, key: &Ident, slot: &mut Option<Option<T>>) -> Result<()> {
        if slot.is_some() {
            let attribute = self.attribute;
            return Err(Error::new(key.span(), format_args!("duplicate {attribute} attribute `{key}`")));
        }
        *slot = Some(None);
        Ok(())
    }

    /// Reads `= value`, up to the comma, into the slot of its key. The error message shows `form`, the right way to
    /// write it.
    pub(crate) fn read_value<V: Parse, T>(
        &self,
        key: &Ident,
        input: ParseStream<'_>,
        slot: &mut Option<Option<T>>,
        form: &str,
        convert: impl FnOnce(V) -> Result<T>,
    ) -> Result<()> {
        self.occupy(key, slot)?;
        let expected = |span: Span| Error::new(span, format_args!("expected {form}"));
        input.parse::<Token![=]>().map_err(|_| expected(key.span()))?;
        let value = input.parse::<V>().map_err(|_| expected(key.span()))?;
        expect_end(input, form)?;
        *slot = Some(Some(convert(value)?));
        Ok(())
    }

    /// The value of [`CRATE`].
    pub(crate) fn read_crate(
        &self,
        key: &Ident,
        input: ParseStream<'_>,
        slot: &mut Option<Option<Path>>,
    ) -> Result<()> {
        self.read_value(key, input, slot, CRATE_FORM, |value: Expr| {
            path(&value).ok_or_else(|| {
                Error::new_spanned(ungrouped(&value), "expected a path: `crate = \"my_crate::socket_ipc\"`")
            })
        })
    }

    fn expected_one_of(&self) -> String {
        format!("expected one of: `{}`", self.keys.join("`, `"))
    }
}

/// Reads items that are separated by commas. After a mistake it goes on after the next comma, because the rest of a
/// broken item would only give further errors.
pub(crate) fn read_separated(
    input: ParseStream<'_>,
    errors: &mut Vec<Error>,
    mut read: impl FnMut(ParseStream<'_>, &mut Vec<Error>) -> Result<()>,
) -> Result<()> {
    while !input.is_empty() {
        if let Err(error) = read(input, errors) {
            errors.push(error);
            skip(input, |input| input.peek(Token![,]))?;
        }
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
    }
    Ok(())
}

/// Checks that a comma or the end of the input follows an item of this form.
pub(crate) fn expect_end(input: ParseStream<'_>, form: &str) -> Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Ok(());
    }
    Err(Error::new(input.span(), format_args!("expected `,` after {form}")))
}

/// Skips tokens until `stop` holds, or to the end.
pub(crate) fn skip(input: ParseStream<'_>, stop: impl Fn(ParseStream<'_>) -> bool) -> Result<()> {
    while !input.is_empty() && !stop(input) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// The expression without the invisible group that a macro's fragment (`$name:expr`) wraps around it.
pub(crate) fn ungrouped(mut value: &Expr) -> &Expr {
    while let Expr::Group(group) = value {
        value = &group.expr;
    }
    value
}

/// A plain string literal: no bytes, no C string, no suffix.
pub(crate) fn string_literal(value: &Expr) -> Option<LitStr> {
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
