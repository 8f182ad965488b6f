"""Whose words stand where in one mail: parts in order, each with one author, covering the text exactly.

Rules of this file:

1. **In doubt it is somebody else's.** An uncertain line is a quote of an unknown author (`None`, so `none`
   for all but the owner), never the mail's author's. Losing some of an author's own words is the lesser evil.
2. **Only the record itself attributes.** An attribution line names an author only by one address, and only
   for marked lines that follow it at once; a header block, for the body of a forward under it. The unmarked
   block of a reply names nobody: answers between its lines would show no seam. A bare name, two addresses, a
   list's address, a hidden one ("ann at x.example") name nobody.
3. **A mail does not speak for its own author in a quote.** Words said to be the mail's author's, but quoted,
   stay unknown: an error there would be the unforgivable one.
4. **What ended does not come back.** Behind unmarked foreign text nothing unmarked is the author's again, for
   nobody can tell where it stops.
5. Every step looks at a bounded window: time is linear in the text, whatever it holds. Of a mail longer than
   LONGEST only that much is read; the rest is nobody's.

Lines are cut where `str.splitlines` cuts, so that no odd separator hides a quote mark. Quotes nest: the
lines of one level are read as a text of their own with their marks off (RFC 3676 §4.5), to `DEEPEST` levels.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from byleave.model import Handle, Part
from byleave.words.attribution import MARK, WINDOW, Line, flattened, fold, subject_kind
from byleave.words.levels import Mail, Region

__all__ = ["split", "split_chat", "subject_kind", "subject_part"]

LONGEST: Final = 400_000
"""Code points of a mail that are read for whose they are: at most two seconds' work, whoever wrote it."""
_CLOCK: Final = r"\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:[ \u202f\u00a0]?[AaPp]\.?[Mm]\.?)?"
_DAY: Final = r"\d{1,4}[./-]\d{1,2}(?:[./-]\d{2,4})?"
_PASTED: Final = re.compile(
    rf"[^\w\[\n]{{0,6}}(?:\[(?:{_DAY}[,. \u200e]{{1,4}})?{_CLOCK}(?:[, ]{{1,3}}{_DAY})?\]|{_DAY}[,. ]{{1,4}}{_CLOCK})"
    r"\s{0,3}[-–—~]{0,2}\s{0,3}[^:\n]{1,80}:(?:\s|$)"
    rf"|[^\[\n]{{1,80}}[, ]{{1,2}}\[(?:{_DAY}[,. ]{{1,4}})?{_CLOCK}\]\s*:?(?:\s|$)"
)
"""A line that a chat program writes when messages are copied: `[18/12/24, 19:00] Name: …`, `Name, [18.12.24 19:00]`."""

_PLAIN: Final = re.compile(
    r"(?!.*(?:--|__|fwd|FWD|Fwd|message))[^\W\d][\w \t.,;!?'’\"()/&+%€$£\-…\U0001F300-\U0001FAFF]*"
)
"""One line in which nothing could announce another's words: no colon, no mark, no second line."""


def split(
    text: str, *, author: Handle | None, subject: str | None = None, reply: bool = False
) -> tuple[Part, ...]:
    """The parts of a mail's text in order; their slices joined are `text`.

    `author` is the sender of the record (None if unknown; a quote's may still be known).
    `subject` and `reply` (In-Reply-To or References stood in the header) make unmarked trailing text more
    suspicious. Offsets are code points.
    """
    if not text:
        return ()
    if len(text) > LONGEST:
        cut = text.rfind("\n", 0, LONGEST) + 1 or LONGEST
        rest = Part(author=None, how="quote", start=cut, end=len(text), text=text[cut:])
        return (*split(text[:cut], author=author, subject=subject, reply=reply), rest)
    kind = subject_kind(subject)
    mail = Mail(text, author, reply=reply or kind == "reply", forward=kind == "forward")
    lines = _lines(mail)
    Region(mail, lines, (author, "own"), 0, False).run()
    if mail.forward and set(mail.labels.values()) <= {(author, "own"), (author, "signature")}:
        mail.mark(lines, (None, "forward"))  # a forward that shows no seam: nobody can tell whose it is
    return _parts(mail, lines)


