"""Reads and writes the `.dyn` file format, which docs/FORMAT.md defines."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._errors import DynCleanError
from ._sentences import Array, Checked, Spans
from ._xxh3 import xxh3_64

MAGIC = b"\x89DYN\r\n\x1a\n"
NEWEST = 2
NEGATIVES = ("top", "all")


@dataclass
class Info:
    """Settings and origin of a recording (section `INFO`)."""

    name: str = ""
    written_by: str = ""
    encoder: str = ""
    seed: int = 0
    negatives: str = "top"
    max_span_width: int = 8
    settings: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Recording:
    """The main run in a `.dyn` file.

    `distant`, `gold`: `[n, 4]`, sentence, start, end (inclusive), label number. `unknown`: `[n, 3]`.
    `epochs`: per epoch `[types, spans]`, logits relative to that of `O`, or `[1, spans]` if only margins are known.
    `labels`: names by number, `O` first.
    """

    path: str
    info: Info
    labels: list[str]
    sentences: list[list[str]]
    distant: Array
    unknown: Array
    gold: Array | None
    epochs: list[Array]
    is_margins: bool
    complete: bool

    @property
    def spans(self) -> Spans:
        """The candidate spans."""
        return Spans(map(len, self.sentences), self.info.max_span_width)


# ---------------------------------------------------------------- writing


def section(tag: bytes, *parts: bytes) -> bytes:
    """Returns a section: tag, length, checksum, payload."""
    payload = b"".join(parts)
    return tag + struct.pack("<QQ", len(payload), xxh3_64(payload)) + payload


def _string(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _column(values: Any, dtype: str) -> bytes:
    column = np.asarray(values, dtype)
    return struct.pack("<Q", len(column)) + column.tobytes()


def _entities(sentences: Sequence[Checked], labels: Sequence[str], with_unknown: bool) -> bytes:
    number = {name: i for i, name in enumerate(labels)}
    rows = [(i, a, b, number[label]) for i, s in enumerate(sentences) for a, b, label in s.entities]
    unknown = [(i, a, b) for i, s in enumerate(sentences) for a, b in s.unknown] if with_unknown else []
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    parts = [_column(column, dtype) for column, dtype in zip(columns, ("<u4", "<u4", "<u4", "<u2"))]
    return b"".join(parts) + struct.pack("<Q", len(unknown)) + np.array(unknown, "<u4").tobytes()


def opening(
    info: Info, labels: Sequence[str], sentences: Sequence[Checked], gold: Sequence[Checked] | None, is_margins: bool
) -> bytes:
    """Returns the bytes before the first epoch. `labels`: names by number, `O` first."""
    settings = [_string(name) + _string(value) for name, value in info.settings]
    tokens = [token.encode("utf-8") for s in sentences for token in s.tokens]
    text = b"".join(tokens)
    parts = [
        MAGIC + struct.pack("<I", 2 if is_margins else 1),
        section(
            b"INFO",
            *map(_string, (info.name, info.written_by, info.encoder)),
            struct.pack("<QIIQ", info.seed, NEGATIVES.index(info.negatives), info.max_span_width, len(settings)),
            *settings,
        ),
        section(b"LABL", struct.pack("<Q", len(labels) - 1), *map(_string, labels[1:])),
        section(
            b"TEXT",
            struct.pack("<Q", len(text)) + text,
            _column(np.cumsum([len(token) for token in tokens]), "<u4"),
            _column(np.cumsum([len(s.tokens) for s in sentences]), "<u4"),
            struct.pack("<Q", 0),
        ),
        section(b"DIST", _entities(sentences, labels, with_unknown=True)),
    ]
    if gold is not None:
        parts.append(section(b"GOLD", _entities(gold, labels, with_unknown=False)))
    return b"".join(parts)


def epoch_section(number: int, values: Array, is_margins: bool) -> bytes:
    """Returns an epoch of the main run, from 1. `values`: `[types, spans]` (`<f2`, `<f4`), or margins `[1, spans]`."""
    n_types, n_spans = values.shape
    if is_margins:
        return section(b"MARG", struct.pack("<IIQ", 0, number, n_spans), values.astype("<f4").tobytes())
    header = struct.pack("<IIQII", 0, number, n_spans, n_types, int(values.dtype.itemsize == 4))
    return section(b"EPOC", header, values.tobytes())


# ---------------------------------------------------------------- reading


class _Payload:
    """The payload of a section, which is read from the beginning to the end."""

    def __init__(self, data: memoryview, where: str):
        self.data, self.at, self.where = data, 0, where

    def damaged(self, reason: str) -> DynCleanError:
        return DynCleanError(f"{self.where} is damaged ({reason}): copy or download the file again")

    def take(self, size: int) -> memoryview:
        if size > len(self.data) - self.at:
            raise self.damaged("it ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def numbers(self, code: str) -> tuple[Any, ...]:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))

    def number(self, code: str = "Q") -> int:
        return int(self.numbers(code)[0])

    def string(self) -> str:
        try:
            return bytes(self.take(self.number())).decode("utf-8")
        except UnicodeDecodeError:
            raise self.damaged("a text is not UTF-8") from None

    def strings(self, per_element: int = 1) -> list[str]:
        return [self.string() for _ in range(self.number() * per_element)]

    def column(self, dtype: str, n: int | None = None) -> Array:
        n = self.number() if n is None else n
        return np.frombuffer(self.take(n * np.dtype(dtype).itemsize), dtype)

    def entities(self) -> tuple[Array, Array]:
        columns = [self.column(dtype) for dtype in ("<u4", "<u4", "<u4", "<u2")]
        if len({len(column) for column in columns}) != 1:
            raise self.damaged("its columns differ in length")
        unknown = self.column("<u4", 3 * self.number()).reshape(-1, 3)
        return np.stack(columns, axis=1).astype(np.int64), unknown.astype(np.int64)

    def tokens(self) -> list[list[str]]:
        text, ends, sentences = bytes(self.take(self.number())), self.column("<u4"), self.column("<u4")
        if not (_ascends_to(ends, len(text)) and _ascends_to(sentences, len(ends))):
            raise self.damaged("its columns do not fit together")
        try:
            words = [text[a:b].decode("utf-8") for a, b in _ranges(ends)]
        except UnicodeDecodeError:
            raise self.damaged("a token is not UTF-8") from None
        return [words[a:b] for a, b in _ranges(sentences)]


def _ascends_to(ends: Array, last: int) -> bool:
    return bool((np.diff(ends.astype(np.int64)) >= 0).all()) and (int(ends[-1]) if len(ends) else 0) == last


def _ranges(ends: Array) -> Iterable[tuple[int, int]]:
    bounds = [0, *ends.tolist()]
    return zip(bounds, bounds[1:])


def read_recording(path: str | os.PathLike[str]) -> Recording:
    """Reads a `.dyn` file. If it was cut off, returns its finished epochs and sets `complete` to false.

    Errors: DynCleanError if it is not a `.dyn` file, is newer than this package, is damaged, or has no whole epoch.
    """
    name = os.fspath(path)
    with open(name, "rb") as file:
        data = memoryview(file.read())
    if bytes(data[:8]) != MAGIC:
        raise DynCleanError(f"{name} is no .dyn file: give one that `Recorder` or `trainer` wrote")
    version = struct.unpack("<I", data[8:12])[0] if len(data) >= 12 else 0
    if version > NEWEST:
        raise DynCleanError(
            f"{name} has version {version}, newer than the {NEWEST} this package knows: update dynclean"
        )
    return _Reader(name, data).recording()


class _Reader:
    def __init__(self, name: str, data: memoryview):
        self.name, self.data = name, data
        self.found: dict[str, Any] = {"gold": None}
        self.epochs: list[Array] = []
        self.is_margins = self.complete = False

    def recording(self) -> Recording:
        at = 12
        while at + 20 <= len(self.data) and not self.complete:
            tag = bytes(self.data[at : at + 4])
            length, checksum = struct.unpack("<QQ", self.data[at + 4 : at + 20])
            if length > len(self.data) - at - 20:
                break
            payload = self.data[at + 20 : at + 20 + length]
            p = _Payload(payload, f"{self.name}: section {tag.decode('ascii', 'replace')} at byte {at}")
            if xxh3_64(payload) != checksum:
                raise p.damaged("its checksum does not match")
            self.add(tag, p)
            at += 20 + length
        for part, what in (("labels", "labels"), ("sentences", "text"), ("distant", "distant labels")):
            if part not in self.found or "info" not in self.found:
                raise DynCleanError(f"{self.name} is cut off at byte {at}, before the {what}: copy or record it again")
        if not self.epochs:
            raise DynCleanError(
                f"{self.name} is cut off at byte {at}, before the end of the first epoch: record it again"
            )
        fixed: dict[str, Any] = {"epochs": self.epochs, "is_margins": self.is_margins, "complete": self.complete}
        return Recording(path=self.name, **self.found, **fixed)

    def add(self, tag: bytes, p: _Payload) -> None:
        if tag == b"INFO":
            self.found["info"] = self.info(p)
        elif tag == b"LABL":
            self.found["labels"] = ["O", *p.strings()]
            if len(set(self.found["labels"])) != len(self.found["labels"]) or len(self.found["labels"]) < 2:
                raise p.damaged("its types cannot be told apart, or there is none")
        elif tag == b"TEXT":
            self.found["sentences"] = p.tokens()
        elif tag == b"DIST":
            self.found["distant"], self.found["unknown"] = self.entities(p)
        elif tag == b"GOLD":
            self.found["gold"] = self.entities(p)[0]
        elif tag in (b"EPOC", b"MARG"):
            self.epoch(p, tag == b"MARG")
        elif tag == b"END ":
            self.complete = True

    def info(self, p: _Payload) -> Info:
        texts = (p.string(), p.string(), p.string())
        seed, negatives, width = p.numbers("QII")
        if negatives >= len(NEGATIVES) or width == 0:
            raise p.damaged("it has a choice or a span width that does not exist")
        settings = p.strings(per_element=2)
        return Info(*texts, seed, NEGATIVES[negatives], width, list(zip(settings[::2], settings[1::2])))

    def entities(self, p: _Payload) -> tuple[Array, Array]:
        if "labels" not in self.found or "sentences" not in self.found:
            raise p.damaged("it comes before LABL or TEXT")
        entities, unknown = p.entities()
        lengths = np.array([len(s) for s in self.found["sentences"]] + [0])
        for rows in (entities[:, :3], unknown):
            sentence = np.minimum(rows[:, 0], len(lengths) - 1)
            if not ((rows[:, 1] <= rows[:, 2]) & (rows[:, 2] < lengths[sentence])).all():
                raise p.damaged("a span is outside its sentence")
        if not ((entities[:, 3] > 0) & (entities[:, 3] < len(self.found["labels"]))).all():
            raise p.damaged("an entity has an unknown type")
        return entities, unknown

    def epoch(self, p: _Payload, is_margins: bool) -> None:
        run, number, n_spans = p.numbers("IIQ")
        if run != 0:
            return  # Only the program uses the threshold run.
        if "distant" not in self.found:
            raise p.damaged("it comes before DIST")
        n_types, dtype = 1, "<f4"
        if not is_margins:
            n_types, precision = p.numbers("II")
            dtype = "<f4" if precision else "<f2"
        expected = len(Spans(map(len, self.found["sentences"]), self.found["info"].max_span_width))
        types = 1 if is_margins else len(self.found["labels"]) - 1
        if number != len(self.epochs) + 1 or n_spans != expected or n_types != types:
            raise p.damaged(f"it is epoch {number} of {n_spans} spans and {n_types} types, unlike the rest of the file")
        if self.epochs and is_margins != self.is_margins:
            raise p.damaged("margins and logits in one run")
        self.is_margins = is_margins
        self.epochs.append(p.column(dtype, n_types * n_spans).reshape(n_types, n_spans))
        if p.at != len(p.data):
            raise p.damaged("it has more bytes than its content")
