"""How one WhatsApp file is laid out: the shape of its headers, the order of its dates, its headers, its
names.

Rules 1, 2, 3 and 6 of whatsapp.py live here. All of it comes out of one pass that keeps eight bytes a
message.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable
from datetime import datetime
from os.path import commonprefix
from typing import NamedTuple

from byleave.errors import Code, Refused
from byleave.sources import whatsapp_phrases as phrases
from byleave.sources.chat import MARKS, Beginning, clean, clean_name

ORDERS = ("dmy", "mdy", "ymd")
FOUNDED = 2009
"""No message is older than WhatsApp; a two-digit year below 09 is no year."""
MAX_NAME = 200
DAY_S = 86_400

Refuse = Callable[[Code, str, str, str], Refused]
"""(code, place, problem, remedy) → the refusal that names the file."""

LRM = "\u200e"

_M = f"[{MARKS}\ufeff]*"
_W = "[ \u00a0\u202f\u2009]"
_SEP = rf"{_M}(?:[./\-]{_W}?|[年月년월]{_W}?){_M}"
_WORD = r"[^\W\d_]"
_HALF = rf"{_WORD}[^\d\[\]\-:\n]{{0,14}}?"
_ANY = re.compile(
    rf"{_M}(?P<open>\[)?{_M}(?P<a>\d{{1,4}})(?P<s1>{_SEP})(?P<b>\d{{1,2}})(?P<s2>{_SEP})(?P<c>\d{{1,4}})(?P<tail>(?:[.日일]|{_W}г\.)?)"
    rf"(?P<join>{_M}[,،]?{_W}*(?:(?:à|um|klo|kl\.|at|às|a las|alle|ore|в|o|saat){_W})?)"
    rf"{_M}(?P<pre>{_HALF}{_W}?)??"
    rf"(?P<h>\d{{1,2}})(?P<ts>[:.])(?P<m>\d\d)(?P<s>[:.]\d\d)?(?P<unit>{_W}ч\.)?{_M}(?:{_W}?{_M}(?P<post>{_HALF}))??{_M}"
    rf"(?:(?P<close>\]){_W}?|(?P<dash>{_W}[-–](?:{_W}|$))|(?P<colon>:{_W}))"
)


# -- the shape of a header --


class Shape(NamedTuple):
    """How this file writes its headers. Groups of `pattern`: a, b, c, half before, hour, minute, second,
    half behind."""

    pattern: re.Pattern[str]
    year_first: bool
    short_year: bool
    half: bool
    bracket: bool


def shape_of(line: str) -> Shape | None:
    """The shape of a file that begins with `line`, None if it is no header."""
    m = _ANY.match(line)
    if m is None or bool(m["open"]) != bool(m["close"]):
        return None
    a, c = len(m["a"]), len(m["c"])
    if a == 3 or c == 3 or a == c == 4:
        return None
    if m["colon"] and not m["s"]:
        return None
    if m["dash"] and m["s"] and m["s1"] == "-":
        return None  # a log file, not a chat
    halves = [phrases.HALF_DAYS.get(_fold_half(h)) for h in (m["pre"], m["post"]) if h]
    if None in halves:
        return None
    pattern = (
        _M + (rf"\[{_M}" if m["open"] else "")
        + (r"(\d{4})" if a == 4 else r"(\d{1,2})") + _like(m["s1"]) + r"(\d{1,2})" + _like(m["s2"])
        + (r"(\d{4})" if c == 4 else r"(\d{1,2})") + _like(m["tail"]) + _like(m["join"])
        + (rf"({_HALF}){_W}?" if m["pre"] else "()")
        + r"(\d{1,2})" + re.escape(m["ts"]) + r"(\d\d)"
        + (re.escape(m["s"][0]) + r"(\d\d)" if m["s"] else "()") + (rf"{_W}ч\." if m["unit"] else "") + _M
        + (rf"{_W}?{_M}({_HALF}){_M}" if m["post"] else "()")
        + (rf"\]{_W}?" if m["open"] else rf"{_W}[-–](?:{_W}|$)" if m["dash"] else rf":{_W}")
    )  # fmt: skip
    return Shape(re.compile(pattern), a == 4, a < 4 and c < 4, bool(halves), bool(m["open"]))


def _like(literal: str) -> str:
    """A regex for `literal` that takes any space for a space and allows marks."""
    bare = re.sub(_M, "", literal)
    return _M + "".join(_W if re.fullmatch(_W, c) else re.escape(c) for c in bare) + _M


def _fold_half(word: str) -> str:
    return re.sub(r"[\s.״׳\"'’`]", "", clean(word)).casefold()


def _hour(hour: int, half: int | None) -> int:
    """The hour of the day 0–23, or ≥ 24 where there is no such hour."""
    if half is None:
        return hour
    if hour > 12:
        return 99
    if half == phrases.NOON:
        return hour if hour >= 10 else hour + 12
    return hour % 12 + half


def date_in(order: str, a: int, b: int, c: int) -> tuple[int, int, int] | None:
    """(year, month, day) of three numbers in `order`, None if there is no such day."""
    year, month, day = {"dmy": (c, b, a), "mdy": (c, a, b), "ymd": (a, b, c)}[order]
    if year < 100:
        year += 2000
    if 2400 < year < 2700:
        year -= 543  # the Buddhist era, on Thai phones
    try:
        datetime(year, month, day)
    except ValueError:
        return None
    return (year, month, day) if FOUNDED <= year < 2100 else None


# -- the first pass --


class Survey:
    """What one pass over the file tells: the order of dates, which lines are headers, the names, the
    beginning."""

    def __init__(self, shape: Shape, title: str, refuse: Refuse) -> None:
        self.shape, self._title, self._refuse = shape, title, refuse
        self.dates: dict[tuple[str, str, str], int] = {}
        self.first_line: list[int] = []
        self.count: list[int] = []
        self.heads = array("q")
        """A header a number: date's index << 20 | second of the day << 1 | behind a CRLF."""
        self.names: dict[str, str] = {}
        self._rests: dict[str, str] = {}
        self._voices: dict[str, int] = {}
        self._ends_with_cr = False

    def run(self, lines: Iterable[str]) -> None:
        split_head, after_cr = self.split_head, False
        dates, count, heads = self.dates, self.count, self.heads
        for number, line in enumerate(lines, 1):
            head = split_head(line)
            if head is not None:
                date, second, end = head
                index = dates.get(date)
                if index is None:
                    index = dates[date] = len(count)
                    count.append(0)
                    self.first_line.append(number)
                count[index] += 1
                heads.append(index << 20 | second << 1 | after_cr)
                self._name(line[end:], len(heads) - 1)
            after_cr = line.endswith("\r\n")
        self._ends_with_cr = after_cr
        self._close_names()

    def split_head(self, line: str) -> tuple[tuple[str, str, str], int, int] | None:
        """(date as written, second of the day, where the rest begins) of a line in the file's shape."""
        m = self.shape.pattern.match(line)
        if m is None:
            return None
        a, b, c, pre, h, minute, s, post = m.groups()
        hour, minutes, seconds = int(h), int(minute), int(s or 0)
        if self.shape.half:
            half = phrases.HALF_DAYS.get(_fold_half(pre or post))
            if half is None:
                return None
            hour = _hour(hour, half)
        if hour > 23 or minutes > 59 or seconds > 59:
            return None
        return (a, b, c), hour * 3600 + minutes * 60 + seconds, m.end()

    # names

    def _name(self, rest: str, head: int) -> None:
        at = rest.find(": ")
        if at < 0 and rest.rstrip("\r\n").endswith(":"):
            at = len(rest.rstrip("\r\n")) - 1
        if not 0 < at <= MAX_NAME:
            return
        name, text = rest[:at], rest[at + 2 : at + 2 + MAX_NAME]
        known = self._rests.get(name)
        if name not in self._voices and len(self._voices) < 20_000 and not text.startswith(LRM):
            self._voices[name] = head  # behind the mark stands a notice, under the group's name
        if known is None:
            if len(self._rests) < 20_000:
                self._rests[name] = text
        elif known and not text.startswith(known):
            shared = commonprefix((known, text))  # noqa: RUF071 (characters are meant)
            self._rests[name] = shared[: shared.rfind(": ") + 2] if ": " in shared else ""

    def _close_names(self) -> None:
        title = self._title
        for name, shared in self._rests.items():
            if _is_notice(name):
                continue
            full = name
            if shared.endswith(": "):
                full = name + ": " + shared[:-2]
            elif title and ": " in shared:
                # Said once: only the file's own name can tell that the ": " is part of a name.
                longer = [name + shared_at for shared_at in _prefixes(": " + shared)]
                full = next(
                    (n for n in longer if n.replace(":", "_") == title or n.replace(":", "") == title), name
                )
            self.names[name] = full

    # the order of dates

    def order(self, given: str | None) -> str:
        shape = self.shape
        if shape.year_first:
            if given not in (None, "ymd"):
                raise self._unfit(given or "", 1)
            return "ymd"
        numbers = [(int(a), int(b), int(c)) for a, b, c in self.dates]
        fits = {o: [date_in(o, *n) is not None for n in numbers] for o in ORDERS}
        if not shape.short_year:
            fits["ymd"] = [False] * len(numbers)
        if given is not None:
            return self._checked(given, fits)
        only = {
            o: [i for i, fit in enumerate(fits[o]) if fit and not fits[p][i]]
            for o, p in (("dmy", "mdy"), ("mdy", "dmy"))
        }
        weight = {o: sum(self.count[i] for i in only[o]) for o in only}
        for one, other in (("dmy", "mdy"), ("mdy", "dmy")):
            # A pasted line may look like a header with another order: one in fifty does not overrule the
            # file.
            if weight[one] > 50 * weight[other]:
                return one
        if weight["dmy"]:
            lines = " and ".join(
                str(n) for n in sorted(min(self.first_line[i] for i in only[o]) for o in only)
            )
            raise self._refuse(Code.AMBIGUOUS, f"lines {lines}", "dates contradict each other",
                               "export the chat again, or take the odd line out")  # fmt: skip
        if not any(fits["dmy"]) and any(fits["ymd"]):
            return "ymd"
        if not any(fits["dmy"]):
            raise self._refuse(Code.MALFORMED, "line 1", "has no possible date", "export the chat again")
        unsure = [i for i, (a, b, _) in enumerate(numbers) if a != b and fits["dmy"][i]]
        if not unsure:
            return "dmy"  # 05/05: the same day either way
        place = f"line {self.first_line[unsure[0]]}"
        raise self._refuse(Code.AMBIGUOUS, place, "no date tells day from month",
                                "say it: --date-order dmy|mdy|ymd")  # fmt: skip

    def _checked(self, given: str, fits: dict[str, list[bool]]) -> str:
        others = [o for o in ORDERS if o != given]
        bad = [i for i, fit in enumerate(fits[given]) if not fit and any(fits[o][i] for o in others)]
        good = [
            i
            for i, fit in enumerate(fits[given])
            if fit and not any(fits[o][i] for o in others if o != "ymd")
        ]
        weight = sum(self.count[i] for i in bad)
        if not any(fits[given]) or (bad and weight * 50 >= sum(self.count[i] for i in good)):
            raise self._unfit(given, min((self.first_line[i] for i in bad), default=1))
        return given

    def _unfit(self, given: str, line: int) -> Refused:
        return self._refuse(Code.INVALID_ARGUMENTS, f"line {line}", f"the date does not fit {given}",
                                 "leave --date-order out or correct it")  # fmt: skip

    # which headers are headers

    def kept(self, days: list[tuple[int, int, int] | None]) -> bytearray:
        """A flag for each header-like line: 1 header, 0 body (rule 3)."""
        heads = self.heads
        keep = bytearray(b"\1") * len(heads)
        starts = [None if d is None else datetime(*d).toordinal() * DAY_S for d in days]
        # Only iOS mixes: CRLF behind a message, LF inside. One CRLF that somebody sent must not make the
        # rule.
        cr_only = self.shape.bracket and self._ends_with_cr
        peak, disorder = -1, False
        for i, head in enumerate(heads):
            start = starts[head >> 20]
            if start is None or (cr_only and i and not head & 1):
                keep[i] = 0
                continue
            at = start + (head >> 1 & 0x7FFFF)
            if at < peak - DAY_S:
                disorder = True
            elif at > peak:
                peak = at
        if disorder:
            self._keep_run(keep, [s or 0 for s in starts])
        keep[0] = 1
        return keep

    def _keep_run(self, keep: bytearray, starts: list[int]) -> None:
        indexes = array("q", (i for i in range(len(keep)) if keep[i]))
        times = array("q", (starts[self.heads[i] >> 20] + (self.heads[i] >> 1 & 0x7FFFF) for i in indexes))
        # Patience sorting from the first line on, which is a header. Of two longest runs the one that takes
        # the earlier lines: what breaks into a run stands behind what it breaks.
        tails: list[int] = []
        tail_at = array("q")
        before, under = array("q"), array("q")
        for i, at in enumerate(times):
            if at < times[0]:
                before.append(-1)
                under.append(-1)
                continue
            place = bisect_right(tails, at)
            before.append(tail_at[place - 1] if place else -1)
            if place == len(tails):
                tails.append(at)
                tail_at.append(i)
                under.append(-1)
            else:
                under.append(tail_at[place])
                tails[place], tail_at[place] = at, i
        chain = bytearray(len(times))
        i, limit = tail_at[-1], tails[-1]
        while i >= 0:
            while under[i] >= 0 and times[under[i]] <= limit:
                i = under[i]
            chain[i] = 1
            i, limit = before[i], times[i]
        # Messages that came late by less than a day are in order enough.
        low = array("q", [0]) * len(times)
        last = -1
        for i, at in enumerate(times):
            low[i] = last
            last = at if chain[i] else last
        ahead = 1 << 62
        out = []
        for i in range(len(times) - 1, -1, -1):
            if chain[i]:
                ahead = times[i]
            elif not low[i] - DAY_S <= times[i] <= ahead + DAY_S:
                out.append(i)
        if len(out) <= max(20, len(times) // 5):  # else the file is shuffled, not pasted
            for i in out:
                keep[indexes[i]] = 0

    def beginning(self, days: list[tuple[int, int, int] | None]) -> Beginning:
        beginning = Beginning()
        voices = [(n, head) for n, head in self._voices.items() if n in self.names][:2]
        for name, head in [("", 0), *voices]:
            day = days[self.heads[head] >> 20]
            if day is not None:
                second = self.heads[head] >> 1 & 0x7FFFF
                beginning.add(
                    (datetime(*day).toordinal() * DAY_S + second) // 60, clean_name(self.names.get(name, ""))
                )
        return beginning


def _prefixes(text: str) -> list[str]:
    return [text[:i] for i in range(2, len(text)) if text.startswith(": ", i)]


def _is_notice(name: str) -> bool:
    """Whether what stands before a ": " is no name but the beginning of a notice."""
    opened = any(name.count(q) % 2 for q in '"') or any(
        name.count(o) > name.count(c) for o, c in (("“", "”"), ("«", "»"), ("„", "“"), ("「", "」"))
    )
    return (opened and " " in name) or phrases.NOTICES.search(name) is not None
