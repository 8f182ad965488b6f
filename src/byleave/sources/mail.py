"""Mail as people have it on disk: mbox, .eml, a folder of .eml, Maildir, Google Takeout.

Rules of this file:

1. A From_ line starts a mail only at the start of a file or behind a blank line, if it holds a date, and if a
   header field follows. `Content-Length` is not trusted. One level of `>From ` quoting is undone (mboxrd).
2. A file is streamed: one mail and one chunk are in memory, and about 120 bytes for each mail that was seen.
3. A file that is broken as a whole is refused. A mail that is odd becomes a record as good as can be.
4. One mail in several folders is one record. Two mails under one Message-ID are two: the later one's id is
   the Message-ID, a space and a digest of its content.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import io
import posixpath
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import BinaryIO, Final, cast
from zoneinfo import ZoneInfo

import msgspec

from byleave.errors import Code, Refused
from byleave.model import Conversation, Ms, Record
from byleave.sources import Claim, Options, mime
from byleave.sources.archive import Export
from byleave.sources.header import Head, instant, labels, mozilla, status

MAX_MAIL: Final = 64 * 1024 * 1024
"""Bytes of one mail. Providers take 25 to 50 MB, a third more once encoded."""
CHUNK: Final = 1024 * 1024
MAX_RATIO: Final = 200
"""Unpacked bytes a packed byte of a .gz above 1 GiB. Mail packs 2 to 10 to 1."""
_TOO_LARGE: Final = f"a mail of more than {MAX_MAIL // 1024 // 1024} MiB"
_HEADS: Final = 500
"""Files of a folder that `sniff` looks into before it gives up."""

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME = rb"\d{1,2}:\d\d(?::\d\d)?"
_ZONE = rb"(?:[ \t]+(?:[A-Za-z]{1,5}|[+-]\d{4}|\([A-Za-z ]{1,30}\)))"
_FROM_LINE: Final = re.compile(
    rb"From (?:[^\n]{0,500}?[ \t])??[ \t]*(?P<date>"
    rb"(?:" + _DAY + rb",?[ \t]+)?"
    + _MONTH + rb"[ \t]+\d{1,2},?[ \t]+" + _TIME + _ZONE + rb"{0,2}[ \t]+\d{2,4}"
    rb"|(?:" + _DAY + rb",?[ \t]+)?\d{1,2}[ \t-]+" + _MONTH + rb"[ \t-]+\d{2,4},?[ \t]+" + _TIME
    + rb"|\d{4}-\d\d-\d\d[T ]" + _TIME + rb"(?:\.\d{1,9})?Z?"
    + rb")(?P<zone>" + _ZONE + rb"{0,3})(?:[ \t]+remote from [^\n]{1,200})?[ \t]*\r?\n?",
)  # fmt: skip
"""From_ lines as ctime, Thunderbird ("From - …"), pipermail ("From ann at x.test  …"), Gmail (zone before the
year), RFC 2822 and ISO writers make them (RFC 4155, Appendix A, and what came before it)."""
_FIELD: Final = re.compile(rb"[!-9;-~]+[ \t]*:|>From ")
_QUOTED_FROM: Final = re.compile(rb"^>(>*From )", re.MULTILINE)

_OTHERS: Final = {
    ".pst": "Outlook's .pst; export from Outlook as .eml or over IMAP, or convert with readpst",
    ".ost": "Outlook's .ost; export from Outlook as .eml or over IMAP, or convert with readpst",
    ".msg": "Outlook's .msg; save the mails as .eml",
    ".emlx": "Apple Mail's own .emlx; choose Mailbox, Export Mailbox in Apple Mail and import the .mbox",
}
"""Mail that we do not read: suffix → what it is, and what to do."""
_NO_MAIL: Final = frozenset({
    ".json", ".jsonl", ".csv", ".tsv", ".html", ".htm", ".xml", ".mht", ".mhtml", ".css", ".js", ".pdf",
    ".jpg", ".jpeg", ".png", ".gif", ".webp", ".heic", ".svg", ".ico", ".mp3", ".mp4", ".m4a", ".ogg",
    ".opus", ".wav", ".mov", ".avi", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".zip", ".7z", ".rar",
    ".tar", ".tgz", ".vcf", ".ics", ".db", ".sqlite", ".msf", ".dat", ".log", ".py", ".md", ".sh", ".exe",
    ".dll",
})  # fmt: skip
_NOISE: Final = re.compile(
    r"(?:.*/)?(?:__MACOSX/.*|\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini|[^/]*\.msf|dovecot[^/]*|maildirsize|maildirfolder"
    r"|subscriptions|courier[^/]*|msgFilterRules\.dat|\.mh_sequences|\.uidvalidity|\.mailboxlist)"
)
_FLAGS: Final = re.compile(r"[:;!_-]2,([A-Za-z]*)(?:,[^/]*)?$")
_KEYWORD: Final = {"S": "$seen", "R": "$answered", "F": "$flagged", "D": "$draft"}


class _Member(msgspec.Struct, frozen=True):
    """One file of the export and what kind of mail stands in it."""

    name: str
    form: str
    """mbox, or eml for one mail a file."""
    folder: str = ""
    keywords: tuple[str, ...] = ()
    packed: bool = False
    """Compressed with gzip, as list archives are handed out."""


class MailImporter:
    """Mail of every file format.

    After (and during) `read`, `skipped` counts by reason what did not become a record; it is set back when
    `read` begins. Reasons: `duplicate`, `empty`, `no header`, `deleted in Thunderbird`, `folder data` (a note
    that an IMAP server leaves at the start of an mbox), `not mail` (files).
    """

    name = "mail"
    options: dict[str, str] = {  # noqa: RUF012
        "zone": "times of mails whose Date names no zone",
        "authserv_id": "whose Authentication-Results vouch for an author; without it every author is a claim",
    }
    fields: dict[str, str] = {  # noqa: RUF012
        "id": "Message-ID, else a digest of the mail",
        "sender": "mail:<address in From, lower case>",
        "sent_at": "Date, else when it was delivered",
        "text": "the first text/plain part, decoded; only HTML: its text",
        "mail": "subject, addressees, Message-ID, In-Reply-To, References, folder, keywords",
        "raw": "the mail, byte for byte",
    }
    refusals: tuple[str, ...] = (
        "mail stores that are no export (.pst, .ost, .msg, .emlx), with what to do instead",
        "damaged or unsafe archives",
    )

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()

    def sniff(self, export: Export) -> Claim | None:
        """A claim by a From_ line at the start, a mail's header, Maildir's folders, or a suffix of ours."""
        names = [name for name in export.names if not _NOISE.fullmatch(name)]
        if len(names) == 1:
            suffix = _suffix(names[0])
            if suffix in _OTHERS or suffix in (".eml", ".mbox", ".mbx"):
                return Claim(self.name, f"a name ending in {suffix}")
        letters = foreign = heads = 0
        for name in sorted(names, key=lambda name: _suffix(name) not in (".mbox", ".mbx")):
            suffix = _suffix(name)
            if suffix in _NO_MAIL:
                continue
            if suffix == ".eml":
                letters += 1
            elif suffix in _OTHERS:
                foreign += 1
            elif heads < _HEADS:
                heads += 1
                head = _head(export, name)
                if _starts_mbox(head):
                    return Claim(self.name, "a From_ line at the start")
                if _looks_like_mail(head):
                    if _in_maildir(name):
                        return Claim(self.name, "Maildir's folders cur and new")
                    letters += 1
        # one attached mail among a chat's pictures makes no mail export
        if letters and letters * 2 > len(names):
            return Claim(self.name, "the header of a mail")
        if foreign and foreign * 2 > len(names):
            return Claim(self.name, "mail in a program's own format")
        return None

    def read(self, export: Export, options: Options) -> Iterator[Conversation | Record]:
        """Streams the mails in the order of the files. Raises Refused: a file broken as a whole, a mail
        above MAX_MAIL, an export without any mail."""
        self.skipped = Counter()
        try:
            zone = ZoneInfo(options.zone)
        except (KeyError, ValueError, OSError):
            remedy = "give an IANA name such as Europe/Berlin"
            raise Refused(Code.AMBIGUOUS, export.name, "", "the zone given is not known", remedy) from None
        copies = _Copies()
        found = False
        scope = ""
        for member in self._members(export):
            if member.form == "mbox" or posixpath.dirname(member.name) != scope:
                scope = posixpath.dirname(member.name)
                copies.next_folder()
            for item in self._records(export, member, copies, zone, options.authserv_id):
                found = True
                yield item
        if not found:
            raise Refused(
                Code.EMPTY, export.name, "", "no mail in it", "give an mbox, .eml files or a Maildir"
            )

    def _members(self, export: Export) -> Iterator[_Member]:
        names = [name for name in export.names if not _NOISE.fullmatch(name)]
        alone = len(names) == 1
        takeout = any(posixpath.basename(name) == "archive_browser.html" for name in names)
        maildirs = {posixpath.dirname(posixpath.dirname(name)) for name in names if _in_maildir(name)}
        home = posixpath.commonpath(maildirs) if maildirs and "" not in maildirs else ""
        folders = {posixpath.dirname(name) for name in names if _suffix(name) == ".eml"}
        top = posixpath.commonpath(folders) if folders and "" not in folders else ""
        for name in names:
            suffix = _suffix(name)
            parent = posixpath.dirname(name)
            if suffix in _OTHERS and not takeout:  # Takeout holds whole drives, with whatever stands there
                remedy = f"this is {_OTHERS[suffix]}"
                raise _refused(export, name, Code.UNKNOWN_FORMAT, "", "not read", remedy)
            if posixpath.basename(parent) == "tmp" and posixpath.dirname(parent) in maildirs:
                continue  # deliveries that were never finished
            if (suffix in _NO_MAIL or suffix in _OTHERS) and not alone:
                self.skipped["not mail"] += 1
                continue
            packed = name.lower().endswith(".gz")
            if suffix == ".eml":
                yield _Member(name, "eml", _below(parent, top), packed=packed)
                continue
            head = _head(export, name)
            if _in_maildir(name) and (_looks_like_mail(head) or _starts_mbox(head)):
                folder = _below(posixpath.dirname(parent), home)
                if folder.startswith("."):  # Maildir++: .Family.Ann is Family/Ann
                    folder = folder[1:].replace(".", "/")
                yield _Member(name, "eml", _utf7(folder), _flags(name))
            elif _starts_mbox(head):
                yield _Member(name, "mbox", "" if alone else _mbox_folder(name), packed=packed)
            elif _looks_like_mail(head):
                yield _Member(name, "eml", _below(parent, top), packed=packed)
            elif not head.strip(b"\x00\r\n\t "):
                self.skipped["empty"] += 1
            elif suffix in (".mbox", ".mbx"):
                problem, remedy = "no From_ line", "export the mailbox again"
                raise _refused(export, name, Code.MALFORMED, "line 1", problem, remedy)
            else:
                self.skipped["not mail"] += 1

    def _records(
        self, export: Export, member: _Member, copies: _Copies, zone: tzinfo, authserv_id: str | None
    ) -> Iterator[Conversation | Record]:
        headed = mails = 0
        for line, raw, place in _mails(export, member):
            mails += 1
            head = Head(raw)
            if not head.fields:
                self.skipped["no header" if raw.strip(b"\x00\r\n\t ") else "empty"] += 1
                continue
            headed += 1
            if line.startswith(b"From - ") and mozilla(head) & 8:
                self.skipped["deleted in Thunderbird"] += 1
                continue
            if "x-imap" in head.fields and head.raw("subject").strip().startswith(
                b"DON'T DELETE THIS MESSAGE"
            ):
                self.skipped["folder data"] += 1
                continue
            digest = head.digest()
            own = mime.native(head)
            key = own or f"content-{digest:016x}"
            id = copies.id_of(key, digest, native=own is not None)
            if id is None:
                self.skipped["duplicate"] += 1
                continue
            folder, keywords = labels(head)
            record = mime.record(
                raw, head, key, id=id, zone=zone, place=place, arrived=_arrival(line),
                folder=folder or member.folder,
                keywords=tuple(sorted({*keywords, *member.keywords, *status(head)})), authserv_id=authserv_id,
            )  # fmt: skip
            if copies.opens(record.conversation):
                yield Conversation(source=self.name, key=record.conversation)
            yield record
        if mails and not headed and member.form == "mbox":
            problem = "a From_ line, but no mail header behind it"
            raise _refused(export, member.name, Code.MALFORMED, "byte 0", problem, "export the mailbox again")


class _Copies:
    """Which mails and conversations were seen: 64 bits of the key → 64 bits of content, and one that says
    whether a conversation of that key was announced. ~120 bytes an entry, one entry a mail."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.here: Counter[int] = Counter()

    def next_folder(self) -> None:
        """Equal mails without Message-ID are copies across folders, but two mails inside one."""
        self.here.clear()

    def id_of(self, key: str, digest: int, native: bool) -> str | None:
        """The id for a mail; None for a copy of one that was seen."""
        if not native:
            self.here[digest] += 1
            if self.here[digest] > 1:
                key = f"{key} {self.here[digest]}"
        for id in (key, f"{key} {digest:016x}"):
            slot = _short(id)
            known = self.seen.get(slot, 0)
            if not known >> 1:
                self.seen[slot] = known | (digest or 1) << 1
                return id
            if known >> 1 == (digest or 1):
                return None
        return None

    def opens(self, conversation: str) -> bool:
        slot = _short(conversation)
        known = self.seen.get(slot, 0)
        self.seen[slot] = known | 1
        return not known & 1


