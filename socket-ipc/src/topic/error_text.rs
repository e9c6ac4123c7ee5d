//! The text of an error, whether or not its type can be displayed.

use std::fmt::Display;

/// An error whose text is needed. `#[derive(Topic)]` calls its method `text`: the inherent one, which exists where the
/// type can be displayed and takes precedence, or else the one of [`TextOfAny`].
#[doc(hidden)]
#[derive(Debug)]
pub struct TextOf<'e, E>(pub &'e E);

impl<E: Display> TextOf<'_, E> {
    /// What is displayed, with the causes that some types add in their alternate form.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}", self.0)
    }
}

#[doc(hidden)]
pub trait TextOfAny {
    /// No text.
    fn text(&self) -> String;
}

impl<E> TextOfAny for TextOf<'_, E> {
    fn text(&self) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    #[test]
    fn text_of_error_is_its_display_or_empty() {
        assert_eq!(TextOf(&"full").text(), "full");
        assert_eq!(TextOf(&Silent).text(), "");
    }
}
