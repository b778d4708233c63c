//! A trie of forms (the words of entities). It finds the longest form that begins at a token.

use std::collections::HashMap;

/// A trie of forms; each form has a number. Nodes are numbered, the root is 0. A search for the longest form takes
/// one step per token, and stops at the first token that no form continues with.
#[derive(Debug, Default)]
pub struct Forms {
    words: HashMap<String, u32>,
    edges: HashMap<(u32, u32), u32>,
    /// Number of the form that ends at each node. The root is left out, so node `i` is at `i - 1`.
    numbers: Vec<Option<usize>>,
}

impl Forms {
    /// Whether there are no forms.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The slot for the number of a form. The form must have at least one token.
    pub fn entry<S: AsRef<str>>(&mut self, tokens: impl IntoIterator<Item = S>) -> &mut Option<usize> {
        let mut node = 0;
        for token in tokens {
            let (token, next_word) = (token.as_ref(), self.words.len() as u32);
            let word = match self.words.get(token) {
                Some(&word) => word,
                None => *self.words.entry(token.to_owned()).or_insert(next_word),
            };
            let next_node = self.numbers.len() as u32 + 1;
            node = *self.edges.entry((node, word)).or_insert(next_node);
            if node == next_node {
                self.numbers.push(None);
            }
        }
        // A form has at least one token, so `node` is not the root here.
        &mut self.numbers[node.max(1) as usize - 1]
    }

    /// The number of a word, or `None` if no form contains it.
    pub fn word(&self, token: &str) -> Option<u32> {
        self.words.get(token).copied()
    }

    /// Finds the longest form that begins at the first of these word numbers (see [`Forms::word`]). Returns its
    /// number of tokens and its number.
    pub fn longest(&self, words: &[Option<u32>]) -> Option<(usize, usize)> {
        let (mut node, mut longest) = (0, None);
        for (width, word) in (1..).zip(words) {
            let Some(&next) = word.and_then(|word| self.edges.get(&(node, word))) else { break };
            node = next;
            if let Some(&Some(number)) = self.numbers.get(node as usize - 1) {
                longest = Some((width, number));
            }
        }
        longest
    }

    /// Finds the forms in a text from left to right: the longest one at each token, without overlaps. Each item is
    /// (first token, number of tokens, number of the form).
    pub fn matches<'a>(&'a self, words: &'a [Option<u32>]) -> impl Iterator<Item = (usize, usize, usize)> + 'a {
        let mut start = 0;
        std::iter::from_fn(move || {
            loop {
                let rest = words.get(start..).filter(|rest| !rest.is_empty())?;
                let at = start;
                match self.longest(rest) {
                    Some((width, number)) => {
                        start += width;
                        return Some((at, width, number));
                    }
                    None => start += 1,
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_form_from_the_left_wins() {
        let mut forms = Forms::default();
        for (number, form) in ["New York", "York Times", "York", "New", "a a a"].iter().enumerate() {
            *forms.entry(form.split(' ')) = Some(number);
        }
        let find = |text: &str| -> Vec<_> {
            let words: Vec<_> = text.split(' ').map(|token| forms.word(token)).collect();
            forms.matches(&words).collect()
        };
        assert_eq!(find("New York Times in York"), [(0, 2, 0), (4, 1, 2)]);
        assert_eq!(find("York Times New Times"), [(0, 2, 1), (2, 1, 3)]);
        assert_eq!(find("a a a a a"), [(0, 3, 4)]);
        assert_eq!(find("nothing"), []);
        assert_eq!(Forms::default().matches(&[]).count(), 0);
    }
}
