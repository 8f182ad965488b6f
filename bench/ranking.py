"""Ranking: recall at 1, 10, 50 of the title that a recommender is the first to name, no repeats.

    python bench/ranking.py SAMPLES_DIR

Five folds by conversation; popularity, EASE and the mix in the same run. `SAMPLES_DIR` holds `mentions` and
`ranking` (ReDial, CC BY 4.0); nothing of it is kept.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from byleave.tailoring.models import sample_titles
from byleave.tailoring.ranker import Counts, Mix, Ranker, TransientTaste, counted
from byleave.words.mentions import slot_hash

MIXES = {
    "popularity": Mix(ease=0.0, words=0.0, recent=0.0, fame=1.0),
    "EASE": Mix(fame=1e-6, words=0.0, recent=0.0),
    "mix": Mix(),
}


def main(samples: Path) -> None:
    titles = sample_titles(samples / "mentions")
    with (samples / "ranking" / "train.jsonl").open(encoding="utf-8") as file:
        talks = [json.loads(line) for line in file]
    hits: dict[str, list[int]] = {name: [0, 0, 0] for name in MIXES}
    cases = 0
    for k in range(5):
        inside = [t for t in talks if slot_hash("rank", t["conv"]) % 5 != k]
        baskets = [{e["title_id"] for e in t["events"]} for t in inside]
        fame = Counter(
            t for talk in inside for t in {e["title_id"] for e in talk["events"] if e["by"] == "recommender"}
        )
        exact = counted(baskets, titles)
        counts = Counts(dict(fame), exact.ids, exact.gram)
        rankers = {name: Ranker(titles, counts, mix=mix) for name, mix in MIXES.items()}
        for talk in (t for t in talks if slot_hash("rank", t["conv"]) % 5 == k):
            before: list[str] = []
            for event in talk["events"]:
                title = event["title_id"]
                if event["by"] == "recommender" and title not in before:
                    cases += 1
                    for name, ranker in rankers.items():
                        answer = [r.title_id for r in ranker.rank(TransientTaste(dict.fromkeys(before, 1.0)))]
                        for at, n in enumerate((1, 10, 50)):
                            hits[name][at] += title in answer[:n]
                if title not in before:
                    before.append(title)
    print(f"{cases} cases, no repeats   R@1   R@10   R@50   (bar .032 .115 .23)")
    for name, found in hits.items():
        print(f"{name:24}", *(f"{n / cases:6.3f}" for n in found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
