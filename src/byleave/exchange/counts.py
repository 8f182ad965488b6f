"""The two sides' daily counts, read and laid side by side for `reconcile`.

Rules of this file:

1. A side is {"cells": [{day, interface, surface, variant, sends, recipient_clicks, clicks_total}], "periods",
   "exceptions"}. A cell and day that a side does not name counts zero; one that it names twice is refused.
2. `periods` names the accepted periods, as {"start", "end"}, as [start, end], or by number; days after the
   last of them are the period in question, and where there are none the last one is. A period may carry its
   own "cells". Without dates the days fall into fortnights from the first one on.
3. A declared exception takes its days and cells out of every test and every estimate, on either side's word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from byleave.errors import Code, Refused
from byleave.exchange.terms import DAYS, DIMENSIONS, Cell

FIGURES = ("sends", "recipient_clicks", "clicks_total")
MAX_BYTES = 64 * 1024 * 1024
_MOST_CELLS = 1024
_MOST_DAYS = 4000
_MOST_FIGURE = 2**53 - 1

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Side:
    """One side's file. `counts` are the three figures by day and cell."""

    file: str
    counts: Mapping[tuple[date, Cell], tuple[int, int, int]]
    periods: Sequence[tuple[date, date]]
    exceptions: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Counts:
    """Both sides on one grid: arrays are figures × cells × days. `out` marks what was declared."""

    cells: list[Cell]
    days: list[date]
    platform: Array
    partner: Array
    out: Mask
    accepted: list[slice]
    judged: slice


def read_side(data: bytes, file: str) -> Side:
    """The side in `data`. Raises Refused."""
    if len(data) > MAX_BYTES:
        _refuse(file, "", f"larger than {MAX_BYTES} bytes", code=Code.TOO_LARGE)
    try:
        stated = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError):
        _refuse(file, "", "not JSON")
    if not isinstance(stated, dict) or not isinstance(stated.get("cells"), list):
        _refuse(file, "cells", "must be a list of objects")
    counts: dict[tuple[date, Cell], tuple[int, int, int]] = {}
    _read_cells(stated["cells"], "cells", counts, file)
    periods = stated.get("periods")
    spans: list[tuple[date, date]] = []
    for i, period in enumerate(periods if isinstance(periods, list) else []):
        place = f"periods[{i}]"
        if isinstance(period, dict) and isinstance(period.get("cells"), list):
            _read_cells(period["cells"], f"{place}.cells", counts, file)
        span = _period(period, place, file)
        if span is not None:
            spans.append(span)
    exceptions = stated.get("exceptions") or []
    if not isinstance(exceptions, list) or not all(isinstance(e, dict) for e in exceptions):
        _refuse(file, "exceptions", "must be a list of objects")
    return Side(file, counts, sorted(spans), exceptions)


def _read_cells(
    rows: list[Any], place: str, counts: dict[tuple[date, Cell], tuple[int, int, int]], file: str
) -> None:
    for i, row in enumerate(rows):
        where = f"{place}[{i}]"
        if not isinstance(row, dict):
            _refuse(file, where, "must be an object")
        codes = [row.get(name) for name in DIMENSIONS]
        if not all(isinstance(code, str) and 0 < len(code) <= 80 for code in codes):
            _refuse(file, where, f"needs the codes {', '.join(DIMENSIONS)}")
        figures = [row.get(name) for name in FIGURES]
        if not all(type(n) is int and 0 <= n <= _MOST_FIGURE for n in figures):
            _refuse(file, where, f"needs the integers {', '.join(FIGURES)}, from 0")
        key = _day(row.get("day"), f"{where}.day", file), Cell(*codes)  # type: ignore[arg-type]
        if key in counts:
            _refuse(file, where, "the same day and cell twice")
        counts[key] = figures[0], figures[1], figures[2]  # type: ignore[assignment]


def _period(stated: Any, place: str, file: str) -> tuple[date, date] | None:
    """First and last day, None for a period given by number or by its cells alone."""
    ends: list[Any] = []
    if isinstance(stated, dict):
        names = (("start", "period_start", "from"), ("end", "period_end", "to"))
        ends = [next((stated[n] for n in some if n in stated), None) for some in names]
    elif isinstance(stated, list) and len(stated) == 2:
        ends = stated
    elif isinstance(stated, str):
        first = _day(stated, place, file)
        return first, first + timedelta(days=DAYS - 1)
    if not ends or None in ends or not all(isinstance(end, str) for end in ends):
        return None
    first, last = _day(ends[0], place, file), _day(ends[1], place, file)
    if last < first:
        _refuse(file, place, "ends before it starts")
    return first, last


