"""Email/get, changes, query, parse (RFC 8621 §4).

Rules of this file:

1. What stands ready in a message's fragment comes from there on every path; its bytes (`mime.py`) are read
   only for what no fragment serves: headers, the structure of the owner's mails, body properties beyond the
   usual. So both paths give one answer.
2. Ids that are hidden, foreign or invented take one path: no row, `notFound`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from byleave.gateway.jmap import mime
from byleave.gateway.jmap.method import (
    LARGEST_INT,
    MOST_OBJECTS,
    Arguments,
    MethodError,
    comparators,
    got,
    queried,
    since,
    wrong,
)
from byleave.sources.parts import USUAL as USUAL_PART
from byleave.sources.parts import Message
from byleave.view import PREPARED, Picker, Query, View
from byleave.view import query as selecting
from byleave.words.fragment import CHAT

USUAL = (
    "id",
    "blobId",
    "threadId",
    "mailboxIds",
    "keywords",
    "size",
    "receivedAt",
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
)
"""Properties of an Email unless the client says which (RFC 8621 §4.2)."""
USUAL_OF_PARSED = (
    "messageId",
    "inReplyTo",
    "references",
    "sender",
    "from",
    "to",
    "cc",
    "bcc",
    "replyTo",
    "subject",
    "sentAt",
    "hasAttachment",
    "preview",
    "bodyValues",
    "textBody",
    "htmlBody",
    "attachments",
)
"""The same for Email/parse (RFC 8621 §4.9)."""
PROPERTIES = frozenset(USUAL) | {"bodyStructure", "headers", CHAT}
MOST_CHANGES = 5000
"""Ids in one /changes answer where the client names no number."""
_AT_ONCE = 20
"""Messages whose bytes are in memory together."""
_DEPTH = 16


class Asked(msgspec.Struct, frozen=True):
    """What an Email/get or /parse asks for."""

    properties: list[str]
    body: mime.Wanted
    quick: bool
    """Do prepared fragments hold all of it?"""

    def picker(self) -> Picker:
        values = self.body.text or self.body.html or self.body.all
        return Picker(self.properties, body_values=values, max_body_bytes=self.body.most_bytes)


def _asked(arguments: Arguments, usual: Sequence[str]) -> Asked:
    properties = arguments.names("properties")
    if properties is None:
        properties = list(usual)
    for name in properties:
        if name not in PROPERTIES and not mime.is_header(name):
            raise wrong(name, "no such property, or not a form that this header has")
    body_properties = arguments.names("bodyProperties")
    for name in body_properties or ():
        if name not in mime.PART_PROPERTIES and not mime.is_header(name):
            raise wrong(name, "no such property of a body part")
    wanted = mime.Wanted(
        properties=tuple(USUAL_PART if body_properties is None else body_properties),
        text=arguments.flag("fetchTextBodyValues"),
        html=arguments.flag("fetchHTMLBodyValues"),
        all=arguments.flag("fetchAllBodyValues"),
        most_bytes=arguments.number("maxBodyValueBytes") or 0,
    )
    quick = PREPARED.issuperset(properties) and set(wanted.properties) == set(USUAL_PART)
    return Asked(properties, wanted, quick)


# ── get ─────────────────────────────────────────────────────────────────────────────────────────────────────
def get(view: View, arguments: Arguments) -> bytes:
    """Email/get (RFC 8621 §4.2)."""
    ids = arguments.ids("ids")
    asked = _asked(arguments, USUAL)
    if "id" not in asked.properties:
        asked.properties.insert(0, "id")
    if ids is None:
        every = view.query(Query(limit=MOST_OBJECTS + 1)).borns
        if len(every) > MOST_OBJECTS:
            raise MethodError("requestTooLarge")
        ids = view.email_ids(every)
    borns = view.borns(ids)
    picked = view.page(borns.values(), asked.picker()) if asked.quick and borns else None
    if picked is None or picked.left:
        shown = emails(view, list(borns.values()), asked) if borns else {}
        missing = [id for id in ids if borns.get(id) not in shown]
        return got(view, [shown[borns[id]] for id in ids if borns.get(id) in shown], missing)
    there = set(picked.borns) if len(picked.borns) < len(ids) else None
    missing = [] if there is None else [id for id in ids if borns.get(id) not in there]
    return got(view, [picked.body], missing)


def emails(view: View, borns: list[int], asked: Asked) -> dict[int, bytes]:
    """born → Email as JSON, for those that are there."""
    if asked.quick:
        shown = view.emails(borns, asked.picker())
        left = [born for born, email in shown.items() if email is None]
        answer = {born: email for born, email in shown.items() if email is not None}
    else:
        left, answer = borns, {}
    for at in range(0, len(left), _AT_ONCE):
        answer.update(_by_bytes(view, left[at : at + _AT_ONCE], asked))
    return answer


def _by_bytes(view: View, borns: list[int], asked: Asked) -> dict[int, bytes]:
    """As `emails`, with what no fragment serves read out of the messages' bytes."""
    ready = [p for p in asked.properties if p in PREPARED and p not in mime.OF_BODY]
    rest = [p for p in asked.properties if p not in ready]
    from_fragment = view.emails(
        borns, Picker(["id", *(p for p in ready if p != "id")], body_values=False, max_body_bytes=0)
    )
    answer: dict[int, bytes] = {}
    for born, original in view.originals(list(from_fragment)).items():
        message = Message(original.message)
        part_ids = view.part_blob_ids(original.id, message.count)
        front = from_fragment[born]
        if front is None:  # a fragment that lacks even the envelope
            whole = {
                **msgspec.structs.asdict(original),
                **mime.email(message, [*ready, *rest], asked.body, part_ids),
            }
            whole |= {
                "id": original.id, "blobId": original.blob_id, "threadId": original.thread_id,
                "mailboxIds": {original.mailbox_id: True}, "receivedAt": original.received_at, CHAT: None,
            }  # fmt: skip
            answer[born] = orjson.dumps({name: whole[name] for name in asked.properties})
        else:
            made = orjson.dumps(mime.email(message, rest, asked.body, part_ids))
            answer[born] = front[:-1] + b"," + made[1:] if rest else front
    return answer


