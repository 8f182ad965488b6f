"""Gradient-boosted trees as plain data, read with numpy alone.

Training may use any library; what ships is JSON: for each tree its features, thresholds, children and leaf
values. Reading a forest needs no compiled dependency, no threads, and gives the same bytes everywhere: a row
goes left where `value <= threshold`, leaves are added in order in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


class Trees(msgspec.Struct, frozen=True):
    """All trees end to end. `left`/`right` are node numbers; a leaf points at itself and carries `value`."""

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]
    roots: list[int]
    depth: int


class Forest:
    """Evaluates `Trees`: `margin` (rows x features) → the sum of leaves, `probability` its logistic."""

    def __init__(self, trees: Trees) -> None:
        self._feature = np.array(trees.feature, dtype=np.int32)
        self._threshold = np.array(trees.threshold, dtype=np.float64)
        self._children = np.array([trees.left, trees.right], dtype=np.int32).T.reshape(-1)
        self._value = np.array(trees.value, dtype=np.float64)
        self._roots = np.array(trees.roots, dtype=np.int32)
        self._depth = trees.depth

    def margin(self, rows: Matrix) -> Matrix:
        """Sum of the leaves that each row falls into, as float64 of shape (rows,)."""
        out = np.zeros(len(rows), dtype=np.float64)
        for at in range(0, len(rows), 512):
            block = rows[at : at + 512]
            flat = np.ascontiguousarray(block).reshape(-1)
            base = (np.arange(len(block), dtype=np.int32) * block.shape[1])[:, None]
            node = np.broadcast_to(self._roots, (len(block), len(self._roots)))
            for _ in range(self._depth):
                above = flat[base + self._feature[node]] > self._threshold[node]
                node = self._children[2 * node + above]
            out[at : at + 512] = self._value[node].sum(axis=1)
        return out

    def probability(self, rows: Matrix) -> Matrix:
        """Logistic of `margin`."""
        if not len(rows):
            return np.zeros(0, dtype=np.float64)
        return np.asarray(1.0 / (1.0 + np.exp(-self.margin(rows))), dtype=np.float64)


def from_lightgbm(dump: dict[str, Any], digits: int = 5) -> Trees:
    """`Booster.dump_model()` of a binary or regression booster as `Trees`; leaves rounded to `digits`.

    Expects numerical features without missing values (every split `<=`).
    """
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []
    roots: list[int] = []
    deepest = 0

    def add(node: dict[str, Any], depth: int) -> int:
        nonlocal deepest
        deepest = max(deepest, depth)
        number = len(feature)
        feature.append(0)
        threshold.append(0.0)
        left.append(number)
        right.append(number)
        value.append(0.0)
        if "leaf_value" in node and "left_child" not in node:
            value[number] = round(float(node["leaf_value"]), digits)
        else:
            feature[number] = int(node["split_feature"])
            threshold[number] = float(f"{float(node['threshold']):.9g}")
            left[number] = add(node["left_child"], depth + 1)
            right[number] = add(node["right_child"], depth + 1)
        return number

    for tree in dump["tree_info"]:
        roots.append(add(tree["tree_structure"], 0))
    return Trees(feature, threshold, left, right, value, roots, deepest)


def mean(forests: Sequence[Trees], digits: int = 6) -> Trees:
    """One forest whose margin is the mean of the margins of `forests`."""
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []
    roots: list[int] = []
    for trees in forests:
        at = len(feature)
        feature += trees.feature
        threshold += trees.threshold
        left += [at + n for n in trees.left]
        right += [at + n for n in trees.right]
        value += [round(v / len(forests), digits) for v in trees.value]
        roots += [at + n for n in trees.roots]
    return Trees(feature, threshold, left, right, value, roots, max(t.depth for t in forests))


def rows(values: Sequence[Sequence[float]], width: int) -> Matrix:
    """A matrix of `values`, of `width` columns even where there is no row."""
    return np.array(values, dtype=np.float64).reshape(len(values), width)
