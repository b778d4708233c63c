//! Which modules of one folder use each other, and where that goes in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{ModulePath, Reference, Tree};

/// For every folder, by its module path: the arrows between the modules in it.
pub type Folders = BTreeMap<ModulePath, Arrows>;

/// From one module of a folder to another, with the first reference that makes the arrow.
pub type Arrows = BTreeMap<String, BTreeMap<String, Reference>>;

/// The arrows in all folders of a crate. What a module uses of the folder that holds it, and the folder of what is in
/// it, is no arrow.
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

/// Every way round that passes no module twice, from its first module by name.
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

/// Whether some way along the arrows ends at `target`, over modules that are not before it by name.
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

/// The cycle with a file and line for each arrow.
pub fn described(folder: &str, arrows: &Arrows, cycle: &[String]) -> String {
    let mut text = round(cycle);
    for (user, used) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
        let Reference { segments, file, line } = &arrows[user][used];
        text += &format!("\n    {user} → {used}: {folder}/{file}:{line} names {}", segments.join("::"));
    }
    text
}

/// "a → b → a".
pub fn round(cycle: &[String]) -> String {
    let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(String::as_str).collect();
    names.join(" → ")
}
