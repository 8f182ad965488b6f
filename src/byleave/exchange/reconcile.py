"""Blind reconciliation: the platform's counts of a period held against the partner's.

Rules of this file:

1. Sends are one event seen by both: |Δ| ≤ max(3, 0.5 %) a cell and day, ≤ max(3, 0.1 %) a period, per cell
   and in all.
2. Clicks are a redirect here and an arrival there, so some are lost. How many, per cell, and how much that
   moves, is estimated from the accepted periods; what lies outside is found by two-sided beta-binomial tests
   per cell-day, and per cell, dimension value and in all, each family under Benjamini–Hochberg.
3. More arrivals than redirects condemn (p = 0) above 2 + 1 %, with neighbouring days netted: a click at
   midnight is counted on either side of it.
4. The industry's ±10 % stands beside the tests, for what spread does not explain.
5. One day a period may lack up to 15 % in all cells, or in those of one dimension value (20 % in one cell):
   an outage nobody declared. That, and a shift inside the period (CUSUM) that volume cannot prove, is a hint,
   no finding.

Taken with fixed parameters these tests alarmed in about half of honest periods; `bench/reconcile.py` measures
them as they are here, on traffic that is not what they assume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from byleave.exchange.counts import FIGURES, MAX_BYTES, Array, Counts, Mask, Side, align, read_side
from byleave.exchange.terms import DIMENSIONS
from byleave.exchange.usual import (
    OUTAGE_CELL,
    Group,
    Usual,
    groups_of,
    indices,
    learn,
    outage_of,
    scaled,
)

__all__ = ["MAX_BYTES", "Finding", "Outcome", "Side", "read_side", "reconcile"]

SENDS_DAY, SENDS_PERIOD, SENDS_LEAST = 0.005, 0.001, 3.0
OVER_SHARE, OVER_LEAST, OVER_SD = 0.01, 2.0, 4.0
"""Arrivals above redirects on a day condemn beyond 2 + 1 % and 4 usual standard deviations."""
RESTLESS, RESTLESS_LEAST, RESTLESS_CAP = 2.0, 5, 16.0
"""How many times the unrest of any accepted period; of cell-days with 5 clicks; one counts 16 at most."""
INDUSTRY, INDUSTRY_LEAST, INDUSTRY_P = 0.10, 100, 1e-5
CROSSING, CROSSING_LEAST = 0.03, 1.0
"""Most of a day's clicks that may stand on the neighbouring day."""
FDR_DAYS, FDR_GROUPS = 1e-4, 1e-4
"""Benjamini–Hochberg rates. At 1 % a family, one honest period in a hundred alarms by construction."""
LACK = 100.0
"""Losses come in bursts and have a heavier tail than beta-binomial: a lack must be so much less probable than
an excess, which no honest cause explains."""
SHIFT_P, SHIFT_LEAST, HINT_P = 1e-9, 0.10, 1e-3


