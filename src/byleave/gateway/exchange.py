"""`/sends`, `/c/{token}` and `/reports` without HTTP: (method, path, headers, body) → `Answer`.

Rules of this file:

1. `/sends` is an owner's grant (scope `send`), `/reports` the partner itself (scope `report`); both want a proof,
   used up before anything else is done.
2. A click is on disk before its redirect is answered. A link that is forged, foreign, retired or too old is
   absent; nothing else is told of it.
3. A late report stops sends and reads, never reports: they are what ends it.
4. Bodies are judged as bytes: Content-Digest (RFC 9530) over what came, and the Idempotency-Key with it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from uuid_utils import uuid7

from byleave.consent.agreement import Agreement
from byleave.errors import Absent, Code, Invalid
from byleave.exchange import arrival, card, click, delivery, duty, picture, send
from byleave.exchange import report as reports
from byleave.exchange.deadline import Period
from byleave.exchange.forms import MAX_BYTES
from byleave.exchange.terms import Terms
from byleave.gateway import guard as guards
from byleave.gateway import intake, problem
from byleave.gateway.guard import Caller, Guard, Headers, PartnerCaller
from byleave.gateway.problem import Answer
from byleave.installation import Installation
from byleave.keys import b64url, strict_json
from byleave.model import Ms
from byleave.view.shape import Ids
from byleave.words.fragment import rfc3339

JSON = "application/json"
LONGEST_SEND = 16 * 1024
LONGEST_REPORT = 2 * MAX_BYTES
LISTED = 500
NOTICED_MS = 60 * 86_400_000
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_DIGEST = re.compile(r"(sha-256|sha-512)=:([A-Za-z0-9+/]+={0,2}):")
_TOKEN = re.compile(r"p([a-z2-7]{8})(@masked\.invalid)?")
_FULL = re.compile(r"p([a-z2-7]{8})[a-z2-7]{18}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SEND_ID = re.compile(r"[0-9a-f]{32}")


Read = Callable[[int], Awaitable[bytes | None]]
"""Reads the body, up to so many bytes; None where it has more. Not asked before the caller is known."""


class Asked(NamedTuple):
    """A body of POST /sends."""

    recipient: str
    eight: str
    card: str
    cell: list[str]


class Exchange:
    """The three, for one gateway."""

    def __init__(self, installation: Installation, guard: Guard) -> None:
        self._installation = installation
        self._store = installation.store
        self._guard = guard

    # ── sends ──
    async def post_send(self, path: str, headers: Headers, read: Read, now: Ms) -> Answer:
        """A card for one person: 201 accepted, 202 waiting for its sender's yes."""
        caller = await self._sender("POST", path, headers, now)
        key = _key(headers)
        if key is None:
            raise Invalid(
                Code.INVALID_REQUEST, "send an Idempotency-Key: 1 to 255 printable characters, once"
            )
        body = await read(LONGEST_SEND)
        if body is None:
            raise Invalid(Code.TOO_LARGE, f"a send has at most {LONGEST_SEND} bytes")
        _check_digest(headers, body)
        owner_id, grant_id = caller.token.owner_id, caller.token.grant_id
        ids = _ids(self._installation.ids, grant_id)
        with self._store.read() as snapshot:
            people = send.people(snapshot, owner_id)
        asked = self._asked(headers, body, ids, owner_id, caller.grant.agreement_id or "")
        person = _resolve(asked.eight, people, ids, self._installation.ids, grant_id)
        status, answer = await self._store.write_soon(
            send.propose, owner_id, grant_id, caller.token.client_id or "", asked.recipient, person, asked.card,
            asked.cell, _once(caller.token.client_id or "", "sends", grant_id, key), hashlib.sha256(body).digest(),
            uuid7().bytes, *_fresh(2), now,
        )  # fmt: skip
        told = orjson.loads(answer)
        if status == 202:
            told["confirm_url"] = f"{self._guard.base_url}/me/sends/{told['id']}"
        return Answer(
            status, orjson.dumps(told), JSON, (("Location", f"{self._guard.base_url}/sends/{told['id']}"),)
        )

    async def get_sends(self, path: str, headers: Headers, after: str | None, now: Ms) -> Answer:
        """The grant's sends, the oldest first; `after` is the last id of the page before."""
        caller = await self._sender("GET", path, headers, now)
        if after is not None and not _SEND_ID.fullmatch(after):
            raise Invalid(Code.INVALID_ARGUMENTS, "after must be the id of a send")
        with self._store.read() as snapshot:
            start = bytes.fromhex(after) if after else b""
            found = send.of_grant(snapshot, caller.token.owner_id, caller.token.grant_id, start, LISTED)
        return _json({"sends": [one.shown(now) for one in found], "more": len(found) == LISTED})

    async def get_send(self, path: str, headers: Headers, id: str, now: Ms) -> Answer:
        """One of the grant's sends. Raises Absent."""
        caller = await self._sender("GET", path, headers, now)
        if not _SEND_ID.fullmatch(id):
            raise Absent(Code.ABSENT, "no such send")
        with self._store.read() as snapshot:
            found = send.find(snapshot, caller.token.owner_id, bytes.fromhex(id))
        if found.grant_id != caller.token.grant_id:
            raise Absent(Code.ABSENT, "no such send")
        return _json(found.shown(now))

    async def put_image(self, path: str, headers: Headers, sha256: str, read: Read, now: Ms) -> Answer:
        """A card's picture, drawn anew: 201, or 200 where it is here already. Raises Invalid, Exhausted."""
        caller = await self._sender("PUT", path, headers, now)
        if not _SHA256.fullmatch(sha256):
            raise Invalid(Code.INVALID_ARGUMENTS, "the address ends in the body's SHA-256, 64 digits 0-9a-f")
        body = await read(picture.MAX_BYTES)
        if body is None:
            raise Invalid(Code.TOO_LARGE, f"a picture has at most {picture.MAX_BYTES} bytes")
        _check_digest(headers, body)
        made = await asyncio.to_thread(picture.drawn, body, bytes.fromhex(sha256))
        if _media(headers) not in ("", made.media):
            raise Invalid(Code.INVALID_ARGUMENTS, f"Content-Type is not {made.media}, which the body is")
        new = await self._store.write_soon(
            picture.keep, caller.grant.agreement_id or "", bytes.fromhex(sha256), made.media, made.data, now
        )
        return _json({"sha256": sha256, "media": made.media}, 201 if new else 200)

    async def _sender(self, method: str, path: str, headers: Headers, now: Ms) -> Caller:
        with self._store.read() as snapshot:
            caller = self._guard.caller(snapshot, method, path, headers, now)
        if caller.proof is None:
            raise Invalid(Code.INVALID_TOKEN, "a partner's token is needed here")
        await self._store.write_soon(guards.spend, [caller.proof])
        caller.need(frozenset(("send",)))
        with self._store.read() as snapshot:
            duty.demand(snapshot, caller.grant.agreement_id, now)
        return caller

    def _asked(self, headers: Headers, body: bytes, ids: Ids, owner_id: bytes, agreement_id: str) -> Asked:
        if _media(headers) != JSON:
            raise Invalid(Code.INVALID_REQUEST, f"send {JSON}")
        stated = strict_json(body)
        if not isinstance(stated, dict):
            raise Invalid(Code.INVALID_ARGUMENTS, "send an object")
        cell = stated.get("cell", {name: stated.get(name) for name in ("interface", "surface", "variant")})
        known = {"sender", "recipient", "card", "cell", "interface", "surface", "variant"}
        if (
            stated.keys() - known
            or not isinstance(cell, dict)
            or cell.keys() != {"interface", "surface", "variant"}
        ):
            raise Invalid(
                Code.INVALID_ARGUMENTS, "give sender, recipient, card and cell: {interface, surface, variant}"
            )
        if not all(isinstance(code, str) and len(code) <= 40 for code in cell.values()):
            raise Invalid(Code.INVALID_ARGUMENTS, "interface, surface and variant must be codes")
        mine = ids.eight(owner_id)
        sender = stated.get("sender", ids.account_id)
        if sender != ids.account_id and _eight(sender) != mine:
            raise Invalid(Code.INVALID_ARGUMENTS, "sender: the owner of this inbox sends, and nobody else")
        recipient = stated.get("recipient")
        eight = _eight(recipient)
        if not isinstance(recipient, str) or eight is None or eight == mine:
            raise Invalid(
                Code.INVALID_ARGUMENTS, "recipient: a pairwise id or address token of somebody else"
            )
        made = card.read(stated.get("card"))
        if made.image is not None:
            with self._store.read() as snapshot:
                if picture.find(snapshot, agreement_id, made.image) is None:
                    raise Invalid(
                        Code.INVALID_ARGUMENTS,
                        "card.image: send the picture first: PUT /sends/images/{sha256}",
                    )
        written = {
            "type": made.type,
            "title_ref": {"scheme": made.title_ref.scheme, "id": made.title_ref.id},
            "title": made.title,
            "text": made.text,
            **({} if made.image is None else {"image": made.image}),
        }
        return Asked(
            recipient,
            eight,
            orjson.dumps(written).decode(),
            [cell[n] for n in ("interface", "surface", "variant")],
        )

    # ── reports ──
    async def post_report(self, path: str, headers: Headers, read: Read, now: Ms) -> Answer:
        """A report: 201 with its receipt, 200 with the same one where it was accepted before, 422 with every
        violation, 409 where another stands in its place."""
        caller = await self._reporter("POST", path, headers, now)
        terms = _reporting(caller.agreement)
        body = await read(LONGEST_REPORT)
        if body is None:
            raise Invalid(Code.TOO_LARGE, f"a report has at most {MAX_BYTES} bytes")
        _check_digest(headers, body)
        key = _key(headers)
        media = _media(headers)
        parcel = intake.parcel(media, _one(headers, b"content-type") or "", body)
        if key is not None:
            once, digest = _once(caller.client_id, "reports", b"", key), _fingerprint(parcel)
            with self._store.read() as snapshot:
                send.unused(snapshot, once, digest)
        verdict, found = await intake.submit(self._installation, terms, caller.client_id, parcel, now)
        if found is None:
            return _violations(verdict)
        if key is not None:
            await self._store.write_soon(send.remember, once, digest, now)
        told = {
            **_listed(found),
            "receipt": found.receipt,
            "warnings": [_violation(v) for v in verdict.warnings],
        }
        where = (("Location", f"{self._guard.base_url}/reports/{found.report_id}"),)
        return Answer(200 if verdict.known else 201, orjson.dumps(told), JSON, where)

    async def get_reports(self, path: str, headers: Headers, known_at: str | None, now: Ms) -> Answer:
        """The calendar and every accepted version, as known now or at `known_at`."""
        caller = await self._reporter("GET", path, headers, now)
        terms = _reporting(caller.agreement)
        at = _moment(known_at, now, "known_at")
        with self._store.read() as snapshot:
            found = delivery.every(snapshot, terms.agreement_id, at)
            stand = duty.stands(snapshot, caller.agreement, at)
        assert stand is not None
        told = {
            "agreement": terms.agreement_id, "state": stand.state, "suspended": stand.suspended,
            "periods": [_period(terms, period) for period in stand.periods], "reports": [_listed(kept) for kept in found],
        }  # fmt: skip
        return _json(told)

    async def get_notices(self, path: str, headers: Headers, since: str | None, now: Ms) -> Answer:
        """What the partner is told of its deadlines, the oldest first: since `since`, or of the last 60 days."""
        caller = await self._reporter("GET", path, headers, now)
        start = _moment(since, now - NOTICED_MS, "since")
        with self._store.read() as snapshot:
            found = duty.notices(snapshot, caller.agreement, start, now)
        told = [
            {"at": rfc3339(n.at), "sequence": n.sequence, "kind": n.kind, "to": list(n.to)}
            for n in found
            if guards.PARTNER in n.to
        ]
        return _json({"agreement": caller.agreement.id, "notices": told})

    async def get_report(self, path: str, headers: Headers, id: str, what: str, now: Ms) -> Answer:
        """One accepted report: `""` whole, `receipt` its JWS, `reconciliation` beside the provider's figures."""
        caller = await self._reporter("GET", path, headers, now)
        terms = _reporting(caller.agreement)
        with self._store.read() as snapshot:
            found = delivery.find(snapshot, terms.agreement_id, id)
            if what == "receipt":
                return Answer(200, found.receipt.encode(), "application/jose")
            if what == "":
                known = found.known()
                whole = {"manifest": known.manifest, "rows": [row._asdict() for row in known.rows]}
                return _json({**_listed(found), **whole})
            history = delivery.every(snapshot, terms.agreement_id, now)
            platform, partner = delivery.sides(snapshot, terms, history, found.sequence)
        # Here alone: scipy takes most of a second to load, and every other route would wait for it.
        from byleave.exchange.reconcile import reconcile

        outcome = await asyncio.to_thread(reconcile, platform, partner)
        span = terms.period(found.sequence)
        assert span is not None
        return _json({**outcome.answer(), "cells": delivery.figures(platform, partner, span)})

    async def get_arrivals(self, path: str, headers: Headers, now: Ms) -> Answer:
        """The key of `bl`, for the partner's own counting, and the robots list that we leave out by."""
        caller = await self._reporter("GET", path, headers, now)
        key = arrival.key_of(self._installation.ids, caller.agreement.id)
        return _json({"alg": "HS256/128", "key": b64url(key), "bot_filter_version": click.robots()[0]})

    async def _reporter(self, method: str, path: str, headers: Headers, now: Ms) -> PartnerCaller:
        with self._store.read() as snapshot:
            caller = self._guard.partner(snapshot, method, path, headers, now)
        await self._store.write_soon(guards.spend, [caller.proof])
        return caller


