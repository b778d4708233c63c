"""Opens a model that the program trained in PyTorch, and compares entities, margins and tokens."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import GOLDEN
from dynclean import DynCleanError, load_model
from dynclean._model import tokenise, word_shape

for module in ("torch", "transformers", "safetensors", "regex"):
    pytest.importorskip(module, reason=f"{module} is not installed")

CORPUS = [
    {
        "tokens": f"{name} {verb} in {place} 's old town .".split(),
        "entities": [[0, n - 1, "PER"], [n + 2, n + 2, "LOC"]],
    }
    for verb in ("lives", "works")
    for name, n in (("Ada Lovelace", 2), ("Bob", 1), ("Zoë", 1))
    for place in ("London", "Rome", "O'Brien")
]
TEXT = "Ada Lovelace works in London.The 'old' Rome_x\u00a0costs $3.50. (EU:s) 東京 IVth Ⅷ"


@pytest.fixture(scope="module", params=["bert-uncased", "roberta", "distilbert"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, run_trainer: Any) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "train.json").write_text(json.dumps(CORPUS))
    files = ["--train", folder / "train.json", "--dev", folder / "train.json", "--out", folder / "run"]
    options = ["--no-dynamics", "--epochs", 2, "--encoder-rate", "1e-2", "--head-rate", "1e-2", "--max-span-width", 3]
    run_trainer("train", *files, "--encoder", GOLDEN / "encoders" / request.param, *options)
    return folder / "run"


def predicted(run_trainer: Any, model: Path, text: Path, folder: Path) -> Any:
    files = ["--input", text, "--out", folder / "out.json", "--margins", folder / "margins.csv"]
    run_trainer("predict", "--model", model, *files, "--to", "dynclean")
    with open(folder / "margins.csv", encoding="utf-8", newline="") as rows:
        return list(csv.DictReader(rows)), json.loads((folder / "out.json").read_text("utf-8"))


def test_entities_and_margins_are_those_of_the_program(model: Path, run_trainer: Any, tmp_path: Path) -> None:
    rows, _ = predicted(run_trainer, model, model.parent / "train.json", tmp_path)
    loaded = load_model(model)
    found = [(i, f) for i, sentence in enumerate(CORPUS) for f in loaded(sentence["tokens"])]
    assert [(i, f.start, f.end, f.label, f.text) for i, f in found] == [
        (int(r["sentence"]), int(r["start"]), int(r["end"]), r["label"], r["text"]) for r in rows
    ]
    assert [f.margin for _, f in found] == pytest.approx([float(r["margin"]) for r in rows], abs=1e-4)
    assert len(found) > 5
    assert all(1 / 3 < f.probability < 1 for _, f in found)


def test_texts_have_the_tokens_of_the_program(model: Path, run_trainer: Any, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT + "\n", "utf-8")
    rows, labelled = predicted(run_trainer, model, tmp_path / "text.txt", tmp_path)
    tokens = labelled[0]["tokens"]
    places = tokenise(TEXT)
    assert [TEXT[a:b] for a, b in places] == tokens
    found = load_model(model)(TEXT)
    assert [(f.start, f.end, f.label) for f in found] == [
        (places[int(r["start"])][0], places[int(r["end"])][1], r["label"]) for r in rows
    ]
    assert all(TEXT[f.start : f.end] == f.text for f in found)
    assert load_model(model)("") == []


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("John's dog can't.", ["John", "'s", "dog", "can", "'t", "."]),
        ("’Tis O’Brien’s", ["’", "Tis", "O", "’Brien", "’s"]),
        ("U.S. costs $3.50, see example.com", ["U.S", ".", "costs", "$", "3.50", ",", "see", "example.com"]),
        ("in London.The EU:s a_b __x__", ["in", "London", ".", "The", "EU", ":", "s", "a", "_", "b", "__x__"]),
        ("techno-based\u00a0\r\n\tx", ["techno", "-", "based", "x"]),
        ("東京は 👩‍👩‍👧 𝒳é", ["東", "京", "は", "👩‍👩‍👧", "𝒳é"]),
        (" \n ", []),
    ],
)
def test_the_rule_for_tokens(text: str, tokens: list[str]) -> None:
    # The same cases as in the program's own test of this rule.
    assert [text[a:b] for a, b in tokenise(text)] == tokens


def test_shapes_of_words() -> None:
    # Bits: capital first 1, all capitals 2, capital later 4, digit 8, other sign 16, no letter 32; plus 1.
    shapes = {"ada": 1, "Ada": 2, "EU": 8, "McX": 6, "B2": 10, "x-y": 17, "3.5": 57, "A": 2, "": 33}
    assert {word: word_shape(word) for word in shapes} == shapes


def test_what_is_no_model(tmp_path: Path, run_trainer: Any) -> None:
    with pytest.raises(DynCleanError, match="no model in"):
        load_model(tmp_path)
    (tmp_path / "train.json").write_text(json.dumps(CORPUS))
    files = ["--train", tmp_path / "train.json", "--dev", tmp_path / "train.json", "--out", tmp_path / "run"]
    run_trainer("train", *files, "--encoder", "builtin", "--no-dynamics", "--epochs", 1)
    with pytest.raises(DynCleanError, match="built-in encoder"):
        load_model(tmp_path / "run")


def test_sentences_too_long_for_the_encoder(model: Path) -> None:
    loaded = load_model(model)
    of_one = len(loaded.tokenizer.encode(".", add_special_tokens=False).ids)
    longest = (loaded.limit - 2) // of_one
    assert len(loaded.logits(["."] * longest)) == 3 * longest - 3
    with pytest.raises(DynCleanError, match="pieces, more than"):
        loaded.logits(["."] * (longest + 1))


def test_a_limit_of_the_tokenizer_counts(model: Path, run_trainer: Any, tmp_path: Path) -> None:
    shutil.copytree(next(p for p in (model, model / "model") if (p / "dynclean.json").is_file()), tmp_path / "model")
    (tmp_path / "model" / "tokenizer_config.json").write_text('{"model_max_length": 9}')
    (tmp_path / "text.json").write_text(json.dumps([{"tokens": ["."] * 8, "entities": []}]))
    files = ["--model", tmp_path / "model", "--input", tmp_path / "text.json", "--out", tmp_path / "out.json"]
    assert "more pieces than the 9" in run_trainer("predict", *files, said=True)
    with pytest.raises(DynCleanError, match="more than 9"):
        load_model(tmp_path / "model")(["."] * 8)
