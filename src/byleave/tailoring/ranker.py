"""Which titles to put forward to one person now: EASE over public counts, fame, shared title words, recency.

Rules of this file:

1. The item matrix is public and knows no person: it is made of co-occurrence counts that were released
   (tailoring.md, "Learning from sends and clicks") and of the catalogue. Same input: same bytes.
2. A person's titles are an argument of one call. They are multiplied with the matrix and forgotten: nothing
   of them is kept in the ranker, and a `TransientTaste` can be neither encoded, copied nor printed.
3. What leaves is title ids with one reason code out of five. No vector, no score that could be one.
4. A title with a sensitive flag is no input and no answer, whatever the counts say; nor is one that goes with a
   flagged one so often that it would tell as much (`proxies`).

EASE: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, closed form.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NoReturn

import msgspec
import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from byleave.words.gazetteer import Title, spoken_rank, title_words

Vector = NDArray[np.float64]


class Reason(StrEnum):
    """Why a title stands where it does: the strongest of what moved it."""

    TOGETHER = "named-together"
    SERIES = "same-series"
    POPULAR = "popular"
    RECENT = "recent"
    FRIEND = "friend-sends"


class Score(StrEnum):
    """How near a title comes to the best one: nothing finer leaves."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Ranked(msgspec.Struct, frozen=True):
    title_id: str
    reason: Reason
    score: Score


class Mix(msgspec.Struct, frozen=True):
    """How much each part weighs. Set on held-out conversations (bench/ranking.py); what friends say on towns of seeds 1
    and 2 (bench/useful.py)."""

    ease: float = 150.0
    fame: float = 0.3
    words: float = 1.5
    recent: float = 0.02
    friend: float = 1.0
    around: float = 1.5
    regularisation: float = 100.0


class Counts(msgspec.Struct, frozen=True):
    """What the public side knows of titles: how often each (`fame`), and how often two together (`gram`, symmetric,
    a title with itself on the diagonal, over `ids`), among `people` (or
    conversations). `noise` is the σ of what was added to each number of `gram`."""

    fame: dict[str, float]
    ids: list[str]
    gram: Vector
    people: int = 0
    noise: float = 0.0


def counted(baskets: Iterable[Collection[str]], titles: Sequence[Title]) -> Counts:
    """Exact counts of `baskets`: titles that were named together (a conversation); unknown ids are passed over."""
    index = {t.id: i for i, t in enumerate(titles)}
    rows = [sorted({index[t] for t in basket if t in index}) for basket in baskets]
    fame = Counter(i for row in rows for i in row)
    known = sorted(fame)
    place = {i: k for k, i in enumerate(known)}
    pointer = np.cumsum([0, *(len(row) for row in rows)])
    x = scipy.sparse.csr_matrix(
        (np.ones(int(pointer[-1])), [place[i] for row in rows for i in row], pointer),
        shape=(len(rows), len(known)),
    )
    gram = (x.T @ x).toarray()
    return Counts({titles[i].id: n for i, n in fame.items()}, [titles[i].id for i in known], gram, len(rows))


LIFT = 3.0
"""A title that goes with a flagged one this much more often than chance would have it is flagged too."""


def proxies(counts: Counts, flagged: Collection[str]) -> frozenset[str]:
    """Titles that give away a flagged one: P(a, b) / P(a)P(b) > `LIFT`, beyond what chance and noise explain."""
    own = np.diag(counts.gram)
    places = [k for k, title in enumerate(counts.ids) if title in flagged and own[k] > 0]
    if not places or not counts.people:
        return frozenset()
    each = counts.gram[:, places]
    by_chance = np.maximum(np.outer(own, own[places]) / counts.people, 1e-9)
    # One by one and all of them together: either is enough. Two standard errors below what was seen.
    told = np.column_stack(
        [_surely(each, counts.noise), _surely(each.sum(axis=1, keepdims=True), counts.noise)]
    )
    expected = np.column_stack([by_chance, by_chance.sum(axis=1, keepdims=True)])
    return frozenset(counts.ids[k] for k in np.flatnonzero((told > LIFT * expected).any(axis=1)))


