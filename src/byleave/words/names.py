"""People and towns that no address book knows: lexicon, gazetteer, cues, and the film-verb veto.

1. A given name of the lexicon counts with a capital, a widely used one in lower case too; a word that is also an
   everyday word needs a cue before it or a follower behind it (lexicon.py).
2. A title (`Frau`, `Mr`, `pani`) or kinship (`my friend`, `mi prima`) makes a person of whatever capital follows.
3. A family name follows a given name; alone it counts inside a sentence with a capital.
4. What reads as the title of a film is left alone: behind a film verb (`watched Chicago`), between quotes beside
   film talk, before a year in brackets, in a run of capitals, or in the catalogue (titles.py).
5. Linear in the words; every look at neighbours is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from byleave.words.lexicon import (
    KIN,
    PARTICLES,
    SPEAKS,
    TITLES,
    TOLD,
    Token,
    adjoins,
    everyday,
    inflected,
    lines,
    name_like,
    opens_sentence,
    short_forms,
    words,
)
from byleave.words.rules import Found
from byleave.words.titles import Titles

_DE = frozenset(
    "ich und der die das nicht mit wir du ist ein eine den dem auf fur hab habe hat war sind auch noch mal zu im am von bei aber wie kommt heute".split()
)
_OTHER = frozenset(
    "i the and you to is a it my me we was in que de la et el en con je les un una il che di e o os com na nie jest sie z w do".split()
)
_PL = frozenset(
    "nie sie z ze w we na jest to i do od czy mam jak co u ja ty jutro dzis wczoraj przy dla po juz tylko ale mi moja moj byl byla".split()
)

_DAYS = frozenset(
    "monday tuesday wednesday thursday friday saturday sunday montag dienstag mittwoch donnerstag freitag samstag sonntag januar februar marz april mai juni "
    "juli august september oktober november dezember january february march may june july october december heute morgen gestern abend "
    "lundi mardi mercredi jeudi vendredi samedi dimanche lunes martes miercoles jueves viernes sabado domingo lunedi martedi mercoledi giovedi venerdi "
    "christmas easter halloween weihnachten ostern netflix instagram whatsapp youtube google facebook amazon prime disney hbo tv ok pm am dm".split()
)
_STRONG = frozenset(
    "watch watched watching watches rewatch rewatched rewatching stream streamed streaming binge binged binging screening "
    "schaue schauen schau schaust geschaut geguckt gucken gucke guckt angeschaut anschauen angeguckt gestreamt streamen "
    "regarde regarder regardes regarde regardons mate mater visionner "
    "assisti assistir assistimos assistiu assistindo assiste guardato guardare guardiamo guardo rivisto rivedere "
    "obejrzec obejrzalem obejrzalam ogladam ogladalem ogladalam ogladac obejrzymy obejrzyj obejrzelismy ogladamy ogladalismy "
    "movie movies film films filme pelicula peli filmu filmie filmem serie series sequel remake trailer called titled episode season staffel folge saison temporada stagione sezon kino doku documentary soundtrack imdb".split()
)
"""Right before a name these make it a title: verbs that only films take, and the words for films."""
_WEAK = frozenset(
    "seen saw see seeing love loved loves like liked enjoyed recommend recommended hate hated finished started prefer try rate rated "
    "gesehen sehen sah empfehle liebe mochte vu voir revu adore aime recommande visto ver vi vimos viste recomiendo recomendo adoro "
    "gostei encanto vedere vedi consiglio amo polecam widzialem widzialam lubie kocham than about comme como come wie jak".split()
)
"""Right before a run of capitals that is no plain name these make it a title."""
_STOP = frozenset(
    "with at last yesterday today tonight again together on and but mit gestern heute wieder und avec hier ce et con ayer hoy y com ontem hoje ieri oggi z ze wczoraj "
    "dzis in because for from".split()
)
_SKIP = frozenset(
    "the a an movie film new old that called der die das den le la les el los las il lo o os um un una another some first von de du".split()
)
_FICTION = frozenset(
    "king queen prince princess captain saint st santa san lord lady agent inspector emperor general colonel sergeant private major "
    "commander konig konigin prinz prinzessin kapitan roi reine prince capitaine rey reina principe princesa capitan capitao rei rainha re regina krol krolowa".split()
)
"""Ranks before a name that only stories have."""
_SHOWBIZ = re.compile(
    r"(?:directed by|director|actor|actress|starring|stars|cast|played by|soundtrack by|regie|regisseur\w{0,2}|schauspieler\w{0,2}|mit .{0,20} in der hauptrolle|"
    r"acteur|actrice|r[ée]alis\w{1,9}|actor|actriz|dirigid\w{1,2} por|director|diretor\w{0,1}|ator|atriz|realizador|attore|attrice|regista|diretto da|"
    r"aktor\w{0,3}|aktork\w{1,2}|re[zż]yser\w{0,2}|biopic|character|role of|rolle|als)\s{1,2}(?:by |de |di |von |da |por )?$",
    re.I,
)
_SET_IN = re.compile(
    r"(?:set|filmed|shot|takes place|spielt|gedreht|se passe|tourn[ée]e?|ambientad\w|rodad\w|ambientat\w|girat\w|passa-se|filmad\w|rozgrywa si[eę]|dzieje si[eę]|kr[eę]con\w)\s(?:in|à|a|en|em|w|no|na|nel|nella)\s$",
    re.I,
)
_YEAR = re.compile(r"['’\"”]?\s?\((?:19|20)\d\d\)")
_QUOTE = re.compile(r"[\"“„«‹‚]([^\"“”„«»‹›\n]{1,60})[\"”“»›]")
_FILM_TALK = re.compile(
    r"\b(?:movies?|films?|filme?|filmu|pel[ií]culas?|pelis?|s[eé]ries?|serien?|serial\w{0,3}|watch\w{0,4}|seen|cinema|cin[eé]ma|cine|kino|netflix|trailer|imdb|season|episode|gesehen|geschaut|vu|visto|ogl[aą]da\w{0,4}|obejrz\w{0,5})\b",
    re.I,
)
_NAMED = re.compile(
    r"(?:\b(?:named|name is|name's|i'm|i am|this is|hei(?:ß|ss)t|hei(?:ß|ss)e|namens|ich bin|s'appelle|m'appelle|je suis|c'est|se llama|me llamo|soy|si chiama|mi chiamo|"
    r"sono|chama-se|chamo-me|se chama|me chamo|sou [oa]|imi[eę]|nazywa si[eę]|nazywam si[eę])\s)$",
    re.I,
)
_LOCATIVE = frozenset(
    "in at from to near around visit visiting visited via outside into leaving reach live lives living based aus nach bei richtung uber a d vers en de depuis "
    "desde hacia para por em do no na da di per verso w we z ze pod od kolo nad przez".split()
)
_LIVES = re.compile(
    r"\b(?:liv(?:e|es|ed|ing)|mov(?:e|ed|ing)|stay(?:s|ed|ing)?|based|fly(?:ing)?|flew|travel\w{0,5}|trip|born|grew up|from|arriv\w{1,3}|driv\w{1,3}|wohn\w{0,3}|zieh\w{0,3}|"
    r"umgezogen|lebt?e?|komm\w{0,2} aus|flieg\w{0,2}|fahr\w{0,2}|habit\w{1,4}|viens|d[ée]m[ée]nag\w{1,5}|viv\w{1,4}|mud\w{1,5}|mor\w{1,3}|abit\w{1,3}|trasferi\w{1,4}|"
    r"mieszka\w{0,3}|jad[eę]|lec[eę]|przeprowadz\w{1,6})\b"
)
_STREET = re.compile(
    r"(?:\b(?:on|in|at|off|near|from|down)\s(?:[A-Z][\w'’]{1,20}\s){1,3}(?:Street|Road|Avenue|Lane|Drive|Court|Square|Terrace|Crescent|Gardens|Close|Grove|Mews|St|Rd|Ave|Ln)\b|"
    r"\b(?:rue|avenue|boulevard|impasse|all[ée]e|quai|place)\s(?:(?:de la|du|des|de|de l'|d')\s?)?[A-ZÀ-Þ][\w'’-]{2,25}(?:[ -][A-ZÀ-Þ][\w'’-]{2,20}){0,3}|"
    r"\b(?:calle|avenida|paseo|plaza|via|viale|piazza|corso|vicolo|rua|travessa|pra[çc]a|largo)\s(?:(?:de la|del|de los|de|della|dei|do|da|dos|das|di)\s)?[A-ZÀ-Þ][\w'’-]{2,25}(?:[ -][A-ZÀ-Þ][\w'’-]{2,20}){0,3}|"
    r"\b(?:ul\.|ulic[aęy]|alej[aei]|al\.|osiedl[ue]|os\.|plac[u]?|pl\.)\s[A-ZŁŚŻŹĆÓ][\w-]{2,25}(?:\s[A-ZŁŚŻŹĆÓ][\w-]{2,20}){0,2}|"
    r"\b(?!Bundes|Land|Staats|Kreis|Sack|Einbahn|Milch|Seiten|Neben)[A-ZÄÖÜ][\wäöüß-]{2,25}(?:stra(?:ß|ss)e|gasse|allee)\b)"
)
_PL_TOWNS = tuple(
    "warszaw krakow lodz wroclaw poznan gdansk szczecin bydgoszcz lublin bialymstok bialegostok bialystok katowic gdyn czestochow radom sosnow torun kielc rzeszow gliwic "
    "zabrz olsztyn bielsk bytom rybnik opol gorzow elblag plock walbrzych wloclaw tarnow chorzow koszalin kalisz legnic grudziadz jaworzn slupsk zakopan sopot londyn "
    "paryz wiedn madryt berlin lizbon mediolan barcelon".split()
)
_PL_FAMILY = re.compile(
    r".{2,}(?:sk|ck|dzk)(?:i|a|iego|iemu|im|iej|ich|imi|ie|owie)$|.{3,}(?:wicz|czyk|czak|czuk|iak)(?:a|owi|em|iem|u|ow|om|ie)?$"
)
_SLAVIC = re.compile(
    r".{3,}(?:owski|owska|ewski|ewska|inski|inska|wicz|czyk|ovic|evic|enko|escu|opoulos|shvili|sson|ovsky|ovskaya|ikov|ova)$"
)


def find(text: str, line: list[Token], titles: Titles) -> Iterator[Found]:
    """People, towns and streets without a number in a folded text (what earlier layers found is blanked) with the words
    `line`; in order of kind, possibly overlapping."""
    if not line:
        return
    folds = {token.fold for token in line}
    german = len(folds & _DE) > len(folds & _OTHER)
    polish = len(folds & _PL) >= 1 and not german and not folds & {"the", "que", "di", "het"}
    lead = _leads(text, line, titles)
    for start, end in _people(text, line, lead, german, polish):
        yield start, end, "PERSON"
    for start, end in _towns(text, line, lead, german, polish):
        yield start, end, "LOCATION"
    for match in _STREET.finditer(text):
        first = _index(line, match.start())
        if not lead.get(first, False) and not _title_run(line, first, first + 1, german):
            yield match.start(), match.end(), "ADDRESS"


def _index(line: list[Token], place: int) -> int:
    low, high = 0, len(line)
    while low < high:
        middle = (low + high) // 2
        if line[middle].start < place:
            low = middle + 1
        else:
            high = middle
    return low


def _leads(text: str, line: list[Token], titles: Titles) -> dict[int, bool]:
    """The words (by index) that belong to a title of a film: True where surely, False where only a plain name may
    overrule it."""
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
            k = _index(line, match.start()) - 1
            while (
                k >= 0 and k > _index(line, match.start()) - 7 and (line[k].capital or line[k].fold in _SKIP)
            ):
                out[k] = True
                k -= 1
    if any(mark in text for mark in '"“„«‹'):
        talk = _FILM_TALK.search(text) is not None
        for match in _QUOTE.finditer(text):
            if talk or match[1][:1].isupper():
                for k in range(_index(line, match.start()), _index(line, match.end())):
                    out[k] = True
    if titles:
        talk = _FILM_TALK.search(text) is not None
        for i, size in titles.find(line):
            if size == 1 and not (talk or i in out):
                continue
            for k in range(i, i + size):
                out[k] = True
    return out


def _title_run(line: list[Token], i: int, j: int, german: bool) -> bool:
    """Whether words `i:j` stand in a run of capitals with plain words in it, as titles do (`Saving Private Ryan`)."""
    if german:
        return False
    plain = 0
    k = i - 1
    while k >= 0 and i - k < 6 and line[k + 1].gap in (" ", "-", "'", "’", " & ", ": "):
        token = line[k]
        if token.capital and token.fold not in TITLES and token.fold not in KIN and len(token.raw) > 1:
            if not opens_sentence(token) and token.fold not in TOLD:
                plain += token.fold in everyday() or token.fold not in words("first")
        elif token.fold not in _SKIP and token.fold not in (
            "of",
            "and",
            "in",
            "to",
            "y",
            "et",
            "e",
            "i",
            "und",
        ):
            break
        elif k == 0 or not line[k - 1].capital:
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


def _people(
    text: str, line: list[Token], lead: dict[int, bool], german: bool, polish: bool
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
            follower = line[i + 1]
            upper = follower.capital and follower.fold not in TITLES and follower.fold not in _DAYS
            usual = word not in (
                "pan",
                "don",
                "sir",
                "sister",
                "father",
                "miss",
                "san",
                "coach",
                "prof",
                "professor",
            )
            if (upper and (usual or token.capital or polish)) or (
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
            ):
                if not german or follower.fold in first or follower.fold in last:
                    found = True
                    start = i = i + 1
                    token, word = follower, follower.fold
        if not found:
            found = _is_name(text, line, i, german, polish, first, last, wide, strict, capital)
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
            and line[start - 1].fold in _FICTION
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
            or (led is False and _title_run(line, start, end, german))
            or (
                led is None
                and _title_run(line, start, end, german)
                and line[start - 1 if start else 0].fold not in TITLES
            )
            or _SHOWBIZ.search(text[max(0, line[start].start - 32) : line[start].start])
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
    if word in strict:
        return size > 2 and (word in first or word in last) and name_like(line, i, last)
    if not upper:
        if size > 3 and word not in capital and (word in wide or (word in first and _cued(line, i))):
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
        return not (german and word not in wide and before not in TOLD and word in _GERMAN_NOUNS)
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


_GERMAN_NOUNS: frozenset[str] = frozenset()


def _cued(line: list[Token], i: int) -> bool:
    """Whether a name in lower case stands behind a word that people follow (`told bethany`, `my cousin tyrone`)."""
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


_DOES = frozenset(
    "is has was will can said and just got sent ist hat war und kann wird est a et va vient sera es esta ha va y viene era e foi tem vai esta "
    "jest ma byl byla bedzie i mowi chce".split()
)


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
            if word in strict and not known:
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
                if i + length <= size and " ".join(t.fold for t in line[i : i + length]) in towns:
                    if all(line[k].gap in (" ", "-", "'", "’") for k in range(i + 1, i + length)) and (
                        token.capital or cue
                    ):
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
            or _title_run(line, i, i + reach, False)
            and not cue
            or _SET_IN.search(text[max(0, token.start - 24) : token.start])
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


@cache
def town_openers() -> frozenset[str]:
    """The first words of towns of several words."""
    return frozenset(name.partition(" ")[0] for name in lines("cities") if " " in name)
