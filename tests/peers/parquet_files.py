"""Makes tests/golden/parquet: corpora as `datasets` and pyarrow write them, each beside its rows as JSON Lines.

    pip install datasets
    python parquet_files.py ../golden/parquet      (golden files: datasets 5.2.0, pyarrow 26.0.1)
"""

import datetime
import json
import sys
from pathlib import Path

import datasets
import pyarrow
import pyarrow.parquet

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
TAGGED = [
    {"id": "0", "tokens": ["Ada", "Lovelace", "saw", "Rom"], "pos_tags": [1, 1, 0, 1], "ner_tags": [1, 2, 0, -100]},
    {"id": None, "tokens": [], "pos_tags": [], "ner_tags": []},
    {"id": "2", "tokens": ["Rom", "\"says\"", "née\n"], "pos_tags": [1, 0, 0], "ner_tags": [3, 0, 0]},
]
TEXTS = [
    {
        "text": "Ada saw Rom.",
        "spans": [{"start": 0, "end": 3, "label": "PER"}, {"start": 8, "end": 11, "label": "LOC"}],
        "source": "a",
        "small": 7,
        "when": datetime.datetime(2020, 1, 2, 3, 4, 5),
    },
    {"text": "Nobody.", "spans": [], "source": "b", "small": None, "when": None},
]

out = Path(sys.argv[1])
features = datasets.Features(
    {"id": datasets.Value("string"), "tokens": datasets.List(datasets.Value("string"))}
    | {
        column: datasets.List(datasets.ClassLabel(names=names))
        for column, names in {"pos_tags": ["X", "NN"], "ner_tags": NAMES}.items()
    }
)
datasets.Dataset(pyarrow.Table.from_pylist(TAGGED, features.arrow_schema)).cast(features).to_parquet(str(out / "tagged.parquet"))
(out / "tag_to_id.json").write_text(json.dumps({name: i for i, name in enumerate(NAMES)}) + "\n")

span = pyarrow.struct([("start", pyarrow.int32()), ("end", pyarrow.int32()), ("label", pyarrow.string())])
schema = pyarrow.schema(
    [
        ("text", pyarrow.large_string()),
        ("spans", pyarrow.list_(span)),
        ("source", pyarrow.dictionary(pyarrow.int8(), pyarrow.string())),
        ("small", pyarrow.uint8()),
        ("when", pyarrow.timestamp("us")),
    ]
)
pyarrow.parquet.write_table(pyarrow.Table.from_pylist(TEXTS, schema), out / "texts.parquet", compression="zstd")

for name, rows in [("tagged", TAGGED), ("texts", TEXTS)]:
    lines = (json.dumps(row, ensure_ascii=False, default=datetime.datetime.isoformat) + "\n" for row in rows)
    (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
