"""Training of the models in `words/models` (`make models`; docs/models.md is their card).

Rules of this file:

1. The same bytes from the same seed and the same texts: one thread, no clock, every order fixed.
2. Every counted feature is out of fold: a conversation is never judged by counts that it is part of.
3. What is written holds counts, hashes and trees, never a text. Samples are read where they are.

LightGBM is needed here only (`pip install byleave[train]`); what ships is read by `words.trees`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from byleave.words import mentions as m
from byleave.words.gazetteer import Gazetteer, Text, cut, group_key
from byleave.words.trees import Forest, Matrix, Trees, from_lightgbm, mean, rows

FOLDS = 5


class Gold(NamedTuple):
    start: int
    end: int
    title_id: str


class Line(NamedTuple):
    """One labelled text. `ignore`: spans that are neither right nor wrong."""

    conv: str
    speaker: str
    text: str
    gold: tuple[Gold, ...] = ()
    ignore: tuple[tuple[int, int], ...] = ()


class Author(NamedTuple):
    """One author's lines in one conversation, the unit of `mentions`."""

    conv: str
    speaker: str
    lines: tuple[Line, ...]
    weight: float
    fold: int


def authors(lines: Iterable[Line], weight: float = 1.0) -> list[Author]:
    """Lines by (conversation, speaker) in the order of their first line; the conversation gives the fold."""
    by: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        by.setdefault((line.conv, line.speaker), []).append(line)
    return [
        Author(conv, speaker, tuple(ls), weight, m.slot_hash("fold", conv.split("#")[0]) % FOLDS)
        for (conv, speaker), ls in by.items()
    ]


def spoken(line: Line, tag: str = "#s") -> Line:
    """The line as a transcript would have it: lower case, without marks; offsets follow."""
    out: list[str] = []
    where = [0] * (len(line.text) + 1)
    for at, char in enumerate(line.text):
        where[at] = len(out)
        low = char.lower()
        if char.isalnum() or char in " '’&":
            if char != " " or (out and out[-1] != " "):
                out.append(low if len(low) == 1 else char)
        elif char in "-/" and out and out[-1] != " ":
            out.append(" ")
    where[len(line.text)] = len(out)
    return Line(
        line.conv + tag,
        line.speaker,
        "".join(out),
        tuple(Gold(where[g.start], where[g.end], g.title_id) for g in line.gold),
        tuple((where[a], where[b]) for a, b in line.ignore),
    )


class Counts:
    """`mentions.Scores` as counted from judged places; what a model file will carry."""

    def __init__(self) -> None:
        self.slots: dict[tuple[str, str], list[float]] = {}
        self.base = [1.0, 1.0]
        self.bag_base = [1.0, 1.0]
        self.yes: Counter[str] = Counter()
        self.no: Counter[str] = Counter()
        self.fame: Counter[tuple[str, int]] = Counter()

    def add(self, slot: str, word: str, label: int, weight: float) -> None:
        if word:
            self.slots.setdefault((slot, word), [0.0, 0.0])[label] += weight

    def odds(self, slot: str, word: str) -> float:
        seen = self.slots.get((slot, word))
        if seen is None or seen[0] + seen[1] < 3:
            return 0.0
        no, yes = self.bag_base if slot == "m" else self.base
        prior = yes / (yes + no)
        p = (seen[1] + 3 * prior) / (sum(seen) + 3)
        return round(math.log(p / (1 - p)) - math.log(prior / (1 - prior)), 2)

    def alias(self, key: str) -> tuple[float, float]:
        return float(self.yes[key]), float(self.no[key])

    def popularity(self, group: str, year: int) -> float:
        return float(self.fame[group, year])

    def knows(self, gazetteer: Gazetteer) -> float:
        return 1.0


