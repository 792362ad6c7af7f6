//! The `portcullis` command.

fn main() -> portcullis::exit::Exit {
    portcullis::cli::main()
}
