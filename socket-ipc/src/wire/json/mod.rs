//! From a value to JSON text, byte for byte as serde_json writes it.
//!
//! serde_json checks the bytes of strings and field names one by one, which is most of what a message costs its sender.
//! Here they are checked in blocks, and constant field names at compile time. Numbers, and the keys of maps with their
//! rules, are left to serde_json.

mod parts;
mod path;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Write as _};
use std::io::Write as _;

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Error;
use serde_json::ser::{CompactFormatter, Formatter};

use super::bounded::{Bounded, is_plain};
use parts::Parts;
pub(super) use path::path_at_end;

/// The deepest nesting of a message: serde_json reads no deeper. The limit also keeps a deep tree from overflowing the
/// sender's stack.
pub(super) const MAX_DEPTH: usize = 127;

/// A string of at most this length is searched for escapes before it is written: few have one.
const SHORT: usize = 32;

/// The prefix of the names under which types of serde_json pass text through a serializer unchanged: `RawValue`, and
/// numbers of arbitrary precision.
const VERBATIM: &str = "$serde_json::private::";

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

    /// Writes a key. Most are constants where this is inlined: there the compiler searches for escapes.
    #[inline(always)]
    pub(super) fn key(&mut self, key: &str) {
        if is_plain(key) {
            return self.text.put_all(["\"", key, "\":"]);
        }
        self.string(key);
        self.text.put(":");
    }

    /// Writes a further key of an object, and its value, which is JSON text.
    pub(super) fn further(&mut self, key: &str, value: impl Display) {
        self.text.put_all([",\"", key, "\":"]);
        // Never fails: bytes over the limit are counted.
        let _ = write!(self.text, "{value}");
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

    /// Finds out whether a key that serde_json refused is a number that JSON cannot represent.
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
        self.key(variant);
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

/// Scalars, as serde_json formats them.
macro_rules! scalars {
    ($($method:ident $write:ident $type:ty;)*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), Error> {
            CompactFormatter.$write(&mut self.text, value).map_err(Error::custom)
        }
    )*};
}

impl<'j, 'b> Serializer for &'j mut Json<'b> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Parts<'j, 'b>;
    type SerializeTuple = Parts<'j, 'b>;
    type SerializeTupleStruct = Parts<'j, 'b>;
    type SerializeTupleVariant = Parts<'j, 'b>;
    type SerializeMap = Parts<'j, 'b>;
    type SerializeStruct = Parts<'j, 'b>;
    type SerializeStructVariant = Parts<'j, 'b>;

    scalars! {
        serialize_bool write_bool bool;
        serialize_i8 write_i8 i8;
        serialize_i16 write_i16 i16;
        serialize_i32 write_i32 i32;
        serialize_i64 write_i64 i64;
        serialize_i128 write_i128 i128;
        serialize_u8 write_u8 u8;
        serialize_u16 write_u16 u16;
        serialize_u32 write_u32 u32;
        serialize_u64 write_u64 u64;
        serialize_u128 write_u128 u128;
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        if !value.is_finite() {
            return self.not_finite(value.into());
        }
        CompactFormatter.write_f32(&mut self.text, value).map_err(Error::custom)
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if !value.is_finite() {
            return self.not_finite(value);
        }
        CompactFormatter.write_f64(&mut self.text, value).map_err(Error::custom)
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        self.collect_seq(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Error> {
        self.text.put("null");
        Ok(())
    }

    #[inline]
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let depth = self.depth;
        self.open_variant(variant)?;
        value.serialize(&mut *self)?;
        self.close(depth, "}");
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'j, 'b>, Error> {
        self.array()
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Parts<'j, 'b>, Error> {
        self.array()
    }

    #[inline]
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'j, 'b>, Error> {
        self.array()
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'j, 'b>, Error> {
        let depth = self.depth;
        self.open_variant(variant)?;
        self.parts("[", depth, "]}")
    }

    #[inline]
    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'j, 'b>, Error> {
        self.object()
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'j, 'b>, Error> {
        if name.starts_with(VERBATIM) {
            self.verbatim = true;
            return Ok(Parts::verbatim(self, name));
        }
        self.object()
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'j, 'b>, Error> {
        let depth = self.depth;
        self.open_variant(variant)?;
        self.parts("{", depth, "}}")
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<(), Error> {
        struct InString<'j, 'b>(&'j mut Bounded<'b>);

        impl fmt::Write for InString<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.put_in_string(text);
                Ok(())
            }
        }

        self.text.put("\"");
        write!(InString(&mut self.text), "{value}").map_err(Error::custom)?;
        self.text.put("\"");
        Ok(())
    }
}
