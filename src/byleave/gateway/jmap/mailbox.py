"""Mailbox/get, changes, query (RFC 8621 §2): the few mailboxes of a view, read-only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from byleave.gateway.jmap.method import (
    Arguments,
    MethodError,
    comparators,
    cut,
    got,
    judged,
    queried,
    since,
    wrong,
)
from byleave.view import Mailbox, View

RIGHTS = {
    "mayReadItems": True,
    "mayAddItems": False,
    "mayRemoveItems": False,
    "maySetSeen": False,
    "maySetKeywords": False,
    "mayCreateChild": False,
    "mayRename": False,
    "mayDelete": False,
    "maySubmit": False,
}
COUNTS = ("totalEmails", "unreadEmails", "totalThreads", "unreadThreads")
PROPERTIES = ("id", "name", "parentId", "role", "sortOrder", *COUNTS, "myRights", "isSubscribed")


def get(view: View, arguments: Arguments) -> bytes:
    """Mailbox/get (RFC 8621 §2.1)."""
    wanted = arguments.ids("ids")
    properties = arguments.properties(PROPERTIES)
    there = {m.id: m for m in view.mailboxes()}
    ids = list(there) if wanted is None else wanted
    shown = [_shown(there[id], properties) for id in ids if id in there]
    return got(view, shown, [id for id in ids if id not in there])


def _shown(mailbox: Mailbox, properties: list[str] | None) -> bytes:
    whole: dict[str, Any] = {
        "id": mailbox.id,
        "name": mailbox.name,
        "parentId": None,
        "role": mailbox.role,
        "sortOrder": mailbox.sort_order,
        "totalEmails": mailbox.total_emails,
        "unreadEmails": mailbox.unread_emails,
        "totalThreads": mailbox.total_threads,
        "unreadThreads": mailbox.unread_threads,
        "myRights": RIGHTS,
        "isSubscribed": True,
    }
    return orjson.dumps(whole if properties is None else {name: whole[name] for name in properties})


def changes(view: View, arguments: Arguments) -> bytes:
    """Mailbox/changes (RFC 8621 §2.2): a mailbox of a view changes by its counts alone."""
    most = arguments.number("maxChanges", 1)
    state, number = since(view, arguments)
    created, updated, destroyed = view.mailbox_changes(number)
    if most is not None and len(created) + len(updated) + len(destroyed) > most:
        raise MethodError("cannotCalculateChanges")
    return orjson.dumps(
        {
            "accountId": view.account_id, "oldState": state, "newState": view.state, "hasMoreChanges": False,
            "created": created, "updated": updated, "destroyed": destroyed,
            "updatedProperties": list(COUNTS) if updated else None,
        }
    )  # fmt: skip


def query(view: View, arguments: Arguments) -> bytes:
    """Mailbox/query (RFC 8621 §2.3). No mailbox has a parent, so the trees of sortAsTree and filterAsTree are
    flat."""
    sort = comparators(arguments.value("sort"), ("sortOrder", "name", "parentId"))
    arguments.flag("sortAsTree")
    arguments.flag("filterAsTree")
    filter = arguments.value("filter")
    if filter is not None:
        judged(filter, partial(_holds, _ANY))  # an error does not depend on what is there
    found = view.mailboxes()
    if filter is not None:
        found = [m for m in found if judged(filter, partial(_holds, m))]
    keys: dict[str, Callable[[Mailbox], Any]] = {
        "name": lambda m: m.name.casefold(), "sortOrder": lambda m: m.sort_order, "parentId": lambda m: 0,
    }  # fmt: skip
    for name, ascending in reversed(sort):
        found.sort(key=keys[name], reverse=not ascending)
    ids, position = cut([m.id for m in found], arguments)
    return queried(view, ids, position, len(found) if arguments.flag("calculateTotal") else None, None)


_ANY = Mailbox("", "", None, 0, 0, 0, 0, 0)


def _holds(mailbox: Mailbox, condition: dict[str, Any]) -> bool:
    answers = []
    for name, value in condition.items():
        match name:
            case "parentId" if isinstance(value, str | None):
                answers.append(value is None)
            case "name" if isinstance(value, str):
                answers.append(value.casefold() in mailbox.name.casefold())
            case "role" if isinstance(value, str | None):
                answers.append(mailbox.role == value)
            case "hasAnyRole" if isinstance(value, bool):
                answers.append((mailbox.role is not None) is value)
            case "isSubscribed" if isinstance(value, bool):
                answers.append(value)
            case "parentId" | "name" | "role" | "hasAnyRole" | "isSubscribed":
                raise wrong("filter")
            case _:
                raise MethodError("unsupportedFilter")
    return all(answers)
