"""Whether a part may be shown at `masked` at all: script, language, and nothing hidden in it. Fails closed.

1. The rules and lists were tested on `TESTED` languages, all in Latin script; anything else is `none` at
   masked.
2. Language is judged on an author's words in one conversation together, never on one short message and never
   on anybody else's words. An author with fewer than `LETTERS_MIN` letters passes only in Latin script and
   only where the rules found nothing.
3. What a person does not see (zero-width, bidi, tags) or cannot read (HTML, base64, hex, escapes) is not
   shown.
4. Nor is what is too long to be read in bounded time: a part costs at most a fraction of a second, whoever
   wrote it.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from functools import cache

import msgspec
from py3langid.langid import MODEL_FILE, LanguageIdentifier

TESTED = frozenset(("en", "de", "fr", "es", "pt", "it", "pl"))
LETTERS_MIN = 40
LENGTH_MAX = 50_000
"""Code points of a part; a longer one is `none` at masked."""
DIGITS_MAX = 4_000
"""Digits in a part: each costs the number rules up to 50 µs. A table with more is `none` at masked."""
_SAMPLE_MAX = 4000
_PIECE_MAX = 600
_PLAUSIBLE = [
    "en",
    "de",
    "fr",
    "es",
    "pt",
    "it",
    "pl",
    "nl",
    "sv",
    "da",
    "no",
    "nb",
    "nn",
    "fi",
    "et",
    "lv",
    "lt",
    "cs",
    "sk",
    "sl",
    "hr",
    "bs",
    "hu",
    "ro",
    "tr",
    "az",
    "sq",
    "id",
    "ms",
    "vi",
    "sw",
    "eu",
    "ca",
    "gl",
    "is",
    "ga",
    "cy",
    "mt",
    "tl",
    "jv",
    "eo",
    "la",
    "af",
    "lb",
    "oc",
    "br",
    "ht",
    "xh",
    "zu",
    "rw",
    "mg",
    "qu",
]
"""Latin-script languages the identifier may answer; those beside `TESTED` are there to be refused."""

_LATIN_ONLY = re.compile(r"[\x00-\u02af\u1e00-\u1eff\u2000-\u2bff\ufb00-\ufb06\U0001f000-\U0001faff]*+")
_ALLOWED_ODD = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2300-\u23ff\u2b00-\u2bff]\ufe0f?\u200d?|[\U0001f1e6-\U0001f1ff]|[\u2190-\u21ff\u203c\u2049\u00a9\u00ae\u2122]\ufe0f"
)
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u0378\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ue000-\uf8ff\ud800-\udfff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
_MARKUP = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|body|br|button|center|code|div|em|font|form|h[1-6]|head|hr|html|i|"
    r"iframe|img|input|label|li|link|"
    r"meta|o:p|ol|p|pre|s|script|small|span|strong|style|sub|sup|svg|table|tbody|td|th|title|tr|tt|u|ul|"
    r"v:\w+|!--|!doctype)(?![\w])[^<>]{0,400}>|"
    r"<!--|<!doctype|&(?:nbsp|amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8}(?:grave|acute|circ|"
    r"uml|tilde|cedil|lig|quo|dash));|"
    r"\{[\w-]{1,30}\s?:[^{}]{1,200};[^{}]{0,400}\}|\bstyle=[\"']|\bhref=",
    re.I,
)
_ENCODED = re.compile(
    r"-----BEGIN |=\?[\w-]{1,30}\?[bqBQ]\?|\bbegin [0-7]{3} |\bdata:[\w/+.-]{1,60}[;,]|"
    r"(?:%[0-9a-fA-F]{2}){2,}|(?:=[0-9A-F]{2}){2,}|=[0-9A-F]{2}=?\n|"
    r"(?:\\u[0-9a-fA-F]{4})|(?:\\x[0-9a-fA-F]{2}){2,}|eyJ[\w-]{8,}|(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}[ "
    r":-]?){16,}(?![0-9a-zA-Z])|"
    r"(?<![\w+/-])(?=[\w+/-]*\d)(?=[\w+/-]*[A-Z])(?=[\w+/-]*[a-z])[\w+/-]{24,}={0,2}|"
    r"(?<![\w+/])[A-Za-z0-9+/]{15,}={1,2}(?![\w=])|"
    r"(?<![\w])(?:[01]{8}[ ]?){3,}|(?<![\w])(?=[A-Z2-7]*\d)[A-Z2-7]{24,}"
)
_LONG = re.compile(r"\S{60,}")


class Verdict(msgspec.Struct, frozen=True):
    """What an author's words in a conversation are: letters in all, whether Latin is their script, the
    language (ISO 639-1, "" where too little was written to tell)."""

    letters: int
    latin: bool
    language: str

    @property
    def tested(self) -> bool:
        return self.latin and self.language in TESTED


class Voice:
    """An author's words in one conversation, added up over a first pass; memory is bounded whatever is
    added, and the sample is kept packed: a mailbox has one voice for almost every mail."""

    __slots__ = ("_latin", "_other", "_sample", "_size")

    def __init__(self) -> None:
        self._latin = 0
        self._other = 0
        self._sample: list[bytes] = []
        self._size = 0

    def add(self, text: str) -> None:
        latin, other = _letters(text)
        self._latin += latin
        self._other += other
        if self._size < _SAMPLE_MAX and latin:
            piece = _LINKISH.sub(" ", text[:_PIECE_MAX])
            self._sample.append(zlib.compress(piece.encode("utf-8", "surrogatepass"), 1))
            self._size += len(piece)

    def judge(self) -> Verdict:
        letters = self._latin + self._other
        latin = self._other * 10 <= letters
        if letters < LETTERS_MIN or not latin:
            return Verdict(letters, latin, "")
        sample = (zlib.decompress(piece).decode("utf-8", "surrogatepass") for piece in self._sample)
        return Verdict(letters, latin, _language("\n".join(sample)))


_LINKISH = re.compile(r"\S*(?:://|@|www\.)\S*")


def _letters(text: str) -> tuple[int, int]:
    """(letters in Latin script, letters in any other)."""
    if _LATIN_ONLY.fullmatch(text):
        return sum(map(str.isalpha, text)), 0
    latin = other = 0
    for char in text:
        if char.isalpha():
            if _is_latin(char):
                latin += 1
            else:
                other += 1
    return latin, other


@cache
def _is_latin(char: str) -> bool:
    if char in "ªºµ":
        return True
    plain = unicodedata.normalize("NFKC", char)[:1]
    return unicodedata.name(plain, "").startswith("LATIN ")


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    known = set(identifier.labels)
    identifier.set_languages([code for code in _PLAUSIBLE if code in known])
    return identifier


def _language(sample: str) -> str:
    """The language of a sample of an author's words; in lower case, since capitals mislead the identifier."""
    return str(_identifier().classify(sample.lower())[0])


