"""BIO tags: conversion of entities and tags, and margins of spans computed from those of tokens."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dynclean import DynCleanError, Recorder
from dynclean._sentences import Checked, Spans
from dynclean._tags import TagMargins, from_tags, to_tags

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def test_tags_of_entities_that_overlap_and_of_unknown_spans() -> None:
    sentence = Checked(list("abcdefg"), [(1, 1, "LOC"), (0, 2, "PER"), (6, 6, "LOC")], [(2, 4), (6, 6)])
    # The widest entity is kept. Tokens of an entity keep their tags inside an unknown span.
    assert to_tags(sentence) == (["B-PER", "I-PER", "I-PER", None, None, "O", "B-LOC"], 1)


def test_entities_of_irregular_tags() -> None:
    tags = ["I-PER", "I-PER", "I-LOC", "O", None, None, "B-PER", "B-PER", "I-PER", None]
    entities, unknown, irregular = from_tags(tags)
    assert entities == [(0, 1, "PER"), (2, 2, "LOC"), (6, 6, "PER"), (7, 8, "PER")]
    assert (unknown, irregular) == ([(4, 5), (9, 9)], 2)


def test_margins_by_hand(tmp_path: Path, peer: ModuleType) -> None:
    # Margins of the tags O, B-PER, I-PER at the three tokens:
    #   O -3, B 3, I -4;   O -1, B -5, I 1;   O 2, B -6, I -2
    logits = [[0.0, 3.0, -1.0], [1.0, -3.0, 2.0], [4.0, -2.0, 2.0]]
    sentences = [{"tokens": ["Ada", "Lovelace", "wrote"], "entities": [[0, 1, "PER"]]}]
    with Recorder(tmp_path / "t.dyn", sentences, tags=["O", "B-PER", "I-PER"]) as recorder:
        recorder.add_tags(0, logits)
        recorder.end_epoch()
        # The last token was not read, so nothing is known of spans that contain it or end just before it.
        recorder.add_tags(0, logits[:2])
        recorder.end_epoch()
    epochs = peer.read((tmp_path / "t.dyn").read_bytes())["runs"]["main"]["epochs"]
    # Spans 0, 0-1 (PER), 0-2, 1, 1-2, 2. Scores for PER:
    #   0: min(3, -1) = -1;  0-1: min(3, 1, 2) = 1;  0-2: min(3, 1, -2) = -2
    #   1: min(-5, 2) = -5;  1-2: min(-5, -2) = -5;  2: -6
    assert epochs[0]["margins"] == [1.0, 1.0, 2.0, 5.0, 5.0, 6.0]
    assert epochs[1]["margins"] == [1.0, None, None, None, None, None]


def test_a_score_is_above_zero_exactly_where_the_tags_say_so() -> None:
    labels = ["O", "LOC", "PER"]
    margins = TagMargins(TAGS, labels, "tags")
    random = np.random.default_rng(5)
    found_some = 0
    for _ in range(300):
        logits = random.normal(size=(6, 5))
        tags = [TAGS[i] for i in logits.argmax(axis=1)]
        # Read the tags strictly: B-X and the I-X tags after it.
        entities = set()
        for start, tag in enumerate(tags):
            if tag[0] == "B":
                end = start
                while end + 1 < 6 and tags[end + 1] == f"I-{tag[2:]}":
                    end += 1
                entities.add((start, end, tag[2:]))
        spans = Spans([6], 6).rows()[:, 1:].tolist()
        for number in (1, 2):
            positive = margins(logits, np.full(len(spans), number), 6) > 0
            expected = [(a, b, labels[number]) in entities for a, b in spans]
            assert positive.tolist() == expected
            found_some += sum(expected)
        negative = margins(logits, np.zeros(len(spans), int), 6) < 0
        assert negative.tolist() == [any((a, b, k) in entities for k in labels) for a, b in spans]
    assert found_some > 300


def test_widths_beyond_the_candidates_are_left_out() -> None:
    random = np.random.default_rng(1)
    logits = random.normal(size=(9, 5))
    margins = TagMargins(TAGS, ["O", "LOC", "PER"], "tags")
    wide, narrow = Spans([9], 9).rows().tolist(), Spans([9], 4).rows().tolist()
    all_margins = margins(logits, np.zeros(len(wide), int), 9)
    some = margins(logits, np.zeros(len(narrow), int), 4)
    assert some.tolist() == [all_margins[wide.index(row)] for row in narrow]


@pytest.mark.parametrize("rows", [[[0.0, 1.0]], [[0.0, 1.0, 2.0]] * 4])
def test_logits_of_another_shape(tmp_path: Path, rows: Any) -> None:
    sentences = [{"tokens": ["Ada", "Lovelace", "wrote"], "entities": [[0, 1, "PER"]]}]
    recorder = Recorder(tmp_path / "t.dyn", sentences, tags=["O", "B-PER", "I-PER"])
    with pytest.raises(DynCleanError, match=r"sentence 0 .* expected \(3, 3\)"):
        recorder.add_tags(0, rows)
