"""Checks sentences, which are plain dictionaries, and numbers their candidate spans.

A sentence has the form of DynClean JSON: `{"tokens": [...], "entities": [[start, end, "TYPE"], ...]}`. Token indices
start at 0, and the end is inclusive. `"unknown": [[start, end], ...]` is optional; it lists spans that are neither
entities nor `O`. Other fields are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._errors import DynCleanError

Array = np.ndarray[Any, Any]
Sentence = dict[str, Any]
Entity = tuple[int, int, str]


@dataclass(frozen=True)
class Checked:
    """A checked sentence. Its spans lie inside it, and each span has one label."""

    tokens: list[str]
    entities: list[Entity]
    unknown: list[tuple[int, int]]


def check(sentences: Iterable[Mapping[str, Any]], source: str = "sentences") -> list[Checked]:
    """Returns the sentences after checking every span.

    Errors: DynCleanError, which names the sentence (from 0) and the span.
    """
    if isinstance(sentences, Mapping):
        raise DynCleanError(f"{source}: give a list of sentences, not one sentence: [sentence]")
    return [_checked(sentence, f"{source}, sentence {i} (from 0)") for i, sentence in enumerate(sentences)]


def _checked(sentence: Mapping[str, Any], where: str) -> Checked:
    if not isinstance(sentence, Mapping) or "tokens" not in sentence:
        shape = '{"tokens": [...], "entities": [[start, end, "TYPE"], ...]}'
        raise DynCleanError(f"{where}: expected {shape}, found {sentence!r:.80}")
    tokens = sentence["tokens"]
    if isinstance(tokens, str) or not all(isinstance(token, str) for token in tokens):
        raise DynCleanError(f"{where}: tokens must be a list of words; split the text first")
    tokens = list(tokens)
    entities: dict[tuple[int, int], str] = {}
    for entity in sentence.get("entities") or []:
        span = _span(entity, 3, len(tokens), where)
        label = entity[2]
        if not isinstance(label, str) or not label.strip() or label == "O":
            raise DynCleanError(f"{where}: entity {list(entity)} needs the name of a type that is not O")
        if entities.setdefault(span, label) != label:
            raise DynCleanError(f"{where}: span {list(span)} is {entities[span]} and {label}; keep one of them")
    unknown = dict.fromkeys(_span(span, 2, len(tokens), where) for span in sentence.get("unknown") or [])
    return Checked(tokens, [(*span, label) for span, label in entities.items()], list(unknown))


def _span(given: Sequence[Any], length: int, n_tokens: int, where: str) -> tuple[int, int]:
    try:
        if len(given) != length:
            raise ValueError
        start, end = (int(bound) for bound in given[:2] if bound == int(bound))
    except (TypeError, ValueError):
        shape = '[start, end, "TYPE"]' if length == 3 else "[start, end]"
        raise DynCleanError(f"{where}: expected {shape}, found {given!r:.60}") from None
    if not 0 <= start <= end < n_tokens:
        raise DynCleanError(
            f"{where}: span [{start}, {end}] is not inside its {n_tokens} tokens (from 0, end inclusive)"
        )
    return start, end


def types_of(*layers: Iterable[Checked]) -> list[str]:
    """Returns the entity types that occur, sorted by name."""
    return sorted({label for layer in layers for sentence in layer for _, _, label in sentence.entities})


class Spans:
    """The candidate spans of sentences: all of 1 to `max_width` tokens, numbered from 0.

    The order is that of docs/FORMAT.md: by sentence, then by start, then by end.
    """

    def __init__(self, lengths: Iterable[int], max_width: int):
        if max_width < 1:
            raise DynCleanError(f"max_span_width is {max_width}; a span has at least one token")
        self.max_width = int(max_width)
        self.lengths = np.fromiter(lengths, np.int64)
        n, width = self.lengths, self.max_width
        counts = np.where(n <= width, n * (n + 1) // 2, width * (width + 1) // 2 + (n - width) * width)
        self.first: Array = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        """First span id of every sentence, and then the number of all spans: `[sentences + 1]`."""
        if len(self) >= 2**32 - 1:
            raise DynCleanError(f"the sentences have {len(self)} candidate spans, too many to number: split them")

    def __len__(self) -> int:
        return int(self.first[-1])

    def rows(self) -> Array:
        """Returns sentence, start and end of every span: `[spans, 3]`, int32."""
        sentence = np.repeat(np.arange(len(self.lengths)), self.lengths)
        start = np.arange(len(sentence)) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        widths = np.minimum(self.max_width, self.lengths[sentence] - start)
        further = np.arange(len(self)) - np.repeat(np.cumsum(widths) - widths, widths)
        starts = np.repeat(start, widths)
        return np.stack([np.repeat(sentence, widths), starts, starts + further], axis=1).astype(np.int32)

    def ids(self, spans: Array) -> Array:
        """Returns the ids `[n]` of spans `[n, 3]` inside their sentences, or -1 for spans wider than the candidates."""
        sentence, start, end = (column.astype(np.int64) for column in np.reshape(spans, (-1, 3)).T)
        n = self.lengths[sentence]
        # The first `full` starts have spans of all widths. Each later start has one candidate less.
        full = np.minimum(np.maximum(n - self.max_width + 1, 0), start)
        rest = start - full
        before = full * self.max_width + rest * (n - full) - rest * (rest - 1) // 2
        ids = self.first[sentence] + before + end - start
        return np.where(end - start < self.max_width, ids, -1)


def without_overlaps(entities: Iterable[Entity]) -> tuple[list[Entity], int]:
    """Keeps the widest of overlapping entities, or the first of equal width. Also returns how many were left out."""
    kept: list[Entity] = []
    left_out = 0
    for entity in sorted(entities, key=lambda e: (e[0] - e[1], e[0])):
        if all(entity[1] < other[0] or other[1] < entity[0] for other in kept):
            kept.append(entity)
        else:
            left_out += 1
    return sorted(kept), left_out


def free_runs(sentence: Checked, kept: Iterable[Entity]) -> list[tuple[int, int]]:
    """Returns runs of tokens inside unknown spans and outside entities: `[(start, end), ...]`, end inclusive."""
    tokens = {t for start, end in sentence.unknown for t in range(start, end + 1)}
    tokens -= {t for start, end, _ in kept for t in range(start, end + 1)}
    runs: list[tuple[int, int]] = []
    for token in sorted(tokens):
        if runs and runs[-1][1] == token - 1:
            runs[-1] = (runs[-1][0], token)
        else:
            runs.append((token, token))
    return runs
