"""Applies decisions, and compares the results with `trainer clean` and with results worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dynclean import DynCleanError, Recorder, apply


def change(sentence: int, start: int, end: int, text: str, was: str, now: str | None) -> dict[str, Any]:
    return {"sentence": sentence, "start": start, "end": end, "text": text, "was": was, "now": now, "by": "rule"}


def provenance(path: Path, *changes: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"changes": changes}), "utf-8")
    return path


def test_changes_by_hand(tmp_path: Path, sentences: Any) -> None:
    sentences[1]["id"] = 7
    path = provenance(
        tmp_path / "p.json",
        change(0, 0, 1, "Ada Lovelace", "PER", None),
        change(0, 2, 2, "wrote", "O", None),
        change(0, 4, 4, "London", "LOC", "O"),
        change(1, 0, 0, "Paris", "PER", "LOC"),
        change(3, 0, 0, "Bob", "O", "PER"),
    )
    before = json.dumps(sentences)
    assert apply(path, sentences) == [
        {
            "tokens": ["Ada", "Lovelace", "wrote", "in", "London"],
            "entities": [],
            "unknown": [[0, 1], [2, 2]],
            "incorrect": [[0, 1, "PER"], [4, 4, "LOC"]],
        },
        {"tokens": ["Paris"], "entities": [[0, 0, "LOC"]], "incorrect": [[0, 0, "PER"]], "id": 7},
        {"tokens": [], "entities": []},
        # A span that gets a label is not unknown any more.
        {"tokens": ["Bob", "saw", "Ada"], "entities": [[0, 0, "PER"], [2, 2, "LOC"]], "unknown": []},
    ]
    assert json.dumps(sentences) == before


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (change(4, 0, 0, "Ada", "O", None), "no such span"),
        (change(1, 0, 1, "Paris x", "O", None), "no such span"),
        (change(1, 0, 0, "Rome", "PER", None), "about 'Rome', the dataset has 'Paris'"),
        (change(1, 0, 0, "Paris", "LOC", None), "about the label LOC, the dataset has PER"),
        (change(0, 2, 2, "wrote", "PER", None), "about the label PER, the dataset has O"),
    ],
)
def test_changes_of_other_data_are_refused(tmp_path: Path, sentences: Any, wrong: Any, said: str) -> None:
    with pytest.raises(DynCleanError, match=said):
        apply(provenance(tmp_path / "p.json", wrong), sentences)


def test_changes_that_are_not_whole(tmp_path: Path, sentences: Any) -> None:
    broken = change(0, 2, 2, "wrote", "O", None)
    del broken["now"], broken["was"]
    with pytest.raises(DynCleanError, match=r"change 0 \(from 0\) lacks was, now"):
        apply(provenance(tmp_path / "p.json", broken), sentences)


@pytest.mark.parametrize(("text", "said"), [("{", "no JSON"), ("[]", "neither"), ('{"settings": {}}', "neither")])
def test_files_that_are_no_decisions(tmp_path: Path, sentences: Any, text: str, said: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(text)
    with pytest.raises(DynCleanError, match=rf"d\.json is {said}"):
        apply(path, sentences)


def test_decisions_need_the_recording(tmp_path: Path, sentences: Any) -> None:
    path = tmp_path / "d.json"
    path.write_text('{"overrides": [], "settings": {}}')
    with pytest.raises(DynCleanError, match="dynamics="):
        apply(path, sentences)


def test_decisions_are_what_the_program_makes_of_them(tmp_path: Path, sentences: Any, run_trainer: Any) -> None:
    run, corpus = tmp_path / "run.dyn", tmp_path / "train.json"
    # An order that the program would not write.
    sentences[0]["entities"].reverse()
    corpus.write_text(json.dumps(sentences))
    with Recorder(run, sentences) as recorder:
        random = np.random.default_rng(2)
        for _ in range(3):
            recorder.add(np.arange(22), random.normal(size=(22, 3)) * 3)
            recorder.end_epoch()
    decisions = tmp_path / "decisions.json"
    run_trainer("clean", run, "--corpus", corpus, "--out", tmp_path / "a.json", "--write-decisions", decisions)
    told = json.loads(decisions.read_text())
    told["overrides"] = [
        [{"sentence": 3, "start": 0, "end": 0}, {"relabel": "PER"}],
        [{"sentence": 3, "start": 2, "end": 2}, "remove"],
    ]
    decisions.write_text(json.dumps(told))
    out = tmp_path / "cleaned.json"
    run_trainer("clean", run, "--corpus", corpus, "--decisions", decisions, "--out", out)
    expected = json.loads(out.read_text())
    found = apply(decisions, sentences, dynamics=run)

    def labels(cleaned: Any) -> Any:
        return [(s["tokens"], sorted(s["entities"]), sorted(s.get("unknown", []))) for s in cleaned]

    assert labels(found) == labels(expected)
    assert labels(found) != labels(sentences)
    with pytest.raises(DynCleanError, match=r"the dataset has 3 sentences, .*run\.dyn has 4"):
        apply(decisions, sentences[1:], dynamics=run)
    with pytest.raises(DynCleanError, match=r"sentence 0 \(from 0\) of the dataset has other tokens"):
        apply(decisions, sentences[::-1], dynamics=run)
    with pytest.raises(DynCleanError, match=r"sentence 3 \(from 0\) of the dataset has other labels"):
        apply(decisions, [*sentences[:3], {**sentences[3], "entities": []}], dynamics=run)
    told["dynamics"] = "0" * 32
    decisions.write_text(json.dumps(told))
    with pytest.raises(DynCleanError, match="another dynamics file"):
        apply(decisions, sentences, dynamics=run)
