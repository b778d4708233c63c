"""`Recorder`: writes a `.dyn` file while a model is trained."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ._dyn import NEGATIVES, Info, epoch_section, opening, section
from ._errors import DynCleanError
from ._sentences import Array, Spans, check, types_of
from ._tags import IGNORED, TagMargins

_END = section(b"END ")


def to_numpy(values: Any) -> Array:
    """Converts an array, or a tensor of any device and precision, to a numpy array."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float().numpy() if values.is_floating_point() else values.numpy()
    return np.asarray(values)


class Recorder:
    """Records a model's logits for every candidate span after every epoch.

    `sentences`: the training sentences with the labels that are trained on, as in DynClean JSON (docs/CORPORA.md).
    `spans`: int32 `[spans, 3]`, sentence, start and end of every candidate, in the order of their ids.
    `labels`: names by number, `O` first. The model's logits must be in this order. The default is the types that
    occur, sorted. `targets`: int64 `[spans]`, the label number of every span, or -100 if it is unknown. It can be used
    as the target of `torch.nn.functional.cross_entropy`.

    `margins`: only the margin of the assigned label is known, not all logits. `tags`: set this if the model tags
    tokens. These are the names of its tags (BIO) in the order of its logits. `add_tags` then computes and records the
    margins of spans.

    The file grows as `PATH.partial`, epoch by epoch, and gets its name in `close`. If the training is cut off, the
    `.partial` file holds all finished epochs. `read`, the page and `trainer` can open it.

    `negatives`: `"all"` if all `O` spans were in the loss, else `"top"`. `gold`: the same sentences with gold labels,
    used only for evaluation. `precision`: `"f32"`, or `"f16"` for half the size (relative error of at most 2^-11).
    `name`: a name to show. The default is the name of the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sentences: Iterable[Mapping[str, Any]],
        *,
        labels: Sequence[str] | None = None,
        tags: Sequence[str] | None = None,
        margins: bool = False,
        gold: Iterable[Mapping[str, Any]] | None = None,
        max_span_width: int = 8,
        precision: str = "f32",
        negatives: str = "top",
        name: str = "",
        encoder: str = "",
        seed: int = 0,
        settings: Mapping[str, object] | None = None,
    ):
        checked = check(sentences)
        checked_gold = None if gold is None else check(gold, "gold")
        if checked_gold is not None and [s.tokens for s in checked_gold] != [s.tokens for s in checked]:
            raise DynCleanError("gold has other tokens than the sentences: give the same sentences in the same order")
        occurring = types_of(checked, checked_gold or [])
        self.labels = self._labels(labels, occurring)
        if precision not in ("f16", "f32") or negatives not in NEGATIVES:
            raise DynCleanError("precision is 'f16' or 'f32', and negatives 'top' or 'all'")
        self.path = os.fspath(path)
        self.partial = self.path + ".partial"
        self.margins = margins or tags is not None
        self._tag_margins = TagMargins(tags, self.labels, "tags") if tags is not None else None
        self._spans = Spans([len(s.tokens) for s in checked], max_span_width)
        self.spans = self._spans.rows()
        number = {label: i for i, label in enumerate(self.labels)}
        self._assigned = np.zeros(len(self.spans), np.int64)
        self.targets = self._assigned.copy()
        for i, sentence in enumerate(checked):
            for start, end in sentence.unknown:
                self._set(self.targets, i, start, end, IGNORED)
            for start, end, label in sentence.entities:
                self._set(self._assigned, i, start, end, number[label])
                self._set(self.targets, i, start, end, number[label])
        self._dtype = "<f2" if precision == "f16" and not self.margins else "<f4"
        self._epoch = 0
        self._begin_epoch()
        told = [(str(key), str(value)) for key, value in (settings or {}).items()]
        info = Info(name or Path(self.path).stem, "DynClean for Python", encoder, seed, negatives, max_span_width, told)
        # The file stays open until `close`, because every epoch is appended.
        self._file = open(self.partial, "wb")  # noqa: SIM115
        self._append(opening(info, self.labels, checked, checked_gold, self.margins))

    @staticmethod
    def _labels(given: Sequence[str] | None, occurring: list[str]) -> list[str]:
        names = ["O", *occurring] if given is None else list(given)
        if names[:1] != ["O"] or len(set(names)) != len(names) or not all(name.strip() for name in names):
            raise DynCleanError(f"labels are {names}: they must begin with O and name every type once")
        missing = sorted(set(occurring) - set(names))
        if missing:
            raise DynCleanError(f"labels lack {', '.join(missing)}, which the sentences have")
        if len(names) < 2:
            raise DynCleanError("the sentences have no entity: name the model's labels, such as labels=['O', 'PER']")
        return names

    def _set(self, column: Array, sentence: int, start: int, end: int, value: int) -> None:
        span = int(self._spans.ids(np.array([sentence, start, end]))[0])
        if span >= 0:
            column[span] = value

    def ids(self, sentence: int) -> range:
        """Returns the ids of the candidate spans of a sentence (from 0)."""
        return range(*self._spans.first[sentence : sentence + 2].tolist())

    def add(self, spans: Any, values: Any) -> None:
        """Records spans of the current epoch. Each span may be recorded once per epoch.

        `spans`: ids `[n]`. `values`: logits `[n, labels]` in the order of `labels`; with `margins`, `[n]`: the logit of
        the assigned label minus the largest other. A value that is not finite flags its span: nothing is decided about
        this span.

        Errors: DynCleanError if shapes do not fit, an id does not exist, or a span was already recorded in this epoch.
        """
        self._check_open()
        ids, rows = to_numpy(spans), to_numpy(values)
        expected: tuple[int, ...] = (len(ids),) if self.margins else (len(ids), len(self.labels))
        if ids.ndim != 1 or rows.shape != expected:
            raise DynCleanError(f"values have the shape {rows.shape}; {len(ids)} spans need {expected}")
        if len(ids) == 0:
            return
        if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= len(self.spans):
            raise DynCleanError(f"span ids must be whole numbers from 0 to {len(self.spans) - 1}")
        twice = np.concatenate([ids[self._recorded[ids]], ids[np.setdiff1d(np.arange(len(ids)), _firsts(ids))]])
        if len(twice):
            raise DynCleanError(
                f"span {twice[0]} was recorded twice in epoch {self._epoch + 1}; call end_epoch after each"
            )
        self._recorded[ids] = True
        with np.errstate(invalid="ignore", over="ignore"):
            columns = rows[None] if self.margins else (rows[:, 1:] - rows[:, :1]).T
            self._values[:, ids] = columns.astype(self._dtype)

    def add_tags(self, sentence: int, logits: Any) -> None:
        """Records all spans of a sentence (from 0) from `logits` `[tokens, tags]` of a token classifier.

        The logits of a word are those of its first piece. If there are fewer rows than tokens, the remaining tokens
        were not read. Spans with such tokens are flagged, and also spans with NaN.

        The margin of a tag at a token is its logit minus the largest other logit. A span's score for a type k is the
        smallest of these values: the margin of `B-k` at its first token, the margins of `I-k` at its other tokens, and
        minus the margin of `I-k` at the token after it. The score is above 0 exactly if the tags with the largest
        logits make this span an entity of this type. The margin of a span labelled k is its score for k. The margin of
        a span labelled `O` is minus its highest score.
        """
        if self._tag_margins is None:
            raise DynCleanError("add_tags needs the names of the tags: Recorder(..., tags=['O', 'B-PER', 'I-PER'])")
        rows = to_numpy(logits)
        n = int(self._spans.lengths[sentence])
        if rows.ndim != 2 or rows.shape[1] != self._tag_margins.n_tags or len(rows) > n:
            raise DynCleanError(
                f"sentence {sentence} (from 0): logits have the shape {rows.shape}; expected"
                f" ({n}, {self._tag_margins.n_tags})"
            )
        whole = np.full((n, rows.shape[1]), np.nan)
        whole[: len(rows)] = rows
        ids = self.ids(sentence)
        assigned = self._assigned[ids.start : ids.stop]
        self.add(np.arange(ids.start, ids.stop), self._tag_margins(whole, assigned, self._spans.max_width))

    def end_epoch(self) -> None:
        """Writes the epoch. Spans that were not recorded in it are flagged: nothing is decided about them.

        Errors: DynCleanError if nothing was recorded.
        """
        self._check_open()
        if len(self.spans) and not self._recorded.any():
            raise DynCleanError(f"nothing was recorded in epoch {self._epoch + 1}: call add before end_epoch")
        self._epoch += 1
        self._append(epoch_section(self._epoch, self._values, self.margins))
        self._begin_epoch()

    def close(self) -> None:
        """Completes the file and gives it its name. An epoch that was not ended is dropped.

        Errors: DynCleanError if no epoch was ended. Then the `.partial` file is removed.
        """
        if self._file.closed:
            return
        if self._epoch == 0:
            self._file.close()
            os.remove(self.partial)
            raise DynCleanError(f"{self.path} was not written: no epoch was ended; call end_epoch after every epoch")
        self._append(_END)
        os.fsync(self._file.fileno())
        self._file.close()
        os.replace(self.partial, self.path)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error the file stays `.partial`.
        if kind is None:
            self.close()
        else:
            self._file.close()

    def _begin_epoch(self) -> None:
        rows = 1 if self.margins else len(self.labels) - 1
        self._values: Array = np.full((rows, len(self.spans)), np.nan, self._dtype)
        self._recorded: Array = np.zeros(len(self.spans), bool)

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()

    def _check_open(self) -> None:
        if self._file.closed:
            raise DynCleanError(f"the recording of {self.path} is closed: begin a new Recorder")


def _firsts(ids: Array) -> Array:
    return np.unique(ids, return_index=True)[1]