def _surely(seen: Vector, noise: float) -> Vector:
    return np.asarray(seen - 2.0 * np.sqrt(np.maximum(seen, 1.0) + 4.0 * noise**2))


class TransientTaste:
    """One person's titles with a weight each (1 liked, -1 disliked …), for the length of one call.

    It refuses to be encoded, copied, compared by content or printed, so that no cache or log can hold it.
    """

    __slots__ = ("_weights",)

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)

    def _spend(self) -> dict[str, float]:
        weights, self._weights = self._weights, {}
        return weights

    def __repr__(self) -> str:
        return "TransientTaste(...)"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a taste is not kept: it cannot be encoded or copied")

    def __deepcopy__(self, memo: Any) -> NoReturn:
        raise TypeError("a taste is not kept: it cannot be encoded or copied")

    def __copy__(self) -> NoReturn:
        raise TypeError("a taste is not kept: it cannot be encoded or copied")


OWN = {"liked": 1.0, "wants": 0.8, "disliked": -0.6}
HEARD = {"liked": 1.0, "wants": 1.0, "disliked": -0.5}
"""What a stance weighs: one's own, and a friend's."""


def taste(own: Mapping[str, str]) -> TransientTaste:
    """A taste from one's own signals: title → stance. Seen and neutral weigh nothing but are not put forward again:
    give them as `seen`."""
    return TransientTaste({title: OWN[stance] for title, stance in own.items() if stance in OWN})


def friends_say(signals: Iterable[tuple[str, str]]) -> dict[str, float]:
    """(title, stance) of every friend's visible signals → a weight a title, for `Ranker.rank`."""
    found: dict[str, float] = {}
    for title, stance in signals:
        found[title] = found.get(title, 0.0) + HEARD.get(stance, 0.0)
    return found


