"""Title mentions and stance on conversations that the judging model never saw, with baselines.

    python bench/mentions.py SAMPLES_DIR

Five folds by conversation. "typed" is the samples as they are; "spoken" is the same in lower case, unmarked;
"no films" is invented chat full of words that are titles, its lines dealt to folds as well. Baselines: every
whole-word match of a full title; the same with a stoplist (spoken rank under 3,000) and aliases.
`SAMPLES_DIR` holds `mentions` and `ranking` (ReDial, CC BY 4.0); nothing of it is kept.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from byleave.tailoring import models, train, train_stance
from byleave.words import mentions as m
from byleave.words.gazetteer import Gazetteer, Kind, Place, cut, group_key, spoken_rank
from byleave.words.stance import CLASSES

Choice = dict[int, list[tuple[int, int, int]]]
"""Text → (start, end, title index)."""
PARTS: dict[str, Callable[[str], bool]] = {
    "typed": lambda conv: "#" not in conv,
    "spoken": lambda conv: conv.endswith("#s"),
    "short, strange": lambda conv: conv.endswith("#c") and "#n" not in conv,
    "no films": lambda conv: "#n" in conv,
}


def baseline(gazetteer: Gazetteer, fitted: train.Fitted, stoplist: bool) -> Choice:
    """Longest whole-word matches, left to right."""
    flat = [text for texts in fitted.cuts for text in texts]

    def wanted(place: Place) -> bool:
        if not stoplist:
            return place.alias.kind == Kind.FULL and not place.edits
        common = max(spoken_rank(w) for w in place.alias.tokens) < 3000 and len(place.alias.tokens) < 3
        return place.alias.kind <= Kind.HEAD and not place.edits and not common

    places = sorted(
        (f.place for f in fitted.found if wanted(f.place)), key=lambda p: (p.text, p.first - p.last, p.first)
    )
    out: Choice = {}
    taken: set[tuple[int, int]] = set()
    for place in places:
        tokens = {(place.text, t) for t in range(place.first, place.last)}
        if taken.isdisjoint(tokens):
            taken |= tokens
            text = flat[place.text]
            span = (text.starts[place.first], text.ends[place.last - 1], place.alias.titles[0][0])
            out.setdefault(place.text, []).append(span)
    return out


def held_out(corpus: train.Corpus, fitted: train.Fitted, threshold: float) -> Choice:
    flat = [(who, text) for who, texts in zip(corpus.people, fitted.cuts, strict=True) for text in texts]
    chosen = m.choose(fitted.found, fitted.held_out, threshold)
    named = m.named_in_full(fitted.found, chosen)
    out: Choice = {}
    for at in chosen:
        found = fitted.found[at]
        who, text = flat[found.place.text]
        title = m.pick(
            found.place, text, corpus.gazetteer, fitted.counts[who.fold], named.get(found.group, set())
        )
        span = (text.starts[found.place.first], text.ends[found.place.last - 1], title)
        out.setdefault(found.place.text, []).append(span)
    return out


def score(corpus: train.Corpus, choice: Choice, part: str) -> tuple[float, float, float]:
    """(linked F1, same-year F1, false per 1,000 messages), counted as the samples' score.py counts."""
    titles = corpus.gazetteer.titles
    index = {t.id: i for i, t in enumerate(titles)}
    right = same = found = gold = false = messages = 0
    for number, (who, line) in enumerate((w, x) for w in corpus.people for x in w.lines):
        if not PARTS[part](who.conv):
            continue
        messages += 1
        spans = list(choice.get(number, []))
        for g in line.gold:
            gold += 1
            a, b = train.trim(line.text, g.start, g.end)
            for span in spans:
                both = min(b, span[1]) - max(a, span[0])
                if both > 0.5 * (max(b, span[1]) - min(a, span[0])):
                    spans.remove(span)
                    found += 1
                    right += group_key(titles[span[2]].title) == group_key(titles[index[g.title_id]].title)
                    same += titles[span[2]].id == g.title_id
                    break
        bad = [s for s in spans if not any(s[0] < y and x < s[1] for x, y in line.ignore)]
        false += len(bad)
        found += len(bad)
    total = max(1, found + gold)
    return 2 * right / total, 2 * same / total, 1000 * false / max(1, messages)


def stance_f1(examples: Sequence[train_stance.Example], margins: m.Matrix) -> list[float]:
    """F1 of liked, disliked, wants on the examples of the samples."""
    real = np.array([e.weight == 1.0 for e in examples])
    gold = np.array([e.label for e in examples])[real]
    said = margins[real].argmax(axis=1)
    return [
        2 * int(((gold == c) & (said == c)).sum()) / max(1, int((gold == c).sum() + (said == c).sum()))
        for c in range(3)
    ]


def main(samples: Path) -> None:
    corpus = models.sample_corpus(samples)
    fitted = train.fit(corpus, "held out")
    systems = {
        "whole-word gazetteer": baseline(corpus.gazetteer, fitted, stoplist=False),
        "+ stoplist, aliases": baseline(corpus.gazetteer, fitted, stoplist=True),
        "byleave, held out": held_out(corpus, fitted, fitted.data.threshold),
    }
    print(f"{'linked F1 / same year / false per 1,000':40}", *(f"{part:>20}" for part in PARTS))
    for name, choice in systems.items():
        cells = ["{:.3f} {:.3f} {:6.1f}".format(*score(corpus, choice, part)) for part in PARTS]
        print(f"{name:40}", *(f"{cell:>20}" for cell in cells))
    authors = [[line.text for line in w.lines] for w in corpus.people if "#" not in w.conv]
    model = m.MentionModel(fitted.data)
    start = time.process_time()
    for at in range(0, len(authors), 100):
        m.mentions_of(authors[at : at + 100], corpus.gazetteer, model)
    seconds = time.process_time() - start
    messages = sum(map(len, authors))
    start = time.process_time()
    for texts in authors:
        corpus.gazetteer.exact([cut(text) for text in texts])
    exact = time.process_time() - start
    print(
        f"messages/s of one core: {messages / seconds:.0f}; the whole-word pass alone {messages / exact:.0f}"
    )
    examples = [
        *models.sample_stances(samples / "mentions"),
        *models.invented_examples(models.STANCE_TALKS, models.STANCE_WEIGHT),
    ]
    f1 = stance_f1(examples, train_stance.fit(examples, "held out").held_out)
    liked = [0.0] * len(CLASSES)
    liked[0] = 1.0
    always = stance_f1(examples, np.tile(np.array(liked), (len(examples), 1)))
    print("stance F1 liked, disliked, wants, macro")
    for name, row in (("always liked", always), ("byleave, held out", f1)):
        print(f"{name:40}", *(f"{v:.3f}" for v in [*row, sum(row) / 3]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
