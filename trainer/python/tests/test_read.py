"""Compares the table with `trainer inspect --spans`, and reads it without the program."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import GOLDEN
from dynclean import DynCleanError, Recorder, read
from dynclean._program import find_program

REAL = ("aum", "confidence", "variability")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records 30 sentences of up to 12 tokens with random labels and logits, four epochs, some logits not finite."""
    random = np.random.default_rng(3)
    sentences = []
    for i in range(30):
        n = i % 13
        tokens = [random.choice(["Ada", "Rome", "wrote", "the", "Bank"]) for _ in range(n)]
        starts = random.permutation(n)[: n // 3].tolist()
        entities = [[a, min(n - 1, a + int(random.integers(3))), str(random.choice(["PER", "LOC"]))] for a in starts]
        sentences.append({"tokens": [str(t) for t in tokens], "entities": entities})
    path = tmp_path_factory.mktemp("recording") / "run.dyn"
    gold = [{**sentence, "entities": sentence["entities"][1:]} for sentence in sentences]
    with Recorder(path, sentences, gold=gold, max_span_width=5) as recorder:
        spans = np.arange(len(recorder.spans))
        # Most labels are learned, but not all.
        easy = random.random(len(spans)) < 0.8
        for _ in range(4):
            logits = random.normal(size=(len(spans), 3)) * 2
            logits[spans[easy], recorder.targets[easy]] += 5
            logits[random.random(len(logits)) < 0.02, 1] = random.choice([np.nan, np.inf])
            recorder.add(spans, logits)
            recorder.end_epoch()
    return path


@pytest.mark.parametrize("file", ["recording", GOLDEN / "v1.dyn", GOLDEN / "v2.dyn"])
@pytest.mark.parametrize("options", [(), ("--metric", "aum", "--window", "2-2")])
def test_the_table_is_that_of_the_program(
    file: Any, options: tuple[str, ...], recording: Path, run_trainer: Any, tmp_path: Path
) -> None:
    path = recording if file == "recording" else file
    told = json.loads(run_trainer("inspect", path, "--json", "--spans", tmp_path / "spans.csv", *options))
    with open(tmp_path / "spans.csv", encoding="utf-8", newline="") as rows:
        expected = list(csv.DictReader(rows))
    table = read(path, *options)
    window = told["settings"]["window"]
    assert table.window == (window["first"], min(window["last"], told["epochs"]))
    assert len(table) == len(expected) > 5
    for column in (*REAL, "trust"):
        numbers = [float(row[column] or "nan") for row in expected]
        np.testing.assert_allclose(table[column], numbers, rtol=1e-5, atol=1e-5, err_msg=column)
    for column in ("sentence", "start", "end", "correctness", "forgetting"):
        assert table[column].tolist() == [int(row[column]) for row in expected], column
    for column in ("label", "gold", "because", "decision"):
        assert table[column].tolist() == [row[column] for row in expected], column
    assert not set(table["decision"]) <= {"keep"}


def test_a_window_goes_to_the_program(recording: Path, trainer: str) -> None:
    last = read(recording, window=(4, 4))
    assert last.window == (4, 4)
    np.testing.assert_array_equal(last["aum"], read(recording, window=(4, 9), decide=False)["aum"])
    assert (last["forgetting"] == 0).all()


def test_without_the_program(recording: Path, no_program: None) -> None:
    with pytest.warns(UserWarning, match="no trust, reasons and decisions"):
        table = read(recording)
    assert table.window == (1, 3)
    assert "trust" not in table.columns
    with pytest.raises(DynCleanError, match="not found"):
        read(recording, "--metric", "aum")


def test_another_program_of_that_name_is_not_called(no_program: None, tmp_path: Path) -> None:
    for name, says in (("dynclean", "trains dogs"), ("trainer", "Finds and fixes wrong NER labels")):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {says}\n")
        (tmp_path / name).chmod(0o755)
    assert find_program() == str(tmp_path / "trainer")
    (tmp_path / "trainer").unlink()
    assert find_program() is None


def test_a_variable_that_names_nothing(recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DYNCLEAN_TRAINER", "no-such-program")
    with pytest.raises(DynCleanError, match="DYNCLEAN_TRAINER is no-such-program"):
        read(recording)


@pytest.mark.parametrize("window", [(0, 3), (3, 2), (5, 6)])
def test_windows_that_are_none(recording: Path, window: tuple[int, int]) -> None:
    with pytest.raises(DynCleanError, match=r"run\.dyn: no epoch is inside the window"):
        read(recording, window=window, decide=False)


def test_what_the_program_refuses_is_told(recording: Path, trainer: str) -> None:
    with pytest.raises(DynCleanError, match=r"trainer inspect.* failed.*beauty"):
        read(recording, "--metric", "beauty")


def test_a_file_that_was_cut_off_is_a_warning(recording: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.dyn"
    cut.write_bytes(recording.read_bytes()[:-30])
    with pytest.warns(UserWarning, match="cut off"):
        assert read(cut, decide=False, window=(1, 9)).window == (1, 3)


def table_of_v1() -> Any:
    return read(GOLDEN / "v1.dyn", decide=False)


def test_text_and_labels() -> None:
    table = table_of_v1()
    assert table["text"].tolist()[:3] == ["Zoë", "Zoë met", "met"]
    assert table["label"].tolist() == ["PER", "O", "O", "O", "O", "ORG", "O", "O", "O", "O"]
    assert table["gold"].tolist() == ["PER", *["O"] * 8, "ORG"]
    assert list(table)[:6] == ["sentence", "start", "end", "text", "label", "gold"]


def test_as_pandas() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    frame = table_of_v1().to_pandas()
    assert frame.index.name == "span_id"
    # Only the span with id 4 has a logit that is not finite.
    assert frame[frame.aum.isna()].index.tolist() == [4]
    assert frame.groupby("label").size().to_dict() == {"O": 8, "ORG": 1, "PER": 1}


def test_as_polars() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = table_of_v1().to_polars()
    assert frame.schema["text"] == polars.String
    assert frame.filter(polars.col("label") == "ORG")["text"].to_list() == ["Ørsted A/S"]


def test_as_arrow() -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = table_of_v1().to_arrow()
    assert table.schema.field("text").type == pyarrow.string()
    assert table.column("end").to_pylist() == [0, 1, 1, 2, 2, 3, 3, 0, 1, 1]


def test_as_html(tmp_path: Path) -> None:
    sentences = [{"tokens": ["<b>", *"abcdefgh"], "entities": [[0, 0, "PER"]]}]
    with Recorder(tmp_path / "h.dyn", sentences) as recorder:
        # All spans have different margins. The lowest is that of <b>, which is labelled PER.
        n = len(recorder.spans)
        recorder.add(np.arange(n), np.stack([np.arange(n) + 1.0, np.zeros(n)], axis=1))
        recorder.end_epoch()
    shown = read(tmp_path / "h.dyn", decide=False)._repr_html_()
    rows = shown.split("<tr>")[2:]
    assert len(rows) == 20
    assert "&lt;b&gt;" in rows[0]
    assert "<b>" not in shown
    assert "20 of 44 spans, lowest aum first" in shown
