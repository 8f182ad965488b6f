"""The one door's threshold: only what is released becomes a response, and the door hears whether its bytes left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from byleave.gateway.door import Door, Made
from byleave.view import Released

UNSENT = "byleave.unsent"
"""ASGI extension of our own server: how many bytes of an answer still lie in this process, None once the connection
is broken."""


class Sent(Response):
    """A response that tells the door whether its bytes have left."""

    def __init__(self, released: Released, made: Made, door: Door, unsent: Callable[[], int | None]) -> None:
        super().__init__(released.body, made.status, dict(made.headers), made.content_type)
        self._released, self._door, self._unsent = released, door, unsent

    async def __call__(self, scope: Scope, receive: Receive, send_: Send) -> None:
        try:
            await super().__call__(scope, receive, send_)
        except BaseException:
            if self._released.entry is not None:
                await self._door.cut(self._released.entry)
            raise
        await self._door.sent(self._released, self._unsent)


class Stream(StreamingResponse):
    """Events, and what is given back when they end, however they do."""

    def __init__(self, events: AsyncIterator[bytes], end: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream")
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send_: Send) -> None:
        try:
            await super().__call__(scope, receive, send_)
        finally:
            self._end()


def send(released: Released, made: Made, door: Door, scope: Scope) -> Response:
    """`released` on its way."""
    return Sent(released, made, door, unsent_of(scope))


def unsent_of(scope: Scope) -> Callable[[], int | None]:
    """What tells how much has not left; under a server that does not know, nothing is left over."""
    found: Callable[[], int | None] = scope.get("extensions", {}).get(UNSENT, lambda: 0)
    return found
