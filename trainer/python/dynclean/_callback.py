"""`DynCleanCallback`: records training dynamics inside the Hugging Face Trainer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import TrainerCallback

from ._errors import DynCleanError
from ._recorder import Recorder, to_numpy
from ._sentences import Array, check
from ._tags import IGNORED, to_tags


class DynCleanCallback(TrainerCallback):  # type: ignore[misc]
    """Writes a `.dyn` file from a `Trainer` for token classification.

    `sentences`: the sentences of `train_dataset`, in its order (`dynclean.from_hf` returns them). After every epoch the
    training data pass through the model once more, without dropout, and the margins of all spans are recorded.
    `Recorder.add_tags` documents how the margins of spans are computed from those of tokens. The Trainer needs a fast
    tokenizer as `processing_class`, and the model needs BIO names in `id2label`. Only the main process records.

    If the training is cut off, the file is `PATH.partial`. A training that continues from a checkpoint is refused.
    `options` are the options of `Recorder`.
    """

    def __init__(self, path: str | os.PathLike[str], sentences: Iterable[Mapping[str, Any]], **options: Any):
        self.path, self.sentences, self.options = path, list(sentences), options
        self.recorder: Recorder | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Opens the file."""
        if not state.is_world_process_zero:
            return
        if state.global_step:
            raise DynCleanError("the training goes on from a checkpoint, whose epochs were not recorded: start it anew")
        config = kwargs["model"].config
        tags = [config.id2label[i] for i in range(config.num_labels)]
        options = {
            "negatives": "all",
            "encoder": getattr(config, "_name_or_path", ""),
            "seed": args.seed,
            **self.options,
        }
        self.recorder = Recorder(self.path, self.sentences, tags=tags, **options)
        ids = {tag: i for i, tag in enumerate(tags)}
        self.expected = [
            np.array([IGNORED if tag is None else ids[tag] for tag in to_tags(sentence)[0]], np.int64)
            for sentence in check(self.sentences)
        ]

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Records the epoch."""
        if self.recorder is None:
            return
        model, loader = kwargs["model"], kwargs["train_dataloader"]
        tokenizer = kwargs.get("processing_class") or kwargs.get("tokenizer")
        if not getattr(tokenizer, "is_fast", False):
            raise DynCleanError("DynCleanCallback needs a fast tokenizer: Trainer(..., processing_class=tokenizer)")
        if not hasattr(loader.dataset, "__len__") or len(loader.dataset) != len(self.sentences):
            raise DynCleanError(
                f"the callback has {len(self.sentences)} sentences, which are not those of train_dataset"
            )
        was_training = model.training
        model.eval()
        batches = DataLoader(loader.dataset, args.per_device_eval_batch_size, collate_fn=loader.collate_fn)
        sentence = 0
        with torch.no_grad():
            for batch in batches:
                inputs = {name: t.to(model.device) for name, t in batch.items() if name != "labels"}
                logits = to_numpy(model(**inputs).logits)
                pieces, labels = to_numpy(batch["input_ids"]), to_numpy(batch["labels"])
                read = to_numpy(batch["attention_mask"]).astype(bool)
                for row in range(len(pieces)):
                    at = self._first_pieces(sentence, pieces[row][read[row]], labels[row][read[row]], tokenizer)
                    rows = np.full((len(self.expected[sentence]), logits.shape[2]), np.nan)
                    rows[at >= 0] = logits[row][read[row]][at[at >= 0]]
                    self.recorder.add_tags(sentence, rows)
                    sentence += 1
        model.train(was_training)
        self.recorder.end_epoch()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Closes the file."""
        if self.recorder is not None:
            self.recorder.close()

    def _first_pieces(self, sentence: int, pieces: Array, labels: Array, tokenizer: Any) -> Array:
        """Returns the row of the first piece of every word, or -1 if it was not read or its label is unknown."""
        words = list(self.sentences[sentence]["tokens"])
        encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=len(pieces))
        where = f"sentence {sentence} (from 0)"
        if list(encoded["input_ids"]) != pieces.tolist():
            raise DynCleanError(
                f"{where} has other words than row {sentence} of train_dataset: give its sentences in its order"
            )
        at = np.full(len(words), -1)
        for piece, word in reversed(list(enumerate(encoded.word_ids()))):
            if word is not None:
                at[word] = piece
        expected, seen = self.expected[sentence], at >= 0
        wrong = np.flatnonzero(seen & (labels[at] != expected))
        if len(wrong):
            word = int(wrong[0])
            raise DynCleanError(
                f"{where}, word {word} ({words[word]!r}): the model is trained with tag {labels[at[word]]} where the"
                f" sentence has {expected[word]}; the first piece of every word must carry the word's tag"
            )
        return np.where(expected == IGNORED, -1, at)
