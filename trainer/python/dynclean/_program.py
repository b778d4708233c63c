"""Finds and calls the program `trainer`, which makes all decisions about labels."""

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
_HOW = f"the wheel that `cargo xtask wheel` builds has it; or set {VARIABLE} to its path"


def find_program() -> str | None:
    """Returns the path of the program, or None if it is not found.

    It is taken from `DYNCLEAN_TRAINER`, else from the scripts folder of this Python, else from the search path.

    Errors: DynCleanError if the variable does not name a program.
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
    """Returns whether this is DynClean's program. Another program may have the same name."""
    try:
        told = subprocess.run([path, "--help"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return "wrong NER labels" in told.stdout


def program() -> str:
    """Does the same as `find_program`, but raises DynCleanError if the program is not found."""
    found = find_program()
    if found is None:
        raise DynCleanError(f"this needs DynClean's program `trainer`, which was not found: {_HOW}")
    return found


def run(arguments: Sequence[str | Path]) -> str:
    """Runs the program and returns its standard output.

    Errors: DynCleanError with the program's message, if it fails.
    """
    command = [program(), *map(str, arguments)]
    told = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    if told.returncode != 0:
        raise DynCleanError(f"`trainer {command[1]}` failed: {told.stderr.strip() or told.returncode}")
    return told.stdout
