"""DynClean in Python: record training dynamics, read them, apply the cleaning, and pass it to other libraries.

docs/PYTHON.md shows all functions. numpy is the only requirement. A function that needs another library imports it when
it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._apply import apply
from ._errors import DynCleanError
from ._hf import dataset_card, from_hf, to_hf
from ._model import Found, load_model
from ._recorder import Recorder
from ._show import show
from ._spacy import from_spacy, to_spacy
from ._table import Table, read

if TYPE_CHECKING:
    from ._callback import DynCleanCallback

__all__ = [
    "DynCleanCallback",
    "DynCleanError",
    "Found",
    "Recorder",
    "Table",
    "apply",
    "dataset_card",
    "from_hf",
    "from_spacy",
    "load_model",
    "read",
    "show",
    "to_hf",
    "to_spacy",
]


def __getattr__(name: str) -> Any:
    # Its base class comes from transformers, which is imported only if the callback is used.
    if name == "DynCleanCallback":
        from ._callback import DynCleanCallback

        return DynCleanCallback
    raise AttributeError(f"module 'dynclean' has no attribute {name!r}")
