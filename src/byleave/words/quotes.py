"""Whose words stand where in one mail: parts in order, each with one author, covering the text exactly.

Rules of this file:

1. **In doubt it is somebody else's.** An uncertain line is a quote of an unknown author (`None`, so `none` for
   all but the owner), never the mail's author's. Losing some of an author's own words is the lesser evil.
2. **Only the record itself attributes.** An attribution line or a header block names an author only by one
   address, and only for marked lines that follow it at once or, in a header block, for the body under it.
   A bare name, two addresses, a list's address, a hidden one ("ann at x.example") name nobody.
3. **A mail does not speak for its own author in a quote.** Words said to be the mail's author's, but quoted,
   stay unknown: an error there would be the unforgivable one.
4. **What ended does not come back.** Behind unmarked foreign text nothing unmarked is the author's again, for
   nobody can tell where it stops.
5. Every step looks at a bounded window: time is linear in the text, whatever it holds.

Lines are cut where `str.splitlines` cuts, so that no odd separator hides a quote mark. Quotes nest: the lines of
one level are read as a text of their own with their marks taken off (RFC 3676 §4.5), to `DEEPEST` levels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from byleave.model import Handle, Part
from byleave.words import cues

DEEPEST: Final = 12
"""Levels of quoting that are read; what is deeper has no known author."""
WINDOW: Final = 400
"""Code points of a line, or of an attribution over several lines, that are looked at."""
NARROWEST: Final = 58
"""Columns from which on a marked line may have been wrapped by a client, its rest having lost the mark."""

Label = tuple[Handle | None, str]
NOBODY: Final[Label] = (None, "quote")
ATTRIBUTION: Final[Label] = (None, "attribution")
FOOTER: Final[Label] = (None, "footer")


class Line(NamedTuple):
    """One line of a region. `start`, `at` and `end` are code points in the text; the marks of outer levels
    stand between `start` and `at`. `said` is the folded content, "" for a blank line."""

    start: int
    at: int
    end: int
    said: str


def split(
    text: str, *, author: Handle | None, subject: str | None = None, reply: bool = False
) -> tuple[Part, ...]:
    """The parts of a mail's text in order; their slices joined are `text`.

    `author` is the sender of the record (None if unknown, then every part's author may still be a quoted one).
    `subject` and `reply` (In-Reply-To or References stood in the header) make unmarked trailing text more
    suspicious. Offsets are code points.
    """
    if not text:
        return ()
    kind = subject_kind(subject)
    splitter = _Splitter(text, author, reply=reply or kind == "reply", forward=kind == "forward")
    lines = splitter.lines()
    splitter.region(lines, (author, "own"), depth=0)
    return splitter.parts(lines)


def subject_part(subject: str, author: Handle | None = None) -> Part:
    """A subject as a part: its author's own, or nobody's where a prefix shows that it was taken over."""
    taken = subject_kind(subject) is not None
    return Part(author=None if taken else author, how="subject", start=0, end=len(subject), text=subject)


def subject_kind(subject: str | None) -> str | None:
    """`reply`, `forward` or None, by the subject's prefix in any language of the table (RFC 5322 §3.6.5)."""
    if not subject:
        return None
    match = _PREFIX.match(_fold(subject[:WINDOW]))
    if match is None:
        return "forward" if _fold(subject[:WINDOW]).endswith("(fwd)") else None
    return "forward" if match["word"] in _FORWARD_ONLY else "reply"


# -- folding -----------------------------------------------------------------------------------------------------

_INVISIBLE: Final = dict.fromkeys(
    [
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        0xFEFF,
        0xAD,
        0x180E,
        0x61C,
        0x34F,
    ]
)
_GAPS: Final = (
    "\u200b\u200c\u200d\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\u00ad\u180e\u061c\u034f\x00-\x1f\x7f"
)


def _fold(content: str) -> str:
    """Lower case, one space for any blanks, without invisible characters and a PGP dash escape."""
    if not content.isascii():
        content = content.translate(_INVISIBLE)
    folded = " ".join(content.lower().split())
    return folded[2:] if folded.startswith(("- --", "- >")) else folded


def _words(words: Iterable[str]) -> str:
    return "|".join(re.escape(w) for w in sorted(set(words), key=len, reverse=True))


# -- patterns: each is tried on at most WINDOW code points ---------------------------------------------------------

_MARK: Final = re.compile(
    rf"[\s{_GAPS}]*(?:(?P<mark>>|&gt;|=3e\s|[|¦│┃▌»›＞❯▶➤](?!\w)|[:\]](?=[ \t]|$)|<(?=[ \t<]|$))"
    r"|(?P<name>\w[\w.'\-]{0,20}(?: \w[\w.'\-]{0,20}){0,2}(?<!-)>+(?=[\s>]|$)))[ \t\u00a0]?",
    re.IGNORECASE,
)
_VERB: Final = re.compile(
    rf"(?<!\w)(?:{_words(cues.VERBS)})(?!\w)|[写寫]道|書きました|のメール|작성|썼습니다"
)
_OPENER: Final = re.compile(
    rf"[\s*_\-~>#=<(\[]*(?:(?:{_words(cues.OPENERS)})[.,:]?(?=[\s\d(])|\d{{1,4}}[-./年 ])"
)
_QUOTING: Final = re.compile(rf"[\s*_\-]*(?:{_words(cues.QUOTING)})(?:\W|$)")
_MUTT_STAR: Final = re.compile(r"\* .{2,}[\[(].{0,20}\d.{0,40}[\])]\W*$")
_TIMED: Final = re.compile(r"\d[:.h]\d\d|\d{4}|\d\d?[./-]\d\d?[./-]\d\d")
_TAIL: Final = re.compile(
    rf"(?:<?\S+@\S+>?\W*)?(?:\(a\)|a )?\s*(?:{_words(cues.VERBS)})?(?:\(a\)|\(la\))?\s*[:：]?\W*$"
)
_ADDRESS: Final = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~@-])[a-z0-9_+&'=~!#/-]+(?:\.[a-z0-9_+&'=~!#/-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,62})\.)+[a-z][a-z0-9-]{1,30}(?![\w@-]|\.\w)"
)
_MESSAGE_ID: Final = re.compile(r"(?:article|message|news:|message-id:?|posting|^in|mid:)\s*<[^>\s]*>")
_DEPUTY: Final = re.compile(r"(?<!\w)(?:via|on behalf of|im auftrag von|de la part de|en nombre de|em nome de"
                            r"|per conto di|w imieniu|namens)(?!\w)")  # fmt: skip
