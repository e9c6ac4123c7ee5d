//! What serde calls for each kind of value.

use std::fmt::{self, Display, Write as _};

use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::Error;
use serde_json::ser::{CompactFormatter, Formatter};

use super::Json;
use super::parts::Parts;
use crate::wire::bounded::Bounded;

/// The prefix of the names under which types of serde_json pass text through a serializer unchanged: `RawValue`, and
/// numbers of arbitrary precision.
const VERBATIM: &str = "$serde_json::private::";

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
