use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::wire::{EncodeError, Wire};

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
    let expected = format!(r#"{{"topic":"t","message":{}}}"#, serde_json::to_string(value).unwrap()) + "\n";
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

#[test]
fn scalars_are_written_as_serde_json_writes_them() {
    assert_as_serde_json(&(true, false, i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN));
    assert_as_serde_json(&(u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX));
    assert_as_serde_json(&(f32::MIN_POSITIVE, f64::MAX, -0.0, 1e300, f32::MAX, f64::MIN));
    assert_as_serde_json(&((), None::<u8>, std::marker::PhantomData::<u8>, [(); 0], 'ß', '"'));
}

#[test]
fn number_not_finite_is_refused_by_the_path_of_its_field() {
    #[derive(serde::Serialize)]
    struct Shape {
        points: Vec<Point>,
        #[serde(flatten)]
        more: BTreeMap<String, Option<f32>>,
        kind: Kind,
    }
    #[derive(serde::Serialize, Clone)]
    struct Point {
        x: f64,
        y: f64,
    }
    #[derive(serde::Serialize)]
    enum Kind {
        Plain,
        Round { radius: f64 },
        Pair(f64, f64),
        Line(f64),
    }
    #[derive(serde::Serialize)]
    #[serde(tag = "is")]
    enum Tagged {
        Round { radius: f64 },
    }
    fn refused(value: &impl Serialize) -> String {
        let mut buffer = b"before".to_vec();
        let error = Wire::JSON_LINES.encode("t", value, &mut buffer).unwrap_err();
        assert!(matches!(error, EncodeError::NotFinite { .. }), "{error:?}");
        assert_eq!(buffer, b"before");
        error.to_string()
    }

    let shape =
        || Shape { points: vec![Point { x: 1.0, y: 2.0 }; 4], more: BTreeMap::new(), kind: Kind::Plain };
    let said = |place: &str, value: &str| format!("{place} is {value}, which JSON cannot represent");
    let mut point = shape();
    point.points[3].y = f64::NAN;
    assert_eq!(refused(&point), said("points[3].y", "NaN"));
    let mut flat = shape();
    flat.more = [("a".to_owned(), None), ("b c".to_owned(), Some(f32::NEG_INFINITY))].into();
    assert_eq!(refused(&flat), said("b c", "-infinity"));
    assert_eq!(
        refused(&Shape { kind: Kind::Round { radius: f64::INFINITY }, ..shape() }),
        said("kind.Round.radius", "infinity")
    );
    assert_eq!(refused(&Shape { kind: Kind::Pair(1.0, f64::NAN), ..shape() }), said("kind.Pair[1]", "NaN"));
    assert_eq!(refused(&Shape { kind: Kind::Line(f64::NAN), ..shape() }), said("kind.Line", "NaN"));
    assert_eq!(refused(&Tagged::Round { radius: f64::NAN }), said("radius", "NaN"));
    assert_eq!(refused(&f32::NAN), said("the message", "NaN"));
    assert_eq!(refused(&[1.0, -f64::NAN]), said("[1]", "NaN"));
    assert_eq!(refused(&BTreeMap::from([(7, Some(f64::NAN))])), said("7", "NaN"));
    assert_as_serde_json(&(0.0, -0.0, f64::MIN_POSITIVE, None::<f64>));
}

#[test]
fn number_not_finite_as_a_key_is_refused_by_the_path_of_its_map() {
    /// A map with one key.
    struct Of<K>(K);

    impl<K: Serialize> Serialize for Of<K> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            map.serialize_entry("first", &1)?;
            map.serialize_entry(&self.0, &2)?;
            map.end()
        }
    }

    #[derive(serde::Serialize)]
    struct Weight(f32);

    #[derive(serde::Serialize)]
    enum Table {
        Weights { of: [Of<Weight>; 1] },
    }

    fn refused(value: &impl Serialize) -> (bool, String) {
        let error = Wire::JSON_LINES.encode("t", value, &mut Vec::new()).unwrap_err();
        (matches!(error, EncodeError::NotFiniteKey { .. }), error.to_string())
    }

    assert_as_serde_json(&Of(1.5));
    let said = |place: &str, value: &str| {
        (true, format!("a key of {place} is {value}, which JSON cannot represent"))
    };
    assert_eq!(refused(&Of(f64::NAN)), said("the message", "NaN"));
    assert_eq!(refused(&[Of(1.5), Of(f64::INFINITY)]), said("[1]", "infinity"));
    let table = Table::Weights { of: [Of(Weight(f32::NEG_INFINITY))] };
    assert_eq!(refused(&table), said("Weights.of[0]", "-infinity"));
    // It is no key for being an array.
    let (is_not_finite, error) = refused(&Of((f64::NAN, 1)));
    assert!(!is_not_finite && error == "key must be a string", "{error}");
}

