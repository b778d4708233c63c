//! One tag per token: schemes, encoding, and decoding in the way of conlleval.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::corpus::notation::{ENTITY, Notation, Scheme, Spelling};

/// An entity of one sentence: first token, last token, type.
pub(super) type Chunk<'a> = (u32, u32, &'a str);

/// The meaning of a tag for its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag<'a> {
    Outside,
    Inside { prefix: Prefix, kind: &'a str },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Begin,
    /// `I` or `M`.
    Inside,
    /// `E` or `L`.
    End,
    /// `S`, `U` or `W`.
    Single,
}

fn parse(tag: &str, notation: Notation) -> Option<Tag<'_>> {
    if tag == notation.outside() {
        return Some(Tag::Outside);
    }
    let Notation { scheme, spelling } = notation;
    if scheme == Scheme::Plain {
        return (!tag.is_empty()).then_some(Tag::Inside { prefix: Prefix::Inside, kind: tag });
    }
    let mut chars = tag.chars();
    let alone = chars.next().filter(|_| spelling.is_untyped && chars.as_str().is_empty());
    let (letter, kind) = match alone {
        Some(letter) => (spelling.capital(letter)?, ENTITY),
        None => spelling.split(tag)?,
    };
    let prefix = match letter {
        'B' => Prefix::Begin,
        'I' | 'M' => Prefix::Inside,
        'E' | 'L' => Prefix::End,
        _ => Prefix::Single,
    };
    Some(Tag::Inside { prefix, kind })
}

/// Whether a text can only be a tag: `O`, or a letter and a type.
pub(super) fn is_tag(text: &str) -> bool {
    text == "O" || Spelling::default().split(text).is_some()
}

/// Parses a tag in brackets: the types that begin, and the number of entities that end. `(A(B*))` gives
/// `["A", "B"]` and 2.
pub(super) fn brackets(tag: &str) -> Option<(Vec<&str>, usize)> {
    let body = tag.trim_end_matches(')');
    let n_closed = tag.len() - body.len();
    let (opened, has_star) = match body.strip_suffix('*') {
        Some(opened) => (opened, true),
        None => (body, false),
    };
    let kinds: Vec<&str> = match opened.strip_prefix('(') {
        Some(kinds) => kinds.split('(').collect(),
        None if opened.is_empty() => Vec::new(),
        None => return None,
    };
    let are_kinds = kinds.iter().all(|kind| !kind.is_empty() && !kind.contains(['*', ')']));
    // Without a star, the tag is a whole entity: `(A)`.
    let is_whole = has_star || (!kinds.is_empty() && kinds.len() == n_closed);
    (are_kinds && is_whole).then_some((kinds, n_closed))
}

/// Error: a text is not a tag. `at` is its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadTag {
    pub at: usize,
    pub message: String,
}

/// Decodes tags to entities in the way of conlleval, for every scheme. An `I-` that continues no entity begins
/// one, and a change of type ends one.
pub(super) fn decode<'a>(tags: &[&'a str], notation: Notation) -> Result<Vec<Chunk<'a>>, BadTag> {
    if notation.scheme == Scheme::Brackets {
        return decode_brackets(tags);
    }
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut open: Option<(u32, &str)> = None;
    for (at, tag) in tags.iter().enumerate() {
        let parsed = parse(tag, notation).ok_or_else(|| BadTag { at, message: no_tag(tag, notation) })?;
        let token = at as u32;
        let (prefix, kind) = match parsed {
            Tag::Outside => (None, ""),
            Tag::Inside { prefix, kind } => (Some(prefix), kind),
        };
        let continues = matches!(prefix, Some(Prefix::Inside | Prefix::End)) && open.is_some_and(|(_, k)| k == kind);
        if !continues {
            if let Some((start, kind)) = open.take() {
                chunks.push((start, token - 1, kind));
            }
            if prefix.is_some() {
                open = Some((token, kind));
            }
        }
        if matches!(prefix, Some(Prefix::End | Prefix::Single))
            && let Some((start, kind)) = open.take()
        {
            chunks.push((start, token, kind));
        }
    }
    if let Some((start, kind)) = open {
        chunks.push((start, tags.len() as u32 - 1, kind));
    }
    Ok(chunks)
}

