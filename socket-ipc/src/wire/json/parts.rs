//! Elements, fields and entries.

use std::io;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Error;
use serde_json::ser::Formatter;

use super::Json;

/// The parts of an array or object that is open.
pub(in crate::wire) struct Parts<'j, 'b> {
    json: &'j mut Json<'b>,
    /// How many arrays and objects were open before.
    depth: usize,
    is_first: bool,
    close: &'static str,
    /// The name of the type whose text is written unchanged.
    verbatim: Option<&'static str>,
}

impl<'j, 'b> Parts<'j, 'b> {
    /// The array or object that was just opened; `close` leads back to `depth`.
    #[inline]
    pub(super) fn new(json: &'j mut Json<'b>, depth: usize, close: &'static str) -> Self {
        Self { json, depth, is_first: true, close, verbatim: None }
    }

    #[inline]
    pub(super) fn verbatim(json: &'j mut Json<'b>, name: &'static str) -> Self {
        let depth = json.depth;
        Self { json, depth, is_first: true, close: "", verbatim: Some(name) }
    }

    #[inline]
    fn next(&mut self) {
        if !std::mem::take(&mut self.is_first) {
            self.json.text.put(",");
        }
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.next();
        value.serialize(&mut *self.json)
    }

    #[inline(always)]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        if let Some(name) = self.verbatim {
            let before = self.json.text.len();
            Verbatim { name, key, value }.serialize(&mut serde_json::Serializer::new(&mut self.json.text))?;
            self.json.text.note_from(before);
            return self.json.check_depth(before);
        }
        self.json.key(std::mem::take(&mut self.is_first), key);
        value.serialize(&mut *self.json)
    }

    #[inline]
    fn finish(self) -> Result<(), Error> {
        self.json.close(self.depth, self.close);
        Ok(())
    }
}

macro_rules! parts {
    ($($part:ident $method:ident $same:ident($($key:ident)?);)*) => {$(
        impl $part for Parts<'_, '_> {
            type Ok = ();
            type Error = Error;

            #[inline(always)]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($key: &'static str,)?
                value: &T,
            ) -> Result<(), Error> {
                self.$same($($key,)? value)
            }

            #[inline]
            fn end(self) -> Result<(), Error> {
                self.finish()
            }
        }
    )*};
}

parts! {
    SerializeSeq serialize_element element();
    SerializeTuple serialize_element element();
    SerializeTupleStruct serialize_field element();
    SerializeTupleVariant serialize_field element();
    SerializeStruct serialize_field field(key);
    SerializeStructVariant serialize_field field(key);
}

impl SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.next();
        let before = self.json.text.len();
        let mut serializer = serde_json::Serializer::with_formatter(&mut self.json.text, KeysOnly);
        let written = serializer.serialize_map(None)?.serialize_key(key);
        self.json.text.note_from(before);
        written.inspect_err(|_| self.json.find_key_fault(key))
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.json.text.put(":");
        value.serialize(&mut *self.json)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

/// Writes the keys of a map, without the syntax around them: serde_json knows what can be a key, and has the errors for
/// what can't.
struct KeysOnly;

impl Formatter for KeysOnly {
    #[inline]
    fn begin_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        Ok(())
    }

    #[inline]
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W, _: bool) -> io::Result<()> {
        Ok(())
    }
}

/// A field of a type of serde_json that holds text to be written unchanged, which only serde_json's serializer knows.
struct Verbatim<'v, T: ?Sized> {
    name: &'static str,
    key: &'static str,
    value: &'v T,
}

impl<T: Serialize + ?Sized> Serialize for Verbatim<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct(self.name, 1)?;
        fields.serialize_field(self.key, self.value)?;
        fields.end()
    }
}
