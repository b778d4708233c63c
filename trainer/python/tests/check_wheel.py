"""Checks an installed wheel: demo, page, book, package. `cargo xtask wheel` runs it without Rust on the search path."""

from __future__ import annotations

import shutil
import subprocess
import urllib.request
from typing import Any

import dynclean


def get(address: str) -> tuple[Any, bytes]:
    with urllib.request.urlopen(address) as answer:
        return answer.headers, answer.read()


def main() -> None:
    assert shutil.which("cargo") is None, "the check is to run without Rust"
    for name in ("trainer", "dynclean"):
        told = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
        assert told.startswith("trainer "), told
    demo = subprocess.Popen(["dynclean", "demo", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None
        place = next(line.split()[-1] for line in demo.stdout if line.startswith("DynClean is at "))
        root = place.removesuffix("run/")
        headers, page = get(root)
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert b"<title>DynClean" in page
        # The page opens the run: the address of the run leads to the page.
        assert get(place)[1] == page
        name = page.decode().split('data-wasm="')[-1].split("data-wasm=")[-1].lstrip("./").split()[0].strip('">')
        headers, code = get(root + name)
        assert headers["Content-Type"] == "application/wasm", name
        assert code[:4] == b"\0asm", name
        # The documentation, with the link to it that the page shows.
        assert b"data-book" in page
        assert b"<title>DynClean" in get(root + "book/")[1]
        assert b"MIT" in get(root + "licences.txt")[1]
        assert len(get(root + "sample.dyn")[1]) > 100_000
    finally:
        demo.terminate()
        assert demo.wait(10) == 0
    table = dynclean.read("dynclean-demo/seed-1/dynamics.dyn")
    assert len(table) > 10_000
    assert table["trust"] is not None
    print("ok")


if __name__ == "__main__":
    main()
