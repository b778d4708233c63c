//! Forms (the words of entities) by their tokens, for finding the longest one that begins at a token.

use std::collections::HashMap;

/// A trie of forms, each with a number. A node is a number; 0 is the root. Finding the longest form at a token takes as
/// many steps as the text agrees with some form.
#[derive(Debug, Default)]
pub struct Forms {
    words: HashMap<String, u32>,
    edges: HashMap<(u32, u32), u32>,
    /// Number of the form that ends at each node but the root.
    numbers: Vec<Option<usize>>,
}

impl Forms {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The place for the number of a form, which has at least one token.
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
        // Forms have tokens, so this is no longer the root.
        &mut self.numbers[node.max(1) as usize - 1]
    }

    /// The number of a word that occurs in a form.
    pub fn word(&self, token: &str) -> Option<u32> {
        self.words.get(token).copied()
    }

    /// The longest form at the beginning of these words (each as [`Forms::word`] gives it): its tokens and its number.
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

    /// The forms in a text, the longest at each token, from left to right, none overlapping another: (first token,
    /// number of tokens, number of the form).
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
