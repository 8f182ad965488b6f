"""The JSON of a message, encoded once at ingest, with slots that the view fills.

A fragment is a row of segments joined by `SEPARATOR`, one for each of `SEGMENTS` in order, always as many: a
page of fragments joined by the same separator is split in one step, and every n-th segment is a column. A segment
is the JSON value of one Email property (RFC 8621 §4.1), or nothing where it is what `DEFAULTS` says, which costs
neither room nor time:

    receivedAt  the same as sentAt           preview  the same as body
    part        not prepared: several parts, or HTML; structure and words are read from the message's bytes.
                Digits: the octets of the one text/plain part that every view but the owner's has (`BODY_PART`).
                Else that one part as JSON.
    messageId … keywords   the view's own

A slot is a letter and eight hex digits between two control characters; JSON escapes every control character, so
nothing that anybody wrote can look like one. Since both ends are the same, splitting at it gives text, slot, text,
slot … by turns:

    A  an address object, by handle number         P  a person inside a text, by handle number
    N  a name that belongs to no handle, by digest C  the conversation's name, by conversation number
    B  a body part's blob id, by part number

A and P in lower case (`opened`) are people who may be named in this place; a view fills all others with tokens.

`blob` renders the message that a view shows as RFC 5322 text. Ingest renders it with `WIDE` in place of every
person to know its size beforehand: all tokens have one width.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

SEPARATOR = b"\x1f"
EDGE = b"\x01"
"""Before and behind every slot."""
SLOT = re.compile(rb"\x01([APNCB])([0-9a-f]{8})\x01")
CHAT = "https://byleave.example/ns/chat"
"""What an Email alone cannot say of a chat message: {editedAt, isCall, reactions: [{emoji, by}]}; null where there is
nothing to say, and for mail."""
DEFAULTS = {
    "from": b"null",
    "subject": b"null",
    "sentAt": b"null",
    "receivedAt": b"",
    "preview": b"",
    "size": b"",
    "part": b"",
    "body": b'""',
    "sender": b"null",
    "to": b"null",
    "cc": b"null",
    "bcc": b"null",
    "replyTo": b"null",
    "hasAttachment": b"false",
    "messageId": b"",
    "inReplyTo": b"",
    "references": b"",
    "keywords": b"",
    CHAT: b"null",
}
"""Segment → what an empty one stands for; empty itself where the module's docstring says what."""
SEGMENTS = tuple(DEFAULTS)
INDEX = {name: i for i, name in enumerate(SEGMENTS)}
REACTIONS = 1 << 16
"""Numbers of parts from here on are reactions; their `text` is the emoji."""
PREVIEW = 256
"""Characters of a preview at the most (RFC 8621 §4.1.4)."""

Segments = Mapping[str, bytes]


def slot(kind: str, number: int) -> bytes:
    return EDGE + kind.encode() + f"{number:08x}".encode() + EDGE


def encode(segments: Segments) -> bytes:
    """The fragment of a message whose properties are `segments` (JSON each); one that is not there is empty."""
    values = [_short(segments.get(name, b""), default) for name, default in DEFAULTS.items()]
    for name, like in _LIKE:
        if values[INDEX[name]] == segments.get(like):
            values[INDEX[name]] = b""
    return SEPARATOR.join(values)


_LIKE = (("receivedAt", "sentAt"), ("preview", "body"))


def _short(value: bytes, default: bytes) -> bytes:
    return b"" if value == default else value


def decode(fragment: bytes) -> list[bytes]:
    """The segments, in the order of `SEGMENTS`, defaults written out."""
    values = [value or default for value, default in zip(fragment.split(SEPARATOR), _DEFAULTS, strict=True)]
    for name, like in _LIKE:
        values[INDEX[name]] = values[INDEX[name]] or values[INDEX[like]]
    return values


_DEFAULTS = tuple(DEFAULTS.values())