#[test]
fn number_not_finite_beyond_the_limit_is_too_large_and_before_it_is_named() {
    use crate::wire::{EnvelopeKind, encode::Tail};

    let kind = EnvelopeKind::Message;
    let encode = |limit, message: &(f64, &str, f64)| {
        let mut buffer = b"before".to_vec();
        let tail = Tail::of(&kind);
        let error = Wire::JSON_LINES.encode_within(limit, &tail, "t", message, &mut buffer).unwrap_err();
        assert_eq!(buffer, b"before");
        error.to_string()
    };
    let text = "x".repeat(100);
    assert_eq!(encode(1000, &(0.0, &text, f64::NAN)), "[2] is NaN, which JSON cannot represent");
    assert_eq!(encode(100, &(f64::NAN, &text, f64::NAN)), "[0] is NaN, which JSON cannot represent");
    assert_eq!(encode(100, &(0.0, &text, f64::NAN)), "131 bytes are over the limit of 100");
}

proptest! {
    #[test]
    fn number_any_is_written_as_serde_json_writes_it_or_refused(bits in any::<u64>(), short in any::<u32>()) {
        let (long, short) = (f64::from_bits(bits), f32::from_bits(short));
        if long.is_finite() && short.is_finite() {
            assert_as_serde_json(&[(long, short)]);
        } else {
            let error = Wire::JSON_LINES.encode("t", &[(long, short)], &mut Vec::new()).unwrap_err();
            let place = if long.is_finite() { "[0][1] is " } else { "[0][0] is " };
            prop_assert!(error.to_string().starts_with(place), "{error}");
        }
    }
}

#[test]
fn a_key_may_be_what_serde_json_allows() {
    assert_as_serde_json(&BTreeMap::from([(i8::MIN, 1), (0, 2)]));
    assert_as_serde_json(&BTreeMap::from([(u128::MAX, 1)]));
    assert_as_serde_json(&BTreeMap::from([(true, 1)]));
    assert_as_serde_json(&BTreeMap::from([('"', 1)]));
    assert_as_serde_json(&BTreeMap::from([(std::net::Ipv4Addr::LOCALHOST, 1)]));
    let grid = BTreeMap::from([((1, 2), 3)]);
    let error = Wire::JSON_LINES.encode("t", &grid, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), serde_json::to_string(&grid).unwrap_err().to_string());
}

#[test]
fn the_array_that_bytes_become_counts_as_one() {
    struct Bytes(usize);

    impl Serialize for Bytes {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                0 => serializer.serialize_bytes(b"ab"),
                depth => [Bytes(depth - 1)].serialize(serializer),
            }
        }
    }

    assert_as_serde_json(&Bytes(126));
    let error = Wire::JSON_LINES.encode("t", &Bytes(127), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, EncodeError::TooDeep { .. }), "{error:?}");
}

#[test]
fn what_can_not_be_shown_is_an_error() {
    struct Silent;

    impl std::fmt::Display for Silent {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            Err(std::fmt::Error)
        }
    }

    impl Serialize for Silent {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    let mut buffer = b"before".to_vec();
    let error = Wire::JSON_LINES.encode("t", &Silent, &mut buffer).unwrap_err();
    assert!(matches!(error, EncodeError::Serialize(_)), "{error:?}");
    assert_eq!(buffer, b"before");
}

#[test]
fn names_are_escaped_too() {
    #[derive(serde::Serialize)]
    struct Quoted {
        #[serde(rename = "a \"quoted\" field")]
        field: [Variants; 2],
    }

    #[derive(serde::Serialize)]
    enum Variants {
        #[serde(rename = "new\nline")]
        Newtype(u8),
        #[serde(rename = "back\\slash")]
        Unit,
    }

    assert_as_serde_json(&Quoted { field: [Variants::Newtype(1), Variants::Unit] });
}