def shown(text: str, voice: Verdict, spans: tuple[object, ...]) -> bool:
    """Whether a part may be seen at `masked`; False makes it `none` there. `text` is the part as written,
    `voice` its author's verdict, `spans` what `mask` found in it."""
    if not voice.latin or (voice.letters < LETTERS_MIN and spans) or not readable(text):
        return False
    if voice.letters >= LETTERS_MIN and not voice.tested:
        return False
    return not (_foreign(text) or hidden(text) or encoded(_without(text, spans)))


def readable(text: str) -> bool:
    """Whether a part is short enough for the rules (rule 4)."""
    return len(text) <= DIGITS_MAX or (len(text) <= LENGTH_MAX and sum(map(str.isdigit, text)) <= DIGITS_MAX)


def _foreign(text: str) -> bool:
    """Letters, digits or letter-like marks of another script."""
    if _LATIN_ONLY.fullmatch(text):
        return False
    for char in text:
        if char.isascii():
            continue
        kind = unicodedata.category(char)
        if kind[0] == "L" and not _is_latin(char):
            return True
        if kind in ("Nd", "Nl", "Mc", "Me", "Cn", "Co", "Cs"):
            return True
        if kind == "Mn" and not ("\u0300" <= char <= "\u036f" or "\ufe00" <= char <= "\ufe0f"):
            return True
    return False


_PILE = re.compile("[\u0300-\u036f]{3,}|(?:^|[^\\w])[\u0300-\u036f]|\\d[\u0300-\u036f]")


def hidden(text: str) -> bool:
    """Whether something in the text shows nothing, or shows in another order than it stands."""
    if not _HIDDEN.search(text) and not _PILE.search(text):
        return False
    rest = _ALLOWED_ODD.sub("", text)
    return bool(_HIDDEN.search(rest) or _PILE.search(rest))


def encoded(text: str) -> bool:
    """Whether HTML or an encoding is left in the text, so that the rules did not read what a reader could."""
    if _MARKUP.search(text) or _ENCODED.search(text):
        return True
    return any(len(set(run[0].lower())) > 8 for run in _LONG.finditer(text))


def _without(text: str, spans: tuple[object, ...]) -> str:
    out, last = [], 0
    for span in spans:
        start, end = getattr(span, "start", last), getattr(span, "end", last)
        out.append(text[last:start])
        last = end
    out.append(text[last:])
    return " ".join(out)
