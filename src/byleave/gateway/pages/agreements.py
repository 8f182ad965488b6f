"""The public register: who may ask for what, signed by whom. The same for everybody, signed in or not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.responses import Response
from starlette.routing import BaseRoute

from byleave.consent import agreement, register
from byleave.consent.agreement import Agreement
from byleave.consent.purpose import PURPOSES
from byleave.gateway.pages.shell import Context, Visit, go, not_here, route
from byleave.model import Ms
from byleave.store import Snapshot
from byleave.words.fragment import rfc3339


def routes(context: Context) -> list[BaseRoute]:
    return [
        route(context, "/", front, public=True),
        route(context, "/agreements", listing, public=True),
        route(context, "/agreements.json", listing_json, public=True),
        route(context, "/agreements/{id}.json", one_json, public=True),
        route(context, "/agreements/{id}", one, public=True),
    ]


async def front(visit: Visit) -> Response:
    return go("/me/")


async def listing(visit: Visit) -> Response:
    if wants_json(visit):
        return await listing_json(visit)
    with visit.store.read() as snapshot:
        found = [_shown(visit, *a) for a in register.every(snapshot)]
    current = [a for a in found if a["status"] != register.SUPERSEDED]
    return visit.page(
        "agreements.html",
        agreements=current,
        older=[a for a in found if a["status"] == register.SUPERSEDED],
        keys=_keys(visit),
        purposes=list(PURPOSES.values()),
    )


async def one(visit: Visit) -> Response:
    if wants_json(visit):
        return await one_json(visit)
    with visit.store.read() as snapshot:
        found = [_shown(visit, *a) for a in _named(snapshot, visit)]
    return visit.page("agreement.html", a=found[-1], older=found[:-1], keys=_keys(visit))


async def listing_json(visit: Visit) -> Response:
    with visit.store.read() as snapshot:
        found = [_plain(visit, *a) for a in register.every(snapshot)]
    return _json({"agreements": found, "keys": visit.installation.keyring.public("agreement")["keys"]})


async def one_json(visit: Visit) -> Response:
    with visit.store.read() as snapshot:
        found = _named(snapshot, visit)
    return _json(_plain(visit, *found[-1]))


def wants_json(visit: Visit) -> bool:
    accept = visit.request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept


def _named(snapshot: Snapshot, visit: Visit) -> list[tuple[Agreement, str, Ms]]:
    id = visit.request.path_params["id"]
    found = [a for a in register.every(snapshot) if a[0].id == id]
    if not found:
        raise not_here()
    return found


def _keys(visit: Visit) -> list[dict[str, str]]:
    """The provider's public keys for agreements, each with the JWK that verifies them."""
    keys = visit.installation.keyring.public("agreement")["keys"]
    return [
        {
            "kid": k.get("kid", ""),
            "alg": k.get("alg", ""),
            "jwk": orjson.dumps(k, option=orjson.OPT_INDENT_2).decode(),
        }
        for k in keys
    ]


def _plain(visit: Visit, found: Agreement, status: str, added_at: Ms) -> dict[str, Any]:
    signed = agreement.check(found, visit.installation.keyring.public("agreement"))
    return {
        "agreement": dict(found.document),
        "status": status,
        "added_at": rfc3339(added_at),
        "in_force": _in_force(visit, found, status),
        "signatures": {
            "provider": signed.provider,
            "partner": signed.partner,
            "problems": list(signed.problems),
        },
    }


def _in_force(visit: Visit, found: Agreement, status: str) -> bool:
    return status == register.PUBLISHED and found.runs(datetime.fromtimestamp(visit.now / 1000, UTC).date())


def _shown(visit: Visit, found: Agreement, status: str, added_at: Ms) -> dict[str, Any]:
    signed = agreement.check(found, visit.installation.keyring.public("agreement"))
    word = {register.SUSPENDED: "suspended", register.SUPERSEDED: "superseded"}.get(status, "")
    in_force = _in_force(visit, found, status)
    return {
        "terms": found.terms,
        "status": status,
        "added_at": added_at,
        "signed": signed,
        "in_force": in_force,
        "state": word or ("in force" if in_force else "out of term"),
        "json": found.encode().decode(),
    }


def _json(value: Any) -> Response:
    headers = {
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Allow-Origin": "*",
    }
    return Response(orjson.dumps(value), 200, headers, "application/json")
