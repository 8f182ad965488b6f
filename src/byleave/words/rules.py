"""Contact data that its own form gives away: e-mail, links with a token, IBAN, card, birth date, phone.

1. Rules run in the order of `CONTACT_RULES`; what one has claimed is blanked, so that no later rule reads it.
2. Every pattern is bounded or possessive: time is linear in the text, whoever wrote it.
3. A checksum or a cue is needed wherever numbers are also order numbers, years, prices or film titles.
4. A rule sees the folded text (folding.py) and nothing but that and the same author's message before.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from urllib.parse import urlsplit

import phonenumbers

Found = tuple[int, int, str]
"""(start, end, type) in the folded text."""

TRIGGER = re.compile(
    r"\d|@|://|www\.|\b(?:at|ät|arroba|arobase|chiocciola|ma[lł]pa|klammeraffe)\b|[a-z]\.[a-z]{2,6}/|magnet:",
    re.I,
)
"""A text without any of these holds nothing that a rule of this file could find."""

# --- e-mail ------------------------------------------------------------

_LOCAL = r"[\w.!#$%&'*+/=?^`{|}~-]"
_EMAIL = re.compile(
    rf"(?<!{_LOCAL[:-1]}])(?:{_LOCAL}++|\"[^\"\n]{{1,60}}\")@(?:[\w-]{{1,63}}\.)+[^\W\d_][\w-]{{1,62}}"
)
_EMAIL_MARK = re.compile(r"(?:^|[^\w])(?:[\w.+-]{1,64})@")
_TLD = (
    r"(?:com|net|org|info|io|eu|de|at|ch|fr|be|es|pt|br|it|pl|uk|ie|us|ca|mx|ar|nl|me|dev|app|test|"
    r"example|edu|gov)"
)
_MAILERS = (
    r"(?:gmail|googlemail|g\s?mail|outlook|hotmail|live|msn|yahoo|icloud|aol|gmx|web|posteo|mailbox|"
    r"protonmail|"
    r"proton|t-online|freenet|orange|wanadoo|laposte|free|sfr|libero|virgilio|tiscali|alice|sapo|uol|bol|"
    r"terra|"
    r"wp|o2|onet|interia|poczta|tutanota|fastmail|zoho|yandex)"
)
_AT_WORD = r"(?:at|ät|a\.t\.|arroba|aroba|arobase|chiocciola|chiocciolina|ma[lł]pa|malpka|klammeraffe|@)"
_DOT_WORD = r"(?:dot|d0t|punkt|point|punto|ponto|kropka|\.)"
_AT = re.compile(
    rf"(?P<bracket>\s?[\[({{<|_*-]{{1,2}}\s?{_AT_WORD}\s?[\])}}>|_*-]{{1,2}}\s?)|(?P<bare>\s{_AT_WORD}\s)|"
    r"(?P<spaced>\s@\s?|@\s)",
    re.I,
)
_DOT = rf"(?:\s?[\[({{<]\s?{_DOT_WORD}\s?[\])}}>]\s?|\s(?:dot|d0t|punkt|point|punto|ponto|kropka)\s|\s?\.\s?)"
_JOIN = (
    rf"(?:{_DOT}|\s(?:underscore|unterstrich|guion|guión|trattino|tiret|hyphen|minus|dash|"
    rf"podkre[sś]lnik)\s|[._+-])"
)
_LEFT = re.compile(rf"(?<!\w)\w{{1,40}}(?:{_JOIN}\w{{1,40}}){{0,4}}$", re.I)
_RIGHT = re.compile(
    rf"(\w[\w-]{{0,62}}(?:{_DOT}[\w-]{{2,62}}){{0,3}}?){_DOT}({_TLD})(?!\w)(?:{_DOT}(?:{_TLD})(?!\w))?", re.I
)
_RIGHT_MAILER = re.compile(rf"{_MAILERS}(?!\w)(?:{_DOT}\w{{2,6}}(?!\w))?", re.I)
_SPELLED = re.compile(
    r"\s(?:dot|d0t|punkt|point|punto|ponto|kropka)\s|[\[({<]\s?(?:dot|punkt|point|punto|ponto|kropka|\.)",
    re.I,
)


def emails(text: str) -> Iterator[Found]:
    """Addresses, plain and written around (`anna (at) mail dot example`, `jan małpa poczta kropka pl`)."""
    if "@" in text:
        for match in _EMAIL.finditer(text):
            start = match.start()
            while text[start] in "'*/=?{|}`&~.!" and start < match.end():
                start += 1
            yield start, match.end(), "EMAIL"
    for match in _AT.finditer(text):
        yield from _written_around(text, match)


def _written_around(text: str, at: re.Match[str]) -> Iterator[Found]:
    left = _LEFT.search(text[max(0, at.start() - 90) : at.start()])
    if left is None:
        return
    start = at.start() - len(left[0])
    right = _RIGHT.match(text, at.end())
    spelled = right is not None and _SPELLED.search(right[0])
    if at["bracket"] or spelled:
        right = right or _RIGHT_MAILER.match(text, at.end())
    elif at["spaced"] or "@" in at[0]:
        right = right if right and " " not in right[1] else _RIGHT_MAILER.match(text, at.end())
    else:  # a bare "at": only before a mailer, or before a domain whose dots are spelled out
        right = _RIGHT_MAILER.match(text, at.end())
    if right is None:
        return
    if not at["bracket"]:  # prose before the address is not part of it: keep the last word and what dots join
        words = re.split(r"\s(?!(?:dot|punkt|point|punto|ponto|kropka|underscore|podkre[sś]lnik)\b)", left[0])
        kept = words[-1]
        for word in reversed(words[:-1]):
            if not re.search(r"\s(?:dot|punkt|point|punto|ponto|kropka|underscore)$", word, re.I):
                break
            kept = word + " " + kept
        start = at.start() - len(kept)
    yield start, right.end(), "EMAIL"


# --- links ------------------------------------------------------------

_URL = re.compile(
    r"(?<![\w@.])(?:(?P<scheme>[a-z][a-z0-9+.-]{1,15}):(?://)[^\s<>\"]{1,}+|magnet:\?[^\s]++|"
    r"(?:[a-z0-9-]{1,63}\.){1,5}[a-z]{2,12}(?::\d{2,5})?[/?][^\s<>\"]*+)",
    re.I,
)
_OPAQUE = re.compile(
    r"(?=[\w~.%-]*\d)(?=[\w~.%-]*[a-z])[\w~.%-]{16,}|[0-9a-f]{12,}|[\w-]{24,}|\d{10,}|"
    r"(?=[\w-]*[a-z])(?=[\w-]*[A-Z])"
    r"(?=[\w-]*\d)[\w-]{8,}|eyJ[\w-]{5,}"
)
_READABLE = re.compile(r"[a-z]{1,14}(?:[-_.](?:[a-z]{1,14}|\d{1,4}))*(?:\.html?|\.php|\.aspx?)?", re.I)
_MAGIC = re.compile(
    r"(?:^|/)(?:invite|invites|invitation|join|joinchat|reset|reset-password|verify|confirm|confirmation|"
    r"activate|"
    r"magic|magic-link|login|signin|sign-in|auth|oauth|token|unsubscribe|share|shared|sharing|s|d|u|r|t|"
    r"tracking|track|"
    r"order|orders|invoice|ticket|tickets|booking|reservation|meet|j|room|call|edit|view|file|folders?|"
    r"document|"
    r"password|passwort|einladung|bestaetigen|invitacion|invito|convite|zaproszenie)/[^/]{4,}",
    re.I,
)
_PERSONAL = re.compile(
    r"(?:^|\.)(?:wa\.me|whatsapp\.com|t\.me|telegram\.me|discord\.gg|discord\.com|zoom\.us|meet\.google\.com|"
    r"docs\.google\.com|drive\.google\.com|photos\.google\.com|photos\.app\.goo\.gl|forms\.gle|dropbox\.com|"
    r"1drv\.ms|onedrive\.live\.com|we\.tl|wetransfer\.com|instagram\.com|facebook\.com|fb\.com|fb\.me|m\.me|"
    r"linkedin\.com|snapchat\.com|tiktok\.com|vm\.tiktok\.com|x\.com|twitter\.com|paypal\.me|paypal\.com|"
    r"venmo\.com|"
    r"revolut\.me|cash\.app|calendly\.com|doodle\.com|maps\.app\.goo\.gl|goo\.gl|maps\.google\.com|bit\.ly|"
    r"tinyurl\.com|t\.co|is\.gd|lnkd\.in|ow\.ly|rb\.gy|cutt\.ly|strava\.com|spotify\.link|onlyfans\.com|"
    r"linktr\.ee)$",
    re.I,
)
"""Hosts whose paths name a person, a private room or something only the link's holder may open."""
_VIDEO = re.compile(r"(?:https?://)?(?:www\.|m\.)?youtube\.com/watch\?v=[\w-]{11}(?:&t=\d{1,6}s?)?", re.I)
_VIDEO_SHORT = re.compile(r"(?:https?://)?youtu\.be/[\w-]{11}(?:\?t=\d{1,6}s?)?", re.I)


