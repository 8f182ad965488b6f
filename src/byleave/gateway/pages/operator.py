"""The operator's pages: every partner's periods at a glance, findings with their evidence, and what only they may do.

Rules of this file:

1. Waivers, approvals of old revisions and outages of ours are acts: each is an entry of the public part of the
   ledger, under the operator's own name.
2. An operator sees counts by cell and day, and nothing of any person.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.errors import Absent, ByleaveError, Code, Invalid
from byleave.exchange import delivery, duty
from byleave.gateway.pages.desk import OperatorDesk, desk_route
from byleave.gateway.pages.partner import keys_of
from byleave.gateway.pages.reports import beside, calendar, finding, notices, sides
from byleave.gateway.pages.shell import Context, fresh_id, go, salt
from byleave.ledger import log
from byleave.ledger.entry import Act
from byleave.model import Ms
from byleave.store import Snapshot

GLANCE = 8
"""Periods of each agreement in the table over all of them."""
ACTS = 100


def routes(context: Context) -> list[BaseRoute]:
    return [
        desk_route(OperatorDesk, context, "/operator", home),
        desk_route(OperatorDesk, context, "/operator/", home),
        desk_route(OperatorDesk, context, "/operator/outages", outage, "POST"),
        desk_route(OperatorDesk, context, "/operator/agreements/{id}", agreement_page),
        desk_route(OperatorDesk, context, "/operator/agreements/{id}/waive", waive, "POST"),
        desk_route(OperatorDesk, context, "/operator/agreements/{id}/approve", approve, "POST"),
    ]


async def home(visit: OperatorDesk) -> Response:
    return await _home(visit)


async def _home(visit: OperatorDesk, problem: str = "", status: int = 200) -> Response:
    """All periods of all partners, those that are late first; what the newest reports disagree in."""
    with visit.store.read() as snapshot:
        found = [c for a in visit.agreements(snapshot) if (c := calendar(snapshot, a, visit.now)) is not None]
        told = [
            {"agreement": c["agreement"], "notice": n}
            for c in found
            for n in notices(snapshot, c["agreement"], visit.now, "operator")
        ]
        pending = [
            (c, sides(snapshot, terms, c["newest"], visit.now))
            for c in found
            if c["newest"] is not None and (terms := duty.terms(c["agreement"])) is not None
        ]
        acts = _acts(snapshot)
    for c, both in pending:
        c["findings"] = [finding(f) for f in (await beside(both)).findings]
    return visit.page(
        "operator.html", status, calendars=sorted(found, key=lambda c: (-len(c["late"]), c["agreement"].id)), glance=GLANCE,
        notices=sorted(told, key=lambda t: -t["notice"].at)[:20], acts=acts, problem=problem, done=visit.query("done"),
    )  # fmt: skip


async def agreement_page(visit: OperatorDesk) -> Response:
    return await _agreement(visit)


async def _agreement(visit: OperatorDesk, problem: str = "", status: int = 200) -> Response:
    with visit.store.read() as snapshot:
        a = visit.mine(snapshot, visit.request.path_params["id"])
        found = calendar(snapshot, a, visit.now)
        told = notices(snapshot, a, visit.now, "operator")
        terms = duty.terms(a)
        both = (
            sides(snapshot, terms, found["newest"], visit.now)
            if found is not None and terms is not None and found["newest"] is not None
            else None
        )
        acts = [act for act in _acts(snapshot) if act["facts"].get("agreement") == a.id]
        approved = delivery.approved(snapshot, a.id)
    findings = [] if both is None else [finding(f) for f in (await beside(both)).findings]
    periods = [] if found is None else found["periods"]
    return visit.page(
        "operator_agreement.html", status, a=a, calendar=found, notices=told, acts=acts, findings=findings,
        keys=keys_of(a, visit.now), problem=problem, done=visit.query("done"),
        waivable=[p for p in periods if p["period"].accepted_at is None and p["period"].state not in ("open", "waived")],
        approvable=[
            p for p in periods
            if p["versions"] and not p["revisable"]
            and (p["period"].sequence, p["versions"][0].revision + 1) not in approved
        ],
    )  # fmt: skip


# ── acts ──
async def waive(visit: OperatorDesk) -> Response:
    """Lets a period's report go, or come later."""
    id = _known(visit)
    try:
        until = _moment(visit.field("until")) if visit.field("until") else None
        await visit.store.write_soon(
            duty.waive, id, _sequence(visit), until, visit.here.name, visit.now, fresh_id(), salt()
        )
    except Invalid as error:
        return await _agreement(visit, _sentence(error), 400)
    return go(f"/operator/agreements/{id}", done="waived")


async def approve(visit: OperatorDesk) -> Response:
    """Lets the next revision of an old period come."""
    id = _known(visit)
    try:
        await visit.store.write_soon(
            delivery.approve, id, _sequence(visit), visit.here.name, visit.now, fresh_id(), salt()
        )
    except (Invalid, Absent) as error:
        return await _agreement(visit, _sentence(error), 400)
    return go(f"/operator/agreements/{id}", done="approved")


async def outage(visit: OperatorDesk) -> Response:
    """Hours of ours in which no report could come: every deadline behind them moves."""
    try:
        start = _moment(visit.field("start"))
        end = _moment(visit.field("end")) if visit.field("end") else None
        await visit.store.write_soon(duty.outage, start, end, visit.here.name, visit.now, fresh_id(), salt())
    except Invalid as error:
        return await _home(visit, _sentence(error), 400)
    return go("/operator/", done="outage")


def _known(visit: OperatorDesk) -> str:
    with visit.store.read() as snapshot:
        return visit.mine(snapshot, visit.request.path_params["id"]).id


def _sequence(visit: OperatorDesk) -> int:
    text = visit.field("sequence")
    if not text.isdecimal() or len(text) > 6:
        raise Invalid(Code.INVALID_ARGUMENTS, "Choose a period.")
    return int(text)


def _moment(text: str) -> Ms:
    """The UTC time of a form's field, to the minute; a day alone is its first moment. Raises Invalid."""
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Invalid(Code.INVALID_ARGUMENTS, "Give times as 2026-11-24T09:00, in UTC.") from None


def _sentence(error: ByleaveError) -> str:
    return error.detail[:1].upper() + error.detail[1:]


def _acts(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Waivers, approvals and outages, the newest first."""
    found: list[dict[str, Any]] = [
        {"kind": kind if "start" not in event.facts else "outage", "at": at, "facts": event.facts}
        for kind in ("waiver", "approval")
        for _, at, event in log.of_kind(snapshot, log.STORE_OWNER, kind)
        if isinstance(event, Act)
    ]
    return sorted(found, key=lambda act: -act["at"])[:ACTS]
