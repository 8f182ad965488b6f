"""The parts of a mail as RFC 8621 §4.1.4 sees them: a tree with numbered leaves, and what is body or
attachment.

Rules of this file:

1. Parts are numbered once, in `Message`: leaves from 1 in the order in which they stand. Ingest, the JMAP
   methods and downloads go by the same numbers.
2. Values are read by the readers of `header.py` and `mime.py`; any bytes are read; every loop is linear,
   depth and number of parts have a cap.
"""

from __future__ import annotations

import re
from typing import Any

from byleave.sources.header import Head, characters, ids, knows_charset, one_line, parameters_of
from byleave.sources.mime import MAX_DEPTH, MAX_PARTS, Leaf, spans

USUAL = (
    "partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location",
)  # fmt: skip
"""Properties of an EmailBodyPart unless the client says which (RFC 8621 §4.2)."""


class Part:
    """One part of a message: a multipart with `parts`, or a leaf with a `number`."""

    __slots__ = (
        "charset",
        "disposition",
        "end",
        "fields",
        "head",
        "leaf",
        "name",
        "number",
        "parts",
        "start",
        "type",
    )

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
        self.fields: list[tuple[str, str]] | None = None

    @property
    def cid(self) -> str | None:
        return next(iter(ids(self.head.text("content-id", 2000))), None)

    @property
    def language(self) -> list[str] | None:
        tags = [tag.strip() for tag in self.head.text("content-language", 2000).split(",")]
        return [tag for tag in tags if tag] or None

    @property
    def location(self) -> str | None:
        return "".join(self.head.text("content-location", 8192).split()) or None


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
            part.type,
            parameters.get("charset", ""),
            "",
            "",
            encoding,
            False,
            False,
            min(head.body, end),
            end,
            False,
            False,
        )
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

    @property
    def plain(self) -> bool:
        """Is it one text/plain part and nothing else?"""
        return (
            self.root.leaf is not None
            and self.root.type == "text/plain"
            and self.root.disposition != "attachment"
        )

    def described(self, part: Part, blob_id: str | None) -> dict[str, Any]:
        """The EmailBodyPart of a part with the usual properties."""
        made = {name: getattr(part, name) for name in USUAL[3:]}
        number = str(part.number) if part.number else None
        return {"partId": number, "blobId": blob_id if number else None, "size": self.size(part), **made}

    def fields(self, part: Part) -> list[tuple[str, str]]:
        """The header fields of a part in order: name as written, value in Raw form (RFC 8621 §4.1.2.1)."""
        if part.fields is not None:
            return part.fields
        found: list[tuple[str, list[bytes]]] = []
        for line in self.data[part.start : part.head.body].split(b"\n"):
            name, colon, value = line.partition(b":")
            if line[:1] in (b" ", b"\t") and found:
                found[-1][1].append(line)
            elif colon and _FIELD_NAME.fullmatch(name):
                found.append((name.rstrip(b" \t").decode("ascii"), [value]))
        part.fields = [(name, _raw(lines)) for name, lines in found]
        return part.fields


_FIELD_NAME = re.compile(rb"[!-9;-~]+[ \t]*")


def _raw(lines: list[bytes]) -> str:
    value = b"\n".join(lines).removesuffix(b"\r").replace(b"\0", b"")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("cp1252", "replace")


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────────────────
def has_attachment(attachments: list[Part]) -> bool:
    """Is there a part to offer for download (RFC 8621 §4.1.4)?"""
    return any(part.disposition != "inline" for part in attachments)


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
