"""Writing tricks taken away, with every character's place kept.

1. Rules read a *folded* text: compatibility forms, foreign digits, odd dashes and spaces become their plain
   ASCII form and invisible characters go, so that `+４４`, `٣`, `＠`, keycap digits and a zero-width space
   inside a number hide nothing.
2. Offsets always lead back to the text as written, in code points; one folded character may come from
   several.
3. Everything here is linear in the text, whatever stands in it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_SIMPLE = re.compile(r"[\t\n\r -~¡-¬®-±´-¸º-ʬ‘’“”„…€\u2600-\u27bf\U0001f300-\U0001faff]*+")
_MARKS_MAX = 8
"""Combining marks taken together with their letter; a taller pile is cut, since ordering one is quadratic."""
_APOSTROPHES = frozenset("ʼʹ′＇‛")

INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u20e3\u2800\u3164\uffa0")
"""Characters that show nothing though their category is not Cf (the keycap ring counts as none here)."""

WORD = re.compile(r"[^\W\d_]+")
"""A run of letters; apostrophes and hyphens part words (`d'Anna`, `Jean-Pierre`, `Anna's`)."""


class Folded(NamedTuple):
    """A text as the rules read it. `starts[i]:ends[i]` is where character i stands in what was written; both
    are empty where nothing moved."""

    text: str
    starts: list[int]
    ends: list[int]

    def place(self, start: int, end: int) -> tuple[int, int]:
        """The span `start:end` (not empty) in the text as written."""
        if not self.starts:
            return start, end
        return self.starts[start], self.ends[end - 1]


def invisible(char: str) -> bool:
    """Whether `char` shows nothing by itself: format characters, variation selectors, fillers, tags."""
    return (
        char in INVISIBLE
        or unicodedata.category(char) == "Cf"
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0000" <= char <= "\U000e0fff"
    )


def folded(text: str) -> Folded:
    """`text` in plain characters, each with its place."""
    if _SIMPLE.fullmatch(text):
        return Folded(text, [], [])
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    i, size = 0, len(text)
    while i < size:
        j = i + 1
        while j < size and j - i <= _MARKS_MAX and unicodedata.combining(text[j]):
            j += 1
        for char in _plain(text[i:j]):
            out.append(char)
            starts.append(i)
            ends.append(j)
        i = j
    return Folded("".join(out), starts, ends)


def _plain(cluster: str) -> str:
    if len(cluster) == 1:
        known = _ONE.get(cluster)
        if known is None:
            known = _plain_of(cluster)
            if len(_ONE) < 4096:
                _ONE[cluster] = known
        return known
    return _plain_of(cluster)


def _plain_of(cluster: str) -> str:
    out = []
    for char in unicodedata.normalize("NFKC", cluster):
        kind = unicodedata.category(char)
        if invisible(char):
            continue
        if kind == "Nd":
            char = str(unicodedata.decimal(char))
        elif kind == "Pd" or char == "\u2212":
            char = "-"
        elif kind == "Zs":
            char = " "
        elif kind in ("Zl", "Zp"):
            char = "\n"
        elif char in _APOSTROPHES:
            char = "'"
        out.append(char)
    return "".join(out)


_ONE: dict[str, str] = {}
"""What single characters fold to: a cache of a pure function."""


def _bases() -> dict[int, str]:
    table = {ord("ß"): "ss", ord("ł"): "l", ord("ø"): "o", ord("đ"): "d", ord("æ"): "ae", ord("œ"): "oe"}
    table |= {ord("ı"): "i", ord("ð"): "d", ord("þ"): "th", ord("ĸ"): "k", ord("ŋ"): "n", ord("ħ"): "h"}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if code not in table and base != chr(code):
            table[code] = base
    return table


_BASES = _bases()


def fold(word: str) -> str:
    """`word` without case and accents, for comparing names: `Łódź` and `LODZ` are both `lodz`."""
    word = word.lower()
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", word).translate(_BASES)
