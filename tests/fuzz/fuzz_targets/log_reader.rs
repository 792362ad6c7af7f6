//! The reader of change log segments.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // What it finds is not the question: it must not panic.
    let _ = portcullis_log::scan_segment(bytes);
});
