"""A message's bytes → the properties of an Email (RFC 8621 §4.1): header forms, parts, bodies.

Values are read by the readers of `sources` (addresses, dates, encoded words, parts and their numbers): what
ingest put into a fragment and what is read here are the same. Any bytes are read, and every loop is linear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from byleave.sources.header import ids, instant, loose_text, one_line, people
from byleave.sources.parts import USUAL as USUAL_PART
from byleave.sources.parts import Message, Part, bodies, has_attachment
from byleave.words.fragment import PREVIEW, rfc3339

OF_BODY = frozenset(("bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"))
PART_PROPERTIES = frozenset(USUAL_PART) | {"headers", "subParts"}
_ADDRESSES = ("sender", "from", "to", "cc", "bcc", "replyTo")


class Wanted(msgspec.Struct, frozen=True):
    """Which properties of body parts are asked for, and which bodies' values."""

    properties: tuple[str, ...] = USUAL_PART
    text: bool = False
    html: bool = False
    all: bool = False
    most_bytes: int = 0


def email(
    message: Message, properties: Iterable[str], wanted: Wanted, part_ids: Sequence[str]
) -> dict[str, Any]:
    """Those `properties` of an Email that its bytes tell; others are not in the answer. `part_ids` are the
    blob ids of the parts 1 … count."""
    text, html, attachments = bodies(message.root)
    made: dict[str, Callable[[], Any]] = {
        "size": lambda: message.length,
        "subject": lambda: (
            one_line(_last(message, "subject") or "") if _last(message, "subject") is not None else None
        ),
        "sentAt": lambda: _date(_last(message, "date")),
        "messageId": lambda: _ids(_last(message, "message-id")),
        "inReplyTo": lambda: _ids(_last(message, "in-reply-to")),
        "references": lambda: _ids(_last(message, "references")),
        **{name: partial(_people_in, message, name) for name in _ADDRESSES},
        "hasAttachment": lambda: has_attachment(attachments),
        "preview": lambda: preview(message, text),
        "headers": lambda: [{"name": n, "value": v} for n, v in message.fields(message.root)],
        "bodyStructure": lambda: _part(message, message.root, wanted.properties, part_ids, tree=True),
        "textBody": lambda: [_part(message, p, wanted.properties, part_ids) for p in text],
        "htmlBody": lambda: [_part(message, p, wanted.properties, part_ids) for p in html],
        "attachments": lambda: [_part(message, p, wanted.properties, part_ids) for p in attachments],
        "bodyValues": lambda: _values(message, text, html, wanted),
    }
    answer: dict[str, Any] = {}
    for name in properties:
        if name in made:
            answer[name] = made[name]()
        elif name.startswith("header:"):
            answer[name] = header(message.fields(message.root), name)
    return answer


_HEADER = {"replyTo": "reply-to"}


def _people_in(message: Message, name: str) -> list[dict[str, Any]] | None:
    return _people(_last(message, _HEADER.get(name, name)))


def _last(message: Message, name: str) -> str | None:
    values = message.root.head.fields.get(name)
    return loose_text(values[-1]) if values else None


def _values(message: Message, text: list[Part], html: list[Part], wanted: Wanted) -> dict[str, Any]:
    chosen: list[Part] = []
    if wanted.text or wanted.all:
        chosen += text
    if wanted.html or wanted.all:
        chosen += html
    if wanted.all:
        chosen += message.leaves
    numbers = {p.number: p for p in chosen if p.type.startswith("text/")}
    return {str(n): message.value(numbers[n], wanted.most_bytes) for n in sorted(numbers)}


def preview(message: Message, text: list[Part]) -> str:
    """The first words on one line (RFC 8621 §4.1.4)."""
    plain = next((p for p in text if p.type == "text/plain"), None)
    value: str = message.value(plain, 16 * PREVIEW)["value"] if plain else ""
    return " ".join(value.split())[:PREVIEW]


def _part(
    message: Message, part: Part, properties: Sequence[str], part_ids: Sequence[str], tree: bool = False
) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in properties:
        match name:
            case "partId":
                made[name] = str(part.number) if part.number else None
            case "blobId":
                made[name] = part_ids[part.number - 1] if part.number else None
            case "size":
                made[name] = message.size(part)
            case "name" | "type" | "charset" | "disposition" | "cid" | "language" | "location":
                made[name] = getattr(part, name)
            case "headers":
                made[name] = [{"name": n, "value": v} for n, v in message.fields(part)]
            case "subParts":
                made[name] = None if part.leaf is not None else []
            case _:
                made[name] = header(message.fields(part), name)
    if tree and part.leaf is None:
        made["subParts"] = [_part(message, p, properties, part_ids, tree=True) for p in part.parts]
    return made