def _short(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")


# --- files


def _suffix(name: str) -> str:
    base = posixpath.basename(name).lower().removesuffix(".gz")
    return posixpath.splitext(base)[1]


def _head(export: Export, name: str) -> bytes:
    head = export.head(name)
    if head.startswith(b"\x1f\x8b"):
        try:
            head = zlib.decompressobj(31).decompress(head, 65536)
        except zlib.error:
            return b""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")


def _starts_mbox(head: bytes) -> bool:
    return head.startswith(b"From ") and _FROM_LINE.fullmatch(head.partition(b"\n")[0][:1000]) is not None


def _looks_like_mail(head: bytes) -> bool:
    if not _FIELD.match(head):
        return False
    fields = Head(head).fields.keys()
    known = {
        "from",
        "to",
        "date",
        "subject",
        "message-id",
        "received",
        "return-path",
        "mime-version",
        "delivered-to",
    }
    return len(fields & known) >= 2 and bool(fields & {"date", "message-id", "received"})


def _in_maildir(name: str) -> bool:
    return posixpath.basename(posixpath.dirname(name)) in ("cur", "new")


def _below(folder: str, top: str) -> str:
    return folder[len(top) :].strip("/") if folder.startswith(top) else folder


def _mbox_folder(name: str) -> str:
    """Thunderbird's `Inbox.sbd/Family`, Apple's `Family.mbox/mbox`, Takeout's `Takeout/Mail/Family.mbox`."""
    parts = name.split("/")
    if parts[-1] == "mbox" and len(parts) > 1:
        parts.pop()
    above = [part.removesuffix(".sbd") for part in parts[:-1] if part.endswith(".sbd")]
    return "/".join([*above, parts[-1].removesuffix(".gz").removesuffix(".mbox").removesuffix(".mbx")])


def _flags(name: str) -> tuple[str, ...]:
    found = _FLAGS.search(posixpath.basename(name))
    return tuple(_KEYWORD[letter] for letter in found[1] if letter in _KEYWORD) if found else ()


def _utf7(name: str) -> str:
    """A folder name as IMAP servers write it (modified UTF-7, RFC 3501 §5.1.3)."""

    def letters(found: re.Match[str]) -> str:
        code = found[1].replace(",", "/")
        try:
            return base64.b64decode(code + "=" * (-len(code) % 4)).decode("utf-16-be") if code else "&"
        except (binascii.Error, UnicodeError):
            return found[0]

    return re.sub(r"&([A-Za-z0-9+,]*)-", letters, name) if name.isascii() else name


def _mails(export: Export, member: _Member) -> Iterator[tuple[bytes, bytes, str]]:
    """(From_ line or b"", the mail's bytes, place) of one file. Raises Refused."""
    with export.open(member.name) as plain:
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=plain)) if member.packed else plain
        most = max(1 << 30, MAX_RATIO * export.size(member.name)) if member.packed else None
        try:
            if member.form == "mbox":
                yield from _split(stream, most)
                return
            raw = stream.read(MAX_MAIL + 1)
            if len(raw) > MAX_MAIL:
                raise _Broken(Code.TOO_LARGE, "byte 0", _TOO_LARGE, "take it out and import again")
            if _starts_mbox(raw[:1000]):  # some programs put a From_ line into single mails too
                yield from _split(io.BytesIO(raw), None)
            else:
                yield b"", raw.removeprefix(b"\xef\xbb\xbf"), "byte 0"
        except _Broken as broken:
            raise _refused(export, member.name, *broken.args) from None
        except (EOFError, zlib.error, gzip.BadGzipFile):
            problem = "compressed file is cut off or damaged"
            raise _refused(export, member.name, Code.TRUNCATED, "", problem, "fetch it again") from None


