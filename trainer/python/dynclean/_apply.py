"""`apply`: applies the decisions of the page or of the program to sentences."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._dyn import read_recording
from ._errors import DynCleanError
from ._hf import from_hf, to_hf
from ._program import run
from ._sentences import Checked, Sentence, check
from ._tags import types_of_tags

Changes = dict[int, dict[tuple[int, int], tuple[str, "str | None"]]]


def apply(decisions: str | os.PathLike[str], dataset: Any, dynamics: str | os.PathLike[str] | None = None) -> Any:
    """Returns the dataset with wrong labels removed or replaced. The input is not changed.

    `decisions`: `provenance.json`, which lists every change, or `decisions.json` of the page, which holds settings and
    the decisions made by hand. Only the program can apply settings. So for `decisions.json`, `dynamics` must name the
    `.dyn` file, and `trainer clean --decisions` is called.

    `dataset`: the sentences that were recorded, as dictionaries, or a `datasets.Dataset` with `tokens` and `ner_tags`.
    The result has the same form. A removed span is listed under `unknown`, or its tokens have the tag -100. If an
    entity was removed or got another label, the field `incorrect` lists its old label: `[start, end, "TYPE"]`.

    Errors: DynCleanError if a change does not fit, because the dataset has another token or another label there.
    """
    told = _json(decisions)
    is_hf = hasattr(dataset, "column_names")
    sentences = [dict(sentence) for sentence in (from_hf(dataset) if is_hf else dataset)]
    if "changes" not in told:
        told = _ask(decisions, check(sentences), dynamics)
    changes = _changes(told)
    cleaned = _applied(sentences, changes, told)
    if not is_hf:
        return cleaned
    names = getattr(dataset.features["ner_tags"].feature, "names", None)
    if names is None:
        raise DynCleanError("the column ner_tags must be a ClassLabel: cast it to Sequence(ClassLabel(names))")
    known = {"O", *types_of_tags(names, "column 'ner_tags'")}
    new = sorted({now for of in changes.values() for _, now in of.values() if now is not None} - known)
    return to_hf(cleaned, [*names, *(f"{letter}-{name}" for name in new for letter in "BI")])


def _json(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        told = json.loads(Path(path).read_text("utf-8"))
    except ValueError as error:
        raise DynCleanError(f"{os.fspath(path)} is no JSON: {error}") from None
    if not isinstance(told, dict) or not ("changes" in told or "overrides" in told):
        raise DynCleanError(
            f"{os.fspath(path)} is neither decisions.json nor provenance.json: export it from the page again"
        )
    return told


def _ask(
    decisions: str | os.PathLike[str], dataset: list[Checked], dynamics: str | os.PathLike[str] | None
) -> dict[str, Any]:
    """Returns the changes that follow from these decisions, computed by the program."""
    if dynamics is None:
        raise DynCleanError(
            f"{os.fspath(decisions)} holds settings, not changes: name the recording, dynamics='run.dyn'"
        )
    recording = read_recording(dynamics)
    entities: list[list[list[Any]]] = [[] for _ in recording.sentences]
    unknown: list[list[list[int]]] = [[] for _ in recording.sentences]
    for sentence, start, end, label in recording.distant.tolist():
        entities[sentence].append([start, end, recording.labels[label]])
    for sentence, start, end in recording.unknown.tolist():
        unknown[sentence].append([start, end])
    remedy = "give the sentences that were recorded, in their order"
    if len(dataset) != len(entities):
        raise DynCleanError(f"the dataset has {len(dataset)} sentences, {recording.path} has {len(entities)}; {remedy}")
    for i, (sentence, tokens, labels) in enumerate(zip(dataset, recording.sentences, entities)):
        if sentence.tokens != tokens or sorted(sentence.entities) != sorted(map(tuple, labels)):
            what = "tokens" if sentence.tokens != tokens else "labels"
            raise DynCleanError(
                f"sentence {i} (from 0) of the dataset has other {what} than {recording.path}; {remedy}"
            )
    with tempfile.TemporaryDirectory() as folder:
        corpus, out, provenance = (Path(folder) / name for name in ("corpus.json", "cleaned.json", "provenance.json"))
        rows = [
            {"tokens": tokens, "entities": e, "unknown": u}
            for tokens, e, u in zip(recording.sentences, entities, unknown)
        ]
        corpus.write_text(json.dumps(rows), "utf-8")
        files: list[str | Path] = [
            "--corpus",
            corpus,
            "--decisions",
            Path(decisions).absolute(),
            "--out",
            out,
            "--provenance",
            provenance,
        ]
        run(["clean", Path(dynamics).absolute(), *files, "--quiet"])
        return _json(provenance)


def _changes(told: Mapping[str, Any]) -> Changes:
    changes: Changes = {}
    for i, change in enumerate(told["changes"]):
        lacks = [field for field in ("sentence", "start", "end", "text", "was", "now") if field not in change]
        if lacks:
            raise DynCleanError(f"change {i} (from 0) lacks {', '.join(lacks)}: take provenance.json as it was written")
        of_sentence = changes.setdefault(change["sentence"], {})
        of_sentence[change["start"], change["end"]] = (change["was"], change["now"])
    return changes


def _applied(given: list[Sentence], changes: Changes, told: Mapping[str, Any]) -> list[Sentence]:
    checked = check(given)
    for change in told["changes"]:
        _check_fits(change, checked)
    cleaned = []
    for i, (fields, sentence) in enumerate(zip(map(dict, given), checked)):
        of_sentence = changes.get(i, {})
        labels = {(start, end): label for start, end, label in sentence.entities}
        unknown = set(sentence.unknown)
        incorrect = list(fields.get("incorrect") or [])
        for span, (was, now) in of_sentence.items():
            if was != "O":
                incorrect.append([*span, was])
            labels.pop(span, None)
            if now is None:
                unknown.add(span)
            elif now != "O":
                labels[span] = now
                unknown.discard(span)
        fields["entities"] = [[*span, label] for span, label in sorted(labels.items())]
        for name, value in (("unknown", [list(span) for span in sorted(unknown)]), ("incorrect", incorrect)):
            if value or name in fields:
                fields[name] = value
        cleaned.append(fields)
    return cleaned


def _check_fits(change: Mapping[str, Any], sentences: list[Any]) -> None:
    i, start, end = change["sentence"], change["start"], change["end"]
    where = f"the change of sentence {i} (from 0), span [{start}, {end}]"
    remedy = "give the sentences that were recorded, in their order"
    if not 0 <= i < len(sentences) or not 0 <= start <= end or end >= len(sentences[i].tokens):
        raise DynCleanError(f"{where}: the dataset has no such span; {remedy}")
    text = " ".join(sentences[i].tokens[start : end + 1])
    if text != change["text"]:
        raise DynCleanError(f"{where} is about {change['text']!r}, the dataset has {text!r} there; {remedy}")
    label = next((label for a, b, label in sentences[i].entities if (a, b) == (start, end)), "O")
    if label != change["was"]:
        raise DynCleanError(f"{where} is about the label {change['was']}, the dataset has {label}; {remedy}")
