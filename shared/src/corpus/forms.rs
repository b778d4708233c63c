//! A trie of forms (the words of entities). It finds the longest form that begins at a token.

use hashbrown::HashMap;

/// A trie of forms; each form has a number. Nodes are numbered, the root is 0. A search for the longest form takes
/// one step per token, and stops at the first token that no form continues with.
///
/// A node needs few bytes, and most tokens of a text end a search without a look at `edges`: with a million forms, the
/// memory is slower than anything else.
#[derive(Debug, Default)]
pub struct Forms {
    words: HashMap<Box<str>, u32>,
    /// Node after each word at the beginning of a form; 0 if no form begins with it.
    first: Vec<u32>,
    /// Nodes after the words that follow.
    edges: HashMap<(u32, u32), u32>,
    /// Nodes. The root is left out, so node `i` is at `i - 1`.
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// Number of the form that ends here.
    number: Option<usize>,
    /// Whether a form continues.
    goes_on: bool,
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
            let word = self.word(token).unwrap_or_else(|| {
                self.words.insert(token.into(), next_word);
                self.first.push(0);
                next_word
            });
            let next_node = self.nodes.len() as u32 + 1;
            let next = match (node as usize).checked_sub(1) {
                None => &mut self.first[word as usize],
                Some(at) => {
                    self.nodes[at].goes_on = true;
                    self.edges.entry((node, word)).or_insert(0)
                }
            };
            if *next == 0 {
                *next = next_node;
                self.nodes.push(Node::default());
            }
            node = *next;
        }
        // A form has at least one token, so `node` is not the root here.
        &mut self.nodes[node.max(1) as usize - 1].number
    }

    /// The number of a word, or `None` if no form contains it.
    pub fn word(&self, token: &str) -> Option<u32> {
        self.words.get(token).copied()
    }

    /// Finds the longest form that begins at the first of these word numbers (see [`Forms::word`]). Returns its
    /// number of tokens and its number.
    pub fn longest(&self, words: &[Option<u32>]) -> Option<(usize, usize)> {
        let (&first, others) = words.split_first()?;
        let mut node = *self.first.get(first? as usize)?;
        let (mut others, mut longest) = (others.iter(), None);
        for width in 1.. {
            let Some(here) = node.checked_sub(1).and_then(|at| self.nodes.get(at as usize)) else { break };
            longest = here.number.map(|number| (width, number)).or(longest);
            let next = others.next().copied().flatten().filter(|_| here.goes_on);
            let Some(&next) = next.and_then(|word| self.edges.get(&(node, word))) else { break };
            node = next;
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
