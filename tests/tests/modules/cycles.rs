//! Finds which modules of a folder use each other, and the cycles among them.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{ModulePath, Reference, Tree};

/// The arrows between the modules of every folder. The key is the module path of the folder.
pub type Folders = BTreeMap<ModulePath, Arrows>;

/// The arrows from one module of a folder to another, each with the first reference that makes it.
pub type Arrows = BTreeMap<String, BTreeMap<String, Reference>>;

/// Returns the arrows in all folders of a crate. If a module uses its own folder, or a folder its own modules,
/// that is not an arrow.
pub fn folders(tree: &Tree) -> Folders {
    let mut folders = Folders::new();
    for (from, module) in &tree.modules {
        for reference in &module.references {
            for to in tree.resolve(from, &reference.segments) {
                let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                if let (Some(user), Some(used)) = (from.get(common), to.get(common)) {
                    let arrows = folders.entry(from[..common].to_vec()).or_default();
                    let of_user = arrows.entry(user.clone()).or_default();
                    of_user.entry(used.clone()).or_insert_with(|| reference.clone());
                }
            }
        }
    }
    folders
}

/// Returns every cycle that passes no module twice. Each begins with its first module by name.
pub fn cycles(arrows: &Arrows) -> BTreeSet<Vec<String>> {
    fn search(arrows: &Arrows, way: &mut Vec<String>, found: &mut BTreeSet<Vec<String>>) {
        let next = way.last().and_then(|last| arrows.get(last));
        for used in next.into_iter().flat_map(BTreeMap::keys) {
            if *used == way[0] {
                assert!(found.len() < 1000, "more than 1000 cycles");
                found.insert(way.clone());
            } else if *used > way[0] && !way.contains(used) && leads_to(arrows, used, &way[0]) {
                way.push(used.clone());
                search(arrows, way, found);
                way.pop();
            }
        }
    }
    let mut found = BTreeSet::new();
    for first in arrows.keys() {
        search(arrows, &mut vec![first.clone()], &mut found);
    }
    found
}

/// Returns whether a path along the arrows ends at `target`. It may only pass modules that come after `target` by
/// name.
fn leads_to(arrows: &Arrows, from: &str, target: &str) -> bool {
    let (mut seen, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(at) = left.pop() {
        if at == target {
            return true;
        }
        if at > target && seen.insert(at) {
            left.extend(arrows.get(at).into_iter().flat_map(BTreeMap::keys).map(String::as_str));
        }
    }
    false
}

/// Describes a cycle, with a file and line for each arrow.
pub fn described(folder: &str, arrows: &Arrows, cycle: &[String]) -> String {
    let mut text = round(cycle);
    for (user, used) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
        let Reference { segments, file, line } = &arrows[user][used];
        text += &format!("\n    {user} → {used}: {folder}/{file}:{line} names {}", segments.join("::"));
    }
    text
}

/// Writes a cycle as "a → b → a".
pub fn round(cycle: &[String]) -> String {
    let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(String::as_str).collect();
    names.join(" → ")
}
