"""Reference row ids of the paper's splits, from torch, and STS-B targets, from Python's own rounding.

Writes crates/adept-data/tests/fixtures/splits.json. The sizes are those of the official files
(../shared/spec/tasks.md); no data is read. Row ids are summarised by the SHA-256 of their little-endian 64-bit form,
with the first and last eight in plain. Run from the repository root:

    python tests/generators/splits_reference.py

Written with torch 2.15.0 and numpy 2 (float32 scores, as in the hub's loader).
"""

import hashlib
import json
import pathlib
import struct

import numpy
import torch

OUT = pathlib.Path("crates/adept-data/tests/fixtures/splits.json")
# Labelled rows of the official train and validation files.
SMALL = {
    "cola": (8551, 1043),
    "rte": (2490, 277),
    "mrpc": (3668, 408),
    "stsb": (5749, 1500),
    "multirc": (27243, 4848),
    "boolq": (9427, 3270),
    "wic": (5428, 638),
    "wsc": (554, 104),
    "cb": (250, 56),
    "copa": (400, 100),
    "superglue_rte": (2490, 277),
    "scitail": (23596, 1304),
}
# ReCoRD by queries, which are split before each answer becomes a row.
LARGE = {
    "qqp": (363846, 40430),
    "qnli": (104743, 5463),
    "sst2": (67349, 872),
    "record": (100730, 10000),
    "nq": (104071, 12836),
    "hotpotqa": (72928, 5901),
    "searchqa": (117384, 16980),
    "newsqa": (74160, 4212),
    "squad": (87599, 10570),
    "winogrande": (40398, 1267),
    "yelp_polarity": (560000, 38000),
}
LIMIT = {"yelp_polarity": 100000}
OFFICIAL = {
    "mnli": (392702, 9832, 9815),  # train, mismatched, matched
    "paws": (49401, 8000, 8000),
}


def permutation(n):
    return torch.randperm(n, generator=torch.Generator().manual_seed(42)).tolist()


def digest(ids):
    packed = b"".join(struct.pack("<Q", i) for i in ids)
    return {
        "rows": len(ids),
        "first": ids[:8],
        "last": ids[-8:],
        "sha256": hashlib.sha256(packed).hexdigest(),
    }


def splits(train, validation, test):
    return {"train": digest(train), "validation": digest(validation), "test": digest(test)}


tasks = {}
for name, (train, validation) in SMALL.items():
    order = permutation(validation)
    tasks[name] = {
        "official": [train, validation],
        **splits(list(range(train)), order[: validation // 2], order[validation // 2 :]),
    }
for name, (train, validation) in LARGE.items():
    order = permutation(train)
    tasks[name] = {
        "official": [train, validation],
        **splits(order[1000:][: LIMIT.get(name)], order[:1000], list(range(validation))),
    }
for name, sizes in OFFICIAL.items():
    tasks[name] = {"official": list(sizes), **splits(*(list(range(size)) for size in sizes))}

# STS-B: scores with three decimals, as the official files write them, through float32.
tenths, fifths = [], []
for thousandths in range(0, 5001):
    score = numpy.float32(thousandths / 1000)
    tenths.append(str(round(float(score) * 5 / 5, 1)))
    fifths.append("%.1f" % (numpy.round(score * numpy.float32(5)) / numpy.float32(5)))

permutations = {str(n): permutation(n) for n in (0, 1, 2, 5, 623, 624, 625)}
fixture = {
    "permutations": permutations,
    "tasks": tasks,
    "stsb": {"tenth": " ".join(tenths), "fifth": " ".join(fifths)},
}
OUT.parent.mkdir(parents=True, exist_ok=True)
OUT.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in fixture.items()) + "\n}\n")
print(f"{OUT}: {OUT.stat().st_size} bytes")
