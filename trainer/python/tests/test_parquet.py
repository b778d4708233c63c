"""The program reads and writes Parquet. The files come from pyarrow and datasets, and go back to them."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow has no Parquet")

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
ROWS: list[dict[str, Any]] = [
    {"id": "0", "tokens": ["Ada", "Lovelace", "saw", "Rom"], "pos_tags": [1, 1, 0, 1], "ner_tags": [1, 2, 0, -100]},
    {"id": None, "tokens": [], "pos_tags": [], "ner_tags": []},
    {"id": "2", "tokens": ["Rom"], "pos_tags": [1], "ner_tags": [3]},
]
SPAN = {"start": 0, "end": 3, "label": "PER"}


def features() -> Any:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    ids = {"pos_tags": ["X", "NN"], "ner_tags": NAMES}
    return datasets.Features(
        {"id": datasets.Value("string"), "tokens": datasets.Sequence(datasets.Value("string"))}
        | {column: datasets.Sequence(datasets.ClassLabel(names=names)) for column, names in ids.items()}
    )


def from_datasets(path: Path) -> Any:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    table = pyarrow.Table.from_pylist(ROWS, features().arrow_schema)
    dataset = datasets.Dataset(table).cast(features())
    dataset.to_parquet(str(path))
    return dataset


def convert(run_trainer: Any, path: Path, *options: str) -> Any:
    run_trainer("convert", "--corpus", path, "--to", "dynclean", "--out", path.with_suffix(".json"), *options)
    return json.loads(path.with_suffix(".json").read_text("utf-8"))


def predictions(run_trainer: Any, path: Path, out: Path) -> None:
    """Labels the text by a dictionary, and writes it in the form in which it came."""
    dictionary = path.parent / "dictionary.tsv"
    dictionary.write_text("Rom\tPER\n", "utf-8")
    run_trainer("annotate", "--text", path, "--dictionary", dictionary, "--out", out)


def test_names_of_ids_come_from_the_file(run_trainer: Any, tmp_path: Path) -> None:
    from_datasets(tmp_path / "hf.parquet")
    with (tmp_path / "lines.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in ROWS)
    (tmp_path / "names.json").write_text(json.dumps(NAMES))
    lines = convert(run_trainer, tmp_path / "lines.jsonl", "--tags", str(tmp_path / "names.json"))
    assert lines[0]["entities"] == [[0, 1, "PER"]]
    assert lines[0]["unknown"] == [[3, 3]]
    assert convert(run_trainer, tmp_path / "hf.parquet") == lines


def test_what_is_written_loads_as_the_same_dataset(run_trainer: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    dataset = from_datasets(tmp_path / "hf.parquet")
    out = tmp_path / "out.parquet"
    run_trainer("convert", "--corpus", tmp_path / "hf.parquet", "--to", "tags-jsonl", "--out", out)
    back = datasets.Dataset.from_parquet(str(out), cache_dir=str(tmp_path / "cache"))
    assert back.features == dataset.features
    assert back[:] == dataset[:]
    assert not (tmp_path / "tag_to_id.json").exists()


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4"])
def test_other_labels_in_the_same_columns(run_trainer: Any, tmp_path: Path, compression: str) -> None:
    columns = {
        "text": ["Ada saw Rom.", "Nobody."],
        "entities": [[SPAN], []],
        "kind": pyarrow.array(["a", "b"]).dictionary_encode(),
        "small": pyarrow.array([1, None], pyarrow.uint8()),
        "when": pyarrow.array([datetime.datetime(2020, 1, 2), None], pyarrow.timestamp("us", "UTC")),
        "deep": [{"x": [[1.5, None], []]}, None],
        "bytes": [b"\x00\xff", b""],
    }
    path, out = tmp_path / "spans.parquet", tmp_path / "out.parquet"
    parquet.write_table(pyarrow.table(columns), path, compression=compression)
    assert convert(run_trainer, path)[0]["entities"] == [[0, 0, "PER"]]
    predictions(run_trainer, path, out)
    before, after = parquet.read_table(path), parquet.read_table(out)
    assert after.column_names == before.column_names
    assert after["entities"].to_pylist() == [[{"start": 8, "end": 11, "label": "PER"}], []]
    for column in set(columns) - {"entities"}:
        assert after[column].to_pylist() == before[column].to_pylist(), column
    assert after["small"].type == pyarrow.uint8()


def test_damaged_files_are_refused(trainer: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pyarrow.table({"tokens": [["Ada"]] * 50, "ner_tags": [["B-PER"]] * 50}), path)
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (content[:middle], content[:4] + b"\xff" * 40 + content[44:], content[:-8] + b"\xff" * 4 + b"PAR1"):
        path.write_bytes(damaged)
        told = subprocess.run(
            [trainer, "convert", "--corpus", path, "--to", "conll", "--out", tmp_path / "o"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 3
        assert "a.parquet as Parquet" in told.stderr
        assert "panicked" not in told.stderr


def test_the_line_in_the_error_converts_the_data(trainer: str, run_trainer: Any, tmp_path: Path) -> None:
    """Runs the command that the error names."""

    def follow(path: Path) -> None:
        told = subprocess.run(
            [trainer, "convert", "--corpus", path, "--to", "conll", "--out", "o"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 3
        (line,) = (line for line in told.stderr.splitlines() if "python3 -c '" in line)
        code = line.split("python3 -c '", 1)[1].removesuffix("'")
        package = str(Path(__file__).parents[1])
        subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env={**os.environ, "PYTHONPATH": package}, check=True
        )

    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    dataset = from_datasets(tmp_path / "hf.parquet")
    expected = convert(run_trainer, tmp_path / "hf.parquet")
    dataset.save_to_disk(tmp_path / "saved data")
    datasets.DatasetDict(train=dataset).save_to_disk(tmp_path / "splits")
    arrow = next((tmp_path / "saved data").glob("*.arrow"))
    for path in (tmp_path / "saved data", tmp_path / "splits", arrow):
        follow(path)
        assert convert(run_trainer, tmp_path / "train.parquet") == expected
        (tmp_path / "train.parquet").unlink()
    spacy = pytest.importorskip("spacy", reason="spacy is not installed")
    doc = spacy.blank("en")("Ada saw Rom.")
    doc.ents = [doc.char_span(8, 11, "LOC")]
    spacy.tokens.DocBin(docs=[doc]).to_disk(tmp_path / "docs.spacy")
    follow(tmp_path / "docs.spacy")
    found = json.loads((tmp_path / "train.json").read_text("utf-8"))
    assert found == [{"tokens": ["Ada", "saw", "Rom", "."], "entities": [[2, 2, "LOC"]]}]
