//! serde_json with long strings written faster: it looks at each byte of a string by itself, which is most of what
//! a large message costs its sender. What is written is the same to the byte.
//!
//! A [`Strings`] stands around serde_json's serializer wherever a value is serialized, and passes everything on to
//! it, long strings as bytes: these reach the formatter in one piece, which writes them as the string they are.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, Write};

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

/// From this length on, strings are written here; for shorter ones serde_json is as fast.
const LONG: usize = 32;

/// How many bytes are looked at together: one register that every processor has.
const BLOCK: usize = 16;

/// Whether a byte can't stand in a JSON string as it is.
#[inline]
pub(super) fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Writes text as a JSON string.
pub(super) fn write_string<W: ?Sized + Write>(writer: &mut W, text: &[u8]) -> io::Result<()> {
    writer.write_all(b"\"")?;
    let mut rest = text;
    while let Some(at) = find_escape(rest) {
        writer.write_all(&rest[..at])?;
        match rest[at] {
            b'"' => writer.write_all(b"\\\"")?,
            b'\\' => writer.write_all(b"\\\\")?,
            b'\x08' => writer.write_all(b"\\b")?,
            b'\x0c' => writer.write_all(b"\\f")?,
            b'\n' => writer.write_all(b"\\n")?,
            b'\r' => writer.write_all(b"\\r")?,
            b'\t' => writer.write_all(b"\\t")?,
            control => write!(writer, "\\u{control:04x}")?,
        }
        rest = &rest[at + 1..];
    }
    writer.write_all(rest)?;
    writer.write_all(b"\"")
}

/// Where the first byte is that needs an escape.
fn find_escape(text: &[u8]) -> Option<usize> {
    let (blocks, rest) = text.as_chunks::<BLOCK>();
    // Without a branch for each byte, so that the compiler looks at many at once.
    let clean =
        blocks.iter().take_while(|block| !block.iter().fold(false, |any, byte| any | needs_escape(*byte)));
    let from = clean.count() * BLOCK;
    let block = blocks.get(from / BLOCK).map_or(rest, |block| block);
    block.iter().position(|byte| needs_escape(*byte)).map(|at| from + at)
}

/// serde_json's serializer, or a part of it, with long strings handed to the formatter as bytes.
pub(super) struct Strings<'f, S> {
    inner: S,
    /// Tells the formatter that bytes are a string.
    is_string: &'f Cell<bool>,
}

impl<'f, S> Strings<'f, S> {
    pub(super) fn new(inner: S, is_string: &'f Cell<bool>) -> Self {
        Self { inner, is_string }
    }

    fn value<'v, T: ?Sized>(&self, value: &'v T) -> Value<'f, 'v, T> {
        Value { value, is_string: self.is_string }
    }
}

/// A value that is serialized into [`Strings`] again, wherever it is.
struct Value<'f, 'v, T: ?Sized> {
    value: &'v T,
    is_string: &'f Cell<bool>,
}

impl<T: Serialize + ?Sized> Serialize for Value<'_, '_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Strings::new(serializer, self.is_string))
    }
}

/// Passes on what holds no string.
macro_rules! pass_on {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method(self, $($argument: $type),*) -> Result<S::Ok, S::Error> {
            self.inner.$method($($argument),*)
        }
    )*};
}

/// Passes on what begins something with parts, whose values may be strings.
macro_rules! begin {
    ($($method:ident($($argument:ident: $type:ty),*) -> $part:ident;)*) => {$(
        type $part = Strings<'f, S::$part>;

        #[inline]
        fn $method(self, $($argument: $type),*) -> Result<Self::$part, S::Error> {
            Ok(Strings::new(self.inner.$method($($argument),*)?, self.is_string))
        }
    )*};
}

impl<'f, S: Serializer> Serializer for Strings<'f, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    #[inline]
    fn serialize_str(self, text: &str) -> Result<S::Ok, S::Error> {
        if text.len() < LONG {
            return self.inner.serialize_str(text);
        }
        self.is_string.set(true);
        self.inner.serialize_bytes(text.as_bytes())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let value = self.value(value);
        self.inner.serialize_some(&value)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = self.value(value);
        self.inner.serialize_newtype_struct(name, &value)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let value = self.value(value);
        self.inner.serialize_newtype_variant(name, index, variant, &value)
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    pass_on! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    begin! {
        serialize_seq(len: Option<usize>) -> SerializeSeq;
        serialize_tuple(len: usize) -> SerializeTuple;
        serialize_tuple_struct(name: &'static str, len: usize) -> SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize)
            -> SerializeStructVariant;
    }
}

/// Passes on the parts of something that has only values.
macro_rules! values {
    ($($part:ident: $method:ident;)*) => {$(
        impl<P: $part> $part for Strings<'_, P> {
            type Ok = P::Ok;
            type Error = P::Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), P::Error> {
                let value = self.value(value);
                self.inner.$method(&value)
            }

            #[inline]
            fn end(self) -> Result<P::Ok, P::Error> {
                self.inner.end()
            }
        }
    )*};
}

