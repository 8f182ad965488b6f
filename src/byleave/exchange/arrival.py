"""`bl`: what the redirect of a click tells the partner's site, and how the partner knows that it is ours.

Rules of this file:

1. It carries the cell, the UTC day and how the click counts; no send, no person, no time of day.
2. The partner counts arrivals by it, since it cannot see repeats, robots, honeypots or own clicks. A MAC under a
   key of the agreement's own (`GET /reports/arrivals`) keeps strangers from counting for it.
3. Pure, and importable without the rest of the house.

`1.INTERFACE.SURFACE.VARIANT.YYYY-MM-DD.KIND.MAC`: codes are `[a-z0-9_-]`, so a dot parts them; MAC is HMAC-SHA256
cut to 128 bits, base64url.
"""

from __future__ import annotations

import hmac
from datetime import date
from typing import NamedTuple

from byleave.exchange.terms import CODE, Cell
from byleave.keys import b64url

VERSION = "1"
FIRST, REPEAT, UNCOUNTED = "first", "repeat", "uncounted"
KINDS = (FIRST, REPEAT, UNCOUNTED)


class Arrival(NamedTuple):
    """One click as the partner may know it."""

    cell: Cell
    day: date
    kind: str


def key_of(secret: bytes, agreement_id: str) -> bytes:
    """The agreement's key, out of the store's secret."""
    return hmac.digest(secret, b"arrivals\0" + agreement_id.encode(), "sha256")


def write(key: bytes, cell: Cell, day: date, kind: str) -> str:
    """The value of `bl`."""
    said = ".".join((VERSION, *cell, day.isoformat(), kind))
    return f"{said}.{_mac(key, said)}"


def read(key: bytes, text: str) -> Arrival | None:
    """The arrival behind a `bl`, or None for one that this key did not make."""
    said, _, mac = text.rpartition(".")
    parts = said.split(".")
    if len(parts) != 6 or parts[0] != VERSION or parts[5] not in KINDS or not said.isascii():
        return None
    if not hmac.compare_digest(_mac(key, said).encode(), mac.encode("utf-8", "replace")):
        return None
    if not all(CODE.fullmatch(code) for code in parts[1:4]):
        return None
    return Arrival(Cell(*parts[1:4]), date.fromisoformat(parts[4]), parts[5])


def _mac(key: bytes, said: str) -> str:
    return b64url(hmac.digest(key, said.encode(), "sha256")[:16])
