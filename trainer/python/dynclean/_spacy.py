"""spaCy: converts sentences from and to `DocBin`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from ._errors import DynCleanError
from ._sentences import Sentence, check, free_runs, without_overlaps


def to_spacy(sentences: Iterable[Mapping[str, Any]], spans_key: str = "sc") -> Any:
    """Returns a `spacy.tokens.DocBin` with one Doc per sentence. Its tokens are joined by blanks.

    - `doc.ents`: the entities. Among overlapping ones the widest is kept, and a warning counts the others.
    - Tokens of unknown spans have no annotation, so the component `ner` learns nothing from them.
    - `doc.spans[spans_key]`: all entities for `spancat`, also overlapping ones. A span group cannot mark spans as
      unknown: `spancat` treats every span outside the group as wrong, also unknown ones.
    - `doc.spans["incorrect_spans"]`: the labels that `apply` removed or replaced (field `incorrect`). A `ner` with
      `incorrect_spans_key="incorrect_spans"` learns that they are wrong.
    """
    import spacy
    from spacy.tokens import Doc, DocBin, Span

    given = list(sentences)
    vocab = spacy.blank("xx").vocab
    docs, left_out = [], 0
    for i, (fields, sentence) in enumerate(zip(given, check(given))):
        if not all(sentence.tokens):
            raise DynCleanError(f"sentence {i} (from 0) has an empty token, which spaCy cannot hold: remove it")
        doc = Doc(vocab, words=sentence.tokens)

        def span(start: int, end: int, label: str = "", doc: Any = doc) -> Any:
            return Span(doc, start, end + 1, label)

        kept, too_many = without_overlaps(sentence.entities)
        left_out += too_many
        if sentence.tokens:
            doc.set_ents([span(*e) for e in kept], missing=[span(*run) for run in free_runs(sentence, kept)])
        doc.spans[spans_key] = [span(*e) for e in sentence.entities]
        wrong = check(
            [{"tokens": sentence.tokens, "entities": fields.get("incorrect") or []}], f"incorrect, sentence {i}"
        )
        doc.spans["incorrect_spans"] = [span(*e) for e in wrong[0].entities]
        docs.append(doc)
    if left_out:
        warnings.warn(
            f"{left_out} entities overlap wider ones and are not in doc.ents: a token has one tag", stacklevel=2
        )
    return DocBin(attrs=["ENT_IOB", "ENT_TYPE", "SPACY"], docs=docs, store_user_data=True)


def from_spacy(docs: Any, nlp: Any = None, spans_key: str | None = None) -> list[Sentence]:
    """Returns the sentences of Docs or of a `DocBin`, one per Doc.

    Entities are `doc.ents`, or the spans of the span group `spans_key` if that is given. Tokens without entity
    annotation are unknown, and adjacent ones form one unknown span. White space between tokens is lost, but tokens that
    consist of white space are kept.

    `nlp`: a pipeline whose vocabulary is used to open a DocBin. The default is a blank pipeline.

    Errors: DynCleanError if a Doc has no entity annotation at all, or no such span group.
    """
    if hasattr(docs, "get_docs"):
        import spacy

        docs = docs.get_docs((nlp or spacy.blank("xx")).vocab)
    sentences = []
    for i, doc in enumerate(docs):
        if spans_key is not None and spans_key not in doc.spans:
            raise DynCleanError(
                f"Doc {i} (from 0) has no span group {spans_key!r}, but: {', '.join(doc.spans) or 'none'}"
            )
        if spans_key is None and len(doc) and not doc.has_annotation("ENT_IOB"):
            raise DynCleanError(
                f"Doc {i} (from 0) has no entity annotation: set doc.ents, or name a span group by spans_key"
            )
        found = doc.ents if spans_key is None else doc.spans[spans_key]
        sentence: Sentence = {
            "tokens": [token.text for token in doc],
            "entities": [[span.start, span.end - 1, span.label_] for span in found],
        }
        unknown: list[list[int]] = []
        for token in doc if spans_key is None else ():
            if token.ent_iob == 0:
                if unknown and unknown[-1][1] == token.i - 1:
                    unknown[-1][1] = token.i
                else:
                    unknown.append([token.i, token.i])
        if unknown:
            sentence["unknown"] = unknown
        sentences.append(sentence)
    check(sentences, "Docs")
    return sentences