def parse(view: View, arguments: Arguments) -> bytes:
    """Email/parse (RFC 8621 §4.9) of whole messages of this view. Messages attached to others are told to be
    notParsable: their parts have no blob ids."""
    ids = arguments.ids("blobIds")
    if ids is None:
        raise wrong("blobIds")
    asked = _asked(arguments, USUAL_OF_PARSED)
    parsed: dict[str, Any] = {}
    strange: list[str] = []
    missing: list[str] = []
    for id in ids:
        blob = view.blob(id)
        if blob is None:
            missing.append(id)
            continue
        message = Message(blob.message)
        if blob.part:
            (strange if 0 < blob.part <= message.count else missing).append(id)
            continue
        made = mime.email(message, asked.properties, asked.body, view.part_blob_ids(blob.id, message.count))
        whole = {
            "id": None,
            "threadId": None,
            "mailboxIds": None,
            "keywords": None,
            "receivedAt": None,
            "blobId": id,
            CHAT: None,
            **made,
        }
        parsed[id] = {name: whole[name] for name in asked.properties}
    return orjson.dumps(
        {"accountId": view.account_id, "parsed": parsed, "notParsable": strange, "notFound": missing}
    )


# ── changes and query ───────────────────────────────────────────────────────────────────────────────────────
def changes(view: View, arguments: Arguments) -> bytes:
    """Email/changes (RFC 8621 §4.3). An Email of a view never changes: it goes, and comes anew."""
    most = arguments.number("maxChanges", 1)
    state, number = since(view, arguments)
    found = view.email_changes(number, MOST_CHANGES if most is None else min(most, MOST_CHANGES))
    return orjson.dumps(
        {
            "accountId": view.account_id, "oldState": state, "newState": view.state_at(found.seq),
            "hasMoreChanges": found.more, "created": view.email_ids(found.created), "updated": [],
            "destroyed": view.email_ids(found.destroyed),
        }
    )  # fmt: skip


def query(view: View, arguments: Arguments) -> bytes:
    """Email/query (RFC 8621 §4.4)."""
    filter = numbered(view, arguments.value("filter"))
    sort = comparators(arguments.value("sort"), selecting.SORTS) or [("receivedAt", False)]
    limit = arguments.number("limit")
    anchor = None
    if arguments.value("anchor") is not None:
        anchor = view.born_of(arguments.text("anchor"))
        if anchor is None:
            raise MethodError("anchorNotFound")
    asked = Query(
        filter=filter,
        sort=tuple(sort),
        position=arguments.number("position", -LARGEST_INT) or 0,
        anchor=anchor,
        anchor_offset=arguments.number("anchorOffset", -LARGEST_INT) or 0,
        limit=MOST_OBJECTS if limit is None else min(limit, MOST_OBJECTS),
        collapse_threads=arguments.flag("collapseThreads"),
        calculate_total=arguments.flag("calculateTotal"),
    )
    found = view.query(asked)
    cut_by_us = asked.limit if limit is None or limit > MOST_OBJECTS else None
    ids = orjson.Fragment(view.listed(found.borns))
    return queried(view, ids, found.position, found.total, cut_by_us)


def numbered(view: View, filter: Any) -> dict[str, Any] | None:
    """A filter as the view takes it, mailbox ids turned into its numbers. Raises QueryProblem,
    MethodError."""
    made: dict[str, Any] | None = _numbered(view, filter, 0)
    selecting.check(made)
    return made


def _numbered(view: View, filter: Any, depth: int) -> Any:
    if filter is None and not depth:
        return None
    if not isinstance(filter, dict) or depth > _DEPTH:
        raise wrong("filter")
    if "operator" in filter:
        conditions = filter.get("conditions")
        if not isinstance(conditions, list):
            raise wrong("filter")
        return {**filter, "conditions": [_numbered(view, c, depth + 1) for c in conditions]}
    made = dict(filter)
    if "inMailbox" in made:
        if not isinstance(made["inMailbox"], str):
            raise wrong("filter")
        made["inMailbox"] = view.mailbox_of(made["inMailbox"])
    if "inMailboxOtherThan" in made:
        others = made["inMailboxOtherThan"]
        if not isinstance(others, list) or not all(isinstance(o, str) for o in others):
            raise wrong("filter")
        made["inMailboxOtherThan"] = [view.mailbox_of(o) for o in others]
    return made
