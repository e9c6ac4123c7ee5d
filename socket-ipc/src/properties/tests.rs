//! The properties for random bytes, and for the corpus of the fuzzer.

use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use super::*;

type Property = fn(&[u8]);

const PROPERTIES: [(&str, Property); 4] =
    [("framer", framer), ("decoder", decoder), ("encoder", encoder), ("path", path)];

/// Random bytes, made of pieces that have a meaning for one of the properties.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"{\"topic\":\"",
        b"\",\"message\":",
        b"\",\"data\":",
        b"{\"message\":",
        b",\"topic\":\"t\"",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\n",
        b"\0",
        b"\0\0",
        b"%EOM%",
        b"%<EOM>%\n",
        b"%",
        b"\xc2\xa7\"}",
        b"\x1e",
        b"\r",
        b" ",
        b"\t",
        b"1e999",
        b"-0.0",
        b"18446744073709551616",
        b"1.7976931348623157e308",
        b"null",
        b"true",
        b"\"\\ud800\"",
        b"\"\\u0025\"",
        b"\"\\u000a\"",
        b"\xff",
        b"\xf0\x9f\xa6\x80",
        b"\xef\xbb\xbf",
        b"t",
        b"none",
        b"{\"topic\":\"t\",\"message\":1}",
        b"{\"topic\":\"t\",\"message\":1",
        b",\"id\":",
        b",\"re\":",
        b",\"error\":",
        b",\"window\":",
        b",\"window\":null,\"id\":7}",
        b",\"started\":true",
        b",\"more\":true",
        b",\"more\":true,\"re\":7}",
        b"{\"topic\":\"socket-ipc.more\",\"message\":[7,64],\"re\":0}",
        b",\"error\":true",
        b",\"re\":null",
        b",\"re\":0}",
        b"socket-ipc.cancel",
        b",\"data\":",
        b"7",
        b"7.0",
        b"70e-1",
        b"-7",
        b"\"7\"",
        b"\"\\u0037\"",
        b"[[[[[[[[",
        b"]]]]]]]]",
        b"{\"a\":",
        b"topic",
        b"message",
        b"/tmp/",
        b"../",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    let start = proptest::collection::vec(any::<u8>(), 0..4);
    let pieces = (start, proptest::collection::vec(piece, 0..12))
        .prop_map(|(start, pieces)| [start, pieces.concat()].concat());
    prop_oneof![2 => pieces, 1 => lines::line()]
}

/// Checks every property with this many inputs.
fn hold_for(cases: u32) {
    for (name, property) in PROPERTIES {
        let mut runner =
            TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
        let result = runner.run(&bytes(), |bytes| {
            property(&bytes);
            Ok(())
        });
        match result {
            Ok(()) => println!("{name}: {cases} cases"),
            Err(TestError::Fail(reason, bytes)) => {
                panic!("{name}: {reason} for {:?}", String::from_utf8_lossy(&bytes))
            }
            Err(aborted) => panic!("{name}: {aborted}"),
        }
    }
}

#[test]
fn every_property_two_thousand_random_inputs_holds() {
    hold_for(2_000);
}

#[test]
#[ignore = "takes a while: run with --release"]
fn every_property_many_random_inputs_holds() {
    let inputs = std::env::var("SOCKET_IPC_INPUTS").map(|inputs| inputs.parse().unwrap());
    hold_for(inputs.unwrap_or(1_000_000));
}

/// The corpus of the fuzzer: each of its inputs reaches other parts of the code.
#[test]
fn every_property_corpus_of_fuzzing_holds() {
    let fuzz = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"));
    if !fuzz.exists() {
        assert!(std::env::var_os("CI").is_none(), "{} is not there", fuzz.display());
        println!("skipped: the published package comes without {}", fuzz.display());
        return;
    }
    for (name, property) in PROPERTIES {
        let corpus = fuzz.join("corpus").join(name);
        let files: Vec<_> = std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 10, "{} holds {} files", corpus.display(), files.len());
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            if std::panic::catch_unwind(|| property(&bytes)).is_err() {
                panic!("{name} does not hold for {}", file.display());
            }
        }
    }
}