_HIDDEN_HOSTS: Final = ("invalid", "localhost", "public.gmane.org", "local")
_HEADER: Final = {
    field: re.compile(rf"[\s*_|>•\-]*(?:{_words(names)})\s?[*_]*\s?[:：][*_]*(?:\s|$|(?=\S))")
    for field, names in (
        ("from", cues.FROM), ("date", cues.DATE), ("to", cues.TO), ("subject", cues.SUBJECT), ("other", cues.OTHER)
    )
}  # fmt: skip
_FOREIGN_HEADER: Final = re.compile(r"[\s*_]*[^\W\d][^:：]{0,24}[:：]\s?\S")
_CLOCK: Final = re.compile(r"\d[:.]\d\d")
_RULE: Final = re.compile(r"[-‐-―=*~#_+․.•─━]{3,}(?: ?[-‐-―=*~#_+─━]{3,})*$")
_SEPARATOR: Final = re.compile(
    rf"(?P<left>[-‐-―=_*~>─━ ]{{2,}})?(?:(?P<forward>{_words(cues.FORWARDED)})|(?P<original>{_words(cues.ORIGINAL)}))"
    r"(?P<rest>.{0,80}?)(?P<right>[-‐-―=_*~<─━ ]{2,})?\s*:?\s*$"
)
_MID_VERB: Final = re.compile(
    r"(?<!\w)(?:wrote|writes|schrieb|a écrit|escribió|escreveu|ha scritto|napisał\(a\)|napisał|pisze|skrev|schreef"
    r"|kirjoitti|napsal|пишет|написал|yazdı|写道|寫道)[^:：\n]{0,120}[:：]\s+(?=\S)",
    re.IGNORECASE,
)
_MID_OPENER: Final = re.compile(
    r"(?<!\w)(?:On|Am|Le|El|Em|Il|W dniu|Dnia|Op|Den|Dne|В|На)\s(?=.{0,40}\d)|\d{4}-\d\d-\d\d |(?<!\d)\d\d?[./]\d\d?[./]\d\d"
)
_MID_BLOCK: Final = re.compile(
    r"[-_]{3,}\s?(?:original message|forwarded message|ursprüngliche nachricht|weitergeleitete nachricht"
    r"|message d'origine|message transféré|mensaje original|mensaje reenviado|mensagem original"
    r"|mensagem encaminhada|messaggio originale|messaggio inoltrato|wiadomość oryginalna)"
    r"|begin forwarded message|_{20,}\s*(?:from|von|de|da|od)\s?:"
    r"|(?<!\w)(?:from|von|de|da|od)\s?:\s[^\n:]{1,120}(?<!\w)(?:sent|date|gesendet|datum|envoyé|enviado|enviada em|fecha|data|inviato|wysłano)(?: el| em)?\s?:",
    re.IGNORECASE,
)
_SNIP: Final = re.compile(r"[\[<({]?\s*(?:snip\w*|\.{2,}|…|schnipp|cut|gekürzt|coupé)[\w\s.]{0,20}[\])>}]?$")
_PREFIX: Final = re.compile(
    r"(?:\s*[\[(][^\])]{0,60}[\])]\s*)*(?P<word>"
    + _words((*cues.REPLY_PREFIXES, *cues.FORWARD_PREFIXES))
    + r")\s?(?:\[\d+\]|\(\d+\)|\^\d+|\*\d+|\d+)?\s?[:：]"
)
_FORWARD_ONLY: Final = frozenset(cues.FORWARD_PREFIXES) - frozenset(cues.REPLY_PREFIXES)
_ENDED: Final = tuple(".?!:;…)]}>\"'”»。！？：")