# ── header forms ────────────────────────────────────────────────────────────────────────────────────────────
_PROPERTY = re.compile(
    r"header:([!-9;-~]{1,200})(?::as(Raw|Text|Addresses|GroupedAddresses|MessageIds|Date|URLs))?(:all)?"
)
_PEOPLE = ("Addresses", "GroupedAddresses")
_ALLOWED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("from", "sender", "reply-to", "to", "cc", "bcc"), _PEOPLE),
    **dict.fromkeys(
        ("resent-from", "resent-sender", "resent-reply-to", "resent-to", "resent-cc", "resent-bcc"), _PEOPLE
    ),
    **dict.fromkeys(("subject", "comments", "keywords", "list-id"), ("Text",)),
    **dict.fromkeys(("message-id", "in-reply-to", "references", "resent-message-id"), ("MessageIds",)),
    **dict.fromkeys(("date", "resent-date"), ("Date",)),
    **dict.fromkeys(
        ("list-help", "list-unsubscribe", "list-subscribe", "list-post", "list-owner", "list-archive"),
        ("URLs",),
    ),
    **dict.fromkeys(("return-path", "received"), ()),
}
"""Fields of RFC 5322 and RFC 2369 and the forms that they have beside Raw; other fields have all of them."""


def is_header(name: str) -> bool:
    """Is this a `header:…` property whose form the field allows (RFC 8621 §4.1.2)?"""
    found = _PROPERTY.fullmatch(name)
    if found is None:
        return False
    allowed = _ALLOWED.get(found[1].lower())
    return found[2] in (None, "Raw") or allowed is None or found[2] in allowed


def header(fields: list[tuple[str, str]], name: str) -> Any:
    """The value of a `header:…` property: of the last such field, or with `:all` of each in order."""
    found = _PROPERTY.fullmatch(name)
    assert found is not None
    form = _FORMS[found[2] or "Raw"]
    values = [form(value) for field, value in fields if field.lower() == found[1].lower()]
    if found[3]:
        return values
    return values[-1] if values else None


def _flat(raw: str) -> str:
    return raw.replace("\r", "").replace("\n", "").strip()


def _people(value: str | None) -> list[dict[str, Any]] | None:
    if value is None:
        return None
    return [{"name": p.name or None, "email": (p.handle or "mail:").partition(":")[2]} for p in people(value)]


def _date(value: str | None) -> str | None:
    at = instant(value)[0] if value else None
    return None if at is None else rfc3339(at)


def _ids(value: str | None) -> list[str] | None:
    return (list(ids(value, loose=True)) or None) if value else None


def _groups(value: str) -> list[dict[str, Any]]:
    """Mailboxes by group (RFC 8621 §4.1.2.4); those outside of any stand under the name null."""
    groups: list[dict[str, Any]] = []
    for name, list_ in _grouped(value):
        addresses = _people(list_) or []
        if name is not None or addresses:
            groups.append({"name": name, "addresses": addresses})
    return groups


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|\([^()]*\)|<[^<>]*>|[:;]|[^"(<:;]+|.', re.DOTALL)


def _grouped(value: str) -> Iterator[tuple[str | None, str]]:
    name: str | None = None
    held: list[str] = []
    for piece in _PIECE.findall(value):
        if piece == ":" and name is None:
            before, _, phrase = (
                "".join(held).rpartition(",") if not "".join(held).endswith('"') else ("", "", "".join(held))
            )
            if before.strip():
                yield None, before
            name, held = one_line(phrase.strip().strip('"')), []
        elif piece == ";" and name is not None:
            yield name, "".join(held)
            name, held = None, []
        else:
            held.append(piece)
    if name is not None or "".join(held).strip(", \t"):
        yield name, "".join(held).strip(", \t")


_FORMS: dict[str, Callable[[str], Any]] = {
    "Raw": lambda raw: raw,
    "Text": lambda raw: one_line(_flat(raw)),
    "Addresses": lambda raw: _people(_flat(raw)),
    "GroupedAddresses": lambda raw: _groups(_flat(raw)),
    "MessageIds": lambda raw: _ids(_flat(raw)),
    "Date": lambda raw: _date(_flat(raw)),
    "URLs": lambda raw: re.findall(r"<\s*([^<>\s]+)\s*>", _flat(raw)) or None,
}
