"""Cleans a corpus by cleanlab's token classification. It is a baseline in the table of results.

    pip install cleanlab numpy        (results: cleanlab 2.9.0)
    python3 cleanlab_tokens.py train.json cleaned.json --fold fold0.json fold0.dyn --fold fold1.json fold1.dyn

cleanlab needs probabilities from a model that was not trained on the sentence (out of fold). So the corpus is split
into K folds, and there are K trainings. Training number k reads the file fold_k.json: the corpus, in which all spans
of the sentences of fold k are unknown. Unknown spans are left out of the loss, but the recording has their logits.

The classes are O and the entity types, without B and I. The probabilities of a token are made from its spans:

1. The softmax of a span's logits at the last recorded epoch gives the span's probabilities.
2. The value of a type is the largest probability of this type among the spans that contain the token.
3. The value of O is 1 minus the largest value of a type.
4. All values are divided by their sum.

cleanlab then flags tokens, with its default settings. An entity with a flagged token becomes unknown. A flagged O
token makes all candidate spans unknown that contain it and overlap no kept entity.

The token of several entities has the type of the widest one. A token in no entity but in an unknown span of the
corpus has no label. cleanlab does not see such tokens.
"""

import argparse
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.token_classification.filter import find_label_issues
from numpy.typing import NDArray
from read_dyn import Payload, info, text, xxhash

Sentence = dict[str, Any]
Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class Recording:
    """What this script needs of a .dyn file: see docs/FORMAT.md."""

    def __init__(self, path: Path) -> None:
        self.types: list[str] = []
        self.sentences: list[list[str]] = []
        self.max_width = 0
        # One row per unknown span: sentence, start, end.
        self.unknown: Rows = np.empty((0, 3), np.int64)
        # The last epoch of the main run: one row per type, one column per span.
        self.logits: Floats = np.empty((0, 0))
        complete = False
        for tag, payload in sections(path):
            p = Payload(payload)
            if tag == b"INFO":
                self.max_width = info(p)["max_span_width"]
            elif tag == b"LABL":
                self.types = p.list(p.string)
            elif tag == b"TEXT":
                self.sentences, _ = text(p)
            elif tag == b"DIST":
                for code in "IIIH":
                    p.take(p.u64() * struct.calcsize("<" + code))
                n = p.u64()
                self.unknown = np.frombuffer(p.take(12 * n), "<u4").reshape(n, 3).astype(np.int64)
            elif tag == b"EPOC" and p.u32() == 0:
                _, n_spans, n_types, precision = p.u32(), p.u64(), p.u32(), p.choice("<f2", "<f4")
                size = n_types * n_spans * np.dtype(precision).itemsize
                self.logits = np.frombuffer(p.take(size), precision).reshape(n_types, n_spans).astype(np.float64)
            elif tag == b"END ":
                complete = True
        if not complete:
            raise SystemExit(f"{path}: the recording is not complete")
        if not self.logits.size:
            raise SystemExit(f"{path}: the recording has no logits")


