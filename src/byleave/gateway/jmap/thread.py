"""Thread/get and changes (RFC 8621 §3): visible messages only, oldest first."""

from __future__ import annotations

import orjson

from byleave.gateway.jmap.method import MOST_OBJECTS, Arguments, MethodError, got, since
from byleave.view import Picker, Query, View

MOST_CHANGES = 5000
"""Threads in one /changes answer where the client names no number."""


def get(view: View, arguments: Arguments) -> bytes:
    """Thread/get (RFC 8621 §3.1)."""
    wanted = arguments.ids("ids")
    properties = arguments.properties(("id", "emailIds"))
    ids = _every(view) if wanted is None else wanted
    there = view.threads(ids)
    if properties == ["id"]:
        shown = [orjson.dumps({"id": id}) for id in ids if id in there]
    else:
        shown = [orjson.dumps({"id": id, "emailIds": there[id]}) for id in ids if id in there]
    return got(view, shown, [id for id in ids if id not in there])


def _every(view: View) -> list[str]:
    found = view.query(Query(collapse_threads=True, limit=MOST_OBJECTS + 1)).borns
    if len(found) > MOST_OBJECTS:
        raise MethodError("requestTooLarge")
    picked = view.emails(found, Picker(["threadId"], body_values=False, max_body_bytes=0))
    return [orjson.loads(email)["threadId"] for email in picked.values() if email is not None]


def changes(view: View, arguments: Arguments) -> bytes:
    """Thread/changes (RFC 8621 §3.2)."""
    most = arguments.number("maxChanges", 1)
    state, number = since(view, arguments)
    found = view.thread_changes(number, MOST_CHANGES if most is None else min(most, MOST_CHANGES))
    if found is None:
        raise MethodError("cannotCalculateChanges")
    return orjson.dumps(
        {
            "accountId": view.account_id, "oldState": state, "newState": view.state_at(found.seq),
            "hasMoreChanges": found.more, "created": view.thread_ids(found.created),
            "updated": view.thread_ids(found.updated), "destroyed": view.thread_ids(found.destroyed),
        }
    )  # fmt: skip
