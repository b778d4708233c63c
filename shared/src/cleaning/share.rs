//! Decisions as part of a link's address.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::cleaning::Decisions;

/// Name of the part with the decisions.
const KEY: &str = "decisions=";
/// Characters that are not escaped in an address.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b':');

/// Largest number of decisions by hand that an address carries.
pub const LINKED: usize = 200;

/// Returns the part after `#` of the page's address that carries these decisions, and whether it has the decisions by
/// hand. If there are more than [`LINKED`] of them, all of them are left out. Names of people, notes, and the list of
/// suggestions chosen at random are always left out.
pub fn fragment(decisions: &Decisions) -> (String, bool) {
    let is_complete = decisions.overrides.len() <= LINKED;
    let overrides = if is_complete { decisions.overrides.clone() } else { Vec::new() };
    let linked = Decisions { overrides, ..Decisions::new(decisions.dynamics.clone(), decisions.settings.clone()) };
    // Plain structures with string keys can always be serialised.
    let json = serde_json::to_string(&linked).unwrap_or_default();
    (format!("{KEY}{}", escape(&json)), is_complete)
}

/// The JSON of the decisions in the part of an address after `#`. It may be malformed.
pub fn decisions_of(fragment: &str) -> Option<String> {
    part(fragment, KEY)
}

/// Escapes any text for an address.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, &PLAIN).to_string()
}

/// The value of one part (`name=`) of the text after `#`.
pub fn part(fragment: &str, name: &str) -> Option<String> {
    let parts = fragment.strip_prefix('#').unwrap_or(fragment).split('&');
    let value = parts.into_iter().find_map(|part| part.strip_prefix(name))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cleaning::Override;
    use crate::corpus::span::Span;
    use crate::detection::threshold::Settings;

    #[test]
    fn an_address_carries_decisions_there_and_back() {
        let mut decisions = Decisions::new("d1g35t".to_owned(), Settings::paper());
        let span = Span { sentence: 1, start: 2, end: 3 };
        decisions.overrides.push((span, Override::Relabel("Größe & #1=\"x\"".to_owned())));
        let (address, is_complete) = fragment(&decisions);
        assert!(
            is_complete && address.chars().all(|c| c.is_ascii_alphanumeric() || "-_.~,:%=".contains(c)),
            "{address}"
        );
        let json = decisions_of(&format!("#view=7&{address}&more=1")).unwrap();
        assert_eq!(Decisions::read(json.as_bytes(), "d1g35t").unwrap(), decisions);
        let private = Decisions {
            reviewer: Some("Ada".to_owned()),
            notes: vec![(span, "ask Bo".to_owned())],
            sampled: vec![span],
            ..decisions.clone()
        };
        assert_eq!(fragment(&private).0, address);
        assert_eq!(part("#view=7%20&x=%FF", "view=").as_deref(), Some("7 "));
        assert_eq!(part("#view=7&x=%FF", "x=").as_deref(), Some("\u{fffd}"));
        assert_eq!(decisions_of(""), None);
        decisions.overrides = vec![decisions.overrides[0].clone(); LINKED + 1];
        let (settings_only, is_complete) = fragment(&decisions);
        assert!(!is_complete);
        let json = decisions_of(&settings_only).unwrap();
        assert_eq!(Decisions::read(json.as_bytes(), "d1g35t").unwrap(), Decisions { overrides: vec![], ..decisions });
    }
}