class _Broken(Exception):
    """(code, place, problem, remedy): what is wrong, said where the file's name is not known."""


def _refused(export: Export, name: str, code: Code, place: str, problem: str, remedy: str) -> Refused:
    """A refusal that names the file inside the export, if it is not the export itself."""
    inside = "" if name == export.name else name
    return Refused(code, export.name, ", ".join(part for part in (inside, place) if part), problem, remedy)


def _split(stream: BinaryIO, most: int | None) -> Iterator[tuple[bytes, bytes, str]]:
    """Cuts an mbox at its From_ lines (rule 1); `most` bytes are read. Raises _Broken."""
    buffer = bytearray(stream.read(CHUNK))
    ended = not buffer
    base = len(buffer)
    del buffer[: 3 if buffer.startswith(b"\xef\xbb\xbf") else 0]
    while buffer.startswith((b"\n", b"\r")):
        del buffer[:1]
    base -= len(buffer)
    number = 1
    at = 0
    while True:
        found = buffer.find(b"\nFrom ", at)
        if found >= 0:
            line = buffer.find(b"\n", found + 1)
            follows = buffer.find(b"\n", line + 1) if line >= 0 else -1
        if not ended and (found < 0 or (follows < 0 and len(buffer) - found < 8192)):
            chunk = stream.read(CHUNK)
            ended = not chunk
            at = max(at, len(buffer) - 6) if found < 0 else found
            buffer += chunk
            if len(buffer) > MAX_MAIL + CHUNK:
                place = f"mail {number}, byte {base}"
                raise _Broken(Code.TOO_LARGE, place, _TOO_LARGE, "take it out and import again")
            if most is not None and base > most:
                raise _Broken(
                    Code.UNSAFE_ARCHIVE, f"byte {base}", "unpacks to too much", "unpack it yourself"
                )
            continue
        if found >= 0:
            at = found + 1
            blank = buffer[found - 1] == 10 or buffer[found - 2 : found] == b"\n\r"
            if not blank or line < 0 or not _starts(buffer, found + 1, line):
                continue
        end = len(buffer) if found < 0 else found + 1
        yield _one(buffer, end, number, base)
        if found < 0:
            return
        del buffer[:end]
        base += end
        number += 1
        at = 0


