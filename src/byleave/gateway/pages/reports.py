"""The calendar of reports and one report beside our figures, as the partner's and the operator's pages show them.

Rules of this file:

1. Our figures of a period are shown once its report is accepted, and not before (delivery.py, rule 4): charts and
   tables are of accepted reports alone.
2. Nothing here names a person: cells, days and counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.consent.agreement import Agreement
from byleave.errors import Absent
from byleave.exchange import cohort, deadline, delivery, duty
from byleave.exchange.counts import FIGURES, Side
from byleave.exchange.deadline import State
from byleave.exchange.terms import DAYS, Terms
from byleave.gateway.pages import charts
from byleave.gateway.pages.desk import Desk, OperatorDesk, PartnerDesk, desk_route
from byleave.gateway.pages.shell import Context, not_here
from byleave.model import Ms
from byleave.store import Snapshot

DAY_MS = 86_400_000
CHARTED = 4
"""Accepted periods in the chart of an agreement."""
TOLD_MS = 60 * DAY_MS
"""How long notices stay on the pages."""
WORDS = {
    "sends": "sends",
    "recipient_clicks": "recipient clicks",
    "clicks_total": "clicks in all",
}
KINDS = {
    "sends-day": "a day differs, though both sides see the same event",
    "sends-period": "the whole period differs",
    "clicks-day": "a day lies outside what is usual for this cell",
    "clicks-period": "the whole period lies outside what is usual",
    "ten-percent": "they differ by more than ten in a hundred",
    "more-than-redirects": "more arrivals than redirects",
    "more-than-redirects-period": "more arrivals than redirects, over the whole period",
    "restless": "the days vary far more than they ever did",
    "shift": "from one day on, another share arrives",
    "outage": "one day lacks some everywhere: perhaps an outage nobody declared",
}
TONES = {
    State.SUSPENDED: "no",
    State.OVERDUE: "no",
    State.DUE: "warn",
    State.OPEN: "off",
    State.WAIVED: "off",
}


class Sides(msgspec.Struct, frozen=True):
    """Both sides of one period and of those before it; `key` names the state of the history."""

    key: tuple[str, ...]
    platform: Side
    partner: Side
    span: tuple[date, date]


class Beside(msgspec.Struct, frozen=True):
    """One accepted report beside ours: `rows` of one period, day by cell."""

    findings: list[dict[str, Any]]
    hints: list[dict[str, Any]]
    rows: list[dict[str, Any]]


def routes(context: Context) -> list[BaseRoute]:
    found: list[BaseRoute] = []
    for kind in (PartnerDesk, OperatorDesk):
        at = f"/{kind.role}/agreements/{{id}}"
        found += [
            desk_route(kind, context, f"{at}/chart.svg", chart),
            desk_route(kind, context, f"{at}/reports/{{report}}", one),
            desk_route(kind, context, f"{at}/reports/{{report}}/receipt", receipt),
        ]
    return found


# ── the calendar ──
def calendar(snapshot: Snapshot, agreement: Agreement, now: Ms) -> dict[str, Any] | None:
    """What the pages show of an agreement's periods, the newest first; None where it asks for no report."""
    terms, stand = duty.terms(agreement), duty.stands(snapshot, agreement, now)
    if terms is None or stand is None:
        return None
    versions: dict[int, list[delivery.Kept]] = {}
    for kept in delivery.every(snapshot, agreement.id, now):
        versions.setdefault(kept.sequence, []).insert(0, kept)
    periods: list[dict[str, Any]] = []
    for period in reversed(stand.periods):
        span = terms.period(period.sequence)
        assert span is not None
        periods.append(
            {
                "period": period, "start": span[0], "end": span[1], "tone": TONES.get(period.state, ""),
                "versions": versions.get(period.sequence, []), "next": _next(period, now),
                "revisable": deadline.revisable(terms, period.sequence, now),
            }
        )  # fmt: skip
    return {
        "agreement": agreement, "state": stand.state, "suspended": stand.suspended, "periods": periods,
        "tone": TONES.get(stand.state, ""), "late": [p for p in periods if p["tone"] == "no"], "newest": _newest(versions),
    }  # fmt: skip


def _newest(versions: dict[int, list[delivery.Kept]]) -> delivery.Kept | None:
    return versions[max(versions)][0] if versions else None


