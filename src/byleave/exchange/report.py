"""The fortnightly report: made from a partner's own records, sealed, written, read and checked.

The agreement of 2013 asked for "a written report every two weeks that shows daily counts of recommendation
sends and recipient clicks by interface, initiation surface, and/or implementation variant". This module is
that report's whole face: `byleave.partner` imports it and nothing else of the house.

Rules of this file:

1. A built report has every cell of every day, zeros explicit, in canonical form, and is checked by nobody's
   leave: what `build` returns passes `check`.
2. An event outside the period, or in a cell that was not active that day, is refused, not dropped.
3. Time, ids and keys come in as arguments.

Reading and V1 stand in `forms`, the manifest's fields in `manifest`, V2 to V6 in `checks`.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec

from byleave.errors import Code, Refused
from byleave.exchange.checks import Verdict, check
from byleave.exchange.forms import (
    COLUMNS,
    FIGURES,
    Form,
    Parcel,
    Row,
    Violation,
    canonical_csv,
    shown,
)
from byleave.exchange.history import Known, known, newest
from byleave.exchange.manifest import HOUR_MS, SCHEMA, day_ms, time_ms
from byleave.exchange.terms import DAYS, Cell, Terms, read_terms, terms_of
from byleave.keys import Key, canonical

__all__ = [
    "Cell",
    "Form",
    "Known",
    "Parcel",
    "Report",
    "Row",
    "Terms",
    "Verdict",
    "Violation",
    "build",
    "canonical_csv",
    "check",
    "count",
    "day_ms",
    "known",
    "newest",
    "read_terms",
    "seal",
    "terms_of",
    "time_ms",
]

KINDS = {"send": "sends", "recipient_click": "recipient_clicks", "click": "clicks_total"}
"""Kind of an event → the figure it counts in. A `recipient_click` is a valid click too: it counts in both."""


class Report(msgspec.Struct, frozen=True):
    """A sealed report: `manifest` with its `signature`, `rows` sorted."""

    manifest: dict[str, Any]
    rows: tuple[Row, ...]

    def csv(self) -> bytes:
        """`NAME.csv`."""
        return canonical_csv(self.rows)

    def manifest_json(self) -> bytes:
        """`NAME.manifest.json`, for people to read; the seal is over the canonical form."""
        return (json.dumps(self.manifest, indent=2, ensure_ascii=False) + "\n").encode()

    def json(self) -> bytes:
        """`NAME.json`: manifest and rows in one object."""
        rows = [row._asdict() for row in self.rows]
        return json.dumps({"manifest": self.manifest, "rows": rows}, ensure_ascii=False).encode() + b"\n"

    def parquet(self) -> bytes:
        """`NAME.parquet`, to stand beside the manifest. Raises Refused without `byleave[parquet]`."""
        try:  # an optional extra of 60 MB; most partners send CSV
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError:
            raise Refused(
                Code.UNAVAILABLE, "report", "", "Parquet needs pyarrow", "pip install 'byleave[parquet]'"
            ) from None
        columns = dict(zip(COLUMNS, zip(*self.rows, strict=True), strict=True))
        arrays = [
            pa.array([date.fromisoformat(day) for day in columns["day"]], pa.date32()),
            *(pa.array(columns[name], pa.string()) for name in COLUMNS[1:4]),
            *(pa.array(columns[name], pa.int64()) for name in FIGURES),
        ]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(arrays, names=list(COLUMNS)), sink)
        return sink.getvalue()

    def parcel(self, form: Form = "csv") -> Parcel:
        """The report as it would arrive."""
        if form == "json":
            return Parcel("json", self.json())
        return Parcel(form, self.csv() if form == "csv" else self.parquet(), self.manifest_json())


def count(lines: Iterable[bytes], terms: Terms, sequence: int, file: str = "events") -> list[Row]:
    """The complete grid of period `sequence` from raw events, zeros explicit, sorted.

    `lines` are JSON Lines, one event each: {"kind": "send" | "recipient_click" | "click", "day", "interface",
    "surface", "variant"} and optionally "count" (1 if absent). A `recipient_click`, the first valid click of
    a send, counts in clicks_total too; `click` is each further valid one. The day is the event's UTC day.

    Raises Refused: a line that is no such event, a day outside the period, a cell not active that day.
    """
    period = terms.period(sequence)
    if period is None:
        raise Refused(Code.MALFORMED, file, "", f"no period {sequence}", "sequences count from 1")
    days = [period[0] + timedelta(days=i) for i in range(DAYS)]
    counts: dict[tuple[str, Cell], Counter[str]] = {
        (day.isoformat(), cell): Counter() for day in days for cell in terms.cells(day)
    }
    if not counts:
        raise Refused(
            Code.EMPTY, file, "", "the period has no active cells", "see the agreement's dimensions"
        )
    for number, line in enumerate(lines, 1):
        if line.strip():
            _count_event(line, counts, file, f"line {number}")
    return sorted(
        Row(day, *cell, *(figures[name] for name in FIGURES)) for (day, cell), figures in counts.items()
    )


def _count_event(line: bytes, counts: Mapping[tuple[str, Cell], Counter[str]], file: str, place: str) -> None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        raise _refused(file, place, "not JSON", "write one event a line") from None
    fields = {"kind", "day", "interface", "surface", "variant"}
    if not isinstance(event, dict) or not fields <= event.keys() <= fields | {"count"}:
        raise _refused(file, place, "not an event", f"give it exactly {', '.join(sorted(fields))}")
    kind, times = event["kind"], event.get("count", 1)
    if not isinstance(kind, str) or kind not in KINDS:
        raise _refused(file, place, "an unknown kind", f"use {', '.join(KINDS)}")
    if type(times) is not int or not 0 < times < 2**40:
        raise _refused(file, place, "count is no integer from 1", "leave it out for one event")
    key = event["day"], Cell(event["interface"], event["surface"], event["variant"])
    if not all(isinstance(value, str) for value in (key[0], *key[1])) or key not in counts:
        what = " ".join(shown(value) for value in (key[0], *key[1]) if isinstance(value, str))
        raise _refused(
            file,
            place,
            f"{what} is no day and active cell of the period",
            "see the agreement's report section",
        )
    counts[key][KINDS[kind]] += times
    if kind == "recipient_click":
        counts[key]["clicks_total"] += times


def build(
    rows: Sequence[Row],
    terms: Terms,
    *,
    sequence: int,
    report_id: str,
    generated_at_ms: int,
    key: Key,
    bot_filter_version: str,
    preparer: str,
    revision: int = 0,
    supersedes: str | None = None,
    click_cutoff_ms: int | None = None,
    exceptions: Sequence[Mapping[str, Any]] = (),
    cohort: Sequence[Mapping[str, Any]] | None = None,
) -> Report:
    """The sealed report over `rows`, a complete grid as `count` gives it. `report_id` is a new UUIDv7. `cohort` is the
    optional table of clicks by the day of their send (`byleave.exchange.cohort`).

    Raises Refused before the period's end + 24 h: every report is a final.
    """
    period = terms.period(sequence)
    if period is None:
        raise Refused(Code.MALFORMED, "report", "sequence", f"no period {sequence}", "sequences count from 1")
    closes = day_ms(period[1]) + 24 * HOUR_MS
    if generated_at_ms < closes + 24 * HOUR_MS:
        earliest = _rfc3339(closes + 24 * HOUR_MS)
        raise Refused(
            Code.MALFORMED,
            "report",
            "generated_at",
            "the figures are not final",
            f"build it from {earliest} on",
        )
    ordered = tuple(sorted(rows))
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "report_id": report_id,
        "partner_id": terms.partner_id,
        "agreement_id": terms.agreement_id,
        "sequence": sequence,
        "revision": revision,
        "supersedes": supersedes,
        "period_start": period[0].isoformat(),
        "period_end": period[1].isoformat(),
        "timezone": "UTC",
        "generated_at": _rfc3339(generated_at_ms),
        "click_cutoff": _rfc3339(closes if click_cutoff_ms is None else click_cutoff_ms),
        "dimensions_version": terms.version,
        "bot_filter_version": bot_filter_version,
        "row_count": len(ordered),
        "totals": {name: sum(getattr(row, name) for row in ordered) for name in FIGURES},
        "exceptions": [dict(exception) for exception in exceptions],
        "content_sha256": sha256(canonical_csv(ordered)).hexdigest(),
        "preparer": preparer,
    }
    if cohort is not None:
        manifest["cohort"] = [dict(row) for row in cohort]
    return Report(seal(manifest, key), ordered)


def seal(manifest: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """`manifest` with `signature`: the compact JWS by `key` over it without that field (RFC 8785)."""
    bare = {name: value for name, value in manifest.items() if name != "signature"}
    return {**bare, "signature": key.sign(canonical(bare))}


def _rfc3339(ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def _refused(file: str, place: str, problem: str, remedy: str) -> Refused:
    return Refused(Code.MALFORMED, file, place, problem, remedy)
