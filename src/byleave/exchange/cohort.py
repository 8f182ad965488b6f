"""The optional cohort table of a report: the period's clicks by the day of the send and how old it was then.

Rules of this file:

1. It stands in the manifest, as `cohort`, so that the seal covers it in every form of the report: a list of
   {send_day, interface, surface, variant, age, clicks}, `age` in days between send and click. A combination that it
   leaves out counts zero.
2. What it says must be able to be so: a send of that day, in a cell that was active then, clicked in this period. Per
   cell its clicks are the rows' clicks_total.
3. Pure, as all of the report's checks; one cause, one line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from byleave.exchange.forms import MAX_FIGURE, MAX_ROWS, Odd, Partial, Rule, Twice
from byleave.exchange.terms import CODE, DIMENSIONS, Cell, Terms

AGES: dict[str, tuple[int, int | None]] = {"0": (0, 0), "1-6": (1, 6), "7-29": (7, 29), "30+": (30, None)}
"""Bucket → fewest and most days, both included."""
FIELDS = ("send_day", *DIMENSIONS, "age", "clicks")
_TOLD = 40
"""Problems of one table that are told one by one."""


def field_problems(stated: Any) -> list[str]:
    """What is wrong with the table's form (V1); empty where it may be judged."""
    if not isinstance(stated, list) or len(stated) > MAX_ROWS:
        return [f"must be a list of at most {MAX_ROWS} objects"]
    problems = [
        f"[{i}]{problem}" for i, row in enumerate(stated) if (problem := _row_problem(row)) is not None
    ]
    return problems[:_TOLD] + (
        [f"{len(problems) - _TOLD} more rows are wrong"] if len(problems) > _TOLD else []
    )


def _row_problem(row: Any) -> str | None:
    if not isinstance(row, dict) or row.keys() != set(FIELDS) or isinstance(row, Twice):
        return f" must be an object of exactly {', '.join(FIELDS)}"
    for name in DIMENSIONS:
        if not isinstance(row[name], str) or not CODE.fullmatch(row[name]):
            return f".{name} is not a code [a-z0-9_-]{{1,40}}"
    if not isinstance(row["age"], str) or row["age"] not in AGES:
        return f".age must be one of {', '.join(AGES)}"
    clicks = row["clicks"]
    if isinstance(clicks, Odd) or type(clicks) is not int or not 0 <= clicks <= MAX_FIGURE:
        return ".clicks must be an integer from 0"
    try:
        fits = (
            isinstance(row["send_day"], str)
            and date.fromisoformat(row["send_day"]).isoformat() == row["send_day"]
        )
    except ValueError:
        fits = False
    return None if fits else ".send_day must be a date YYYY-MM-DD"


def judge(
    table: Sequence[Mapping[str, Any]],
    terms: Terms,
    period: tuple[date, date],
    rows: Iterable[Partial] | None,
) -> Iterator[tuple[Rule, str]]:
    """(rule, message) of what in a well-formed table cannot be so. `rows` None: they could not be read, so that the
    sums are not compared."""
    seen: set[tuple[str, ...]] = set()
    sums: Counter[Cell] = Counter()
    for i, row in enumerate(table):
        cell, day = Cell(*(row[name] for name in DIMENSIONS)), date.fromisoformat(row["send_day"])
        sums[cell] += row["clicks"]
        key = (row["send_day"], *cell, row["age"])
        if key in seen:
            yield "V4", f"[{i}] the same send_day, cell and age stand twice"
        seen.add(key)
        if day < terms.anchor or cell not in terms.cells(day):
            yield "V4", f"[{i}] {cell} was no active cell on {day}"
        elif not _may_click(day, AGES[row["age"]], period):
            yield "V4", f"[{i}] a send of {day} is not {row['age']} days old on any day of the period"
    if rows is None:
        return
    reported: Counter[Cell] = Counter()
    for partial in rows:
        if None in partial.key or partial.clicks_total is None:
            return  # a row that could not be read has its own violation
        reported[Cell(*partial.key[1:])] += partial.clicks_total  # type: ignore[arg-type]
    for cell in sorted(sums.keys() | reported.keys()):
        if sums[cell] != reported[cell]:
            yield "V5", f"clicks of {cell} are {sums[cell]}; the rows' clicks_total is {reported[cell]}"


def _may_click(sent: date, age: tuple[int, int | None], period: tuple[date, date]) -> bool:
    """Whether some day of the period is that many days after `sent`."""
    fewest, most = age
    try:
        first = sent + timedelta(days=fewest)
        last = period[1] if most is None else sent + timedelta(days=most)
    except OverflowError:
        return False
    return first <= period[1] and last >= period[0]
