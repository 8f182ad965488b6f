"""The partner's pages: agreement and keys, what was sent, the calendar of reports, a file checked and submitted.

Rules of this file:

1. Nothing of a recipient but the name that the partner itself gave them, and nothing of who clicked.
2. A file is checked without being kept; submitting is a click of its own, and goes the way of `POST /reports`.
3. What is wrong is shown at its row, with the row as it came: the file is the partner's own.
"""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.consent import register
from byleave.consent.agreement import Agreement
from byleave.errors import ByleaveError, Code, Invalid
from byleave.exchange import delivery, duty, send
from byleave.exchange import report as reports
from byleave.exchange.forms import MAX_ROWS
from byleave.exchange.terms import Terms
from byleave.gateway import intake
from byleave.gateway.pages.desk import PartnerDesk, desk_route
from byleave.gateway.pages.reports import WORDS, calendar, charted, notices, summed
from byleave.gateway.pages.shell import Context, go, hex_id, not_here
from byleave.keys import public_key
from byleave.view.shape import Ids

SHOWN = 100
MOST_VIOLATIONS = 400
KEPT_IN_PAGE = 512 * 1024
"""Files up to this size stay in the page between a check and its submission."""
LONGEST_LINE = 160


def routes(context: Context) -> list[BaseRoute]:
    return [
        desk_route(PartnerDesk, context, "/partner", home),
        desk_route(PartnerDesk, context, "/partner/", home),
        desk_route(PartnerDesk, context, "/partner/agreements/{id}", agreement_page),
        desk_route(PartnerDesk, context, "/partner/agreements/{id}/sends", sends),
        desk_route(PartnerDesk, context, "/partner/agreements/{id}/file", file_page),
        desk_route(PartnerDesk, context, "/partner/agreements/{id}/file", file, "POST"),
    ]


async def home(visit: PartnerDesk) -> Response:
    """Every agreement with what it asks for next."""
    with visit.store.read() as snapshot:
        found = [_glance(visit, snapshot, a) for a in visit.agreements(snapshot)]
    return visit.page("partner.html", agreements=found)


def _glance(visit: PartnerDesk, snapshot: Any, a: Agreement) -> dict[str, Any]:
    return {
        "agreement": a, "calendar": calendar(snapshot, a, visit.now),
        "notices": notices(snapshot, a, visit.now, "partner")[:5],
    }  # fmt: skip


async def agreement_page(visit: PartnerDesk) -> Response:
    """One agreement: terms, keys, calendar, and the figures of accepted reports."""
    with visit.store.read() as snapshot:
        a = visit.mine(snapshot, visit.request.path_params["id"])
        terms = duty.terms(a)
        current = register.current(snapshot, a.id)
        rows = charted(snapshot, terms, visit.now) if terms is not None else []
        values = _glance(visit, snapshot, a)
    figure = visit.query("figure") if visit.query("figure") in WORDS else "sends"
    return visit.page(
        "partner_agreement.html", a=a, published=current is not None and current[1] == register.PUBLISHED, keys=keys_of(a, visit.now),
        calendar=values["calendar"], notices=values["notices"], figure=figure, words=WORDS, cell="",
        days=summed(rows, ("day",)), cells=[c for c in summed(rows, ("interface", "surface", "variant")) if c["key"] != "//"],
        runs=a.runs(datetime.fromtimestamp(visit.now / 1000, UTC).date()),
        link=lambda f, c: f"?figure={f}#figures",
    )  # fmt: skip


def keys_of(a: Agreement, now: int) -> list[dict[str, Any]]:
    """The partner's keys as the agreement has them; retired ones are marked."""
    found = []
    for jwk in a.jwks()["keys"]:
        exp = jwk.get("exp")
        made = public_key(jwk)
        found.append(
            {
                "kid": made.kid, "alg": made.alg, "thumbprint": made.thumbprint(), "until": None if exp is None else exp * 1000,
                "retired": exp is not None and now >= exp * 1000,
            }
        )  # fmt: skip
    return found


async def sends(visit: PartnerDesk) -> Response:
    """What was proposed and sent under one agreement, the newest first."""
    before = hex_id(visit.query("before")) if visit.query("before") else b""
    with visit.store.read() as snapshot:
        a = visit.mine(snapshot, visit.request.path_params["id"])
        found = send.of_agreement(snapshot, a.id, before, SHOWN + 1)
    shown = [
        {
            **one.shown(visit.now), "sender": Ids(visit.installation.ids, one.grant_id).account_id,
            "at": one.accepted_at or one.made_at, "place": str(one.cell),
        }
        for one in found[:SHOWN]
    ]  # fmt: skip
    return visit.page(
        "partner_sends.html", a=a, sends=shown, more=shown[-1]["id"] if len(found) > SHOWN else ""
    )