/// Explains why a text is not a tag.
fn no_tag(tag: &str, notation: Notation) -> String {
    let (outside, example) = (notation.outside(), notation.tag('B', "PER"));
    let letters = tag.trim_matches(notation.spelling.separator);
    if letters.len() == 1 && letters.chars().all(|c| notation.spelling.capital(c).is_some()) {
        return format!("{tag:?} has no type, as other tags do; expected a type as well, as in {example}");
    }
    format!(
        "{tag:?} is not a tag; expected {outside}, or a letter and a type such as {example}, as elsewhere in the file \
         (--tag-scheme plain: every label but {outside} is a type)"
    )
}

/// Decodes tags such as `(PER*` to entities, including nested ones.
fn decode_brackets<'a>(tags: &[&'a str]) -> Result<Vec<Chunk<'a>>, BadTag> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut open: Vec<(u32, &str)> = Vec::new();
    for (at, tag) in tags.iter().enumerate() {
        let bad = |message: String| BadTag { at, message };
        let (kinds, n_closed) = brackets(tag)
            .ok_or_else(|| bad(format!("{tag:?} is not a tag; expected one such as (PER*, *, *) or (PER)")))?;
        open.extend(kinds.into_iter().map(|kind| (at as u32, kind)));
        for _ in 0..n_closed {
            let (start, kind) =
                open.pop().ok_or_else(|| bad(format!("{tag:?} ends an entity that has no beginning")))?;
            chunks.push((start, at as u32, kind));
        }
    }
    match open.first() {
        Some(&(start, kind)) => {
            Err(BadTag { at: start as usize, message: format!("\"({kind}*\" begins an entity that has no end") })
        }
        None => {
            chunks.sort_by_key(|&(start, end, _)| (start, std::cmp::Reverse(end)));
            Ok(chunks)
        }
    }
}

/// Encodes entities as `n_tokens` tags. The entities must not overlap and must be in ascending order.
pub(super) fn encode<'a>(n_tokens: usize, entities: &[Chunk<'a>], notation: Notation) -> Vec<Cow<'a, str>> {
    let mut tags: Vec<Cow<str>> = vec![Cow::Borrowed(notation.outside()); n_tokens];
    let mut previous: Option<(u32, &str)> = None;
    for &(start, end, kind) in entities {
        let follows = previous == Some((start, kind));
        for token in start..=end {
            let Some(tag) = tags.get_mut(token as usize) else { continue };
            let (first, last) = (token == start, token == end);
            *tag = match notation.scheme {
                Scheme::Plain => Cow::Borrowed(kind),
                Scheme::Brackets => match (first, last) {
                    (true, true) => format!("({kind})").into(),
                    (true, false) => format!("({kind}*").into(),
                    (false, true) => "*)".into(),
                    (false, false) => "*".into(),
                },
                scheme => notation.tag(letter(scheme, first, last, follows), kind).into(),
            };
        }
        previous = Some((end + 1, kind));
    }
    tags
}

/// The letter of a token that is the first or last of its entity. `follows`: the entity directly follows another
/// one of the same type.
fn letter(scheme: Scheme, first: bool, last: bool, follows: bool) -> char {
    match (scheme, first, last) {
        (Scheme::Iob1, true, _) if follows => 'B',
        (Scheme::Iob1, ..) => 'I',
        (Scheme::Iobes | Scheme::Bmes, true, true) => 'S',
        (Scheme::Bilou, true, true) => 'U',
        (Scheme::Bmewo, true, true) => 'W',
        (_, true, _) => 'B',
        (Scheme::Iobes | Scheme::Bmes | Scheme::Bmewo, _, true) => 'E',
        (Scheme::Bilou, _, true) => 'L',
        (Scheme::Bmes | Scheme::Bmewo, ..) => 'M',
        _ => 'I',
    }
}

