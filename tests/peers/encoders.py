"""Makes tiny encoders of every supported family, and what transformers computes with them, for the test `encoders`.

    python encoders.py OUT        needs torch and transformers (golden files: torch 2.15.0, transformers 5.23.0)

Writes OUT/<family>/ with config.json, tokenizer files and random weights, and golden.json. golden.json holds pieces,
words and last hidden states of a few sentences that are already split into words. The folders differ on purpose, as
real checkpoints do: with and without a prefix of the task model, safetensors and pytorch_model.bin (single and half
precision, tied weights that share their storage), tokenizer.json or only vocabularies, three activations.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = """Ada Lovelace wrote the first notes on the Analytical Engine in London in 1843 .
The University of Göttingen and the Université de Montréal are older than the Osc-Dis album of 1999 .
Müller & Söhne GmbH paid $ 3.50 , or 12,000 yen , for Żubrówka in Kraków and Łódź on 24/12/2001 .
apple and Apple , NATO and nato , McDonald and mcdonald , don't and do n't , B2B and b2b .
東京 大学 は 日本 の 大学 です 。 Москва и Санкт-Петербург — города России .
""" * 3

SENTENCES = [
    ["Ada", "Lovelace", "wrote", "notes", "."],
    ["the", "UNIVERSITY", "of", "Göttingen", "(", "1737", ")"],
    # Decomposed accents, Cyrillic, Chinese, an emoji.
    ["Mu\u0308ller", "Москва", "東京大学", "🙂", "Łódź"],
    # A word of control characters only, a word of blanks only, a zero-width space, unknown letters.
    ["a", "\u0001\u0002", "\u00a0", "\u200b", "ᚠᚢᚦ", "b"],
    # Punctuation inside words, digits, an apostrophe.
    ["don't", "Osc-Dis", "3.50", "24/12/2001", "B2B", "U.S.", "...", "--", "http://x.org/a_b?c=1"],
    # Text that looks like special tokens.
    ["[SEP]", "<s>", "<pad>", "[PAD]", "</s>", "▁", "Ġ"],
    ["x"],
]

SIZES = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24)


def random_weights(model, seed):
    """Sets weights that are large enough: attention is not uniform, and every bias counts."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        is_norm = "norm" in name.lower() and name.endswith("weight")
        p.data = 1 + 0.2 * noise if is_norm else noise * (0.3 if p.dim() > 1 else 0.2)
    return model.eval()


def word_piece(lower):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lower)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(TEXT.split("\n"), trainers.WordPieceTrainer(vocab_size=190, special_tokens=special, show_progress=False))
    t.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    t.decoder = decoders.WordPiece()
    return t


def byte_level():
    t = Tokenizer(models.BPE())
    # As in published models: a word inside a text gets its blank from the text itself.
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    t.train_from_iterator(TEXT.split("\n"), trainer)
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    return t


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=190, special_tokens=special, unk_token="<unk>", show_progress=False)
    t.train_from_iterator(TEXT.split("\n"), trainer)
    t.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    t.decoder = decoders.Metaspace()
    return t


def fast(tokenizer, kind, **settings):
    names = (dict(cls_token="[CLS]", sep_token="[SEP]", unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]") if kind == "bert" else
             dict(bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>"))
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names, **settings)


def pieces_of(words, tokenizer):
    """Returns pieces as transformers splits words, and the word of each. A word without pieces becomes unknown."""
    encoded = tokenizer(words, is_split_into_words=True)
    pieces, owners = list(encoded.input_ids), list(encoded.word_ids(0))
    for word in range(len(words)):
        if word not in owners:
            at = next(i for i in range(1, len(owners)) if owners[i] is None or owners[i] > word)
            pieces.insert(at, tokenizer.unk_token_id)
            owners.insert(at, word)
    return pieces, owners


def golden(folder, model, tokenizer):
    """Writes what transformers computes for every sentence by itself."""
    sentences = []
    for words in SENTENCES:
        pieces, owners = pieces_of(words, tokenizer)
        ids = torch.tensor([pieces])
        with torch.no_grad():
            hidden = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        rows = [[round(v, 5) for v in row] for row in hidden.tolist()]
        sentences.append({"words": words, "pieces": pieces, "word_of_piece": owners, "hidden": rows})
    with open(folder / "golden.json", "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(s) for s in sentences) + "\n]\n")


def write(out, name):
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def bert_uncased(out):
    """Like sentence-transformers and most uncased checkpoints: no prefix, tokenizer.json, safetensors."""
    folder, tokenizer = write(out, "bert-uncased"), word_piece(lower=True)
    config = transformers.BertConfig(**SIZES, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=96)
    model = random_weights(transformers.BertModel(config, add_pooling_layer=False), 1)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    golden(folder, model, fast(tokenizer, "bert"))


def bert_cased(out):
    """Like BioBERT: only vocab.txt, the encoder under `bert.` in a task model, pytorch_model.bin."""
    folder, tokenizer = write(out, "bert-cased"), word_piece(lower=False)
    config = transformers.BertConfig(
        **SIZES, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=96, hidden_act="gelu_new")
    model = random_weights(transformers.BertForMaskedLM(config), 2)
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(piece + "\n" for piece, _ in vocabulary))
    (folder / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "model_max_length": 96}) + "\n")
    peer = transformers.BertTokenizerFast.from_pretrained(folder)
    golden(folder, model.bert, peer)


def roberta(out):
    """Like roberta-base: both kinds of tokenizer files, positions from 2, tied weights in pytorch_model.bin."""
    folder, tokenizer = write(out, "roberta"), byte_level()
    config = transformers.RobertaConfig(
        **SIZES, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=98, type_vocab_size=1, layer_norm_eps=1e-5)
    model = random_weights(transformers.RobertaForMaskedLM(config), 3)
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    tokenizer.model.save(str(folder))
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    peer = transformers.RobertaTokenizerFast.from_pretrained(folder, add_prefix_space=True)
    golden(folder, model.roberta, peer)


def xlm_roberta(out):
    """Like xlm-roberta-base: pieces by a unigram model, safetensors of a task model."""
    folder, tokenizer = write(out, "xlm-roberta"), unigram()
    config = transformers.XLMRobertaConfig(
        **SIZES, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=98, type_vocab_size=1, layer_norm_eps=1e-5,
        hidden_act="relu")
    model = random_weights(transformers.XLMRobertaForTokenClassification(config), 4)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    golden(folder, model.roberta, fast(tokenizer, "roberta"))


def distilbert(out):
    """Like distilbert-base-uncased: no token types, its own names; here in half precision."""
    folder, tokenizer = write(out, "distilbert"), word_piece(lower=True)
    config = transformers.DistilBertConfig(
        dim=16, n_layers=2, n_heads=2, hidden_dim=24, vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=96)
    model = random_weights(transformers.DistilBertForTokenClassification(config), 5).half()
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    golden(folder, model.float().distilbert, fast(tokenizer, "bert"))


def main():
    out = Path(sys.argv[1])
    for family in [bert_uncased, bert_cased, roberta, xlm_roberta, distilbert]:
        family(out)
        print(family.__name__)


main()
