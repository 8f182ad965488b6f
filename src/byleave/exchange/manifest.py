"""The manifest's fields and their types.

Rules of this file:

1. Every field is there, none is more: a field that nobody defined is a field that nobody checks. One may be left out,
   `cohort`.
2. Where the spec leaves a field's inside open (`preparer`, an exception's `cells`), any of the plain forms is
   taken; where it defines one, that one alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from byleave.exchange import cohort
from byleave.exchange.forms import FIGURES, MAX_FIGURE, Odd

SCHEMA = "byleave.partner-report/1"
COHORT = "cohort"
HOUR_MS = 3_600_000
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_MOST_EXCEPTIONS = 1000


def time_ms(value: Any) -> int | None:
    """An RFC 3339 time in milliseconds since 1970, None for anything else."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", value))
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND
    except (ValueError, OverflowError):
        return None


_MILLISECOND = datetime(1970, 1, 1, 0, 0, 0, 1000) - datetime(1970, 1, 1)


def day_ms(day: date) -> int:
    """The first moment of the UTC day, in milliseconds since 1970."""
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * 24 * HOUR_MS


def field_problems(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every field that is missing, unknown, doubled or ill typed, with what is wrong with it."""
    problems = [(name, "stands twice in the manifest") for name in sorted(getattr(manifest, "doubled", ()))]
    problems += [
        (name, "is not a field of the manifest")
        for name in sorted(manifest.keys() - FIELDS.keys() - {COHORT})
    ]
    for name, (fits, wanted) in FIELDS.items():
        if name not in manifest:
            problems.append((name, "is missing"))
        elif isinstance(manifest[name], Odd) or not fits(manifest[name]):
            problems.append((name, f"must be {wanted}"))
    if COHORT in manifest:
        problems += [(COHORT, problem) for problem in cohort.field_problems(manifest[COHORT])]
    if not any(name == "exceptions" for name, _ in problems):
        problems += [("exceptions", problem) for problem in _exception_problems(manifest["exceptions"])]
    return problems


def _whole(value: Any, least: int = 0) -> bool:
    return type(value) is int and least <= value <= MAX_FIGURE


def _text(value: Any, most: int = 200) -> bool:
    return (
        isinstance(value, str)
        and not isinstance(value, Odd)
        and 0 < len(value) <= most
        and value.isprintable()
    )


def _day(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) == 10 and str(date.fromisoformat(value)) == value
    except ValueError:
        return False


def _uuid7(value: Any) -> bool:
    return isinstance(value, str) and _UUID7.fullmatch(value) is not None


def _moment(value: Any) -> bool:
    return time_ms(value) is not None or _day(value)


def _totals(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == set(FIGURES)
        and not getattr(value, "doubled", None)
        and all(_whole(figure) for figure in value.values())
    )


def _preparer(value: Any) -> bool:
    if isinstance(value, dict):
        return 0 < len(value) <= 10 and all(_text(k) and _text(v) for k, v in value.items())
    return _text(value)


def _exceptions(value: Any) -> bool:
    return (
        isinstance(value, list) and len(value) <= _MOST_EXCEPTIONS and all(isinstance(e, dict) for e in value)
    )


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "schema": (lambda v: v == SCHEMA, SCHEMA),
    "report_id": (_uuid7, "a UUIDv7 in lower case"),
    "partner_id": (_text, "text"),
    "agreement_id": (_text, "text"),
    "sequence": (lambda v: _whole(v, 1), "an integer from 1"),
    "revision": (_whole, "an integer from 0"),
    "supersedes": (lambda v: v is None or _uuid7(v), "null or a UUIDv7 in lower case"),
    "period_start": (_day, "a date YYYY-MM-DD"),
    "period_end": (_day, "a date YYYY-MM-DD"),
    "timezone": (_text, "text"),
    "generated_at": (lambda v: time_ms(v) is not None, "an RFC 3339 time"),
    "click_cutoff": (_moment, "an RFC 3339 time or date"),
    "dimensions_version": (lambda v: _whole(v, 1), "an integer from 1"),
    "bot_filter_version": (lambda v: _whole(v) or _text(v), "text or an integer"),
    "row_count": (_whole, "an integer from 0"),
    "totals": (_totals, f"an object of the integers {', '.join(FIGURES)}"),
    "exceptions": (_exceptions, "a list of objects"),
    "content_sha256": (
        lambda v: isinstance(v, str) and re.fullmatch(r"[0-9a-f]{64}", v) is not None,
        "64 digits 0-9a-f",
    ),
    "preparer": (_preparer, "text, or an object of texts"),
    "signature": (lambda v: _text(v, 64 * 1024), "a compact JWS over the manifest without it"),
}
"""Name → its test and what the test wants, in the order of the spec."""

_EXCEPTION: dict[str, tuple[Callable[[Any], bool], str]] = {
    "code": (lambda v: _text(v) and re.fullmatch(r"[a-z0-9_-]{1,40}", v) is not None, "a code"),
    "from": (_moment, "an RFC 3339 time or date"),
    "to": (_moment, "an RFC 3339 time or date"),
    "cells": (
        lambda v: v is None or _text(v) or (isinstance(v, list) and all(map(_cell, v))),
        "a list of cells",
    ),
    "note": (lambda v: v is None or v == "" or _note(v), "text of at most 2,000 characters"),
}


def _note(value: Any) -> bool:
    if not isinstance(value, str) or isinstance(value, Odd) or len(value) > 2000:
        return False
    return all(c.isprintable() or c in "\n\t" for c in value)


def _cell(value: Any) -> bool:
    """A cell as `interface/surface/variant`, as a list of three codes or as an object of them."""
    if isinstance(value, dict):
        return value.keys() <= {"day", "interface", "surface", "variant"} and all(
            _text(v) for v in value.values()
        )
    return _text(value) or (isinstance(value, list) and 0 < len(value) <= 4 and all(_text(v) for v in value))


def _exception_problems(exceptions: list[dict[str, Any]]) -> list[str]:
    problems = []
    for i, exception in enumerate(exceptions):
        where = f"[{i}]"
        if getattr(exception, "doubled", None):
            problems.append(f"{where}: a name stands twice")
        if exception.keys() - _EXCEPTION.keys():
            problems.append(f"{where}: holds what is no field of an exception")
        for name, (fits, wanted) in _EXCEPTION.items():
            if name not in exception:
                problems.append(f"{where}.{name} is missing")
            elif not fits(exception[name]):
                problems.append(f"{where}.{name} must be {wanted}")
    return problems