def sections(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yields tag and payload of every whole section."""
    data = path.read_bytes()
    if data[:8] != b"\x89DYN\r\n\x1a\n" or struct.unpack("<I", data[8:12])[0] not in (1, 2):
        raise SystemExit(f"{path}: not a .dyn file of version 1 or 2")
    at, tag = 12, b""
    while at + 20 <= len(data) and tag != b"END ":
        tag = data[at : at + 4]
        length, checksum = struct.unpack("<QQ", data[at + 4 : at + 20])
        payload = data[at + 20 : at + 20 + length]
        if len(payload) < length:
            return
        if xxhash and xxhash.xxh3_64_intdigest(payload) != checksum:
            raise SystemExit(f"{path}: wrong checksum of {tag!r}")
        at += 20 + length
        yield tag, payload


def read_corpus(path: Path) -> list[Sentence]:
    with path.open(encoding="utf-8-sig") as file:
        sentences: list[Sentence] = json.load(file)
    return sentences


def write_corpus(path: Path, corpus: list[Sentence]) -> None:
    lines = ",\n".join(json.dumps(sentence, ensure_ascii=False) for sentence in corpus)
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def candidates(corpus: list[Sentence], max_width: int) -> Rows:
    """Returns sentence, start and end of every candidate span, in the order of the recording."""
    spans = [
        (i, start, end)
        for i, sentence in enumerate(corpus)
        for start in range(len(sentence["tokens"]))
        for end in range(start, min(len(sentence["tokens"]), start + max_width))
    ]
    return np.array(spans, np.int64).reshape(-1, 3)


def fold_of(fold: list[Sentence], spans: Rows) -> NDArray[np.bool_]:
    """Returns for each sentence if all its candidate spans are unknown in the file of the fold."""
    unknown = {(i, start, end) for i, sentence in enumerate(fold) for start, end in sentence.get("unknown", [])}
    inside = np.ones(len(fold), np.bool_)
    for i, start, end in spans.tolist():
        if (i, start, end) not in unknown:
            inside[i] = False
    return inside


def out_of_fold(
    corpus: list[Sentence], spans: Rows, max_width: int, types: list[str], folds: list[tuple[Path, Path, Recording]]
) -> Floats:
    """Returns the probability of every type (column) for every candidate span (row)."""
    words = [sentence["tokens"] for sentence in corpus]
    # A type that a training did not know has the probability 0.
    logits = np.full((len(spans), len(types)), -np.inf)
    times = np.zeros(len(corpus), np.int64)
    for fold_path, path, recording in folds:
        fold = read_corpus(fold_path)
        if [sentence["tokens"] for sentence in fold] != words:
            raise SystemExit(f"{fold_path}: not the sentences of the corpus")
        if recording.sentences != words or recording.max_width != max_width:
            raise SystemExit(f"{path}: not the sentences of the corpus, or a different maximum width of spans")
        inside = fold_of(fold, spans)
        rows = inside[spans[:, 0]]
        known = {tuple(span) for span in spans[rows].tolist()} - {tuple(span) for span in recording.unknown.tolist()}
        if known:
            message = f"WARNING: {path} was trained on {len(known)} spans of {fold_path}: they are not out of fold"
            print(message, file=sys.stderr)
        times += inside
        for name, column in zip(recording.types, recording.logits, strict=True):
            logits[rows, types.index(name)] = column[rows]
    has_spans = np.bincount(spans[:, 0], minlength=len(corpus)) > 0
    if (times[has_spans] != 1).any():
        wrong = np.flatnonzero(has_spans & (times != 1))
        raise SystemExit(f"{len(wrong)} sentences are not in exactly one fold, the first is number {wrong[0]} (from 0)")
    bad = int((np.isnan(logits) | (logits == np.inf)).any(axis=1).sum())
    if bad:
        raise SystemExit(f"{bad} spans have a logit that is not a finite number")
    # The logit of O is 0.
    largest = np.maximum(logits.max(axis=1, keepdims=True), 0)
    powers = np.exp(logits - largest)
    return np.asarray(powers / (powers.sum(axis=1, keepdims=True) + np.exp(-largest)), np.float64)


def token_probabilities(corpus: list[Sentence], spans: Rows, of_spans: Floats) -> list[Floats]:
    """Returns an array for each sentence, with a row for each token. Column 0 is O."""
    first = np.cumsum([0] + [len(sentence["tokens"]) for sentence in corpus])
    of_types = np.zeros((first[-1], of_spans.shape[1]))
    starts = first[spans[:, 0]] + spans[:, 1]
    widths = spans[:, 2] - spans[:, 1] + 1
    for k in range(int(widths.max(initial=0))):
        rows = widths > k
        np.maximum.at(of_types, starts[rows] + k, of_spans[rows])
    values = np.column_stack([1 - of_types.max(axis=1, initial=0), of_types])
    values /= values.sum(axis=1, keepdims=True)
    return np.split(values, first[1:-1])


def token_labels(sentence: Sentence, types: list[str]) -> list[int | None]:
    """Returns the class of every token. It is None if the label is unknown."""
    labels: list[int | None] = [0] * len(sentence["tokens"])
    for start, end in sentence.get("unknown", []):
        labels[start : end + 1] = [None] * (end + 1 - start)
    for start, end, name in sorted(sentence["entities"], key=lambda entity: entity[1] - entity[0]):
        labels[start : end + 1] = [types.index(name) + 1] * (end + 1 - start)
    return labels


def flagged_tokens(labels: list[list[int | None]], probabilities: list[Floats]) -> list[set[int]]:
    """Returns for each sentence the tokens that cleanlab flags."""
    judged = [[t for t, label in enumerate(sentence) if label is not None] for sentence in labels]
    # n_jobs changes only the time.
    issues = find_label_issues(
        [[sentence[t] for t in tokens] for sentence, tokens in zip(labels, judged, strict=True)],
        [p[tokens] for p, tokens in zip(probabilities, judged, strict=True)],
        n_jobs=1,
    )
    flagged: list[set[int]] = [set() for _ in labels]
    for i, j in issues:
        flagged[i].add(judged[i][j])
    return flagged


def clean(sentence: Sentence, flagged: set[int], max_width: int) -> tuple[Sentence, list[list[Any]], int]:
    """Returns the clean sentence, the removed entities and the number of flagged O tokens."""
    removed: list[list[Any]] = []
    kept: list[list[Any]] = []
    for entity in sentence["entities"]:
        (kept if flagged.isdisjoint(range(entity[0], entity[1] + 1)) else removed).append(entity)
    covered = {t for start, end, _ in sentence["entities"] for t in range(start, end + 1)}
    outside = flagged - covered
    taken = {t for start, end, _ in kept for t in range(start, end + 1)}
    unknown = {(start, end) for start, end in sentence.get("unknown", [])}
    unknown |= {(start, end) for start, end, _ in removed}
    for t in outside:
        for start in range(max(0, t - max_width + 1), t + 1):
            for end in range(t, min(len(sentence["tokens"]), start + max_width)):
                if taken.isdisjoint(range(start, end + 1)):
                    unknown.add((start, end))
    result = {**sentence, "entities": kept}
    if unknown:
        result["unknown"] = [list(span) for span in sorted(unknown)]
    return result, removed, len(outside)


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}% ({part} of {whole})" if whole else "none"


def report_quality(corpus: list[Sentence], gold: list[Sentence], removed: list[list[list[Any]]]) -> None:
    """Prints precision and recall of the flagged entities. An entity is wrong if it is no gold entity."""
    if [sentence["tokens"] for sentence in gold] != [sentence["tokens"] for sentence in corpus]:
        raise SystemExit("the gold file has not the sentences of the corpus")
    found = flagged = wrong = 0
    for sentence, right, out in zip(corpus, gold, removed, strict=True):
        true = {tuple(entity) for entity in right["entities"]}
        wrong += sum(tuple(entity) not in true for entity in sentence["entities"])
        found += sum(tuple(entity) not in true for entity in out)
        flagged += len(out)
    print(f"precision of flagged entities: {share(found, flagged)}")
    print(f"recall of wrong entities:      {share(found, wrong)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Cleans a corpus by cleanlab's token classification. All corpora are DynClean JSON (one array)."
    )
    parser.add_argument("corpus", type=Path, help="corpus with distant labels")
    parser.add_argument("out", type=Path, help="file for the cleaned corpus")
    parser.add_argument(
        "--fold",
        nargs=2,
        type=Path,
        action="append",
        required=True,
        metavar=("JSON", "DYN"),
        help="the training file of a fold, in which all spans of the fold's sentences are unknown, and the recording "
        "of its training; once for each fold",
    )
    parser.add_argument("--gold", type=Path, help="the same sentences with gold labels: prints precision and recall")
    args = parser.parse_args()

    corpus = read_corpus(args.corpus)
    folds = [(fold, path, Recording(path)) for fold, path in args.fold]
    of_corpus = {name for sentence in corpus for *_, name in sentence["entities"]}
    types = sorted(of_corpus | {name for *_, recording in folds for name in recording.types})
    max_width = folds[0][2].max_width
    spans = candidates(corpus, max_width)
    of_spans = out_of_fold(corpus, spans, max_width, types, folds)
    probabilities = token_probabilities(corpus, spans, of_spans)
    labels = [token_labels(sentence, types) for sentence in corpus]
    flagged = flagged_tokens(labels, probabilities)

    results = [clean(sentence, tokens, max_width) for sentence, tokens in zip(corpus, flagged, strict=True)]
    write_corpus(args.out, [sentence for sentence, _, _ in results])
    removed = [out for _, out, _ in results]
    n_entities = sum(len(sentence["entities"]) for sentence in corpus)
    n_outside = sum(label == 0 for sentence in labels for label in sentence)
    print(f"flagged entities: {share(sum(map(len, removed)), n_entities)}")
    print(f"flagged O tokens: {share(sum(n for _, _, n in results), n_outside)}")
    if args.gold:
        report_quality(corpus, read_corpus(args.gold), removed)


if __name__ == "__main__":
    main()
