"""Metrics of training dynamics, as they are defined in the papers.

A span has a label y and logits z in E epochs. The margin is z_y minus the largest other logit, and AUM is its mean
(Pleiss et al. 2020, eq. 1 and 2). Confidence and variability are the mean and the population standard deviation of
softmax(z)_y (Swayamdipta et al. 2020, section 2). Correctness counts the epochs in which y has the largest logit (with
equal logits, the lowest label counts). Forgetting counts changes from right to wrong (Toneva et al. 2019).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._sentences import Array

_AT_ONCE = 1 << 16


def metrics(epochs: Sequence[Array], labels: Array, is_margins: bool) -> dict[str, Array]:
    """Returns the metrics of all spans over these epochs, which must not be empty.

    `epochs`: per epoch `[types, spans]`, logits relative to that of `O`, or margins `[1, spans]`. `labels`: `[spans]`.
    Returns columns `[spans]`. For a span with a value that is not finite, metrics are NaN and counts are 0, because
    nothing is known about it. If only margins are known, confidence and variability are NaN.
    """
    parts = [
        _part([epoch[:, i : i + _AT_ONCE] for epoch in epochs], labels[i : i + _AT_ONCE], is_margins)
        for i in range(0, max(len(labels), 1), _AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _part(epochs: Sequence[Array], labels: Array, is_margins: bool) -> dict[str, Array]:
    n = len(labels)
    rows = np.arange(n)
    margins, probabilities, right = [], [], []
    with np.errstate(invalid="ignore", over="ignore"):
        for epoch in epochs:
            if is_margins:
                margins.append(epoch[0])
                right.append(epoch[0] > 0)
                continue
            z = np.concatenate([np.zeros((1, n), np.float32), epoch.astype(np.float32)])
            right.append(z.argmax(axis=0) == labels)
            p = np.exp(z.astype(np.float64) - z.max(axis=0))
            probabilities.append(p[labels, rows] / p.sum(axis=0))
            own = z[labels, rows]
            z[labels, rows] = -np.inf
            # The maximum must not hide another label's logit that is not finite.
            finite = np.isfinite(epoch).all(axis=0)
            margins.append(np.where(finite, own - z.max(axis=0), np.nan))
    margin, correct = np.array(margins, np.float32), np.array(right)
    known = np.isfinite(margin).all(axis=0)

    def real(values: Array) -> Array:
        return np.where(known, values, np.nan).astype(np.float32)

    nothing = np.full(n, np.nan)
    with np.errstate(invalid="ignore"):
        p = np.array(probabilities)
        return {
            "aum": real(margin.mean(axis=0, dtype=np.float64)),
            "confidence": real(nothing if is_margins else p.mean(axis=0)),
            "variability": real(nothing if is_margins else p.std(axis=0)),
            "correctness": np.where(known, correct.sum(axis=0), 0),
            "forgetting": np.where(known, (correct[:-1] & ~correct[1:]).sum(axis=0), 0),
        }
