"""A message's bytes → the properties of an Email (RFC 8621 §4.1): header forms, parts, bodies.

Rules of this file:

1. Values are read by the readers of `sources` (addresses, dates, encoded words, charsets, base64): what ingest
   put into a fragment and what is read here are the same.
2. Parts are numbered once, in `Message`: leaves from 1 in the order in which they stand. `blob.py` cuts by the
   same numbers.
3. Any bytes are read; every loop is linear, depth and number of parts have a cap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from byleave.sources.header import (
    Head,
    characters,
    ids,
    instant,
    knows_charset,
    loose_text,
    one_line,
    parameters_of,
    people,
)
from byleave.sources.mime import MAX_DEPTH, MAX_PARTS, Leaf, spans
from byleave.words.fragment import PREVIEW, rfc3339

OF_BODY = frozenset(("bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"))
USUAL_PART = (
    "partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location",
)  # fmt: skip
PART_PROPERTIES = frozenset(USUAL_PART) | {"headers", "subParts"}
_ADDRESSES = ("sender", "from", "to", "cc", "bcc", "replyTo")


class Wanted(msgspec.Struct, frozen=True):
    """Which properties of body parts are asked for, and which bodies' values."""

    properties: tuple[str, ...] = USUAL_PART
    text: bool = False
    html: bool = False
    all: bool = False
    most_bytes: int = 0


class Part:
    """One part of a message: a multipart with `parts`, or a leaf with a `number`."""

    __slots__ = ("charset", "disposition", "end", "head", "leaf", "name", "number", "parts", "start", "type")

    def __init__(self, head: Head, start: int, end: int, type: str) -> None:
        self.head = head
        self.start, self.end = start, end
        self.type = type
        self.parts: list[Part] = []
        self.number = 0
        self.leaf: Leaf | None = None
        self.name: str | None = None
        self.disposition: str | None = None
        self.charset: str | None = None


class Message:
    """The tree of a message's parts. `leaves[n - 1]` is part n; `count` how many there are."""

    def __init__(self, data: bytes) -> None:
        head = Head(data)
        self.data = head.data
        self.length = len(data)
        self.leaves: list[Part] = []
        self._left = MAX_PARTS
        self.root = self._part(head, 0, len(self.data), "text/plain", 0)
        self.count = len(self.leaves)

    def _part(self, head: Head, start: int, end: int, implied: str, depth: int) -> Part:
        self._left -= 1
        kind, parameters = parameters_of(head.text("content-type", 8192))
        if kind.count("/") != 1 or kind.startswith("/") or kind.endswith("/"):
            kind = implied if not kind else "text/plain"
        part = Part(head, start, end, kind)
        boundary = parameters.get("boundary", "").rstrip()
        if kind.startswith("multipart/") and depth < MAX_DEPTH and boundary:
            child = "message/rfc822" if kind == "multipart/digest" else "text/plain"
            for begin, stop in spans(
                self.data, head.body, end, boundary.encode("utf-8", "replace"), self._left
            ):
                if self._left <= 0:
                    break
                part.parts.append(self._part(Head(self.data, begin, stop), begin, stop, child, depth + 1))
        disposition, more = parameters_of(head.text("content-disposition", 8192))
        part.disposition = disposition or None
        part.name = one_line(more.get("filename") or parameters.get("name") or "")[:255] or None
        if part.parts:
            return part
        if kind.startswith("multipart/"):
            part.type = "text/plain"  # it calls itself a multipart, but there are no parts
        if part.type.startswith("text/"):
            part.charset = parameters.get("charset") or "us-ascii"
        else:
            part.charset = parameters.get("charset") or None
        encoding = parameters_of(head.text("content-transfer-encoding", 200))[0].strip("\"'")
        part.leaf = Leaf(
            part.type, parameters.get("charset", ""), "", "", encoding, False, False, min(head.body, end), end,
            False, False,
        )  # fmt: skip
        self.leaves.append(part)
        part.number = len(self.leaves)
        return part

    def content(self, part: Part) -> bytes:
        """The decoded bytes of a leaf: what its blob is."""
        assert part.leaf is not None
        return part.leaf.content(self.data)

    def size(self, part: Part) -> int:
        """Octets of a leaf's blob; of a multipart as it stands."""
        return part.end - min(part.head.body, part.end) if part.leaf is None else len(self.content(part))

    def value(self, part: Part, most: int) -> dict[str, Any]:
        """The EmailBodyValue of a text part, cut after `most` octets (0: not)."""
        assert part.leaf is not None
        content = self.content(part)
        text = characters(content, part.leaf.charset).replace("\r\n", "\n").removeprefix("\ufeff")
        cut = text
        if most and len(text.encode()) > most:
            cut = text.encode()[:most].decode(errors="ignore")
            if part.type == "text/html" and cut.rfind("<") > cut.rfind(">"):
                cut = cut[: cut.rfind("<")]
        return {
            "value": cut, "isEncodingProblem": not knows_charset(content, part.leaf.charset),
            "isTruncated": cut is not text,
        }  # fmt: skip

    def fields(self, part: Part) -> list[tuple[str, str]]:
        """The header fields of a part in order: name as written, value in Raw form (RFC 8621 §4.1.2.1)."""
        found: list[tuple[str, list[bytes]]] = []
        for line in self.data[part.start : part.head.body].split(b"\n"):
            name, colon, value = line.partition(b":")
            if line[:1] in (b" ", b"\t") and found:
                found[-1][1].append(line)
            elif colon and _FIELD_NAME.fullmatch(name):
                found.append((name.rstrip(b" \t").decode("ascii"), [value]))
        return [(name, _raw(lines)) for name, lines in found]