@lru_cache(maxsize=4096)
def _address(said: str) -> Handle | None:
    """The one address that an attribution names its writer by, or None (rule 2)."""
    if "@" not in said or _DEPUTY.search(said):
        return None
    said = _MESSAGE_ID.sub(" ", said)
    found = set(_ADDRESS.findall(said.replace("mailto:", " ")))
    if len(found) != 1 or said.count("@") > 4:
        return None
    address: str = found.pop()
    local, _, host = address.rpartition("@")
    if len(local) > 64 or host.endswith(_HIDDEN_HOSTS) or "xxx" in host or "=" in local or "%" in local:
        return None
    return f"mail:{address}"


class _Splitter:
    """One mail being split. Labels are set per line; `parts` joins equal neighbours."""

    def __init__(self, text: str, author: Handle | None, *, reply: bool, forward: bool) -> None:
        self.text, self.author, self.reply, self.forward = text, author, reply, forward
        self.labels: dict[int, Label] = {}
        low = _fold(text)
        self.footers = tuple(c for c in cues.FOOTERS if c in low)
        self.doubtful = tuple(c for c in cues.DOUBTFUL_FOOTERS if c in low)
        self.banners = tuple(c for c in cues.BANNERS if c in low)
        self.invitations = tuple(c for c in cues.INVITATIONS if c in low)
        self.inline = any(c in low for c in cues.INLINE)
        self.verbs = _VERB.search(low) is not None

    def lines(self) -> list[Line]:
        """The text's lines; a long one that has an attribution in its middle is cut there."""
        out: list[Line] = []
        start = 0
        for raw in self.text.splitlines(keepends=True):
            end = start + len(raw)
            cut = start + self._middle(raw) if len(raw) > 30 else start
            if start < cut < end:
                out.append(Line(start, start, cut, _fold(self.text[start : min(cut, start + WINDOW)])))
                out.append(Line(cut, cut, end, "-----original message-----"))
            elif cut < start:
                out.append(Line(start, start, end, "-----original message-----"))
            else:
                out.append(Line(start, start, end, _fold(raw[:WINDOW])))
            start = end
        return out

    def _middle(self, raw: str) -> int:
        """Where in an unmarked line a flattened attribution begins; 0 for nowhere, -1 for "all of it"."""
        if ":" not in raw and "：" not in raw or _MARK.match(raw):
            return 0
        block = _MID_BLOCK.search(raw)
        if (
            block
            and (block.start() or len(raw) > block.end() + 2)
            and not _SEPARATOR.match(_fold(raw[:WINDOW]))
        ):
            return block.start() or (-1 if len(raw) > 160 else 0)
        if not self.verbs:
            return 0
        for verb in _MID_VERB.finditer(raw):
            before = raw[max(0, verb.start() - 250) : verb.end()]
            opener = _MID_OPENER.search(before)
            if opener is not None:
                return (max(0, verb.start() - 250) + opener.start()) or -1
            if "@" in before:
                return -1
        return 0

    def parts(self, lines: list[Line]) -> tuple[Part, ...]:
        out: list[Part] = []
        first, last = 0, len(lines)
        while first < last:
            label = self.labels[lines[first].start]
            after = first + 1
            while after < last and self.labels[lines[after].start] == label:
                after += 1
            start, end = lines[first].start, lines[after - 1].end
            out.append(Part(author=label[0], how=label[1], start=start, end=end, text=self.text[start:end]))
            first = after
        return tuple(out)

    # -- one level ------------------------------------------------------------------------------------------

    def region(self, lines: list[Line], label: Label, *, depth: int) -> bool:
        """Labels the lines of one level; True if its unmarked text was `label`'s to the end."""
        return _Region(self, lines, label, depth).run()

    def mark(self, lines: list[Line], label: Label) -> None:
        for line in lines:
            self.labels[line.start] = label


