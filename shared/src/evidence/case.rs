//! Lower-case share of a word: how often it is in lower case at places where a capital would mean something.
//!
//! *Share* = lower / (lower + capitalised + ½), counted over the whole corpus. A capitalised word at the start of
//! a sentence does not count, because every word is capitalised there. Range: 0 (never in lower case) to 1. Words
//! that are often in lower case are not names: of the capitalised entities whose words all have a share above ½,
//! 98 % are wrong on WikiGold (n = 365).

use std::collections::HashMap;

use crate::corpus::TokenTable;

/// Joining words make up at least this share of all tokens …
const JOINING_SHARE: f32 = 1.0 / 500.0;
/// … and have at most this many letters.
const JOINING_LETTERS: usize = 3;

/// Counts of each word in lower case and capitalised.
#[derive(Debug, Clone, Default)]
pub struct CaseCounts {
    /// The counts, keyed by the word in lower case.
    words: HashMap<String, Counts>,
    n_tokens: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    lower: u32,
    capitalised: u32,
}

impl CaseCounts {
    /// Counts the words of a corpus.
    pub fn new(tokens: &TokenTable) -> Self {
        let mut words: HashMap<String, Counts> = HashMap::new();
        for sentence in 0..tokens.n_sentences() as u32 {
            for (at, token) in tokens.sentence(sentence).enumerate() {
                if is_in_lower_case(token) {
                    // Most tokens take this path; a known word is not copied.
                    match words.get_mut(token) {
                        Some(counts) => counts.lower += 1,
                        None => words.entry(token.to_lowercase()).or_default().lower += 1,
                    }
                } else if at > 0 && is_capitalised(token) {
                    words.entry(token.to_lowercase()).or_default().capitalised += 1;
                }
            }
        }
        Self { words, n_tokens: tokens.n_tokens() }
    }

    /// The lower-case share of a word.
    pub fn lower_share(&self, word: &str) -> f32 {
        let counts = self.words.get(word).or_else(|| self.words.get(&word.to_lowercase())).copied().unwrap_or_default();
        let lower = counts.lower as f32;
        lower / (lower + counts.capitalised as f32 + 0.5)
    }

    /// Returns the lower-case share of the first word of each of these sentences. It counts the word only within
    /// sentences, and only where the same second word follows it: *the Beatles* against *The Beatles*. The word's share
    /// in the whole corpus counts like one more occurrence. So a pair that stands nowhere else has that share.
    /// Sentences of one word are left out.
    pub fn shares_at_start(&self, tokens: &TokenTable, sentences: &[u32]) -> HashMap<u32, f32> {
        let first_two = |sentence: u32| {
            let mut words = tokens.sentence(sentence);
            Some((words.next()?, words.next()?))
        };
        // The first words, in lower case, by second word.
        let mut pairs: HashMap<&str, HashMap<String, Counts>> = HashMap::new();
        for (first, second) in sentences.iter().filter_map(|&sentence| first_two(sentence)) {
            pairs.entry(second).or_default().entry(first.to_lowercase()).or_default();
        }
        for sentence in 0..tokens.n_sentences() as u32 {
            let words = tokens.sentence(sentence).skip(1);
            for (first, second) in words.clone().zip(words.skip(1)) {
                let Some(counts) = pairs.get_mut(second).and_then(|firsts| firsts.get_mut(&first.to_lowercase()))
                else {
                    continue;
                };
                counts.lower += u32::from(is_in_lower_case(first));
                counts.capitalised += u32::from(is_capitalised(first));
            }
        }
        let share = |sentence: u32| {
            let (first, second) = first_two(sentence)?;
            let counts = pairs.get(second)?.get(&first.to_lowercase())?;
            let lower = counts.lower as f32 + self.lower_share(first);
            Some((sentence, lower / (counts.lower + counts.capitalised + 1) as f32))
        };
        sentences.iter().filter_map(|&sentence| share(sentence)).collect()
    }

    /// Whether a word joins the parts of a name, such as *of*, *de*, *van*: a frequent lower-case word of at most
    /// three letters. This needs no word list of any language.
    pub fn is_joining(&self, word: &str) -> bool {
        let frequency = |counts: &Counts| counts.lower as f32 >= JOINING_SHARE * self.n_tokens as f32;
        word.chars().count() <= JOINING_LETTERS && is_in_lower_case(word) && self.words.get(word).is_some_and(frequency)
    }
}

/// Whether a word begins with a capital letter.
pub fn is_capitalised(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

/// Whether a word has letters with case, all of them capitals.
pub fn is_in_capitals(word: &str) -> bool {
    word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase)
}

/// Whether a word has letters with case, all of them in lower case.
pub fn is_in_lower_case(word: &str) -> bool {
    word.chars().any(char::is_lowercase) && !word.chars().any(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        let mut tokens = TokenTable::default();
        tokens.push(["Apple", "sells", "an", "apple", "and", "Apple", "APPLE"]).unwrap();
        tokens.push(["an", "apple", "fell", ",", "1984"]).unwrap();
        let counts = CaseCounts::new(&tokens);
        // Lower case twice; capitalised twice, without the one at the start.
        assert_eq!(counts.lower_share("Apple"), 2.0 / 4.5);
        assert_eq!(counts.lower_share("sells"), 1.0 / 1.5);
        assert_eq!(counts.lower_share("1984"), 0.0);
        assert_eq!(counts.lower_share("unseen"), 0.0);
        assert!(counts.is_joining("an") && counts.is_joining("and"));
        assert!(!counts.is_joining("sells") && !counts.is_joining(",") && !counts.is_joining("An"));
    }

    #[test]
    fn shares_at_the_start_are_those_before_the_second_word() {
        let mut tokens = TokenTable::default();
        tokens.push(["The", "Beatles", "saw", "the", "Beatles"]).unwrap();
        tokens.push(["The", "Times", "of", "The", "Times", "and", "The", "Times"]).unwrap();
        tokens.push(["The", "Dog", "and", "the", "cat"]).unwrap();
        tokens.push(["The"]).unwrap();
        let shares = CaseCounts::new(&tokens).shares_at_start(&tokens, &[0, 1, 2, 3]);
        // *the* in the whole corpus: twice in lower case, twice capitalised within a sentence.
        let all = 2.0 / 4.5;
        assert_eq!(shares, HashMap::from([(0, (1.0 + all) / 2.0), (1, all / 3.0), (2, all)]));
    }

    #[test]
    fn case_is_that_of_any_script() {
        assert!(is_capitalised("Élan") && is_capitalised("Ωmega") && !is_capitalised("北京") && !is_capitalised(""));
        assert!(is_in_capitals("U.S.") && !is_in_capitals("1984") && !is_in_capitals("McDonald"));
        assert!(is_in_lower_case("straße") && !is_in_lower_case("iPhone") && !is_in_lower_case("..."));
    }
}
