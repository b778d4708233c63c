"""Runs the training of the trainer's benchmark `train` by PyTorch: same weights, batches and dropout rates.

Run: python3 train_speed.py FOLDER [--bf16] [--device cuda]        (torch >= 2.3 and safetensors)

FOLDER holds work.json and weights.safetensors, which the benchmark writes with --export. --encoder names the
encoder's folder if it is not the one of the benchmark. Scaled dot product attention and fused AdamW are on. Batches
are padded to their longest sentence, as is usual. It uses one thread, unless TORCH_THREADS says otherwise. It prints
JSON. The first epoch is a warm-up and is not counted.
"""

import argparse
import json
import os
import resource
import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

HEAD_DROPOUT = 0.2


class Dropout:
    """Dropout with the rates of the checkpoint's configuration. It is off in evaluation."""

    training = True

    def __init__(self, config):
        self.hidden = config["hidden_dropout_prob"]
        self.attention = config["attention_probs_dropout_prob"]

    def __call__(self, x, rate):
        return F.dropout(x, rate, self.training)


class Model:
    def __init__(self, weights, config, max_width, device):
        frozen = "embeddings.word_embeddings.weight"
        self.w = {name: w.to(device).clone().requires_grad_(name != frozen) for name, w in weights.items()}
        self.config, self.max_width = config, max_width
        self.dropout = Dropout(config)

    def parameters(self, head):
        return [w for name, w in self.w.items() if w.requires_grad and name.startswith("span_head.") == head]

    def linear(self, x, name):
        return F.linear(x, self.w[f"{name}.weight"], self.w.get(f"{name}.bias"))

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"],
                            self.config["layer_norm_eps"])

    def encode(self, pieces, mask):
        w, drop = self.w, self.dropout
        n, length = pieces.shape
        heads = self.config["num_attention_heads"]
        e = "embeddings."
        x = F.embedding(pieces, w[e + "word_embeddings.weight"]) + w[e + "position_embeddings.weight"][:length]
        x = drop(self.norm(x + w[e + "token_type_embeddings.weight"][0], e + "LayerNorm"), drop.hidden)
        split = lambda t: t.view(n, length, heads, -1).transpose(1, 2)
        for i in range(self.config["num_hidden_layers"]):
            at = f"encoder.layer.{i}."
            q, k, v = (split(self.linear(x, at + f"attention.self.{part}")) for part in ("query", "key", "value"))
            rate = drop.attention if drop.training else 0.0
            seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
            seen = self.linear(seen.transpose(1, 2).reshape(n, length, -1), at + "attention.output.dense")
            x = self.norm(drop(seen, drop.hidden) + x, at + "attention.output.LayerNorm")
            inner = self.linear(F.gelu(self.linear(x, at + "intermediate.dense")), at + "output.dense")
            x = self.norm(drop(inner, drop.hidden) + x, at + "output.LayerNorm")
        return x

    def forward(self, batch):
        w, drop, head = self.w, self.dropout, "span_head."
        x = self.encode(batch["pieces"], batch["mask"]).flatten(0, 1)
        if head + "shapes.weight" in w:
            x = torch.cat([x, F.embedding(batch["shapes"], w[head + "shapes.weight"])], -1)
        x = drop(x, HEAD_DROPOUT)
        # Projected once per token, as in the trainer.
        starts = F.linear(x, w[head + "first.start.weight"])
        ends = F.linear(x, w[head + "first.end.weight"])
        widths = F.linear(w[head + "widths.weight"], w[head + "first.width.weight"], w[head + "first.bias"])
        first = F.relu(starts[batch["start"]] + ends[batch["end"]] + widths[batch["width"]])
        second = F.relu(self.linear(drop(first, HEAD_DROPOUT), head + "second"))
        hidden = drop(second, HEAD_DROPOUT)
        return self.linear(hidden, head + "output"), hidden