class _Region:
    """The lines of one quoting level, read from top to bottom."""

    def __init__(self, mail: _Splitter, lines: list[Line], label: Label, depth: int) -> None:
        self.mail, self.lines, self.depth = mail, lines, depth
        self.label = label
        """Whose the next unmarked line is."""
        self.owner = label
        self.clean = True
        """Whether unmarked text is still the owner's (rule 4)."""
        self.run_author: Handle | None = None
        self.run_mark = ""
        self.seen = False
        """Some unmarked text of the owner has stood here."""
        self.marked = [self._marked(line) for line in lines]
        self.signed_at = -1
        self.paragraph = 0
        self.rule_at = -1
        self.one_paragraph = False
        """The label holds to the next blank line only."""

    def _marked(self, line: Line) -> re.Match[str] | None:
        if not line.said or line.said.startswith("-----original message-----") and line.at == line.start:
            return None
        return _MARK.match(self.mail.text, line.at, line.end)

    def run(self) -> bool:
        index, count = 0, len(self.lines)
        while index < count:
            line = self.lines[index]
            if self.marked[index] is not None:
                index = self.quoted(index)
            elif not line.said:
                self.blank(index)
                index += 1
            else:
                index = self.unmarked(index)
        return self.clean

    # -- marked lines -----------------------------------------------------------------------------------------

    def quoted(self, index: int) -> int:
        """A run of lines with one kind of mark, and the blanks between them, read as a region of its own."""
        mark = self.kind(index)
        self.introduced(index)
        end = index
        inner: list[Line] = []
        while end < len(self.lines):
            match = self.marked[end]
            line = self.lines[end]
            if match is None:
                if line.said or not self.goes_on(end, mark):
                    break
                inner.append(line)
            elif self.kind(end) != mark:
                break
            else:
                at = min(match.end(), line.end)
                inner.append(
                    Line(line.start, at, line.end, _fold(self.mail.text[at : min(line.end, at + WINDOW)]))
                )
            end += 1
        if self.run_author is not None and not self.run_mark:
            self.run_mark = mark
        author = self.run_author if mark == self.run_mark and mark != "name" else None
        if len(inner) == 1 and self.mail.text[self.lines[index].at :][:6] == ">From ":
            author = None
        if self.depth + 1 >= DEEPEST:
            self.mail.mark(inner, NOBODY)
        elif not self.mail.region(inner, (author, "quote"), depth=self.depth + 1):
            self.run_author = None
        if self.label[1] == "signature" or self.one_paragraph:
            self.label, self.one_paragraph = self.owner, False
        self.paragraph, self.rule_at = end, -1
        return end

    def kind(self, index: int) -> str:
        match = self.marked[index]
        assert match is not None
        return "name" if match["name"] else match["mark"].strip().lower()

    def goes_on(self, index: int, mark: str) -> bool:
        """Whether a blank line stands between two marked lines of one kind."""
        after = index + 1
        return after < len(self.lines) and self.marked[after] is not None and self.kind(after) == mark

    def introduced(self, index: int) -> None:
        """A line of the owner's that ends in a colon introduces the quote: by whom it is, is not known."""
        for before in range(index - 1, max(-1, index - 3), -1):
            line = self.lines[before]
            if not line.said:
                continue
            if self.marked[before] is None and self.mail.labels[line.start] != ATTRIBUTION:
                if line.said.endswith((":", "：")):
                    self.run_author = None
                elif before == index - 1 and self.continues(index, line.said):
                    self.mail.labels[line.start] = NOBODY
            return

    def continues(self, index: int, said: str) -> bool:
        """Whether the marked line carries on the sentence of the unmarked line right above it."""
        match = self.marked[index]
        assert match is not None
        head = self.mail.text[match.end() : match.end() + 1]
        return head.islower() and not said.endswith(_ENDED)

    # -- unmarked lines -----------------------------------------------------------------------------------------

    def blank(self, index: int) -> None:
        """A blank line goes with what stands before it."""
        line = self.lines[index]
        before = self.mail.labels[self.lines[index - 1].start] if index else self.label
        self.mail.labels[line.start] = before
        self.paragraph = index + 1
        if self.one_paragraph:
            self.label, self.one_paragraph = self.owner, False
        elif self.label[1] == "signature" and index > self.signed_at + 1 and self.mail.reply:
            self.end(NOBODY)

    def unmarked(self, index: int) -> int:
        line = self.lines[index]
        for look in (self.separator, self.header_block, self.attribution, self.footer, self.signature):
            after = look(index)
            if after > index:
                return after
        if self.label[1] == "signature" and index - self.signed_at > 12:
            self.end(NOBODY)
        if self.broken_wrap(index):
            self.mail.labels[line.start] = NOBODY
            self.label, self.one_paragraph = NOBODY if self.clean else self.label, self.clean
            return index + 1
        if _RULE.match(line.said):
            return self.rule(index)
        self.mail.labels[line.start] = self.label
        self.seen = self.seen or self.label == self.owner
        return index + 1

    def end(self, label: Label) -> None:
        """From here on nothing unmarked is the owner's (rule 4)."""
        self.label = self.owner = label
        self.clean = self.one_paragraph = False

    def broken_wrap(self, index: int) -> bool:
        """Whether an unmarked line right under a marked one may be its rest."""
        if index == 0 or self.marked[index - 1] is None:
            return False
        above = self.lines[index - 1]
        content = self.mail.text[above.at : min(above.end, above.at + WINDOW)].rstrip()
        inner = self.marked[index - 1]
        assert inner is not None
        bare = self.mail.text[inner.end() : min(above.end, inner.end() + WINDOW)].strip(" \t\r\n>|")
        if not bare:
            return self.sandwiched(index)
        width = above.at - above.start + len(content) + 1 + len(self.lines[index].said.split(" ", 1)[0])
        if not content.isascii():
            width += sum(1 for c in content if c > "\u2e80")
        return width >= NARROWEST or not bare.endswith(_ENDED) or self.sandwiched(index)

    def sandwiched(self, index: int) -> bool:
        """Whether the unmarked lines from here reach a marked line without a blank."""
        for after in range(index + 1, min(index + 5, len(self.lines))):
            if self.marked[after] is not None:
                return True
            if not self.lines[after].said:
                return False
        return False

    def rule(self, index: int) -> int:
        """A line of dashes: the end of a quoted message, and a suspicion of one in a reply."""
        said = self.lines[index].said
        self.rule_at = index
        heading = index > 0 and self.lines[index - 1].said and said[0] in "-=~#*+."
        if said.startswith("_" * 16) or (
            self.owner[1] in ("quote", "forward") and len(said) >= 10 and not heading
        ):
            self.end(FOOTER if self.owner[1] == "own" else NOBODY)
        elif self.mail.reply and len(said) >= 5 and not heading:
            self.end(NOBODY)
        self.mail.labels[self.lines[index].start] = self.label
        return index + 1

    # -- cues ---------------------------------------------------------------------------------------------------

    def separator(self, index: int) -> int:
        """`-----Original Message-----`, `Begin forwarded message:` and their kin."""
        said = self.lines[index].said
        if len(said) > 120:
            return index
        match = _SEPARATOR.match(said)
        if match is None:
            return index
        dashed = match["left"] and len(match["left"].strip()) >= 2
        bare = not match["rest"].strip(" :.*-_") and (said.endswith((":", "：")) or self.stands_alone(index))
        if not dashed and not bare:
            return index
        if dashed and not match["right"] and len(match["rest"]) > 60:
            return index
        how = "forward" if match["forward"] else "quote"
        self.mail.labels[self.lines[index].start] = ATTRIBUTION
        after = self.next_said(index + 1)
        self.fill(index + 1, after, ATTRIBUTION)
        if after >= len(self.lines):
            self.end((None, how))
            return after
        if self.marked[after] is not None:
            self.run_author, self.run_mark = None, ""
            return after
        block = self.header_block(after, how)
        if block > after:
            return block
        attributed = self.attribution(after)
        if attributed > after:
            return attributed
        self.end((None, how))
        return after

    def stands_alone(self, index: int) -> bool:
        """Blank before and after."""
        return (index == 0 or not self.lines[index - 1].said) and (
            index + 1 >= len(self.lines) or not self.lines[index + 1].said
        )

    def header_block(self, index: int, how: str = "") -> int:
        """`From: … Sent: … To: … Subject: …`: what stands under it is the From's, until the next block."""
        if ":" not in self.lines[index].said and "：" not in self.lines[index].said:
            return self.lotus(index)
        first = _fields(self.lines[index].said)
        if not first and not how and not _FOREIGN_HEADER.match(self.lines[index].said):
            return index
        fields: set[str] = set()
        found, senders, last, gap = 0, [], index, 0
        unknown_address = unknown_clock = False
        at = index
        while at < len(self.lines) and at < index + 40 and gap <= 4:
            said = self.lines[at].said
            if self.marked[at] is not None and not said.startswith(("|", ":", "]")):
                break
            got = _fields(said)
            if got:
                fields |= got
                found, last, gap = found + 1, at, 0
                if "from" in got and not senders:
                    senders.append(self.joined_value(at))
            elif said and _FOREIGN_HEADER.match(said):
                unknown_address = unknown_address or "@" in said
                unknown_clock = unknown_clock or _CLOCK.search(said) is not None
                found, gap = found + 1, gap + 1
                if unknown_address and unknown_clock and found >= 3:
                    last = at
            elif not said and (gap or at + 1 >= len(self.lines) or not _fields(self.lines[at + 1].said)):
                break
            else:
                gap += 1
            at += 1
        known = len(fields) >= 3 or ("from" in fields and len(fields) >= 2) or (how and len(fields) >= 1)
        if not first and not how:
            known = False
        if not known and not (unknown_address and unknown_clock and found >= 3):
            return index
        after = last + 1
        while after < len(self.lines) and self.lines[after].said and self.marked[after] is None:
            after += 1
        body = self.next_said(after)
        author = _address(senders[0]) if senders else None
        if not how:
            how = "quote" if self.mail.reply and not self.mail.forward else "forward"
        self.relabel_rule(index)
        self.fill(index, body, ATTRIBUTION)
        doubtful = how == "quote" and (self.mail.inline or not self.seen)
        if body < len(self.lines) and self.marked[body] is not None:
            doubtful = True
        self.end((None if doubtful or author == self.mail.author else author, how))
        self.run_author, self.run_mark = None, ""
        return body

    def joined_value(self, index: int) -> str:
        """A From line with the next one where that is its rest."""
        said = self.lines[index].said
        after = self.lines[index + 1].said if index + 1 < len(self.lines) else ""
        return f"{said} {after}" if after and not _fields(after) and "@" in after else said

    def lotus(self, index: int) -> int:
        """Lotus Notes: a name, a date, then `To`, `cc`, `Subject` on lines of their own."""
        if not _TIMED.search(self.lines[index].said) or len(self.lines[index].said) > 60:
            return index
        alone = {self.lines[at].said for at in range(index + 1, min(index + 14, len(self.lines)))}
        if not (alone & _LOTUS_TO and alone & _LOTUS_SUBJECT):
            return index
        self.mark_back(index)
        self.end(NOBODY)
        return index

    def mark_back(self, index: int) -> None:
        """The paragraph above, up to four lines, belongs to the block that begins here."""
        at = index - 1
        while at >= 0 and at > index - 5 and self.marked[at] is None:
            self.mail.labels[self.lines[at].start] = NOBODY
            if self.lines[at].said and (at == 0 or not self.lines[at - 1].said):
                break
            at -= 1

    def relabel_rule(self, index: int) -> None:
        """A rule right above a header block is the block's."""
        for at in range(index - 1, max(-1, index - 3), -1):
            if _RULE.match(self.lines[at].said):
                self.mail.labels[self.lines[at].start] = ATTRIBUTION
                return

    def attribution(self, index: int) -> int:
        """`On … Ann <ann@x.example> wrote:` over one to four lines; decides what follows."""
        found = self.attribution_end(index)
        if found is None:
            return self.weak_attribution(index)
        end, said = found
        author = _address(said)
        if author == self.mail.author:
            author = None
        self.fill(index, end, ATTRIBUTION)
        after = end
        while after < len(self.lines) and (not self.lines[after].said or _SNIP.match(self.lines[after].said)):
            after += 1
        self.fill(end, after, ATTRIBUTION)
        if after >= len(self.lines):
            return after
        if self.marked[after] is not None:
            self.run_author, self.run_mark = author, self.kind(after)
            return after
        stacked = self.attribution_end(after)
        if stacked is not None:
            second = self.attribution(after)
            self.run_author = None
            return second
        block = self.header_block(after)
        if block > after:
            return block
        self.end(NOBODY)
        self.run_author = None
        return after

    def attribution_end(self, index: int) -> tuple[int, str] | None:
        """(line after, joined text) if an attribution begins at this line."""
        first = self.lines[index].said
        if not first or len(first) >= WINDOW - 1 or self.marked[index] is not None:
            return None
        opener = _OPENER.match(first) is not None
        joined = ""
        for count in range(1, 6):
            at = index + count - 1
            if at >= len(self.lines) or self.marked[at] is not None:
                return None
            said = self.lines[at].said
            if not said:
                if count == 1 or at + 1 >= len(self.lines) or not _bare_tail(self.lines[at + 1].said):
                    return None
                continue
            joined = f"{joined} {said}".strip()
            if len(joined) > WINDOW:
                return None
            if _could_end(said) and (
                _attributes(joined, opener)
                if count == 1
                else (opener and _TIMED.search(joined) or _TAIL.match(said) and _begins(first))
                and _attributes(joined, opener)
            ):
                return at + 1, joined
        return None

    def weak_attribution(self, index: int) -> int:
        """Prose that ends in "…, he wrote:": the passage under it is not the author's."""
        said = self.lines[index].said
        if not self.mail.verbs or not said.endswith((":", "：")) or not _VERB.search(said[-60:]):
            return index
        self.mail.labels[self.lines[index].start] = self.label
        after = self.next_said(index + 1)
        self.fill(index + 1, after, self.label)
        if after < len(self.lines) and self.marked[after] is None and self.clean:
            self.label, self.one_paragraph = NOBODY, True
        self.run_author = None
        return after

    def footer(self, index: int) -> int:
        """Footers of lists, scanners and lawyers, invitations, and a gateway's banner on top."""
        said = self.lines[index].said
        mail = self.mail
        if mail.banners and not self.seen and any(c in said for c in mail.banners):
            return self.doubt(index, FOOTER)
        if mail.footers and any(c in said for c in mail.footers):
            self.back_to_rule(index)
            self.end(FOOTER)
        elif mail.invitations and any(c in said for c in mail.invitations):
            self.back_to_paragraph(index, NOBODY)
            self.end(NOBODY)
        elif mail.doubtful and any(c in said for c in mail.doubtful):
            if self.rule_at >= 0 and index - self.rule_at <= 4 or self.label[1] == "signature":
                self.back_to_rule(index)
                self.end(FOOTER)
            else:
                return self.doubt(index, FOOTER)
        else:
            return index
        mail.labels[self.lines[index].start] = self.label
        return index + 1

    def doubt(self, index: int, label: Label) -> int:
        """This paragraph alone is not the owner's."""
        if self.clean:
            self.back_to_paragraph(index, label)
            self.label, self.one_paragraph = label, True
        self.mail.labels[self.lines[index].start] = self.label
        return index + 1

    def back_to_paragraph(self, index: int, label: Label) -> None:
        for at in range(max(self.paragraph, index - 40), index):
            if self.marked[at] is None and self.mail.labels[self.lines[at].start][1] in ("own", "signature"):
                self.mail.labels[self.lines[at].start] = label

    def back_to_rule(self, index: int) -> None:
        """A footer begins at the line of dashes above it, or at its paragraph."""
        if self.rule_at >= 0 and index - self.rule_at <= 30:
            self.paragraph = self.rule_at
        self.back_to_paragraph(index, FOOTER)

    def signature(self, index: int) -> int:
        """`-- ` or a phone's "Sent from my …": the owner's, to the next blank line or a dozen lines."""
        said = self.lines[index].said
        if said in ("--", "—", "–", "- --") or said.startswith("-----begin pgp signature"):
            if self.label[1] == "signature" and self.signed_at >= 0 and index - self.signed_at > 1:
                self.end(FOOTER)
                self.mail.labels[self.lines[index].start] = FOOTER
                return index + 1
        elif not said.startswith(cues.MOBILE) or len(said) > 100:
            return index
        if self.clean:
            self.label, self.one_paragraph = (self.owner[0], "signature"), False
            self.signed_at = index
        self.mail.labels[self.lines[index].start] = self.label
        return index + 1

    # -- small steps ------------------------------------------------------------------------------------------

    def next_said(self, index: int) -> int:
        while index < len(self.lines) and not self.lines[index].said:
            index += 1
        return index

    def fill(self, first: int, after: int, label: Label) -> None:
        self.mail.mark(self.lines[first:after], label)