@lru_cache(maxsize=64)
def _ids(secret: bytes, grant_id: bytes) -> Ids:
    """Kept, since an inbox's people are sealed once for each grant."""
    return Ids(secret, grant_id)


def _eight(named: Any) -> str | None:
    """The eight characters that stand for a person: of an address token as JMAP shows it, or of a full id."""
    if not isinstance(named, str):
        return None
    found = _TOKEN.fullmatch(named) or _FULL.fullmatch(named)
    return None if found is None else found[1]


def _resolve(eight: str, people: list[tuple[bytes, bool]], ids: Ids, secret: bytes, grant_id: bytes) -> bytes:
    """Who stands behind eight characters in this inbox; for nobody, and for two, somebody who never was."""
    fits = {person for person, own in people if ids.eight(person) == eight and not own}
    nobody = hmac.new(secret, b"nobody\0" + grant_id + eight.encode(), hashlib.sha256).digest()[:16]
    return fits.pop() if len(fits) == 1 else nobody


def _moment(stated: str | None, usual: Ms, name: str) -> Ms:
    """The RFC 3339 time in a query. Raises Invalid."""
    at = usual if stated is None else reports.time_ms(stated)
    if at is None:
        raise Invalid(Code.INVALID_ARGUMENTS, f"{name} must be an RFC 3339 time")
    return at


