"""A partner's desk: an agreement with two keys, honest rows, and reports sealed after any mutation."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import pytest

from byleave.exchange import report as reports
from byleave.exchange.forms import FIGURES, Parcel, Row, canonical_csv
from byleave.keys import Key, generate

ANCHOR = date(2026, 11, 2)
DAY_MS = 86_400_000


class Desk:
    """Everything a test needs to make and judge reports."""

    def __init__(self) -> None:
        self.key: Key = generate("ES256")
        self.old: Key = generate("EdDSA")
        self.stranger: Key = generate("ES256")
        retired = {**self.old.public(), "exp": self.at(2) // 1000}
        self.agreement: dict[str, Any] = {
            "schema": "byleave.agreement/1",
            "id": "streamflix-2026",
            "version": 1,
            "partner": {"id": "streamflix", "jwks": {"keys": [self.key.public(), retired]}},
            "report": {
                "anchor": "2026-11-02",
                "dimensions": {
                    "interface": ["tv", "web"],
                    "surface": ["detail"],
                    "variant": ["card-off_platform", "card-on_platform"],
                },
                "valid_from": "2026-11-02",
                "valid_to": None,
                "grace_days": 3,
                "suspend_days": 7,
            },
            "term": {"from": "2026-11-02", "to": "2027-11-01"},
        }

    @property
    def terms(self) -> reports.Terms:
        return reports.terms_of(self.agreement)

    def at(self, sequence: int, days: float = 1.5) -> int:
        """`days` after the end of period `sequence`."""
        return int(reports.day_ms(ANCHOR) + (14 * sequence + days) * DAY_MS)

    def rows(self, sequence: int = 1, seed: int = 0) -> list[Row]:
        rng = random.Random(f"{sequence}/{seed}")
        start = ANCHOR + timedelta(days=14 * (sequence - 1))
        found = []
        for d in range(14):
            day = start + timedelta(days=d)
            for cell in self.terms.cells(day):
                sends = rng.randint(60, 140)
                first = sum(rng.random() < 0.3 for _ in range(sends))
                found.append(Row(day.isoformat(), *cell, sends, first, first + rng.randint(0, 9)))
        return found

    def manifest(self, rows: list[Row], period: int = 1, **changed: Any) -> dict[str, Any]:
        """The unsealed manifest over `rows`; `changed` overrides fields, `...` takes one out."""
        start = ANCHOR + timedelta(days=14 * (period - 1))
        manifest = {
            "schema": "byleave.partner-report/1",
            "report_id": f"0190{period:04x}-0000-7000-8000-{random.Random(str(rows)).getrandbits(48):012x}",
            "partner_id": "streamflix",
            "agreement_id": "streamflix-2026",
            "sequence": period,
            "revision": 0,
            "supersedes": None,
            "period_start": start.isoformat(),
            "period_end": (start + timedelta(days=13)).isoformat(),
            "timezone": "UTC",
            "generated_at": (start + timedelta(days=15)).isoformat() + "T06:00:00Z",
            "click_cutoff": (start + timedelta(days=14)).isoformat() + "T00:00:00Z",
            "dimensions_version": 1,
            "bot_filter_version": "counter-2026-07",
            "row_count": len(rows),
            "totals": {name: sum(getattr(row, name) for row in rows) for name in FIGURES},
            "exceptions": [],
            "content_sha256": sha256(canonical_csv(rows)).hexdigest(),
            "preparer": "Reports desk",
        }
        manifest.update(changed)
        return {name: value for name, value in manifest.items() if value is not ...}

    def seal(self, manifest: dict[str, Any], key: Key | None = None) -> dict[str, Any]:
        return reports.seal(manifest, key or self.key)

    def csv(
        self,
        rows: list[Row] | None = None,
        *,
        period: int = 1,
        edit: Callable[[bytes], bytes] = lambda data: data,
        key: Key | None = None,
        **changed: Any,
    ) -> Parcel:
        """A sealed CSV report; `edit` changes the file after everything was computed from the rows."""
        rows = self.rows(period) if rows is None else rows
        manifest = self.seal(self.manifest(rows, period, **changed), key)
        return Parcel("csv", edit(canonical_csv(rows)), json.dumps(manifest).encode())

    def json(self, rows: list[Row] | None = None, *, period: int = 1, **changed: Any) -> Parcel:
        rows = self.rows(period) if rows is None else rows
        manifest = self.seal(self.manifest(rows, period, **changed))
        body = {"manifest": manifest, "rows": [row._asdict() for row in rows]}
        return Parcel("json", json.dumps(body).encode())

    def report(self, period: int = 1) -> reports.Report:
        rows = self.rows(period)
        return reports.Report(self.seal(self.manifest(rows, period)), tuple(rows))

    def known(self, parcel: Parcel) -> reports.Known:
        return reports.known(parcel, "accepted")

    def check(
        self,
        parcel: Parcel,
        history: list[Parcel] | None = None,
        *,
        at: int | None = None,
        bare: bool = False,
    ) -> reports.Verdict:
        past = [self.known(p) for p in history] if history is not None else []
        return reports.check(parcel, None if bare else self.terms, past, at or self.at(8))


@pytest.fixture(scope="session")
def desk() -> Desk:
    return Desk()
