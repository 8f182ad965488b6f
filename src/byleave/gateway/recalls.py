"""`/recalls` without HTTP: what a partner must delete, and its signed answer.

The partner asks for itself (scope `report`): one list over all inboxes whose owners let it in. The notice is a JWS by
the provider; the answer, the body of POST /recalls/{id}/answer, a JWS by a key of the agreement.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from uuid_utils import uuid7

from byleave.errors import Absent, Code, Invalid
from byleave.gateway import guard as guards
from byleave.gateway.guard import Guard, Headers, PartnerCaller
from byleave.gateway.problem import Answer
from byleave.model import Ms
from byleave.store import Store
from byleave.view import recall
from byleave.words.fragment import rfc3339

LISTED = 200
LONGEST = 8 * 1024
_ID = re.compile(r"[0-9a-f]{32}")
Read = Callable[[int], Awaitable[bytes | None]]


class Recalls:
    """Both, for one gateway."""

    def __init__(self, store: Store, guard: Guard) -> None:
        self._store = store
        self._guard = guard

    async def listed(self, path: str, headers: Headers, after: str | None, now: Ms) -> Answer:
        """The agreement's recalls, the oldest first; `after` is the last id of the page before."""
        caller = await self._partner("GET", path, headers, now)
        if after is not None and not _ID.fullmatch(after):
            raise Invalid(Code.INVALID_ARGUMENTS, "after must be the id of a recall")
        with self._store.read() as snapshot:
            start = bytes.fromhex(after or "")
            found = recall.of_agreement(snapshot, caller.agreement.id, start, LISTED)
        return _json({"recalls": [_shown(r, now) for r in found], "more": len(found) == LISTED})

    async def answered(self, path: str, headers: Headers, id: str, read: Read, now: Ms) -> Answer:
        """Keeps a signed answer: 201, or 200 where the same stood already. Raises Absent, Invalid, Conflict."""
        caller = await self._partner("POST", path, headers, now)
        body = await read(LONGEST)
        if body is None or not body.isascii():
            raise Invalid(Code.TOO_LARGE, f"an answer is a compact JWS of at most {LONGEST} bytes")
        if not _ID.fullmatch(id):
            raise Absent(Code.ABSENT, "no such recall")
        said, recall_id = body.decode().strip(), bytes.fromhex(id)
        recall.checked(caller.agreement, recall_id, said, now)
        new = await self._store.write_soon(
            recall.answer, caller.agreement.id, recall_id, said, now, uuid7().bytes, os.urandom(32)
        )
        return _json(
            {"recall": id, "answered_at": rfc3339(now)} if new else {"recall": id}, 201 if new else 200
        )

    async def _partner(self, method: str, path: str, headers: Headers, now: Ms) -> PartnerCaller:
        with self._store.read() as snapshot:
            caller = self._guard.partner(snapshot, method, path, headers, now)
        await self._store.write_soon(guards.spend, [caller.proof])
        return caller


def _shown(r: recall.Recall, now: Ms) -> dict[str, Any]:
    return {
        "id": r.recall_id.hex(), "made_at": rfc3339(r.made_at), "due_at": rfc3339(r.due_at), "messages": r.messages,
        "state": r.state(now), "notice": r.notice,
    }  # fmt: skip


def _json(value: dict[str, Any], status: int = 200) -> Answer:
    return Answer(status, orjson.dumps(value), "application/json")