def split_chat(text: str, *, author: Handle | None) -> tuple[Part, ...]:
    """The parts of a chat message's text in order; their slices joined are `text`.

    Chat programs mark each quoted line and never wrap, so unmarked lines behind marked ones are the author's;
    but behind a single marked line only the last of several may be the end of what was pasted. Behind a copied
    transcript nothing is. What is left is read as `split` reads a mail.
    """
    if not text:
        return ()
    if _PLAIN.fullmatch(text):
        return (Part(author=author, how="own", start=0, end=len(text), text=text),)
    starts = [0]
    for raw in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(raw))
    lines = [text[a : min(b, a + WINDOW)] for a, b in pairwise(starts)]
    end = next((i for i, line in enumerate(lines) if _PASTED.match(line)), len(lines))
    foreign = [i >= end or MARK.match(line) is not None for i, line in enumerate(lines)]
    for i in range(1, len(lines)):
        alone = foreign[i - 1] and not (i > 1 and foreign[i - 2]) and not foreign[i] and i < end
        if alone and lines[i].strip():
            last = next((j for j in range(i, len(lines)) if foreign[j] or not lines[j].strip()), len(lines))
            foreign[i : last - 1] = [True] * (last - 1 - i)
    found: list[Part] = []
    first = 0
    while first < len(lines):
        after = next((j for j in range(first, len(lines)) if foreign[j] != foreign[first]), len(lines))
        begin, stop = starts[first], starts[after]
        if foreign[first]:
            found.append(Part(author=None, how="quote", start=begin, end=stop, text=text[begin:stop]))
        else:
            inner = split(text[begin:stop], author=author)
            found += (
                Part(author=p.author, how=p.how, start=p.start + begin, end=p.end + begin, text=p.text)
                for p in inner
            )
            if inner[-1].how not in ("own", "signature") and (
                after == len(lines) or inner[-1].how != "attribution"
            ):
                after, rest = len(lines), text[stop:]
                found += (
                    [Part(author=None, how="quote", start=stop, end=len(text), text=rest)] if rest else []
                )
        first = after
    return tuple(found)


def subject_part(subject: str, author: Handle | None = None) -> Part:
    """A subject as a part: its author's own, or nobody's where a prefix shows that it was taken over."""
    taken = subject_kind(subject) is not None
    return Part(author=None if taken else author, how="subject", start=0, end=len(subject), text=subject)


def _lines(mail: Mail) -> list[Line]:
    """The text's lines; a long one that has an attribution in its middle is cut there."""
    out: list[Line] = []
    start = 0
    for raw in mail.text.splitlines(keepends=True):
        end = start + len(raw)
        cut = start + flattened(raw, mail.verbs) if len(raw) > 30 else start
        if start < cut < end:
            out.append(Line(start, start, cut, fold(mail.text[start : min(cut, start + WINDOW)])))
            out.append(Line(cut, cut, end, "-----original message-----"))
        elif cut < start:
            out.append(Line(start, start, end, "-----original message-----"))
        else:
            out.append(Line(start, start, end, fold(raw[:WINDOW])))
        start = end
    return out


def _parts(mail: Mail, lines: list[Line]) -> tuple[Part, ...]:
    out: list[Part] = []
    first, last = 0, len(lines)
    while first < last:
        label = mail.labels[lines[first].start]
        after = first + 1
        while after < last and mail.labels[lines[after].start] == label:
            after += 1
        start, end = lines[first].start, lines[after - 1].end
        out.append(Part(author=label[0], how=label[1], start=start, end=end, text=mail.text[start:end]))
        first = after
    return tuple(out)
