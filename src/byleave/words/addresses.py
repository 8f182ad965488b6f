"""Postal addresses by their grammar: English, German, French and the other Romance languages, Polish.

1. A street needs its kind (`Street`, `-straße`, `rue`, `via`, `ul.`) *and* a house number; a post code alone
   counts only where its form can be nothing else, or before a town.
2. Flat, post code and town are taken along where they follow at once.
3. Patterns are bounded, and a text without a street word or a post code never meets them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from byleave.words.rules import Found

_NUMBER = r"\d{1,5}(?:[ ]?[a-zA-Z](?![^\W\d_]))?(?:[ ]?[-/][ ]?(?:\d{1,4}[a-zA-Z]?|[A-Z])(?!\w))?"
_CAP = r"[A-ZÀ-ÖØ-ÞĀ-Ž][a-zß-öø-ÿā-ž'’.-][\w'’.-]{0,30}"
_TOWN = (
    rf"{_CAP}(?:[ -](?:{_CAP}|am|an|der|im|bei|sur|la|le|les|de|del|di|do|da|dos|upon|en|nad|"
    rf"[Ss]aint)){{0,3}}"
)
_UK = r"[A-Z]{1,2}\d[A-Z\d]?[ ]?\d[A-Z]{2}"
_CODE = (
    rf"(?:(?:[A-Z]{{1,2}}-)?\d{{5}}(?:-\d{{3,4}})?|\d{{2}}-\d{{3}}|\d{{4}}(?:-\d{{3}})?|{_UK}|"
    rf"[A-Z]\d[A-Z][ ]?\d[A-Z]\d)"
)
_FLAT = (
    r"(?i:[, ]{1,2}(?:apartment|appartement|apto|apt|flat|unit|suite|ste|no|app|b[âa]t\w{0,6}|[ée]tage|piso|"
    r"puerta|esc|escalera|"
    r"andar|bloco|bl|interno|int|scala|piano|m|mieszk\w{0,5}|lok|wohnung|whg|top|wejście|#)\.?[ "
    r"]?#?(?:\d\w{0,4}|[a-z](?!\w))|"
    r"[, ]{1,2}(?:bajo|[áa]tico|entresuelo|principal|r/c|r[ée]s-do-ch[ãa]o|rez-de-chauss[ée]e|piano terra|parter|"
    r"hinterhaus|vorderhaus|seitenfl[üu]gel|erdgeschoss|dachgeschoss|eg|dg|basement|top floor|ground floor)"
    r"(?:[ ](?:izq\w{0,6}|dcha|dto|esq|[a-d])\.?)?(?!\w)|[, ]{1,2}\d{1,2}\.[ ]?(?:og|stock|etage|piętro)(?!\w))"
)
_TAIL = (
    rf"(?:{_FLAT}){{0,2}}(?:,?[ ]\d{{1,2}}[º°ªoa]?[. ]?[ ]?"
    rf"(?:[A-Z]|(?i:izq\w{{0,6}}|dcha|der|esq\w{{0,6}}|dto|dir|dx|sx|frente))\.?(?!\w)|,[ ]\d{{1,2}}[º°ªoa](?!\w))?"
    rf"(?:(?:,|\n|[ ]in|[ ]à|[ ]en|[ ]a|[ ]em|[ ]w|[ ]-)?[ ,\n]{{1,2}}{_CODE}(?:[ ,]{{1,2}}{_TOWN})?|(?:,|"
    rf"[ ]in)[ ]{_TOWN})?"
    rf"(?:,[ ](?:[A-Z]{{2}}(?:[ ]\d{{5}}(?:-\d{{4}})?)?|{_TOWN}))?(?:,?[ ]{_UK}(?!\w))?"
)

_EN_KIND = (
    r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|court|ct|place|pl|square|sq|terrace|way|boulevard|"
    r"blvd|close|"
    r"crescent|cres|gardens|gdns|grove|hill|row|mews|parade|highway|hwy|parkway|pkwy|circle|cir|trail|"
    r"walk|quay|green|"
    r"rise|view|alley|loop|plaza|turnpike|wharf|yard|mansions|heights|villas|buildings|towers)"
)
_EN_STOP = (
    r"(?:the|a|an|of|my|your|our|his|her|their|this|that|in|on|at|to|down|up|from|and|or|for|with|by|is|"
    r"was|are|per|more|less|"
    r"minutes?|mins?|min|hours?|hrs?|days?|years?|weeks?|months?|km|miles?|times?|people|kids|blocks?|pm|"
    r"am|stars?|films?|"
    r"movies?|euros?|dollars?|seasons?|episodes?|percent|it|we|i|you|they|he|she|if|so|no|not|all|one|"
    r"some|any|out|into|"
    r"over|off|each|every|around|across|only|just|than|as|but|when|then|too|also|very|much|many)"
)
_EN = re.compile(
    rf"(?<![\w.$€£#-])(?:(?:flat|apt\.?|apartment|unit|suite)[ ]\w{{1,5}},?[ "
    rf"])?\d{{1,5}}[a-z]?(?:[-/]\d{{1,4}})?,?[ ]"
    rf"(?:(?:north|south|east|west|[nsew]|[ns][ew])\.?[ ])?(?:(?!{_EN_STOP}[ ])[\w'’.]{{1,20}}[ "
    rf"-]){{1,4}}?{_EN_KIND}(?!\w)\.?"
    rf"(?:[ ](?:north|south|east|west|[nsew]{{1,2}})(?!\w)\.?)?"
    rf"(?:,[ ](?-i:[A-Z])[\w'’]{{1,20}}[ ](?:(?-i:[A-Z])[\w'’]{{1,20}}[ ]){{0,2}}{_EN_KIND}(?!\w))?",
    re.I,
)
_EN_BROADWAY = re.compile(
    r"(?<!\w)\d{1,5}[ ](?:broadway|the strand|piccadilly|whitehall|haymarket|park avenue)(?!\w)", re.I
)

_DE_KIND = (
    r"(?:stra(?:ß|ss)e|str\.?|weg|gasse|platz|allee|damm|ufer|steig|pfad|chaussee|graben|markt|zeile|"
    r"stieg|winkel|(?<!conju)(?<!ou)(?<!b)ring|hof|berg)"
)
_DE = re.compile(
    r"(?<![\w-])(?:(?:(?:Neue|Alte|Gro(?:ß|ss)e|Kleine|Obere|Untere|Hohe|Lange|Kurze|Vordere|Hintere|Innere|Äu(?:ß|ss)ere)[nrs]?[ ])?"
    rf"[^\W\d_]{{2,30}}-?(?:{_DE_KIND})|"
    r"(?:am|an der|an den|im|in der|in den|auf dem|auf der|auf den|zum|zur|unter den|unter der|hinter dem|"
    r"hinter der|hinter den|vor dem|vor der|vor den|beim)[ ]"
    rf"(?:[A-ZÄÖÜ][\w-]{{2,20}}e[mnr]?[ ])?[A-ZÄÖÜ][\w-]{{2,25}}|[^\W\d_]{{2,20}}(?:er|e|en|es)[ -](?:stra(?:ß|ss)e|str\.|gasse|allee|weg|"
    rf"platz|ring|damm|ufer))"
    rf"[ ]?{_NUMBER}(?![\w%€$.:]|[ ](?:uhr|jahre?|euro|min|stunden|prozent|mal|leute)\b)",
    re.I,
)
_DE_PREP = re.compile(
    r"(?:am|im|an|in|auf|zum|zur|unter|hinter|vor|beim)\b(?:[ ](?:der|den|dem))?[ ]([\w-]+)", re.I
)
_DE_TIME = re.compile(
    r"(?:montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|abend|morgen|januar|februar|märz|"
    r"april|mai|juni|juli|"
    r"august|september|oktober|november|dezember|jahr|kino|film|teil|staffel|folge|platz|kapitel|alter|"
    r"schnitt|ende|anfang|"
    r"woche|wochenende|saal|reihe|level|stand|minute|runde|jahre|top|sommer|winter|herbst|frühling|gleis|"
    r"tag)",
    re.I,
)
_DE_NOT = re.compile(
    r"(?:auf |den |der |dem )?(?:platz|ring|hof|berg|markt|weg|hinweg|rückweg|spielplatz|parkplatz|"
    r"sitzplatz)",
    re.I,
)

_LINK_WORDS = (
    r"(?:(?:de[ ]la|de[ ]los|de[ ]las|dell['’]|della|delle|degli|dei|del|des|du|das|dos|da|do|de|d['’]|di|"
    r"l['’]|la|le|les|los|las|el|san|santa|sao|são|saint|sainte)[ ]?){0,3}"
)
_FR = re.compile(
    r"(?<![\w.])\d{1,4}(?:[ ]?(?:bis|ter|quater|[a-d])(?!\w))?,?[ ](?:rue|r\.|avenue|av\.?|ave\.?|"
    r"boulevard|bld\.?|bvd\.?|bd\.?|place|pl\.|"
    r"chemin|ch\.|all[ée]es?|impasse|quai|cours|route|square|passage|faubourg|cit[ée]|r[ée]sidence|"
    r"sentier|esplanade|mont[ée]e|"
    rf"ruelle|venelle|villa|rond-point)[ ]{_LINK_WORDS}[\w'’.-]{{2,25}}(?:[ -](?:{_CAP}|"
    rf"{_LINK_WORDS}{_CAP})){{0,4}}",
    re.I,
)
_ROMANCE_KIND = (
    r"(?:calle|c/|c\.|avenida|avda\.?|avd\.?|av\.|paseo|p[ºo]\.|plaza|plza\.?|pza\.?|camino|carretera|"
    r"ctra\.?|ronda|traves[íi]a|glorieta|callej[óo]n|"
    r"rua|r\.|travessa|tv\.|pra[çc]a|p[çc]\.|largo|estrada|estr\.|alameda|al\.|beco|rodovia|cal[çc]ada|"
    r"via|viale|v\.le|piazza|p\.zza|p\.za|piazzale|corso|c\.so|vicolo|strada|lungomare|lungarno|contrada|"
    r"salita|vico|borgo|"
    r"rue|avenue|boulevard|place|chemin)"
)
_ROMANCE = re.compile(
    rf"(?<![\w.]){_ROMANCE_KIND}[ ]?{_LINK_WORDS}[\w'’.ºª-]{{2,25}}(?:[ "
    rf"-]{_LINK_WORDS}(?!\d)[\w'’.-]{{1,25}}){{0,4}}?"
    rf"(?:,[ ]?|[ ],?)(?:(?:n\.?[ºo°]|n\.|nº|n°|num\.?|n[úu]mero|numero|no\.|al|en el|no)[ "
    rf"]?)?{_NUMBER}(?![\w%€$:])"
    r"(?![ ](?:anni|a[ñn]os|anos|horas?|ore|euros?|veces|volte|vezes|minut\w{1,3}|giorni|d[íi]as|dias|"
    r"mes[ei]s?|km)\b)",
    re.I,
)
_PL_KIND = (
    r"(?:ul\.?|ulic[aęyą]|al\.|alej[aęi]|aleje|alejach|pl\.|plac|placu|os\.|osiedl[eua]|rond[oa]|rynek|"
    r"rynku|bulwar\w{0,2})"
)
_PL = re.compile(
    rf"(?<![\w.]){_PL_KIND}[ ]?(?:(?:{_CAP}|[a-z]{{1,3}}\.|\d{{1,2}}|i|na|pod|nad|[^\W\d_]{{3,25}})[ "
    rf"-]?){{1,4}}?"
    r"[ ]\d{1,4}[a-zA-Z]?(?:[ ]?(?:/|m\.?|lok\.?|mieszkania?|mieszk\.?)[ ]?\d{1,4}[a-z]?)?(?!\w)",
    re.I,
)
_PL_BARE = re.compile(
    r"(?<!\w)(?:na|przy)[ ](?P<name>[A-ZŁŚŻŹĆ][\w-]{3,25}(?:iej|ej|ego|skiego|owej|nej|ów|a|y|i))[ "
    r"]\d{1,4}[a-zA-Z]?(?:/\d{1,4})?(?![\w:.%])"
)
_TAIL_RE = re.compile(_TAIL)
_CUED = re.compile(
    r"(?<!\w)(?i:adres(?:se?|em|u)?|address|indirizzo|direcci[óo]n|endere[çc]o|morada)"
    r"(?:[ ](?i:to|is|ist|est|es|[ée]|è|na|przy))?[ ]?:?[ ](?P<street>"
    rf"{_CAP}(?:[ -]{_CAP}){{0,3}},?[ ]\d{{1,4}}[a-zA-Z]?(?:[ ]?/[ ]?\d{{1,4}})?)(?![\w%€$:])"
)
"""A name and a number right behind the word `address`, in no grammar."""

_CODE_ALONE = re.compile(
    rf"(?<![\w-])(?:{_UK}|[A-CEGHJ-NPR-TVXY]\d[A-Z][ ]?\d[A-Z]\d|(?P<town>(?:D-|F-|E-|I-|PL-)?\d{{5}}[ "
    rf"](?P<name>{_TOWN}))|"
    rf"\d{{2}}-\d{{3}}[ ]{_TOWN}|\d{{4}}-\d{{3}}(?:[ ]{_TOWN})?|{_CAP}(?:[ ]{_CAP}){{0,2}},?[ "
    rf"](?P<state>[A-Z]{{2}}),?[ ]\d{{5}}(?:-\d{{4}})?)(?![\w-])"
)
_PO_BOX = re.compile(
    r"(?<!\w)(?:p\.?[ ]?o\.?[ ]?box|postfach|apartado|casella postale|caixa postal|bo[iî]te postale|"
    r"skrytka)[ ]\d{1,6}",
    re.I,
)
_COORDINATES = re.compile(
    r"(?<![\w.])-?\d{1,2}\.\d{3,8}°?[ ]?[NS]?[,;/ ][ ]?-?\d{1,3}\.\d{3,8}°?[ ]?[EWO]?(?![\w.])"
)

_CUES = {
    "en": re.compile(rf"\d[^\n]{{1,80}}\b(?:{_EN_KIND}|broadway|strand|piccadilly|whitehall)\b", re.I),
    "de": re.compile(
        rf"{_DE_KIND}\b\.?[ ]?\d|\b(?:am|an|im|in|auf|zum|zur|unter|hinter|vor|beim)\b[^\n]{{3,35}}[ ]\d",
        re.I,
    ),
    "fr": re.compile(
        r"\d[^\n]{0,10}\b(?:rue|r\.|avenue|av|ave|boulevard|bld|bvd|bd|place|pl|chemin|ch\.|all[ée]es?|"
        r"impasse|quai|cours|"
        r"route|square|passage|faubourg|cit[ée]|r[ée]sidence|sentier|esplanade|mont[ée]e|ruelle|venelle|"
        r"villa|rond-point)\b",
        re.I,
    ),
    "romance": re.compile(rf"(?<!\w){_ROMANCE_KIND}[ \w]", re.I),
    "pl": re.compile(rf"(?<!\w)(?:{_PL_KIND}|na|przy)(?!\w)", re.I),
}
"""What a text must hold before a grammar is tried on it."""


def addresses(text: str, known_town: Callable[[str], bool]) -> Iterator[Found]:
    """Streets with a house number, post codes, post boxes and coordinates. `known_town(name)` tells whether
    a name behind five digits is a town (`10115 Berlin`) or not (`10000 Euro`)."""
    patterns = {kind for kind, cue in _CUES.items() if cue.search(text)}
    found: list[Found] = []
    for kind in sorted(patterns):
        for match in _GRAMMARS[kind].finditer(text):
            if not (kind == "de" and _not_german(match[0])):
                found.append((match.start(), _with_tail(text, match.end()), "ADDRESS"))
    extra = (
        ([_EN_BROADWAY] if "en" in patterns else []) + ([_PL_BARE] if "pl" in patterns else []) + [_PO_BOX]
    )
    for pattern in extra:
        found += [
            (match.start(), _with_tail(text, match.end()), "ADDRESS") for match in pattern.finditer(text)
        ]
    for match in _CUED.finditer(text):
        found.append((match.start("street"), _with_tail(text, match.end()), "ADDRESS"))
    for match in _CODE_ALONE.finditer(text):
        if match["state"] and match["state"] not in _STATES:
            continue
        if not match["town"] or known_town(match["name"]):
            found.append((match.start(), match.end(), "ADDRESS"))
    yield from _merged(found)
    for match in _COORDINATES.finditer(text):
        yield match.start(), match.end(), "LOCATION"


def _merged(found: list[Found]) -> Iterator[Found]:
    """Where two grammars read the same street, all that either of them took."""
    end = -1
    begin = 0
    for start, stop, _ in sorted(found):
        if start > end:
            if end >= 0:
                yield begin, end, "ADDRESS"
            begin, end = start, stop
        end = max(end, stop)
    if end >= 0:
        yield begin, end, "ADDRESS"


def _with_tail(text: str, end: int) -> int:
    tail = _TAIL_RE.match(text, end)
    return tail.end() if tail else end


def _not_german(street: str) -> bool:
    """`im Kino 3`, `am Samstag 12`, `auf Platz 1`: German that only looks like a street."""
    name = re.sub(r"[ ]?\d.*", "", street)
    prep = _DE_PREP.match(name)
    if prep and not _DE_ENDS.search(name):
        return bool(_DE_TIME.match(prep[1])) or name.lower().startswith(
            ("in ", "auf ", "vor ", "zum ", "zur ", "beim ")
        )
    return _DE_NOT.fullmatch(name) is not None


_DE_ENDS = re.compile(rf"[^\W\d_]{{2,}}{_DE_KIND}$", re.I)

_GRAMMARS = {"en": _EN, "de": _DE, "fr": _FR, "romance": _ROMANCE, "pl": _PL}
_STATES = frozenset(
    [
        "AL",
        "AK",
        "AZ",
        "AR",
        "CA",
        "CO",
        "CT",
        "DE",
        "FL",
        "GA",
        "HI",
        "ID",
        "IL",
        "IN",
        "IA",
        "KS",
        "KY",
        "LA",
        "ME",
        "MD",
        "MA",
        "MI",
        "MN",
        "MS",
        "MO",
        "MT",
        "NE",
        "NV",
        "NH",
        "NJ",
        "NM",
        "NY",
        "NC",
        "ND",
        "OH",
        "OK",
        "OR",
        "PA",
        "RI",
        "SC",
        "SD",
        "TN",
        "TX",
        "UT",
        "VT",
        "VA",
        "WA",
        "WV",
        "WI",
        "WY",
        "DC",
        "PR",
    ]
)
