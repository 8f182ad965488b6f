"""Header blocks and separators that clients set above a message they quote or forward. Pure; bounded work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from byleave.words import cues
from byleave.words.attribution import TIMED, Line, either

HEADER: Final = {
    field: re.compile(rf"[\s*_|>•\-]*(?:{either(names)})\s?[*_]*\s?[:：][*_]*(?:\s|$|(?=\S))")
    for field, names in (
        ("from", cues.FROM), ("date", cues.DATE), ("to", cues.TO),
        ("subject", cues.SUBJECT), ("other", cues.OTHER)
    )
}  # fmt: skip
FOREIGN_HEADER: Final = re.compile(r"[\s*_]*[^\W\d][^:：]{0,24}[:：]\s?\S")
CLOCK: Final = re.compile(r"\d[:.]\d\d")
END: Final = re.compile(r"-{2,} ?end (?:of )?(?:the )?(?:forwarded|original|included|quoted)")
SEPARATOR: Final = re.compile(
    rf"(?P<left>[-‐-―=_*~>─━ ]{{2,}})?(?:(?P<forward>{either(cues.FORWARDED)})"
    rf"|(?P<original>{either(cues.ORIGINAL)}))"
    r"(?P<rest>.{0,80}?)(?P<right>[-‐-―=_*~<─━ ]{2,})?\s*:?\s*$"
)
COMMENT: Final = re.compile(
    r"-{2,} ?(?:additional )?(?:comments?|description)\b.{0,30}?\bfrom\b|"
    r"@?[\w-]{1,40} (?:commented|left a comment|requested changes|approved|pushed|opened|closed)\b.{0,80}[.:]?$"
)
"""A tracker speaks: `--- Comment #3 from …`, `@ann commented on this pull request.`"""
TAG: Final = re.compile(
    r"(?P<close>\[/quote\]|</quote>)|(?P<toggle>\{quote(?::[^}\n]{0,80})?\})|[\[<]quote\b[^\]>\n]{0,80}[\]>]",
    re.I,
)
LOTUS_TO: Final = frozenset(cues.TO) | frozenset(f"{w}:" for w in cues.TO)
LOTUS_SUBJECT: Final = frozenset(cues.SUBJECT) | frozenset(f"{w}:" for w in cues.SUBJECT)


Memo = dict[str, frozenset[str]]
"""Fields by folded line, for one mail: a line is looked at from each of the forty above it."""


class Block(NamedTuple):
    """A header block: the index of its last line, and its From line ("" if it has none)."""

    last: int
    sender: str


def block_at(
    lines: list[Line], marked: Sequence[object], index: int, *, announced: bool, memo: Memo
) -> Block | None:
    """`From: … Sent: … To: … Subject: …` in any language of the table, or in an unknown one with an address
    and a clock time. After a separator (`announced`) one field is enough."""
    first = fields(lines[index].said, memo)
    if not first and not announced and not FOREIGN_HEADER.match(lines[index].said):
        return None
    seen: set[str] = set()
    senders: list[str] = []
    found, last, gap = 0, index, 0
    unknown_address = unknown_clock = False
    at = index
    while at < len(lines) and at < index + 40 and gap <= 4:
        said = lines[at].said
        if marked[at] is not None and not said.startswith(("|", ":", "]")):
            break
        got = fields(said, memo)
        if got:
            seen |= got
            found, last, gap = found + 1, at, 0
            if "from" in got and not senders:
                senders.append(_with_rest(lines, at))
        elif said and FOREIGN_HEADER.match(said):
            unknown_address = unknown_address or "@" in said
            unknown_clock = unknown_clock or CLOCK.search(said) is not None
            found, gap = found + 1, gap + 1
            if unknown_address and unknown_clock and found >= 3:
                last = at
        elif not said and (gap or at + 1 >= len(lines) or not fields(lines[at + 1].said, memo)):
            break
        else:
            gap += 1
        at += 1
    known = len(seen) >= 3 or ("from" in seen and len(seen) >= 2) or (announced and len(seen) >= 1)
    if not first and not announced:
        known = False
    if not known and not (unknown_address and unknown_clock and found >= 3):
        return None
    return Block(last, senders[0] if senders else "")


def separates(said: str, *, alone: bool) -> str | None:
    """`forward` or `quote` for `-----Original Message-----`, `Begin forwarded message:` and their kin.
    `alone` tells that blank lines stand around it."""
    match = SEPARATOR.match(said) if len(said) <= 120 else None
    if match is None:
        return None
    dashed = match["left"] and len(match["left"].strip()) >= 2
    bare = not match["rest"].strip(" :.*-_") and (said.endswith((":", "：")) or alone)
    if not dashed and not bare:
        return None
    if dashed and not match["right"] and len(match["rest"]) > 60:
        return None
    return "forward" if match["forward"] else "quote"


def lotus_at(lines: list[Line], index: int) -> bool:
    """Lotus Notes: a date, then `To`, `cc`, `Subject` on lines of their own."""
    if len(lines[index].said) > 60 or not TIMED.search(lines[index].said):
        return False
    alone = {line.said for line in lines[index + 1 : index + 14]}
    return bool(alone & LOTUS_TO and alone & LOTUS_SUBJECT)


def _with_rest(lines: list[Line], index: int) -> str:
    """A From line with the next one where that is its rest."""
    said = lines[index].said
    after = lines[index + 1].said if index + 1 < len(lines) else ""
    return f"{said} {after}" if after and not fields(after) and "@" in after else said


def fields(said: str, memo: Memo | None = None) -> frozenset[str]:
    """Which header fields a line may be, in any language ("de:" is a From, "data:" a Date)."""
    if ":" not in said[:40] and "：" not in said[:40]:
        return frozenset()
    if memo is not None and said in memo:
        return memo[said]
    got = [field for field, pattern in HEADER.items() if pattern.match(said)]
    found = frozenset(got[:1])
    if memo is not None:
        memo[said] = found
    return found


def tagged_to(text: str, lines: list[Line], index: int) -> int:
    """The index behind a quote in tags that opens on this line (`[quote=Ann] … [/quote]`, `<quote>`, `{quote}`), nested
    too; to the end of the lines where none closes it, and `index` where none opens."""
    depth, at = 0, index
    while at < len(lines):
        tags = list(TAG.finditer(text, lines[at].at, lines[at].end))
        if at == index and not tags:
            return index
        for tag in tags:
            if tag["toggle"]:
                depth = 0 if depth else 1
            else:
                depth = max(0, depth + (-1 if tag["close"] else 1))
        at += 1
        if not depth:
            break
    return at


def heading_above(lines: list[Line], marked: Sequence[object], index: int) -> tuple[int, int]:
    """Above a header block without a From stands who wrote it, and when: `Ann <ann@x.example> on 03/04/99`. The lines
    of that, first to after; none: (index, index)."""
    last = index - 1
    while last > 0 and last > index - 4 and not lines[last].said:
        last -= 1
    first = max(0, last)
    while first > 0 and first > last - 3 and lines[first - 1].said and marked[first - 1] is None:
        first -= 1
    said = [line.said for line in lines[first : last + 1]]
    named = any(TIMED.search(one) or "@" in one for one in said)
    return (first, last + 1) if named and max(map(len, said)) <= 70 else (index, index)
