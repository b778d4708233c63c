"""Reads the table that `trainer inspect RUN.dyn --spans OUT.parquet` writes, with two independent readers. Compares
it with the CSV of the same run.

Run: python3 read_parquet.py OUT.parquet OUT.csv        (duckdb and pyarrow, for development only)
"""

import csv
import math
import sys

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

TYPES = {
    "span_id": pa.uint32(), "sentence": pa.uint32(), "start": pa.uint32(), "end": pa.uint32(),
    "text": pa.string(), "label": pa.string(), "gold": pa.string(), "predicted": pa.string(),
    "predicted_probability": pa.float32(), "aum": pa.float32(), "confidence": pa.float32(),
    "variability": pa.float32(), "correctness": pa.uint16(), "forgetting": pa.uint16(), "decision": pa.string(),
}  # fmt: skip
MEASURED = ["aum", "confidence", "variability"]


def single(text):
    """Returns the f32 of a CSV field; None if it is not known."""
    value = float(text) if text else math.nan
    return pa.scalar(value, pa.float32()).as_py() if math.isfinite(value) else None


def main(parquet, table):
    file = pq.ParquetFile(parquet)
    assert {f.name: f.type for f in file.schema_arrow} == TYPES, file.schema_arrow
    rows = file.read().to_pydict()
    with open(table, newline="", encoding="utf-8") as lines:
        reader = csv.DictReader(lines)
        n = 0
        for n, expected in enumerate(reader, 1):
            for name, text in expected.items():
                found = rows[name][n - 1]
                if name in MEASURED:
                    same = found == single(text)
                else:
                    same = ("" if found is None else str(found)) == text
                assert same, f"span {n - 1}: {name} is {found!r}, the CSV has {text!r}"
    assert n == file.metadata.num_rows, f"{file.metadata.num_rows} rows, the CSV has {n}"
    groups = duckdb.execute(
        "SELECT label, decision, count(*), avg(aum) FROM read_parquet(?) GROUP BY ALL ORDER BY ALL", [parquet]
    ).fetchall()
    assert sum(g[2] for g in groups) == n
    print(f"{n} rows in {file.num_row_groups} groups, the same by pyarrow {pa.__version__} as in the CSV")
    for label, decision, count, aum in groups:
        print(f"{label:>8}  {decision:<12} {count:>9}  mean AUM {aum if aum is None else round(aum, 3)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