class Strange:
    """Scores of a catalogue that nobody has spoken of yet: words are known, titles are not."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def odds(self, slot: str, word: str) -> float:
        return self._counts.odds(slot, word)

    def alias(self, key: str) -> tuple[float, float]:
        return 0.0, 0.0

    def popularity(self, group: str, year: int) -> float:
        return 0.0

    def knows(self, gazetteer: Gazetteer) -> float:
        return 0.0


def pieces(people: Sequence[Author], weight: float, rng: np.random.Generator) -> list[Author]:
    """The same authors in runs of one to thirty lines, mostly short, tagged "#c": talks that have hardly
    begun, over a catalogue that is strange to the model (see `Strange`)."""
    out = []
    for who in people:
        at = 0
        while at < len(who.lines):
            end = at + int(rng.choice((1, 2, 3, 4, 30)))
            conv = f"{who.conv}#{at}#c"
            out.append(who._replace(conv=conv, lines=who.lines[at:end], weight=weight))
            at = end
    return out


def label(
    found: Sequence[m.Found], people: Sequence[Author], cuts: Sequence[Sequence[Text]], gazetteer: Gazetteer
) -> list[int]:
    """1 where place and title are right, 0 where the place is no mention, -1 where it may be ignored."""
    flat = [
        (line, text)
        for who, texts in zip(people, cuts, strict=True)
        for line, text in zip(who.lines, texts, strict=True)
    ]
    groups = {t.id: group_key(t.title) for t in gazetteer.titles}
    out = []
    for f in found:
        line, text = flat[f.place.text]
        start, end = text.starts[f.place.first], text.ends[f.place.last - 1]
        answer = 0
        for gold in line.gold:
            a, b = trim(line.text, gold.start, gold.end)
            both = min(end, b) - max(start, a)
            if both > 0.5 * (max(end, b) - min(start, a)):
                mine = {group_key(gazetteer.titles[i].title) for i, _ in f.place.alias.titles}
                answer = max(answer, int(groups.get(gold.title_id, "?") in mine))
        if not answer and any(start < b and a < end for a, b in line.ignore):
            answer = -1
        out.append(answer)
    return out


def trim(text: str, start: int, end: int) -> tuple[int, int]:
    """A labelled span without the year behind it and the article before it."""
    inside = (
        re.sub(r"[\s(]*\(?(19|20)\d\d\)?\W*$", "", text[start:end]) if end - start > 6 else text[start:end]
    )
    end = start + len(inside)
    head = re.match(r"(?:\W|_)*(?:(?:the|a|an)\s+(?=\w))?", text[start:end], re.I)
    skip = head.end() if head else 0
    return (start + skip, end) if skip < end - start else (start, end)


def count(
    people: Sequence[Author],
    cuts: Sequence[Sequence[Text]],
    found: Sequence[m.Found],
    labels: Sequence[int],
    gazetteer: Gazetteer,
    fame: Counter[tuple[str, int]],
    keep: Callable[[int], bool],
) -> Counts:
    """Counts over the authors whose fold `keep` lets in."""
    counts = Counts()
    counts.fame.update(fame)
    flat = [
        (who, line, text)
        for who, texts in zip(people, cuts, strict=True)
        for line, text in zip(who.lines, texts, strict=True)
    ]
    titles = {t.id: t for t in gazetteer.titles}
    for who, line, text in flat:
        if not keep(who.fold):
            continue
        inside = {i for g in line.gold for i in range(len(text.words)) if g.start <= text.starts[i] < g.end}
        if line.gold:
            counts.bag_base[1] += who.weight
        else:
            counts.bag_base[0] += who.weight
        for word in sorted({w for i, w in enumerate(text.words) if i not in inside}):
            counts.add("m", word, int(bool(line.gold)), who.weight)
        if "#" not in who.conv:
            for gold in line.gold:
                title = titles.get(gold.title_id)
                if title:
                    counts.fame[group_key(title.title), title.year] += 1
    best: dict[int, list[tuple[int, int]]] = {}
    for f, answer in zip(found, labels, strict=True):
        if answer == 1:
            best.setdefault(f.place.text, []).append((f.place.first, f.place.last))
    for f, answer in zip(found, labels, strict=True):
        who, _, text = flat[f.place.text]
        if answer < 0 or not keep(who.fold):
            continue
        if answer == 0 and any(a < f.place.last and f.place.first < b for a, b in best.get(f.place.text, [])):
            continue  # inside a right one: says nothing of its neighbours
        counts.base[answer] += who.weight
        p1, p2, n1, n2 = m.neighbours(f.place, text)
        for slot, word in (("p1", p1), ("p2", p2), ("n1", n1), ("n2", n2)):
            counts.add(slot, word, answer, who.weight)
        counts.add("p12", f"{p2} {p1}" if p1 else "", answer, who.weight)
        counts.add("n12", f"{n1} {n2}" if n1 else "", answer, who.weight)
        if "#" not in who.conv:
            (counts.yes if answer else counts.no)[f.place.alias.key] += 1
    return counts


PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 24,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 3.0,
    "max_depth": 8,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    "seed": 6,
}


def boost(x: Matrix, y: NDArray[np.int64], weight: NDArray[np.float64], rounds: int, **changes: Any) -> Trees:
    """A forest of `rounds` trees fitted to rows `x` with labels `y`."""
    import lightgbm

    data = lightgbm.Dataset(x, label=y, weight=weight, free_raw_data=False)
    booster = lightgbm.train({**PARAMETERS, **changes}, data, num_boost_round=rounds)
    return from_lightgbm(booster.dump_model())


class Corpus(NamedTuple):
    """What a mention model is trained on: labelled authors, the catalogue, and how often titles are meant."""

    people: list[Author]
    gazetteer: Gazetteer
    fame: Counter[tuple[str, int]]


class Fitted(NamedTuple):
    """A model and, for every place of the corpus, what a model that never saw its conversation says."""

    data: m.ModelData
    found: list[m.Found]
    labels: list[int]
    held_out: Matrix
    cuts: list[list[Text]]
    counts: list[Counts]


ROUNDS = (200, 300)
THRESHOLD = 0.8
SEEDS = (6, 66)
"""Forests of the second pass, averaged: what one draw makes of a few hundred rare places is luck."""


def fit(
    corpus: Corpus,
    about: str,
    *,
    rounds: tuple[int, int] = ROUNDS,
    threshold: float = THRESHOLD,
    judge: bool = True,
) -> Fitted:
    """A mention model. Two passes, both out of fold; then counts and trees over everything.

    `judge=False` leaves `held_out` at 0 and saves a third of the time.
    """
    people, gazetteer, fame = corpus
    cuts = [[cut(line.text) for line in who.lines] for who in people]
    found = m.candidates(cuts, gazetteer, Counts())
    labels = label(found, people, cuts, gazetteer)
    fold = np.array([people[f.group].fold for f in found])
    owner = np.array([f.group for f in found])
    weight = np.array([people[f.group].weight for f in found])
    answer = np.array(labels)
    x = np.zeros((len(found), m.FEATURES))
    per_fold = []
    for k in range(FOLDS):
        counts = count(people, cuts, found, labels, gazetteer, fame, _others(k))
        per_fold.append(counts)
        for strange in (False, True):
            who = [i for i, w in enumerate(people) if w.fold == k and w.conv.endswith("#c") == strange]
            mine = m.candidates([cuts[i] for i in who], gazetteer, Strange(counts) if strange else counts)
            x[np.isin(owner, who)] = rows([f.features for f in mine], m.FEATURES)

    def out_of_fold(matrix: Matrix, n: int, seeds: Sequence[int]) -> Matrix:
        p = np.zeros(len(matrix))
        for k in range(FOLDS):
            take = (fold != k) & (answer >= 0)
            if take.any() and (fold == k).any():
                forest = mean([boost(matrix[take], answer[take], weight[take], n, seed=s) for s in seeds])
                p[fold == k] = Forest(forest).probability(matrix[fold == k])
        return p

    first = out_of_fold(x, rounds[0], SEEDS[:1])
    for f, row in zip(found, x, strict=True):
        f.features = row.tolist()
    x2 = m.second_rows(found, first)
    second = out_of_fold(x2, rounds[1], SEEDS) if judge else np.zeros(len(x2))
    everything = count(people, cuts, found, labels, gazetteer, fame, lambda _: True)
    sure = answer >= 0
    data = _model_data(
        about,
        everything,
        boost(x[sure], answer[sure], weight[sure], rounds[0]),
        mean([boost(x2[sure], answer[sure], weight[sure], rounds[1], seed=s) for s in SEEDS]),
        threshold,
    )
    return Fitted(data, found, labels, second, cuts, per_fold)


def _others(k: int) -> Callable[[int], bool]:
    return lambda fold: fold != k


def _model_data(about: str, counts: Counts, first: Trees, second: Trees, threshold: float) -> m.ModelData:
    odds = {m.slot_hash(s, w): counts.odds(s, w) for s, w in counts.slots}
    odds = {k: v for k, v in sorted(odds.items()) if v != 0}
    keys = sorted({*counts.yes, *counts.no})
    alias = sorted((m.slot_hash("a", k), counts.yes[k], counts.no[k]) for k in keys)
    fame = sorted((m.slot_hash("f", f"{g}|{y}"), n) for (g, y), n in counts.fame.items())
    return m.ModelData(
        about=about,
        odds_keys=list(odds),
        odds_values=list(odds.values()),
        alias_keys=[a[0] for a in alias],
        alias_yes=[a[1] for a in alias],
        alias_no=[a[2] for a in alias],
        fame_keys=[f[0] for f in fame],
        fame=[f[1] for f in fame],
        first=first,
        second=second,
        threshold=threshold,
    )