/// Keeps only the widest of overlapping entities (of equally wide ones the first). Returns them in ascending
/// order, and how many were left out.
pub(super) fn without_overlaps<'a>(n_tokens: usize, entities: &[Chunk<'a>]) -> (Vec<Chunk<'a>>, usize) {
    let mut taken = vec![false; n_tokens];
    let mut by_width = entities.to_vec();
    by_width.sort_by_key(|&(start, end, _)| (std::cmp::Reverse(end.saturating_sub(start)), start));
    let mut kept = Vec::with_capacity(entities.len());
    for (start, end, kind) in by_width {
        // Entities kept so far are at least as wide, so an overlap always includes the start or the end of this
        // one.
        let is_free = |at: u32| taken.get(at as usize) == Some(&false);
        if is_free(start) && is_free(end) {
            taken.iter_mut().take(end as usize + 1).skip(start as usize).for_each(|t| *t = true);
            kept.push((start, end, kind));
        }
    }
    kept.sort_unstable_by_key(|c| c.0);
    let left_out = entities.len() - kept.len();
    (kept, left_out)
}

/// The labels of a sentence as tags, and how much of them tags cannot express.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tagged<'a> {
    pub tags: Vec<Cow<'a, str>>,
    /// One element per token, if a mask is used: whether the token's label is unknown.
    pub mask: Vec<bool>,
    /// Number of entities that overlap a wider entity.
    pub overlapping: usize,
    /// Number of entities that merge with their neighbour.
    pub joined: usize,
    /// Number of unknown spans that share tokens with an entity or another unknown span, or that touch another
    /// one.
    pub blurred: usize,
}

/// Encodes entities and unknown spans. Unknown spans get tags of type `ignore`, or a mask if there is no such
/// type.
pub(super) fn tag<'a>(
    n_tokens: usize,
    entities: &[Chunk<'a>],
    unknown: &[(u32, u32)],
    notation: Notation,
    ignore: Option<&'a str>,
) -> Tagged<'a> {
    let (mut kept, overlapping) = without_overlaps(n_tokens, entities);
    let mut taken = vec![false; n_tokens];
    for &(start, end, _) in &kept {
        taken.iter_mut().take(end as usize + 1).skip(start as usize).for_each(|t| *t = true);
    }
    let mut tagged = Tagged { overlapping, ..Tagged::default() };
    match ignore {
        Some(ignore) => {
            let mut spans: Vec<(u32, u32)> = unknown.to_vec();
            spans.sort_unstable();
            spans.dedup();
            let taken_before = counts_before(&taken);
            let n_taken = |start: u32, end: u32| {
                let at = |token: usize| taken_before.get(token).copied().unwrap_or_default();
                at(end as usize + 1).saturating_sub(at(start as usize))
            };
            let free: Vec<Chunk> = spans
                .iter()
                .filter(|&&(start, end)| n_taken(start, end) == 0)
                .map(|&(start, end)| (start, end, ignore))
                .collect();
            let (free, _) = without_overlaps(n_tokens, &free);
            tagged.blurred = spans.len() - free.len();
            kept.extend(free);
            kept.sort_unstable_by_key(|c| c.0);
        }
        None => {
            tagged.mask = covered(n_tokens, unknown);
            for (masked, taken) in tagged.mask.iter_mut().zip(&taken) {
                *masked &= !taken;
            }
            let written = runs(&tagged.mask);
            tagged.blurred = unknown.iter().filter(|span| written.binary_search(span).is_err()).count();
        }
    }
    tagged.tags = encode(n_tokens, &kept, notation);
    let tags: Vec<&str> = tagged.tags.iter().map(AsRef::as_ref).collect();
    if let Ok(read) = decode(&tags, notation) {
        tagged.joined = kept.len().saturating_sub(read.len());
    }
    tagged
}

/// The number of marked elements before each position; the last element is the number of all.
fn counts_before(marked: &[bool]) -> Vec<u32> {
    let mut counts = Vec::with_capacity(marked.len() + 1);
    let mut n = 0;
    counts.push(n);
    for &is_marked in marked {
        n += u32::from(is_marked);
        counts.push(n);
    }
    counts
}

