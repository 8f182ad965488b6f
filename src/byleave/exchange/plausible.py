"""V6: what looks unlike traffic. Warnings alone; they refuse nothing.

Rules of this file:

1. More than a fifth of the cells identical to the last period: a copy.
2. Clicks per send nearer to one constant than chance leaves them: a formula, not a count.
3. A day far from the same weekday of the periods before: a lost or doubled day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
from scipy.special import chdtr

from byleave.exchange.forms import FIGURES, Row, Violation

IDENTICAL = 0.20
CONSTANT_P = 1e-6
WEEKDAY_Z = 5.0
FEWEST_WEEKS = 4


def warnings(
    rows: Sequence[Row], last: Sequence[Row] | None, earlier: Sequence[Sequence[Row]]
) -> Iterator[Violation]:
    """The warnings for `rows`, given the `last` period's rows (None: not known) and the `earlier` ones."""
    if last is not None:
        yield from _copied(rows, last)
    yield from _constant(rows)
    yield from _weekdays(rows, earlier)


def _copied(rows: Sequence[Row], last: Sequence[Row]) -> Iterator[Violation]:
    """Days are compared by their place in the period."""
    before = {(_ordinal(row) - _first(last), row.cell): row[4:] for row in last}
    live = [row for row in rows if any(row[4:])]
    same = sum(before.get((_ordinal(row) - _first(rows), row.cell)) == row[4:] for row in live)
    if live and same > IDENTICAL * len(live):
        share = f"{same} of {len(live)} cells that are not zero"
        yield Violation("V6", None, None, f"identical to the last period: {share}")


def _constant(rows: Sequence[Row]) -> Iterator[Violation]:
    """Homogeneity χ² of clicks among sends; its *lower* tail, which chance and overdispersion never reach."""
    live = [row for row in rows if row.sends > 0]
    sends = np.array([row.sends for row in live], dtype=float)
    clicks = np.array([row.recipient_clicks for row in live], dtype=float)
    if len(live) < 10 or not 0 < clicks.sum() < sends.sum():
        return
    rate = clicks.sum() / sends.sum()
    chi2 = float((((clicks - rate * sends) ** 2) / (rate * (1 - rate) * sends)).sum())
    if sends.mean() * rate >= 2 and chdtr(len(live) - 1, chi2) < CONSTANT_P:
        yield Violation(
            "V6", None, "recipient_clicks", f"constant click rate: {rate:.1%} of sends on all days"
        )


def _weekdays(rows: Sequence[Row], earlier: Sequence[Sequence[Row]]) -> Iterator[Violation]:
    for figure in FIGURES:
        past: dict[int, list[float]] = defaultdict(list)
        for period in earlier:
            for day, total in _daily(period, figure).items():
                past[date.fromisoformat(day).weekday()].append(np.log1p(total))
        if not past or min(len(past[weekday]) for weekday in range(7)) < FEWEST_WEEKS:
            continue
        middle = {weekday: float(np.median(values)) for weekday, values in past.items()}
        apart = np.concatenate([np.array(values) - middle[w] for w, values in past.items()])
        for day, total in sorted(_daily(rows, figure).items()):
            usual = middle[date.fromisoformat(day).weekday()]
            spread = max(1.4826 * float(np.median(np.abs(apart))), float(np.exp(-usual / 2)), 0.02)
            z = (float(np.log1p(total)) - usual) / spread
            if abs(z) > WEEKDAY_Z:
                usually = round(float(np.expm1(usual)))
                message = f"{figure} of {day}: {total}, usually about {usually} on that weekday (z {z:+.1f})"
                yield Violation("V6", None, figure, message)


def _daily(rows: Sequence[Row], figure: str) -> dict[str, int]:
    totals: dict[str, int] = defaultdict(int)
    for row in rows:
        totals[row.day] += getattr(row, figure)
    return totals


def _ordinal(row: Row) -> int:
    return date.fromisoformat(row.day).toordinal()


def _first(rows: Sequence[Row]) -> int:
    return min(map(_ordinal, rows))
