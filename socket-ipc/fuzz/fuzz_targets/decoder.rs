#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| socket_ipc::properties::decoder(data));
