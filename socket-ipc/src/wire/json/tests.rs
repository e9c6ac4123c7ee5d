use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::wire::{EncodeError, Wire};

/// Every kind of value that can hold a string.
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
    /// A string in human-readable formats, and a tuple in others.
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

/// A map whose keys and values are written separately.
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
    let text = serde_json::to_string(value).unwrap();
    // On a wire of other delimiters they are written as they are.
    let mut other = Vec::new();
    Wire::NODE_0_4.encode("t", value, &mut other).unwrap();
    assert_eq!(String::from_utf8(other).unwrap(), format!("{{\"topic\":\"t\",\"message\":{text}}}\0\0"));
    let mut text = text;
    for line_end in ['\u{85}', '\u{2028}', '\u{2029}'] {
        text = text.replace(line_end, &format!("\\u{:04x}", line_end as u32));
    }
    assert_eq!(String::from_utf8(written).unwrap(), format!("{{\"topic\":\"t\",\"message\":{text}}}\n"));
}

#[test]
fn json_character_at_any_offset_matches_serde_json() {
    for character in (0..=0x100).chain(0x2020..=0x2030).filter_map(char::from_u32) {
        for before in 0..70 {
            assert_as_serde_json(&format!("{}{character}{}", "x".repeat(before), "y".repeat(40)));
        }
    }
}

proptest! {
    #[test]
    fn json_string_in_any_container_matches_serde_json(
        text in "[ -~\\x00-\\x1f\\u{80}-\\u{9f}\\u{2020}-\\u{2030}äß€😀\"\\\\]{0,150}",
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
fn json_scalars_match_serde_json() {
    assert_as_serde_json(&(true, false, i8::MIN, i16::MIN, i32::MIN, i64::MIN, i128::MIN));
    assert_as_serde_json(&(u8::MAX, u16::MAX, u32::MAX, u64::MAX, u128::MAX));
    assert_as_serde_json(&(f32::MIN_POSITIVE, f64::MAX, -0.0, 1e300, f32::MAX, f64::MIN));
    assert_as_serde_json(&((), None::<u8>, std::marker::PhantomData::<u8>, [(); 0], 'ß', '"'));
}

#[test]
fn json_not_finite_number_returns_error_with_path() {
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
    fn error_of(value: &impl Serialize) -> String {
        let mut buffer = b"before".to_vec();
        let error = Wire::JSON_LINES.encode("t", value, &mut buffer).unwrap_err();
        assert!(matches!(error, EncodeError::NotFinite { .. }), "{error:?}");
        assert_eq!(buffer, b"before");
        error.to_string()
    }

    let shape =
        || Shape { points: vec![Point { x: 1.0, y: 2.0 }; 4], more: BTreeMap::new(), kind: Kind::Plain };
    let expected = |place: &str, value: &str| format!("{place} is {value}, which JSON cannot represent");
    let mut point = shape();
    point.points[3].y = f64::NAN;
    assert_eq!(error_of(&point), expected("points[3].y", "NaN"));
    let mut flat = shape();
    flat.more = [("a".to_owned(), None), ("b c".to_owned(), Some(f32::NEG_INFINITY))].into();
    assert_eq!(error_of(&flat), expected("b c", "-infinity"));
    assert_eq!(
        error_of(&Shape { kind: Kind::Round { radius: f64::INFINITY }, ..shape() }),
        expected("kind.Round.radius", "infinity")
    );
    assert_eq!(
        error_of(&Shape { kind: Kind::Pair(1.0, f64::NAN), ..shape() }),
        expected("kind.Pair[1]", "NaN")
    );
    assert_eq!(error_of(&Shape { kind: Kind::Line(f64::NAN), ..shape() }), expected("kind.Line", "NaN"));
    assert_eq!(error_of(&Tagged::Round { radius: f64::NAN }), expected("radius", "NaN"));
    assert_eq!(error_of(&f32::NAN), expected("the message", "NaN"));
    assert_eq!(error_of(&[1.0, -f64::NAN]), expected("[1]", "NaN"));
    assert_eq!(error_of(&BTreeMap::from([(7, Some(f64::NAN))])), expected("7", "NaN"));
    assert_as_serde_json(&(0.0, -0.0, f64::MIN_POSITIVE, None::<f64>));
}

#[test]
fn json_not_finite_key_returns_error_with_path_of_map() {
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

    fn error_of(value: &impl Serialize) -> (bool, String) {
        let error = Wire::JSON_LINES.encode("t", value, &mut Vec::new()).unwrap_err();
        (matches!(error, EncodeError::NotFiniteKey { .. }), error.to_string())
    }

    assert_as_serde_json(&Of(1.5));
    let expected = |place: &str, value: &str| {
        (true, format!("a key of {place} is {value}, which JSON cannot represent"))
    };
    assert_eq!(error_of(&Of(f64::NAN)), expected("the message", "NaN"));
    assert_eq!(error_of(&[Of(1.5), Of(f64::INFINITY)]), expected("[1]", "infinity"));
    let table = Table::Weights { of: [Of(Weight(f32::NEG_INFINITY))] };
    assert_eq!(error_of(&table), expected("Weights.of[0]", "-infinity"));
    // It can't be a key because it is an array.
    let (is_not_finite, error) = error_of(&Of((f64::NAN, 1)));
    assert!(!is_not_finite && error == "key must be a string", "{error}");
}

#[test]
fn json_not_finite_beyond_limit_returns_too_large() {
    use crate::wire::encode::Tail;

    let encode = |limit, message: &(f64, &str, f64)| {
        let mut buffer = b"before".to_vec();
        let error =
            Wire::JSON_LINES.encode_within(limit, Tail::Message, "t", message, &mut buffer).unwrap_err();
        assert_eq!(buffer, b"before");
        error.to_string()
    };
    let text = "x".repeat(100);
    assert_eq!(encode(1000, &(0.0, &text, f64::NAN)), "[2] is NaN, which JSON cannot represent");
    assert_eq!(encode(100, &(f64::NAN, &text, f64::NAN)), "[0] is NaN, which JSON cannot represent");
    assert_eq!(encode(100, &(0.0, &text, f64::NAN)), "131 bytes are over the limit of 100");
    // The text before the NaN is as long as the limit: all of it is stored.
    assert_eq!(encode(131, &(0.0, &text, f64::NAN)), "[2] is NaN, which JSON cannot represent");
}

proptest! {
    #[test]
    fn json_any_float_matches_serde_json_or_returns_error(bits in any::<u64>(), short in any::<u32>()) {
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
fn json_keys_match_serde_json() {
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
fn json_bytes_count_as_one_level_of_depth() {
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
fn json_failing_display_returns_error() {
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
fn json_field_and_variant_names_are_escaped() {
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
