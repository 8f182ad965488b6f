"""The bytes of one mail → Record. Any bytes: what cannot be read is left out, nothing raises.

Rules of this file:

1. The standard library reads *values* (parameters, RFC 2231, dates, base64, quoted-printable, charsets); the
   tree of parts is cut here, by offsets. `email.parser` costs time per line of every attachment and recursion
   per level, which one hostile mail turns into hours; a test holds both to the same leaves and texts.
2. Everything has a cap, and every loop is linear in the mail.
3. The text is the first text/plain part; HTML only where no such part says anything.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from datetime import UTC, tzinfo
from typing import Final

import msgspec

from byleave.model import Attachment, Authentication, Kind, Mail, Ms, Person, Record
from byleave.sources.aligned import LONGEST, aligned
from byleave.sources.header import (
    MAX_HEAD,
    MAX_WORD,
    Head,
    base64_of,
    characters,
    ids,
    instant,
    loose_text,
    one_line,
    parameters_of,
    people,
)  # fmt: skip
from byleave.sources.html import text_of

MAX_DEPTH: Final = 30
MAX_PARTS: Final = 2000


def _uudecode(data: bytes) -> bytes:
    out: list[bytes] = []
    for line in data.splitlines():
        if line.startswith((b"begin ", b"end")) or not line:
            continue
        if len(line) < ((line[0] - 32) & 63) * 4 // 3:
            continue  # shorter than it says: the missing bytes would be made up
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            continue
    return b"".join(out)


class Leaf(msgspec.Struct, frozen=True):
    """A part without parts: where it stands in the mail's bytes and what its header says."""

    type: str
    charset: str
    name: str
    disposition: str
    encoding: str
    flowed: bool
    delsp: bool
    start: int
    end: int
    first: bool
    signature: bool

    def content(self, data: bytes) -> bytes:
        """The decoded bytes."""
        part = data[self.start : self.end]
        match self.encoding:
            case "base64":
                return base64_of(part)
            case "quoted-printable":
                return binascii.a2b_qp(part)
            case "x-uuencode" | "x-uue" | "uuencode":
                return _uudecode(part)
        return part

    def size(self, data: bytes) -> int:
        """Length of the decoded bytes; of base64 without decoding it."""
        if self.encoding != "base64":
            return len(self.content(data)) if self.encoding else self.end - self.start
        ends = data.count(b"\n", self.start, self.end) + data.count(b"\r", self.start, self.end)
        tail = data[max(self.start, self.end - 8) : self.end]
        return max(0, (self.end - self.start - ends - tail.count(b"=")) * 3 // 4)


def _leaves(data: bytes, head: Head, end: int, implied: str, depth: int, budget: list[int], inside: str,
            first: bool, last: bool) -> Iterator[Leaf]:  # fmt: skip
    """The leaves of a part in order. `inside`: type of the multipart around it; `budget` counts down."""
    budget[0] -= 1
    kind, parameters = parameters_of(head.text("content-type", 8192))
    if kind.count("/") != 1 or kind.startswith("/") or kind.endswith("/"):
        kind = implied if not kind else "text/plain"
    if (
        kind.startswith("multipart/")
        and depth < MAX_DEPTH
        and (boundary := parameters.get("boundary", "").rstrip())
    ):
        cut = spans(data, head.body, end, boundary.encode("utf-8", "replace"), budget[0])
        child = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        for number, (start, stop) in enumerate(cut):
            if budget[0] <= 0:
                return
            part = Head(data, start, stop)
            yield from _leaves(
                data, part, stop, child, depth + 1, budget, kind, first and not number, bool(number)
            )
        if cut:
            return
    if kind.startswith("multipart/") and depth < MAX_DEPTH:
        if not data[head.body : end].strip():
            return
        kind = "text/plain"  # it calls itself a multipart, but there are no parts
    disposition, more = parameters_of(head.text("content-disposition", 8192))
    name = one_line(more.get("filename") or parameters.get("name") or "")[:255]
    yield Leaf(
        kind, parameters.get("charset", ""), name, disposition,
        parameters_of(head.text("content-transfer-encoding", 200))[0].strip("\"'"),
        parameters.get("format", "").lower() == "flowed", parameters.get("delsp", "").lower() == "yes",
        min(head.body, end), end, first, inside == "multipart/signed" and last,
    )  # fmt: skip


def spans(data: bytes, start: int, end: int, boundary: bytes, most: int) -> list[tuple[int, int]]:
    """Where the parts stand between delimiter lines (RFC 2046 §5.1.1); a missing last one ends at `end`."""
    delimiter = b"--" + boundary
    out: list[tuple[int, int]] = []
    begin: int | None = None
    at = start
    while len(out) < most and (found := data.find(delimiter, at, end)) >= 0:
        at = found + len(delimiter)
        if found > start and data[found - 1] != 10:
            continue
        closing = data[at : at + 2] == b"--"
        eol = data.find(b"\n", at, end)
        eol = end if eol < 0 else eol
        if data[at + 2 * closing : eol].strip(b" \t\r"):
            continue  # a longer line, perhaps the delimiter of a part inside
        if begin is not None and found > begin:  # a delimiter line twice holds no part
            stop = found - 1
            out.append((begin, stop - 1 if stop > begin and data[stop - 1] == 13 else stop))
        begin, at = min(eol + 1, end), min(eol, end)
        if closing:
            return out
    if begin is not None and len(out) < most:
        out.append((begin, end))
    return out


def _unflow(text: str, delsp: bool) -> str:
    """format=flowed → paragraphs (RFC 3676 §4); quotes keep one `>` a level."""
    out: list[str] = []
    joined: list[str] = []
    level = 0

    def flush() -> None:
        if joined:
            line = "".join(joined)
            out.append(">" * level + (" " if level and line else "") + line)
            joined.clear()

    for line in text.split("\n"):
        body = line.lstrip(">")
        depth = len(line) - len(body)
        body = body.removeprefix(" ")
        if joined and (depth != level or body == "-- "):
            flush()
        level = depth
        if body.endswith(" ") and body != "-- ":
            joined.append(body[:-1] if delsp else body)
        else:
            joined.append(body)
            flush()
    flush()
    return "\n".join(out)


_META: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)