# ── a file ──
async def file_page(visit: PartnerDesk) -> Response:
    with visit.store.read() as snapshot:
        a, _ = _asked(visit, snapshot)
    return _shown(visit, a)


async def file(visit: PartnerDesk) -> Response:
    """A file checked, and where that was asked and nothing is wrong, submitted."""
    with visit.store.read() as snapshot:
        a, terms = _asked(visit, snapshot)
        history = delivery.every(snapshot, a.id, visit.now)
        approved = delivery.approved(snapshot, a.id)
    try:
        parcel = _dropped(visit)
    except ByleaveError as error:
        return _shown(visit, a, 400, problem=error.detail)
    if visit.field("act") != "submit":
        verdict = await asyncio.to_thread(delivery.judged, terms, parcel, history, approved, visit.now)
        return _shown(visit, a, verdict=verdict, parcel=parcel)
    try:
        verdict, kept = await intake.submit(
            visit.installation, terms, visit.here.client_id or "console", parcel, visit.now
        )
    except ByleaveError as error:
        return _shown(visit, a, 409, problem=error.detail)
    if kept is None:
        return _shown(visit, a, 422, verdict=verdict, parcel=parcel)
    return go(
        f"/partner/agreements/{a.id}/reports/{kept.report_id}", done="known" if verdict.known else "accepted"
    )


def _asked(visit: PartnerDesk, snapshot: Any) -> tuple[Agreement, Terms]:
    a = visit.mine(snapshot, visit.request.path_params["id"])
    terms = duty.terms(a)
    if terms is None:
        raise not_here()
    return a, terms


def _dropped(visit: PartnerDesk) -> reports.Parcel:
    """The files of the form: chosen now, or checked before and kept in the page. Raises Invalid."""
    rows = visit.files.get("rows") or _kept(visit, "rows64")
    manifest = visit.files.get("manifest") or _kept(visit, "manifest64")
    if not rows:
        raise Invalid(Code.EMPTY, "Choose the file with the rows, and the manifest beside it.")
    whole = rows.lstrip()[:1] == b"{"
    if not manifest and not whole:
        raise Invalid(Code.EMPTY, "Choose the manifest too: NAME.manifest.json lies beside the rows.")
    return intake.of_files(rows, None if whole else manifest)


def _kept(visit: PartnerDesk, name: str) -> bytes:
    try:
        return base64.b64decode(visit.files.get(name, b""), validate=True)
    except ValueError:
        raise Invalid(Code.INVALID_REQUEST, "This form cannot be read; choose the file again.") from None


def _shown(
    visit: PartnerDesk,
    a: Agreement,
    status: int = 200,
    *,
    verdict: reports.Verdict | None = None,
    parcel: reports.Parcel | None = None,
    problem: str = "",
) -> Response:
    values: dict[str, Any] = {
        "verdict": verdict,
        "problem": problem,
        "kept": None,
        "violations": [],
        "more": 0,
    }
    if verdict is not None and parcel is not None:
        told = verdict.violations or verdict.warnings
        lines = _lines(parcel)
        values["violations"] = [
            {"v": v, "line": lines[v.row - 1] if v.row is not None and v.row <= len(lines) else ""}
            for v in told[:MOST_VIOLATIONS]
        ]
        values["more"] = len(told) - len(values["violations"])
        if verdict.ok and len(parcel.rows) + len(parcel.manifest or b"") <= KEPT_IN_PAGE:
            values["kept"] = {
                "rows": base64.b64encode(parcel.rows).decode(),
                "manifest": base64.b64encode(parcel.manifest or b"").decode(),
            }
    return visit.page("partner_file.html", status, a=a, **values)


def _lines(parcel: reports.Parcel) -> list[str]:
    """The rows as they came, for people; nothing for a form that has no lines."""
    if parcel.form == "csv":
        raw = parcel.rows.split(b"\n")
        first = 1 if raw[0].lower().lstrip(b"\xef\xbb\xbf").startswith(b"day") else 0
        return [line[:LONGEST_LINE].decode("utf-8", "replace") for line in raw[first : first + MAX_ROWS]]
    if parcel.form == "json":
        try:
            rows = orjson.loads(parcel.rows)["rows"]
            return [orjson.dumps(row)[:LONGEST_LINE].decode("utf-8", "replace") for row in rows[:MAX_ROWS]]
        except (ValueError, KeyError, TypeError):
            return []
    return []
