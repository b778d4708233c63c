//! Writes a dynamics file that nobody trained for, and its corpus as `OUT.json`, to measure time and memory. `cargo
//! xtask bench growth` calls it.
//!
//! cargo run --release -p tests --example generated -- OUT.dyn SPANS TYPES EPOCHS

use std::path::PathBuf;

use shared::formats::dynclean_json;
use tests::generated::{Size, generate};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let path = PathBuf::from(arguments.next().expect("where to write"));
    let mut number = || arguments.next().expect("a number").into_string().unwrap().parse().expect("a number");
    let corpus = generate(&path, &Size { spans: number(), types: number(), epochs: number(), gold: false });
    std::fs::write(path.with_extension("json"), dynclean_json::write(&corpus)).unwrap();
}
