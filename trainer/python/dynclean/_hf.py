"""Hugging Face `datasets`: converts sentences from and to columns of tokens and BIO tags, and writes dataset cards."""

from __future__ import annotations

import json
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._errors import DynCleanError
from ._sentences import Sentence, check, types_of
from ._tags import IGNORED, from_tags, to_tags, types_of_tags


def to_hf(sentences: Iterable[Mapping[str, Any]], tags: Sequence[str] | None = None) -> Any:
    """Returns a `datasets.Dataset` with the columns `tokens` and `ner_tags` (a ClassLabel of `O`, `B-X`, `I-X`).

    Tokens of unknown spans have the tag -100, which losses ignore. A token has only one tag, so among overlapping
    entities the widest is kept, and a warning counts the others. Further fields become columns, except `incorrect`.

    `tags`: the names of the tags in the order of their ids. The default is `O` and then the tags of the types that
    occur, sorted.

    Errors: DynCleanError if `tags` are not BIO or lack a type of the sentences.
    """
    import datasets
    import pyarrow

    given = [dict(sentence) for sentence in sentences]
    checked = check(given)
    occurring = types_of(checked)
    names = ["O", *(f"{letter}-{name}" for name in occurring for letter in "BI")] if tags is None else list(tags)
    missing = sorted(set(occurring) - set(types_of_tags(names, "tags")))
    if missing:
        raise DynCleanError(f"tags lack {', '.join(missing)}, which the sentences have")
    number: dict[str | None, int] = {None: IGNORED, **{tag: i for i, tag in enumerate(names)}}
    rows, left_out = [], 0
    for sentence in checked:
        of_sentence, too_many = to_tags(sentence)
        rows.append([number[tag] for tag in of_sentence])
        left_out += too_many
    if left_out:
        warnings.warn(f"{left_out} entities overlap wider ones and are left out: a token has one tag", stacklevel=2)
    features = datasets.Features(
        tokens=datasets.Sequence(datasets.Value("string")), ner_tags=datasets.Sequence(datasets.ClassLabel(names=names))
    )
    # Names cannot express -100. Numbers are stored without a check.
    table = pyarrow.table({"tokens": [s.tokens for s in checked], "ner_tags": rows}, features.arrow_schema)
    others = dict.fromkeys(field for sentence in given for field in sentence)
    for field in others:
        if field not in _OWN:
            table = table.append_column(field, pyarrow.array([sentence.get(field) for sentence in given]))
    dataset = datasets.Dataset(table)
    return dataset.cast(datasets.Features({**dataset.features, **features}))


_OWN = ("tokens", "entities", "unknown", "incorrect", "ner_tags")


def from_hf(dataset: Any, tokens: str = "tokens", tags: str = "ner_tags") -> list[Sentence]:
    """Returns the sentences of a `datasets.Dataset` with a column of words and a column of BIO tags.

    Tags are names, or ids of a ClassLabel. Tokens with the tag -100 are unknown, and adjacent ones form one unknown
    span. An `I-X` tag that does not continue an entity begins one, and a warning counts these tags. Other columns are
    kept as fields, except `entities`, `unknown` and `incorrect`.

    Errors: DynCleanError if a column is missing, ids have no names, or tags are not BIO.
    """
    for column in (tokens, tags):
        if column not in dataset.column_names:
            raise DynCleanError(f"the dataset has no column {column!r}, but {', '.join(dataset.column_names)}: name it")
    inner = getattr(dataset.features[tags], "feature", None)
    names: list[str] | None = getattr(inner, "names", None)
    if names is not None:
        types_of_tags(names, f"column {tags!r}")
    sentences, irregular = [], 0
    for i, row in enumerate(dataset):
        where = f"row {i} (from 0)"
        if len(row[tags]) != len(row[tokens]):
            raise DynCleanError(f"{where} has {len(row[tokens])} tokens and {len(row[tags])} tags")
        entities, unknown, odd = from_tags([_tag_name(tag, names, where, tags) for tag in row[tags]])
        irregular += odd
        others = {field: value for field, value in row.items() if field not in (tokens, tags, *_OWN)}
        sentence: Sentence = {"tokens": row[tokens], "entities": [list(entity) for entity in entities], **others}
        if unknown:
            sentence["unknown"] = [list(span) for span in unknown]
        sentences.append(sentence)
    if irregular:
        warnings.warn(f"{irregular} tags I-X continue nothing; each begins an entity", stacklevel=2)
    return sentences


def _tag_name(tag: Any, names: list[str] | None, where: str, column: str) -> str | None:
    if tag == IGNORED:
        return None
    if isinstance(tag, str):
        if tag == "O" or (tag[:2] in ("B-", "I-") and len(tag) > 2):
            return tag
        raise DynCleanError(f"{where}: tag {tag!r} is not BIO; `trainer convert --to dynclean` reads other schemes")
    if names is None:
        raise DynCleanError(
            f"{where}: tags are ids without names; cast column {column!r} to Sequence(ClassLabel(names))"
        )
    if not 0 <= tag < len(names):
        raise DynCleanError(f"{where}: there is no tag {tag}; {column!r} names {len(names)} tags")
    return names[int(tag)]


def dataset_card(provenance: str | os.PathLike[str] | Mapping[str, Any]) -> str:
    """Returns a dataset card (Markdown with YAML) about the cleaning, from `provenance.json` of `trainer clean`."""
    told = provenance if isinstance(provenance, Mapping) else json.loads(Path(provenance).read_text("utf-8"))
    for field in ("changes", "settings", "written_by", "dynamics"):
        if field not in told:
            raise DynCleanError(
                f"this is no provenance.json (it lacks {field!r}): `trainer clean --provenance` writes one"
            )
    counts = Counter((c["was"], "unknown" if c["now"] is None else c["now"], c["by"]) for c in told["changes"])
    rows = [f"| {was} | {now} | {by} | {n} |" for (was, now, by), n in sorted(counts.items())]
    window = told["settings"]["window"]
    return "\n".join(
        [
            "---",
            "task_categories:",
            "- token-classification",
            "task_ids:",
            "- named-entity-recognition",
            "tags:",
            "- dynclean",
            "---",
            "",
            "# Labels cleaned with DynClean",
            "",
            f"{len(told['changes'])} spans changed. Judged by {told['settings']['metric']} over epochs"
            f" {window['first']}-{window['last']}, by {told['written_by']}; digest of the file: `{told['dynamics']}`.",
            "",
            "| label before | label after | decided by | spans |",
            "|---|---|---|---|",
            *rows,
            "",
            "*Unknown* spans are neither entities nor `O`: their tokens have the tag -100, which losses leave out.",
            "",
        ]
    )
