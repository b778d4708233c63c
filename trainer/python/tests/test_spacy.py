"""spaCy: checks the data for ner and spancat, and trains each for a step."""

from __future__ import annotations

from typing import Any

import pytest

from dynclean import DynCleanError, from_spacy, to_spacy

spacy = pytest.importorskip("spacy", reason="spacy is not installed")

CLEANED: list[dict[str, Any]] = [
    {
        "tokens": ["Ada", "wrote", "in", "London"],
        "entities": [[0, 0, "PER"]],
        "unknown": [[2, 3]],
        "incorrect": [[3, 3, "LOC"]],
    },
    {"tokens": ["New", "York", "Times"], "entities": [[0, 2, "ORG"]]},
    {"tokens": [], "entities": []},
]


def opened(sentences: Any) -> Any:
    """Returns the Docs as another process reads them from disk."""
    data = to_spacy(sentences).to_bytes()
    return list(spacy.tokens.DocBin().from_bytes(data).get_docs(spacy.blank("en").vocab))


def test_what_is_removed_is_missing_annotation() -> None:
    from spacy.training import Example

    docs = opened(CLEANED)
    examples = [Example(spacy.tokens.Doc(d.vocab, words=[t.text for t in d]), d) for d in docs]
    # None is spaCy's value for "not known".
    assert examples[0].get_aligned_ner() == ["U-PER", "O", None, None]
    assert examples[1].get_aligned_ner() == ["B-ORG", "I-ORG", "L-ORG"]
    assert [(s.text, s.label_) for s in docs[0].spans["incorrect_spans"]] == [("London", "LOC")]
    assert [(s.text, s.label_) for s in docs[1].spans["sc"]] == [("New York Times", "ORG")]


def test_sentences_go_through_spacy() -> None:
    plain = [{k: v for k, v in s.items() if k != "incorrect"} for s in CLEANED]
    assert from_spacy(to_spacy(CLEANED)) == plain
    assert from_spacy(opened(CLEANED)) == plain


def test_an_entity_stays_under_an_unknown_span() -> None:
    doc = opened([{"tokens": ["in", "New", "York", "now"], "entities": [[1, 2, "LOC"]], "unknown": [[0, 1], [2, 3]]}])[
        0
    ]
    assert [token.ent_iob_ for token in doc] == ["", "B", "I", ""]


def test_overlaps_are_kept_as_a_span_group() -> None:
    nested = [{"tokens": ["New", "York", "Times"], "entities": [[0, 2, "ORG"], [0, 1, "LOC"]]}]
    with pytest.warns(UserWarning, match="1 entities overlap"):
        made = to_spacy(nested, spans_key="all")
    assert from_spacy(made)[0]["entities"] == [[0, 2, "ORG"]]
    assert sorted(from_spacy(made, spans_key="all")[0]["entities"]) == [[0, 1, "LOC"], [0, 2, "ORG"]]


def test_docs_that_cannot_be_used() -> None:
    doc = spacy.blank("en")("Ada wrote")
    with pytest.raises(DynCleanError, match=r"Doc 0 \(from 0\) has no entity annotation"):
        from_spacy([doc])
    with pytest.raises(DynCleanError, match="no span group 'sc', but: none"):
        from_spacy([doc], spans_key="sc")
    with pytest.raises(DynCleanError, match=r"sentence 0 \(from 0\) has an empty token"):
        to_spacy([{"tokens": ["a", ""], "entities": []}])


@pytest.mark.parametrize("component", ["ner", "spancat"])
def test_a_step_of_training(component: str) -> None:
    from spacy.training import Example

    nlp = spacy.blank("en")
    nlp.add_pipe(component, config={"incorrect_spans_key": "incorrect_spans"} if component == "ner" else {})
    docs = list(to_spacy(CLEANED).get_docs(nlp.vocab))[:2]
    examples = [Example(nlp.make_doc(d.text), d) for d in docs]
    optimizer = nlp.initialize(lambda: examples)
    losses = nlp.update(examples, sgd=optimizer)
    assert losses[component] > 0


def test_ner_learns_nothing_from_missing_and_something_from_incorrect_spans() -> None:
    from spacy.training import Example

    def loss(**fields: Any) -> float:
        """Returns the loss of a sentence of two tokens with only these fields."""
        spacy.util.fix_random_seed(0)
        nlp = spacy.blank("en")
        nlp.add_pipe("ner", config={"incorrect_spans_key": "incorrect_spans"})
        made = to_spacy([{"tokens": ["in", "London"], "entities": [], **fields}, CLEANED[1]])
        of_fields, other = made.get_docs(nlp.vocab)
        nlp.initialize(lambda: [Example(nlp.make_doc(d.text), d) for d in (of_fields, other)])
        return float(nlp.update([Example(nlp.make_doc(of_fields.text), of_fields)])["ner"])

    assert loss(unknown=[[0, 1]]) == 0
    assert loss(unknown=[[1, 1]]) > 0
    assert loss(unknown=[[0, 1]], incorrect=[[1, 1, "ORG"]]) > 0
