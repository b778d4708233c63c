//! The small grammar of names and sentences.
//!
//! A pattern is a list of words between blanks. `[one|another {slot}|]` is a choice with equal probabilities;
//! choices may be nested, and an empty choice gives nothing. `{slot}` is replaced by words of the caller. `@a`
//! becomes "a" or "an", depending on the next word.

use super::dice::Dice;

/// Appends the words for a slot to the sentence.
pub(super) trait Slots {
    fn fill(&mut self, slot: &str, dice: &mut Dice, words: &mut Vec<String>);
}

pub(super) fn expand(pattern: &str, slots: &mut dyn Slots, dice: &mut Dice, words: &mut Vec<String>) {
    let mut rest = pattern.trim_start();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '[' => {
                let (inside, after) = group(rest);
                let chosen = dice.pick(&choices(inside));
                expand(chosen, slots, dice, words);
                after
            }
            '{' => {
                let (slot, after) = rest[1..].split_once('}').unwrap_or((&rest[1..], ""));
                slots.fill(slot, dice, words);
                after
            }
            _ => {
                let end = rest.find([' ', '[', '{']).unwrap_or(rest.len());
                words.push(rest[..end].to_owned());
                &rest[end..]
            }
        }
        .trim_start();
    }
}

/// Splits `[inside]after` at the bracket that closes the first one.
fn group(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&text[1..at], &text[at + 1..]);
        }
    }
    (&text[1..], "")
}

fn choices(inside: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            b'|' if depth == 0 => {
                found.push(&inside[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&inside[start..]);
    found
}

/// Replaces `@a` and capitalises the first word.
pub(super) fn polish(words: &mut [String]) {
    for at in 0..words.len() {
        if words[at] == "@a" {
            let vowel = words.get(at + 1).is_some_and(|next| sounds_like_vowel(next));
            words[at] = if vowel { "an" } else { "a" }.to_owned();
        }
    }
    if let Some(first) = words.iter_mut().find(|word| word.as_str() != "\"") {
        let mut letters = first.chars();
        if let Some(initial) = letters.next() {
            *first = initial.to_uppercase().chain(letters).collect();
        }
    }
}

fn sounds_like_vowel(word: &str) -> bool {
    let any = |word: &str, heads: &[&str]| heads.iter().any(|head| word.starts_with(head));
    if word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase()) {
        // Read letter by letter: "an NFA report".
        return any(word, &["A", "E", "F", "H", "I", "L", "M", "N", "O", "R", "S", "X"]);
    }
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return word.starts_with('8') || word == "11" || word == "18";
    }
    let lower = word.to_lowercase();
    any(&lower, &["a", "e", "i", "o", "u"]) && !any(&lower, &["uni", "eu", "one"])
}
