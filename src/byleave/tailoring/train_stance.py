"""Training of `words/models/stance.json`: word weights first, trees over them, both out of fold.

Rules of this file are `train`'s: same bytes from the same seed, nothing judged by what it was counted from,
no text in what is written. Dislike is rare (6 % of what people say of films), so the classes are balanced
while the word weights are fitted, and the margins carry a bias that was set on held-out conversations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.optimize import minimize

from byleave.tailoring.train import FOLDS, boost
from byleave.words import stance as s
from byleave.words.mentions import slot_hash
from byleave.words.trees import Matrix

BIAS = (0.0, 1.0, 0.4, 0.0)
L2 = 0.5
ROUNDS = 90
TREES: dict[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_data_in_leaf": 10,
    "max_depth": 4,
    "feature_fraction": 0.3,
}


class Example(NamedTuple):
    """One (person, title) of one conversation with what that person thinks of it: index into CLASSES."""

    conv: str
    subject: s.Subject
    label: int
    weight: float


class Fitted(NamedTuple):
    data: s.StanceData
    held_out: Matrix
    """Margins (examples x classes) of models that never saw the example's conversation, bias included."""


Vocabulary = dict[int, int]
Weights = NDArray[np.float64]


def _matrix(keys: Sequence[Sequence[int]], vocabulary: Vocabulary) -> scipy.sparse.csr_matrix:
    """Rows of 1/sqrt(n) for each known word, with a constant column last."""
    row, column, value = [], [], []
    for i, known in enumerate(keys):
        norm = 1.0 / max(1.0, float(np.sqrt(len(known))))
        for key in known:
            if key in vocabulary:
                row.append(i)
                column.append(vocabulary[key])
                value.append(norm)
        row.append(i)
        column.append(len(vocabulary))
        value.append(norm)
    return scipy.sparse.csr_matrix((value, (row, column)), shape=(len(keys), len(vocabulary) + 1))


def _linear(
    keys: Sequence[Sequence[int]], labels: NDArray[np.int64], weight: Weights
) -> tuple[Vocabulary, Weights]:
    """Multinomial logistic regression with balanced classes: (vocabulary, weights of words and constant)."""
    seen = Counter(k for known in keys for k in known)
    vocabulary = {k: i for i, k in enumerate(sorted(k for k, n in seen.items() if n >= 2))}
    x = _matrix(keys, vocabulary)
    classes = len(s.CLASSES)
    share = np.bincount(labels, weights=weight, minlength=classes)
    w = weight * (weight.sum() / (classes * np.maximum(share, 1e-9)))[labels]
    target = np.eye(classes)[labels]

    def loss(flat: Weights) -> tuple[float, Weights]:
        theta = flat.reshape(-1, classes)
        z = x @ theta
        z -= z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        value = -(w[:, None] * target * log_p).sum() + 0.5 * L2 * (theta**2).sum()
        slope = x.T @ (w[:, None] * (np.exp(log_p) - target)) + L2 * theta
        return float(value), np.asarray(slope).reshape(-1)

    start = np.zeros((len(vocabulary) + 1) * classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 60})
    return vocabulary, np.round(found.x.reshape(-1, classes), 3)


def fit(examples: Sequence[Example], about: str, *, judge: bool = True) -> Fitted:
    """A stance model, and its margins on each example by a model that never saw that conversation.

    `judge=False` leaves those at 0 and takes a sixth of the time.
    """
    keys = [s.grams(e.subject) for e in examples]
    labels = np.array([e.label for e in examples])
    weight = np.array([e.weight for e in examples])
    figures = np.array([e.subject.figures for e in examples])
    fold = np.array([slot_hash("fold", e.conv) % FOLDS for e in examples])
    inner = np.array([slot_hash("inner", e.conv) % FOLDS for e in examples])
    held_out = np.zeros((len(examples), len(s.CLASSES)))
    for k in range(FOLDS if judge else 0):
        inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        if not len(outside):
            continue
        model = s.StanceModel(_train(keys, labels, weight, figures, inner, inside, ""))
        held_out[outside] = model.margins([examples[int(i)].subject for i in outside])
    return Fitted(_train(keys, labels, weight, figures, inner, np.arange(len(examples)), about), held_out)


def _train(
    keys: Sequence[Sequence[int]],
    labels: NDArray[np.int64],
    weight: Weights,
    figures: Matrix,
    inner: NDArray[np.int64],
    inside: NDArray[np.int64],
    about: str,
) -> s.StanceData:
    votes = np.zeros((len(inside), len(s.CLASSES)))
    for k in range(FOLDS):
        teach, ask = inside[inner[inside] != k], np.flatnonzero(inner[inside] == k)
        vocabulary, theta = _linear([keys[i] for i in teach], labels[teach], weight[teach])
        votes[ask] = np.round(_matrix([keys[i] for i in inside[ask]], vocabulary) @ theta, 6)
    x = np.hstack([figures[inside], votes])
    forests = [
        boost(x, (labels[inside] == c).astype(np.int64), weight[inside], ROUNDS, **TREES)
        for c in range(len(s.CLASSES))
    ]
    vocabulary, theta = _linear([keys[i] for i in inside], labels[inside], weight[inside])
    kept = [(k, theta[i].tolist()) for k, i in vocabulary.items() if np.abs(theta[i]).max() >= 0.01]
    return s.StanceData(
        about=about,
        keys=[k for k, _ in kept],
        weights=[w for _, w in kept],
        base=theta[-1].tolist(),
        forests=forests,
        bias=list(BIAS),
    )
