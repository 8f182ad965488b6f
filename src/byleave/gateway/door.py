"""The loop around one answer out of a view, and what becomes of its bytes.

Rules of this file:

1. Guard, view and answer are made from one snapshot without awaiting in between: the worker has one connection,
   and an answer that waited could mix two states. Only `release` awaits.
2. Every authenticated request writes once, whatever it answers: its proof is used up in the same transaction as
   the reading, or, where there is none, as the count of refusals.
3. A reading is confirmed when its bytes have left, in one write for many; where the connection broke first, it is
   marked at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from uuid_utils import uuid7

from byleave.consent import grant
from byleave.errors import Absent, ByleaveError, Code, Invalid, Unavailable
from byleave.exchange import duty
from byleave.gateway.guard import Caller, Guard, Headers
from byleave.gateway.seats import Seats
from byleave.installation import Installation
from byleave.model import Ms
from byleave.store import Snapshot
from byleave.view import Lagging, Released, Stale, View, open_view, reading, rows
from byleave.view.reading import Who, attempts, give_up

CATCH_UP = 64
"""How often one request has consent changes worked into its grant before it says: try again."""
CONFIRM_S = 0.5
"""How long confirmations wait for company."""
FLUSH_S = 45.0
"""How long an answer's bytes may lie in this process before nobody knows of them any more."""
AGAIN_S = 0.05


class Made(NamedTuple):
    """An answer out of a view that has not been released yet."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Make = Callable[[View, Ms, frozenset[str]], Made]
"""(view, now, scope of the token) → an answer."""
READS = frozenset(("inbox.read",))


class Seat(NamedTuple):
    """One of `most` places of a kind: "token" or "grant" says whose."""

    kind: str
    whose: str
    most: int


class Given(NamedTuple):
    """A released answer; `seat` is still taken where the caller asked to keep it."""

    released: Released
    made: Made
    caller: Caller
    seat: int | None


class Door:
    """The one door, as the network sees it."""

    def __init__(
        self, installation: Installation, guard: Guard, clock: Callable[[], Ms], seats: Seats
    ) -> None:
        self._installation = installation
        self._store = installation.store
        self._guard = guard
        self._clock = clock
        self.seats = seats
        self._left: list[list[bytes]] = []
        self._confirming: asyncio.Task[None] | None = None
        self._watching: set[asyncio.Task[None]] = set()

    async def answer(
        self, method: str, path: str, headers: Headers, make: Make,
        body: Callable[[Caller], Awaitable[None]] | None = None, seat: Seat | None = None, keep: bool = False,
        scopes: frozenset[str] = READS,
    ) -> Given:  # fmt: skip
        """Guard → snapshot → view → answer → release; made again where consent moved meanwhile. `body` reads the
        request's body, not before the caller is known. The token has one of `scopes`. Raises ByleaveError."""
        with self._store.read() as snapshot:
            caller = self._guard.caller(snapshot, method, path, headers, self._clock())
        taken: int | None = None
        given: Given | None = None
        try:
            caller.need(scopes)
            if seat is not None:
                whose = caller.token.hash if seat.whose == "token" else caller.token.grant_id
                taken = self.seats.take(seat.kind, whose, seat.most)
            with self._store.read() as snapshot:
                duty.demand(snapshot, caller.grant.agreement_id, self._clock())
            if body is not None:
                await body(caller)
            given = await self._given(caller, make)
            return given._replace(seat=taken if keep else None)
        except Exception as error:
            await self._refuse(caller, error)
            raise
        finally:
            if taken is not None and (given is None or not keep):
                self.seats.leave(taken)

    async def _given(self, caller: Caller, make: Make) -> Given:
        behind = 0
        for _ in attempts(self._store):
            while True:
                now = self._clock()
                try:
                    with self._store.read() as snapshot:
                        view = open_view(snapshot, standing(snapshot, caller), self._installation.ids, now)
                        if view is None:
                            raise ended()
                        made = make(view, now, caller.scope)
                    break
                except Lagging:
                    behind += 1
                    if behind > CATCH_UP:
                        raise
                    await self.catch_up(caller, now)
            try:
                released = await view.reading.release(
                    self._store, made.body, now, who(caller, view), proof=caller.proof, token_hash=caller.token.hash,
                    sending=True, denied=made.status >= 400,
                )  # fmt: skip
            except Stale:
                continue
            except Absent:
                raise ended() from None
            return Given(released, made, caller, None)
        raise give_up()

    async def catch_up(self, caller: Caller, now: Ms) -> None:
        """Works every consent change into the grant."""
        await self._store.write_soon(rows.apply, caller.token.owner_id, caller.token.grant_id, now)

    async def _refuse(self, caller: Caller, error: Exception) -> None:
        """Uses up the proof of a request that is refused, and counts the refusal. Raises Invalid for a replay."""
        if isinstance(error, ByleaveError) and error.code is Code.INVALID_PROOF:
            return  # it has been used up before
        arguments = [
            caller.token.owner_id,
            caller.token.grant_id,
            uuid7().bytes,
            self._clock(),
            caller.operative,
            caller.proof,
        ]
        with suppress(Unavailable):
            await self._store.write_soon(reading.deny, *arguments)

    # ── what becomes of the bytes ──
    async def sent(self, released: Released, unsent: Callable[[], int | None]) -> None:
        """The bytes of an answer are on their way. `unsent` tells how many still lie in this process, None once the
        connection is broken."""
        if released.entry is not None:
            task = asyncio.create_task(self._watch(released.entry, unsent))
            self._watching.add(task)
            task.add_done_callback(self._watching.discard)

    async def cut(self, entry: list[bytes]) -> None:
        """The bytes of an answer have not all left."""
        with suppress(ByleaveError):
            await self._store.write_soon(
                reading.undelivered, *entry, self._clock(), uuid7().bytes, os.urandom(32)
            )

    async def _watch(self, entry: list[bytes], unsent: Callable[[], int | None]) -> None:
        for _ in range(int(FLUSH_S / AGAIN_S)):
            left = unsent()
            if left is None:
                await self.cut(entry)
                return
            if not left:
                self._left.append(entry)
                if self._confirming is None or self._confirming.done():
                    self._confirming = asyncio.create_task(self._confirm())
                return
            await asyncio.sleep(AGAIN_S)

    async def _confirm(self) -> None:
        await asyncio.sleep(CONFIRM_S)
        await self.close()

    async def close(self) -> None:
        """Says of everything that has left that it has."""
        entries, self._left = self._left, []
        if entries:
            with suppress(ByleaveError):
                await self._store.write_soon(reading.delivered, entries)


def standing(snapshot: Snapshot, caller: Caller) -> grant.Grant:
    """The caller's grant as it stands. Raises Invalid."""
    try:
        return grant.find(snapshot, caller.token.owner_id, caller.token.grant_id)
    except Absent:
        raise ended() from None


def who(caller: Caller, view: View) -> Who:
    """The caller as the ledger names them."""
    return Who(
        account=view.account_id,
        purpose=caller.grant.purpose,
        operative=caller.operative,
        partner=caller.grant.partner,
        agreement=caller.grant.agreement_id,
    )


def ended() -> Invalid:
    return Invalid(Code.INVALID_TOKEN, "the grant has ended")