def _starts(buffer: bytearray, start: int, end: int) -> bool:
    """Is buffer[start:end] a From_ line with a header field behind it?"""
    if end - start > 1000 or not _FROM_LINE.fullmatch(buffer, start, end):
        return False
    return _FIELD.match(buffer, end + 1) is not None


def _one(buffer: bytearray, end: int, number: int, offset: int) -> tuple[bytes, bytes, str]:
    """(From_ line, mail without the blank line that ends it, place) of buffer[:end]."""
    start = buffer.find(b"\n", 0, end) + 1 or end
    if buffer.endswith(b"\n\n", start, end):
        end -= 1
    elif buffer.endswith(b"\n\r\n", start, end):
        end -= 2
    with memoryview(buffer) as view:
        line, raw = bytes(view[:start]), bytes(view[start:end])
    if b">From " in raw:
        raw = _QUOTED_FROM.sub(rb"\1", raw)
    return line, raw, f"mail {number}, byte {offset}"


def _arrival(line: bytes) -> Ms | None:
    found = _FROM_LINE.fullmatch(line[:1000]) if line else None
    if not found:
        return None
    date, zone = found["date"].decode("ascii"), found["zone"].decode("ascii")
    if not date[:4].isdigit():
        return instant(date + zone)[0]
    try:
        when = datetime.fromisoformat(date)
    except ValueError:
        return None
    return int(when.replace(tzinfo=UTC).timestamp()) * 1000
