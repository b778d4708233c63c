//! The alphabetical order of spans.

use std::collections::HashMap;

use crate::sort::by_key;
use shared::corpus::TokenTable;
use shared::corpus::span::SpanIndex;

/// Bytes of a word that count. Longer words with the same beginning are in order of first occurrence.
const LONGEST: usize = 64;

/// The rank of every candidate span in alphabetical order, word by word, whatever the case. Spans with the same words
/// as written have the same rank. O(widest candidate · n log n) for n tokens.
pub fn ranks(tokens: &TokenTable, index: &SpanIndex) -> Vec<u32> {
    let words = word_ranks(tokens);
    // The candidates that begin at a token are its first word, its first two words, and so on.
    let widest = index.max_width();
    let n_spans: Vec<u32> = tokens.lengths().flat_map(|n| (0..n).map(move |at| (n - at).min(widest))).collect();
    let candidates = |at: u32| {
        let (at, n) = (at as usize, n_spans.get(at as usize).map_or(0, |&n| n as usize));
        words.get(at..at + n).unwrap_or_default()
    };
    let most = n_spans.iter().copied().max().unwrap_or(0) as usize;
    let firsts: Vec<usize> =
        n_spans.iter().scan(0, |next, &n| Some(std::mem::replace(next, *next + n as usize))).collect();
    let mut ranks = vec![0; index.len()];
    // The words of the token before, and the rank of the candidate that ends with each.
    let mut path: Vec<(u32, u32)> = Vec::new();
    let mut next = 0;
    for at in sorted(words.len(), most, &|at, place| candidates(at).get(place).map_or(0, |rank| rank + 1)) {
        let words = candidates(at);
        path.truncate(path.iter().zip(words).take_while(|((before, _), word)| before == *word).count());
        for &word in words.iter().skip(path.len()) {
            path.push((word, next));
            next += 1;
        }
        let first = firsts.get(at as usize).copied().unwrap_or(ranks.len());
        for (rank, &(_, is)) in ranks.iter_mut().skip(first).zip(&path) {
            *rank = is;
        }
    }
    ranks
}

/// The alphabetical rank of every token. Words that differ only in case follow each other.
fn word_ranks(tokens: &TokenTable) -> Vec<u32> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut lower: Vec<String> = Vec::new();
    let mut words = Vec::with_capacity(tokens.n_tokens());
    for token in (0..tokens.n_sentences() as u32).flat_map(|sentence| tokens.sentence(sentence)) {
        words.push(*numbers.entry(token).or_insert_with(|| {
            lower.push(token.to_lowercase());
            lower.len() as u32 - 1
        }));
    }
    // Four bytes at a time. Bytes of UTF-8 are in the order of the letters.
    let four = |word: u32, place: usize| {
        let bytes = lower.get(word as usize).map_or(&[][..], |word| word.as_bytes());
        (0..4).fold(0, |key, at| key << 8 | bytes.get(4 * place + at).map_or(0, |&byte| u32::from(byte)))
    };
    let most = lower.iter().map(String::len).max().unwrap_or(0).min(LONGEST);
    let mut ranks = vec![0; lower.len()];
    for (word, rank) in sorted(lower.len(), most.div_ceil(4), &four).into_iter().zip(0..) {
        if let Some(own) = ranks.get_mut(word as usize) {
            *own = rank;
        }
    }
    words.into_iter().map(|word| ranks.get(word as usize).copied().unwrap_or(0)).collect()
}

/// The numbers `0..n`, sorted by `key(number, 0)`, then by `key(number, 1)`, and so on up to `n_keys`. Ties are in
/// ascending order.
fn sorted(n: usize, n_keys: usize, key: &dyn Fn(u32, usize) -> u32) -> Vec<u32> {
    let mut sorted: Vec<u32> = (0..n as u32).collect();
    // The last key first: each sort keeps the order of ties.
    for place in (0..n_keys).rev() {
        let order = by_key(sorted.iter().map(|&number| key(number, place)).zip(0..));
        sorted = order.into_iter().filter_map(|at| sorted.get(at as usize).copied()).collect();
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_a_sort_of_all_spans_by_their_words() {
        let sentences = [
            vec!["New", "York", "is", "new"],
            vec![],
            vec!["York"],
            vec!["the", "new", "New", "York", "City", "is", "The"],
            vec!["École", "éa", "the"],
            vec!["New", "York", "Newfoundland", "Newfoundlanders", "Newt"],
        ];
        let mut tokens = TokenTable::default();
        sentences.iter().for_each(|sentence| tokens.push(sentence).unwrap());
        for widest in [1, 3, 8] {
            let index = SpanIndex::new(tokens.lengths(), widest).unwrap();
            // "new" is after "New", and "The" is after "the": in order of first occurrence.
            let place = |word: &str| sentences.concat().iter().position(|other| *other == word).unwrap();
            let folded = |span: u32| -> Vec<(String, usize)> {
                tokens.words(index.span(span).unwrap()).map(|word| (word.to_lowercase(), place(word))).collect()
            };
            let ranks = ranks(&tokens, &index);
            assert_eq!(ranks.len(), index.len());
            for a in 0..index.len() as u32 {
                for b in 0..index.len() as u32 {
                    let is = ranks[a as usize].cmp(&ranks[b as usize]);
                    assert_eq!(is, folded(a).cmp(&folded(b)), "{:?} and {:?}", folded(a), folded(b));
                }
            }
        }
    }
}