@dataclass(frozen=True, slots=True)
class Finding:
    """Evidence: in which cell (None in a dimension: all of it), on which days, what, by how much (partner
    less platform, in events), and how probable that is by chance."""

    cell: tuple[str | None, str | None, str | None]
    days: tuple[str, ...]
    kind: str
    figure: str
    size: float
    probability: float
    platform: float
    partner: float

    @property
    def place(self) -> str:
        return "/".join(code or "*" for code in self.cell)

    def answer(self) -> dict[str, Any]:
        return {
            "cell": dict(zip(DIMENSIONS, self.cell, strict=True)),
            "days": list(self.days),
            "kind": self.kind,
            "figure": self.figure,
            "size": self.size,
            "probability": self.probability,
            "platform": self.platform,
            "partner": self.partner,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `reconcile` found; `hints` are for eyes, not for alarms."""

    findings: list[Finding]
    hints: list[Finding]
    days: tuple[str, str]
    accepted_periods: int

    def answer(self) -> dict[str, Any]:
        return {
            "findings": [finding.answer() for finding in self.findings],
            "hints": [hint.answer() for hint in self.hints],
            "period": {"start": self.days[0], "end": self.days[1]},
            "accepted_periods": self.accepted_periods,
        }


def reconcile(platform: Side, partner: Side) -> Outcome:
    """The findings for the last period in the two files. Raises Refused for figures that make no grid."""
    counts = align(platform, partner)
    notes = _Notes(counts)
    _sends(counts, notes)
    for figure in (1, 2):
        _clicks(counts, figure, notes)
    days = counts.days[counts.judged]
    return Outcome(
        findings=sorted(notes.findings, key=lambda f: (f.probability, -abs(f.size))),
        hints=sorted(notes.hints, key=lambda f: (f.probability, -abs(f.size))),
        days=(days[0].isoformat(), days[-1].isoformat()),
        accepted_periods=len(counts.accepted),
    )


@dataclass(slots=True)
class _Notes:
    """Findings as they come, in places of the grid."""

    counts: Counts
    findings: list[Finding] = field(default_factory=list)
    hints: list[Finding] = field(default_factory=list)

    def add(
        self,
        group: Group,
        days: Sequence[int],
        kind: str,
        figure: int,
        probability: float,
        *,
        hint: bool = False,
    ) -> None:
        """Note something about `group` on `days` (indices in the grid)."""
        kept = ~self.counts.out[group.members][:, days]
        p = float((self.counts.platform[figure][group.members][:, days] * kept).sum())
        r = float((self.counts.partner[figure][group.members][:, days] * kept).sum())
        names = tuple(self.counts.days[d].isoformat() for d in days)
        finding = Finding(group.cell, names, kind, FIGURES[figure], r - p, probability, p, r)
        (self.hints if hint else self.findings).append(finding)


# -- sends --------------------------------------------------------------------------------------------------


def _sends(counts: Counts, notes: _Notes) -> None:
    kept = ~counts.out
    p, r = counts.platform[0] * kept, counts.partner[0] * kept
    groups = groups_of(counts)
    spread = _sends_spread(counts, p, r)
    judged = indices(counts.judged)
    expected = p.copy()
    outage = outage_of(p, p, r, counts.judged, groups, np.full((len(p), 1), 0.001), 1e-6)
    slack = np.zeros_like(p)
    if outage is not None:
        group, day, share, probability = outage
        notes.add(group, [day], "outage", 0, probability, hint=True)
        slack[group.members, day] = (
            4 * np.sqrt(share * p[group.members, day]) + share * p[group.members, day] / 2
        )
        expected[group.members, day] *= 1 - share
    gap = _netted(r - expected, 0.01 * p + 1)
    most = np.maximum(SENDS_LEAST, 0.02 * p)
    tolerance = np.maximum(SENDS_LEAST, SENDS_DAY * p)
    tolerance = np.maximum(tolerance, np.minimum(most + 3, 5 * np.sqrt(spread * p))) + slack
    for group in groups:
        if group.dimension == "cell":
            (c,) = group.members
            bad = [d for d in judged if abs(gap[c, d]) > tolerance[c, d]]
            if bad:
                notes.add(group, bad, "sends-day", 0, _sends_p(gap[c, bad], spread * p[c, bad]))
        if group.dimension in ("cell", "all"):
            total = float(p[group.members][:, judged].sum())
            off = float((r - expected)[group.members][:, judged].sum())
            allowed = max(SENDS_LEAST, SENDS_PERIOD * total)
            allowed = max(allowed, min(5 * np.sqrt(spread * total), SENDS_DAY * total + 3))
            if abs(off) > allowed + float(slack[group.members][:, judged].sum()):
                kind = "sends-period"
                notes.add(group, judged, kind, 0, _sends_p(np.array([off]), np.array([spread * total])))


def _sends_spread(counts: Counts, p: Array, r: Array) -> float:
    """Mean squared difference per send in the accepted periods; 0 where both sides always agreed."""
    if not counts.accepted:
        return 0.0
    days = [d for part in counts.accepted for d in indices(part)]
    base = np.maximum(p[:, days], 1)
    squares = ((r - p)[:, days] ** 2 / base)[p[:, days] + r[:, days] > 0]
    return float(np.minimum(squares, np.quantile(squares, 0.98)).mean()) if squares.size else 0.0


def _sends_p(gap: Array, variance: Array) -> float:
    if not variance.any():
        return 0.0
    return float((2 * stats.norm.sf(np.abs(gap) / np.sqrt(np.maximum(variance, 1e-9)))).min())


def _netted(gap: Array, most: Array) -> Array:
    """`gap` (cells × days) after events that stand on the neighbouring day went home, `most` at most."""
    net = gap.copy()
    for d in range(gap.shape[1] - 1):
        opposite = net[:, d] * net[:, d + 1] < 0
        moved = np.minimum(np.minimum(np.abs(net[:, d]), np.abs(net[:, d + 1])), most[:, d]) * opposite
        net[:, d] -= np.sign(net[:, d]) * moved
        net[:, d + 1] -= np.sign(net[:, d + 1]) * moved
    return net


# -- clicks -------------------------------------------------------------------------------------------------


def _clicks(counts: Counts, figure: int, notes: _Notes) -> None:
    kept = ~counts.out
    p, r = counts.platform[figure] * kept, counts.partner[figure] * kept
    groups = groups_of(counts)
    usual = learn(counts, p, r, groups)
    expected = usual.level[:, None] * p
    _over(counts, figure, p, r, expected, usual, groups, notes)
    rest = scaled(expected, r, counts.judged)
    outage = outage_of(p, rest, r, counts.judged, groups, usual.a, usual.b)
    if outage is not None:
        notes.add(outage[0], [outage[1]], "outage", figure, outage[3], hint=True)
    weak = _cell_days(counts, figure, p, r, expected, usual, outage[1] if outage else None, groups, notes)
    judged = [d for d in indices(counts.judged) if d != weak]
    _whole_periods(figure, p, r, expected, usual, judged, groups, notes)
    _restless(figure, p, r, usual, judged, groups, notes)
    _shifts(figure, p, r, expected, usual, judged, groups, notes)


def _over(
    counts: Counts,
    figure: int,
    p: Array,
    r: Array,
    expected: Array,
    usual: Usual,
    groups: Sequence[Group],
    notes: _Notes,
) -> None:
    """More arrivals than redirects, beyond 2 + 1 %. A day's excess must be one also with the day after it, or
    the one or two before it, counted in, and lie outside what days usually differ by."""
    judged = indices(counts.judged)
    gap = np.pad(r - p, ((0, 0), (2, 1)))
    two, one, day, next_day = (gap[:, i : i + p.shape[1]] for i in range(4))
    excess = np.minimum.reduce([day, day + one, day + one + two, day + next_day])
    usually = expected + OVER_SD * np.sqrt(usual.a * p + usual.b * p**2)
    for group in groups:
        m = group.members
        if group.dimension == "cell":
            c = m[0]
            bad = [
                d
                for d in judged
                if excess[c, d] > OVER_LEAST + OVER_SHARE * p[c, d] and r[c, d] > usually[c, d]
            ]
            if bad:
                notes.add(group, bad, "more-than-redirects", figure, 0.0)
        total_p, total_r = float(p[m][:, judged].sum()), float(r[m][:, judged].sum())
        if total_r - total_p > OVER_LEAST + OVER_SHARE * total_p:
            notes.add(group, judged, "more-than-redirects-period", figure, 0.0)


def _restless(
    figure: int,
    p: Array,
    r: Array,
    usual: Usual,
    judged: list[int],
    groups: Sequence[Group],
    notes: _Notes,
) -> None:
    """Whether all cell-days together differ more than those of any accepted period did: figures that were put
    on the wrong days differ a little everywhere."""

    def unrest(days: list[int], level: Array) -> tuple[float, int]:
        use = p[:, days] >= RESTLESS_LEAST
        z2 = (r - level * p)[:, days] ** 2 / (usual.a * p + usual.b * p**2 + 1e-9)[:, days]
        return (float(np.minimum(z2[use], RESTLESS_CAP).mean()), int(use.sum())) if use.any() else (1.0, 0)

    def own(days: list[int]) -> Array:
        level: Array = r[:, days].sum(axis=1) / np.maximum(p[:, days].sum(axis=1), 1)
        return level[:, None]

    if not usual.days:
        return
    before = max(1.0, *(unrest(days, own(days))[0] for days in usual.days))
    now, size = unrest(judged, own(judged))
    if size >= 28 and now > RESTLESS * before:
        chance = float(stats.chi2.sf(now / before * size, size))
        notes.add(groups[-1], judged, "restless", figure, chance)


def _cell_days(
    counts: Counts,
    figure: int,
    p: Array,
    r: Array,
    expected: Array,
    usual: Usual,
    weak: int | None,
    groups: Sequence[Group],
    notes: _Notes,
) -> int | None:
    """Judge cell-days one by one. Answers the day of an undeclared outage, if there is one: that on which
    most cells lack what an outage takes, else `weak`."""
    judged = indices(counts.judged)
    variance = usual.a * p + (usual.b + usual.moves["cell"] ** 2) * p**2
    variance += usual.a * p**2 / np.maximum(usual.behind[:, None], 1)
    at_home = expected + _netted(r - expected, CROSSING * p + CROSSING_LEAST)
    chances = np.array(
        [
            [_chance(at_home[c, d], p[c, d], expected[c, d], variance[c, d]) for d in judged]
            for c in range(len(p))
        ]
    )
    e, s = expected[:, judged], at_home[:, judged]
    bad = _rejected(chances.ravel(), (s < e).ravel(), FDR_DAYS).reshape(chances.shape)
    slight = bad & (s < e) & (s >= (1 - OUTAGE_CELL) * e)
    if slight.any():
        per_day = slight.sum(axis=0)
        if weak is None or slight[:, judged.index(weak)].sum() < per_day.max():
            weak = judged[int(per_day.argmax())]
    for group in groups:
        if group.dimension != "cell":
            continue
        row = group.members[0]
        excused = [i for i, d in enumerate(judged) if slight[row, i] and d == weak]
        rest = [i for i in np.flatnonzero(bad[row]) if i not in excused]
        for places, hint in ((rest, False), (excused, True)):
            if places:
                days = [judged[i] for i in places]
                notes.add(group, days, "clicks-day", figure, float(chances[row, places].min()), hint=hint)
    return weak


def _whole_periods(
    figure: int,
    p: Array,
    r: Array,
    expected: Array,
    usual: Usual,
    judged: list[int],
    groups: Sequence[Group],
    notes: _Notes,
) -> None:
    chances, lacks = [], []
    for group in groups:
        m = group.members
        sums = p[m][:, judged].sum(axis=1)
        e = float(expected[m][:, judged].sum())
        variance = float((usual.a[m, 0] * (sums + sums**2 / np.maximum(usual.behind[m], 1))).sum())
        variance += usual.b * float((p[m][:, judged] ** 2).sum())
        lacks.append(float(r[m][:, judged].sum()) < e)
        variance += (usual.moves[group.dimension] * e) ** 2
        chances.append(_chance(float(r[m][:, judged].sum()), float(sums.sum()), e, variance, usual.freedom))
    bad = _rejected(np.array(chances), np.array(lacks), FDR_GROUPS)
    for group, chance, is_bad in zip(groups, chances, bad, strict=True):
        total = float(p[group.members][:, judged].sum())
        gap = abs(float(r[group.members][:, judged].sum()) - total)
        if total >= INDUSTRY_LEAST and gap > INDUSTRY * total and (is_bad or chance < INDUSTRY_P):
            notes.add(group, judged, "ten-percent", figure, chance)
        elif is_bad:
            notes.add(group, judged, "clicks-period", figure, chance)


def _shifts(
    figure: int,
    p: Array,
    r: Array,
    expected: Array,
    usual: Usual,
    judged: list[int],
    groups: Sequence[Group],
    notes: _Notes,
) -> None:
    """CUSUM of daily residuals around the period's own level; its largest turn against Kolmogorov's law."""
    size = len(judged)
    for group in groups:
        m = group.members
        e, s, n = (x[m][:, judged].sum(axis=0) for x in (expected, r, p))
        if e.sum() < INDUSTRY_LEAST or size < 4:
            continue
        own = e * (s.sum() / e.sum())
        z = (s - own) / np.sqrt(float(usual.a[m].max()) * n + usual.b * n**2 / len(m) + 1e-9)
        path = np.cumsum(z - z.mean())[:-1] / np.sqrt(size)
        turn = int(np.abs(path).argmax())
        chance = float(stats.kstwobign.sf(abs(path[turn])))
        after, before = (
            s[turn + 1 :].sum() / max(e[turn + 1 :].sum(), 1),
            s[: turn + 1].sum() / max(e[: turn + 1].sum(), 1),
        )
        days = judged[turn + 1 :]
        if chance < SHIFT_P and abs(after - before) > SHIFT_LEAST:
            notes.add(group, days, "shift", figure, chance)
        elif chance < HINT_P:
            notes.add(group, days, "shift", figure, chance, hint=True)


def _rejected(chances: Array, lacks: Mask, rate: float) -> Any:
    """Which of `chances` Benjamini–Hochberg rejects at `rate`; those where clicks lack weigh LACK times."""
    weighed = np.minimum(1.0, np.where(lacks, LACK * chances, chances))
    return stats.false_discovery_control(weighed) <= rate if chances.size else chances.astype(bool)


def _chance(r: float, p: float, expected: float, variance: float, freedom: float | None = None) -> float:
    """Two-sided probability of `r` arrivals out of `p` redirects: beta-binomial with this mean and variance;
    past 2,000 redirects its normal limit, with `freedom` degrees where the variance itself was estimated from
    few periods. Arrivals beyond redirects are `_over`'s."""
    if p < 1:
        return 1.0
    n, mean = int(p), min(max(expected / p, 0.5 / p), 1 - 0.02 / p)
    k = min(int(r), n)
    if n > 2000 or (freedom is not None and variance > 0 and n > 400):
        z = max(0.0, abs(r - expected) - 0.5) / np.sqrt(max(variance, 1e-9))
        return float(2 * (stats.norm.sf(z) if freedom is None else stats.t.sf(z, freedom)))
    binomial = n * mean * (1 - mean)
    rho = min(max((variance / binomial - 1) / max(n - 1, 1), 1e-6), 0.5)
    alpha, beta = mean * (1 / rho - 1), (1 - mean) * (1 / rho - 1)
    if k < n * mean:
        tail = float(np.exp(stats.betabinom.logpmf(np.arange(k + 1), n, alpha, beta)).sum())
    else:
        tail = float(np.exp(stats.betabinom.logpmf(np.arange(k, n + 1), n, alpha, beta)).sum())
        # What midnight carries over is in the variance but not in the shape, which ends at n.
        tail = max(
            tail, float(stats.norm.sf((r - expected - 0.5) / np.sqrt(variance))) if variance > 0 else 0.0
        )
    return min(1.0, 2 * tail)
