"""Computes metrics of training dynamics by numpy in double precision, for the test `metrics`.

Run: python3 metrics.py       (numpy; reads ../golden/metrics/real.json, writes the two other files)

Written from the definitions of the papers (shared/src/metrics/mod.rs names them), not from the Rust code.
real.json: logits relative to `O` and labels of 300 spans of a real run, only numbers, [epoch][span][label].
adversarial.json: made here. expected.json: the metrics of both. Numbers that JSON cannot hold are strings.
"""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent.parent / "golden" / "metrics"
INF, NAN = np.inf, np.nan


def metrics(logits, labels):
    """logits [E, N, L], labels [N] -> dict of lists"""
    z = np.asarray(logits, dtype=np.float64)
    y = np.asarray(labels)
    e, n, count = z.shape
    flagged = ~np.isfinite(z).all(axis=(0, 2))
    # Any finite numbers will do: the results of these spans are replaced in the end.
    z = np.where(flagged[None, :, None], 0.0, z)
    rows = np.arange(n)
    own = z[:, rows, y]
    others = z.copy()
    others[:, rows, y] = -np.inf
    aum = (own - others.max(axis=2)).mean(axis=0)
    shifted = z - z.max(axis=2, keepdims=True)
    probability = np.exp(shifted) / np.exp(shifted).sum(axis=2, keepdims=True)
    p = probability[:, rows, y]
    variance = p.var(axis=0)
    with np.errstate(invalid="ignore"):
        paper = np.sqrt(variance + variance**2 / (e - 1)) if e > 1 else np.zeros(n)
    correct = z.argmax(axis=2) == y[None, :]
    forgetting = (correct[:-1] & ~correct[1:]).sum(axis=0)
    distribution = probability.mean(axis=0)
    say = lambda x: np.where(flagged, NAN, x)
    return {
        "flagged": flagged.tolist(),
        "aum": say(aum),
        "confidence": say(p.mean(axis=0)),
        "variability": say(np.sqrt(variance)),
        "variability_paper": say(paper),
        "correctness": np.where(flagged, 0, correct.sum(axis=0)).tolist(),
        "forgetting": np.where(flagged, 0, forgetting).tolist(),
        "mean_distribution": np.where(flagged[:, None], NAN, distribution).tolist(),
    }


def adversarial():
    random = np.random.default_rng(7)
    wide = (random.normal(size=(6, 40, 7)) * 10).astype(np.float32)
    flip = [[[0, 2, 1]] if k % 2 else [[3, 2, 1]] for k in range(5)]
    good = [[0, 1, -1], [0, -2, 3], [0, 0.5, 0.25], [0, 4, 4]]
    bad = [[0, INF, -1], [0, -2, -INF], [INF, 0.5, 0.25], [0, NAN, 4]]
    diverged = [good, good, [[NAN] * 3] * 4, [[NAN] * 3] * 4]
    one_type = [[[0, x] for x in (-3, 0, 0.5, 20)], [[0, x] for x in (2, 0, -0.5, 20)]]
    return {
        "every logit equal": ([[[1.5] * 4] * 4, [[-2] * 4] * 4], [0, 1, 2, 3]),
        "own label tied with a lower and with a higher one": ([[[0, 5, 5]] * 3, [[5, 5, 0]] * 3], [0, 1, 2]),
        "infinite and undefined at the second of three epochs": ([good, bad, good], [0, 1, 2, 2]),
        "diverged from the third epoch on": (diverged, [0, 1, 2, 0]),
        "one entity type": (one_type, [0, 1, 0, 1]),
        "one epoch": ([good], [0, 1, 2, 2]),
        "no positives": ([good, good[::-1]], [0, 0, 0, 0]),
        "right and wrong in turn": (flip, [1]),
        "certain, rightly and wrongly": ([[[0, 60, -60]] * 3, [[0, 90, 30]] * 3], [0, 1, 2]),
        "far from O, near each other": ([[[0, 60000, 60000.5], [0, -3000, -3001]]] * 2, [1, 1]),
        "seven labels, all scales": (wide.tolist(), (np.arange(40) % 7).tolist()),
    }


def plain(value, digits=9):
    """Returns lists of numbers with few digits. Numbers that JSON cannot hold become strings."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.{digits}g}") if np.isfinite(value) else str(float(value))
    return value


def windows(n_epochs):
    return sorted({(1, n_epochs), (1, min(3, n_epochs)), (min(2, n_epochs), n_epochs), (n_epochs, n_epochs)})


def main():
    real = json.loads((FOLDER / "real.json").read_text())
    cases = {name: {"labels": labels, "epochs": epochs} for name, (epochs, labels) in adversarial().items()}
    dump = lambda name, value: (FOLDER / name).write_text(json.dumps(plain(value), separators=(",", ":")) + "\n")
    dump("adversarial.json", cases)
    expected = {}
    for name, case in {"real": real, **cases}.items():
        # Logits as they are stored. The real ones have only as few windows as are needed, to keep the file small.
        n = len(case["epochs"])
        chosen = [(1, 3), (2, n)] if name == "real" else windows(n)
        logits = np.asarray(case["epochs"], dtype=np.float32)
        expected[name] = [
            {"first": a, "last": b, **metrics(logits[a - 1 : b], case["labels"])} for a, b in chosen
        ]
    dump("expected.json", expected)


if __name__ == "__main__":
    main()
