"""WhatsApp's exported chat: `_chat.txt` (iOS), `WhatsApp Chat with X.txt` (Android), alone, in a folder or
zip.

Rules of this file:

1. The first line fixes the *shape* of a header: brackets or dash, separators, seconds, width and place of the
   year, half-day words. A line of any other shape is body.
2. Which number is the day is decided by the whole file, in a pass before the reading. Only a date that fits
   one order decides (20/01); time order, language and separators do not. Nothing decides: refused, with the
   option's name. A header that no order fits is body; a file whose lines contradict each other is refused
   with both lines.
3. A header-like line in a body cannot be told from a header by its looks. Two things tell: iOS ends messages
   with CRLF and lines inside them with LF; and a chat runs forward, so lines that break the run by over a
   day (a pasted chat, a timetable) are body. The run is the longest one that the file allows. In doubt it is
   a header: then the words stand under the name they carry.
4. There is no zone in the file: times are read in the zone given, `local-guess`. A time that the clocks
   skipped or showed twice is read as before the change.
5. No ids: the key of a message is time, sender and which one of that minute (chat.py, rule 2). A chat's key
   is the name that the export itself carries in its file name, else how it begins (chat.py, rule 3).
6. A name ends at the first ": ", unless every message of that name goes on with the same words up to a later
   ": ". A line without a name is a notice. So is one whose "name" stands in open quotes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from unicodedata import normalize
from zoneinfo import ZoneInfo

from byleave.errors import Code, Refused
from byleave.model import Attachment, Conversation, Handle, Kind, Ms, Person, Quality, Record
from byleave.sources import Claim, Options
from byleave.sources import whatsapp_phrases as phrases
from byleave.sources.archive import Export
from byleave.sources.chat import Ordinals, clean, clean_name, phone, zone_named
from byleave.sources.whatsapp_layout import LRM, ORDERS, Survey, date_in, shape_of

MAX_LINE, MAX_TEXT = 1 << 20, 4 << 20
"""Characters. WhatsApp itself takes 65,536 a message."""

_SIGNAL = re.compile(r"\[\d{4}-\d\d-\d\d, \d\d:\d\d\] ")
_TAG = re.compile(r"\s?(\u200e?)<([^<>:\n]{3,60})>\s*\Z")
_ATTACHED_TAG = re.compile(r"\u200e?<[^<>:/\n]{3,24}: ?([^<>/\\\n]+\.\w{1,8})>\s*\Z")
_ATTACHED_FILE = re.compile(r"\u200e?([^/\\<>\n]{1,200}\.\w{1,8}) \(([^()\n]{3,40})\)\Z")
_OWN_NAME = re.compile(r"(?:IMG|VID|AUD|PTT|STK|DOC|GIF)-\d{8}-WA\d+\.\w+")


class WhatsAppImporter:
    name = "whatsapp"
    options: dict[str, str] = {  # noqa: RUF012
        "date_order": "dmy, mdy or ymd: which number is the day, where no date in the file tells",
        "zone": "the zone that the times are read in",
    }
    fields: dict[str, str] = {  # noqa: RUF012
        "id": "local time, a digest of the sender's name, which one of that time",
        "sender": "tel:+… where a number is shown, else whatsapp:<conversation>/<name>; none for notices",
        "sender_name": "the name or number as seen",
        "sent_at": "date and time in the zone given (local-guess)",
        "text": "the message without marks, file names and '<This message was edited>'",
        "attachments": "the file's name, '' where it was left out",
        "kind": "text, attachment, deleted, call, member, unsupported",
    }
    refusals: tuple[str, ...] = (
        "no date tells day from month (remedy: --date-order)",
        "dates that contradict each other, by line",
        "a --date-order that the dates do not fit, by line",
        "bytes that are no UTF-8, by line",
        "lines that end in CR alone: they would be one message of one sender",
        "a line over 1 MiB or a message over 4 MiB",
    )

    def sniff(self, export: Export) -> Claim | None:
        found = _chats(export)
        return Claim(self.name, "a message header in the first line of " + found[0]) if found else None

    def read(self, export: Export, options: Options) -> Iterator[Conversation | Record]:
        if options.date_order is not None and options.date_order not in ORDERS:
            raise Refused(Code.INVALID_ARGUMENTS, export.name, "", "no such date order",
                          "--date-order dmy, mdy or ymd")  # fmt: skip
        zone = zone_named(options.zone, export.name)
        for name in _chats(export):
            yield from _Chat(export, name, options.date_order, zone).read()


# -- which members are chats, and what they are called --


def _chats(export: Export) -> list[str]:
    """Members that are chats. A text file that stands beside a chat is what somebody sent in it."""
    texts = [n for n in export.names if n.lower().endswith(".txt") or len(export.names) == 1]
    main = [n for n in texts if n.rsplit("/", 1)[-1] == "_chat.txt"]
    folders = {n.rpartition("/")[0] for n in main}
    named = [n for n in texts if n.rpartition("/")[0] not in folders and _title(_stem(n))]
    if export.is_zip and (same := [n for n in named if _stem(n) == _stem(export.name)]):
        named = same
    found = main + named or (texts if len(texts) == 1 else [])
    # Beside sound chats a broken one is not left out: reading it refuses the whole, with its place.
    return found if any(is_whatsapp(export.head(n)) for n in found) else []


def is_whatsapp(head: bytes) -> bool:
    """Whether a file begins with a message header (and not with that of Signal's text export)."""
    for line in head.decode("utf-8-sig", "ignore").splitlines():
        if line.strip():
            return not _SIGNAL.match(line) and shape_of(line) is not None
    return False


def _stem(name: str) -> str:
    return re.sub(r"\.(?:txt|zip)\Z", "", name.rsplit("/", 1)[-1], flags=re.IGNORECASE)


def _title(stem: str) -> str:
    """The chat's name out of a file's or folder's name, "" where it tells none."""
    for pattern in phrases.TITLES:
        if match := pattern.fullmatch(normalize("NFC", stem)):
            return clean_name(match[1])
    return ""


def _title_of(export: Export, name: str) -> str:
    parts = name.split("/")
    for part in (parts[-1], parts[-2] if len(parts) > 1 else export.name, export.name):
        if title := _title(_stem(part)):
            return title
    return ""


# -- the second pass --


class _Chat:
    """One chat's file."""

    def __init__(self, export: Export, name: str, order: str | None, zone: ZoneInfo) -> None:
        self._export, self._name, self._order, self._zone = export, name, order, zone
        self._title = _title_of(export, name)
        self._last_local: tuple[tuple[int, int, int], int] | None = None
        self._last_ms: Ms = 0

    def read(self) -> Iterator[Conversation | Record]:
        first = next((line for line in self._lines() if line.strip()), "")
        shape = shape_of(first)
        if shape is None:
            raise self._refused(Code.MALFORMED, "line 1", "is no message header", "export the chat again")
        survey = Survey(shape, self._title, self._refused)
        survey.run(self._lines())
        order = survey.order(self._order)
        days = [date_in(order, int(a), int(b), int(c)) for a, b, c in survey.dates]
        keep = survey.kept(days)
        key = self._title or survey.beginning(days).key()
        yield Conversation(source="whatsapp", key=key, name=self._title)
        messages = _Messages(key, survey.names, shape.bracket)
        newest = -1
        for record in self._records(survey, days, keep, messages):
            if record.sent_at is not None and record.sent_at > newest:
                newest = record.sent_at
            yield record
        yield Conversation(source="whatsapp", key=key, name=self._title, members=messages.members(),
                           as_of=newest if newest >= 0 else None)  # fmt: skip

    def _records(
        self, survey: Survey, days: list[tuple[int, int, int] | None], keep: bytearray, messages: _Messages
    ) -> Iterator[Record]:
        split_head, dates = survey.split_head, survey.dates
        head_number, number, start = -1, 0, 0
        local: tuple[tuple[int, int, int], int] | None = None
        lines: list[str] = []
        size = 0
        for line in self._lines():
            number += 1
            head = split_head(line)
            if head is not None:
                head_number += 1
                if keep[head_number]:
                    if local is not None:
                        yield messages.record(lines, local, self._utc(local), start)
                    date, second, end = head
                    day = days[dates[date]]
                    if day is None:
                        raise self._refused(Code.MALFORMED, f"line {number}", "has no possible date",
                                            "export the chat again")  # fmt: skip
                    local, lines, size, start = (day, second), [line[end:]], 0, number
                    continue
            if local is not None:
                size += len(line)
                if size > MAX_TEXT:
                    raise self._refused(Code.TOO_LARGE, f"line {number}", "a message of over 4 MiB",
                                        "is this a chat's export?")  # fmt: skip
                lines.append(line)
        if local is not None:
            yield messages.record(lines, local, self._utc(local), start)

    def _utc(self, local: tuple[tuple[int, int, int], int]) -> Ms:
        if local != self._last_local:
            day, second = local
            moment = datetime(*day, second // 3600, second // 60 % 60, second % 60, tzinfo=self._zone)
            self._last_local, self._last_ms = local, int(moment.timestamp()) * 1000
        return self._last_ms

    def _lines(self) -> Iterator[str]:
        """Lines with their ends, as they stand; only LF ends a line."""
        with self._export.open(self._name) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="\n")
            number = 0
            try:
                for line in iter(partial(text.readline, MAX_LINE), ""):
                    number += 1
                    if len(line) == MAX_LINE:
                        raise self._refused(Code.TOO_LARGE, f"line {number}", "is over a million characters",
                                            "is this a chat's export?")  # fmt: skip
                    if "\r" in line[:-2] and any(shape_of(piece) for piece in line.split("\r")[1:]):
                        raise self._refused(Code.MALFORMED, f"line {number}", "lines end in CR alone",
                                            "export the chat again")  # fmt: skip
                    yield line
            except UnicodeDecodeError:
                raise self._refused(Code.MALFORMED, f"line {self._broken_line()}", "is not UTF-8",
                                    "export the chat again, or save it as UTF-8") from None  # fmt: skip

    def _broken_line(self) -> int:
        number = 0
        with self._export.open(self._name) as stream:
            for raw in iter(partial(stream.readline, MAX_LINE), b""):
                number += raw.endswith(b"\n")
                try:
                    raw.decode("utf-8")
                except UnicodeDecodeError:
                    return number + (not raw.endswith(b"\n"))
        return number

    def _refused(self, code: Code, place: str, problem: str, remedy: str) -> Refused:
        return self._export.refused(code, self._name, problem, remedy, place)


class _Messages:
    """Turns the lines of one message into a record."""

    def __init__(self, conversation: str, names: dict[str, str], bracket: bool) -> None:
        self._conversation, self._names, self._bracket = conversation, names, bracket
        self._ordinals = Ordinals()
        self._people: dict[str, tuple[Handle | None, str]] = {}
        self._spoke: dict[Handle, str] = {}

    def members(self) -> tuple[Person, ...]:
        return tuple(Person(handle, name) for handle, name in self._spoke.items())

    def record(self, lines: list[str], local: tuple[tuple[int, int, int], int], at: Ms, line: int) -> Record:
        rest = lines[0]
        files: tuple[Attachment, ...] = ()
        name, text = self._split(rest.rstrip("\r\n") if len(lines) == 1 else rest)
        if len(lines) > 1:
            text = (text + "".join(lines[1:])).rstrip("\r\n")
        if name is None:
            handle, shown = None, ""
            kind, words, revision = _notice_kind(text), clean(text), 0
        else:
            handle, shown = self._person(name)
            kind, words, files, revision = _read_text(text, self._bracket)
            if kind is Kind.MEMBER:  # on iOS notices stand under the name of the group or the other person
                handle, shown = None, ""
            elif handle is not None and handle not in self._spoke and len(self._spoke) < 20_000:
                self._spoke[handle] = shown
        (year, month, day), second = local
        stamp = f"{year:04}{month:02}{day:02}T{second // 3600:02}{second // 60 % 60:02}{second % 60:02}"
        wall = (datetime(year, month, day).toordinal() * 86_400 + second) * 1000
        return Record(
            source="whatsapp",
            conversation=self._conversation,
            id=self._ordinals.key(wall, handle if handle and handle.startswith("tel:") else shown, stamp),
            sender=handle,
            sender_name=shown,
            sent_at=at,
            quality=Quality.LOCAL_GUESS,
            kind=kind,
            text=words,
            attachments=files,
            revision=revision,
            place=f"line {line}",
        )

    def _split(self, rest: str) -> tuple[str | None, str]:
        """(name as written or None, text)."""
        at = rest.find(": ")
        if at > 0 and (full := self._names.get(rest[:at])) is not None:
            if len(full) > at and rest.startswith(full + ": "):
                at = len(full)
            return full if at == len(full) else rest[:at], rest[at + 2 :]
        at = rest.find(":")
        if at > 0 and rest[:at] in self._names and (at < 0 or rest[at : at + 2] != ": "):
            return rest[:at], rest[at + 1 :].lstrip(" ")
        return None, rest

    def _person(self, name: str) -> tuple[Handle | None, str]:
        known = self._people.get(name)
        if known is None:
            shown = normalize("NFC", clean_name(name))
            handle = phone(shown) or (f"whatsapp:{self._conversation}/{shown}" if shown else None)
            known = (handle, shown)
            if len(self._people) < 20_000:
                self._people[name] = known
        return known


def _notice_kind(text: str) -> Kind:
    if phrases.MEMBERS.search(text):
        return Kind.MEMBER
    if phrases.NOTICES.search(text):
        return Kind.UNSUPPORTED
    return Kind.CALL if phrases.CALLS.search(text) else Kind.UNSUPPORTED


def _read_text(text: str, bracket: bool) -> tuple[Kind, str, tuple[Attachment, ...], int]:
    """(kind, text, attachments, revision) of what stands behind a name."""
    revision = 0
    marked = text.startswith(LRM)
    tagged = text.endswith(">") and (tag := _TAG.search(text))
    if tagged and tag and phrases.folded(tag[2]) not in phrases.OMITTED:
        alone = not clean(text[: tag.start()]).strip()
        if phrases.folded(tag[2]) in phrases.EDITED or (tag[1] and not alone):
            text, revision = text[: tag.start()], 1
    if (files := _file(text)) is not None:
        found, rest = files
        return (Kind.TEXT if rest else Kind.ATTACHMENT), rest, (found,), revision
    words = clean(text)
    if len(words) > 240 or "\n" in words:
        return Kind.TEXT, words, (), revision
    phrase = phrases.folded(words)
    if phrase in phrases.DELETED:
        return Kind.DELETED, "", (), 2
    if not words.strip():
        return Kind.UNSUPPORTED, "", (), revision
    if (
        words.startswith("<")
        and words.endswith(">")
        and (marked or phrase[1:-1].rstrip(".") in phrases.OMITTED)
    ):
        return Kind.ATTACHMENT, "", (Attachment(),), revision
    if (phrases.OMITTED_KIND if marked or LRM in text else phrases.OMITTED_PLAIN).fullmatch(words):
        title, bullet, _ = words.partition(" • ")
        return Kind.ATTACHMENT, "", (Attachment(title if bullet else ""),), revision
    if marked and bracket and not re.match(r"[\w ]+: ?https?://|[\w ]+:$", words):
        # The mark says that WhatsApp, not a person, wrote it.
        if phrases.CALLS.search(words):
            return Kind.CALL, words, (), revision
        if phrases.MEMBERS.search(words) or phrases.NOTICES.search(words):
            return Kind.MEMBER, words, (), revision
        return Kind.UNSUPPORTED, words, (), revision
    if words.startswith(("Missed ", "Silenced ", "Verpasster ", "Llamada perdida", "Appel manqué")) and (
        phrases.CALLS.match(words) and len(words) < 60
    ):
        return Kind.CALL, words, (), revision
    return Kind.TEXT, words, (), revision


def _file(text: str) -> tuple[Attachment, str] | None:
    """(the attached file, the caption) where `text` names a file."""
    if text.endswith(">") and (tag := _ATTACHED_TAG.search(text)):
        caption = clean(text[: tag.start()]).strip()
        name = clean_name(tag[1])
        return Attachment(name), "" if " • " in caption else caption
    first, _, caption = text.partition("\n")
    first = first.rstrip("\r")
    if first.endswith(")") and (m := _ATTACHED_FILE.fullmatch(first)):
        name = clean_name(m[1])
        if phrases.folded(m[2]) in phrases.ATTACHED or _OWN_NAME.fullmatch(name):
            return Attachment(name), clean(caption)
    return None