def _reporting(agreement: Agreement) -> Terms:
    terms = duty.terms(agreement)
    if terms is None:
        raise Absent(Code.ABSENT, "this agreement asks for no report")
    return terms


# ── how things are told ──
def _violations(verdict: reports.Verdict) -> Answer:
    count = len(verdict.violations)
    return problem.plain(
        422, "invalid-report", problem.TABLE[Code.INVALID_REPORT].title, detail=f"{count} violation{'s' if count > 1 else ''}; nothing was kept",
        violations=[_violation(v) for v in verdict.violations], unchecked=verdict.unchecked,
    )  # fmt: skip


def _violation(v: reports.Violation) -> dict[str, Any]:
    return {"rule": v.rule, "row": v.row, "column": v.column, "message": v.message}


def _listed(kept: delivery.Kept) -> dict[str, Any]:
    return {
        "report_id": kept.report_id, "sequence": kept.sequence, "revision": kept.revision, "form": kept.form,
        "received_at": rfc3339(kept.received_at), "content_sha256": kept.content_sha256.hex(),
    }  # fmt: skip


def _period(terms: Terms, period: Period) -> dict[str, Any]:
    span = terms.period(period.sequence)
    times = {
        name: getattr(period, name) for name in ("closes_at", "overdue_at", "suspended_at", "accepted_at")
    }
    return {
        "sequence": period.sequence, "start": span[0].isoformat() if span else None, "end": span[1].isoformat() if span else None,
        "state": period.state, **{name: None if at is None else rfc3339(at) for name, at in times.items()},
    }  # fmt: skip


