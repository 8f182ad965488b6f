"""What an owner's own pages show beside the messages: the conversations, and who else can see which message.

Rules of this file:

1. Everything here is asked of a view of purpose `owner`; for any other it answers nothing.
2. An owner sees of each message *visible* or *no yes from its sender*: never whether that is a no, a
   withdrawal or a silence (consent.md, "Whose no is nobody's business").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, func, select

from byleave.consent import policy
from byleave.consent.grant import Grant
from byleave.model import Level, Ms
from byleave.store import among, prepare
from byleave.store.tables import conversation, handle, member, message, view_row
from byleave.view import NOTHING, View, rows
from byleave.words.fragment import INDEX, decode

_OWN = (view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"))
_CONVERSATION = (conversation.c.owner_id == view_row.c.owner_id) & (
    conversation.c.conversation == view_row.c.conversation
)
_CHATS = prepare(
    select(
        conversation.c.conversation,
        conversation.c.source,
        conversation.c.key,
        conversation.c.name,
        func.count(),
        func.max(view_row.c.received_at),
    )
    .join(conversation, _CONVERSATION)
    .where(*_OWN, view_row.c.mailbox == rows.CHATS)
    .group_by(view_row.c.conversation)
    .order_by(func.max(view_row.c.received_at).desc())
)
_LETTERS = prepare(
    select(
        conversation.c.conversation,
        conversation.c.source,
        conversation.c.key,
        func.count(),
        func.max(view_row.c.received_at),
    )
    .join(conversation, _CONVERSATION)
    .where(*_OWN, view_row.c.mailbox != rows.CHATS)
    .group_by(view_row.c.conversation)
    .order_by(func.max(view_row.c.received_at).desc())
    .limit(bindparam("n"))
)
_BORN_AT = prepare(
    select(view_row.c.born, view_row.c.conversation, view_row.c.received_at).where(
        *_OWN, among(view_row.c.received_at, "times")
    )
)
_NAMED = prepare(
    select(conversation.c.conversation, conversation.c.source, conversation.c.key, conversation.c.name).where(
        conversation.c.owner_id == bindparam("owner_id"), among(conversation.c.conversation, "numbers")
    )
)
_MEMBERS = prepare(
    select(member.c.conversation, handle.c.name)
    .join(handle, (handle.c.owner_id == member.c.owner_id) & (handle.c.handle == member.c.handle))
    .where(
        member.c.owner_id == bindparam("owner_id"), among(member.c.conversation, "numbers"), handle.c.own == 0
    )
)
_OWN_HANDLES = prepare(
    select(handle.c.handle).where(handle.c.owner_id == bindparam("owner_id"), handle.c.own == 1)
)
_KINDS = prepare(
    select(view_row.c.born, message.c.kind)
    .join(
        message,
        (message.c.owner_id == view_row.c.owner_id)
        & (message.c.sender == view_row.c.sender)
        & (message.c.received_at == view_row.c.received_at)
        & (message.c.id == view_row.c.id),
    )
    .where(*_OWN, among(view_row.c.born, "borns"))
)
_other = view_row.alias("other")
_SEEN = prepare(
    select(view_row.c.born, _other.c.level)
    .join(
        _other,
        (_other.c.owner_id == view_row.c.owner_id)
        & (_other.c.received_at == view_row.c.received_at)
        & (_other.c.id == view_row.c.id),
    )
    .where(*_OWN, _other.c.grant_id == bindparam("other"), among(view_row.c.born, "borns"))
)


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation of the inbox. `id` is the view's own, `name` SOURCE/KEY as grants and choices write
    it."""

    id: str
    number: int
    source: str
    name: str
    title: str
    messages: int = 0
    latest: Ms = 0


class Place(msgspec.Struct, frozen=True):
    """Where a message stands: its conversation's number, is it the owner's own, what kind of record."""

    conversation: int
    own: bool
    kind: str


def chats(view: View) -> list[Conversation]:
    """Every chat of the inbox, the one with the newest message first."""
    if not view.for_owner:
        return []
    found = view.snapshot.all(_CHATS, **view.mine)
    titles = _titles(view, [(number, name) for number, _, _, name, _, _ in found])
    view.reading.saw("chats")
    ids = view.ids.give("k", [f[0] for f in found])
    return [
        Conversation(
            id=id,
            number=number,
            source=source,
            name=f"{source}/{key}",
            title=titles[number],
            messages=count,
            latest=latest,
        )
        for id, (number, source, key, _, count, latest) in zip(ids, found, strict=True)
    ]


