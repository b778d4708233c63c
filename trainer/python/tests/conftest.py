"""Shared by all tests. `DYNCLEAN_TRAINER` names the program. Without it, tests that need the program are skipped."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"

# Ada Lovelace | wrote | in | London ; Paris ; (empty) ; Bob | saw | Ada
SENTENCES: list[dict[str, Any]] = [
    {"tokens": ["Ada", "Lovelace", "wrote", "in", "London"], "entities": [[0, 1, "PER"], [4, 4, "LOC"]]},
    {"tokens": ["Paris"], "entities": [[0, 0, "PER"]]},
    {"tokens": [], "entities": []},
    {"tokens": ["Bob", "saw", "Ada"], "entities": [[2, 2, "LOC"]], "unknown": [[0, 0]]},
]


@pytest.fixture
def sentences() -> list[dict[str, Any]]:
    return [{**s, "entities": [list(e) for e in s["entities"]]} for s in SENTENCES]


@pytest.fixture(scope="session")
def trainer() -> str:
    """Returns the path of the program."""
    named = os.environ.get("DYNCLEAN_TRAINER")
    if not named:
        pytest.skip("DYNCLEAN_TRAINER is not set: this compares with the program `trainer`")
    return named


@pytest.fixture(scope="session")
def run_trainer(trainer: str) -> Any:
    def run(*arguments: object, said: bool = False) -> str:
        """Returns standard output, or standard error if `said` is set."""
        told = subprocess.run([trainer, *map(str, arguments)], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        return told.stderr if said else told.stdout

    return run


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Makes the program impossible to find."""
    monkeypatch.delenv("DYNCLEAN_TRAINER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))


@pytest.fixture(scope="session")
def peer() -> ModuleType:
    """Returns the independent reader, which was written from docs/FORMAT.md."""
    if sys.version_info < (3, 10):
        pytest.skip("tests/peers/read_dyn.py needs Python 3.10")
    spec = importlib.util.spec_from_file_location("read_dyn", ROOT / "tests" / "peers" / "read_dyn.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
