//! Checks that the modules of a crate form no import cycle. So a folder can be understood and moved together with
//! only the modules that it uses.
//!
//! The test looks for cycles between the folders and files at the top of a crate, and between the modules in each
//! folder. Code that only tests use does not count.

mod cycles;
mod tree;

use std::path::Path;

use self::cycles::{Folders, cycles, described, folders, round};
use self::tree::{Sources, Tree, sources};

/// The folders of `shared` in the order of docs/ARCHITECTURE.md: each may use only those before it.
const FLOOR_PLAN: [&str; 9] =
    ["corpus", "formats", "recording", "metrics", "evidence", "detection", "cleaning", "evaluation", "report"];

fn folders_of(folder: &str) -> Folders {
    folders(&Tree::read(&sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder))))
}

/// Fails with every cycle.
fn check(folder: &str) {
    let mut complaints = Vec::new();
    for (inside, arrows) in &folders_of(folder) {
        let within: String = inside.iter().map(|name| format!("{name}/")).collect();
        complaints.extend(cycles(arrows).iter().map(|cycle| within.clone() + &described(folder, arrows, cycle)));
    }
    assert!(complaints.is_empty(), "import cycles in {folder}:\n{}", complaints.join("\n"));
}

#[test]
fn shared_has_no_cycle_and_keeps_its_floor_plan() {
    let place = |folder: &str| {
        let place = FLOOR_PLAN.iter().position(|name| *name == folder);
        place.unwrap_or_else(|| panic!("shared/src/{folder} has no place in the floor plan"))
    };
    for (user, used) in folders_of("shared/src").get(&Vec::new()).into_iter().flatten() {
        for (used, reference) in used {
            let (file, line) = (&reference.file, reference.line);
            assert!(place(used) < place(user), "shared/src/{file}:{line}: {user} uses {used}, which stands below it");
        }
    }
    check("shared/src");
}

#[test]
fn lanes_and_explorer_have_no_cycle() {
    check("shared/lanes/src");
    check("shared/explorer/src");
}

#[test]
fn the_trainer_has_no_cycle() {
    check("trainer/nn/src");
    check("trainer/src");
}

#[test]
fn the_page_has_no_cycle() {
    check("web/src");
}

fn made(files: &[(&str, &str)]) -> Folders {
    let sources: Sources = files.iter().map(|&(file, text)| (file.to_owned(), text.to_owned())).collect();
    folders(&Tree::read(&sources))
}

/// Returns the cycles of all folders, each as "folder: a → b → a".
fn found(folders: &Folders) -> Vec<String> {
    let of_folder = |inside: &Vec<String>, cycle: &Vec<String>| format!("{}: {}", inside.join("/"), round(cycle));
    folders.iter().flat_map(|(inside, arrows)| cycles(arrows).into_iter().map(move |c| of_folder(inside, &c))).collect()
}

#[test]
fn a_cycle_is_found_and_described() {
    let folders = made(&[
        ("lib.rs", "pub mod a; mod b; mod c;"),
        ("a.rs", "use std::fmt;\n\nuse crate::b::{self, B as Other};"),
        ("b.rs", "fn f() { let x = 1; crate::c::deep::g(x) }"),
        ("c/mod.rs", "pub mod deep; use self::deep::g;"),
        ("c/deep.rs", "pub fn g(_: u8) { println!(\"{}\", super::super::a::N) }"),
    ]);
    assert_eq!(found(&folders), [": a → b → c → a"]);
    let arrows = &folders[&Vec::new()];
    let expected = "a → b → c → a\n    a → b: src/a.rs:3 names crate::b\n    b → c: src/b.rs:1 names crate::c::deep::g\n    \
                    c → a: src/c/deep.rs:1 names super::super::a::N";
    assert_eq!(described("src", arrows, &cycles(arrows).into_iter().next().unwrap()), expected);
}

#[test]
fn a_cycle_inside_a_folder_is_found_through_what_the_folder_passes_on() {
    let folders = made(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod x; mod y; pub use x::X; use y::*; pub struct Own;"),
        ("a/x.rs", "use super::{Own, Y}; pub struct X;"),
        ("a/y.rs", "pub struct Y(crate::a::X);"),
    ]);
    assert_eq!(found(&folders), ["a: x → y → x"]);
    // Code in the folder's own file makes no arrow.
    let folders = made(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod x; mod y; pub use x::X; pub struct Own;"),
        ("a/x.rs", "use super::Own; pub struct X;"),
        ("a/y.rs", "pub struct Y(crate::a::X);"),
    ]);
    assert_eq!(found(&folders), [""; 0]);
    assert_eq!(folders[&vec!["a".to_owned()]].keys().collect::<Vec<_>>(), ["y"]);
}

#[test]
fn two_cycles_through_one_module_are_two() {
    let folders = made(&[
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "use crate::b; use crate::c;"),
        ("b.rs", "use crate::a;"),
        ("c.rs", "use crate::a; use crate::b;"),
    ]);
    assert_eq!(found(&folders), [": a → b → a", ": a → c → a", ": a → c → b → a"]);
}

#[test]
fn what_is_no_use_makes_no_arrow() {
    let folders = made(&[
        ("lib.rs", "pub use lanes::exp; mod a; mod b;"),
        ("a.rs", "use crate::b::B; use crate::exp;"),
        (
            "b.rs",
            "//! See [`crate::a`].\npub(crate) struct B;\nimpl B {\n#[cfg(test)]\nfn f() -> crate::a::A {}\n}\n\
             #[cfg(test)]\nmod tests { use crate::a::A; }\n#[cfg(all(test, unix))]\nuse crate::a::A;",
        ),
    ]);
    assert_eq!(found(&folders), [""; 0]);
    // Only code under a condition that requires tests is left out.
    let folders =
        made(&[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b;"), ("b.rs", "#[cfg(not(test))]\nuse crate::a;")]);
    assert_eq!(found(&folders), [": a → b → a"]);
}
