//! How messages are found in a stream.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn framer_any_pieces_give_same_messages(
        wire in wires(),
        messages in proptest::collection::vec((text(), message()), 1..4),
        splits in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        limit in prop_oneof![Just(usize::MAX), 0usize..80],
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|(topic, message)| encoded(wire, topic, message)).collect();
        let mut bounds: Vec<_> = splits.iter().map(|split| split.index(stream.len())).chain([0, stream.len()]).collect();
        bounds.sort_unstable();
        let pieces: Vec<_> = bounds.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        let whole = framed(wire, limit, &[&stream]);
        prop_assert_eq!(whole.len(), messages.len());
        prop_assert_eq!(framed(wire, limit, &pieces), whole);
    }
}

/// Searching all of it again at every byte would be eight terabytes of search.
#[test]
fn framer_byte_at_a_time_searches_each_byte_once() {
    const LEN: usize = 4 << 20;
    for wire in WIRES {
        let mut bytes = vec![b'x'; LEN];
        bytes.extend_from_slice(wire.delimiter.as_bytes());
        let mut framer = Framer::new(wire, LEN, 8);
        for len in 0..bytes.len() {
            assert_eq!(framer.next(&bytes[..len]), Frame::Incomplete);
            assert_eq!(framer.excess(&bytes[..len]), None);
        }
        assert_eq!(framer.next(&bytes), Frame::Message { len: LEN, taken: bytes.len() });
    }
}

#[test]
fn framer_split_at_every_byte_gives_same_messages() {
    for wire in WIRES {
        let stream: Vec<u8> =
            ["ä🦀", "%EOM%\0\0\n", ""].iter().flat_map(|text| encoded(wire, text, text)).collect();
        let whole = framed(wire, 1_000, &[&stream]);
        assert_eq!(whole.len(), 3);
        for at in 0..=stream.len() {
            assert_eq!(framed(wire, 1_000, &[&stream[..at], &stream[at..]]), whole);
        }
        let bytes: Vec<_> = stream.chunks(1).collect();
        assert_eq!(framed(wire, 1_000, &bytes), whole);
    }
}

#[test]
fn framer_late_delimiter_keeps_limit() {
    assert_eq!(framed(Wire::JSON_LINES, 9, &[b"123456789", b"\n"]), [(9, b"123456789".to_vec())]);
    assert_eq!(framed(Wire::JSON_LINES, 9, &[b"1234567890", b"\n"]), [(10, b"12345678".to_vec())]);
}