def columns(fragments: Iterable[bytes]) -> dict[str, list[bytes]]:
    """Segment → its values in all of `fragments`, in order, as they are stored (see `DEFAULTS`)."""
    every = SEPARATOR.join(fragments).split(SEPARATOR)
    return {name: every[i :: len(SEGMENTS)] for name, i in INDEX.items()}


def opened(fragment: bytes, handles: Container[int]) -> bytes:
    """`fragment` with the slots of `handles` as those of people who may be named."""
    pieces = fragment.split(EDGE)
    for i in range(1, len(pieces), 2):
        slot = pieces[i]
        if slot[:1] in b"AP" and int(slot[1:], 16) in handles:
            pieces[i] = slot.lower()
    return EDGE.join(pieces)


def closed(fragment: bytes) -> bytes:
    """`opened`, taken back."""
    pieces = fragment.split(EDGE)
    pieces[1::2] = [slot[:1].upper() + slot[1:] for slot in pieces[1::2]]
    return EDGE.join(pieces)


def fill(fragment: bytes, value: Callable[[bytes, bytes], bytes]) -> bytes:
    """`fragment` with each slot replaced by value(kind, eight hex digits)."""
    return SLOT.sub(lambda m: value(m[1], m[2]), fragment)


_SPACE = re.compile(r"\s+")


def text_json(text: str, cuts: list[tuple[int, int, bytes]], limit: int | None = None) -> bytes:
    """`text` as a JSON string in which each (start, end, replacement) of `cuts` is a slot or a mask.

    `limit` makes a preview: white space on one line, cut after that many characters, a replacement counting
    as one token wide; never within one.
    """
    if not cuts:
        return orjson.dumps(text if limit is None else _SPACE.sub(" ", text[: 4 * limit]).strip()[:limit])
    out, at, left = [b'"'], 0, limit if limit is not None else len(text) + 40 * len(cuts)
    for start, end, replacement in [*cuts, (len(text), len(text), b"")]:
        piece = text[at:start]
        if limit is not None:
            piece = _SPACE.sub(" ", piece[: 4 * limit])
            piece = piece if at else piece.lstrip()
            piece = piece if end < len(text) else piece.rstrip()
        piece = piece[: max(left, 0)]
        out.append(orjson.dumps(piece)[1:-1])
        left -= len(piece) if limit is not None else start - at
        wide = TOKEN_WIDTH if replacement.startswith(EDGE) else len(replacement)
        if replacement and left >= wide:
            out.append(replacement)
            left -= wide
        elif replacement:
            break
        at = end
    out.append(b'"')
    return b"".join(out)


# ── tokens ──────────────────────────────────────────────────────────────────────────────────────────────────
def person_token(eight: str) -> str:
    """A person inside a masked text; `eight` are the first characters of the pairwise id."""
    return f"[person {eight}]"


def address_token(eight: str) -> dict[str, str | None]:
    """A person in an address list (spec api.md: the same eight characters)."""
    return {"name": None, "email": f"p{eight}@masked.invalid"}


WIDE = "x" * 8
TOKEN_WIDTH = len(person_token(WIDE))


def wide(kind: bytes, _: bytes) -> bytes:
    """Fills any slot with a token of the right width, to know a size before there is a grant."""
    if kind == b"A":
        return orjson.dumps(address_token(WIDE))
    return b"null" if kind == b"C" else person_token(WIDE).encode()


# ── the blob ────────────────────────────────────────────────────────────────────────────────────────────────
def blob(
    email: Mapping[str, Any], body: str, message_id: str, parents: list[str], direct: Sequence[str] = ()
) -> bytes:
    """The message as RFC 5322 bytes in UTF-8 (RFC 6532), `\\r\\n` line ends, one text/plain part.

    `email` holds JMAP values of from … subject, sentAt; `message_id`, `parents` (References) and `direct`
    (In-Reply-To) are Message-IDs as the view gives them, without angle brackets. Deterministic: equal arguments, equal bytes.
    """
    lines = []
    for header, name in _ADDRESS_HEADERS:
        people = email.get(name)
        if people:
            lines.append(f"{header}: " + ", ".join(mailbox(p) for p in people))
    if email.get("subject") is not None:
        lines.append(f"Subject: {_flat(email['subject'])}")
    if email.get("sentAt"):
        lines.append(f"Date: {rfc5322_date(email['sentAt'])}")
    lines.append(f"Message-ID: <{message_id}>")
    if direct:
        lines.append("In-Reply-To: " + "\r\n ".join(f"<{p}>" for p in direct))
    if parents:
        lines.append("References: " + "\r\n ".join(f"<{p}>" for p in parents))
    lines += [
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
    ]
    return "\r\n".join([*lines, body.replace("\n", "\r\n")]).encode()