def collate(sentences, max_width, device):
    longest = max(len(s["pieces"]) for s in sentences)
    pieces = torch.zeros(len(sentences), longest, dtype=torch.long)
    shapes = torch.zeros(len(sentences), longest, dtype=torch.long)
    start, end, width, labels = [], [], [], []
    for i, s in enumerate(sentences):
        pieces[i, : len(s["pieces"])] = torch.tensor(s["pieces"])
        shapes[i, : len(s["pieces"])] = torch.tensor(s["shapes"])
        for a in range(len(s["first"])):
            for b in range(a, min(len(s["first"]), a + max_width)):
                start.append(i * longest + s["first"][a])
                end.append(i * longest + s["last"][b])
                width.append(b - a)
        labels += s["labels"]
    lengths = torch.tensor([len(s["pieces"]) for s in sentences])
    mask = torch.arange(longest)[None] < lengths[:, None]
    # Without padding, no mask is needed, and the fastest attention can be used.
    mask = None if bool(mask.all()) else mask[:, None, None, :].to(device)
    columns = {"start": start, "end": end, "width": width, "labels": labels}
    return {"pieces": pieces.to(device), "shapes": shapes.flatten().to(device), "mask": mask,
            **{name: torch.tensor(column).to(device) for name, column in columns.items()}}


def top_negatives(hidden, labels, rate):
    """Returns the rows of the loss: positives, and the negatives most like them (DynClean, section 3.2)."""
    positive = labels > 0
    unit = F.normalize(hidden.detach().float(), dim=-1)
    scores = unit @ unit[positive].sum(0)
    scores[positive] = -torch.inf
    negatives = int((~positive).sum())
    keep = -int(-((1 - rate) * negatives - 1e-3) // 1)
    return torch.cat([positive.nonzero()[:, 0], scores.topk(keep).indices])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--encoder")
    args = parser.parse_args()
    folder, bf16, device = args.folder, args.bf16, torch.device(args.device)
    on_gpu = device.type == "cuda"
    torch.set_num_threads(int(os.environ.get("TORCH_THREADS", "1")))
    torch.manual_seed(1)
    with open(os.path.join(folder, "work.json")) as file:
        work = json.load(file)
    with open(os.path.join(args.encoder or work["encoder"], "config.json")) as file:
        config = json.load(file)
    model = Model(load_file(os.path.join(folder, "weights.safetensors")), config, work["max_span_width"],
                  device)
    groups = [{"params": model.parameters(False), "lr": work["encoder_rate"]},
              {"params": model.parameters(True), "lr": work["head_rate"]}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    sentences = work["sentences"]
    # As in the trainer on a GPU: more sentences at once, and sentences of similar length together.
    evaluated = sorted(sentences, key=lambda s: len(s["pieces"])) if on_gpu else sentences
    at_once = 128 if on_gpu else 32

    model.dropout.training = False
    with torch.no_grad():
        batch = collate(sentences[:8], work["max_span_width"], device)
        first_loss = float(F.cross_entropy(model.forward(batch)[0], batch["labels"], reduction="sum"))

    def clock():
        if on_gpu:
            torch.cuda.synchronize(device)
        return time.process_time(), time.perf_counter()

    training, dynamics = [], []
    for order in work["orders"]:
        began = clock()
        model.dropout.training = True
        for numbers in order:
            batch = collate([sentences[i] for i in numbers], work["max_span_width"], device)
            with autocast:
                logits, hidden = model.forward(batch)
            rows = top_negatives(hidden, batch["labels"], work["negative_rate"])
            loss = F.cross_entropy(logits[rows].float(), batch["labels"][rows], reduction="sum")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss.item()
        trained = clock()
        model.dropout.training = False
        recorded = []
        with torch.inference_mode(), autocast:
            for at in range(0, len(evaluated), at_once):
                batch = collate(evaluated[at : at + at_once], work["max_span_width"], device)
                recorded.append(model.forward(batch)[0].float().cpu().numpy())
        done = clock()
        training.append([b - a for a, b in zip(began, trained)])
        dynamics.append([b - a for a, b in zip(trained, done)])

    def mean(parts):
        cpu, wall = (sum(column[1:]) / (len(column) - 1) for column in zip(*parts))
        return {"cpu_s_per_epoch": cpu, "wall_s_per_epoch": wall}

    peak = torch.cuda.max_memory_allocated(device) if on_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"first_loss": first_loss, "training": mean(training), "dynamics": mean(dynamics),
                      "peak_mib": peak / 2**20, "device": str(device)}))


main()
