//! From a value to JSON text, byte for byte as serde_json writes it.
//!
//! serde_json checks each byte of a string by itself, also in field names, which is most of the sender's cost of a
//! message. This serializer checks several bytes at once. It leaves numbers and the keys of maps to serde_json.

mod parts;
mod path;
mod serializer;
#[cfg(test)]
mod tests;

use serde::ser::{Error as _, Serialize};
use serde_json::Error;

use super::bounded::{Bounded, is_plain};
use parts::Parts;
pub(super) use path::path_at_end;

/// The deepest nesting of a message: serde_json reads no deeper. The limit also keeps a deep tree from overflowing the
/// sender's stack.
pub(super) const MAX_DEPTH: usize = 127;

/// A string of at most this length is searched for escapes before it is written: few have one.
const SHORT: usize = 32;

/// Why a value can't be sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    TooDeep,
    /// A number that is not finite, by its name.
    NotFinite(&'static str),
    /// The same as the key of a map.
    NotFiniteKey(&'static str),
}

/// Writes one value.
pub(super) struct Json<'b> {
    pub(super) text: Bounded<'b>,
    /// How many arrays and objects are open.
    depth: usize,
    /// Why the value can't be sent, where this serializer finds out.
    pub(super) fault: Option<Fault>,
    /// Some text was written unchanged.
    pub(super) verbatim: bool,
}

impl<'b> Json<'b> {
    pub(super) fn new(text: Bounded<'b>) -> Self {
        Self { text, depth: 0, fault: None, verbatim: false }
    }

    #[inline]
    pub(super) fn string(&mut self, text: &str) {
        if text.len() <= SHORT && is_plain(text) {
            return self.text.put_all(["\"", text, "\""]);
        }
        self.text.put("\"");
        self.text.put_in_string(text);
        self.text.put("\"");
    }

    /// Writes a key, behind a comma unless it is the `first` one of its object. Most are constants where this is inlined:
    /// there the compiler searches for escapes, and puts the text together.
    #[inline(always)]
    pub(super) fn key(&mut self, is_first: bool, key: &str) {
        let mut text = [b','; SHORT + 4];
        if key.len() <= SHORT && is_plain(key) {
            let (begin, end) = (usize::from(is_first), key.len() + 2);
            text[1] = b'"';
            text[2..end].copy_from_slice(key.as_bytes());
            text[end..end + 2].copy_from_slice(b"\":");
            return self.text.put_bytes(&text[begin..end + 2]);
        }
        if !is_first {
            self.text.put(",");
        }
        self.string(key);
        self.text.put(":");
    }

    /// Writes a further key of an object, and its value, which is JSON text.
    pub(super) fn further(&mut self, key: &str, value: &str) {
        self.text.put_all([",\"", key, "\":", value]);
    }

    /// Writes a further key of an object, and its value.
    pub(super) fn further_number(&mut self, key: &str, value: u64) {
        self.further(key, itoa::Buffer::new().format(value));
    }

    /// Opens an array or object.
    #[inline]
    fn open(&mut self, bracket: &str) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.fault = Some(Fault::TooDeep);
            return Err(Error::custom("nested too deep"));
        }
        self.text.put(bracket);
        Ok(())
    }

    /// Returns an error if the text from `at` on, which was written unchanged, is nested too deep at its place.
    fn check_depth(&mut self, at: usize) -> Result<(), Error> {
        let most = MAX_DEPTH - self.depth.min(MAX_DEPTH);
        let text = self.text.stored_from(at);
        // Each level takes two brackets: most texts are too short, or have too few.
        if text.len() <= 2 * most || memchr::memchr2_iter(b'[', b'{', text).nth(most).is_none() {
            return Ok(());
        }
        if depth(text) > most {
            self.fault = Some(Fault::TooDeep);
            return Err(Error::custom("nested too deep"));
        }
        Ok(())
    }

    /// Returns an error for a number that JSON cannot represent: `null` would silently lose it.
    #[cold]
    fn not_finite(&mut self, value: f64) -> Result<(), Error> {
        let name = match value {
            _ if value.is_nan() => "NaN",
            _ if value > 0.0 => "infinity",
            _ => "-infinity",
        };
        self.fault = Some(Fault::NotFinite(name));
        Err(Error::custom(name))
    }

    /// Finds out whether a key that serde_json rejected is a number that JSON cannot represent.
    #[cold]
    fn find_key_fault<T: Serialize + ?Sized>(&mut self, key: &T) {
        let mut nothing = Vec::new();
        let mut alone = Json::new(Bounded::new(&mut nothing, 0));
        // An array or object can't be a key anyway, whatever number is in it.
        if key.serialize(&mut alone).is_err()
            && alone.text.size() == 0
            && let Some(Fault::NotFinite(value)) = alone.fault
        {
            self.fault = Some(Fault::NotFiniteKey(value));
        }
    }

    /// Opens the object whose one key is the name of an enum's variant.
    #[inline]
    fn open_variant(&mut self, variant: &str) -> Result<(), Error> {
        self.open("{")?;
        self.key(true, variant);
        Ok(())
    }

    /// Closes the arrays and objects down to `depth`.
    #[inline]
    fn close(&mut self, depth: usize, brackets: &str) {
        self.depth = depth;
        self.text.put(brackets);
    }

    /// Opens an array or object. `close` closes it and the others down to `depth`.
    #[inline]
    fn parts<'j>(
        &'j mut self,
        open: &str,
        depth: usize,
        close: &'static str,
    ) -> Result<Parts<'j, 'b>, Error> {
        self.open(open)?;
        Ok(Parts::new(self, depth, close))
    }

    #[inline]
    fn array<'j>(&'j mut self) -> Result<Parts<'j, 'b>, Error> {
        self.parts("[", self.depth, "]")
    }

    #[inline]
    fn object<'j>(&'j mut self) -> Result<Parts<'j, 'b>, Error> {
        self.parts("{", self.depth, "}")
    }
}

/// The depth of nesting in well-formed JSON text.
fn depth(text: &[u8]) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}