def letters(view: View, most: int) -> list[Conversation]:
    """The mail conversations with the newest mails, at most `most`; a title is the newest mail's subject."""
    if not view.for_owner:
        return []
    found = view.snapshot.all(_LETTERS, **view.mine, n=most)
    newest = {(number, latest): None for number, _, _, _, latest in found}
    times = sorted({latest for _, latest in newest})
    borns = {
        (place, at): born
        for born, place, at in view.snapshot.all(_BORN_AT, **view.mine, times=times)
        if (place, at) in newest
    }
    shown = view._fetch(sorted(borns.values()))
    view.reading.saw("letters", borns.values())
    subjects = {pair: _text(decode(shown[born][8])[INDEX["subject"]]) for pair, born in borns.items()}
    return [
        Conversation(
            id=view.ids.give("k", [number])[0],
            number=number,
            source=source,
            name=f"{source}/{key}",
            title=subjects.get((number, latest)) or "No subject",
            messages=count,
            latest=latest,
        )
        for number, source, key, count, latest in found
    ]


def conversation_of(view: View, id: str) -> Conversation | None:
    """The conversation behind an id that this view gave out, or None."""
    taken = view.ids.take("k", id)
    return None if taken is None or taken[1] or not view.for_owner else named(view, [taken[0]]).get(taken[0])


def named(view: View, numbers: Sequence[int]) -> dict[int, Conversation]:
    """number → conversation."""
    found = view.snapshot.all(_NAMED, owner_id=view.grant.owner_id, numbers=sorted(set(numbers)))
    titles = _titles(view, [(number, name) for number, _, _, name in found])
    return {
        number: Conversation(
            id=view.ids.give("k", [number])[0],
            number=number,
            source=source,
            name=f"{source}/{key}",
            title=titles[number],
        )
        for number, source, key, _ in found
    }


def _titles(view: View, found: list[tuple[int, str]]) -> dict[int, str]:
    """A conversation's name, or the names of the others in it."""
    titles = {number: name for number, name in found if name}
    nameless = [number for number, name in found if not name]
    others: dict[int, list[str]] = {}
    for number, name in (
        view.snapshot.all(_MEMBERS, owner_id=view.grant.owner_id, numbers=nameless) if nameless else ()
    ):
        others.setdefault(number, []).append(name)
    for number in nameless:
        names = sorted(n for n in others.get(number, ()) if n)
        titles[number] = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return titles


def places(view: View, borns: Sequence[int]) -> dict[int, Place]:
    """born → where it stands, for rows of the owner's view."""
    if not view.for_owner:
        return {}
    own = {h for (h,) in view.snapshot.all(_OWN_HANDLES, owner_id=view.grant.owner_id)}
    kinds: dict[int, str] = dict(view.snapshot.all(_KINDS, **view.mine, borns=list(borns)))
    shown = view._fetch(borns)
    return {b: Place(shown[b][4], shown[b][3] in own, kinds.get(b, "text")) for b in borns if b in shown}


def texts(view: View, borns: Sequence[int]) -> dict[int, str]:
    """born → the words of the message as text, for rows of the owner's view; of HTML mail the text in it."""
    if not view.for_owner:
        return {}
    shown = view._fetch(borns)
    view.reading.saw("text", [b for b in borns if b in shown])
    return {b: _text(decode(view._filled(shown[b]))[INDEX["body"]]) for b in borns if b in shown}


def _text(segment: bytes) -> str:
    return str(orjson.loads(segment) or "") if segment else ""


def seen_by(view: View, borns: Sequence[int], other: Grant, now: Ms) -> dict[int, tuple[Level, str]]:
    """born → (the level at which `other` sees the message, or NONE and why not), for rows of the owner's
    view.

    `other`'s rows must not lag behind (`rows.lags`): a no that binds it already must not read "visible".
    """
    if not view.for_owner or other.owner_id != view.grant.owner_id:
        return {}
    compiled = policy.compile(view.snapshot, other, now)
    levels: dict[int, int] = dict(
        view.snapshot.all(
            _SEEN, **view.mine, other=other.grant_id if other.seq else NOTHING, borns=list(borns)
        )
    )
    at = places(view, borns)
    shown: dict[int, tuple[Any, ...]] = view._fetch(borns)
    answer = {}
    for born in borns:
        row = shown.get(born)
        if row is None:
            continue
        level = Level(levels.get(born, 0))
        answer[born] = (level, "" if level else _why(compiled, row, at[born].kind))
    return answer


def _why(compiled: policy.Compiled, row: tuple[Any, ...], kind: str) -> str:
    _, received_at, _, sender, conversation_number = row[:5]
    found = compiled.grant
    start, end = found.period_from, found.period_to
    outside = (start is not None and received_at < start) or (end is not None and received_at >= end)
    if kind not in policy.TOLD:
        return "notices are never shown"
    if outside or not found.scope.holds(compiled.conversations.get(conversation_number, "")):
        return "not in this grant"
    if compiled.of_person(sender, conversation_number) < Level.MASKED and sender not in compiled.own:
        return "no yes from its sender"
    if compiled.ceiling < Level.MASKED:
        return "no messages at this level"
    return "not shown: it could not be masked safely, or is being worked in"