class Ranker:
    """The public side: catalogue and counts. `rank` is the only question it answers."""

    def __init__(
        self,
        titles: Sequence[Title],
        counts: Counts,
        *,
        mix: Mix | None = None,
        flagged: Collection[str] = frozenset(),
    ) -> None:
        self._mix = mix or Mix()
        self._flagged = frozenset(flagged) | proxies(counts, flagged)
        self._titles = list(titles)
        self._index = {t.id: i for i, t in enumerate(self._titles)}
        kept = [k for k, title in enumerate(counts.ids) if title in self._index]
        self._known = [self._index[counts.ids[k]] for k in kept]
        self._place = {i: k for k, i in enumerate(self._known)}
        # The largest eigenvalue that the noise alone can make is 2σ√n (Wigner): below it nothing is learned.
        floor = 2.0 * counts.noise * math.sqrt(len(kept))
        self._weights = ease(counts.gram[np.ix_(kept, kept)], max(self._mix.regularisation, floor))
        self._fame = np.array([math.log1p(max(0.0, counts.fame.get(t.id, 0.0))) for t in self._titles])
        newest = max((t.year for t in self._titles), default=0)
        self._recent = np.array([math.exp(-(newest - t.year) / 4.0) if t.year else 0.0 for t in self._titles])
        self._words, self._having = _rare_words(self._titles)

    def rank(
        self,
        taste: TransientTaste,
        *,
        seen: Collection[str] = (),
        friends: Mapping[str, float] | None = None,
        limit: int = 50,
    ) -> list[Ranked]:
        """The `limit` best titles, best first, without those of the taste, those `seen`, and flagged ones.

        `friends`: what visible friends say of titles, a weight each, both agreeing. It counts for the title itself,
        which comes with that reason, and a little for what goes with it; the owner may well not have seen it, so unlike
        the taste's own titles it is put forward. The taste is spent.
        """
        weights = {t: w for t, w in taste._spend().items() if t not in self._flagged}
        heard = {t: w for t, w in (friends or {}).items() if t not in self._flagged and t not in weights}
        size = sum(abs(w) for w in heard.values()) or 1.0
        around = {t: self._mix.around * w / size for t, w in heard.items()}
        together, words = self._together({**around, **weights}), self._overlap(weights)
        parts = np.stack(
            [
                self._mix.ease * together,
                self._mix.words * words,
                self._mix.fame * self._fame,
                self._mix.recent * self._recent,
                self._mix.friend * np.array([math.tanh(heard.get(t.id, 0.0)) for t in self._titles]),
            ]
        )
        score = parts.sum(axis=0)
        for title in {*weights, *seen, *self._flagged}:
            if title in self._index:
                score[self._index[title]] = -np.inf
        best = np.lexsort((np.arange(len(score)), -np.round(score, 9)))[:limit]
        reasons = (Reason.TOGETHER, Reason.SERIES, Reason.POPULAR, Reason.RECENT, Reason.FRIEND)
        return [
            Ranked(
                self._titles[int(i)].id,
                reasons[int(parts[:, int(i)].argmax())],
                _band(score[i], score[best[0]]),
            )
            for i in best
            if np.isfinite(score[int(i)])
        ]

    def moved_by(self, own: Mapping[str, str], friends: Mapping[str, float], title_id: str) -> frozenset[str]:
        """The titles whose signals speak for `title_id`: named together with it, of its series, or said by a friend.
        The mix's own terms, one title at a time."""
        at = self._index.get(title_id)
        if at is None or title_id in self._flagged:
            return frozenset()
        weights = {t: OWN[stance] for t, stance in own.items() if stance in OWN and t not in self._flagged}
        heard = {t: w for t, w in friends.items() if t not in self._flagged and t not in weights}
        found = {t for t, w in {**weights, **heard}.items() if self._together({t: w})[at] > 0}
        found |= {t for t, w in weights.items() if self._overlap({t: w})[at] > 0}
        return frozenset(found | ({title_id} if heard.get(title_id, 0.0) > 0 else set()))

    def _together(self, weights: Mapping[str, float]) -> Vector:
        out = np.zeros(len(self._titles))
        inside = [
            (self._place[self._index[t]], w) for t, w in weights.items() if self._index.get(t) in self._place
        ]
        if inside:
            sums = np.zeros(len(self._known))
            for k, w in inside:
                sums += w * self._weights[k]
            out[self._known] = sums / (math.sqrt(sum(w * w for _, w in inside)) or 1.0)
        return out

    def _overlap(self, weights: Mapping[str, float]) -> Vector:
        """For each title the weight of the rarest words that it shares with a liked one."""
        out = np.zeros(len(self._titles))
        for title, weight in weights.items():
            i = self._index.get(title)
            if i is None or weight <= 0:
                continue
            mine = self._words[i]
            shared: dict[int, float] = {}
            for word, rarity in mine.items():
                for j in self._having[word]:
                    shared[j] = shared.get(j, 0.0) + rarity
            total = sum(mine.values())
            for j, value in shared.items():
                out[j] = max(out[j], weight * value / max(total, 1e-9))
        return out


def _band(score: float, best: float) -> Score:
    if score >= best - abs(best) / 3:
        return Score.HIGH
    return Score.MEDIUM if score >= best - abs(best) * 2 / 3 else Score.LOW


def ease(gram: Vector, regularisation: float) -> Vector:
    """EASE's item weights from the co-occurrence counts `gram` (items x items); zero diagonal."""
    if not len(gram):
        return gram
    inverse = np.linalg.inv(gram + regularisation * np.eye(len(gram)))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)


def _rare_words(titles: Sequence[Title]) -> tuple[list[dict[str, float]], dict[str, list[int]]]:
    """Words of each title with their rarity in the catalogue, and the titles that have each word."""
    having: dict[str, list[int]] = {}
    words = [
        {w for w in title_words(t.title) if not w.isdigit() and spoken_rank(w) > 200 and len(w) > 2}
        for t in titles
    ]
    for i, inside in enumerate(words):
        for word in inside:
            having.setdefault(word, []).append(i)
    size = max(1, len(titles))
    having = {w: h for w, h in having.items() if len(h) <= max(40, size // 100)}
    return [
        {w: math.log(size / len(having[w])) for w in sorted(inside) if w in having} for inside in words
    ], having
