"""EventSource push (RFC 8620 §7.3): that the state of an account has moved, and nothing else.

A view's state is its grant's own sequence, which only visible changes move: what is hidden moves nothing, so
nothing is sent. An event says what a poll of `/changes` would say, no more.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import orjson

from byleave.view import View

TYPES = ("Mailbox", "Thread", "Email")
MOST_STREAMS = 8
"""Open streams of one grant, over all workers."""
EVERY_MS = 400
"""How often a stream looks: a no closes it, or shows in it, within a second."""
SHORTEST, LONGEST = 5, 900
"""Seconds between pings; what a client asks for is moved in between (RFC 8620 §7.3)."""


class Asked(msgspec.Struct, frozen=True):
    """What a client wants to hear: `ping` in seconds, 0 for none; `last` is the last event id it has seen."""

    types: tuple[str, ...]
    once: bool
    ping: int
    last: str | None


def asked(query: Mapping[str, str], last: str | None) -> Asked | None:
    """The parameters of the request, None where they are not what RFC 8620 §7.3 says."""
    types, close, ping = query.get("types"), query.get("closeafter"), query.get("ping")
    if (
        not types
        or close not in ("state", "no")
        or ping is None
        or not ping.isascii()
        or not ping.isdecimal()
        or len(ping) > 9
    ):
        return None
    named = types.split(",")
    wanted = tuple(t for t in TYPES if t in named or "*" in named)
    return Asked(
        wanted, close == "state", min(max(int(ping), SHORTEST), LONGEST) if int(ping) else 0, last or None
    )


def opening(view: View, wanted: Asked) -> bytes:
    """What a stream begins with: the state, where the client has seen another one, else a comment."""
    if wanted.last is not None and wanted.last != view.state and wanted.types:
        return changed(view, wanted)
    return b": open\n\n"


def changed(view: View, wanted: Asked) -> bytes:
    """A StateChange (RFC 8620 §7.1) as an event; its id is the state."""
    state = view.state
    told = {"@type": "StateChange", "changed": {view.account_id: dict.fromkeys(wanted.types, state)}}
    return b"event: state\nid: " + state.encode() + b"\ndata: " + orjson.dumps(told) + b"\n\n"


def ping(wanted: Asked) -> bytes:
    """A ping has no id: it must not move what Last-Event-ID says."""
    return b'event: ping\ndata: {"interval":%d}\n\n' % wanted.ping
