"""What every chat importer does to words, names and keys.

Rules of this file:

1. Text stands as written, with `\\n` line ends and without direction marks; joiners (emoji) stay. What
   cannot be stored (lone surrogates) becomes U+FFFD.
2. A message without a native id gets `<time>-<sender>-<n>`: the n-th message of that sender at that time. The
   words are not part of it, so an edited or deleted message in a newer export is the same record, and two
   equal messages in one minute are two.
3. A conversation without a key of its own gets one from how it begins (`Beginning`): when, who spoke first,
   who second. A newer export of the same chat begins alike; another chat does not. An export that lost its
   beginning (WhatsApp cuts at 40,000 messages) becomes a conversation of its own rather than joining by
   likeness of names.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from functools import lru_cache
from zoneinfo import ZoneInfo

import phonenumbers

from byleave.errors import Code, Refused
from byleave.model import Handle, Ms

MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c"
"""Direction marks, as the inside of a regex character class."""
LAST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: later times have no RFC 3339 form."""

_MARK = re.compile(f"[{MARKS}]")
_LONE = re.compile("[\ud800-\udfff]")
_PHONE = re.compile(r"\+[\d\s().\-\u2010-\u2015/]{4,30}")
_HOUR_MS = 3_600_000


def clean(text: str) -> str:
    """Text by rule 1."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return text
    text = _MARK.sub("", text)
    return _LONE.sub("\ufffd", text)


def clean_name(name: str) -> str:
    """A name as seen, on one line."""
    return " ".join(clean(name).split()) if name else ""


@lru_cache(maxsize=4096)
def phone(name: str) -> Handle | None:
    """`tel:+…` (E.164) for a name that is nothing but an international number, else None. Numbers that no
    country gives out (fiction, typos) keep their digits: it is a handle, not a check."""
    if not _PHONE.fullmatch(name):
        return None
    try:
        number = phonenumbers.parse(name, None)
    except phonenumbers.NumberParseException:
        return None
    return "tel:" + phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def digest(*parts: str, size: int = 6) -> str:
    """A short stable name for `parts` (2 × size hex digits)."""
    data = "\0".join(parts).encode("utf-8", "replace")
    return hashlib.blake2b(data, digest_size=size).hexdigest()


def zone_named(name: str, file: str) -> ZoneInfo:
    """The zone that local times are read in."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Refused(
            Code.INVALID_ARGUMENTS,
            file,
            "",
            "the time zone is not known",
            "give an IANA name such as Europe/Berlin",
        ) from None


class Ordinals:
    """The n of rule 2: exact for messages in or near time order, in memory that does not grow with the file.

    Counts are kept for `_KEPT` hours; an hour that left and comes back (a badly shuffled file) counts
    apart."""

    _KEPT = 60

    def __init__(self) -> None:
        self._hours: OrderedDict[int, dict[tuple[int, str], int]] = OrderedDict()
        self._closed: set[int] = set()
        self._late: dict[tuple[int, str], int] = {}
        self._senders: dict[str, str] = {}

    def key(self, at: Ms | None, sender: str, stamp: str | None = None) -> str:
        """A key for one more message of `sender` at `at`; `stamp` is shown in place of the milliseconds."""
        who = self._senders.get(sender)
        if who is None:
            if len(self._senders) > 100_000:
                self._senders.clear()
            who = self._senders[sender] = digest(sender) if sender else "notice"
        at = -1 if at is None else at
        hour = at // _HOUR_MS
        counts, late = self._hours.get(hour), ""
        if counts is None:
            if hour in self._closed:
                counts, late = self._late, "late-"
            else:
                counts = self._hours[hour] = {}
                if len(self._hours) > self._KEPT:
                    self._closed.add(self._hours.popitem(last=False)[0])
        n = counts.get((at, who), 0) + 1
        counts[(at, who)] = n
        return f"{late}{stamp or at}-{who}-{n}"


class Beginning:
    """The two oldest voices of a chat (rule 3). `add` in any order."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._first: dict[str, Ms] = {}
        self.oldest: Ms | None = None

    def add(self, at: Ms | None, sender: str) -> None:
        if at is None:
            return
        if self.oldest is None or at < self.oldest:
            self.oldest = at
        known = self._first.get(sender)
        if (known is None and sender and len(self._first) < self._MOST) or (known is not None and at < known):
            self._first[sender] = at

    def key(self, *more: str) -> str:
        """`chat-<12 hex digits>`."""
        voices = sorted(self._first.items(), key=lambda item: item[1])[:2]
        return "chat-" + digest(
            "" if self.oldest is None else str(self.oldest), *(v for v, _ in voices), *more
        )