def _plain(leaf: Leaf, data: bytes) -> str:
    text = characters(leaf.content(data), leaf.charset)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if leaf.flowed:
        text = _unflow(text, leaf.delsp)
    return text.removeprefix("\ufeff").rstrip("\n")


def _html(leaf: Leaf, data: bytes) -> str:
    content = leaf.content(data)
    charset = leaf.charset
    if not charset and (found := _META.search(content[:4096])):
        charset = found[1].decode("ascii")
    return text_of(characters(content, charset))


def _body(data: bytes, leaves: list[Leaf]) -> tuple[Kind, str, bool, tuple[Attachment, ...]]:
    """(kind, text, html_only, attachments)."""
    plain: list[Leaf] = []
    html: Leaf | None = None
    files: list[Leaf] = []
    sealed = False
    for leaf in leaves:
        shown = leaf.disposition != "attachment" and (leaf.first or not leaf.name)
        if leaf.type in ("application/pgp-encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"):
            sealed = True
        if leaf.type == "text/plain" and shown:
            plain.append(leaf)
        elif leaf.type == "text/html" and shown:
            html = html or leaf
        elif not leaf.signature and leaf.type != "text/x-amp-html":
            files.append(leaf)
    attachments = tuple(Attachment(leaf.name, leaf.type, leaf.size(data)) for leaf in files)
    # a writer's empty first part is no part: Apple Mail puts one before a picture, newsletters beside HTML
    text = next((text for leaf in plain[:10] if (text := _plain(leaf, data)).strip()), "")
    if text.lstrip().startswith("-----BEGIN PGP MESSAGE-----"):
        return Kind.OPAQUE, "", False, attachments
    html_only = html is not None and not text.strip()
    if html is not None and html_only:
        text = _html(html, data)
    if sealed and not text.strip():
        return Kind.OPAQUE, "", False, attachments
    kind = Kind.ATTACHMENT if attachments and not text.strip() else Kind.TEXT
    return kind, text, html_only, attachments


