"""Measures the time of all metrics by vectorised numpy, for `cargo xtask bench shared`: 1.27 million spans, 5 epochs, 5 labels.

Prints the median of the CPU milliseconds of 7 runs in one thread, in single precision. The layout is the one that
suits numpy best: one contiguous column per label.
"""

import time

import numpy as np

N, EPOCHS, LABELS, RUNS = 1_269_968, 5, 5, 7


def metrics(epochs, y):
    """epochs: E arrays [labels - 1, N] of half precision, relative to the logit of O; y [N]"""
    n = len(y)
    rows = np.arange(n)
    margin_sum = np.zeros(n, np.float32)
    own = np.empty((len(epochs), n), np.float32)
    correct = np.empty((len(epochs), n), bool)
    probability_sum = np.zeros((LABELS, n), np.float32)
    for e, stored in enumerate(epochs):
        z = np.zeros((LABELS, n), np.float32)
        z[1:] = stored
        argmax = z.argmax(axis=0)
        best = z.max(axis=0)
        own_logit = z[y, rows]
        correct[e] = argmax == y
        others = z.copy()
        others[y, rows] = -np.inf
        margin_sum += own_logit - others.max(axis=0)
        z -= best
        np.exp(z, out=z)
        total = z.sum(axis=0)
        z /= total
        own[e] = z[y, rows]
        probability_sum += z
    mean = probability_sum / len(epochs)
    predicted = mean.argmax(axis=0)
    return {
        "aum": margin_sum / len(epochs),
        "confidence": own.mean(axis=0),
        "variability": own.std(axis=0),
        "correctness": correct.sum(axis=0),
        "forgetting": (correct[:-1] & ~correct[1:]).sum(axis=0),
        "predicted": predicted,
        "predicted_probability": mean[predicted, rows],
    }


def main():
    random = np.random.default_rng(1)
    y = np.where(random.random(N) < 0.022, random.integers(1, LABELS, N), 0)
    epochs = [(random.normal(size=(LABELS - 1, N)) * 3).astype(np.float16) for _ in range(EPOCHS)]
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        metrics(epochs, y)
        times.append(time.process_time() - start)
    print(f"{sorted(times)[RUNS // 2] * 1000:.1f}")


if __name__ == "__main__":
    main()