def links(text: str) -> Iterator[Found]:
    """Links that carry a token or lead to a person; plain links to public pages are left alone."""
    for match in _URL.finditer(text):
        link = match[0].rstrip(".,;:!?)]}'’”…*_")
        if link and _private(link):
            yield match.start(), match.start() + len(link), "LINK"


def _private(link: str) -> bool:
    if _VIDEO.fullmatch(link) or _VIDEO_SHORT.fullmatch(link):
        return False
    try:
        parts = urlsplit(link if "://" in link[:24] else "https://" + link)
        host = parts.hostname or ""
    except ValueError:
        return True
    if parts.scheme.lower() not in ("http", "https", "hxxp", "hxxps") or "@" in parts.netloc:
        return True
    if parts.query or "=" in link or "%" in link or re.fullmatch(r"[\d.]+|.*:.*", host) or len(link) > 200:
        return True
    path = parts.path.strip("/")
    if path and _PERSONAL.search(host):
        return True
    if _MAGIC.search("/" + path):
        return not all(_READABLE.fullmatch(piece) for piece in path.split("/"))
    pieces = [*path.split("/"), parts.fragment, *host.split(".")[:-2]]
    return any(_OPAQUE.fullmatch(piece) and not _READABLE.fullmatch(piece) for piece in pieces)


