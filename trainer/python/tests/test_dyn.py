"""The file format: compares reading and writing with an independent reader."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from conftest import GOLDEN
from dynclean import DynCleanError, Recorder
from dynclean._dyn import MAGIC, read_recording, section
from dynclean._sentences import Spans
from dynclean._xxh3 import xxh3_64


# Hashes of the bytes (7 i^2 + 13 i + 5) mod 256, from the package xxhash.
@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, 0x2D06800538D394C2),
        (1, 0x929E358D27AE3EE2),
        (3, 0xEDBD89085055020F),
        (4, 0xB88A3316C9CBADA6),
        (8, 0xCA529B018625DE44),
        (9, 0x70DC22712A6EE9FC),
        (16, 0x9886796291DA8A97),
        (17, 0xF13E1A9528336483),
        (32, 0x2F7DDF70286C3C84),
        (33, 0x266DE476C09D9677),
        (64, 0x2CD706754E9EBC4A),
        (65, 0x49399EF428124CB1),
        (96, 0x9DA7B83D15498FD4),
        (97, 0x0676EFF840CD2227),
        (128, 0x160D5CC14718584D),
        (129, 0xF59FDF21DF5914AA),
        (200, 0xA620102CF307D27C),
        (240, 0xE043677D5AE49E40),
        (241, 0x7D187AB642EC16ED),
        (1024, 0x5E1054D10959BF1E),
        (1025, 0x97FF34D6CEC3109A),
        (1088, 0x61E648232896DA5D),
        (2048, 0x905A119F0A6EC8AC),
        (2049, 0x3C55EDC8CC56A4FE),
        (20000, 0xC5AC21DA062D7A03),
    ],
)
def test_checksums(length: int, expected: int) -> None:
    data = bytes((i * i * 7 + i * 13 + 5) % 256 for i in range(20000))
    assert xxh3_64(data[:length]) == expected


def test_checksum_of_more_than_is_hashed_at_once() -> None:
    # From the package xxhash: 5 MiB of zeros and a one.
    assert xxh3_64(bytes(5 << 20) + b"\1") == 0x6FF339791C829183


def test_spans_are_enumerated_start_then_end() -> None:
    spans = Spans([3, 0, 2], 2)
    expected = [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 2), (0, 2, 2), (2, 0, 0), (2, 0, 1), (2, 1, 1)]
    assert [tuple(row) for row in spans.rows().tolist()] == expected
    assert spans.ids(np.array(expected)).tolist() == list(range(8))
    assert spans.ids(np.array([[0, 0, 2]])).tolist() == [-1]


@pytest.mark.parametrize("width", range(1, 10))
def test_ids_and_spans_are_inverse(width: int) -> None:
    lengths = [0, 1, 2, 7, 8, 9, 20, 0, 3, 1, 40, 0, 2]
    spans = Spans(lengths, width)
    by_loops = [(s, a, b) for s, n in enumerate(lengths) for a in range(n) for b in range(a, min(n, a + width))]
    assert [tuple(row) for row in spans.rows().tolist()] == by_loops
    assert spans.ids(spans.rows()).tolist() == list(range(len(by_loops)))


@pytest.mark.parametrize("version", [1, 2])
def test_golden_files_are_read(version: int) -> None:
    expected = json.loads((GOLDEN / f"v{version}.json").read_text("utf-8"))
    found = read_recording(GOLDEN / f"v{version}.dyn")
    info = {**expected["info"], "settings": [tuple(pair) for pair in expected["info"]["settings"]]}
    assert vars(found.info) == info
    assert found.labels == ["O", *expected["labels"]]
    assert found.sentences == expected["sentences"]
    assert found.distant.tolist() == expected["distant"]["entities"]
    assert found.unknown.tolist() == expected["distant"]["unknown"]
    assert found.gold is not None
    assert found.gold.tolist() == expected["gold"]["entities"]
    assert (found.complete, found.is_margins) == (expected["complete"], version == 2)
    epochs = expected["runs"]["main"]["epochs"]
    assert len(found.epochs) == len(epochs)
    for values, epoch in zip(found.epochs, epochs):
        columns = np.array(epoch["columns"] if version == 1 else [epoch["margins"]], np.float64)
        np.testing.assert_array_equal(np.where(np.isfinite(values), values, np.nan), columns)


def write(path: Path, sentences: Any, **options: Any) -> Recorder:
    """Records two epochs of 22 spans. Label k of span i in epoch e has the logit i + 10 k + 100 e, and 2 more for O."""
    recorder = Recorder(path, sentences, **options)
    n, labels = len(recorder.spans), len(recorder.labels)
    for epoch in (1, 2):
        logits = np.arange(n)[:, None] + 10 * np.arange(labels) + 100.0 * epoch
        logits[:, 0] += 2
        # In two parts, the second part first. Span 3 is left out.
        recorder.add(np.arange(10, n), logits[10:])
        recorder.add([i for i in range(10) if i != 3], np.delete(logits[:10], 3, axis=0))
        recorder.end_epoch()
    return recorder


@pytest.mark.parametrize("precision", ["f16", "f32"])
def test_what_is_recorded_another_hand_reads(tmp_path: Path, sentences: Any, peer: ModuleType, precision: str) -> None:
    gold = [dict(s) for s in sentences]
    gold[1] = {"tokens": ["Paris"], "entities": [[0, 0, "LOC"]]}
    options = {"name": "größe", "encoder": "none", "seed": 2**64 - 1, "negatives": "all", "settings": {"batch": 16}}
    with write(tmp_path / "a.dyn", sentences, gold=gold, precision=precision, **options):
        pass
    found = peer.read((tmp_path / "a.dyn").read_bytes())
    assert not (tmp_path / "a.dyn.partial").exists()
    assert (found["version"], found["complete"]) == (1, True)
    assert found["info"] == {
        "name": "größe",
        "written_by": "DynClean for Python",
        "encoder": "none",
        "seed": 2**64 - 1,
        "negatives": "all",
        "max_span_width": 8,
        "settings": [["batch", "16"]],
    }
    assert found["labels"] == ["LOC", "PER"]
    assert found["sentences"] == [s["tokens"] for s in sentences]
    assert found["distant"] == {
        "entities": [[0, 0, 1, 2], [0, 4, 4, 1], [1, 0, 0, 2], [3, 2, 2, 1]],
        "unknown": [[3, 0, 0]],
    }
    assert found["gold"]["entities"] == [[0, 0, 1, 2], [0, 4, 4, 1], [1, 0, 0, 1], [3, 2, 2, 1]]
    # 10 - 2 and 20 - 2 above O. The span that was left out has NaN.
    columns = [[None if i == 3 else value for i in range(22)] for value in (8.0, 18.0)]
    epochs = found["runs"]["main"]["epochs"]
    assert epochs == [{"epoch": e, "precision": precision, "columns": columns} for e in (1, 2)]


def test_margins_that_are_recorded_another_hand_reads(tmp_path: Path, sentences: Any, peer: ModuleType) -> None:
    with Recorder(tmp_path / "m.dyn", sentences, margins=True, max_span_width=1) as recorder:
        recorder.add(np.arange(9), np.arange(9) - 0.5)
        recorder.end_epoch()
    found = peer.read((tmp_path / "m.dyn").read_bytes())
    assert found["version"] == 2
    assert found["runs"]["main"]["epochs"] == [{"epoch": 1, "margins": [i - 0.5 for i in range(9)]}]


def test_a_training_that_is_cut_off_keeps_its_epochs(tmp_path: Path, sentences: Any, run_trainer: Any) -> None:
    path = tmp_path / "a.dyn"
    write(path, sentences)
    partial = tmp_path / "a.dyn.partial"
    found = read_recording(partial)
    assert (len(found.epochs), found.complete, path.exists()) == (2, False, False)
    assert json.loads(run_trainer("inspect", partial, "--json"))["epochs"] == 2
    # Cut off inside the second epoch.
    partial.write_bytes(partial.read_bytes()[:-5])
    assert len(read_recording(partial).epochs) == 1


def test_an_error_leaves_what_was_recorded(tmp_path: Path, sentences: Any) -> None:
    with pytest.raises(ZeroDivisionError), write(tmp_path / "a.dyn", sentences):
        raise ZeroDivisionError
    assert len(read_recording(tmp_path / "a.dyn.partial").epochs) == 2
    assert not (tmp_path / "a.dyn").exists()


def test_files_that_cannot_be_used(tmp_path: Path, sentences: Any) -> None:
    path = tmp_path / "a.dyn"
    write(path, sentences).close()
    whole = path.read_bytes()

    def error(data: bytes) -> str:
        path.write_bytes(data)
        with pytest.raises(DynCleanError, match=r"a\.dyn") as caught:
            read_recording(path)
        return str(caught.value)

    assert "no .dyn file" in error(b"PK\3\4")
    assert "update dynclean" in error(MAGIC + struct.pack("<I", 3))
    assert "before the labels" in error(whole[:12])
    assert "checksum" in error(whole[:60] + bytes([whole[60] ^ 1]) + whole[61:])
    assert "first epoch" in error(whole[: whole.index(b"EPOC") + 40])
    # The same epoch twice.
    at = whole.index(b"EPOC")
    end = whole.index(b"EPOC", at + 4)
    assert "epoch 1" in error(whole[:end] + whole[at:end])


@pytest.mark.parametrize(
    ("tag", "change", "said"),
    [
        (b"EPOC", lambda p: p + b"\0", "more bytes"),
        (b"EPOC", lambda p: p[:-1], "too early"),
        (b"EPOC", lambda p: p[:8] + struct.pack("<Q", 21) + p[16:], "of 21 spans"),
        # Columns of 8 + 4 x 4 bytes. The third (from 48) has the ends, the fourth (from 72) has the labels.
        (b"DIST", lambda p: p[:56] + struct.pack("<I", 9) + p[60:], "outside its sentence"),
        (b"DIST", lambda p: p[:80] + struct.pack("<H", 3) + p[82:], "unknown type"),
        (b"INFO", lambda p: p.replace(struct.pack("<II", 0, 8), struct.pack("<II", 2, 8)), "does not exist"),
        (b"LABL", lambda p: p.replace(b"LOC", b"PER"), "cannot be told apart"),
        (b"TEXT", lambda p: p.replace(b"Paris", b"\xff\xff\xff\xff\xff"), "not UTF-8"),
        (b"TEXT", lambda p: p[:8] + p[9:], "section TEXT"),
    ],
)
def test_sections_with_false_content(tmp_path: Path, sentences: Any, tag: bytes, change: Any, said: str) -> None:
    path = tmp_path / "a.dyn"
    write(path, sentences).close()
    whole = path.read_bytes()
    at = whole.index(tag)
    length = struct.unpack("<Q", whole[at + 4 : at + 12])[0]
    payload = whole[at + 20 : at + 20 + length]
    assert change(payload) != payload
    path.write_bytes(whole[:at] + section(tag, change(payload)) + whole[at + 20 + length :])
    with pytest.raises(DynCleanError, match=said):
        read_recording(path)


def test_targets_are_ready_for_a_loss(tmp_path: Path, sentences: Any) -> None:
    recorder = Recorder(tmp_path / "a.dyn", sentences)
    assert recorder.labels == ["O", "LOC", "PER"]
    found = {tuple(span): int(t) for span, t in zip(recorder.spans.tolist(), recorder.targets) if t}
    assert found == {(0, 0, 1): 2, (0, 4, 4): 1, (1, 0, 0): 2, (3, 0, 0): -100, (3, 2, 2): 1}
    assert list(recorder.ids(1)) == [15]


@pytest.mark.parametrize(
    ("spans", "values", "said"),
    [
        ([0, 1], [[1.0, 2.0]], "shape"),
        ([0], [1.0], "shape"),
        ([22], [[1.0, 2.0, 3.0]], "from 0 to 21"),
        ([-1], [[1.0, 2.0, 3.0]], "from 0 to 21"),
        ([0.5], [[1.0, 2.0, 3.0]], "whole numbers"),
        ([4, 4], [[1.0, 2.0, 3.0]] * 2, "span 4 was recorded twice in epoch 1"),
        ([7], [[1.0, 2.0, 3.0]], "span 7 was recorded twice in epoch 1"),
    ],
)
def test_what_cannot_be_recorded(tmp_path: Path, sentences: Any, spans: Any, values: Any, said: str) -> None:
    recorder = Recorder(tmp_path / "a.dyn", sentences)
    recorder.add([7], [[0.0, 0.0, 0.0]])
    with pytest.raises(DynCleanError, match=said):
        recorder.add(spans, values)


def test_recordings_without_an_epoch_are_an_error(tmp_path: Path, sentences: Any) -> None:
    recorder = Recorder(tmp_path / "a.dyn", sentences)
    with pytest.raises(DynCleanError, match="nothing was recorded in epoch 1"):
        recorder.end_epoch()
    with pytest.raises(DynCleanError, match="no epoch was ended"):
        recorder.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DynCleanError, match="closed"):
        recorder.add([0], [[0.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ({"tokens": "Ada", "entities": []}, "list of words"),
        ({"words": ["Ada"]}, "expected"),
        ({"tokens": ["Ada"], "entities": [[0, 1, "PER"]]}, r"sentence 1 \(from 0\): span \[0, 1\]"),
        ({"tokens": ["Ada"], "entities": [[0, 0]]}, "expected"),
        ({"tokens": ["Ada"], "entities": [[0, 0.5, "PER"]]}, "expected"),
        ({"tokens": ["Ada"], "entities": [[0, 0, "O"]]}, "not O"),
        ({"tokens": ["Ada"], "entities": [[0, 0, "PER"], [0, 0, "LOC"]]}, "keep one"),
        ({"tokens": ["Ada"], "entities": [], "unknown": [[1, 1]]}, "not inside"),
    ],
)
def test_sentences_that_cannot_be_recorded(tmp_path: Path, sentence: Any, said: str) -> None:
    with pytest.raises(DynCleanError, match=said):
        Recorder(tmp_path / "a.dyn", [{"tokens": ["x"], "entities": [[0, 0, "PER"]]}, sentence])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"labels": ["PER", "LOC", "O"]}, "begin with O"),
        ({"labels": ["O", "PER"]}, "lack LOC"),
        ({"gold": []}, "other tokens"),
        ({"precision": "f64"}, "precision"),
        ({"negatives": "some"}, "negatives"),
        ({"max_span_width": 0}, "max_span_width"),
        ({"tags": ["O", "B-PER", "I-PER"]}, "no type LOC"),
        ({"tags": ["O", "B-PER", "B-LOC"]}, "wrong or missing: I-LOC, I-PER"),
    ],
)
def test_options_that_cannot_be_used(tmp_path: Path, sentences: Any, options: Any, said: str) -> None:
    with pytest.raises(DynCleanError, match=said):
        Recorder(tmp_path / "a.dyn", sentences, **options)
    assert list(tmp_path.iterdir()) == []