_ADDRESS_HEADERS = (
    ("From", "from"),
    ("Sender", "sender"),
    ("To", "to"),
    ("Cc", "cc"),
    ("Bcc", "bcc"),
    ("Reply-To", "replyTo"),
)


def mailbox(person: Mapping[str, Any]) -> str:
    """An address object as a mailbox of RFC 5322 §3.4."""
    name = _flat(person.get("name") or "")
    if not name:
        return str(person["email"])
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{person["email"]}>'


def rfc5322_date(rfc3339: str) -> str:
    moment = datetime.fromisoformat(rfc3339.replace("Z", "+00:00")).astimezone(UTC)
    return moment.strftime("%a, %d %b %Y %H:%M:%S +0000")


def rfc3339(ms: int) -> str:
    """Ms as RFC 3339 in UTC, seconds only where there are no milliseconds (RFC 8620 §1.4 UTCDate)."""
    day, rest = divmod(ms, 86_400_000)
    seconds, thousandths = divmod(rest, 1000)
    minutes, second = divmod(seconds, 60)
    clock = f"{_day(day)}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"
    return f"{clock}.{thousandths:03d}Z" if thousandths else f"{clock}Z"


@lru_cache(4096)
def _day(number: int) -> str:
    """Days since 1970 as YYYY-MM-DD: neighbours share it."""
    return datetime.fromtimestamp(86_400 * number, UTC).isoformat()[:10]


def _flat(text: str) -> str:
    return " ".join(text.split())


PART = "\x01B"
"""Stands for the blob id of part 1 until `slotted`."""
PART_SLOT = slot("B", 1)


def slotted(part: Mapping[str, Any]) -> bytes:
    """An EmailBodyPart as JSON, `PART` in it replaced by slot B."""
    return orjson.dumps(part).replace(b'"\\u0001B"', b'"' + PART_SLOT + b'"')


def body_part(segment: bytes) -> bytes:
    """The EmailBodyPart, with slot B, that a segment `part` stands for."""
    return (
        b'%b"%b"%b%b%b' % (BODY_PART[0], PART_SLOT, BODY_PART[1], segment, BODY_PART[2])
        if segment.isdigit()
        else segment
    )


BODY_PART: tuple[bytes, bytes, bytes] = (
    b'{"partId":"1","blobId":',
    b',"size":',
    b',"name":null,"type":"text/plain","charset":"utf-8","disposition":null,"cid":null,"language":null,"location":null}',
)
"""What stands around the blob id (a JSON string) and the octets of the one part that every view but the owner's
has: UTF-8 text, nothing attached."""


def message_id_of(id: str) -> str:
    """The Message-ID that a view shows: it names the grant's own id, never the mail's."""
    return f"{id}@view.invalid"


WIDE_ID = message_id_of("m" + WIDE * 3 + "xx")
"""As wide as any Message-ID of a view, to know sizes at ingest."""


def blob_size(segments: Segments, body: int) -> int:
    """Octets of the blob (see `blob`) of a fragment with slots whose body has `body` octets: what it will be
    once filled, since all tokens have one width."""
    size = _ALWAYS + body
    for header, name in _ADDRESS_HEADERS:
        people = segments.get(name, b"").count(b"\x01A")
        if people:
            size += len(header) + 2 + people * _WIDE_MAILBOX + 2 * (people - 1) + 2
    subject = segments.get("subject", b"null")
    if subject[:1] == b'"':
        size += len(f"Subject: {_flat(orjson.loads(fill(subject, wide)))}".encode()) + 2
    if segments.get("sentAt", b"null") != b"null":
        size += len("Date: Thu, 01 Jan 1970 00:00:00 +0000") + 2
    return size