/// Marks the tokens that at least one span covers, in time linear in tokens and spans.
fn covered(n_tokens: usize, spans: &[(u32, u32)]) -> Vec<bool> {
    let mut change = vec![0i64; n_tokens + 1];
    for &(start, end) in spans {
        if let Some(c) = change.get_mut(start as usize) {
            *c += 1;
        }
        if let Some(c) = change.get_mut(end as usize + 1) {
            *c -= 1;
        }
    }
    let depth = change.iter().scan(0, |depth, c| {
        *depth += c;
        Some(*depth > 0)
    });
    depth.take(n_tokens).collect()
}

/// The longest runs of marked tokens, as (first token, last token).
pub(super) fn runs(mask: &[bool]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (at, _) in mask.iter().enumerate().filter(|(_, masked)| **masked) {
        let at = at as u32;
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == at => *end = at,
            _ => runs.push((at, at)),
        }
    }
    runs
}

/// The entities and the unknown spans of a sentence.
pub(super) type Untagged<'a> = (Vec<Chunk<'a>>, Vec<(u32, u32)>);

/// The inverse of [`tag`]. An entity with a masked token is left out.
pub(super) fn untag<'a>(
    tags: &[&'a str],
    mask: &[bool],
    notation: Notation,
    ignore: &str,
) -> Result<Untagged<'a>, BadTag> {
    let chunks = decode(tags, notation)?;
    let mut unknown = runs(mask);
    let mut entities = Vec::with_capacity(chunks.len());
    for (start, end, kind) in chunks {
        if kind == ignore {
            unknown.push((start, end));
        } else if !mask.iter().take(end as usize + 1).skip(start as usize).any(|&masked| masked) {
            entities.push((start, end, kind));
        }
    }
    unknown.sort_unstable();
    unknown.dedup();
    Ok((entities, unknown))
}

/// Keeps the entities whose tags all have an id, if the tags are ids. Also returns the number of the other
/// entities.
pub(super) fn with_ids<'a>(
    mut entities: Vec<Chunk<'a>>,
    ids: Option<&HashMap<&str, i64>>,
    notation: Notation,
) -> (Vec<Chunk<'a>>, usize) {
    let Some(ids) = ids else { return (entities, 0) };
    let n = entities.len();
    entities.retain(|(start, end, kind)| {
        // Three tokens are enough to get all tags of an entity, whatever its width.
        let last = end.saturating_sub(*start).min(2);
        encode(last as usize + 1, &[(0, last, kind)], notation).iter().all(|tag| ids.contains_key(tag.as_ref()))
    });
    let n_unnamed = n - entities.len();
    (entities, n_unnamed)
}

/// The id of a tag, if the tags are ids. In IOB1, a tag of a neighbouring entity may have no id, although each
/// entity's own tags do. Such a tag gets the id of `O`.
pub(super) fn id_of(tag: &str, ids: Option<&HashMap<&str, i64>>) -> Option<String> {
    ids.map(|ids| ids.get(tag).or(ids.get("O")).copied().unwrap_or_default().to_string())
}

pub(super) fn unnamed_note(n: usize) -> Option<String> {
    (n > 0).then(|| {
        format!("{} of a type without a tag id left out; give --tags with all types", super::count(n, "entity"))
    })
}

/// What tags could not express, over all sentences.
#[derive(Debug, Default)]
pub(super) struct Losses {
    overlapping: usize,
    joined: usize,
    blurred: usize,
}

impl Losses {
    pub fn add(&mut self, tagged: &Tagged) {
        self.overlapping += tagged.overlapping;
        self.joined += tagged.joined;
        self.blurred += tagged.blurred;
    }

    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |n: usize, noun: &str, what: &str| {
            if n > 0 {
                notes.push(format!("{} {what}", super::count(n, noun)));
            }
        };
        note(self.overlapping, "entity", "overlapping a wider one left out: one tag per token holds no nesting");
        note(self.joined, "entity", "running into the next one: these tags do not say where an entity begins");
        note(
            self.blurred,
            "unknown span",
            "overlapping an entity or touching another: entities keep their tags, and reading back gives other unknown spans",
        );
        notes
    }
}
