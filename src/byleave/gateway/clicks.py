"""`/c/{token}`: whoever opens a card's link is counted, then sent on.

Rules of this file:

1. No redirect is answered before its click is on disk. Clicks that arrive while the disk is busy share the next
   transaction; nobody waits for more of them to come.
2. A token is held against its MAC here, without a look at the store; whether it still holds, and everything else, is
   looked up in the transaction that counts it. A link that is forged, foreign, retired or too old is absent; nothing
   else is told of it.
3. It is the one answer that everybody who was sent a card asks for: its headers are made once, and no router, request
   or response object stands before it (`app` calls it straight from the ASGI layer).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from byleave.consent import identity
from byleave.errors import Absent, Code
from byleave.exchange import click, send, sums
from byleave.gateway.guard import Guard, Headers
from byleave.installation import Installation
from byleave.model import Ms
from byleave.store import Snapshot

MOST = 256
"""Clicks of one transaction: as many as the writer takes into a group."""
KEPT = ((b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"), (b"x-robots-tag", b"noindex"))
"""Headers of each redirect beside its Location."""


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Clicks:
    """The redirects of one worker, as an ASGI application. `standing` are the headers that every answer has."""

    def __init__(
        self, installation: Installation, guard: Guard, clock: Callable[[], Ms], standing: Headers
    ) -> None:
        self._secret = installation.ids
        self._store = installation.store
        self._guard = guard
        self._clock = clock
        named = {name for name, _ in KEPT}
        self._headers = [
            *KEPT,
            *(pair for pair in standing if pair[0] not in named),
            (b"content-length", b"0"),
        ]
        self._keys: dict[int, bytes] = {}
        self._waiting: list[tuple[click.Asked, asyncio.Future[str | None]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send_: Send) -> None:
        """GET or HEAD /c/{token}. Raises Absent, Unavailable."""
        address = (scope.get("client") or ("",))[0]
        token = scope["path"].removeprefix("/c/")
        where = await self.location(scope["method"], token, scope["headers"], address, self._clock())
        headers = [(b"location", where.encode()), *self._headers]
        await send_({"type": "http.response.start", "status": 302, "headers": headers})
        await send_({"type": "http.response.body", "body": b""})

    async def location(self, method: str, token: str, headers: Headers, address: str, now: Ms) -> str:
        """Where a click goes, once it is kept. Raises Absent, Unavailable."""
        found = click.read(token)
        key = None if found is None else self._key(found.kid)
        if found is None or key is None or not click.made_by(key, found):
            raise Absent(Code.ABSENT, "no such link")
        said = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
        own = "cookie" in said and self._own(headers, found.send_id, now)
        client = click.client_of(self._secret, sums.day_of(now), address, said.get("user-agent", ""))
        why_not = click.refused(method, said)
        where = await self._kept([found.version, found.kid, found.send_id, why_not, own, client, now])
        if where is None:
            raise Absent(Code.ABSENT, "no such link")
        return where

    def _key(self, kid: int) -> bytes | None:
        key = self._keys.get(kid)
        if key is None:
            with self._store.read() as snapshot:
                salt = click.salt_of(snapshot, kid)
            if salt is None:
                return None
            key = self._keys[kid] = click.key_of(self._secret, kid, salt)
        return key

    def _kept(self, asked: click.Asked) -> asyncio.Future[str | None]:
        """Joins the next transaction."""
        promise: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, promise))
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send())
        return promise

    async def _send(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                try:
                    places = await self._store.write_soon(
                        click.record, self._secret, [asked for asked, _ in group]
                    )
                except Exception as error:  # none of them is kept: each is told, and the next group goes on
                    for _, promise in group:
                        if not promise.done():
                            promise.set_exception(error)
                    continue
                for (_, promise), place in zip(group, places, strict=True):
                    if not promise.done():  # its client has left; it is kept all the same
                        promise.set_result(place)
        finally:
            self._sending = None

    def _own(self, headers: Headers, send_id: bytes, now: Ms) -> bool:
        """Whether the sender themselves is signed in, as owner or by a handle of their own."""
        with self._store.read() as snapshot:
            owner_id = send.place(snapshot, send_id)
            return owner_id is not None and self._is(snapshot, headers, owner_id, now)

    def _is(self, snapshot: Snapshot, headers: Headers, owner_id: bytes, now: Ms) -> bool:
        session = self._guard.page_session(snapshot, headers, now)
        if session is None:
            return False
        if session.owner_id == owner_id or session.handle is None:
            return session.owner_id == owner_id
        number = identity.number_in(snapshot, owner_id, session.handle)
        return number is not None and number[1]


__all__ = ["KEPT", "Clicks"]
