"""The page in a notebook, served by the program."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any

import pytest

from conftest import GOLDEN
from dynclean import DynCleanError, show


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<title>the page</title>")
    return folder


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_recording_is_served_until_it_is_closed(page: Path, tmp_path: Path, trainer: str, as_folder: bool) -> None:
    run = tmp_path / "dynamics.dyn" if as_folder else tmp_path / "other-name.dyn"
    run.write_bytes((GOLDEN / "v1.dyn").read_bytes())
    shown = show(tmp_path if as_folder else run, page=page)
    frame = shown._repr_html_()
    assert frame.startswith(f'<iframe src="{shown.url}"')
    with urllib.request.urlopen(shown.url) as answer:
        assert b"the page" in answer.read()
    with urllib.request.urlopen(f"{shown.url}dynamics.dyn") as answer:
        assert answer.read() == run.read_bytes()
    shown.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(shown.url)


def test_what_is_missing_is_named(page: Path, tmp_path: Path, trainer: str, monkeypatch: Any) -> None:
    with pytest.raises(DynCleanError, match=r"there is no .*nothing\.dyn"):
        show(tmp_path / "nothing.dyn", page=page)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DynCleanError, match="there is no page in nowhere"):
        show(GOLDEN / "v1.dyn", page="nowhere")
    with pytest.raises(DynCleanError, match=r"serve.* failed: .*dynamics\.dyn"):
        show(tmp_path, page=page)