def _next(period: deadline.Period, now: Ms) -> tuple[str, Ms] | None:
    """(what happens next, when) where a period still asks for something."""
    if period.state is State.OPEN:
        return "closes", period.closes_at
    if period.state is State.DUE and period.overdue_at is not None:
        return "overdue", period.overdue_at
    if period.state is State.OVERDUE and period.suspended_at is not None:
        return "suspends", period.suspended_at
    return None


def notices(snapshot: Snapshot, agreement: Agreement, now: Ms, to: str) -> list[deadline.Notice]:
    """What `partner` or `operator` was told of late, the newest first."""
    found = duty.notices(snapshot, agreement, now - TOLD_MS, now)
    return [notice for notice in reversed(found) if to in notice.to]


# ── one report beside ours ──
_RECONCILED: dict[tuple[str, ...], tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {}


def sides(snapshot: Snapshot, terms: Terms, kept: delivery.Kept, now: Ms) -> Sides:
    """What is known of `kept`'s period and of those before it, on both sides."""
    history = [k for k in delivery.every(snapshot, terms.agreement_id, now) if k.sequence <= kept.sequence]
    span = terms.period(kept.sequence)
    assert span is not None
    key = (terms.agreement_id, *(k.report_id for k in history))
    return Sides(key, *delivery.sides(snapshot, terms, history, kept.sequence), span)


async def beside(found: Sides) -> Beside:
    """The period reconciled. Closed sums and accepted reports never change, so that each state of a history is judged
    once in each process."""
    if found.key not in _RECONCILED:
        if len(_RECONCILED) > 256:
            _RECONCILED.clear()
        _RECONCILED[found.key] = await asyncio.to_thread(_reconciled, found.platform, found.partner)
    findings, hints = _RECONCILED[found.key]
    return Beside(findings, hints, delivery.figures(found.platform, found.partner, found.span))


def _reconciled(platform: Side, partner: Side) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from byleave.exchange.reconcile import reconcile  # scipy takes most of a second to load

    outcome = reconcile(platform, partner)
    return [f.answer() for f in outcome.findings], [f.answer() for f in outcome.hints]


def summed(rows: Sequence[dict[str, Any]], by: tuple[str, ...]) -> list[dict[str, Any]]:
    """Both sides' sums of `rows`, grouped by the columns `by`, in order: {key, FIGURE: (platform, partner)}."""
    groups: dict[tuple[str, ...], dict[str, list[int]]] = {}
    for row in rows:
        group = groups.setdefault(tuple(row[n] for n in by), {f: [0, 0] for f in FIGURES})
        for figure in FIGURES:
            group[figure][0] += row["platform"][figure]
            group[figure][1] += row["partner"][figure]
    return [{"key": "/".join(key), **sums} for key, sums in sorted(groups.items())]


def finding(found: dict[str, Any]) -> dict[str, Any]:
    """One finding as a page shows it."""
    days = found["days"]
    return {
        **found, "place": _place(found["cell"]), "words": KINDS.get(found["kind"], ""),
        "when": days[0] if len(days) == 1 else f"{days[0]} – {days[-1]} ({len(days)} days)",
        "chance": "none" if found["probability"] == 0 else f"{found['probability']:.1e}",
        "figure": WORDS[found["figure"]],
    }  # fmt: skip


def _place(cell: dict[str, str | None]) -> str:
    """Where a finding lies, as people say it."""
    named = {dimension: code for dimension, code in cell.items() if code is not None}
    if len(named) == len(cell):
        return "/".join(named.values())
    return ", ".join(f"{dimension} {code}" for dimension, code in named.items()) or "all cells"


async def one(visit: Desk) -> Response:
    """One accepted report: what it says, what we have, what differs."""
    with visit.store.read() as snapshot:
        agreement, terms, kept = asked(snapshot, visit)
        every = [k for k in delivery.every(snapshot, agreement.id, visit.now) if k.sequence == kept.sequence]
        both = sides(snapshot, terms, kept, visit.now)
    made = await beside(both)
    cell, figure = _cell(visit, made.rows), _figure(visit)
    rows = [r for r in made.rows if not cell or _name(r) == cell]
    return visit.page(
        "report.html", a=agreement, kept=kept, versions=every[::-1], manifest=kept.known().manifest, cell=cell,
        figure=figure, words=WORDS, span=both.span, totals=summed(rows, ())[:1],
        findings=[finding(f) for f in made.findings], hints=[finding(f) for f in made.hints],
        ages=_ages(kept.known().manifest), days=summed(rows, ("day",)), cells=summed(made.rows, ("interface", "surface", "variant")),
        done=visit.query("done"),
        link=lambda f, c: f"?figure={f}" + (f"&cell={c}" if c else "") + "#figures",
    )  # fmt: skip


def _ages(manifest: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Clicks by how many days old their send was, of a report with a cohort table."""
    stated = manifest.get("cohort")
    if stated is None:
        return []
    return [(age, sum(row["clicks"] for row in stated if row["age"] == age)) for age in cohort.AGES]


async def receipt(visit: Desk) -> Response:
    """What we signed for it, as a file."""
    with visit.store.read() as snapshot:
        _, _, kept = asked(snapshot, visit)
    headers = {
        "Content-Disposition": f'attachment; filename="{kept.report_id}.receipt.jws"',
        "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    }  # fmt: skip
    return Response(kept.receipt.encode(), 200, headers, "application/jose")


def asked(snapshot: Snapshot, visit: Desk) -> tuple[Agreement, Terms, delivery.Kept]:
    agreement = visit.mine(snapshot, visit.request.path_params["id"])
    terms = duty.terms(agreement)
    if terms is None:
        raise not_here()
    try:
        return agreement, terms, delivery.find(snapshot, agreement.id, visit.request.path_params["report"])
    except Absent:
        raise not_here() from None


def _name(row: dict[str, Any]) -> str:
    return f"{row['interface']}/{row['surface']}/{row['variant']}"


def _cell(visit: Desk, rows: Sequence[dict[str, Any]]) -> str:
    """The cell that the address asks for; anything else is all of them."""
    asked = visit.query("cell")
    return asked if any(_name(row) == asked for row in rows) else ""


def _figure(visit: Desk) -> str:
    asked = visit.query("figure", "sends")
    return asked if asked in FIGURES else "sends"


# ── the chart ──
async def chart(visit: Desk) -> Response:
    """One figure by day, ours and the partner's, over accepted reports: one (`report`) or the last four."""
    report = visit.query("report")
    with visit.store.read() as snapshot:
        agreement = visit.mine(snapshot, visit.request.path_params["id"])
        terms = duty.terms(agreement)
        if terms is None:
            raise not_here()
        rows = charted(snapshot, terms, visit.now, report)
    if not rows:
        raise not_here()
    cell, figure = _cell(visit, rows), _figure(visit)
    days = summed([r for r in rows if not cell or _name(r) == cell], ("day",))
    series = [[day[figure][side] for day in days] for side in (0, 1)]
    dates = [date.fromisoformat(day["key"]) for day in days]
    return charts.response(charts.bars(series, dates, narrow=visit.query("narrow") == "1"))


def charted(snapshot: Snapshot, terms: Terms, now: Ms, report: str = "") -> list[dict[str, Any]]:
    """Both sides' figures, day by cell: of one accepted report's period, or of the last four with one."""
    history = delivery.every(snapshot, terms.agreement_id, now)
    accepted = sorted({k.sequence for k in history if report in ("", k.report_id)})[-CHARTED:]
    rows: list[dict[str, Any]] = []
    if accepted:
        platform, partner = delivery.sides(snapshot, terms, history, accepted[-1])
        for sequence in accepted:
            span = terms.period(sequence)
            assert span is not None
            rows += _whole(delivery.figures(platform, partner, span), span[0])
    return rows


def _whole(rows: list[dict[str, Any]], first: date) -> list[dict[str, Any]]:
    """`rows` with every day of the period in it, so that a chart has no gap."""
    seen = {row["day"] for row in rows}
    none = {"platform": dict.fromkeys(FIGURES, 0), "partner": dict.fromkeys(FIGURES, 0)}
    empty = [first + timedelta(days=n) for n in range(DAYS)]
    blank = {"interface": "", "surface": "", "variant": "", **none}
    return rows + [{"day": d.isoformat(), **blank} for d in empty if d.isoformat() not in seen]