def align(platform: Side, partner: Side) -> Counts:
    """Both sides on one grid of all cells and days. Raises Refused for no days, or too many."""
    keys = platform.counts.keys() | partner.counts.keys()
    if not keys:
        _refuse(platform.file, "cells", "no figures on either side", code=Code.EMPTY)
    cells = sorted({cell for _, cell in keys})
    first, last = min(day for day, _ in keys), max(day for day, _ in keys)
    span = (last - first).days + 1
    if len(cells) > _MOST_CELLS or span > _MOST_DAYS:
        _refuse(
            platform.file, "cells", f"{len(cells)} cells over {span} days are too many", code=Code.TOO_LARGE
        )
    days = [first + timedelta(days=i) for i in range(span)]
    row = {cell: i for i, cell in enumerate(cells)}

    def grid(side: Side) -> Array:
        array = np.zeros((len(FIGURES), len(cells), span))
        for (day, cell), figures in side.counts.items():
            array[:, row[cell], (day - first).days] = figures
        return array

    out = np.zeros((len(cells), span), dtype=bool)
    for side in (platform, partner):
        for i, exception in enumerate(side.exceptions):
            _leave_out(exception, out, cells, first, f"exceptions[{i}]", side.file)
    accepted, judged = _periods(platform.periods or partner.periods, first, last)
    return Counts(cells, days, grid(platform), grid(partner), out, accepted, judged)


def _periods(spans: Sequence[tuple[date, date]], first: date, last: date) -> tuple[list[slice], slice]:
    """Accepted periods and the one in question, as slices of the days `first` to `last`."""

    def part(start: date, end: date) -> slice:
        return slice(max(0, (start - first).days), max(0, min((end - first).days, (last - first).days) + 1))

    spans = [span for span in spans if span[1] >= first and span[0] <= last]
    if not spans:
        size = (last - first).days + 1
        chunks = [slice(i, min(i + DAYS, size)) for i in range(0, size, DAYS)]
        return chunks[:-1], chunks[-1]
    judged = spans[-1]
    accepted = list(spans[:-1])
    if last > spans[-1][1]:
        judged, accepted = (spans[-1][1] + timedelta(days=1), last), list(spans)
    elif not accepted and judged[0] > first:
        end = judged[0] - timedelta(days=1)
        while end >= first:
            accepted.insert(0, (max(first, end - timedelta(days=DAYS - 1)), end))
            end = accepted[0][0] - timedelta(days=1)
    return [part(*span) for span in accepted], part(*judged)


def _leave_out(
    exception: Mapping[str, Any], out: Mask, cells: list[Cell], first: date, place: str, file: str
) -> None:
    start, end = (_end(exception.get(n), f"{place}.{n}", file) for n in ("from", "to"))
    last = end.date()
    if end.time() == datetime.min.time() and "T" in str(exception.get("to")) and end > start:
        last -= timedelta(days=1)  # a time that is the day's first moment ends the day before
    i, j = (start.date() - first).days, (last - first).days + 1
    for c in _named_cells(exception.get("cells"), cells):
        out[c, max(0, i) : max(0, j)] = True


def _named_cells(stated: Any, cells: list[Cell]) -> Iterator[int]:
    """Indices of the cells that an exception names: all for null, "all", "*" or an empty list."""
    if stated in (None, [], "", "all", "*"):
        yield from range(len(cells))
        return
    for name in stated if isinstance(stated, list) else [stated]:
        for i, cell in enumerate(cells):
            if isinstance(name, dict):
                hit = all(name.get(d, code) == code for d, code in zip(DIMENSIONS, cell, strict=True))
            elif isinstance(name, list):
                hit = list(cell) == [n for n in name if isinstance(n, str)][-3:]
            else:
                hit = name in (str(cell), ",".join(cell), "all", "*") or name in cell
            if hit:
                yield i


def _end(value: Any, place: str, file: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        return (moment - (moment.utcoffset() or timedelta())).replace(tzinfo=None)
    except (ValueError, TypeError, OverflowError):
        _refuse(file, place, "must be a date or an RFC 3339 time")


def _day(value: Any, place: str, file: str) -> date:
    if not isinstance(value, str) or len(value) != 10:
        _refuse(file, place, "must be a date YYYY-MM-DD")
    try:
        return date.fromisoformat(value)
    except ValueError:
        _refuse(file, place, "must be a date YYYY-MM-DD")


def _refuse(file: str, place: str, problem: str, code: Code = Code.MALFORMED) -> NoReturn:
    raise Refused(code, file, place, problem, "see docs/report.md")