_FIELD_NAME = re.compile(rb"[!-9;-~]+[ \t]*")


def _raw(lines: list[bytes]) -> str:
    value = b"\n".join(lines).removesuffix(b"\r").replace(b"\0", b"")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────
def bodies(root: Part) -> tuple[list[Part], list[Part], list[Part]]:
    """(textBody, htmlBody, attachments) by the algorithm of RFC 8621 §4.1.4."""
    text: list[Part] = []
    html: list[Part] = []
    attachments: list[Part] = []
    _sort([root], "mixed", False, html, text, attachments)
    return text, html, attachments


def _sort(
    parts: list[Part], inside: str, in_alternative: bool,
    html: list[Part] | None, text: list[Part] | None, attachments: list[Part],
) -> None:  # fmt: skip
    texts, htmls = len(text) if text is not None else -1, len(html) if html is not None else -1
    for i, part in enumerate(parts):
        media = part.type.startswith(("image/", "audio/", "video/"))
        inline = (
            part.disposition != "attachment"
            and (media or part.type in ("text/plain", "text/html"))
            and (i == 0 or (inside != "related" and (media or not part.name)))
        )
        if part.leaf is None:
            kind = part.type.partition("/")[2]
            _sort(part.parts, kind, in_alternative or kind == "alternative", html, text, attachments)
        elif not inline:
            attachments.append(part)
        elif inside == "alternative":
            if part.type == "text/plain" and text is not None:
                text.append(part)
            elif part.type == "text/html" and html is not None:
                html.append(part)
            elif media:
                attachments.append(part)
        else:
            if in_alternative and part.type == "text/plain":
                html = None
            if in_alternative and part.type == "text/html":
                text = None
            if text is not None:
                text.append(part)
            if html is not None:
                html.append(part)
            if media and (text is None or html is None):
                attachments.append(part)
    if inside == "alternative" and text is not None and html is not None:
        if texts == len(text) and htmls != len(html):
            text.extend(html[htmls:])
        if htmls == len(html) and texts != len(text):
            html.extend(text[texts:])


def email(
    message: Message, properties: Iterable[str], wanted: Wanted, part_ids: Sequence[str]
) -> dict[str, Any]:
    """Those `properties` of an Email that its bytes tell; others are not in the answer. `part_ids` are the blob
    ids of the parts 1 … count."""
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
        **{name: (lambda name=name: _people(_last(message, _HEADER.get(name, name)))) for name in _ADDRESSES},
        "hasAttachment": lambda: any(part.disposition != "inline" for part in attachments),
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
    head = part.head
    for name in properties:
        match name:
            case "partId":
                made[name] = str(part.number) if part.number else None
            case "blobId":
                made[name] = part_ids[part.number - 1] if part.number else None
            case "size":
                made[name] = message.size(part)
            case "name" | "type" | "charset" | "disposition":
                made[name] = getattr(part, name)
            case "cid":
                made[name] = next(iter(ids(head.text("content-id", 2000))), None)
            case "language":
                tags = [tag.strip() for tag in head.text("content-language", 2000).split(",")]
                made[name] = [tag for tag in tags if tag] or None
            case "location":
                made[name] = "".join(head.text("content-location", 8192).split()) or None
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


_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|\([^()]*\)|<[^<>]*>|[:;]|[^"(<:;]+|.', re.DOTALL)


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
