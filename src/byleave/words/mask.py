"""What `masked` shows of a part: which spans are hidden, of which kind, and whose.

1. Layers in order: rules, the inbox's own people, the name lexicon and the gazetteer. An earlier layer's
   span is blanked for the later ones, so spans are disjoint.
2. Only the part, the same author's message before and the inbox's address book are read: never another's
   words.
3. What the platform recommends is no person: the title catalogue protects its titles from the later layers.
4. Pure: no store, no clock, no model in the tiers `rules` and `plain`. `shown` decides whether a part may be
   seen at all; it fails closed (language.py).
5. `VERSION` changes whenever any result may: ingest re-runs what was masked under another one.
6. A text too long to be read in bounded time (language.py) is one span from end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from byleave.model import Handle
from byleave.words import names
from byleave.words.addresses import addresses
from byleave.words.folding import folded
from byleave.words.language import Verdict, Voice, readable, shown
from byleave.words.lexicon import lines, tokens
from byleave.words.people import People
from byleave.words.rules import BIRTH, TRIGGER, Found, birth_dates, cards, emails, ibans, links, phones
from byleave.words.titles import Titles

__all__ = ["TYPES", "VERSION", "People", "Span", "Titles", "Verdict", "Voice", "mask", "rendered", "shown"]

VERSION = "2"
TYPES = ("PERSON", "ADDRESS", "LOCATION", "PHONE", "EMAIL", "CARD", "IBAN", "DOB", "LINK")
TIERS = ("rules", "plain")

_BLANK = "\x00"


class Span(msgspec.Struct, frozen=True):
    """A piece of a text to hide: code points `start:end`, one of `TYPES`, and for people, mail addresses and
    phone numbers out of the inbox's address book whose it is."""

    start: int
    end: int
    type: str
    person: Handle | None = None


def mask(
    text: str, people: People, titles: Titles, *, tier: str = "plain", previous: str = ""
) -> tuple[Span, ...]:
    """The spans of `text` to hide, in order, disjoint and not empty. `previous` is the same author's message
    before in that conversation (a birth or contact cue may stand there). Tiers: `rules`, `plain`."""
    if tier not in TIERS:
        raise ValueError(f"tier {tier!r} is not one of {', '.join(TIERS)}")
    if not readable(text):
        return (Span(0, len(text), "PERSON"),)
    source = folded(text)
    plain = source.text
    found: list[tuple[int, int, str, Handle | None]] = []
    if TRIGGER.search(plain):
        plain = _contact_data(plain, folded(previous).text if previous else "", people, titles, found)
    line = tokens(plain)
    for start, end, whose in people.find(plain, line):
        found.append((start, end, "PERSON", whose))
    if tier != "rules":
        plain = _blanked(plain, found)
        line = tokens(plain) if found else line
        for start, end, kind in names.find(plain, line, titles):
            found.append((start, end, kind, None))
    if len(found) > 1:
        found.sort(key=lambda span: (span[0], -span[1]))
    spans: list[Span] = []
    last = -1
    for start, end, kind, whose in found:
        if start >= last:
            begin, stop = source.place(start, end)
            spans.append(Span(begin, stop, kind, whose))
            last = end
    return tuple(spans)


def _contact_data(
    plain: str,
    previous: str,
    people: People,
    titles: Titles,
    found: list[tuple[int, int, str, Handle | None]],
) -> str:
    """Layer 1: adds to `found`, and returns the text with what was found blanked."""

    def claim(spans: Iterable[Found], whose: Callable[[str], Handle | None] | None = None) -> None:
        nonlocal plain
        taken = []
        last = 0
        for start, end, kind in sorted(spans):
            piece = plain[start:end]
            if start < last or _BLANK in piece:  # an earlier rule has it, or a part of it
                continue
            taken.append((start, end, kind, whose(piece) if whose else None))
            last = end
        found.extend(taken)
        plain = _blanked(plain, taken)

    claim(links(plain))
    claim(emails(plain), people.mail)
    digits = sum(map(str.isdigit, plain))
    if digits:
        if digits >= 10:
            claim(ibans(plain))
            claim(cards(plain))
        if BIRTH.search(plain) or previous:
            claim(birth_dates(plain, previous))
        claim(span for span in addresses(plain, _known_town) if not titles.whole(plain[span[0] : span[1]]))
        if digits >= 7:
            claim(phones(plain, previous), people.phone)
    return plain


def _blanked(plain: str, spans: list[tuple[int, int, str, Handle | None]]) -> str:
    """`plain` with the spans (disjoint) blanked, in one pass."""
    if not spans:
        return plain
    out: list[str] = []
    last = 0
    for start, end, _, _ in sorted(spans, key=lambda span: span[0]):
        if start >= last:
            out += (plain[last:start], _BLANK * (end - start))
            last = end
    out.append(plain[last:])
    return "".join(out)


def _known_town(name: str) -> bool:
    return any(known in lines("cities") for known in _heads(name))


def _heads(name: str) -> list[str]:
    words = [token.fold for token in tokens(name)]
    return [" ".join(words[:size]) for size in range(1, len(words) + 1)]


def rendered(text: str, spans: tuple[Span, ...], slot: Callable[[Span], str]) -> str:
    """`text` with every span replaced by `slot(span)`."""
    out: list[str] = []
    last = 0
    for span in spans:
        out += (text[last : span.start], slot(span))
        last = span.end
    out.append(text[last:])
    return "".join(out)