values! {
    SerializeSeq: serialize_element;
    SerializeTuple: serialize_element;
    SerializeTupleStruct: serialize_field;
    SerializeTupleVariant: serialize_field;
}

/// Passes on the parts of something that has named fields.
macro_rules! fields {
    ($($part:ident)*) => {$(
        impl<P: $part> $part for Strings<'_, P> {
            type Ok = P::Ok;
            type Error = P::Error;

            #[inline]
            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), P::Error> {
                // A key that no field can have is a token between a type and its format, as `RawValue`
                // uses one: what stands there is written verbatim, and is none of ours.
                if key.starts_with('$') {
                    return self.inner.serialize_field(key, value);
                }
                let value = self.value(value);
                self.inner.serialize_field(key, &value)
            }

            #[inline]
            fn end(self) -> Result<P::Ok, P::Error> {
                self.inner.end()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }

impl<P: SerializeMap> SerializeMap for Strings<'_, P> {
    type Ok = P::Ok;
    type Error = P::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), P::Error> {
        self.inner.serialize_key(key)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), P::Error> {
        let value = self.value(value);
        self.inner.serialize_value(&value)
    }

    #[inline]
    fn serialize_entry<K, T>(&mut self, key: &K, value: &T) -> Result<(), P::Error>
    where
        K: Serialize + ?Sized,
        T: Serialize + ?Sized,
    {
        let value = self.value(value);
        self.inner.serialize_entry(key, &value)
    }

    #[inline]
    fn end(self) -> Result<P::Ok, P::Error> {
        self.inner.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::ser::{Serialize, SerializeMap, Serializer};
    use serde_json::value::RawValue;

    use crate::wire::Wire;

    /// One of everything that may hold a string.
    #[derive(serde::Serialize)]
    struct Everything<'t> {
        field: &'t str,
        option: Option<&'t str>,
        newtype: Newtype<'t>,
        tuple: (&'t str, u8, char),
        tuple_struct: Pair<'t>,
        list: Vec<&'t str>,
        map: BTreeMap<&'t str, &'t str>,
        variants: [Variant<'t>; 4],
        bytes: &'t [u8],
        raw: Box<RawValue>,
        shown: std::fmt::Arguments<'t>,
        by_halves: ByHalves<'t>,
        /// A string in formats that people read, and a tuple in others.
        address: std::net::Ipv6Addr,
        #[serde(flatten)]
        flat: BTreeMap<String, &'t str>,
    }

    #[derive(serde::Serialize)]
    struct Newtype<'t>(&'t str);

    #[derive(serde::Serialize)]
    struct Pair<'t>(&'t str, f64);

    #[derive(serde::Serialize)]
    enum Variant<'t> {
        Unit,
        Newtype(&'t str),
        Tuple(&'t str, &'t str),
        Struct { field: &'t str },
    }

    /// A map whose entries are not written at once.
    struct ByHalves<'t>(&'t str);

    impl Serialize for ByHalves<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_key(self.0)?;
            map.serialize_value(self.0)?;
            map.end()
        }
    }

    fn assert_as_serde_json(value: &impl Serialize) {
        let mut written = Vec::new();
        Wire::JSON_LINES.encode("t", value, &mut written).unwrap();
        let expected =
            format!(r#"{{"topic":"t","message":{}}}"#, serde_json::to_string(value).unwrap()) + "\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }

    #[test]
    fn each_character_is_written_as_serde_json_writes_it_wherever_it_stands() {
        for character in (0..=0x100).filter_map(char::from_u32) {
            for before in 0..70 {
                assert_as_serde_json(&format!("{}{character}{}", "x".repeat(before), "y".repeat(40)));
            }
        }
    }

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it_in_whatever_holds_it(
            text in "[ -~\\x00-\\x1fäß€😀\"\\\\]{0,150}",
        ) {
            assert_as_serde_json(&Everything {
                field: &text,
                option: Some(&text),
                newtype: Newtype(&text),
                tuple: (&text, 1, '\n'),
                tuple_struct: Pair(&text, 0.5),
                list: vec![&text; 2],
                map: [(text.as_str(), text.as_str())].into(),
                variants: [
                    Variant::Unit,
                    Variant::Newtype(&text),
                    Variant::Tuple(&text, &text),
                    Variant::Struct { field: &text },
                ],
                bytes: text.as_bytes(),
                raw: RawValue::from_string(format!(r#"["{}"]"#, "verbatim".repeat(20))).unwrap(),
                shown: format_args!("{text}"),
                by_halves: ByHalves(&text),
                address: std::net::Ipv6Addr::from_bits(u128::MAX),
                flat: [(format!("flat {text}"), text.as_str())].into(),
            });
        }
    }
}
