//! Runs every parser of outside bytes on the kept inputs of its fuzz target, and on random changes of them. It
//! needs only the stable compiler. It is a guard between the long runs of `cargo xtask fuzz`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::parsers::{ALL, Parser};

/// Number of changed inputs for each parser.
const CHANGES: u32 = 3000;

fn inputs_of(parser: &Parser) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(parser.name);
    let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    // The order of files in a folder is not fixed, but the changes below must be.
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Random numbers from a seed, so that the changes are the same on every machine.
struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n.max(1))
    }
}

/// Makes one to four changes: bytes, cuts, repeats, pieces of another input, numbers at the edge of their type.
fn changed(inputs: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = inputs[dice.below(inputs.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + dice.below(24)).min(bytes.len());
        match dice.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            4 => {
                let other = &inputs[dice.below(inputs.len())];
                let from = dice.below(other.len() + 1);
                let until = (from + dice.below(64)).min(other.len());
                bytes.splice(at..end, other[from..until].iter().copied());
            }
            _ => {
                let edges = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];
                let edge = edges[dice.below(edges.len())].to_le_bytes();
                let width = [1, 2, 4, 8][dice.below(4)];
                let end = (at + width).min(bytes.len());
                bytes.splice(at..end, edge[..width].iter().copied());
            }
        }
    }
    bytes
}

fn check(parser: &Parser, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (parser.check)(bytes))).is_err() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-failure", parser.name));
        std::fs::write(&kept, bytes).unwrap();
        panic!("{} fails on the bytes that are now in {} (see above)", parser.name, kept.display());
    }
}

#[test]
fn parsers_keep_their_invariants_on_changed_inputs() {
    for parser in ALL {
        let inputs = inputs_of(parser);
        assert!(!inputs.is_empty(), "tests/fuzz/corpus/{} holds no input", parser.name);
        inputs.iter().for_each(|bytes| check(parser, bytes));
        let mut dice = Dice(ChaCha8Rng::seed_from_u64(1));
        for _ in 0..CHANGES {
            check(parser, &changed(&inputs, &mut dice));
        }
    }
}

#[test]
fn every_parser_has_its_fuzz_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for Parser { name, .. } in ALL {
        let target = std::fs::read_to_string(folder.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(target.contains(&format!("parsers::{name}(")), "fuzz_targets/{name}.rs runs another parser");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "fuzz/Cargo.toml does not list {name}");
    }
}
