"""`show`: opens the page with a recording inside a notebook."""

from __future__ import annotations

import atexit
import html
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from ._errors import DynCleanError
from ._program import program


class Shown:
    """A running `trainer serve`. A notebook shows it as a frame. `url` opens in any browser on this machine."""

    def __init__(self, path: Path, page: Path | None, height: int):
        self.height = height
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        folder = path
        if path.is_file():
            # The program serves only the folder of a run, so copy a single recording to a new folder.
            self._temporary = tempfile.TemporaryDirectory()
            folder = Path(self._temporary.name)
            shutil.copyfile(path, folder / "dynamics.dyn")
        command = [program(), "serve", "--run", str(folder), "--port", "0", "--json"]
        if page is not None:
            command += ["--page", str(page)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        atexit.register(self.close)
        self.url = self._address()

    def _address(self) -> str:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        told = ""
        for line in self._process.stdout:
            told += line
            try:
                return str(json.loads(told)["address"])
            except ValueError:
                continue
        said = self._process.stderr.read().strip()
        self.close()
        raise DynCleanError(f"`trainer serve` failed: {said or self._process.returncode}")

    def close(self) -> None:
        """Stops the server."""
        atexit.unregister(self.close)
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __repr__(self) -> str:
        return f"DynClean is at {self.url} until close()"

    def _repr_html_(self) -> str:
        return f'<iframe src="{html.escape(self.url)}" width="100%" height="{self.height}" style="border:0"></iframe>'


def show(path: str | os.PathLike[str], page: str | os.PathLike[str] | None = None, height: int = 700) -> Shown:
    """Serves the page with a `.dyn` file, or the folder of a run, on a free port of this machine.

    `page`: the folder of a built page. The default is the page inside the program. `height`: height of the frame, in
    pixels. The server stops at `close()`, or when Python ends.

    The address is valid only on this machine. For a notebook on another machine, use a tunnel (docs/CLI.md).

    Errors: DynCleanError if the program, the page or the file is not found.
    """
    run = Path(path).absolute()
    if not run.exists():
        raise DynCleanError(f"there is no {run}")
    return Shown(run, None if page is None else Path(page), height)
