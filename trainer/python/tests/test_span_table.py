"""Another program computes AUM, thresholds and counts from the table of spans, and finds the program's own figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import GOLDEN

duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")

Inspect = Callable[..., tuple[dict[str, Any], Any]]


@pytest.fixture(scope="module")
def trained(run_trainer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a recording of three epochs, from part of the sample."""
    folder = tmp_path_factory.mktemp("trained")
    run_trainer("sample", "--out", folder / "sample")
    options = []
    for option, name, n in [
        ("--train", "train-distant", 150),
        ("--train-gold", "train-gold", 150),
        ("--dev", "dev", 20),
    ]:
        file = folder / f"{name}.json"
        sentences = json.loads((folder / "sample" / f"{name}.json").read_text(encoding="utf-8"))
        file.write_text(json.dumps(sentences[:n]), encoding="utf-8")
        options += [option, file]
    rates = ["--encoder-rate", "0.003", "--head-rate", "0.003"]
    run_trainer("train", *options, "--encoder", "builtin", "--epochs", 3, *rates, "--out", folder / "run")
    return folder / "run" / "dynamics.dyn"


@pytest.fixture(params=["trained", "v1.dyn", "v2.dyn"])
def inspect(request: pytest.FixtureRequest, run_trainer: Any, trained: Path, tmp_path: Path) -> Inspect:
    dynamics = trained if request.param == "trained" else GOLDEN / request.param

    def inspect(*options: str) -> tuple[dict[str, Any], Any]:
        """Returns the program's figures, and a connection in which the table is `spans`."""
        table = tmp_path / "spans.parquet"
        figures = json.loads(run_trainer("inspect", dynamics, "--json", "--spans", table, *options))
        database = duckdb.connect()
        database.execute(f"CREATE VIEW spans AS SELECT * FROM read_parquet('{table.as_posix()}')")
        return figures, database

    return inspect


@pytest.mark.parametrize("window", [(1, 1), (1, 2), (2, 3)])
def test_aum_over_any_window_follows_from_the_margins(inspect: Inspect, window: tuple[int, int]) -> None:
    figures, database = inspect("--window", f"{window[0]}-{window[1]}", "--metric", "aum")
    rows = database.execute(
        "SELECT aum, list_avg(list_slice(margins, $first, $last)::DOUBLE[]), len(margins) FROM spans",
        {"first": window[0], "last": window[1]},
    ).fetchall()
    assert len(rows) == figures["spans"]
    assert {epochs for _, _, epochs in rows} == {figures["epochs"]}
    known = [(aum, found) for aum, found, _ in rows if aum is not None]
    assert len(known) == figures["spans"] - figures["cleaning"]["flagged"]
    assert all(abs(aum - found) <= 1e-6 * max(1, abs(aum)) for aum, found in known)


@pytest.mark.parametrize(("metric", "value"), [("trust", 0.6), ("aum", 0.25)])
def test_a_threshold_judges_the_spans_below_it(inspect: Inspect, metric: str, value: float) -> None:
    options = ["--positives-threshold", str(value), "--negatives-threshold", "keep", "--on-wrong", "remove"]
    figures, database = inspect("--metric", metric, *options)
    threshold = figures["cleaning"]["thresholds"]["positives"]["value"]
    (below,) = database.execute(
        f"SELECT count(*) FROM spans WHERE label <> 'O' AND {metric} < ?::FLOAT", [threshold]
    ).fetchone()
    (removed,) = database.execute("SELECT count(*) FROM spans WHERE label <> 'O' AND decision = 'remove'").fetchone()
    assert below == removed


def test_the_number_of_wrong_labels_is_the_sum_of_what_trust_lacks(inspect: Inspect) -> None:
    figures, database = inspect()
    (wrong,) = database.execute("SELECT sum(1 - trust::DOUBLE) FROM spans WHERE label <> 'O'").fetchone()
    assert wrong == pytest.approx(figures["estimate"]["positives"]["wrong"]["number"], rel=1e-6)


def test_counts_follow_from_the_decisions(inspect: Inspect) -> None:
    figures, database = inspect()
    rows = database.execute(
        "SELECT label, count(*), count(*) FILTER (decision = 'remove'), count(*) FILTER (decision LIKE 'relabel:%') "
        "FROM spans GROUP BY label ORDER BY label"
    ).fetchall()
    counts = [(c["label"], c["total"], c["removed"], c["relabelled"]) for c in figures["cleaning"]["counts"]]
    # The program also names types that no span has.
    assert rows == sorted(c for c in counts if c[1] > 0)
    found = database.execute(
        "SELECT count(*) FILTER (decision <> 'keep'), count(*) FILTER (label <> gold), "
        "count(*) FILTER (decision <> 'keep' AND label <> gold) FROM spans WHERE label <> 'O'"
    ).fetchone()
    noise = figures["noise"]["false_positives"]
    assert found == (noise["predicted"], noise["actual"], noise["correct"])
