"""Film talk: what reads as the title of a film is no person and no town.

1. Behind a film verb or the word for a film (`watched Chicago`), between quotes beside film talk, before a
   year in brackets, in a run of capitals with plain words in it, or in the catalogue (titles.py).
2. `leads` marks words surely (True) or weakly (False: `seen`, `love`, where a plain name overrules it).
3. Every look at neighbours is bounded, so time is linear in the words.
"""

from __future__ import annotations

import re

from byleave.words.lexicon import (
    KIN,
    TITLES,
    TOLD,
    Token,
    cues,
    everyday,
    given_names,
    inflected_names,
    opens_sentence,
    words,
)
from byleave.words.titles import Titles

_DAYS = cues("days")
_STRONG = cues("strong")
"""Right before a name these make it a title: verbs that only films take, and the words for films."""
_WEAK = cues("weak")
"""Right before a run of capitals that is no plain name these make it a title."""
_STOP = cues("stop")
_SKIP = cues("skip")
FICTION = cues("fiction")
"""Ranks before a name that only stories have."""
SHOWBIZ = re.compile(
    r"(?:directed by|director|actor|actress|starring|stars|cast|played by|soundtrack by|regie|"
    r"regisseur\w{0,2}|schauspieler\w{0,2}|mit .{0,20} in der hauptrolle|"
    r"acteur|actrice|r[ée]alis\w{1,9}|actor|actriz|dirigid\w{1,2} por|director|diretor\w{0,1}|ator|atriz|"
    r"realizador|attore|attrice|regista|diretto da|"
    r"aktor\w{0,3}|aktork\w{1,2}|re[zż]yser\w{0,2}|biopic|character|role of|rolle|als)\s{1,2}(?:by |de |"
    r"di |von |da |por )?$",
    re.I,
)
SET_IN = re.compile(
    r"(?:set|filmed|shot|takes place|spielt|gedreht|se passe|tourn[ée]e?|ambientad\w|rodad\w|ambientat\w|"
    r"girat\w|passa-se|filmad\w|rozgrywa si[eę]|dzieje si[eę]|kr[eę]con\w)\s(?:in|à|a|en|em|w|no|na|nel|"
    r"nella)\s$",
    re.I,
)
_YEAR = re.compile(r"['’\"”]?\s?\((?:19|20)\d\d\)")
_QUOTE = re.compile(r"[\"“„«‹‚]([^\"“”„«»‹›\n]{1,60})[\"”“»›]")
_FILM_TALK = re.compile(
    r"\b(?:movies?|films?|filme?|filmu|pel[ií]culas?|pelis?|s[eé]ries?|serien?|serial\w{0,3}|watch\w{0,4}|"
    r"seen|cinema|cin[eé]ma|cine|kino|netflix|trailer|imdb|season|episode|gesehen|geschaut|vu|visto|"
    r"ogl[aą]da\w{0,4}|obejrz\w{0,5})\b",
    re.I,
)


def index(line: list[Token], place: int) -> int:
    low, high = 0, len(line)
    while low < high:
        middle = (low + high) // 2
        if line[middle].start < place:
            low = middle + 1
        else:
            high = middle
    return low


def leads(text: str, line: list[Token], titles: Titles) -> dict[int, bool]:
    """The words (by index) that belong to a title of a film: True where surely, False where only a plain
    name may overrule it."""
    out: dict[int, bool] = {}
    for i, token in enumerate(line):
        strong = token.fold in _STRONG
        if not (strong or token.fold in _WEAK):
            continue
        k = i + 1
        while k < len(line) and k < i + 4 and line[k].fold in _SKIP and line[k].gap.strip() == "":
            k += 1
        taken = 0
        while (
            k < len(line)
            and taken < 6
            and line[k].gap.strip(" '’&-\"“„«:") == ""
            and line[k].fold not in _STOP
        ):
            if not strong and not line[k].capital and line[k].fold not in _SKIP:
                break
            out[k] = out.get(k, False) or strong
            taken += 1
            k += 1
    if "(" in text:
        for match in _YEAR.finditer(text):
            k = index(line, match.start()) - 1
            while (
                k >= 0 and k > index(line, match.start()) - 7 and (line[k].capital or line[k].fold in _SKIP)
            ):
                out[k] = True
                k -= 1
    if any(mark in text for mark in '"“„«‹'):
        talk = _FILM_TALK.search(text) is not None
        for match in _QUOTE.finditer(text):
            if talk or match[1][:1].isupper():
                for k in range(index(line, match.start()), index(line, match.end())):
                    out[k] = True
    if titles:
        talk = _FILM_TALK.search(text) is not None
        for i, size in titles.find(line):
            if size == 1 and not (talk or i in out):
                continue
            for k in range(i, i + size):
                out[k] = True
    return out


def title_run(line: list[Token], i: int, j: int, german: bool) -> bool:
    """Whether words `i:j` stand in a run of capitals with plain words in it, as titles do (`Saving Private
    Ryan`)."""
    if german:
        return False
    plain = 0
    k = i - 1
    while k >= 0 and i - k < 6 and line[k + 1].gap in (" ", "-", "'", "’", " & ", ": "):
        token = line[k]
        if token.capital and token.fold not in TITLES and token.fold not in KIN and len(token.raw) > 1:
            if not opens_sentence(token) and token.fold not in TOLD:
                plain += token.fold in everyday() or not (
                    token.fold in words("first") or token.fold in inflected_names()
                )
        elif (
            (
                token.fold not in _SKIP
                and token.fold
                not in (
                    "of",
                    "and",
                    "in",
                    "to",
                    "y",
                    "et",
                    "e",
                    "i",
                    "und",
                )
            )
            or k == 0
            or not line[k - 1].capital
        ):
            break
        k -= 1
    if plain:
        return True
    k = j
    joined = False
    while k < len(line) and k - j < 5 and line[k].gap in (" ", "-", " & ", ": ", "'", "’"):
        token = line[k]
        if token.capital and token.fold not in _DAYS and len(token.raw) > 1:
            plain += token.fold in everyday() or (
                joined and token.fold not in given_names() and token.fold not in words("last")
            )
        elif token.fold in ("of", "the", "in", "from", "de", "du"):
            joined = True
        elif token.fold not in ("s", "and", "y", "et", "e"):
            break
        k += 1
    return plain > 0
