"""What is usual between the two sides of one partner: learnt from the periods that were accepted.

Rules of this file:

1. Learnt, not assumed: the level of each cell, how far its days differ, how far it moves from one period to
   the next. Before anything was accepted, the spec's usual spread stands in.
2. One day of a period may be an outage's; it teaches nothing.
3. Recent periods weigh more, few clicks are drawn to the common level, and no spread is taken to be less than
   what binomial loss alone gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from byleave.exchange.counts import Array, Counts
from byleave.exchange.terms import DIMENSIONS

USUAL_LEVEL_SD = 0.006
"""Spread of the level between cells before anything is known of a partner."""
FIRST_SPREAD = 6.0
"""Most that a first period's days may differ, in binomial variances."""
FIRST_REACH = 0.03
"""How far from the common level a cell's own may lie in a first period."""
RECENT = 0.7
"""Weight of a period against the one after it, when a level is estimated."""
SHRINK = 200.0
"""Clicks' worth of belief in the common level, for a cell that has few of its own."""
LEAST_SPREAD = 0.002
DAYS_FREE = 14
MEDIAN_OF_SQUARE = 0.455
"""Of a standard normal: what turns a median of squares into a variance."""
OUTAGE, OUTAGE_CELL = 0.15, 0.20
"""Most of a day's clicks that an outage takes, in all of a group and in one cell."""


@dataclass(frozen=True, slots=True)
class Group:
    """Cells that are judged together: one cell, all cells of one dimension value, or all."""

    cell: tuple[str | None, str | None, str | None]
    dimension: str
    members: list[int]


def groups_of(counts: Counts) -> list[Group]:
    groups = [
        Group((cell.interface, cell.surface, cell.variant), "cell", [i])
        for i, cell in enumerate(counts.cells)
    ]
    if len(counts.cells) == 1:
        return groups
    for d, name in enumerate(DIMENSIONS):
        values = sorted({cell[d] for cell in counts.cells})
        for value in values if len(values) > 1 else []:
            members = [i for i, cell in enumerate(counts.cells) if cell[d] == value]
            if len(members) > 1:
                place = tuple(value if i == d else None for i in range(3))
                groups.append(Group((place[0], place[1], place[2]), name, members))
    groups.append(Group((None, None, None), "all", list(range(len(counts.cells)))))
    return groups


def indices(part: slice) -> list[int]:
    return list(range(part.start, part.stop))


@dataclass(frozen=True, slots=True)
class Usual:
    """What accepted periods teach of one figure: the level per cell, variance of a cell-day `a·P + b·P²` (`a`
    per cell, as a column), and how far a dimension's groups move from period to period."""

    level: Array
    behind: Array
    a: Array
    b: float
    moves: dict[str, float]
    freedom: float
    days: list[list[int]]


def scaled(expected: Array, r: Array, part: slice) -> Array:
    """`expected` at the period's own middle level, so that a day is held against its neighbours."""
    e, s = expected[:, part].sum(axis=0), r[:, part].sum(axis=0)
    ratios = s[e > 0] / e[e > 0]
    return expected * (float(np.median(ratios)) if ratios.size else 1.0)


def learn(counts: Counts, p: Array, r: Array, groups: Sequence[Group]) -> Usual:
    parts = counts.accepted
    if not parts:
        return _assume(counts, p, r)
    a, b, days = _variance(p, r, parts, groups)
    sums = np.array([[p[:, use].sum(axis=1), r[:, use].sum(axis=1)] for use in days])
    level, behind = _levels(sums)
    moves: dict[str, float] = {}
    squares: dict[str, list[float]] = {}
    for k in range(1, len(parts)):
        before, back = _levels(sums[:k])
        for group in groups:
            m = group.members
            e = float((before[m] * sums[k, 0, m]).sum())
            if e < 20:
                continue
            chance = float((a[m, 0] * (sums[k, 0, m] + sums[k, 0, m] ** 2 / np.maximum(back[m], 1))).sum())
            chance += b * float((p[m][:, days[k]] ** 2).sum())
            apart = (float(sums[k, 1, m].sum()) - e) ** 2
            squares.setdefault(group.dimension, []).append((apart - chance) / (e * e))
    prior = 4
    for dimension in ("cell", *DIMENSIONS, "all"):
        seen = squares.get(dimension, [])
        move = (prior * USUAL_LEVEL_SD**2 / 2 + sum(seen)) / (prior + len(seen))
        moves[dimension] = max(LEAST_SPREAD, float(np.sqrt(max(0.0, move))))
    return Usual(level, behind, a, b, moves, prior + 4.0 * len(parts), days)


def _levels(sums: Array) -> tuple[Array, Array]:
    """Level per cell from periods' sums (periods × (platform, partner) × cells), the recent ones weighing
    more, drawn to the common level by SHRINK clicks; and the clicks each level rests on."""
    weights = RECENT ** np.arange(len(sums) - 1, -1, -1)
    p, r = np.tensordot(weights, sums[:, 0], 1), np.tensordot(weights, sums[:, 1], 1)
    common = float(r.sum() / p.sum()) if p.sum() > 0 else 1.0
    level = (r + SHRINK * common) / (p + SHRINK)
    spread = np.tensordot(weights**2, sums[:, 0], 1)
    behind = (p + SHRINK) ** 2 / np.maximum(spread + SHRINK, 1)
    return level, behind