# --- bank and card ------------------------------------------------------------

_IBAN_LENGTH = dict(
    pair.split(":")
    for pair in [
        "AD:24",
        "AE:23",
        "AL:28",
        "AT:20",
        "AZ:28",
        "BA:20",
        "BE:16",
        "BG:22",
        "BH:22",
        "BI:27",
        "BR:29",
        "BY:28",
        "CH:21",
        "CR:22",
        "CY:28",
        "CZ:24",
        "DE:22",
        "DJ:27",
        "DK:18",
        "DO:28",
        "EE:20",
        "EG:29",
        "ES:24",
        "FI:18",
        "FK:18",
        "FO:18",
        "FR:27",
        "GB:22",
        "GE:22",
        "GI:23",
        "GL:18",
        "GR:27",
        "GT:28",
        "HN:28",
        "HR:21",
        "HU:28",
        "IE:22",
        "IL:23",
        "IQ:23",
        "IS:26",
        "IT:27",
        "JO:30",
        "KW:30",
        "KZ:20",
        "LB:28",
        "LC:32",
        "LI:21",
        "LT:20",
        "LU:20",
        "LV:21",
        "LY:25",
        "MC:27",
        "MD:24",
        "ME:22",
        "MK:19",
        "MN:20",
        "MR:27",
        "MT:31",
        "MU:30",
        "NI:28",
        "NL:18",
        "NO:15",
        "OM:23",
        "PK:24",
        "PL:28",
        "PS:29",
        "PT:25",
        "QA:29",
        "RO:24",
        "RS:22",
        "RU:33",
        "SA:24",
        "SC:31",
        "SD:18",
        "SE:24",
        "SI:19",
        "SK:24",
        "SM:27",
        "SO:23",
        "ST:25",
        "SV:28",
        "TL:23",
        "TN:24",
        "TR:26",
        "UA:29",
        "VA:22",
        "VG:24",
        "XK:20",
        "YE:30",
    ]
)
"""Lengths by country, SWIFT IBAN Registry."""
_IBAN = re.compile(r"(?<![a-z0-9])[a-z]{2}[ .-]?\d[ .-]?\d(?:[ .\n\t-]{0,2}[a-z0-9]){11,31}", re.I)
_IBAN_CUE = re.compile(
    r"\biban\b|\bkonto|\baccount|\bcuenta\b|\bconto\b|\bcompte\b|\bconta\b|\bbank|\bbanc", re.I
)
_DIGITS = re.compile(r"(?<!\d)\d(?:[^\w\n+]{0,3}\n?\d){12,29}")
_BRANDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|(?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|"
    r"3[47]\d{13}|"
    r"3(?:0[0-5]|[689]\d)\d{11,16}|35(?:2[89]|[3-8]\d)\d{12}|6(?:011|5\d\d|4[4-9]\d)\d{12,15}|62\d{14,17}|"
    r"(?:50|5[6-9]|6\d)\d{10,17}|220[0-4]\d{12,15}|81\d{14}|9792\d{12}"
)
_BRAND_STARTS = frozenset("2345689")
_CARD_SIZES = (16, 15, 14, 19, 18, 17, 13)


