"""All that a stranger can reach, wired: routes, limits, and the one place where `Released` becomes a
response.

Rules of this file:

1. What comes out of a view leaves through `threshold.send` alone, which takes a `Released`: its reading is durable.
2. How an answer is made, and made again, stands in `door`.
3. The clock is read here and in cli, nowhere below.
4. Nothing is logged of paths, queries, headers or bodies. There is no access log.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from urllib.parse import parse_qsl, quote, urlsplit

import orjson
from sqlalchemy import bindparam, select
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Message, Receive, Scope, Send
from uuid_utils import uuid7

from byleave.consent import register
from byleave.consent import token as tokens
from byleave.errors import Absent, ByleaveError, Code, Exhausted, Invalid
from byleave.exchange import duty
from byleave.gateway import pages, problem
from byleave.gateway.clicks import Clicks
from byleave.gateway.door import READS, Door, Given, Made, Make, Seat, ended, standing, who
from byleave.gateway.exchange import Exchange
from byleave.gateway.guard import ALGORITHMS, Caller, Guard
from byleave.gateway.jmap import blob, push
from byleave.gateway.jmap import request as jmap
from byleave.gateway.jmap import session as jmap_session
from byleave.gateway.oauth.authorize import Dialogue, Shown
from byleave.gateway.oauth.client import LONGEST_FORM, Form
from byleave.gateway.oauth.endpoints import Endpoints, parse_form
from byleave.gateway.problem import Answer
from byleave.gateway.recalls import Recalls
from byleave.gateway.seats import Seats
from byleave.gateway.threshold import Stream, send, unsent_of
from byleave.installation import Installation
from byleave.ledger import sequence
from byleave.model import Ms
from byleave.store import compile_all, prepare
from byleave.store.tables import owner
from byleave.tailoring import ranking
from byleave.view import Lagging, Released, Stale, View, open_view

LONGEST_DECISION = 1024 * 1024
"""A decision names up to a thousand conversations."""
LONGEST_QUESTION = 1024
EITHER = frozenset((jmap_session.READ, jmap_session.KNOW))
_TYPE = re.compile(
    r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}(; ?charset=[A-Za-z0-9_.:-]{1,32})?"
)
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,260}")
_TILE = re.compile(r"[a-z0-9./]{1,200}")
_NAME_OF = prepare(select(owner.c.name).where(owner.c.owner_id == bindparam("owner_id")))
_log = logging.getLogger("byleave")

PLAIN_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)


class Gateway:
    """The gateway as an ASGI application.

    `base_url` is the public address without a slash behind it; it alone makes htu, issuer and links.
    `clock` gives ms UTC; `seats` are counted over all workers.
    """

    def __init__(
        self, installation: Installation, base_url: str, clock: Callable[[], Ms], seats: Seats | None = None
    ) -> None:
        self.installation = installation
        self.store = installation.store
        self.clock = clock
        self.guard = Guard(base_url, installation.ids)
        self.door = Door(installation, self.guard, clock, seats or Seats())
        self.endpoints = Endpoints(installation, self.guard)
        self.shelves = ranking.Shelves()
        self.exchange = Exchange(installation, self.guard)
        self.recalls = Recalls(installation.store, self.guard)
        shown = pages.Context(installation, self.guard, clock)
        self.dialogue = Dialogue(installation, self.guard, pages.question(shown))
        self._hosts = hosts_of(base_url)
        self._standing = _standing(base_url.startswith("https:"))
        self.clicks = Clicks(installation, self.guard, clock, self._standing)
        self._router = Router(routes=[*self._routes(), *pages.routes(shown)], redirect_slashes=False)
        self._warm()

    def _warm(self) -> None:
        """Does what would else be the first request's time: statements' texts, agreements as they are kept."""
        compile_all("sqlite")
        with self.store.read() as snapshot:
            register.every(snapshot)

    def _routes(self) -> list[BaseRoute]:
        get, post, resource = ["GET"], ["POST"], self._fixed(self.endpoints.resource)
        routes: list[BaseRoute] = [
            Route("/jmap/api", self._api, methods=post),
            Route("/healthz", self._health, methods=get),
            Route("/.well-known/jmap", self._session, methods=get),
            Route("/jmap/session", self._session, methods=get),
            Route("/jmap/download/{account}/{blob}/{name:path}", self._download, methods=get),
            Route("/jmap/upload/{account}", self._upload, methods=post),
            Route("/jmap/upload/{account}/", self._upload, methods=post),
            Route("/jmap/eventsource", self._events, methods=get),
            Route("/jmap/eventsource/", self._events, methods=get),
            Route("/.well-known/oauth-authorization-server", self._fixed(self.endpoints.server), methods=get),
            Route("/.well-known/oauth-protected-resource", resource, methods=get),
            Route("/.well-known/oauth-protected-resource/jmap", resource, methods=get),
            Route("/oauth/authorize", self._authorize, methods=["GET", "POST"]),
            Route("/oauth/grants/{id}", self._grants, methods=["GET", "DELETE"]),
            Route("/sends", self._sends, methods=["GET", "POST"]),
            Route("/sends/{id}", self._send, methods=get),
            Route("/sends/images/{sha256}", self._image, methods=["PUT"]),
            Route("/rankings", self._rankings, methods=post),
            Route("/c/{token}", self.clicks, methods=["GET", "HEAD"]),
            Route("/reports", self._reports, methods=["GET", "POST"]),
            Route("/recalls", self._recalls, methods=get),
            Route("/recalls/{id}/answer", self._recalls, methods=post),
            Route("/reports/arrivals", self._arrivals, methods=get),
            Route("/reports/notices", self._notices, methods=get),
            Route("/reports/{id}", self._report, methods=get),
            Route("/reports/{id}/{what}", self._report, methods=get),
            Route("/ledger/checkpoint", self._ledger, methods=get),
            Route("/ledger/tile/{path:path}", self._ledger, methods=get),
        ]
        for name in ("par", "token", "introspect", "revoke"):
            routes.append(Route(f"/oauth/{name}", self._oauth(name), methods=post))
        routes.append(Route("/partner/signin", self._oauth("signin"), methods=post))
        return routes

    # ── the rim ──
    async def __call__(self, scope: Scope, receive: Receive, send_: Send) -> None:
        """Host list, standing headers, and errors as each protocol tells them; nothing is raised further."""
        if scope["type"] != "http":
            return
        started = False
        path: str = scope["path"]

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = list(message.get("headers", ()))
                named = {name for name, _ in headers}
                headers += [pair for pair in self._standing if pair[0] not in named]
                if path.startswith(_PROVEN):
                    headers.append((b"dpop-nonce", self.guard.nonce(self.clock()).encode()))
                message = {**message, "headers": headers}
            await send_(message)

        scope["app"] = self
        try:
            if not self._at_home(scope):
                raise HTTPException(421)
            if path.startswith("/c/") and scope["method"] == "GET":
                await self.clicks(scope, receive, send_)  # it is most of what is asked, and needs no router
            else:
                await self._router(scope, receive, dressed)
        except ClientDisconnect:
            return
        except Exception as error:  # the rim: whatever it was, it ends here
            found = self._told(path, error)
            if started:
                return  # the server sees an unfinished answer and closes the connection
            await _response(found)(scope, receive, dressed)

    def _told(self, path: str, error: Exception) -> Answer:
        if isinstance(error, HTTPException):
            return problem.plain(error.status_code, *_PLAIN.get(error.status_code, ("refused", "Refused")))
        if not isinstance(error, ByleaveError):
            return problem.incident(error, uuid7().hex)
        if path in _OAUTH_FORMS:
            return problem.oauth(error)
        found = problem.answer(error)
        if found.status == 401:
            said = None if error.detail.startswith("no token:") else error
            header = problem.challenge(said, self.guard.metadata, ALGORITHMS)
            found = found._replace(headers=(*found.headers, ("WWW-Authenticate", header)))
        return found

    def _at_home(self, scope: Scope) -> bool:
        said = [value for name, value in scope["headers"] if name == b"host"]
        return len(said) == 1 and said[0].decode("latin-1").lower() in self._hosts

    # ── the one door ──
    async def answered(
        self,
        request: Request,
        make: Make,
        body: Callable[[Caller], Awaitable[None]] | None = None,
        seat: Seat | None = None,
        scopes: frozenset[str] = READS,
    ) -> Response:
        """The answer of a view, released and on its way. The token has one of `scopes`."""
        scope = request.scope
        given = await self.door.answer(
            request.method, _raw(scope), scope["headers"], make, body, seat, scopes=scopes
        )
        return send(given.released, given.made, self.door, scope)

    # ── JMAP ──
    async def _api(self, request: Request) -> Response:
        received: bytes | None = None

        async def read(caller: Caller) -> None:
            nonlocal received
            received = await capped(request, jmap.LIMITS["maxSizeRequest"])

        def make(view: View, now: Ms, scope: frozenset[str]) -> Made:
            try:
                if received is None:
                    raise jmap.RequestProblem("limit", "the request is too large", limit="maxSizeRequest")
                if (
                    request.headers.get("content-type", "").partition(";")[0].strip().lower()
                    != "application/json"
                ):
                    raise jmap.RequestProblem("notJSON", "send application/json")
                return Made(jmap.respond(received, view, now, scope))
            except jmap.RequestProblem as error:
                told = {"type": error.type, "status": error.status, "detail": error.detail, **error.extra}
                return Made(orjson.dumps(told), error.status, problem.CONTENT_TYPE)

        most = jmap.LIMITS["maxConcurrentRequests"]
        try:
            return await self.answered(request, make, read, Seat("request", "token", most), EITHER)
        except Exhausted as error:
            if error.code is not Code.CROWDED:
                raise
            told = {"type": problem.JMAP_ERRORS + "limit", "status": 400, "limit": "maxConcurrentRequests"}
            body = orjson.dumps({**told, "detail": error.detail})
            return Response(body, 400, media_type=problem.CONTENT_TYPE)

    async def _session(self, request: Request) -> Response:
        def make(view: View, now: Ms, scope: frozenset[str]) -> Made:
            name = view.snapshot.value(_NAME_OF, owner_id=view.grant.owner_id) if view.for_owner else ""
            view.reading.saw("session")
            found = jmap_session.session(view, self.guard.base_url, name or "", scope)
            return Made(orjson.dumps(found), headers=(("Cache-Control", "no-store"),))

        return await self.answered(request, make, scopes=EITHER)

    async def _download(self, request: Request) -> Response:
        path = request.path_params
        accept = request.query_params.get("accept")

        def make(view: View, now: Ms, scope: frozenset[str]) -> Made:
            try:
                body, content_type, name = blob.download(
                    view, path["account"], path["blob"], path["name"], accept
                )
            except Absent as error:
                return _made(problem.answer(error))
            kind = content_type if _TYPE.fullmatch(content_type) else "application/octet-stream"
            disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
            headers = (
                ("Content-Disposition", disposition),
                ("Content-Security-Policy", PLAIN_POLICY + "; sandbox"),
            )
            return Made(body, 200, kind, headers)

        return await self.answered(request, make)

    async def _upload(self, request: Request) -> Response:
        found = problem.plain(
            403, "read-only", "This account is read only", detail="nothing is uploaded here"
        )
        return await self.answered(request, lambda view, now, scope: _made(found))

    async def _events(self, request: Request) -> Response:
        wanted = push.asked(request.query_params, request.headers.get("last-event-id"))
        told: list[int] = []

        def make(view: View, now: Ms, scope: frozenset[str]) -> Made:
            if wanted is None:
                return _made(problem.plain(400, "parameters", "Give types, closeafter and ping"))
            told.append(view.grant.seq)
            body = push.opening(view, wanted)
            view.reading.saw("push", news=body.startswith(b"event: state"))
            return Made(body, 200, "text/event-stream")

        scope, seat = request.scope, Seat("stream", "grant", push.MOST_STREAMS)
        given = await self.door.answer(
            request.method, _raw(scope), scope["headers"], make, seat=seat, keep=wanted is not None
        )
        if wanted is None or given.seat is None:
            return send(given.released, given.made, self.door, scope)
        unsent = unsent_of(scope)
        return Stream(
            self._moved(given, wanted, told[-1], unsent), partial(self.door.seats.leave, given.seat)
        )

    async def _moved(
        self, given: Given, wanted: push.Asked, seq: int, unsent: Callable[[], int | None]
    ) -> AsyncIterator[bytes]:
        """Events of one stream until what allowed it has ended. Each is a reading of its own."""
        caller, first = given.caller, given.released
        yield first.body
        await self.door.sent(first, unsent)
        if wanted.once and first.body.startswith(b"event: state"):
            return
        quiet = 0
        while True:
            await asyncio.sleep(push.EVERY_MS / 1000)
            quiet, now = quiet + push.EVERY_MS, self.clock()
            try:
                released = await self._event(caller, wanted, seq, now)
            except (Lagging, Stale):
                continue
            except ByleaveError:
                return  # grant or token has ended, or the partner is suspended
            if released is not None:
                seq, event = released
                quiet = 0
                yield event.body
                await self.door.sent(event, unsent)
                if wanted.once:
                    return
            elif wanted.ping and quiet >= wanted.ping * 1000:
                quiet = 0
                yield push.ping(wanted)

    async def _event(
        self, caller: Caller, wanted: push.Asked, seq: int, now: Ms
    ) -> tuple[int, Released] | None:
        """(sequence, event) where the view has moved past `seq`. Raises ByleaveError where the stream ends."""
        with self.store.read() as snapshot:
            held = tokens.by_hash(snapshot, caller.token.hash)
            if held is None or held.revoked_at is not None or held.expires_at <= now:
                raise ended()
            duty.demand(snapshot, caller.grant.agreement_id, now)
            found = standing(snapshot, caller)
            lagging = False
            try:
                view = open_view(snapshot, found, self.installation.ids, now)
            except Lagging:
                view, lagging = None, True
            if view is None and not lagging:
                raise ended()
            if view is not None and (view.grant.seq == seq or not wanted.types):
                return None
            body = push.changed(view, wanted) if view is not None else b""
        if view is None:
            await self.door.catch_up(caller, now)
            return None
        view.reading.saw("push")
        released = await view.reading.release(
            self.store, body, now, who(caller, view), token_hash=caller.token.hash, sending=True
        )
        return view.grant.seq, released

    # ── OAuth ──
    def _oauth(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        endpoint = self.endpoints.form_endpoint(name)

        async def handle(request: Request) -> Response:
            form = Form(await self._form(request))
            found = await endpoint(_raw(request.scope), request.scope["headers"], form, self.clock())
            return _response(found)

        return handle

    async def _form(self, request: Request, most: int = LONGEST_FORM) -> list[tuple[str, str]]:
        body = await capped(request, most)
        if body is None:
            raise Invalid(Code.TOO_LARGE, f"a form has at most {most} bytes")
        return parse_form(request.headers.get("content-type", ""), body)

    async def _authorize(self, request: Request) -> Response:
        scope = request.scope
        if request.method == "GET":
            query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
            return _page(await self.dialogue.show(query, _raw(scope), scope["headers"], self.clock()))
        origin = request.headers.get("origin")
        if origin is not None and origin != "null" and urlsplit(origin).netloc.lower() not in self._hosts:
            raise HTTPException(403)
        return _page(
            await self.dialogue.decide(
                await self._form(request, LONGEST_DECISION), scope["headers"], self.clock()
            )
        )

    async def _grants(self, request: Request) -> Response:
        scope, id = request.scope, request.path_params["id"]
        found = await self.endpoints.grants(request.method, _raw(scope), scope["headers"], id, self.clock())
        return _response(found)

    # ── sends, clicks, reports ──
    async def _sends(self, request: Request) -> Response:
        scope, path = request.scope, _raw(request.scope)
        if request.method != "POST":
            after = request.query_params.get("after")
            return _response(await self.exchange.get_sends(path, scope["headers"], after, self.clock()))
        read = partial(capped, request)
        return _response(await self.exchange.post_send(path, scope["headers"], read, self.clock()))

    async def _send(self, request: Request) -> Response:
        scope, id = request.scope, request.path_params["id"]
        return _response(await self.exchange.get_send(_raw(scope), scope["headers"], id, self.clock()))

    async def _image(self, request: Request) -> Response:
        scope, sha256, read = request.scope, request.path_params["sha256"], partial(capped, request)
        found = await self.exchange.put_image(_raw(scope), scope["headers"], sha256, read, self.clock())
        return _response(found)

    async def _rankings(self, request: Request) -> Response:
        """Ranked titles for the owner of this grant (scope `signals`): a reading like any other."""
        limit = ranking.MOST

        async def read(caller: Caller) -> None:
            nonlocal limit
            asked = await capped(request, LONGEST_QUESTION)
            if asked is None:
                raise Invalid(Code.TOO_LARGE, f"a question has at most {LONGEST_QUESTION} bytes")
            limit = ranking.limit_of(asked)
            partner = ranking.demand(caller.grant)
            await self.store.write_soon(ranking.draw, caller.grant.owner_id, partner, self.clock())

        def make(view: View, now: Ms, scope: frozenset[str]) -> Made:
            found = ranking.ranked(view, self.shelves, limit)
            return Made(orjson.dumps({"titles": ranking.told_of(found)}))

        return await self.answered(request, make, read, scopes=frozenset((jmap_session.KNOW,)))

    async def _reports(self, request: Request) -> Response:
        scope, path = request.scope, _raw(request.scope)
        if request.method != "POST":
            known_at = request.query_params.get("known_at")
            return _response(await self.exchange.get_reports(path, scope["headers"], known_at, self.clock()))
        read = partial(capped, request)
        return _response(await self.exchange.post_report(path, scope["headers"], read, self.clock()))

    async def _notices(self, request: Request) -> Response:
        scope, since = request.scope, request.query_params.get("since")
        return _response(await self.exchange.get_notices(_raw(scope), scope["headers"], since, self.clock()))

    async def _report(self, request: Request) -> Response:
        scope, id, what = request.scope, request.path_params["id"], request.path_params.get("what", "")
        if what not in ("", "receipt", "reconciliation"):
            raise Absent(Code.ABSENT, "nothing of that name")
        found = await self.exchange.get_report(_raw(scope), scope["headers"], id, what, self.clock())
        return _response(found)

    async def _recalls(self, request: Request) -> Response:
        at, id = (_raw(request.scope), request.scope["headers"]), request.path_params.get("id")
        if id is not None:
            return _response(await self.recalls.answered(*at, id, partial(capped, request), self.clock()))
        return _response(await self.recalls.listed(*at, request.query_params.get("after"), self.clock()))

    async def _arrivals(self, request: Request) -> Response:
        found = await self.exchange.get_arrivals(_raw(request.scope), request.scope["headers"], self.clock())
        return _response(found)

    # ── what everybody may read ──
    def _fixed(self, body: bytes) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return Response(body, media_type="application/json", headers={"Access-Control-Allow-Origin": "*"})

        return handle

    async def _health(self, request: Request) -> Response:
        with self.store.read() as snapshot:
            snapshot.value(_NAME_OF, owner_id=b"")
        return Response(orjson.dumps({"ok": True, "pid": os.getpid()}), media_type="application/json")

    async def _ledger(self, request: Request) -> Response:
        name = request.path_params.get("path")
        if name is not None and not _TILE.fullmatch(name):
            raise Absent(Code.ABSENT, "no such tile")
        with self.store.read() as snapshot:
            data = sequence.fetch_from(snapshot)("checkpoint" if name is None else f"tile/{name}")
        kind = "text/plain; charset=utf-8" if name is None else "application/octet-stream"
        return Response(data, headers={"Content-Type": kind})


def _standing(https: bool) -> list[tuple[bytes, bytes]]:
    """Headers of every answer that does not say otherwise."""
    headers = [
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"content-security-policy", PLAIN_POLICY.encode()),
    ]
    return headers + ([(b"strict-transport-security", b"max-age=31536000")] if https else [])


_PROVEN = (
    "/jmap", "/oauth", "/sends", "/reports", "/recalls", "/rankings", "/.well-known/jmap", "/partner/signin",
)  # fmt: skip
"""Where proofs are taken: the answers carry the nonce of now."""
_OAUTH_FORMS = ("/oauth/par", "/oauth/token", "/oauth/introspect", "/oauth/revoke", "/partner/signin")
_PLAIN = {
    403: ("refused", "Refused"),
    404: ("absent", "Not found"),
    405: ("method", "This method has no meaning here"),
    421: ("host", "This gateway has another name"),
}


def hosts_of(base_url: str) -> frozenset[str]:
    """What the Host header may say: the public address; on loopback its other names too."""
    parts = urlsplit(base_url)
    host, default = parts.hostname or "", {"http": 80, "https": 443}[parts.scheme]
    port = parts.port or default
    names = {f"[{host}]" if ":" in host else host}
    if names & {"127.0.0.1", "localhost", "[::1]"}:
        names |= {"127.0.0.1", "localhost", "[::1]"}
    return frozenset({f"{n}:{port}" for n in names} | (names if port == default else set()))


async def capped(request: Request, most: int) -> bytes | None:
    """The body, or None where it has more than `most` bytes: the rest is not read."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and (len(stated) > 12 or int(stated) > most):
        return None
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _raw(scope: Scope) -> str:
    """The path as it stood in the request line."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


def _made(found: Answer) -> Made:
    return Made(found.body, found.status, found.content_type, found.headers)


def _response(found: Answer) -> Response:
    return Response(found.body, found.status, dict(found.headers), found.content_type if found.body else None)


def _page(shown: Shown) -> Response:
    if shown.location:
        return Response(b"", shown.status, {"Location": shown.location})
    policy = PAGE_POLICY + (f" {shown.form_to}" if _ORIGIN.fullmatch(shown.form_to) else "")
    return Response(shown.body, shown.status, {"Content-Security-Policy": policy}, "text/html; charset=utf-8")
