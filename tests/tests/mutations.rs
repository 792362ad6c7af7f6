//! The fuzz targets on a fixed number of inputs: what `fuzz` does for a minute, for a moment.

use portcullis_tests::corpus::Corpus;
use portcullis_tests::fuzzing::{Target, Until, run, targets};

/// Inputs for each target; the same in every run.
const INPUTS: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn no_decoder_panics_on_changed_encodings() {
    let corpus = Corpus::new().await;
    for target in targets(&corpus) {
        assert_eq!(run(&target, 11, Until::Inputs(INPUTS)), Ok(INPUTS), "{}", target.name);
    }
}

#[test]
fn a_decoder_that_panics_is_found_and_its_input_shown() {
    let seeds = [vec![0; 32]];
    let fragile = |bytes: &[u8]| bytes.first().map_or(1, |first| 10 / (10 - usize::from(*first % 11)));
    let target = Target { name: "fragile", seeds: &seeds, decode: fragile };
    let found = run(&target, 1, Until::Inputs(10_000)).unwrap_err();
    assert!(found.starts_with("panicked with seed 1"), "{found}");
    let deaf = Target { name: "deaf", seeds: &seeds, decode: |_| 0 };
    assert!(run(&deaf, 1, Until::Inputs(1)).unwrap_err().contains("not understood"));
}
