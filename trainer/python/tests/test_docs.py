"""Runs every Python example of docs/PYTHON.md, in order, on a tiny corpus."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from conftest import GOLDEN, ROOT

CORPUS = [
    {"tokens": f"{name} {verb} in {place} .".split(), "entities": [[0, n - 1, "PER"], [n + 2, n + 2, label]]}
    for verb in ("lives", "works")
    for name, n in (("Ada Lovelace", 2), ("Bob", 1))
    for place, label in (("London", "LOC"), ("Rome", "LOC"), ("Paris", "PER"))
]


def span_model(n_labels: int) -> Any:
    """Returns a model that scores all spans of a sentence by their first and last word."""
    import torch

    class SpanModel(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(64, 8)
            self.output = torch.nn.Linear(16, n_labels)

        def forward(self, tokens: list[str]) -> Any:
            ids = torch.tensor([sum(map(ord, token)) % 64 for token in tokens])
            pairs = [(a, b) for a in range(len(tokens)) for b in range(a, min(len(tokens), a + 8))]
            starts, ends = torch.tensor(pairs).T
            rows = self.words(ids)
            return self.output(torch.cat([rows[starts], rows[ends]], dim=1))

    torch.manual_seed(0)
    return SpanModel()


def test_every_example_runs(tmp_path: Path, run_trainer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("torch", "transformers", "accelerate", "datasets", "spacy", "pandas", "safetensors", "regex"):
        pytest.importorskip(module, reason=f"{module} is not installed: the examples need it")
    monkeypatch.chdir(tmp_path)
    Path("train.json").write_text(json.dumps(CORPUS))
    Path("dist").mkdir()
    Path("dist/index.html").write_text("the page")
    shutil.copytree(GOLDEN / "encoders" / "bert-uncased", "my-encoder")
    files = ["--train", "train.json", "--dev", "train.json", "--out", "my-run"]
    run_trainer("train", *files, "--encoder", "my-encoder", "--no-dynamics", "--epochs", 1)
    namespace: dict[str, Any] = {"model": span_model(3)}
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "PYTHON.md").read_text("utf-8"), re.S)
    assert len(blocks) == 9
    for block in blocks:
        if "decisions.json" in block:
            # The files that the page would export.
            outputs = ["--write-decisions", "decisions.json", "--provenance", "provenance.json"]
            run_trainer("clean", "run.dyn", "--corpus", "train.json", "--out", "cleaned.json", *outputs)
        exec(compile(block, "docs/PYTHON.md", "exec"), namespace)
    assert namespace["cleaned"] == namespace["same"]
    plain = [{k: v for k, v in s.items() if k != "incorrect"} for s in namespace["cleaned"]]
    expected = json.loads(Path("cleaned.json").read_text())
    assert [(s["entities"], s.get("unknown", [])) for s in plain] == [
        (sorted(s["entities"]), sorted(s.get("unknown", []))) for s in expected
    ]
    assert Path("tagger.dyn").is_file()
    assert Path("tagger/model.safetensors").is_file()
    assert "Labels cleaned" in Path("README.md").read_text("utf-8")
