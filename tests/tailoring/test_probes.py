"""The leak probe: can somebody who sees only what the ranker answers tell a sensitive thing about a person?

A label is planted: people who have it name titles of a flagged theme, and others that go with it. A classifier learns
to tell the label from the answers. Without the mask it must succeed, or the probe would prove nothing.
"""

from __future__ import annotations

import random
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import rankdata

from byleave.tailoring.ranker import Counts, Ranker, TransientTaste, counted, proxies
from byleave.words.gazetteer import Title

TITLES = [Title(f"t{i:03}", f"Film {i}", 1990 + i % 30) for i in range(120)]
IDS = [t.id for t in TITLES]
FLAGGED = frozenset(IDS[:8])
CLOSE = IDS[8:14]
"""Not flagged by anybody, but named by those who name the flagged ones."""
PEOPLE = 600


def town(seed: int) -> tuple[list[list[str]], NDArray[np.float64]]:
    rng = random.Random(seed)
    baskets, labels = [], []
    for _ in range(PEOPLE):
        label = rng.random() < 0.2
        own = rng.sample(IDS[14:], 6)
        if label:
            own += rng.sample(sorted(FLAGGED), 3) + rng.sample(CLOSE, 2)
        elif rng.random() < 0.1:
            own.append(rng.choice(CLOSE))
        baskets.append(own)
        labels.append(float(label))
    return baskets, np.array(labels)


def auc(ranker: Ranker, baskets: list[list[str]], labels: NDArray[np.float64]) -> float:
    """Of a logistic regression on which titles were answered, and how high, learned on one half and judged on the
    other."""
    place = {title: i for i, title in enumerate(IDS)}
    x = np.zeros((len(baskets), len(IDS)))
    for row, own in enumerate(baskets):
        for at, answer in enumerate(ranker.rank(TransientTaste(dict.fromkeys(own, 1.0)), limit=20)):
            x[row, place[answer.title_id]] = 1.0 - at / 40
    half = len(baskets) // 2

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z = x[:half] @ w[1:] + w[0]
        p = 1 / (1 + np.exp(-np.clip(z, -30, 30)))
        slope = np.concatenate([[np.sum(p - labels[:half])], x[:half].T @ (p - labels[:half]) + 0.5 * w[1:]])
        value = -np.sum(labels[:half] * np.log(p + 1e-12) + (1 - labels[:half]) * np.log(1 - p + 1e-12))
        return float(value + 0.25 * w[1:] @ w[1:]), slope

    w = minimize(loss, np.zeros(len(IDS) + 1), jac=True, method="L-BFGS-B").x
    score, truth = x[half:] @ w[1:], labels[half:] > 0
    ranks = rankdata(score)
    n = truth.sum()
    return float((ranks[truth].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))


def mean_auc(flagged: Collection[str], seeds: range) -> float:
    found = []
    for seed in seeds:
        baskets, labels = town(seed)
        found.append(auc(Ranker(TITLES, counted(baskets, TITLES), flagged=flagged), baskets, labels))
    return float(np.mean(found))


def test_a_planted_label_cannot_be_told_from_the_answers_and_could_without_the_mask() -> None:
    assert mean_auc((), range(3)) >= 0.8, "the probe works"
    assert mean_auc(FLAGGED, range(6)) <= 0.55


def test_titles_that_go_with_flagged_ones_are_flagged_too_and_others_are_not() -> None:
    baskets, _ = town(1)
    assert proxies(counted(baskets, TITLES), FLAGGED) - FLAGGED == set(CLOSE)
    assert proxies(Counts({}, [], np.zeros((0, 0))), FLAGGED) == frozenset()


def test_a_flagged_title_swapped_in_or_out_changes_no_byte() -> None:
    baskets, _ = town(2)
    ranker = Ranker(TITLES, counted(baskets, TITLES), flagged=FLAGGED)
    for own in baskets[:50]:
        bare = [t for t in own if t not in FLAGGED]
        answers = {
            repr(ranker.rank(TransientTaste(dict.fromkeys(mine, 1.0))))
            for mine in (bare, [*bare, IDS[0]], [*bare, *IDS[:8]])
        }
        assert len(answers) == 1 and not any(f"'{t}'" in next(iter(answers)) for t in FLAGGED)
