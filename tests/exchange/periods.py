"""Fortnights of figures for the partner's and the operator's pages: ours straight into the sums, the partner's as
reports that it submits over HTTP. Which differs from which, and where, the test says."""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import uuid_utils
from starlette.testclient import TestClient

from byleave.exchange import report as reports
from byleave.exchange import sums
from byleave.exchange.terms import Cell
from byleave.gateway import guard
from byleave.keys import read_jwk
from byleave.store import Transaction
from tests.exchange.world import ANCHOR, DAY_MS, URL, Exchanging

Counts = dict[tuple[str, Cell], list[int]]


def add(tx: Transaction, owner_id: bytes, agreement_id: str, rows: list[Any]) -> None:
    for day, cell, sends, first, clicks in rows:
        sums.add(tx, owner_id, agreement_id, day, Cell(*cell), sends=sends, first=first, clicks=clicks)


def end_of(sequence: int, days: float = 1.5) -> int:
    return int(reports.day_ms(ANCHOR) + (14 * sequence + days) * DAY_MS)


def happened(it: Exchanging, sequence: int, seed: int = 0) -> Counts:
    """A period of ours, in our sums; answers what the partner would count if nothing were lost."""
    draw = random.Random(seed * 1000 + sequence)
    counts: Counts = {}
    rows = []
    for n in range(14):
        day = ANCHOR + timedelta(days=14 * (sequence - 1) + n)
        for cell in it.terms.cells(day):
            sends = draw.randint(120, 260) + (60 if day.weekday() > 4 else 0)
            first = sum(draw.random() < 0.22 for _ in range(sends))
            clicks = first + sum(draw.random() < 0.3 for _ in range(first))
            rows.append([sums.number_of(day), list(cell), sends, first, clicks])
            counts[day.isoformat(), cell] = [sends, first, clicks]
    it.world.store.write(add, it.owner, it.agreement.id, rows)
    return counts


def report(
    it: Exchanging, sequence: int, counts: Counts, change: Callable[[str, Cell, list[int]], None] | None = None, **more: Any
) -> reports.Report:  # fmt: skip
    """The partner's report of a period: `counts`, with `change` made to each cell and day."""
    rows = []
    for (day, cell), figures in sorted(counts.items()):
        own = list(figures)
        if change is not None:
            change(day, cell, own)
        rows.append(reports.Row(day, *cell, *own))
    return reports.build(
        rows, it.terms, sequence=sequence, report_id=str(uuid_utils.uuid7(nanoseconds=it.now * 1_000_000)),
        generated_at_ms=it.now, key=read_jwk(it.key.as_dict(private=True)), bot_filter_version="byleave-2026-11",
        preparer="Reports desk", **more,
    )  # fmt: skip


def spoiled(made: reports.Report) -> tuple[bytes, bytes]:
    """(rows, manifest) of a report with faults at some rows."""
    lines = made.csv().decode().split("\n")
    lines[3] = lines[3].rsplit(",", 1)[0] + ",-4"
    lines[9] = lines[9].replace("tv", "=tv") if "tv" in lines[9] else "=" + lines[9]
    lines[12] = lines[12].rsplit(",", 2)[0] + ",999999,12"
    return "\n".join(lines).encode(), made.manifest_json()


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────
def desk(it: Exchanging, role: str, name: str, operative: str | None = None) -> TestClient:
    """A browser that is signed in at a desk by a link of the console."""
    secret = secrets.token_urlsafe(16)
    it.world.store.write(
        guard.offer_desk, hashlib.sha256(secret.encode()).digest(), role, name, None, operative, it.now
    )
    browser = TestClient(it.app, base_url=URL, follow_redirects=False)
    answer = browser.post(f"/{role}/signin/{secret}")
    assert answer.status_code == 303, answer.text
    return browser


def csrf(browser: TestClient, role: str) -> str:
    page = browser.get(f"/{role}/").text
    return page.partition('name="csrf" value="')[2].partition('"')[0]