_WIDE_MAILBOX = len(mailbox(address_token(WIDE)))
_ALWAYS = len(blob({}, "", WIDE_ID, []))


def body_size(text: str, cuts: list[tuple[int, int, bytes]]) -> int:
    """Octets of `text` as a body (`\\r\\n` line ends), each of `cuts` as wide as what it becomes."""
    at, size = 0, 0
    for start, end, replacement in cuts:
        piece = text[at:start]
        size += len(piece.encode()) + piece.count("\n")
        size += TOKEN_WIDTH if replacement.startswith(EDGE) else len(replacement)
        at = end
    rest = text[at:] if at else text
    return size + len(rest.encode()) + rest.count("\n")


# ── messages with parts ─────────────────────────────────────────────────────────────────────────────────────
Cuts = list[tuple[int, int, bytes]]
_HEAD = tuple(name for name in SEGMENTS if name not in ("preview", "size", "part", "body"))


def with_body(head: Segments, text: str, cuts: Cuts) -> bytes:
    """One prepared message of one text/plain part; its size is known beforehand, tokens have one width."""
    size = body_size(text, cuts)
    return encode(
        {
            **head, "body": text_json(text, cuts), "preview": text_json(text, cuts, PREVIEW), "part": b"%d" % size,
            "size": b"%d" % blob_size(head, size),
        }
    )  # fmt: skip


def with_pieces(prepared: bytes, pieces: list[tuple[str, Cuts]]) -> bytes:
    """A prepared message with other words: `pieces` in order, each with the cuts that mask it."""
    segments = decode(prepared)
    head = {name: segments[INDEX[name]] for name in _HEAD}
    text, cuts = "", []
    for piece, its_cuts in pieces:
        cuts += [(start + len(text), end + len(text), what) for start, end, what in its_cuts]
        text += piece
    left = len(text) - len(text.lstrip("\n"))
    return with_body(head, text.strip("\n"), [(start - left, end - left, what) for start, end, what in cuts])


@lru_cache(1024)
def size_of_references(parents: int, direct: int) -> int:
    """Octets that References and In-Reply-To take in the blob; all Message-IDs of a view have one width."""
    wide = [WIDE_ID]
    return len(blob({}, "", WIDE_ID, wide * parents, wide * direct)) - _ALWAYS


# ── chats ───────────────────────────────────────────────────────────────────────────────────────────────────
_NONE = b"[]"
"""Stands in a value of `CHAT` once, where it has no reactions."""


def chat(edited_at: int | None, is_call: bool, reactions: Sequence[tuple[str, bytes]] = ()) -> bytes:
    """The value of `CHAT`; `reactions` are (emoji, slot of who reacted, or null)."""
    if edited_at is None and not is_call and not reactions:
        return DEFAULTS[CHAT]
    edited = b"null" if edited_at is None else orjson.dumps(rfc3339(edited_at))
    made = [b'{"emoji":%b,"by":%b}' % (orjson.dumps(emoji), by) for emoji, by in reactions]
    around = b'{"editedAt":%b,"isCall":%b,"reactions":[%b]}'
    return around % (edited, b"true" if is_call else b"false", b",".join(made))


def with_reactions(prepared: bytes, reactions: Sequence[tuple[str, bytes]]) -> bytes:
    """A prepared message that shows none, with `reactions`."""
    segments, at = prepared.split(SEPARATOR), INDEX[CHAT]
    said, shown = segments[at], chat(None, False, reactions)
    if said:
        shown = said.replace(_NONE, shown[shown.index(b"[") : -1])
    segments[at] = shown
    return SEPARATOR.join(segments)
