"""Words known beforehand: names, everyday words, towns, and the cues that make a word a name.

1. The lists in data/ hold folded words (folding.py), one a line; data/README.md tells source, licence and
   date.
2. A list may be wrong about a word but never decides alone where the word is also an everyday one: then its
   neighbours must make it a name (`name_like`).
3. Loaded once, on first use; nothing here changes afterwards.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from byleave.words.folding import WORD, fold


class Token(NamedTuple):
    """A word of a text. `gap` is what stands between it and the word before (all before it, for the
    first)."""

    start: int
    end: int
    raw: str
    fold: str
    gap: str

    @property
    def capital(self) -> bool:
        return self.raw[0].isupper()


def tokens(text: str) -> list[Token]:
    """The words of a folded text, in order."""
    out: list[Token] = []
    end = 0
    for match in WORD.finditer(text):
        raw = match[0]
        start = match.start()
        out.append(Token(start, match.end(), raw, fold(raw), text[end:start]))
        end = match.end()
    return out


@cache
def words(name: str) -> frozenset[str]:
    """The list `data/<name>.txt`; lines that open with `#` are remarks."""
    text = files("byleave.words").joinpath("data", f"{name}.txt").read_text(encoding="utf-8")
    return frozenset(
        word
        for line in text.splitlines()
        if line and line[0] != "#"
        for word in (line.split() if " " in line else [line])
    )


@cache
def lines(name: str) -> frozenset[str]:
    """As `words`, for lists whose entries may have several words (`new york`)."""
    text = files("byleave.words").joinpath("data", f"{name}.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and line[0] != "#")


@cache
def cues(name: str) -> frozenset[str]:
    """The list `[name]` of data/cues.txt: words that tell what their neighbours are."""
    text = files("byleave.words").joinpath("data", "cues.txt").read_text(encoding="utf-8")
    return frozenset(text.partition(f"[{name}]\n")[2].partition("[")[0].split())


@cache
def everyday() -> frozenset[str]:
    """Words that are names *and* something else in one of the seven languages, or no names at all."""
    return words("everyday") | words("common")


@cache
def short_forms() -> dict[str, tuple[str, ...]]:
    """First name → its short and pet forms (`katarzyna` → `kasia`, `kaska`)."""
    out: dict[str, set[str]] = {}
    for line in lines("short"):
        full, _, forms = line.partition(":")
        for name in full.split():
            out.setdefault(name, set()).update(forms.split())
    return {name: tuple(sorted(forms)) for name, forms in out.items()}


def inflected(name: str) -> tuple[str, ...]:
    """Polish cases, and genitives in -s, of a folded name. More forms than any one name has; they count only
    with a capital."""
    forms = [name + "s"]
    if name.endswith("ska") or name.endswith("cka"):
        forms += [name[:-1] + "iej"]
    elif name.endswith("ia"):
        forms += [name[:-1] + end for end in ("i", "e", "o", "u")] + [name[:-2] + "i"]
    elif name.endswith("a"):
        stem = name[:-1]
        forms += [stem + end for end in ("y", "ie", "e", "o", "i")]
        forms += [
            stem[:-1] + soft
            for hard, soft in (
                ("k", "ce"),
                ("g", "dze"),
                ("r", "rze"),
                ("l", "li"),
                ("t", "cie"),
                ("d", "dzie"),
            )
            if stem.endswith(hard)
        ]
    elif name.endswith(("ski", "cki", "dzki")):
        forms += [name + end for end in ("ego", "emu", "m", "ch")] + [name[:-1] + "a", name[:-1] + "iej"]
    elif name.endswith("y"):
        forms += [name[:-1] + end for end in ("ego", "emu", "ym")]
    elif name.endswith("i"):
        forms += [name + end for end in ("ego", "emu", "m")]
    elif name[-1:] not in "aeiou":
        forms += [name + end for end in ("a", "owi", "em", "iem", "u", "ie", "om", "ow")]
        if name.endswith("ek"):
            forms += [name[:-2] + end for end in ("ka", "kowi", "kiem", "ku")]
        elif name.endswith("el"):
            forms += [name[:-2] + end for end in ("la", "lowi", "lem", "le")]
        elif name.endswith("iec"):
            forms += [name[:-3] + end for end in ("ca", "cowi", "cem")]
        elif name.endswith("er"):
            forms += [name[:-1] + "rze"] + [name[:-2] + end for end in ("ra", "rowi", "rem", "rze")]
        elif name.endswith("r"):
            forms += [name[:-1] + "rze"]
    return tuple(form for form in forms if len(form) > 2)


PARTICLES = cues("particles")
TITLES = cues("titles")
"""Words before a name that make whatever capital follows a person. Bare `Sister`, `Pan` or `Don` need the
capital."""

KIN = cues("kin")
TOLD = cues("told")
"""Words after which an everyday word with a capital reads as a name: `told Will`, `mit Rose`."""

SPEAKS = cues("speaks")
"""Words that only people go before: `Will said`, `May wrote`."""


def opens_sentence(token: Token) -> bool:
    """Whether the word opens the text, a line or a sentence, so that its capital says nothing."""
    gap = token.gap
    return token.start == len(gap) or any(mark in gap for mark in ".!?…\n:;•|¿¡>") or token.start == 0


def adjoins(token: Token) -> bool:
    """Whether nothing but a space, hyphen or apostrophe parts the word from the one before."""
    return token.gap in (" ", "-", "'", "’", ". ", " '", ' "', "  ")


def name_like(text: list[Token], i: int, last: frozenset[str], *, known: bool = False) -> bool:
    """Whether the everyday word `text[i]` reads as a name here: capital, and a cue before or a follower
    behind. A `known` one is a person's of the inbox: there a verb behind it, or a capital that nothing else
    explains, is enough."""
    token = text[i]
    if not token.capital or (len(token.raw) > 1 and token.raw.isupper()):
        return False
    before = text[i - 1] if i and token.gap.strip(" ,'’\"") == "" else None
    after = text[i + 1] if i + 1 < len(text) and text[i + 1].gap in (" ", "-") else None
    if before is not None and (before.fold in TOLD or before.fold in TITLES or before.fold in KIN):
        return True
    joined = before is not None and before.fold in _JOINS and i > 1 and before.gap == " "
    if joined and text[i - 2].capital and text[i - 2].fold in given_names():
        return True
    if known and _acts(text, i, before, after):
        return True
    if after is None:
        return _addressed(text, i)
    if after.fold in SPEAKS and not re.fullmatch(r"(?i)will|may|can", token.raw):
        return True
    if after.fold in SPEAKS:
        return after.fold in (
            "said",
            "told",
            "texted",
            "called",
            "wrote",
            "asked",
            "replied",
            "moved",
            "phoned",
            "says",
            "thinks",
            "wants",
            "lives",
            "loves",
            "hates",
            "knows",
            "works",
        )
    return after.capital and after.fold in last and after.fold not in everyday()


_JOINS = frozenset(("and", "und", "et", "y", "e", "i", "n", "u", "oder", "or", "ou", "lub"))
_ACTS = cues("acts")
_DETERMINES = cues("determines")
_MODAL = frozenset(("will", "may", "can", "mark", "bill", "sue", "pat"))


def _acts(text: list[Token], i: int, before: Token | None, after: Token | None) -> bool:
    """Whether a known person's everyday name is the subject of a verb, or has a capital in mid-sentence that no
    noun, title or month explains."""
    token = text[i]
    if after is not None and after.gap == " " and (after.fold in _ACTS or after.raw in ("é", "è", "está")):
        return token.fold not in _MODAL or after.fold in ("is", "was", "has", "isn", "hasn", "wasn")
    if opens_sentence(token) or before is None or before.capital or before.fold in _DETERMINES:
        return False
    if token.fold in cues("days") or (after is not None and after.capital):
        return False
    folds = {word.fold for word in text}
    return len(folds & cues("de")) < len(folds & cues("other"))


def _addressed(text: list[Token], i: int) -> bool:
    """Whether a word is set off as one who is spoken to: "…, Lutz!", "Rose, are you there"."""
    behind = text[i + 1].gap[:1] if i + 1 < len(text) else "."
    return behind in ("!", "?", ".", ",", "…", "\n") and (
        (i == 0 and behind in "!,") or text[i].gap.startswith(",")
    )


@cache
def wide_names() -> frozenset[str]:
    """Given names in use in several languages, and their short forms: names in lower case too, if no word."""
    return words("wide") | words("more") | short_names()


@cache
def given_names() -> frozenset[str]:
    """Every given name known, in whatever language."""
    return words("first") | words("more")


@cache
def short_names() -> frozenset[str]:
    return frozenset(form for forms in short_forms().values() for form in forms) | frozenset(short_forms())


@cache
def inflected_names() -> frozenset[str]:
    """Polish cases of the widely used names."""
    forms = {form for name in wide_names() for form in inflected(name) if len(name) > 2}
    return frozenset(forms) - everyday() - words("capital") - words("first")
