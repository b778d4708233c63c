//! One tag per token: schemes, decoding as conlleval does, encoding.

use std::borrow::Cow;

use crate::corpus::layout::Scheme;

/// An entity of one sentence: first token, last token, type.
pub(super) type Chunk<'a> = (u32, u32, &'a str);

/// What a tag says about its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag<'a> {
    Outside,
    Inside { prefix: Prefix, kind: &'a str },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Begin,
    Inside,
    /// `E` or `L`.
    End,
    /// `S` or `U`.
    Single,
}

fn prefixed(tag: &str) -> Option<(char, &str)> {
    let mut chars = tag.chars();
    let letter = chars.next()?;
    let kind = chars.as_str().strip_prefix('-').filter(|kind| !kind.is_empty())?;
    "BIESLU".contains(letter).then_some((letter, kind))
}

fn parse(tag: &str, scheme: Scheme) -> Option<Tag<'_>> {
    if tag == "O" {
        return Some(Tag::Outside);
    }
    if scheme == Scheme::Plain {
        return (!tag.is_empty()).then_some(Tag::Inside { prefix: Prefix::Inside, kind: tag });
    }
    let (letter, kind) = prefixed(tag)?;
    let prefix = match letter {
        'B' => Prefix::Begin,
        'I' => Prefix::Inside,
        'E' | 'L' => Prefix::End,
        _ => Prefix::Single,
    };
    Some(Tag::Inside { prefix, kind })
}

/// Whether this can be a tag: `O`, or a prefix and a type.
pub(super) fn is_tag(text: &str) -> bool {
    text == "O" || prefixed(text).is_some()
}

/// What the tags of a file say about its scheme.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    previous: Option<String>,
    has_prefixed: bool,
    has_plain: bool,
    has_es: bool,
    has_lu: bool,
    /// `I-` where no entity of its type precedes: not IOB2.
    inside_first: bool,
    /// `B-` where no entity of its type precedes: not IOB1.
    begin_first: bool,
}

impl Evidence {
    /// Takes in the next tag of a sentence.
    pub fn see(&mut self, tag: &str) {
        let Some((letter, kind)) = prefixed(tag) else {
            self.has_plain |= tag != "O" && !tag.is_empty();
            self.previous = None;
            return;
        };
        self.has_prefixed = true;
        self.has_es |= "ES".contains(letter);
        self.has_lu |= "LU".contains(letter);
        if self.previous.as_deref() != Some(kind) {
            self.inside_first |= letter == 'I';
            self.begin_first |= letter == 'B';
            self.previous = Some(kind.to_owned());
        }
    }

    /// The sentence ends.
    pub fn end_sentence(&mut self) {
        self.previous = None;
    }

    /// The scheme that the tags seen follow, or follow best.
    pub fn scheme(&self) -> Scheme {
        if self.has_plain && !self.has_prefixed {
            Scheme::Plain
        } else if self.has_es {
            Scheme::Iobes
        } else if self.has_lu {
            Scheme::Bilou
        } else if self.inside_first && !self.begin_first {
            Scheme::Iob1
        } else {
            Scheme::Iob2
        }
    }
}

/// A tag that is none, with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadTag {
    pub at: usize,
    pub message: String,
}

/// The entities that tags mark, read as conlleval reads them: an `I-` that continues nothing begins
/// an entity, a change of type ends one, whatever the scheme.
pub(super) fn decode<'a>(tags: &[&'a str], scheme: Scheme) -> Result<Vec<Chunk<'a>>, BadTag> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let mut open: Option<(u32, &str)> = None;
    for (at, tag) in tags.iter().enumerate() {
        let parsed = parse(tag, scheme).ok_or_else(|| BadTag {
            at,
            message: format!("{tag:?} is not a tag; expected O, or a prefix and a type such as B-PER"),
        })?;
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

/// The tags of `n_tokens` with these entities, which do not overlap and are ascending.
pub(super) fn encode<'a>(n_tokens: usize, entities: &[Chunk<'a>], scheme: Scheme) -> Vec<Cow<'a, str>> {
    let mut tags: Vec<Cow<str>> = vec![Cow::Borrowed("O"); n_tokens];
    let mut previous: Option<(u32, &str)> = None;
    for &(start, end, kind) in entities {
        let follows = previous == Some((start, kind));
        for token in start..=end {
            let (first, last) = (token == start, token == end);
            let prefix = match (scheme, first, last) {
                (Scheme::Plain, ..) => "",
                (Scheme::Iob1, true, _) if follows => "B-",
                (Scheme::Iob1, ..) => "I-",
                (Scheme::Iobes, true, true) => "S-",
                (Scheme::Bilou, true, true) => "U-",
                (_, true, _) => "B-",
                (Scheme::Iobes, _, true) => "E-",
                (Scheme::Bilou, _, true) => "L-",
                _ => "I-",
            };
            if let Some(tag) = tags.get_mut(token as usize) {
                *tag = if prefix.is_empty() { Cow::Borrowed(kind) } else { Cow::Owned(format!("{prefix}{kind}")) };
            }
        }
        previous = Some((end + 1, kind));
    }
    tags
}

/// Of overlapping entities only the widest (of equal ones the first), ascending; and how many were left out.
pub(super) fn without_overlaps<'a>(n_tokens: usize, entities: &[Chunk<'a>]) -> (Vec<Chunk<'a>>, usize) {
    let mut taken = vec![false; n_tokens];
    let mut by_width = entities.to_vec();
    by_width.sort_by_key(|&(start, end, _)| (std::cmp::Reverse(end.saturating_sub(start)), start));
    let mut kept = Vec::with_capacity(entities.len());
    for (start, end, kind) in by_width {
        // What is taken is no narrower, so that it covers an end of whatever it overlaps.
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

/// A sentence's labels as tags, and what of them tags cannot hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tagged<'a> {
    pub tags: Vec<Cow<'a, str>>,
    /// One element per token where a mask is wanted: whether its label is unknown.
    pub mask: Vec<bool>,
    /// Entities that overlap a wider one.
    pub overlapping: usize,
    /// Entities that run into their neighbour.
    pub joined: usize,
    /// Unknown spans of which tokens belong to an entity or another unknown span, or that touch one.
    pub blurred: usize,
}

/// Tags for entities and unknown spans; unknown spans by tags of type `ignore`, else by a mask.
pub(super) fn tag<'a>(
    n_tokens: usize,
    entities: &[Chunk<'a>],
    unknown: &[(u32, u32)],
    scheme: Scheme,
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
    tagged.tags = encode(n_tokens, &kept, scheme);
    let tags: Vec<&str> = tagged.tags.iter().map(AsRef::as_ref).collect();
    if let Ok(read) = decode(&tags, scheme) {
        tagged.joined = kept.len().saturating_sub(read.len());
    }
    tagged
}

/// Number of marked elements before each position, and in all.
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

/// Which tokens at least one span covers, in time linear in tokens and spans.
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

/// Maximal runs of marked tokens: first and last token.
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

/// Entities and unknown spans of tags, a mask (or none) and the type that means unknown.
pub(super) type Untagged<'a> = (Vec<Chunk<'a>>, Vec<(u32, u32)>);

/// The inverse of [`tag`]: an entity with a masked token is none.
pub(super) fn untag<'a>(tags: &[&'a str], mask: &[bool], scheme: Scheme, ignore: &str) -> Result<Untagged<'a>, BadTag> {
    let chunks = decode(tags, scheme)?;
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

/// What tags could not hold, over all sentences.
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
