"""`load_model`: opens a model that `trainer` saved, in PyTorch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._errors import DynCleanError
from ._sentences import Array, Spans


class Found(NamedTuple):
    """An entity that the model found.

    `start`, `end`: in a text, characters from 0, end exclusive. In a list of words, words from 0, end inclusive.
    `margin`: logit of the label minus the next highest logit. `probability`: softmax over all labels.
    """

    start: int
    end: int
    label: str
    text: str
    margin: float
    probability: float


def load_model(path: str | os.PathLike[str]) -> Model:
    """Opens a model folder or run folder that `trainer` wrote. Models with the `builtin` encoder are refused.

    `model(text)` returns the entities of a sentence. `text` is a string, which is split by the rule of
    docs/CORPORA.md, or a list of words. The entities are those of `trainer predict`: among overlapping ones, the one
    with the largest margin.

    The model is a span model (`logits` over all spans), not an `AutoModelForTokenClassification`.
    """
    folder = Path(path)
    for inside in (folder, folder / "model-with-dev", folder / "model-cleaned", folder / "model"):
        if (inside / "dynclean.json").is_file():
            return Model(inside)
    raise DynCleanError(f"there is no model in {folder}: give the folder of a run, or one in it such as model-cleaned")


class Model:
    """A model with an encoder and a span classifier."""

    def __init__(self, folder: Path):
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import AutoConfig, AutoModel

        self.torch = torch
        settings, labels = json.loads((folder / "dynclean.json").read_text("utf-8"))
        architecture = json.loads((folder / "config.json").read_text("utf-8"))["model_type"]
        if architecture == "dynclean-builtin":
            raise DynCleanError(f"{folder} has a built-in encoder, which PyTorch has not: use `trainer predict`")
        self.labels, self.max_width = ["O", *labels["types"]], int(settings["max_span_width"])
        weights = {name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()}
        self.head = {name[10:]: weights.pop(name) for name in list(weights) if name.startswith("span_head.")}
        config = AutoConfig.from_pretrained(folder)
        self.encoder = AutoModel.from_config(config).float().eval()
        odd = self.encoder.load_state_dict(weights, strict=False)
        # The vectors of tokens do not need a pooler.
        missing = [name for name in odd.missing_keys if not name.startswith("pooler.")]
        if missing or odd.unexpected_keys:
            raise DynCleanError(f"{folder}: the weights do not fit config.json: {[*missing, *odd.unexpected_keys][:3]}")
        tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        tokenizer["truncation"] = tokenizer["padding"] = None
        _prefix_space(tokenizer.get("pre_tokenizer"))
        self.tokenizer = Tokenizer.from_str(json.dumps(tokenizer))
        self.around = self.tokenizer.encode("").ids
        self.unknown = next(i for i in map(self.tokenizer.token_to_id, ("[UNK]", "<unk>")) if i is not None)
        offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
        self.limit = int(config.max_position_embeddings - offset)
        settings_of_pieces = folder / "tokenizer_config.json"
        if settings_of_pieces.is_file():
            most = json.loads(settings_of_pieces.read_text("utf-8")).get("model_max_length")
            # 10^30 stands for "no limit".
            self.limit = min(self.limit, int(most or self.limit))

    def logits(self, words: Sequence[str]) -> Array:
        """Returns the logits of all candidate spans, `[spans, labels]`, in the order of docs/FORMAT.md.

        Errors: DynCleanError if the encoder cannot read the sentence at once.
        """
        torch, head = self.torch, self.head
        pieces = [self.tokenizer.encode(word, add_special_tokens=False).ids or [self.unknown] for word in words]
        begin, end = self.around
        ids = [begin, *(piece for word in pieces for piece in word), end]
        if len(ids) > self.limit:
            raise DynCleanError(
                f"the sentence has {len(ids)} pieces, more than {self.limit}: use `trainer predict`, or split it"
            )
        shapes = [0, *(word_shape(w) for w, word in zip(words, pieces) for _ in word), 0]
        last = np.cumsum([len(word) for word in pieces], dtype=np.int64)
        first = last - [len(word) for word in pieces] + 1
        _, start, stop = Spans([len(words)], self.max_width).rows().astype(np.int64).T
        with torch.no_grad():
            rows = self.encoder(input_ids=torch.tensor([ids])).last_hidden_state[0]
            if "shapes.weight" in head:
                rows = torch.cat([rows, head["shapes.weight"][torch.tensor(shapes)]], dim=1)
            x = (rows @ head["first.start.weight"].T)[first[start]] + (rows @ head["first.end.weight"].T)[last[stop]]
            x = x + (head["widths.weight"] @ head["first.width.weight"].T + head["first.bias"])[stop - start]
            x = (x.relu() @ head["second.weight"].T + head["second.bias"]).relu()
            return np.asarray((x @ head["output.weight"].T + head["output.bias"]).numpy())

    def __call__(self, text: str | Sequence[str]) -> list[Found]:
        """Returns the entities, in the order of the sentence."""
        if isinstance(text, str):
            places = tokenise(text)
            found = self._find([text[a:b] for a, b in places])
            bounds = [(f, places[f.start][0], places[f.end][1]) for f in found]
            return [f._replace(start=a, end=b, text=text[a:b]) for f, a, b in bounds]
        return self._find(list(text))

    def _find(self, words: list[str]) -> list[Found]:
        logits = self.logits(words)
        spans: list[tuple[int, int]] = [(a, b) for _, a, b in Spans([len(words)], self.max_width).rows().tolist()]
        best, top = logits.argmax(axis=1).tolist(), np.sort(logits, axis=1)
        margins = (top[:, -1] - top[:, -2]).tolist()
        probabilities = (1 / np.exp(logits - top[:, -1:]).sum(axis=1)).tolist()
        kept: list[int] = []
        for i in sorted((i for i, label in enumerate(best) if label), key=lambda i: -margins[i]):
            if all(spans[i][1] < spans[k][0] or spans[k][1] < spans[i][0] for k in kept):
                kept.append(i)
        shown = {i: " ".join(words[spans[i][0] : spans[i][1] + 1]) for i in kept}
        rest = {i: (self.labels[best[i]], shown[i], margins[i], probabilities[i]) for i in sorted(kept)}
        return [Found(spans[i][0], spans[i][1], *of_span) for i, of_span in rest.items()]


def _prefix_space(part: Any) -> None:
    """Makes a byte-level tokenizer put a blank before every word."""
    for inner in (part or {}).get("pretokenizers") or [part or {}]:
        if inner.get("type") == "ByteLevel":
            inner["add_prefix_space"] = True


def word_shape(word: str) -> int:
    """Returns the answers to six yes-or-no questions about a word as a number from 1 to 64. 0 means "not a word"."""
    import regex

    letters = regex.findall(r"\p{Alphabetic}", word)
    questions = [
        regex.match(r"\p{Uppercase}", word),
        len(letters) > 1 and regex.fullmatch(r"\p{Uppercase}+", "".join(letters)),
        regex.search(r"(?s)(?<=.)\p{Uppercase}", word),
        regex.search(r"\p{N}", word),
        regex.search(r"[^\p{Alphabetic}\p{N}]", word),
        not letters,
    ]
    return 1 + sum(bool(yes) << bit for bit, yes in enumerate(questions))


def tokenise(text: str) -> list[tuple[int, int]]:
    """Splits a text by the rule of docs/CORPORA.md. Returns the character range of each token, end exclusive."""
    import regex

    alone = regex.compile(r"(?s)(?<=.):(?=.)|(?<=[^_])_(?=[^_])|(?<=\p{Lowercase})\.(?=\p{Uppercase})")
    tokens = []
    # With the flag w, \b matches the word boundaries of UAX #29.
    for segment in regex.finditer(r"(?sw).+?\b", text):
        piece, offset = segment.group(), segment.start()
        cuts = {0, len(piece), *(m.start() for m in regex.finditer("['\u2019]", piece))}
        cuts.update(place for m in alone.finditer(piece) for place in m.span())
        bounds = sorted(cuts)
        if not piece.isspace():
            tokens += [(offset + a, offset + b) for a, b in zip(bounds, bounds[1:])]
    return tokens