# --- the record


def native(head: Head) -> str | None:
    """The mail's own Message-ID, the first one it has."""
    return next(iter(ids(head.text("message-id", MAX_WORD))), None)


def record(raw: bytes, head: Head, key: str, *, id: str = "", zone: tzinfo = UTC, folder: str = "",
           keywords: tuple[str, ...] = (), arrived: Ms | None = None, place: str = "",
           authserv_id: str | None = None) -> Record:  # fmt: skip
    """The record of one mail. `raw` are its bytes, `head` is `Head(raw)`; `key` is how others
    refer to it (its Message-ID, or what stands for it), `id` this copy of it where that is not the same.
    `arrived` is what the file around it says of its arrival, used if no Received field does."""
    data = head.data
    kind, text, html_only, attachments = _body(
        data, list(_leaves(data, head, len(data), "text/plain", 0, [MAX_PARTS], "", True, False))
    )
    from_ = _authors(head, "from")
    sender = _authors(head, "sender")
    author = (from_ or sender or (Person(None),))[0]
    if len({person.handle for value in head.fields.get("from", ())[:20]
            for person in people(loose_text(value[:MAX_WORD]), one=True)[:1]}) > 1:  # fmt: skip
        author = Person(None, author.name)  # two From fields that disagree: nobody can tell which one is true
    said = head.text("in-reply-to", MAX_WORD)
    in_reply_to = ids(said, loose=True)
    # "Message from Ann <ann@…> of Monday <id>" (RFC 822): behind words the id comes last
    parent = in_reply_to[0 if said.startswith("<") else -1] if in_reply_to else None
    references = ids(head.text("references", MAX_HEAD), loose=True)
    sent_at, quality = instant(head.text("date", 1000), zone)
    hop = head.text("received", MAX_WORD).rpartition(";")[2]
    received_at = instant(hop)[0] if hop else None
    return Record(
        source="mail",
        conversation=references[0] if references else parent or key,
        id=id or key,
        sender=author.handle,
        sender_name=author.name,
        sent_at=sent_at,
        quality=quality,
        kind=kind,
        text=text,
        reply_to=parent or (references[-1] if references else None),
        attachments=attachments,
        authentication=_authentication(head, from_, author, authserv_id),
        mail=Mail(
            subject=one_line(head.text("subject")) if "subject" in head.fields else None,
            from_=from_,
            sender=sender,
            to=people(head.text("to", MAX_HEAD)),
            cc=people(head.text("cc", MAX_HEAD)),
            bcc=people(head.text("bcc", MAX_HEAD)),
            reply_to=people(head.text("reply-to", MAX_HEAD)),
            message_id=ids(head.text("message-id", MAX_WORD))[:1],
            in_reply_to=in_reply_to,
            references=references,
            received_at=received_at if received_at is not None else arrived,
            folder=folder,
            keywords=keywords,
            html_only=html_only,
        ),
        raw=raw,
        place=place,
    )


def _authentication(
    head: Head, from_: tuple[Person, ...], author: Person, authserv_id: str | None
) -> Authentication:
    """Aligned where the trusted provider vouches for the one author (`aligned`)."""
    if (
        authserv_id is None
        or len(from_) != 1
        or len(head.fields.get("from", ())) != 1
        or author.handle is None
    ):
        return Authentication.CLAIMED
    results = [
        loose_text(value[: LONGEST + 1]) for value in head.fields.get("authentication-results", ())[:20]
    ]
    domain = author.handle.rpartition("@")[2].lower()
    return Authentication.ALIGNED if aligned(results, authserv_id, domain) else Authentication.CLAIMED


def _authors(head: Head, name: str) -> tuple[Person, ...]:
    return people(head.text(name, MAX_HEAD), one=True)
