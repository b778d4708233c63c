"""The program `trainer`: found and called. All decisions about labels are its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from ._errors import DynCleanError

VARIABLE = "DYNCLEAN_TRAINER"
_NAMES = ("dynclean", "trainer")
_HOW = f"`pip install dynclean` brings it; or set {VARIABLE} to its path"


def find_program() -> str | None:
    """Path of the program: `DYNCLEAN_TRAINER`, else beside this Python, else on the search path; None where it is not.

    Errors: DynCleanError where the variable names no program.
    """
    named = os.environ.get(VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise DynCleanError(f"{VARIABLE} is {named}, which is no program: correct or unset it")
        return found
    for folder in (sysconfig.get_path("scripts"), None):
        for name in _NAMES:
            found = shutil.which(name, path=folder)
            if found is not None and _is_ours(found):
                return found
    return None


def _is_ours(path: str) -> bool:
    """Whether it is DynClean's: another program may be called so, too."""
    try:
        told = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return "wrong NER labels" in told.stdout


def program() -> str:
    """As `find_program`; DynCleanError where there is none."""
    found = find_program()
    if found is None:
        raise DynCleanError(f"this needs DynClean's program `trainer`, which was not found: {_HOW}")
    return found


def run(arguments: Sequence[str | Path]) -> str:
    """Runs the program and returns its standard output.

    Errors: DynCleanError with what the program said, where it fails.
    """
    command = [program(), *map(str, arguments)]
    told = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if told.returncode != 0:
        raise DynCleanError(f"`trainer {command[1]}` failed: {told.stderr.strip() or told.returncode}")
    return told.stdout