def _json(value: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(value), JSON)


# ── headers ──
def _one(headers: Headers, name: bytes) -> str | None:
    """A header that may stand once; None where it is missing. Raises Invalid for a repeated one."""
    found = [value.decode("latin-1") for key, value in headers if key == name]
    if len(found) > 1:
        raise Invalid(Code.INVALID_REQUEST, f"{name.decode()} stands twice")
    return found[0] if found else None


def _media(headers: Headers) -> str:
    return (_one(headers, b"content-type") or "").partition(";")[0].strip().lower()


def _key(headers: Headers) -> str | None:
    """The Idempotency-Key, None where there is none. Raises Invalid."""
    key = _one(headers, b"idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise Invalid(Code.INVALID_REQUEST, "an Idempotency-Key has 1 to 255 printable characters")
    return key


def _check_digest(headers: Headers, body: bytes) -> None:
    """Raises Invalid for a Content-Digest (RFC 9530 §2) that is not that of `body`, or is in no known algorithm."""
    stated = _one(headers, b"content-digest")
    if stated is None:
        return
    found = [_DIGEST.fullmatch(member.strip()) for member in stated.split(",")]
    known = [match for match in found if match is not None]
    if not known:
        raise Invalid(Code.INVALID_REQUEST, "Content-Digest: write sha-256=:BASE64: or sha-512=:BASE64:")
    for match in known:
        actual = hashlib.new(match[1].replace("-", ""), body).digest()
        if not hmac.compare_digest(base64.b64encode(actual).decode(), match[2]):
            raise Invalid(Code.INVALID_REQUEST, "Content-Digest is not that of the body")


def _fingerprint(parcel: reports.Parcel) -> bytes:
    """What an Idempotency-Key for a report stands for: its files, not the form's boundary around them."""
    sizes = f"{parcel.form} {len(parcel.rows)}\0".encode()
    return hashlib.sha256(sizes + parcel.rows + (parcel.manifest or b"")).digest()


def _once(client_id: str, place: str, of: bytes, key: str) -> bytes:
    return hashlib.sha256(b"\0".join((client_id.encode(), place.encode(), of, key.encode()))).digest()


def _fresh(count: int) -> tuple[list[bytes], list[bytes]]:
    """(ids, salts) for `count` entries of the ledger."""
    return [uuid7().bytes for _ in range(count)], [secrets.token_bytes(32) for _ in range(count)]
