"""Formats that nobody here reads, by name, each with what to do instead. Asked only when no importer
claims."""

from __future__ import annotations

import re

from byleave.errors import Code, Refused
from byleave.sources.archive import Export
from byleave.sources.jsonstream import JsonStream

_SIGNAL = re.compile(r"\ufeff?\[\d{4}-\d\d-\d\d, \d\d:\d\d\] [^\n]+: ")
_AS_JSON = "export it again and choose JSON"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"%PDF-", "a PDF", "hand over the chat's or mailbox's own export"),
    (b"SQLite format 3\0", "a SQLite database", "hand over an export made by the app, not its database"),
    (b"PK\x03\x04", "a zip inside the export", "unpack it and hand over what is in it"),
    (b"\x1f\x8b", "a gzip file", "unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"BZh", "a bzip2 file", "unpack it first"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it first"),
    (b"\x89PNG", "a picture", "hand over the chat's own export"),
    (b"\xff\xd8\xff", "a picture", "hand over the chat's own export"),
    (b"!BDN", "an Outlook data file", "export it as mbox or EML"),
    (b"\xd0\xcf\x11\xe0", "a Microsoft compound file", "export it as mbox, EML or JSON"),
)


def refusal(export: Export) -> Refused:
    """What to tell somebody whose export no importer claims."""
    if not export.names:
        return Refused(Code.EMPTY, export.name, "", "is empty", "export it again")
    for name in export.names:
        base = name.rsplit("/", 1)[-1].lower()
        if base.startswith("messages") and base.endswith(".html") and "result.json" not in export.names:
            return export.refused(Code.UNKNOWN_FORMAT, name, "is an HTML export of Telegram", _AS_JSON)
        if re.fullmatch(r"message_\d+\.html", base):
            return export.refused(
                Code.UNKNOWN_FORMAT, name, "is an HTML export of Messenger or Instagram", _AS_JSON
            )
    if len(export.names) == 1:
        return _one(export, export.names[0])
    # Of several members the likeliest to be the export's heart tells what it is.
    for ending in (".json", ".txt"):
        for name in [n for n in export.names if n.lower().endswith(ending)][:20]:
            found = _one(export, name)
            if found.code is not Code.UNKNOWN_FORMAT or "Signal" in found.problem:
                return found
    return _unknown(export, "")


def _one(export: Export, name: str) -> Refused:
    head = export.head(name, 4096)
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf"):
        return export.refused(Code.EMPTY, name, "is empty", "export it again")
    for magic, what, remedy in _MAGIC:
        if head.startswith(magic):
            return export.refused(Code.UNKNOWN_FORMAT, name, f"is {what}", remedy)
    if name.lower().endswith((".crypt12", ".crypt14", ".crypt15")):
        return export.refused(Code.UNKNOWN_FORMAT, name, "is WhatsApp's encrypted backup",
                              "use 'Export chat' in the chat's menu")  # fmt: skip
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or (head[1:2] == b"\0" and head[3:4] == b"\0"):
        return export.refused(Code.MALFORMED, name, "is UTF-16", "save it as UTF-8", "byte 0")
    if b"\0" in head:
        return export.refused(
            Code.UNKNOWN_FORMAT, name, "is binary", "hand over an export, not an app's own file"
        )
    text = head.decode("utf-8", "replace")
    start = text.lstrip("\ufeff \t\r\n")
    if _SIGNAL.match(text):
        return export.refused(Code.UNKNOWN_FORMAT, name, "is a Signal text export, which is not supported",
                              "Signal has no import-grade export yet")  # fmt: skip
    if start[:1] in "{[":
        return _json(export, name)
    if re.match(r"(?:<!doctype html|<html|<\?xml)", start, re.IGNORECASE):
        whose = "of Telegram " if "Exported Data" in text or "tgme" in text else ""
        return export.refused(Code.UNKNOWN_FORMAT, name, f"is an HTML page {whose}".rstrip(), _AS_JSON)
    first = start.partition("\n")[0]
    if name.lower().endswith((".csv", ".tsv")) or (first.count(",") >= 3 and ": " not in first):
        return export.refused(Code.UNKNOWN_FORMAT, name, "is a table (CSV)", "hand over the app's own export")
    return _unknown(export, name)


def _json(export: Export, name: str) -> Refused:
    """The place where broken JSON breaks; else that it is of no source we know."""
    member = name if len(export.names) > 1 or export.is_zip else ""
    with export.open(name) as stream:
        json = JsonStream(stream, export.name, member, repair_x=True, limit=64 << 20)
        try:
            json.skip()
            json.end()
        except Refused as broken:
            return broken
    return export.refused(Code.UNKNOWN_FORMAT, name, "is JSON of no source that we read",
                          "Telegram's result.json, Messenger's or Instagram's message_1.json")  # fmt: skip


def _unknown(export: Export, name: str) -> Refused:
    from byleave.sources import importers

    return export.refused(Code.UNKNOWN_FORMAT, name, "no importer knows this format",
                          "known: " + ", ".join(i.name for i in importers()))  # fmt: skip
