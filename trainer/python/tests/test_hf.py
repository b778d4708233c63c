"""Hugging Face datasets and Trainer. The tests use the real libraries: they cast a dataset and train for a step."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dynclean import DynCleanError, apply, dataset_card, from_hf, read, to_hf

datasets = pytest.importorskip("datasets", reason="datasets is not installed")

TAGS = ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]


def test_tags_of_a_dataset(sentences: Any) -> None:
    sentences[1]["id"] = "p"
    dataset = to_hf(sentences)
    assert dataset.features["ner_tags"].feature.names == TAGS
    assert dataset["ner_tags"][:] == [[3, 4, 0, 0, 1], [3], [], [-100, 0, 1]]
    assert dataset["id"][:] == [None, "p", None, None]
    # Another order, and one more type.
    tags = ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]
    assert to_hf(sentences, tags)["ner_tags"][0] == [0, 1, 2, 2, 3]
    with pytest.raises(DynCleanError, match="lack LOC"):
        to_hf(sentences, ["O", "B-PER", "I-PER"])


def test_sentences_go_through_a_dataset(sentences: Any, tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    to_hf(sentences).to_parquet(path)
    found = from_hf(datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path)))
    assert found == [
        {**s, "entities": s["entities"], **({"unknown": s["unknown"]} if "unknown" in s else {})} for s in sentences
    ]


def test_overlaps_are_told() -> None:
    nested = [{"tokens": ["New", "York", "Times"], "entities": [[0, 1, "LOC"], [0, 2, "ORG"]]}]
    with pytest.warns(UserWarning, match="1 entities overlap"):
        assert from_hf(to_hf(nested))[0]["entities"] == [[0, 2, "ORG"]]


def test_names_and_irregular_tags() -> None:
    columns = {"words": [["Ada", "wrote"]], "labels": [["I-PER", "O"]], "id": [3], "unknown": [["a name of its own"]]}
    dataset = datasets.Dataset.from_dict(columns)
    with pytest.warns(UserWarning, match="1 tags I-X continue nothing"):
        assert from_hf(dataset, tokens="words", tags="labels") == [
            {"tokens": ["Ada", "wrote"], "entities": [[0, 0, "PER"]], "id": 3}
        ]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"tokens": [["a"]], "tags": [["O"]]}, "no column 'ner_tags'"),
        ({"tokens": [["a"]], "ner_tags": [[1]]}, "row 0 .*ids without names"),
        ({"tokens": [["a"]], "ner_tags": [["S-PER"]]}, "row 0 .*not BIO"),
        ({"tokens": [["a", "b"]], "ner_tags": [["O"]]}, "2 tokens and 1 tags"),
    ],
)
def test_datasets_that_cannot_be_read(columns: Any, said: str) -> None:
    with pytest.raises(DynCleanError, match=said):
        from_hf(datasets.Dataset.from_dict(columns))


PROVENANCE = {
    "written_by": "DynClean 0.1.0",
    "dynamics": "d1" * 16,
    "settings": {"window": {"first": 1, "last": 3}, "metric": "trust"},
    "changes": [
        {"sentence": 0, "start": 0, "end": 1, "text": "Ada Lovelace", "was": "PER", "now": None, "by": "rule"},
        {"sentence": 0, "start": 4, "end": 4, "text": "London", "was": "LOC", "now": "ORG", "by": "hand"},
        {"sentence": 1, "start": 0, "end": 0, "text": "Paris", "was": "PER", "now": None, "by": "rule"},
    ],
}


def test_decisions_on_a_dataset_keep_its_ids(sentences: Any, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(PROVENANCE))
    tags = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    cleaned = apply(path, to_hf(sentences, tags))
    assert cleaned.features["ner_tags"].feature.names == [*tags, "B-ORG", "I-ORG"]
    assert cleaned["ner_tags"][:] == [[-100, -100, 0, 0, 5], [-100], [], [-100, 0, 3]]


def test_a_card_tells_what_was_cleaned(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    path = tmp_path / "p.json"
    path.write_text(json.dumps(PROVENANCE))
    card = hub.DatasetCard(dataset_card(path))
    assert card.data.to_dict()["task_ids"] == ["named-entity-recognition"]
    assert "| LOC | ORG | hand | 1 |\n| PER | unknown | rule | 2 |" in card.text
    assert "3 spans changed. Judged by trust over epochs 1-3" in card.text
    with pytest.raises(DynCleanError, match="lacks 'changes'"):
        dataset_card({})


# ---------------------------------------------------------------- the Trainer

WORDS = ["Ada", "Love", "##lace", "wrote", "in", "London", "Paris", "Bob", "saw"]


@pytest.fixture
def parts(sentences: Any, tmp_path: Path) -> Any:
    """Returns a tiny BERT with random weights, its tokenizer, and the sentences as it reads them."""
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(1)
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    from tokenizers import BertWordPieceTokenizer

    wordpiece = BertWordPieceTokenizer(str(vocabulary), lowercase=False)
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=wordpiece._tokenizer, **special)
    config = transformers.BertConfig(
        vocab_size=14,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=5,
        id2label=dict(enumerate(TAGS)),
        label2id={tag: i for i, tag in enumerate(TAGS)},
    )
    model = transformers.BertForTokenClassification(config)

    def encode(row: Any) -> Any:
        encoded = tokenizer(row["tokens"], is_split_into_words=True, truncation=True, max_length=7)
        words, before = encoded.word_ids(), None
        labels = []
        for word in words:
            labels.append(row["ner_tags"][word] if word is not None and word != before else -100)
            before = word
        return {**encoded, "labels": labels}

    return transformers, model, tokenizer, to_hf(sentences), encode


def train(parts: Any, callback: Any, folder: Path, dataset: Any = None, **options: Any) -> Any:
    transformers, model, tokenizer, given, encode = parts
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=3,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        learning_rate=0.05,
        **options,
    )
    trainer = transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=(given if dataset is None else dataset).map(encode),
        processing_class=tokenizer,
        callbacks=[callback],
        data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
    )
    trainer.train()
    return model


def test_the_callback_records_what_the_model_says(parts: Any, sentences: Any, tmp_path: Path, peer: ModuleType) -> None:
    import torch

    from dynclean import DynCleanCallback

    path = tmp_path / "hf.dyn"
    model = train(parts, DynCleanCallback(path, sentences, name="tiny"), tmp_path)
    found = peer.read(path.read_bytes())
    assert found["complete"]
    assert (found["info"]["name"], found["info"]["negatives"], found["labels"]) == ("tiny", "all", ["LOC", "PER"])
    assert [epoch["epoch"] for epoch in found["runs"]["main"]["epochs"]] == [1, 2]
    last = found["runs"]["main"]["epochs"][-1]["margins"]
    # Call the model after the last epoch. The pieces of sentence 0 are
    # [CLS] Ada Love ##lace wrote in [SEP]; London does not fit.
    pieces = [["[CLS]", "Ada", "Love", "##lace", "wrote", "in", "[SEP]"], ["[CLS]", "Paris", "[SEP]"]]
    ids = [[parts[2].convert_tokens_to_ids(piece) for piece in sentence] for sentence in pieces]
    with torch.no_grad():
        first, second = (model.eval()(input_ids=torch.tensor([i])).logits[0].double().numpy() for i in ids)

    def margin(row: Any, tag: str) -> float:
        others = [z for i, z in enumerate(row) if TAGS[i] != tag]
        return float(row[TAGS.index(tag)] - max(others))

    ada, love, wrote, paris = first[1], first[2], first[4], second[1]
    # [0, 1] is PER and ends before "wrote".
    expected = min(margin(ada, "B-PER"), margin(love, "I-PER"), -margin(wrote, "I-PER"))
    assert last[1] == pytest.approx(expected, abs=1e-4)
    # [0, 0] is O.
    scores = [min(margin(ada, f"B-{k}"), -margin(love, f"I-{k}")) for k in ("LOC", "PER")]
    assert last[0] == pytest.approx(-max(scores), abs=1e-4)
    # Paris is PER.
    assert last[15] == pytest.approx(margin(paris, "B-PER"), abs=1e-4)
    # London was not read, so spans that contain it or end before it are not known. Spans with Bob are unknown, too.
    rows = read(path, decide=False)
    unread = (rows["sentence"] == 0) & (rows["end"] >= 3)
    bob = (rows["sentence"] == 3) & (rows["start"] == 0)
    np.testing.assert_array_equal(np.isnan(rows["aum"]), unread | bob)


def test_other_sentences_than_are_trained_on_are_refused(parts: Any, sentences: Any, tmp_path: Path) -> None:
    from dynclean import DynCleanCallback

    with pytest.raises(DynCleanError, match="3 sentences, which are not those"):
        train(parts, DynCleanCallback(tmp_path / "a.dyn", sentences[:3]), tmp_path)
    with pytest.raises(DynCleanError, match=r"sentence 0 \(from 0\) has other words than row 0"):
        train(parts, DynCleanCallback(tmp_path / "b.dyn", [*sentences[1:], sentences[0]]), tmp_path)
    sentences[1]["entities"] = [[0, 0, "LOC"]]
    with pytest.raises(DynCleanError, match=r"sentence 1 .*word 0 \('Paris'\).* tag 3 where the sentence has 1"):
        train(parts, DynCleanCallback(tmp_path / "c.dyn", sentences), tmp_path)
    parts[1].config.id2label = {i: f"LABEL_{i}" for i in range(5)}
    with pytest.raises(DynCleanError, match="LABEL_0"):
        train(parts, DynCleanCallback(tmp_path / "d.dyn", sentences), tmp_path)


def test_unknown_tokens_are_left_out_of_the_loss(parts: Any, sentences: Any, tmp_path: Path) -> None:
    import torch

    _, model, _, dataset, encode = parts
    rows = [encode(row) for row in dataset]
    assert rows[3]["labels"] == [-100, -100, 0, 1, -100]
    batch = {name: torch.tensor([rows[3][name]]) for name in ("input_ids", "labels")}
    output = model.eval()(**batch)
    by_hand = torch.nn.functional.cross_entropy(output.logits[0, 2:4], torch.tensor([0, 1]))
    assert output.loss.item() == pytest.approx(by_hand.item(), abs=1e-6)
    before = model.classifier.weight.detach().clone()
    output.loss.backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    assert not torch.equal(before, model.classifier.weight)