_LOTUS_TO: Final = frozenset(cues.TO) | frozenset(f"{w}:" for w in cues.TO)
_LOTUS_SUBJECT: Final = frozenset(cues.SUBJECT) | frozenset(f"{w}:" for w in cues.SUBJECT)


@lru_cache(maxsize=4096)
def _fields(said: str) -> frozenset[str]:
    """Which header fields a line may be, in any language ("de:" is a From, "data:" a Date)."""
    if ":" not in said[:40] and "：" not in said[:40]:
        return frozenset()
    got = [field for field, pattern in _HEADER.items() if pattern.match(said)]
    return frozenset(got[:1])


def _could_end(said: str) -> bool:
    return said.endswith((":", "：")) or _VERB.search(said[-40:]) is not None or said.endswith("]")


def _bare_tail(said: str) -> bool:
    return bool(said) and len(said) <= 60 and _TAIL.match(said) is not None and _could_end(said)


def _begins(first: str) -> bool:
    """Whether a line may be the first of an attribution that has no date word: a name, or one with address."""
    return "@" in first or (len(first) <= 70 and not first.endswith(_ENDED))


def _attributes(said: str, opener: bool) -> bool:
    """Whether joined lines are an attribution. Wrong yeses lose own words, wrong noes show others'."""
    colon = said.rstrip("*_\"'”»-. <>").endswith((":", "：", ":]"))
    verb = _VERB.search(said) is not None
    timed = _TIMED.search(said) is not None
    address = "@" in said or "<" in said
    if verb and colon:
        if address or (opener and any(c.isdigit() for c in said)) or timed:
            return True
        return len(said.split()) <= 7 and not said.startswith(("i ", "ich ", "je ", "as ", "und ", "and "))
    if colon:
        return (address and timed) or _QUOTING.match(said) is not None
    if _MUTT_STAR.match(said):
        return True
    return verb and opener and timed and _VERB.search(said[-30:]) is not None
