//! The frame decoders of both sides.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // What it finds is not the question: it must not panic.
    let _ = portcullis_wire::fuzz_decode(bytes);
});