def ibans(text: str) -> Iterator[Found]:
    """Account numbers by country length and mod 97 (ISO 13616); without mod 97 only behind a bank cue."""
    position = 0
    while match := _IBAN.search(text, position):
        position = match.start() + 1
        places = [i for i in range(match.start(), match.end()) if text[i].isalnum()]
        code = "".join(text[i] for i in places).upper()
        size = int(_IBAN_LENGTH.get(code[:2], "0"))
        if not size or len(code) < size:
            continue
        end = places[size - 1] + 1
        if end < len(text) and text[end].isdigit():
            continue
        cued = _IBAN_CUE.search(text, max(0, match.start() - 60), match.start())
        if _mod97(code[:size]) or (cued and sum(c.isdigit() for c in code[:size]) > size // 2):
            yield match.start(), end, "IBAN"
            position = end


def _mod97(code: str) -> bool:
    return code.isascii() and int("".join(str(int(c, 36)) for c in code[4:] + code[:4])) % 97 == 1


def cards(text: str) -> Iterator[Found]:
    """Card numbers by brand, length and Luhn, with any separator; Polish account numbers without `PL` too."""
    position = 0
    while match := _DIGITS.search(text, position):
        if text[match.start()] not in _BRAND_STARTS and match.end() - match.start() < 26:
            position = _next_group(text, match)
            continue
        places = [i for i in range(match.start(), match.end()) if text[i].isdigit()]
        digits = "".join(text[i] for i in places)
        size = _card_size(text, digits, places)
        if size:
            yield places[0], places[size - 1] + 1, "CARD"
            position = places[size - 1] + 1
        elif len(digits) >= 26 and _ends(text, places, 26) and _mod97("PL" + digits[:26]):
            yield places[0], places[25] + 1, "IBAN"
            position = places[25] + 1
        else:  # go on behind the first group: the number may start with the next one
            position = _next_group(text, match)


def _next_group(text: str, match: re.Match[str]) -> int:
    position = match.start() + 1
    while position < match.end() and text[position].isdigit():
        position += 1
    return position


def _card_size(text: str, digits: str, places: list[int]) -> int:
    for size in _CARD_SIZES:
        if len(digits) >= size and _ends(text, places, size):
            number = digits[:size]
            if _BRANDS.fullmatch(number) and _luhn(number) and len(set(number)) > 1:
                return size
    return 0


def _ends(text: str, places: list[int], size: int) -> bool:
    end = places[size - 1] + 1
    return end >= len(text) or not text[end].isdigit()


def _luhn(number: str) -> bool:
    total = 0
    for i, char in enumerate(reversed(number)):
        digit = int(char) << (i & 1)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


# --- birth dates ------------------------------------------------------------

BIRTH = re.compile(
    r"\b(?:born|birth|birthdate|birthday|b-?day|bday|dob|d\.o\.b|geboren|geb\.|geburts\w{2,8}|burzeltag|"
    r"naissance|naiss\.|n[ée]e? le|fecha de nac|dat[ae] d[ei] nasc|"
    r"anniv\w{0,9}|nacimiento|nac[ií]|naci[oó]|nacid[oa]|cumple\w{0,6}|nascid[oa]|nascimento|nasci|nasceu|"
    r"anivers[aá]rio|"
    r"anos dia|nascita|nat[oa] (?:il|l'|nel)|è nat[oa]|sono nat[oa]|compleanno|compio|urodz\w{0,8}|"
    r"urodzin\w{0,4}|ur\.|"
    r"dat[aęy] ur)",
    re.I,
)
_MONTH = (
    r"(?:jan(?:uar[yi]?|vier)?|j[aä]nner|feb(?:ruar[yi]?)?|f[ée]v(?:rier|\.)?|mar(?:ch|s|zo|ço|zec|ca)?|"
    r"m[aä]rz|apr(?:il|ile)?|"
    r"avr(?:il)?|abr(?:il)?|ma[iy]o?|maggio|maja|maio|june?|juni|juin|junio|junho|giugno|czerwca|july?|"
    r"juli|juillet|julio|"
    r"julho|luglio|lipca|aug(?:ust)?|ao[uû]t|ago(?:sto)?|sierpnia|sept?(?:ember|embre|iembre)?|"
    r"set(?:embro|tembre)?|"
    r"wrze[sś]nia|o[ck]t(?:ober|obre|ubre)?|out(?:ubro)?|ottobre|pa[zź]dziernika|nov(?:ember|embre|iembre|"
    r"embro)?|"
    r"listopada|de[cz](?:ember|embre|iembre|embro)?|d[ée]cembre|dic(?:embre|iembre)?|grudnia|stycznia|"
    r"lutego|marca|"
    r"kwietnia|gennaio|enero|janeiro|febrero|fevereiro|febbraio|mar[çc]o|styczeń|luty|marzec)"
)
_DATE = re.compile(
    rf"(?<![\w.])(?:\d{{4}}[-./]\d{{1,2}}[-./]\d{{1,2}}|\d{{1,2}} ?[-./] ?\d{{1,2}} ?[-./] ?(?:19|"
    rf"20)?\d{{2}}|"
    rf"\d{{1,2}}(?:st|nd|rd|th|er|º|°|ª|\.)?[ -]{{0,2}}(?:of |de |d'|di |do |the )?{_MONTH}\.?(?![^\W\d_])"
    rf"(?:,?[ -](?:de[l]? |of |im |in )?(?:'|’)?(?:(?:19|20)\d\d|\d\d)(?![\d:h]))?|"
    rf"{_MONTH}\.?[ -](?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?!\d)(?:,? (?:'|’)?(?:19|20)\d\d)?|"
    r"\d{1,2}[./-]\d{1,2}\.?(?![\d/.-]))(?!\w)",
    re.I,
)
_DATE_FULL = re.compile(r".*\d{2}$|\d{4}[-./].*", re.S)
_EIGHT = re.compile(
    r"(?<!\d)(?:(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])|(?:[0-2]\d|3[01])(?:0[1-9]|1[0-2])(?:19|"
    r"20)\d{2})(?!\d)"
)
_FILM_BIRTH = re.compile(r"born on the (?:4th|fourth) of july", re.I)
_NEAR = 70


def birth_dates(text: str, previous: str = "") -> Iterator[Found]:
    """Dates near a birth cue, or anywhere in the message after one by the same author that has a cue."""
    cues = [match.start() for match in BIRTH.finditer(text)]
    before = not cues and bool(previous) and BIRTH.search(previous[-400:]) is not None
    if not (cues or before) or _FILM_BIRTH.search(text):
        return
    for pattern in (_DATE, _EIGHT):
        for match in pattern.finditer(text):
            i = bisect_left(cues, match.start() - _NEAR + 1)
            near = i < len(cues) and cues[i] < match.start() + _NEAR
            if near or (before and (pattern is _EIGHT or _DATE_FULL.match(match[0]))):
                yield match.start(), match.end(), "DOB"


# --- phones ------------------------------------------------------------

_PHONE = re.compile(r"(?<![\w.,/])(?<!\d[-:])(?:\+ ?|\(\+)?\(?\d(?:[ ()./\-\t·_*]{0,3}\d){5,17}(?![\w])")
_NANP = re.compile(r"(?:\+?1[ .-]?)?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .\-/])[2-9]?\d\d[ .-]\d{4}")
_TRIPLES = re.compile(
    r"[25-9]\d\d([ .-])\d{3}\1\d{3}|3\d\d[ .-]\d{3}[ .-]?\d{4}|[2679]\d ?\d(?: \d\d){3}|\d{3} \d\d \d\d \d\d|"
    r"[1-9]\d \d{3} \d\d \d\d|[2-9]\d\d-\d{4}"
)
_CODE_BEFORE = re.compile(r"(?<![^\W_])(?=[A-Z0-9]*\d)(?=[A-Z0-9]*[A-Z])[A-Z0-9]{2,12}[ -]$")
"""A number that goes on a code of capitals and digits (`1Z 999 AA1 0123`) is a part of that code."""
CALL = re.compile(
    r"\b(?:call|ring|phone|dial|text (?:me|him|her|us|them)|reach|cell\w{0,5}|mobile|tel|whats "
    r"?app\w{0,3}|wa|signal|telegram|sms|"
    r"number|numbers|digits|contact|fax|landline|"
    r"ruf\w{0,3}|anruf\w{0,3}|tele[fp]h?on\w{0,4}|t[eé]l[eé]ph?\w{0,6}|handy\w{0,6}|nummer|mobil|"
    r"erreich\w{0,5}|durchwahl|schreib|"
    r"appel\w{0,4}|num[eé]ro|n[º°]|portable|joindre|joignable|fixe|festnetz|"
    r"ll[aá]m\w{0,4}|m[oó]vil|celular|n[uú]mero|tfno|tlf|fijo|fixo|ligue|liga\w{0,3}|telem[oó]vel|"
    r"escr[ií]b\w{0,5}|escrev\w{0,3}|chama|guarda\w{0,4}|telem\.?|cel|zap|contacto|"
    r"chiam\w{0,4}|cellulare|fisso|numer\w{0,3}|rispond\w{0,3}|scriv\w{0,4}|"
    r"zadzwo\w{1,3}|dzwo\w{1,4}|telefon\w{0,3}|kom\.?|kom[oó]rk\w{1,2}|stacjonarn\w{1,3}|nr|smsuj|napisz|pod)\b",
    re.I,
)
_NEVER = re.compile(
    r"(?:\border\w{0,3}|\btracking|\bisbn\b|#|\binvoice|\bticket|\bref\w{0,6}|\bcase|\bparcel|\bbooking|"
    r"\bconfirmation|"
    r"\bserial|\bversion|\bbuild|\bmodel|\bsku\b|\bean\b|\bdoi\b|\bissn\b|\bpin\b|\bcode\b|\bscore\b|"
    r"\bvin\b|\bflight|"
    r"\bbestell\w{0,8}|\bsendung\w{0,8}|\brechnung\w{0,8}|\bvorgang\w{0,8}|\bkundennummer|"
    r"\bauftrag\w{0,8}|\bpaket\w{0,8}|"
    r"\bcommande|\bcolis|\bsuivi|\bfacture|\bdossier|\bpedido|\benv[ií]o|\bfactura|\brastre\w{1,3}|"
    r"\bseguimiento|"
    r"\bencomenda|\bfatura|\bordine|\bspedizione|\bfattura|\bpacco|\btracciamento|\bzam[oó]wieni\w{1,3}|"
    r"\bpaczk\w{1,2}|"
    r"\bprzesy[lł]k\w{1,2}|\bfaktur\w{1,2}|\bid)[^\d\n]{0,24}$",
    re.I,
)
_MONEY = re.compile(
    r"\s{0,2}(?:€|\$|£|%|zł|eur\b|euros?\b|usd\b|dollars?\b|pounds?\b|pln\b|millones|mil\b|views|people|"
    r"followers|km\b|mb\b|gb\b)",
    re.I,
)
_NUMERAL_DATE = re.compile(
    r"(?:\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./-]\d{1,2}[./-]\d{1,2})(?:[ "
    r"T,/-]{1,3}(?:\d{1,2}(?:[.:]\d\d){0,2}|"
    r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./-]\d{1,2}[./-]\d{1,2}))?|(?:(?:19|20)\d\d[ ,/-]{0,3}){2,6}|"
    r"\d{1,3}(?:[. ]000){2,3}|\d{1,3}(?:\.\d{1,3}){3}|\d{1,2}(?:[ /-]\d{1,2}){2,3}"
)
_REGIONS = ("US", "GB", "DE", "FR", "ES", "PT", "IT", "PL", "BR", "MX", "AT", "CH", "BE", "IE")


