//! The labels of one dataset: `O` and the entity types.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// A label as a number: 0 is `O` (not an entity), `1..=C` are the entity types.
pub type LabelId = u16;

/// The label `O`: not an entity.
pub const O: LabelId = 0;

/// The entity types of a dataset, in a fixed order; label `i + 1` is type `i`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelSet {
    types: Vec<String>,
}

impl LabelSet {
    /// Builds a label set from type names. It sorts them and drops duplicates, so the numbers do not depend on the
    /// order in the files.
    pub fn from_types<S: Into<String>>(types: impl IntoIterator<Item = S>) -> Self {
        let mut types: Vec<String> = types.into_iter().map(Into::into).collect();
        types.sort();
        types.dedup();
        Self { types }
    }

    /// Builds a label set with the types in the order of a file.
    pub(crate) fn in_file_order(types: Vec<String>) -> Self {
        Self { types }
    }

    /// Number of entity types, C (without `O`).
    pub fn n_types(&self) -> usize {
        self.types.len()
    }

    /// The type names. The name at index `i` belongs to label `i + 1`.
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// The name of a label: `O` for 0, `?` for a number outside the set.
    pub fn name(&self, label: LabelId) -> &str {
        match label {
            O => "O",
            _ => self.types.get(usize::from(label) - 1).map_or("?", String::as_str),
        }
    }

    /// Maps every name, `O` included, to its number. Use it to look up many names.
    pub fn ids(&self) -> HashMap<&str, LabelId> {
        std::iter::once("O").chain(self.types.iter().map(String::as_str)).zip(O..).collect()
    }

    /// Why these names cannot be used as labels: one is empty or `O`, or two are equal. `None` if they are fine.
    pub fn fault(&self) -> Option<&'static str> {
        if self.types.iter().any(|name| name.trim().is_empty()) {
            return Some("an entity type has no name");
        }
        // If all names differ, the map has one entry more than there are types, for `O`.
        (self.ids().len() <= self.types.len()).then_some("an entity type stands there twice, or is called O")
    }

    /// The number of a type name or of `O`; `None` if the set does not contain it.
    pub fn id(&self, name: &str) -> Option<LabelId> {
        if name == "O" {
            return Some(O);
        }
        let position = self.types.iter().position(|t| t == name)?;
        LabelId::try_from(position + 1).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_depend_on_order() {
        let set = LabelSet::from_types(["PER", "LOC", "PER"]);
        assert_eq!(set, LabelSet::from_types(["LOC", "PER"]));
        assert_eq!(set.id("LOC"), Some(1));
        assert_eq!(set.name(2), "PER");
        assert_eq!(set.id("O"), Some(O));
        assert_eq!(set.id("ORG"), None);
        assert_eq!(set.name(9), "?");
        assert_eq!(set.ids(), [("O", 0), ("LOC", 1), ("PER", 2)].into());
    }

    #[test]
    fn names_that_cannot_be_told_apart_are_a_fault() {
        let fault = |types: &[&str]| LabelSet::in_file_order(types.iter().map(|&t| t.to_owned()).collect()).fault();
        assert_eq!(fault(&["PER", "LOC", "Per"]), None);
        assert_eq!(fault(&[]), None);
        for types in [&["PER", ""][..], &[" "], &["PER", "LOC", "PER"], &["O"]] {
            assert!(fault(types).is_some(), "{types:?}");
        }
    }
}
