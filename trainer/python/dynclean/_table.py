"""`read`: reads a `.dyn` file into a table with one row per candidate span."""

from __future__ import annotations

import csv
import html
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._dyn import Recording, read_recording
from ._errors import DynCleanError
from ._metrics import metrics
from ._program import find_program, run
from ._sentences import Array

_SHOWN = 20


class Table:
    """Columns of equal length, with one row per candidate span. Row i is span i of docs/FORMAT.md.

    | column | type | meaning |
    |---|---|---|
    | `sentence`, `start`, `end` | int32 | sentence from 0; token indices from 0 in the sentence, end inclusive |
    | `text`, `label` | str | tokens joined by blanks; distant label, `O` for none |
    | `gold` | str | gold label; only if the file has gold labels |
    | `aum`, `confidence`, `variability` | float32 | metrics over `window`; NaN if unknown |
    | `correctness`, `forgetting` | int64 | epochs, changes from right to wrong; 0 if unknown |
    | `trust` | float32 | probability that the label is right, from the program |
    | `because`, `decision` | str | from the program: its reasons; `keep`, `remove` or `relabel:TYPE` |

    The last three columns exist only if the program was called. `window`: first and last epoch, from 1, inclusive.
    """

    def __init__(self, columns: dict[str, Array], name: str, window: tuple[int, int]):
        self.columns, self.name, self.window = columns, name, window

    def __len__(self) -> int:
        return len(self.columns["sentence"])

    def __getitem__(self, column: str) -> Array:
        return self.columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __repr__(self) -> str:
        return f"<{self.name}: {len(self)} spans, epochs {self.window[0]}-{self.window[1]}: {', '.join(self)}>"

    def to_pandas(self) -> Any:
        """Converts the table to a `pandas.DataFrame`, with the span id as index."""
        import pandas

        return pandas.DataFrame(self.columns, index=pandas.RangeIndex(len(self), name="span_id"))

    def to_polars(self) -> Any:
        """Converts the table to a `polars.DataFrame`."""
        import polars

        strings = {name for name, column in self.columns.items() if column.dtype == object}
        return polars.DataFrame(
            {
                name: polars.Series(name, c, polars.String if name in strings else None)
                for name, c in self.columns.items()
            }
        )

    def to_arrow(self) -> Any:
        """Converts the table to a `pyarrow.Table`."""
        import pyarrow

        return pyarrow.table(
            {
                name: pyarrow.array(c, pyarrow.string() if c.dtype == object else None)
                for name, c in self.columns.items()
            }
        )

    def _repr_html_(self) -> str:
        """Returns the 20 most doubtful rows as HTML without scripts: lowest trust first, or else lowest AUM."""
        by = "trust" if "trust" in self.columns else "aum"
        doubted = np.argsort(self.columns[by], kind="stable")[:_SHOWN]

        def cell(value: Any, tag: str = "td") -> str:
            text = f"{value:.3f}" if isinstance(value, np.floating) else str(value)
            return f"<{tag}>{html.escape(text)}</{tag}>"

        head = "".join(cell(name, "th") for name in self.columns)
        rows = ["".join(cell(column[i]) for column in self.columns.values()) for i in doubted]
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        about = f"{html.escape(self.name)}: {len(doubted)} of {len(self)} spans, lowest {by} first"
        return f"<p>{about}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def read(
    path: str | os.PathLike[str],
    *options: str,
    window: tuple[int, int] | None = None,
    decide: bool = True,
) -> Table:
    """Reads a `.dyn` file into a `Table`.

    The metrics are computed here. Trust, reasons and decision come from `trainer inspect --spans`. `options` are
    further options of that command, such as `"--metric", "aum"`. If no window is given, that command chooses it.

    Without the program, or with `decide=False`, these three columns are missing, and the default window is that of the
    paper (Zhang et al. 2025): the first three epochs. If the program is not found, there is a warning.

    `window`: first and last epoch, from 1, inclusive. It may end after the last epoch of the file.

    Errors: DynCleanError if the file or the window cannot be used, or the program refuses the options.
    """
    recording = read_recording(path)
    if not recording.complete:
        warnings.warn(f"{recording.path} was cut off; only its finished epochs are used", stacklevel=2)
    decided: dict[str, Array] = {}
    if decide and find_program() is None:
        if options:
            raise DynCleanError("options are for the program `trainer`, which was not found")
        warnings.warn(
            "the program `trainer` was not found: the table has no trust, reasons and decisions", stacklevel=2
        )
    elif decide:
        given = ["--window", f"{window[0]}-{window[1]}"] if window else []
        decided, window = _decided(recording, [*given, *options])
    first, last = window or (1, 3)
    n = len(recording.epochs)
    if not 1 <= first <= min(last, n):
        raise DynCleanError(
            f"{recording.path}: no epoch is inside the window {first}-{last}; the file has epochs 1-{n}"
        )
    last = min(last, n)
    return Table({**_columns(recording, first, last), **decided}, recording.info.name or recording.path, (first, last))


def _columns(recording: Recording, first: int, last: int) -> dict[str, Array]:
    spans = recording.spans
    rows = spans.rows()
    names = np.array(recording.labels, object)
    words = [recording.sentences[s][a : b + 1] for s, a, b in rows.tolist()]
    text = np.empty(len(rows), object)
    text[:] = [" ".join(w) for w in words]
    labels = _dense(recording.distant, spans)
    columns = {"sentence": rows[:, 0], "start": rows[:, 1], "end": rows[:, 2], "text": text, "label": names[labels]}
    if recording.gold is not None:
        columns["gold"] = names[_dense(recording.gold, spans)]
    return {**columns, **metrics(recording.epochs[first - 1 : last], labels, recording.is_margins)}


def _dense(entities: Array, spans: Any) -> Array:
    """Returns the label number of every span, 0 for spans without an entity: `[spans]`."""
    labels = np.zeros(len(spans), np.int64)
    ids = spans.ids(entities[:, :3])
    labels[ids[ids >= 0]] = entities[ids >= 0, 3]
    return labels


def _decided(recording: Recording, options: Sequence[str]) -> tuple[dict[str, Array], tuple[int, int]]:
    """Returns the columns that the program computes, and the window that it used."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "spans.csv"
        told = run(["inspect", Path(recording.path).absolute(), "--json", "--spans", out, *options])
        with open(out, encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            head = next(rows)
            wanted = [head.index(name) for name in ("trust", "because", "decision")]
            cells = [[row[i] for i in wanted] for row in rows]
    if len(cells) != len(recording.spans):
        raise DynCleanError(f"the program has {len(cells)} spans where {recording.path} has {len(recording.spans)}")
    # `reshape` also gives three columns if there are no rows.
    trust, because, decision = np.array(cells, object).reshape(-1, 3).T
    trust = np.array([float(cell) if cell else np.nan for cell in trust], np.float32)
    window = json.loads(told)["settings"]["window"]
    return {"trust": trust, "because": because, "decision": decision}, (window["first"], window["last"])
