//! The `portcullis` program, built beside the tests so that they always start what they were built with.

fn main() -> portcullis::exit::Exit {
    portcullis::cli::main()
}
