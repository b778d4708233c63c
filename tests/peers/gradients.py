"""Computes loss, logits, gradients and steps of AdamW of BERT + span classifier by PyTorch, for the test `gradients`.

Run: python3 gradients.py > ../golden/gradients.json       (torch >= 1.13, CPU, no other package)

Written from the papers, not from the Rust code: sentences are padded and masked, the span vector is concatenated,
and everything is an elementary PyTorch operation. Both sides compute the weights by the same formula, so that the
file stays small.
"""

import json

import torch

H, LAYERS, HEADS, INNER, VOCAB, POSITIONS, TYPES = 16, 2, 2, 24, 12, 16, 2
SHAPE_ROWS, SHAPE_DIM, WIDTH_DIM, HIDDEN, LABELS, MAX_WIDTH = 65, 32, 150, 150, 3, 3
EPS = 1e-12
STEPS, ENCODER_RATE, HEAD_RATE, WEIGHT_DECAY, CLIP_NORM = 5, 3e-4, 6e-4, 0.1, 100.0

# Pieces: 2 = [CLS], 3 = [SEP]; "Ada" = 4, "wrote" = 5, "notes" = 6 7, "." = 8, "Rome" = 9.
SENTENCES = [
    {"words": ["Ada", "wrote", "notes", "."], "pieces": [2, 4, 5, 6, 7, 8, 3], "first": [1, 2, 3, 5], "last": [1, 2, 4, 5],
     "shapes": [0, 2, 1, 1, 1, 49, 0]},
    {"words": ["ROME", "notes"], "pieces": [2, 9, 6, 7, 3], "first": [1, 2], "last": [1, 3], "shapes": [0, 8, 1, 1, 0]},
]


def weight(name, shape):
    """Returns numbers in -bound..bound from an integer hash of the name and the position."""
    salt = 0
    for byte in name.encode():
        salt = (salt * 31 + byte) % 2**32
    n = 1
    for d in shape:
        n *= d
    values = []
    for i in range(n):
        h = (i * 2654435761 + salt) % 2**32
        h ^= h >> 15
        h = h * 2246822519 % 2**32
        h ^= h >> 13
        values.append(h / 2**32 * 2 - 1)
    t = torch.tensor(values, dtype=torch.float64).reshape(shape)
    bound = 0.4 if len(shape) > 1 else 0.2
    t = t * bound
    if name.endswith("LayerNorm.weight"):
        t = t + 1
    # Rounded to single precision, in which the Rust side computes.
    return t.float().double().requires_grad_()


def parameters():
    shapes = {
        "embeddings.position_embeddings.weight": [POSITIONS, H],
        "embeddings.token_type_embeddings.weight": [TYPES, H],
        "embeddings.word_embeddings.weight": [VOCAB, H],
        "embeddings.LayerNorm.weight": [H],
        "embeddings.LayerNorm.bias": [H],
    }
    for i in range(LAYERS):
        at = f"encoder.layer.{i}."
        for part, outputs, inputs in [("attention.self.query", H, H), ("attention.self.key", H, H), ("attention.self.value", H, H),
                                      ("attention.output.dense", H, H), ("intermediate.dense", INNER, H), ("output.dense", H, INNER)]:
            shapes[at + part + ".weight"] = [outputs, inputs]
            shapes[at + part + ".bias"] = [outputs]
        for part in ["attention.output", "output"]:
            shapes[at + part + ".LayerNorm.weight"] = [H]
            shapes[at + part + ".LayerNorm.bias"] = [H]
    token = H + SHAPE_DIM
    shapes |= {
        "span_head.shapes.weight": [SHAPE_ROWS, SHAPE_DIM],
        "span_head.widths.weight": [MAX_WIDTH, WIDTH_DIM],
        "span_head.first.start.weight": [HIDDEN, token],
        "span_head.first.end.weight": [HIDDEN, token],
        "span_head.first.width.weight": [HIDDEN, WIDTH_DIM],
        "span_head.first.bias": [HIDDEN],
        "span_head.second.weight": [HIDDEN, HIDDEN],
        "span_head.second.bias": [HIDDEN],
        "span_head.output.weight": [LABELS, HIDDEN],
        "span_head.output.bias": [LABELS],
    }
    return {name: weight(name, shape) for name, shape in shapes.items()}


