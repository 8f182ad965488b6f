"""Builds src/byleave/words/models/rescorer.json, the forest behind the NER model of the tier `full`.

    pip install -r requirements-ner.lock lightgbm
    PYTHONPATH=src python tools/rescorer.py [--lines 40000] [--seed 7] [--threshold 0.5] [--check]

Lines come from rescorer_lines.py; each goes through the tier `plain`, then the model, and every word that is
suspected but not covered becomes a row: 1 where it is personal data. One thread and a fixed seed: the same
versions of onnxruntime and lightgbm on the same processor give the same bytes (`--check` compares).
Prints what the forest says of lines of another seed, by threshold.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import lightgbm
import msgspec
import numpy as np
from rescorer_lines import Line, made

from byleave.words import ner
from byleave.words.folding import folded
from byleave.words.mask import Hits, _by_lists
from byleave.words.people import People
from byleave.words.titles import Titles
from byleave.words.trees import Forest, from_lightgbm

OUT = Path(__file__).parent.parent / "src" / "byleave" / "words" / "models" / "rescorer.json"
ROUNDS = 260
PARAMETERS = {
    "objective": "binary", "learning_rate": 0.06, "num_leaves": 31, "min_data_in_leaf": 40, "feature_fraction": 0.6,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 3.0, "max_depth": 8, "num_threads": 1,
    "deterministic": True, "force_row_wise": True, "verbosity": -1, "seed": 7,
}  # fmt: skip
NOBODY, NONE = People(()), Titles()


def table(lines: list[Line]) -> tuple[np.ndarray, np.ndarray]:
    """(features, labels) of the suspected words of all lines."""
    rows, labels = [], []
    for at in range(0, len(lines), 256):
        about, spans = [], []
        for line in lines[at : at + 256]:
            found: Hits = []
            source = folded(line.text)
            if source.starts:
                continue
            asked = ner.asked(line.text, _by_lists(line.text, NOBODY, NONE, "full", "", found), NONE)
            if asked is not None:
                about.append(asked)
                spans.append(line.spans)
        for asked, suspects, personal in zip(about, ner.suspects(about), spans, strict=True):
            for row in suspects:
                start = asked.line[row.at].start
                rows.append(row.features)
                labels.append(any(a <= start < b for a, b in personal))
    return np.array(rows), np.array(labels, dtype=np.int64)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--lines", type=int, default=40_000)
    options.add_argument("--seed", type=int, default=7)
    options.add_argument("--threshold", type=float, default=0.5)
    options.add_argument("--check", action="store_true")
    given = options.parse_args()
    x, y = table(list(made(given.seed, given.lines)))
    booster = lightgbm.train(PARAMETERS, lightgbm.Dataset(x, label=y), num_boost_round=ROUNDS)
    trees = from_lightgbm(booster.dump_model(), digits=4)
    raw = msgspec.json.encode(ner.Rescorer(given.threshold, trees))
    if given.check:
        sys.exit(0 if raw == OUT.read_bytes() else "rescorer.json differs from what this build makes")
    OUT.write_bytes(raw)
    held, truth = table(list(made(given.seed + 1000, given.lines // 8)))
    sure = Forest(trees).probability(held)
    print(f"{len(y):,} words, {y.mean():.2f} personal; {len(raw):,} bytes")
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        hit = sure >= threshold
        print(f"  {threshold:.1f}: found {hit[truth == 1].mean():.3f}, wrongly {hit[truth == 0].mean():.3f}")


if __name__ == "__main__":
    main()
