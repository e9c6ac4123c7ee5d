//! Properties that hold for all bytes. Each is a function that panics where the property does not hold. Fuzzing
//! searches for bytes that break it, a property test draws bytes at random, and every test run replays the corpus of
//! the fuzzer.

// A property that does not hold panics. A library that is built for use does not contain this module.
#![allow(clippy::panic)]

mod decoder;
mod dispatch;
mod encoder;
mod framer;
#[cfg(test)]
mod lines;
mod path;
mod replies;
mod streams;
#[cfg(test)]
mod tests;

use crate::wire::Wire;

pub use decoder::decoder;
pub use encoder::encoder;
pub use framer::framer;
pub use path::path;

/// One of several wires: the presets, and wires with other delimiters.
fn wire(number: u8) -> Wire {
    let own = [Wire::new("%%", "%%"), Wire::new("§\"}", "payload"), Wire::new("\u{1e}", "message")];
    let presets = [Wire::JSON_LINES, Wire::NODE_0_4, Wire::NODE_0_2, Wire::NODE_0_1];
    let wires: Vec<_> = presets.into_iter().chain(own.into_iter().flatten()).collect();
    wires[usize::from(number) % wires.len()]
}
