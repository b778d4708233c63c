"""Reads a .dyn file and prints its content as JSON. It has made tests/golden/v*.json.

Run: python3 read_dyn.py ../golden/v1.dyn > ../golden/v1.json

Written from docs/FORMAT.md alone, with Python's standard library. If the package xxhash is installed, checksums are
verified, too. Values that are not finite numbers are printed as null.
"""

import json
import math
import struct
import sys

try:
    import xxhash
except ImportError:
    xxhash = None
    print("xxhash is not installed: checksums are not verified", file=sys.stderr)


class Payload:
    """A payload that is read from its start."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        assert self.at + size <= len(self.data), "the payload ends too early"
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def u16(self):
        return self.number("H")

    def u32(self):
        return self.number("I")

    def u64(self):
        return self.number("Q")

    def f64(self):
        return self.number("d")

    def string(self):
        return self.take(self.u64()).decode("utf-8")

    def list(self, element):
        return [element() for _ in range(self.u64())]

    def choice(self, *names):
        return names[self.u32()]

    def column(self, code, n):
        values = struct.unpack(f"<{n}{code}", self.take(n * struct.calcsize("<" + code)))
        return [v if math.isfinite(v) else None for v in values]

    def done(self):
        assert self.at == len(self.data), "the payload has bytes left"


def run_name(p):
    return p.choice("main", "threshold")


def info(p):
    return {
        "name": p.string(),
        "written_by": p.string(),
        "encoder": p.string(),
        "seed": p.u64(),
        "negatives": p.choice("top", "all"),
        "max_span_width": p.u32(),
        "settings": p.list(lambda: [p.string(), p.string()]),
    }


def text(p):
    tokens = p.string().encode("utf-8")
    token_ends, sentence_ends = p.list(p.u32), p.list(p.u32)
    extra = p.list(lambda: [p.u32(), json.loads(p.string())])
    words = [tokens[a:b].decode("utf-8") for a, b in zip([0] + token_ends, token_ends)]
    return [words[a:b] for a, b in zip([0] + sentence_ends, sentence_ends)], extra


def entities(p):
    columns = [p.list(p.u32), p.list(p.u32), p.list(p.u32), p.list(p.u16)]
    unknown = p.list(lambda: [p.u32(), p.u32(), p.u32()])
    return {"entities": [list(e) for e in zip(*columns, strict=True)], "unknown": unknown}


def epoch(p):
    run, number, n_spans, n_types = run_name(p), p.u32(), p.u64(), p.u32()
    precision = p.choice("f16", "f32")
    columns = [p.column({"f16": "e", "f32": "f"}[precision], n_spans) for _ in range(n_types)]
    return run, {"epoch": number, "precision": precision, "columns": columns}


def margins(p):
    run, number, n_spans = run_name(p), p.u32(), p.u64()
    return run, {"epoch": number, "margins": p.column("f", n_spans)}


def score(p):
    run = run_name(p)
    names = ["epoch", "train_loss", "precision", "recall", "f1", "correct", "predicted", "actual"]
    readers = [p.u32] + [p.f64] * 4 + [p.u64] * 3
    return run, {name: read() for name, read in zip(names, readers)}


def samples(p):
    scheme = p.choice("fake-class", "fake-class-positives", "random-other")
    return {"scheme": scheme, "spans": p.list(p.u32), "assigned": p.list(p.u16)}


def read(data):
    assert data[:8] == b"\x89DYN\r\n\x1a\n", "no .dyn file"
    version = struct.unpack("<I", data[8:12])[0]
    assert version in (1, 2), f"version {version}"
    runs = {name: {"epochs": [], "scores": []} for name in ("main", "threshold")}
    found = {"version": version, "gold": None, "samples": None, "complete": False, "runs": runs}
    at = 12
    while at + 20 <= len(data) and not found["complete"]:
        tag = data[at : at + 4]
        length, checksum = struct.unpack("<QQ", data[at + 4 : at + 20])
        payload = data[at + 20 : at + 20 + length]
        if len(payload) < length:
            break
        if xxhash:
            assert xxhash.xxh3_64_intdigest(payload) == checksum, f"checksum of {tag}"
        at += 20 + length
        p = Payload(payload)
        if tag == b"INFO":
            found["info"] = info(p)
        elif tag == b"LABL":
            found["labels"] = p.list(p.string)
        elif tag == b"TEXT":
            found["sentences"], found["extra"] = text(p)
        elif tag == b"DIST":
            found["distant"] = entities(p)
        elif tag == b"GOLD":
            found["gold"] = entities(p)
        elif tag in (b"EPOC", b"MARG"):
            run, values = (epoch if tag == b"EPOC" else margins)(p)
            runs[run]["epochs"].append(values)
        elif tag == b"SCOR":
            run, values = score(p)
            runs[run]["scores"].append(values)
        elif tag == b"SAMP":
            found["samples"] = samples(p)
        elif tag == b"END ":
            found["complete"] = True
        else:
            continue
        p.done()
    return found


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        json.dump(read(file.read()), sys.stdout, ensure_ascii=False, indent=1, allow_nan=False)
        print()
