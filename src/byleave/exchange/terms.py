"""What an agreement says of the report: who signs, which cells, which fortnights, which deadlines.

Rules of this file:

1. Period k covers anchor + 14(k − 1) and the 13 days after it, in UTC; k is the report's `sequence`, from 1.
2. The active cells of a day are the product of the codes valid on it; `valid_from` and `valid_to` are both
   inclusive. At most 64: a `variant` must not become a user id.
3. What is not exactly an agreement is refused with the place in it; nothing gets a default that would widen
   what a partner may report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from typing import Any, NamedTuple

from byleave.errors import Code, Refused

DAYS = 14
MAX_CELLS = 64
DIMENSIONS = ("interface", "surface", "variant")
CODE = re.compile(r"[a-z0-9_-]{1,40}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Cell(NamedTuple):
    """One column of the daily counts, as codes of the agreement's dimensions."""

    interface: str
    surface: str
    variant: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, slots=True)
class Span:
    """The days `first` to `last`, both included; None is open."""

    first: date | None
    last: date | None

    def holds(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


@dataclass(frozen=True, slots=True)
class Terms:
    """The reporting half of one agreement (spec names.md)."""

    agreement_id: str
    version: int
    partner_id: str
    jwks: Mapping[str, Any]
    anchor: date
    valid: Span
    dimensions: tuple[tuple[tuple[str, Span], ...], ...]
    grace_days: int
    suspend_days: int
    term: Span

    def period(self, sequence: int) -> tuple[date, date] | None:
        """First and last day of period `sequence`; None before the first or past the calendar."""
        try:
            first = self.anchor + timedelta(days=DAYS * (sequence - 1))
            return (first, first + timedelta(days=DAYS - 1)) if sequence >= 1 else None
        except OverflowError:
            return None

    def sequence(self, day: date) -> int:
        """The period `day` lies in: 1 is the first one, less is before the anchor."""
        return (day - self.anchor).days // DAYS + 1

    def codes(self, day: date) -> tuple[frozenset[str], ...]:
        """The codes valid on `day`, one set a dimension."""
        if not self.valid.holds(day):
            return (frozenset(),) * len(DIMENSIONS)
        return tuple(frozenset(c for c, span in codes if span.holds(day)) for codes in self.dimensions)

    def cells(self, day: date) -> list[Cell]:
        """The active cells of `day`, sorted."""
        return sorted(Cell(*codes) for codes in product(*self.codes(day)))


def read_terms(data: bytes, file: str) -> Terms:
    """The terms in an agreement's JSON. `file` is the name that a refusal shows. Raises Refused."""

    def twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError
        return found

    try:
        agreement = json.loads(data.decode("utf-8"), object_pairs_hook=twice)
    except (ValueError, RecursionError):
        raise _refused(file, "", "not JSON, or a name stands twice") from None
    return terms_of(agreement, file)


def terms_of(agreement: Any, file: str = "agreement") -> Terms:
    """The terms of an agreement that is already parsed. Raises Refused."""
    partner, report = _object(agreement, "partner", file), _object(agreement, "report", file)
    dimensions = _object(report, "dimensions", file)
    if set(dimensions) != set(DIMENSIONS):
        raise _refused(file, "report.dimensions", f"must name exactly {', '.join(DIMENSIONS)}")
    term = agreement.get("term") or {}
    anchor = _day(report.get("anchor"), "report.anchor", file)
    version = agreement.get("version")
    if type(version) is not int or version < 1:
        raise _refused(file, "version", "must be an integer from 1")
    if anchor is None:
        raise _refused(file, "report.anchor", "must be a date")
    grace, suspend = (_days(report, name, usual, file) for name, usual in _USUAL_DAYS.items())
    if suspend < grace:
        raise _refused(file, "report.suspend_days", "must not be less than grace_days")
    terms = Terms(
        agreement_id=_text(agreement, "id", file),
        version=version,
        partner_id=_text(partner, "id", file),
        jwks=partner["jwks"] if isinstance(partner.get("jwks"), dict) else {"keys": []},
        anchor=anchor,
        valid=_span(report, "report", file),
        dimensions=tuple(tuple(_codes(dimensions[name], name, file)) for name in DIMENSIONS),
        grace_days=grace,
        suspend_days=suspend,
        term=Span(_day(term.get("from"), "term.from", file), _day(term.get("to"), "term.to", file)),
    )
    _count_cells(terms, file)
    return terms


_USUAL_DAYS = {"grace_days": 3, "suspend_days": 7}


def _count_cells(terms: Terms, file: str) -> None:
    """The active cells change only where a code starts or ends, so those days are the ones to count."""
    turns = {terms.anchor, terms.valid.first or terms.anchor}
    for codes in terms.dimensions:
        turns |= {span.first for _, span in codes if span.first is not None}
    for day in turns:
        sizes = [len(codes) for codes in terms.codes(day)]
        if sizes[0] * sizes[1] * sizes[2] > MAX_CELLS:
            raise _refused(file, "report.dimensions", f"more than {MAX_CELLS} active cells on {day}")


def _codes(stated: Any, dimension: str, file: str) -> Iterator[tuple[str, Span]]:
    place = f"report.dimensions.{dimension}"
    if not isinstance(stated, list) or not stated or len(stated) > 1000:
        raise _refused(file, place, "must be a list of codes")
    for i, entry in enumerate(stated):
        code = entry.get("code") if isinstance(entry, dict) else entry
        if not isinstance(code, str) or not CODE.fullmatch(code) or code.startswith("-"):
            raise _refused(file, f"{place}[{i}]", "a code is [a-z0-9_-]{1,40} and starts with no dash")
        yield code, _span(entry, f"{place}[{i}]", file) if isinstance(entry, dict) else Span(None, None)


def _span(stated: Any, place: str, file: str) -> Span:
    return Span(*(_day(stated.get(name), f"{place}.{name}", file) for name in ("valid_from", "valid_to")))


def _day(value: Any, place: str, file: str) -> date | None:
    if value is None:
        return None
    try:
        if isinstance(value, str) and _DAY.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise _refused(file, place, "must be a date YYYY-MM-DD")


def _days(report: Mapping[str, Any], name: str, usual: int, file: str) -> int:
    value = report.get(name, usual)
    if type(value) is not int or not 0 <= value <= 365:
        raise _refused(file, f"report.{name}", "must be whole days from 0 to 365")
    return value


def _object(of: Any, name: str, file: str) -> dict[str, Any]:
    value = of.get(name) if isinstance(of, dict) else None
    if not isinstance(value, dict):
        raise _refused(file, name, "must be an object")
    return value


def _text(of: Mapping[str, Any], name: str, file: str) -> str:
    value = of.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise _refused(file, name, "must be text")
    return value


def _refused(file: str, place: str, problem: str) -> Refused:
    return Refused(Code.MALFORMED, file, place, problem, "give the agreement as the provider publishes it")
