"""People and towns that no address book knows: lexicon, gazetteer, cues, and the film-verb veto.

1. A given name of the lexicon counts with a capital, a widely used one in lower case too; a word that is
   also an everyday word needs a cue before it or a follower behind it (lexicon.py).
2. A title (`Frau`, `Mr`, `pani`) or kinship (`my friend`, `mi prima`) makes a person of whatever capital
   follows.
3. A family name follows a given name; alone it counts inside a sentence with a capital.
4. What reads as the title of a film is left alone: behind a film verb (`watched Chicago`), between quotes
   beside film talk, before a year in brackets, in a run of capitals, or in the catalogue (titles.py).
5. Linear in the words; every look at neighbours is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from byleave.words.filmtalk import FICTION, SET_IN, SHOWBIZ, index, leads, title_run
from byleave.words.lexicon import (
    KIN,
    PARTICLES,
    SPEAKS,
    TITLES,
    TOLD,
    Token,
    adjoins,
    cues,
    everyday,
    given_names,
    inflected_names,
    lines,
    name_like,
    opens_sentence,
    short_names,
    wide_names,
    words,
)
from byleave.words.rules import Found
from byleave.words.titles import Titles

_DE = cues("de")
_OTHER = cues("other")
_PL = cues("pl")

_DAYS = cues("days")
_NAMED = re.compile(
    r"(?:\b(?:named|name is|name's|i'm|i am|this is|hei(?:ß|ss)t|hei(?:ß|ss)e|namens|ich bin|s'appelle|"
    r"m'appelle|je suis|c'est|se llama|me llamo|soy|si chiama|mi chiamo|"
    r"sono|aqui [ée] [oa]|fala [oa]|chama-se|chamo-me|se chama|me chamo|sou [oa]|imi[eę]|nazywa si[eę]|nazywam si[eę])\s)$",
    re.I,
)
_ASKED = re.compile(
    r"(?:\b(?:who'?s|who is|qui est|c'est qui|qui[ée]n es|quem [ée] [oa]|chi [èe]|kto to(?: jest)?)|"
    r"(?:anniv\w*|compleanno|cumple\w*|anivers[aá]rio|anos|birthday|bday)[^.!?\n]{0,15}?\b(?:pour|for|di|de|d[oa]|del|of)|"
    r"urodziny)\s$",
    re.I,
)
"""Who is asked for, and whose birthday it is: before a capital, in any language but German."""
_AND_THEIR = re.compile(
    r"(?: [^\W\d_][\w'-]{1,20}){0,2}\s(?:and|et|y|e|i|z|with|und)\s(?:a\s|o\s|il\s|la\s)?"
    r"(?:his|her|their|sa|son|ses|su|sus|sua|seu|suo|suoi|ihre?[mnrs]?|seine?[mnrs]?|siostr[aąoy]|bratem|m[eę][zż]em|[zż]on[aą]|"
    r"irm[ãa]o?|sorella|hermana|hermano|s[oœ]e?ur|fr[eè]re|Schwester|Bruder)\b"
)
"""Behind a name: `Nkechi Abara and her sister`."""
_INTRODUCES = re.compile(
    r"\b(?:soy|sono|sou [oa]|me llamo|mi chiamo|me chamo|je m'appelle|my name is|i'm|aqui [ée] [oa]|"
    r"nazywam si[eę]|mam na imi[eę])\s$",
    re.I,
)
"""Before a capital these make even an everyday word the name of who writes."""
_DOOR = re.compile(
    r"\b(?:citofono|campanello|klingel(?:n|t|st)?(?: bei)?|klingelschild|sonnette|interphone|timbre|campainha|"
    r"domofon|dzwonek|doorbell|buzzer|c/o)[: ]{1,2}$",
    re.I,
)
"""What stands before the name on a door."""
_LOCATIVE = cues("locative")
_LIVES = re.compile(
    r"\b(?:liv(?:e|es|ed|ing)|mov(?:e|ed|ing)|stay(?:s|ed|ing)?|based|fly(?:ing)?|flew|travel\w{0,5}|trip|"
    r"born|grew up|from|arriv\w{1,3}|driv\w{1,3}|wohn\w{0,3}|zieh\w{0,3}|"
    r"umgezogen|lebt?e?|komm\w{0,2} aus|flieg\w{0,2}|fahr\w{0,2}|habit\w{1,4}|viens|d[ée]m[ée]nag\w{1,5}|"
    r"viv\w{1,4}|mud\w{1,5}|mor\w{1,3}|abit\w{1,3}|trasferi\w{1,4}|"
    r"(?:go|going|goes|went|heading|headed|drive|up|down|over) (?:to|in|from)|back (?:to|in|from)|"
    r"(?:aus|von|from|desde|de|da|ze?) [\w-]{3,20} (?:nach|to|a|à|para|do)|"
    r"monte|vais|va|vas|pars|part|rentre|suis|sub[oe]|bajo|voy|vamos|vas|fui|llego|salgo|estoy|est[áa]|vou|vai|chego|estou|"
    r"vado|andiamo|arrivo|torno|"
    r"mieszka\w{0,3}|jestem|jedzie\w{0,3}|wraca\w{0,2}|jad[eę]|lec[eę]|przeprowadz\w{1,6})\b"
)
_STREET = re.compile(
    r"(?:\b(?:on|in|at|off|near|from|down)\s(?:[A-Z][\w'’]{1,20}\s){1,3}(?:Street|Road|Avenue|Lane|Drive|"
    r"Court|Square|Terrace|Crescent|Gardens|Close|Grove|Mews|St|Rd|Ave|Ln)\b|"
    r"\b(?:rue|avenue|boulevard|impasse|all[ée]e|quai|place)\s(?:(?:de la|du|des|de|de l'|"
    r"d')\s?)?[A-ZÀ-Þ][\w'’-]{2,25}(?:[ -][A-ZÀ-Þ][\w'’-]{2,20}){0,3}|"
    r"\b(?:calle|avenida|paseo|plaza|via|viale|piazza|corso|vicolo|rua|travessa|pra[çc]a|largo)\s(?:(?:de "
    r"la|del|de los|de|della|dei|do|da|dos|das|di)\s)?[A-ZÀ-Þ][\w'’-]{2,25}(?:[ "
    r"-][A-ZÀ-Þ][\w'’-]{2,20}){0,3}|"
    r"\b(?:ul\.|ulic[aęy]|alej[aei]|al\.|osiedl[ue]|os\.|plac[u]?|"
    r"pl\.)\s[A-ZŁŚŻŹĆÓ][\w-]{2,25}(?:\s[A-ZŁŚŻŹĆÓ][\w-]{2,20}){0,2}|"
    r"\b(?!Bundes|Haupt|Dorf|Land|Staats|Kreis|Sack|Einbahn|Milch|Seiten|Neben)[A-ZÄÖÜ][\wäöüß-]{2,25}(?:stra(?:ß|"
    r"ss)e|gasse|allee)\b)"
)
_PL_CASES = ("a", "u", "ie", "em", "owi", "om", "ach")
_PL_TOWNS = tuple(sorted(cues("pl_towns")))
_PL_FAMILY = re.compile(
    r".{2,}(?:sk|ck|dzk)(?:i|a|iego|iemu|im|iej|ich|imi|ie|owie)$|.{3,}(?:wicz|czyk|czak|czuk|iak)(?:a|"
    r"owi|em|iem|u|ow|om|ie)?$"
)
_SLAVIC = re.compile(
    r".{3,}(?:owski|owska|ewski|ewska|inski|inska|wicz|czyk|ovic|evic|enko|escu|opoulos|shvili|sson|ovsky|"
    r"ovskaya|ikov|ova)$"
)


def find(text: str, line: list[Token], titles: Titles, *, cued: bool = False) -> Iterator[Found]:
    """People, towns and streets without a number in a folded text (what earlier layers found is blanked)
    with the words `line`; in order of kind, possibly overlapping. `cued`: only people whom a title, kin or a word
    before gives away (`Frau …`, `my friend …`), which needs no list: the tier `rules`."""
    if not line:
        return
    folds = {token.fold for token in line}
    german = len(folds & _DE) > len(folds & _OTHER)
    polish = len(folds & _PL) >= 1 and not german and not folds & {"the", "que", "di", "het"}
    lead = leads(text, line, titles)
    for start, end in _people(text, line, lead, german, polish, cued):
        yield start, end, "PERSON"
    if cued:
        return
    for start, end in _towns(text, line, lead, german, polish):
        yield start, end, "LOCATION"
    for match in _STREET.finditer(text):
        first = index(line, match.start())
        if not lead.get(first, False) and not title_run(line, first, first + 1, german):
            yield match.start(), match.end(), "ADDRESS"


def _people(
    text: str, line: list[Token], lead: dict[int, bool], german: bool, polish: bool, cued: bool
) -> Iterator[tuple[int, int]]:
    first, last, wide, strict, capital = (
        given_names(),
        words("last"),
        wide_names(),
        everyday(),
        words("capital"),
    )
    public = lines("public")
    i, size = 0, len(line)
    while i < size:
        token = line[i]
        word = token.fold
        start = i
        found = False
        if (
            (word in TITLES or (token.raw == "M" and i + 1 < size and line[i + 1].gap == ". "))
            and i + 1 < size
            and line[i + 1].gap in (" ", ". ")
        ):
            while i + 2 < size and line[i + 1].fold in TITLES and line[i + 2].gap in (" ", ". "):
                i += 1  # Frau Doktor Eichinger, Herr Prof. Dr. Quandt
            follower = line[i + 1]
            upper = follower.capital and follower.fold not in TITLES and follower.fold not in _DAYS
            usual = word not in (
                "pan",
                "sir",
                "sister",
                "father",
                "miss",
                "san",
                "coach",
            )
            called = word == "pan" and upper and follower.fold not in strict  # pan Abubakar
            if (upper and (usual or called or token.capital or polish)) or (
                usual and follower.fold in last and follower.fold not in strict
            ):
                found = upper or follower.fold not in strict
                i += 1
                token, word = follower, follower.fold
        elif word in KIN and i + 1 < size and line[i + 1].gap in (" ", ", ", ": ") and line[i + 1].capital:
            follower = line[i + 1]
            plain = follower.fold in strict and not (follower.fold in first or follower.fold in last)
            if (
                follower.fold not in _DAYS
                and not plain
                and follower.fold not in KIN
                and not opens_sentence(follower)
            ) and (not german or follower.fold in first or follower.fold in last):
                found = True
                start = i = i + 1
                token, word = follower, follower.fold
        if not found:
            found = (
                _is_introduced(text, line, i, german)
                if cued
                else _is_name(text, line, i, german, polish, first, last, wide, strict, capital)
            )
        if not found:
            i += 1
            continue
        end = _extend(line, i, german, first, last, strict)
        if public and " ".join(line[k].fold for k in range(start, end)) in public:
            i = end
            continue
        whole = end - i
        led = lead.get(start)
        ranked = (
            start > 0
            and line[start - 1].capital
            and line[start - 1].fold in FICTION
            and line[start].gap in (" ", ". ")
        )
        if (
            led
            or ranked
            or (
                led is False
                and whole > 1
                and not all(line[k].fold in first or line[k].fold in last for k in range(i, end))
            )
            or (led is False and title_run(line, start, end, german))
            or (
                led is None
                and title_run(line, start, end, german)
                and line[start - 1 if start else 0].fold not in TITLES
            )
            or SHOWBIZ.search(text[max(0, line[start].start - 32) : line[start].start])
        ):
            i = end
            continue
        yield line[start].start, line[end - 1].end
        i = end


def _is_name(
    text: str,
    line: list[Token],
    i: int,
    german: bool,
    polish: bool,
    first: frozenset[str],
    last: frozenset[str],
    wide: frozenset[str],
    strict: frozenset[str],
    capital: frozenset[str],
) -> bool:
    token = line[i]
    word = token.fold
    size = len(word)
    if size < 2 or word in _DAYS:
        return False
    upper = token.capital and not (token.raw.isupper() and size > 1)
    if (
        upper
        and size > 2
        and word not in words("common")
        and _AND_THEIR.match(text, token.end, token.end + 80)
    ):
        return True
    if word in strict:
        if size < 3 or not (word in first or word in last):
            return False
        intro = upper and _INTRODUCES.search(text[max(0, token.start - 16) : token.start])
        return (intro is not None and intro is not False) or name_like(line, i, last)
    if not upper:
        if size > 3 and word not in capital and (word in wide or (word in first and _cued(line, i))):
            return True
        if polish and size > 3 and word in inflected_names() and i and line[i - 1].fold in _PL_BEFORE:
            return True
        after = line[i + 1] if i + 1 < len(line) and line[i + 1].gap == " " else None
        return (
            after is not None
            and size > 2
            and word in first
            and after.fold in last
            and after.fold not in strict
            and len(after.fold) > 3
            and word not in words("everyday")
        )
    opening = opens_sentence(token)
    before = line[i - 1].fold if i and token.gap.strip(" ,'’") == "" else ""
    after = line[i + 1] if i + 1 < len(line) else None
    if size > 2 and (word in first or word in short_names()):
        if word in capital or (opening and word not in wide):
            return not opening or _follows(after, last, first, strict)
        return not (german and word not in wide and before not in TOLD)
    if size > 2 and before and _DOOR.search(text[max(0, token.start - 20) : token.start]):
        return True
    if not german and before and size > 2 and _ASKED.search(text[max(0, token.start - 40) : token.start]):
        return True
    if before and _NAMED.search(text[max(0, token.start - 16) : token.start]) and size > 2:
        return not german or word in last
    if (
        polish
        and (word in inflected_names() or _PL_FAMILY.fullmatch(word))
        and (not opening or _follows(after, last, first, strict))
    ):
        return True
    if german and word[-1:] == "s" and word[:-1] in wide and word[:-1] not in capital:
        return True
    if opening or size < 4:
        return False
    if (
        not german
        and after is not None
        and after.gap == " "
        and after.fold in SPEAKS
        and before not in _ARTICLES
    ):
        return True
    if _SLAVIC.fullmatch(word):
        return True
    if word in last:
        return (
            not german
            or before in TOLD
            or before == "familie"
            or (after is not None and after.fold in SPEAKS)
        )
    return bool(before in ("told", "asked", "dile", "powiedz") and size > 3)


def _is_introduced(text: str, line: list[Token], i: int, german: bool) -> bool:
    """Whether what stands around a capital makes it a name, whatever the word: the tier `rules` has no lists."""
    token = line[i]
    if not token.capital or len(token.raw) < 3 or token.raw.isupper() or token.fold in _DAYS or german:
        return False
    if token.fold in everyday() or _AND_THEIR.match(text, token.end, token.end + 80):
        return token.fold not in everyday()
    before = text[max(0, token.start - 40) : token.start]
    return any(cue.search(before) for cue in (_DOOR, _INTRODUCES, _ASKED))


_ARTICLES = frozenset(
    (
        "the",
        "a",
        "an",
        "my",
        "your",
        "our",
        "le",
        "la",
        "les",
        "el",
        "los",
        "las",
        "il",
        "lo",
        "gli",
        "un",
        "une",
        "una",
        "mi",
        "mon",
        "ma",
    )
)
_PL_BEFORE = frozenset(("u", "od", "z", "ze", "dla", "do", "przez", "przy", "o"))


def _cued(line: list[Token], i: int) -> bool:
    """Whether a name in lower case stands behind a word that people follow (`told bethany`, `my cousin
    tyrone`)."""
    return i > 0 and line[i].gap == " " and (line[i - 1].fold in KIN or line[i - 1].fold in _TOLD_LOW)


_TOLD_LOW = TOLD - {
    "ze",
    "od",
    "dla",
    "missed",
    "miss",
    "liebe",
    "lieber",
    "cher",
    "chere",
    "caro",
    "cara",
    "querido",
    "querida",
    "con",
    "com",
}


def _follows(
    after: Token | None, last: frozenset[str], first: frozenset[str], strict: frozenset[str]
) -> bool:
    """Whether the next word makes a capital at the start of a sentence a name."""
    if after is None:
        return True
    if "," in after.gap or ":" in after.gap:
        return True
    if after.gap in ("'", "’"):
        return after.fold in ("s", "ll", "d")
    if after.gap not in (" ", "-"):
        return "?" in after.gap or "!" in after.gap
    return (
        after.fold in SPEAKS
        or after.fold in _DOES
        or (after.capital and (after.fold in last or after.fold in first))
    )


_DOES = cues("does")


def _extend(
    line: list[Token],
    i: int,
    german: bool,
    first: frozenset[str],
    last: frozenset[str],
    strict: frozenset[str],
) -> int:
    """The index behind the last word of the name that opens at `i`."""
    end = i + 1
    low = not line[i].capital
    while end < len(line) and end - i < 5:
        token = line[end]
        if not (adjoins(token) and token.gap != "  ") or (token.gap == ". " and len(line[end - 1].raw) > 2):
            break
        word = token.fold
        known = word in last or word in first
        if token.gap in ("'", "’") and not token.capital:
            break
        if low:
            if not (known and not token.capital and word not in strict and len(word) > 3 and word in last):
                break
        elif token.capital and len(word) == 1:
            pass
        elif token.capital:
            if word in _DAYS or (token.raw.isupper() and len(word) < 4):
                break
            if (
                word in PARTICLES
                and end + 1 < len(line)
                and line[end + 1].capital
                and line[end + 1].gap in (" ", "'", "’")
            ):
                pass  # Rosario Lo Cascio
            elif word in strict and not known:
                break
        elif (
            word in PARTICLES
            and end + 1 < len(line)
            and line[end + 1].capital
            and line[end + 1].gap in (" ", "'", "’")
        ):
            if word in ("y", "e", "o", "a", "la", "le", "al", "el") and line[end + 1].fold not in last:
                break
            if word in ("y", "e", "o"):
                break
        elif (
            word in PARTICLES
            and end + 2 < len(line)
            and line[end + 1].fold in PARTICLES
            and line[end + 2].capital
            and line[end + 1].gap == line[end + 2].gap == " "
        ):
            end += 1
        else:
            break
        end += 1
    return end


def _towns(
    text: str, line: list[Token], lead: dict[int, bool], german: bool, polish: bool
) -> Iterator[tuple[int, int]]:
    towns, big, strict = lines("cities"), lines("big"), everyday()
    openers = town_openers()
    i, size = 0, len(line)
    while i < size:
        token = line[i]
        before = line[i - 1].fold if i and token.gap in (" ", "'", "’") else ""
        cue = before in _LOCATIVE
        reach = 0
        if token.fold in openers:
            for length in (4, 3, 2):
                joined = " ".join(t.fold for t in line[i : i + length])
                near = all(t.gap in (" ", "-", "'", "’") for t in line[i + 1 : i + length])
                if i + length <= size and joined in towns and near and (token.capital or cue):
                    reach = length
                    break
        if not reach and len(token.fold) > 2 and not lead.get(i):
            word = token.fold
            if token.capital and not (token.raw.isupper() and len(word) < 5):
                if word in towns:
                    if (
                        word in strict
                        or word in words("first")
                        or word in words("last")
                        or word in words("capital")
                    ):
                        reach = int(
                            cue
                            and (_LIVES.search(text) is not None or word in big)
                            and (word not in words("common") or token.capital)
                        )
                    else:
                        reach = int(cue or not opens_sentence(token) or word in big)
                elif (
                    polish and cue and any(word.endswith(e) and word[: -len(e)] in towns for e in _PL_CASES)
                ) or (
                    polish
                    and len(word) > 3
                    and any(
                        word.startswith(stem)
                        and len(word) < len(stem) + 5
                        and word[len(stem) : len(stem) + 2] != "sk"
                        for stem in _PL_TOWNS
                    )
                ):
                    reach = 1
            elif cue and word in big and len(word) > 4 and word not in strict and word not in words("first"):
                reach = 1
        if reach and not (
            lead.get(i)
            or (lead.get(i) is False and not cue)
            or (title_run(line, i, i + reach, False) and not cue)
            or SET_IN.search(text[max(0, token.start - 24) : token.start])
            or (
                cue
                and i > 1
                and line[i - 2].capital
                and not opens_sentence(line[i - 2])
                and line[i - 2].fold in strict
                and line[i - 2].fold not in _DAYS
                and not german
                and line[i - 2].fold != "i"
            )
        ):
            yield token.start, line[i + reach - 1].end
        i += max(reach, 1)


@cache
def town_openers() -> frozenset[str]:
    """The first words of towns of several words."""
    return frozenset(name.partition(" ")[0] for name in lines("cities") if " " in name)
