"""Types of which an account has few objects or none, every one of them read-only: Identity, EmailSubmission (RFC 8621
§6, §7) and Quota (RFC 9425).

    Identity         the owner's own mail addresses, in the owner's account; to everybody else there is none
    EmailSubmission  none: nothing is sent from here (a recommendation goes through `POST /sends`)
    Quota            none, as long as no budget binds what an account reads

Their state is a digest of what there is: `/changes` answers the state of now with nothing, and any other with
cannotCalculateChanges.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import orjson

from byleave.gateway.jmap.method import Arguments, MethodError, comparators, cut, judged, queried, wrong
from byleave.view import View

Object = dict[str, Any]
Judge = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


class Type(msgspec.Struct, frozen=True):
    """A JMAP type: what its objects have, and what a query of them may ask."""

    properties: tuple[str, ...]
    every: Callable[[View], list[Object]]
    conditions: dict[str, Judge] = {}
    sorts: tuple[str, ...] = ()


def _identities(view: View) -> list[Object]:
    return [
        {
            "id": id, "name": name, "email": email, "replyTo": None, "bcc": None, "textSignature": "",
            "htmlSignature": "", "mayDelete": False,
        }
        for id, name, email in view.own_addresses()
    ]  # fmt: skip


TYPES = {
    "Identity": Type(
        ("id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"), _identities
    ),
    "EmailSubmission": Type(
        (
            "id", "identityId", "emailId", "threadId", "envelope", "sendAt", "undoStatus", "deliveryStatus",
            "dsnBlobIds", "mdnBlobIds",
        ),
        lambda view: [],
        {
            "identityIds": _texts, "emailIds": _texts, "threadIds": _texts, "undoStatus": _text, "before": _text,
            "after": _text,
        },
        ("emailId", "threadId", "sentAt"),
    ),
    "Quota": Type(
        (
            "id", "resourceType", "used", "hardLimit", "scope", "name", "types", "warnLimit", "softLimit",
            "description",
        ),
        lambda view: [],
        {"name": _text, "scope": _text, "resourceType": _text, "type": _text},
        ("name", "used"),
    ),
}  # fmt: skip


def get(type: str) -> Callable[[View, Arguments], bytes]:
    """The /get of a type (RFC 8620 §5.1)."""

    def run(view: View, arguments: Arguments) -> bytes:
        wanted, properties = arguments.ids("ids"), arguments.properties(TYPES[type].properties)
        there = _there(type, view)
        ids = list(there) if wanted is None else wanted
        shown = [
            there[id] if properties is None else {name: there[id][name] for name in properties}
            for id in ids
            if id in there
        ]
        return orjson.dumps(
            {
                "accountId": view.account_id, "state": _state(there), "list": shown,
                "notFound": [id for id in ids if id not in there],
            }
        )  # fmt: skip

    return run


def changes(type: str) -> Callable[[View, Arguments], bytes]:
    """The /changes of a type (RFC 8620 §5.2)."""

    def run(view: View, arguments: Arguments) -> bytes:
        arguments.number("maxChanges", 1)
        since, state = arguments.text("sinceState"), _state(_there(type, view, news=False))
        if since != state:
            raise MethodError("cannotCalculateChanges")
        answer = {
            "accountId": view.account_id, "oldState": since, "newState": state, "hasMoreChanges": False,
            "created": [], "updated": [], "destroyed": [],
        }  # fmt: skip
        return orjson.dumps(answer | ({"updatedProperties": None} if type == "Quota" else {}))

    return run


def query(type: str) -> Callable[[View, Arguments], bytes]:
    """The /query of a type that has no objects (RFC 8620 §5.5): what is asked is judged all the same."""
    of = TYPES[type]

    def run(view: View, arguments: Arguments) -> bytes:
        comparators(arguments.value("sort"), of.sorts)
        if arguments.value("filter") is not None:
            judged(arguments.value("filter"), partial(_holds, of.conditions))
        there = _there(type, view)
        ids, position = cut(list(there), arguments)
        return queried(view, ids, position, len(ids) if arguments.flag("calculateTotal") else None, None)

    return run


def _holds(conditions: dict[str, Judge], condition: dict[str, Any]) -> bool:
    for name, value in condition.items():
        if name not in conditions:
            raise MethodError("unsupportedFilter")
        if not conditions[name](value):
            raise wrong("filter")
    return True


def _there(type: str, view: View, *, news: bool = True) -> dict[str, Object]:
    view.reading.saw(f"{type}/get" if news else f"{type}/changes", news=news)
    return {one["id"]: one for one in TYPES[type].every(view)}


def _state(there: dict[str, Object]) -> str:
    digest = hashlib.sha256(orjson.dumps(list(there.values()))).digest()[:10]
    return "d" + base64.b32encode(digest).decode().lower()
