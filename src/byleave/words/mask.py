"""What `masked` shows of a part: which spans are hidden, of which kind, and whose.

1. Layers in order: rules, the inbox's own people, the name lexicon and the gazetteer. An earlier layer's
   span is blanked for the later ones, so spans are disjoint.
2. Only the part, the same author's message before and the inbox's address book are read: never another's
   words.
3. What the platform recommends is no person: the title catalogue protects its titles from the later layers.
4. Pure: no store, no clock; a model only in the tier `full` (ner.py), which adds to `plain`. `shown` decides whether a part may be
   seen at all; it fails closed (language.py).
5. `VERSION` changes whenever any result may: ingest re-runs what was masked under another one.
6. A text too long to be read in bounded time (language.py) is one span from end to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from byleave.model import Handle
from byleave.words import names
from byleave.words.addresses import addresses
from byleave.words.folding import Folded, folded
from byleave.words.language import Verdict, Voice, readable, shown
from byleave.words.lexicon import lines, tokens
from byleave.words.people import People
from byleave.words.rules import BIRTH, CALL, TRIGGER, Found, birth_dates, cards, emails, ibans, links, phones
from byleave.words.titles import Titles

__all__ = [
    "TYPES", "VERSION", "People", "Span", "Text", "Tier", "Titles", "Verdict", "Voice", "mask", "mask_all", "remembered", "rendered", "shown",
]  # fmt: skip

VERSION = "2"
TYPES = ("PERSON", "ADDRESS", "LOCATION", "PHONE", "EMAIL", "CARD", "IBAN", "DOB", "LINK")

if TYPE_CHECKING:
    from byleave.words.ner import Asked

REMEMBERED = 500
"""Characters of a message that the next one is masked with."""

_BLANK = "\x00"


class Tier(StrEnum):
    """How much is looked for: contact data and the inbox's people; names and towns of the lists too; and what a
    model finds (ner.py)."""

    rules = "rules"
    plain = "plain"
    full = "full"


class Span(msgspec.Struct, frozen=True):
    """A piece of a text to hide: code points `start:end`, one of `TYPES`, and for people, mail addresses and
    phone numbers out of the inbox's address book whose it is."""

    start: int
    end: int
    type: str
    person: Handle | None = None


class Text(NamedTuple):
    """A text to mask; `previous` is the same author's message before in that conversation (a birth or contact cue
    may stand there)."""

    text: str
    people: People
    previous: str = ""


Hits = list[tuple[int, int, str, Handle | None]]


def mask(
    text: str, people: People, titles: Titles, *, tier: str = "plain", previous: str = ""
) -> tuple[Span, ...]:
    """The spans of `text` to hide, in order, disjoint and not empty; `mask_all` for one text."""
    return mask_all((Text(text, people, previous),), titles, tier=tier)[0]


def mask_all(texts: Sequence[Text], titles: Titles, *, tier: str = "plain") -> list[tuple[Span, ...]]:
    """For each text the spans to hide. `tier` is one of `Tier`; the model of `full` reads many texts faster
    together. Raises Refused where `full` is asked for and its extra is not installed."""
    tier = Tier(tier)
    out: list[tuple[Span, ...]] = []
    doubts: list[tuple[int, Folded, Hits, Asked]] = []
    if tier is Tier.full:
        from byleave.words import ner  # numpy and word lists that the other tiers need not load
    for number, (text, people, previous) in enumerate(texts):
        if not readable(text):
            out.append((Span(0, len(text), "PERSON"),))
            continue
        source = folded(text)
        found: Hits = []
        rest = _by_lists(source.text, people, titles, tier, previous, found)
        about = ner.asked(source.text, rest, titles) if tier is Tier.full else None
        if about is not None:
            doubts.append((number, source, found, about))
        out.append(() if about is not None else _spans(source, found))
    if doubts:
        more = ner.find([about for *_, about in doubts])
        for (number, source, found, _), new in zip(doubts, more, strict=True):
            found += ((start, end, kind, None) for start, end, kind in new)
            out[number] = _spans(source, found)
    return out


def _by_lists(plain: str, people: People, titles: Titles, tier: str, previous: str, found: Hits) -> str:
    """The layers without a model: adds to `found`, and returns the text with what was found blanked."""
    if TRIGGER.search(plain):
        plain = _contact_data(plain, folded(previous).text if previous else "", people, titles, found)
    line = tokens(plain)
    for start, end, whose in people.find(plain, line):
        found.append((start, end, "PERSON", whose))
    rest = _blanked(plain, found)
    line = tokens(rest) if found else line
    for start, end, kind in names.find(rest, line, titles, cued=tier == Tier.rules):
        found.append((start, end, kind, None))
    return _blanked(rest, found) if tier == Tier.full else rest


def _spans(source: Folded, found: Hits) -> tuple[Span, ...]:
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
    found: Hits,
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


def remembered(text: str) -> str:
    """What of a message the same author's next one must be masked with (`previous`): "" where no cue stands in it."""
    head = text[:REMEMBERED]
    plain = folded(head).text
    return head if BIRTH.search(plain) or CALL.search(plain) else ""


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