def phones(text: str, previous: str = "") -> Iterator[Found]:
    """Numbers with `+` or 00, a trunk 0, NANP shape or national grouping; else POSSIBLE by `phonenumbers` and
    only with a contact cue in the message or in the author's message before."""
    cued: bool | None = None
    for match in _PHONE.finditer(text):
        number = match[0]
        digits = "".join(c for c in number if c.isdigit())
        start = match.start()
        international = "+" in number[:2] or (digits.startswith("00") and len(digits) >= 10)
        if not international and _NUMERAL_DATE.fullmatch(number.strip(" (-")):
            continue
        if not 7 <= len(digits) <= 15 + 2 * (digits[:2] == "00"):
            continue
        if "+" in number[:2]:
            yield start, match.end(), "PHONE"
            continue
        ahead = text[max(0, start - 45) : start]
        if _NEVER.search(ahead) or _CODE_BEFORE.search(ahead) or _MONEY.match(text, match.end()):
            continue
        if number.startswith("(") and ")" not in number:
            start += 1
        if international or _shaped(number, digits) or len(text.strip(" .!?,;:")) == len(number.strip()):
            yield start, match.end(), "PHONE"
            continue
        if cued is None:
            cued = CALL.search(text) is not None or CALL.search(previous[-200:]) is not None
        if cued and _possible(digits):
            yield start, match.end(), "PHONE"


def _shaped(number: str, digits: str) -> bool:
    if digits[0] == "0":
        return 9 <= len(digits) <= 12 and len(set(digits)) > 2
    return bool(_NANP.fullmatch(number) or _TRIPLES.fullmatch(number)) and not digits.endswith("000")


def _possible(digits: str) -> bool:
    for region in _REGIONS:
        try:
            number = phonenumbers.parse(digits, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(number):
            return True
    return len(digits) == 7
