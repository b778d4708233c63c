"""Compares metrics with values worked out by hand, and with those of `tests/peers/metrics.py`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from conftest import GOLDEN
from dynclean._metrics import metrics


def test_worked_by_hand() -> None:
    # Labels O, A, B; assigned A. Logits 0 2 1, then 3 0 -1, then 1 4 0: margins 1, -3, 3.
    rows = [[0.0, 2.0, 1.0], [3.0, 0.0, -1.0], [1.0, 4.0, 0.0]]
    epochs = [np.array([[r[1] - r[0]], [r[2] - r[0]]], np.float32) for r in rows]
    found = metrics(epochs, np.array([1]), False)
    assert found["aum"][0] == pytest.approx(1 / 3)
    assert (found["correctness"][0], found["forgetting"][0]) == (2, 1)
    p = [np.exp(r[1]) / np.exp(r).sum() for r in rows]
    mean = sum(p) / 3
    assert found["confidence"][0] == pytest.approx(mean)
    assert found["variability"][0] == pytest.approx((sum((x - mean) ** 2 for x in p) / 3) ** 0.5)


def test_margins_by_hand() -> None:
    # The second span was not recorded in the first epoch.
    epochs = [np.array([m], np.float32) for m in ([1.0, np.nan], [-0.5, 1.0], [0.0, 2.0])]
    found = metrics(epochs, np.array([9, 0]), True)
    assert found["aum"].tolist() == [pytest.approx(0.5 / 3), pytest.approx(np.nan, nan_ok=True)]
    assert (found["correctness"].tolist(), found["forgetting"].tolist()) == ([1, 0], [1, 0])
    assert np.isnan(found["confidence"]).all()


def _numbers(value: Any) -> Any:
    return np.array([float(v) for v in np.ravel(np.array(value, object))])


@pytest.mark.parametrize("file", ["real.json", "adversarial.json"])
def test_an_independent_computation_agrees(file: str) -> None:
    folder = GOLDEN / "metrics"
    given = json.loads((folder / file).read_text())
    cases = {"real": given} if file == "real.json" else given
    expected = json.loads((folder / "expected.json").read_text())
    for name, case in cases.items():
        shape = np.shape(np.array(case["epochs"], object))
        logits = _numbers(case["epochs"]).reshape(shape).astype(np.float32)
        with np.errstate(invalid="ignore"):
            relative = (logits[:, :, 1:] - logits[:, :, :1]).transpose(0, 2, 1)
        for window in expected[name]:
            found = metrics(list(relative[window["first"] - 1 : window["last"]]), np.array(case["labels"]), False)
            for column in ("aum", "confidence", "variability"):
                np.testing.assert_allclose(found[column], _numbers(window[column]), rtol=1e-5, atol=1e-5, err_msg=name)
            for column in ("correctness", "forgetting"):
                assert found[column].tolist() == window[column], name