def _variance(
    p: Array, r: Array, parts: Sequence[slice], groups: Sequence[Group]
) -> tuple[Array, float, list[list[int]]]:
    """`a`, `b` of a cell-day's variance a·P + b·P², from what days differ by inside their period; and each
    period's days without the one of an outage."""
    xs, ys, cs, days = [], [], [], []
    loss = 0.05
    for part in parts:
        use = indices(part)
        for _ in range(2):  # once to find an outage, once without it
            sums_p, sums_r = p[:, use].sum(axis=1), r[:, use].sum(axis=1)
            total = float(sums_p.sum())
            if total == 0:
                break
            common = float(sums_r.sum()) / total
            expected = ((sums_r + SHRINK * common) / (sums_p + SHRINK))[:, None] * p
            x, y = p[:, use], (r - expected)[:, use] ** 2 * (DAYS_FREE / (DAYS_FREE - 1))
            c = np.broadcast_to(np.arange(len(p))[:, None], x.shape)[x > 0]
            y, x = y[x > 0], x[x > 0]
            rough = float(np.median(y / x)) / MEDIAN_OF_SQUARE
            outage = outage_of(
                p, scaled(expected, r, part), r, part, groups, np.full((len(p), 1), rough + 1e-3), 0.0
            )
            if outage is None or outage[1] not in use:
                break
            use.remove(outage[1])
        days.append(use)
        if total > 0:
            loss = max(1e-4, min(0.5, 1 - common))
            xs.append(x)
            ys.append(y)
            cs.append(c)
    floor = loss * (1 - loss)
    if not xs:
        return np.full((len(p), 1), floor), USUAL_LEVEL_SD**2, days
    x, y = np.concatenate(xs), np.concatenate(ys)
    (a, b), _ = optimize.nnls(np.column_stack([np.ones_like(x), x]), y / x)
    common_a, common_b = max(float(a), floor), max(float(b), LEAST_SPREAD**2)
    # A cell whose losses come in bursts spreads more than the common fit says; to spread less may be luck.
    which = np.concatenate(cs)
    n = np.bincount(which, minlength=len(p))
    own = np.bincount(which, np.maximum(0.0, y - common_b * x**2) / x, minlength=len(p))
    prior = 2 * DAYS_FREE
    per_cell = np.maximum(common_a, (own + prior * common_a) / (n + prior))
    return per_cell[:, None], common_b, days


def _assume(counts: Counts, p: Array, r: Array) -> Usual:
    """Before any period was accepted: the cell's own level near the middle one, the usual spread, and of the
    period in question only what cannot hide a fault in few of its cells or days."""
    part = counts.judged
    sums_p, sums_r = p[:, part].sum(axis=1), r[:, part].sum(axis=1)
    live = sums_p >= 20
    ratios = sums_r[live] / sums_p[live] if live.any() else np.array([1.0])
    common = float(min(1.0, np.median(ratios)))
    floor = max(1e-3, common * (1 - common))
    x, y = p[:, part], (r - common * p)[:, part] ** 2
    a = max(floor, float(np.median(y[x > 0] / x[x > 0])) / MEDIAN_OF_SQUARE if (x > 0).any() else floor)
    a = min(a, FIRST_SPREAD * floor)
    own = sums_r / np.maximum(sums_p, 1)
    level = np.clip(np.where(live, own, common), common - FIRST_REACH, min(1.0, common + FIRST_REACH))
    moves = dict.fromkeys(("cell", *DIMENSIONS, "all"), USUAL_LEVEL_SD)
    return Usual(
        level, np.full_like(level, sums_p.sum()), np.full((len(p), 1), a), USUAL_LEVEL_SD**2, moves, 8.0, []
    )


def outage_of(
    p: Array, expected: Array, r: Array, part: slice, groups: Sequence[Group], a: Array, b: float
) -> tuple[Group, int, float, float] | None:
    """The day on which most is missing, in which group, the share of it and its probability; None where
    nothing stands out, or more than an outage takes."""
    best: tuple[Group, int, float, float] | None = None
    least = 3.5
    for group in groups:
        if group.dimension == "cell" and len(groups) > 1:
            continue
        e = expected[group.members][:, part].sum(axis=0)
        lack = e - r[group.members][:, part].sum(axis=0)
        of = p[group.members][:, part]
        sd = np.sqrt((a[group.members] * of).sum(axis=0) + b * (of**2).sum(axis=0) + 1.0)
        share = np.divide(lack, e, out=np.zeros_like(lack), where=e > 0)
        z = np.where((share > 0) & (share <= OUTAGE), lack / sd, 0.0)
        if z.size and z.max() > least:
            day = int(z.argmax())
            if len(group.members) > 1 and not _shared(expected, r, group.members, part.start + day):
                continue
            least = float(z.max())
            best = group, part.start + day, float(share[day]), float(stats.norm.sf(least))
    return best


def _shared(expected: Array, r: Array, members: list[int], day: int) -> bool:
    """Whether what is missing on `day` is missing everywhere alike: without the cell that lacks most, at
    least half of the share remains."""
    e, lack = expected[members, day], (expected - r)[members, day]
    others = np.arange(len(members)) != int(lack.argmax())
    rest = float(e[others].sum())
    return rest > 0 and float(lack[others].sum()) / rest > 0.5 * float(lack.sum()) / float(e.sum())