def encode(p, pieces, real):
    """pieces [B, T], real [B, T] (False at padding) -> [B, T, H]"""
    norm = lambda x, name: torch.nn.functional.layer_norm(x, [H], p[name + ".LayerNorm.weight"], p[name + ".LayerNorm.bias"], EPS)
    dense = lambda x, name: x @ p[name + ".weight"].T + p[name + ".bias"]
    b, t = pieces.shape
    x = p["embeddings.word_embeddings.weight"][pieces] + p["embeddings.position_embeddings.weight"][:t]
    x = norm(x + p["embeddings.token_type_embeddings.weight"][0], "embeddings")
    for i in range(LAYERS):
        at = f"encoder.layer.{i}."
        split = lambda y: y.reshape(b, t, HEADS, H // HEADS).transpose(1, 2)
        q, k, v = (split(dense(x, at + "attention.self." + part)) for part in ["query", "key", "value"])
        scores = q @ k.transpose(2, 3) / (H // HEADS) ** 0.5
        scores = scores.masked_fill(~real[:, None, None, :], float("-inf"))
        seen = (torch.softmax(scores, -1) @ v).transpose(1, 2).reshape(b, t, H)
        x = norm(dense(seen, at + "attention.output.dense") + x, at + "attention.output")
        x = norm(dense(torch.nn.functional.gelu(dense(x, at + "intermediate.dense")), at + "output.dense") + x, at + "output")
    return x


def forward(p):
    """Returns the summed loss, the logits [N, LABELS] and the targets of all spans."""
    longest = max(len(s["pieces"]) for s in SENTENCES)
    pieces = torch.tensor([s["pieces"] + [0] * (longest - len(s["pieces"])) for s in SENTENCES])
    real = torch.tensor([[i < len(s["pieces"]) for i in range(longest)] for s in SENTENCES])
    shapes = torch.tensor([s["shapes"] + [0] * (longest - len(s["shapes"])) for s in SENTENCES])
    tokens = torch.cat([encode(p, pieces, real), p["span_head.shapes.weight"][shapes]], -1)
    vectors, targets = [], []
    for b, s in enumerate(SENTENCES):
        n = len(s["words"])
        for start in range(n):
            for end in range(start, min(n, start + MAX_WIDTH)):
                parts = [tokens[b, s["first"][start]], tokens[b, s["last"][end]], p["span_head.widths.weight"][end - start]]
                vectors.append(torch.cat(parts))
                # Every third span is left out of the loss.
                i = len(targets)
                targets.append(None if i % 3 == 2 else i % LABELS if i % 2 else 0)
    first = torch.cat([p["span_head.first.start.weight"], p["span_head.first.end.weight"], p["span_head.first.width.weight"]], 1)
    x = torch.relu(torch.stack(vectors) @ first.T + p["span_head.first.bias"])
    x = torch.relu(x @ p["span_head.second.weight"].T + p["span_head.second.bias"])
    logits = x @ p["span_head.output.weight"].T + p["span_head.output.bias"]
    rows = [i for i, t in enumerate(targets) if t is not None]
    loss = torch.nn.functional.cross_entropy(logits[rows], torch.tensor([targets[i] for i in rows]), reduction="sum")
    return loss, logits, targets


def steps(p):
    """Does some steps of AdamW with clipping. Returns the loss before each, and the entries of largest gradient after all."""
    # Hugging Face's Trainer uses the same groups: biases and layer norms do not decay.
    decays = lambda name: not (name.endswith(".bias") or "LayerNorm" in name)
    of = lambda head, decay: [t for name, t in p.items() if name.startswith("span_head") == head and decays(name) == decay]
    group = lambda head, decay: {"params": of(head, decay), "lr": HEAD_RATE if head else ENCODER_RATE,
                                 "weight_decay": WEIGHT_DECAY if decay else 0.0}
    groups = [group(head, decay) for head in [False, True] for decay in [False, True]]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
    losses, largest = [], {}
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss, _, _ = forward(p)
        losses.append(loss.item())
        loss.backward()
        if not largest:
            largest = {name: t.grad.abs().flatten().topk(min(4, t.numel())).indices.tolist() for name, t in p.items()}
        torch.nn.utils.clip_grad_norm_(list(p.values()), CLIP_NORM)
        optimizer.step()
    after = {name: [[i, p[name].flatten()[i].item()] for i in sorted(at)] for name, at in largest.items()}
    return {"encoder_rate": ENCODER_RATE, "head_rate": HEAD_RATE, "weight_decay": WEIGHT_DECAY, "clip_norm": CLIP_NORM,
            "losses": losses, "after": after}


def main():
    p = parameters()
    loss, logits, targets = forward(p)
    loss.backward()
    gradients = {}
    for name, tensor in p.items():
        g = tensor.grad.flatten()
        # The norm, and the largest entries, where an error would show.
        largest = g.abs().topk(min(8, len(g))).indices.tolist()
        gradients[name] = {"shape": list(tensor.shape), "norm": g.norm().item(), "entries": [[i, g[i].item()] for i in sorted(largest)]}
    print(json.dumps({"sentences": SENTENCES, "targets": targets, "loss": loss.item(), "logits": logits.tolist(), "gradients": gradients, "steps": steps(parameters())}, indent=1))


main()
