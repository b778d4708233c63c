"""Token tags (BIO): converts entities and tags, and computes margins of spans from a token classifier's logits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ._errors import DynCleanError
from ._sentences import Array, Checked, Entity, free_runs, without_overlaps

IGNORED = -100
"""The id that losses ignore, by convention of PyTorch and Hugging Face."""


def types_of_tags(tags: Sequence[str], source: str) -> list[str]:
    """Returns the types of a tag set `O`, `B-X`, `I-X`, in the order of their first tags.

    Errors: DynCleanError if a tag has another form, or one tag of a pair is missing.
    """
    types = list(dict.fromkeys(tag[2:] for tag in tags if tag[:2] in ("B-", "I-")))
    expected = {"O", *(f"{letter}-{name}" for name in types for letter in "BI")}
    if set(tags) != expected or len(tags) != len(expected) or not types:
        odd = sorted(set(tags) ^ expected) or list(tags)
        raise DynCleanError(
            f"{source}: tags must be O, and B-X and I-X for every type X, each once; wrong or missing:"
            f" {', '.join(odd[:6])}. `trainer convert --to dynclean` reads other schemes"
        )
    return types


def to_tags(sentence: Checked) -> tuple[list[str | None], int]:
    """Returns one BIO tag per token, or None if it is unknown, and the number of entities that were left out.

    Among overlapping entities the widest is kept.
    """
    kept, left_out = without_overlaps(sentence.entities)
    tags: list[str | None] = ["O"] * len(sentence.tokens)
    for start, end in free_runs(sentence, kept):
        tags[start : end + 1] = [None] * (end + 1 - start)
    for start, end, label in kept:
        tags[start : end + 1] = [f"B-{label}"] + [f"I-{label}"] * (end - start)
    return tags, left_out


def from_tags(tags: Iterable[str | None]) -> tuple[list[Entity], list[tuple[int, int]], int]:
    """Returns entities, unknown spans, and the number of `I-X` tags that do not continue an entity.

    Each of these `I-X` tags begins an entity, as in conlleval.
    """
    entities: list[Entity] = []
    unknown: list[tuple[int, int]] = []
    irregular = 0
    before: str | None = "O"
    for i, tag in enumerate(tags):
        if tag is None:
            start = unknown.pop()[0] if before is None else i
            unknown.append((start, i))
        elif tag != "O":
            continues = tag[0] == "I" and before in (f"B-{tag[2:]}", f"I-{tag[2:]}")
            irregular += tag[0] == "I" and not continues
            start = entities.pop()[0] if continues else i
            entities.append((start, i, tag[2:]))
        before = tag
    return entities, unknown, irregular


class TagMargins:
    """Computes margins of spans from the logits of a token classifier. `Recorder.add_tags` defines them."""

    def __init__(self, tags: Sequence[str], labels: Sequence[str], source: str):
        types = types_of_tags(tags, source)
        missing = [label for label in labels[1:] if label not in types]
        if missing:
            raise DynCleanError(f"{source}: the tags {', '.join(tags)} have no type {', '.join(missing)}")
        self.n_tags = len(tags)
        self.begin = [list(tags).index(f"B-{label}") for label in labels[1:]]
        self.inside = [list(tags).index(f"I-{label}") for label in labels[1:]]

    def __call__(self, logits: Array, labels: Array, max_width: int) -> Array:
        """Returns the margins of all candidate spans of a sentence: `[spans]`, float32.

        `logits`: `[tokens, tags]`, NaN for tokens that were not read. `labels`: label number of every candidate span.
        A margin is NaN if it depends on a token that was not read.
        """
        n = len(logits)
        top = np.sort(logits, axis=1)[:, -2:]
        best_other = np.where(logits == top[:, 1:], top[:, :1], top[:, 1:])
        margin = logits - best_other
        begin, inside = margin[:, self.begin], margin[:, self.inside]
        after = np.concatenate([-inside[1:], np.full((1, len(self.begin)), np.inf)])
        scores = np.full((n, max_width, len(self.begin)), np.nan)
        so_far = begin
        for width in range(min(max_width, n)):
            if width:
                so_far = np.minimum(so_far[:-1], inside[width:])
            scores[: n - width, width] = np.minimum(so_far, after[width:])
        starts, widths = np.indices((n, max_width))
        of_spans = scores[starts + widths < n]
        own = of_spans[np.arange(len(labels)), np.maximum(labels - 1, 0)]
        return np.asarray(np.where(labels > 0, own, -of_spans.max(axis=1)), np.float32)
