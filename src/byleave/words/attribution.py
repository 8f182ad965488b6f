"""What one line says of an author: marks of quoting, attributions, header fields, addresses; bounded work.

Rules of this file:

1. A pattern is tried on at most WINDOW code points, so that time is linear in the text, whatever it holds.
2. In doubt a line says that what follows is somebody else's (rule 1 of `quotes`), and names nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from byleave.model import Handle
from byleave.words import cues

WINDOW: Final = 400
"""Code points of a line, or of an attribution over several lines, that are looked at."""


class Line(NamedTuple):
    """One line of a region. `start`, `at` and `end` are code points in the text; the marks of outer levels
    stand between `start` and `at`. `said` is the folded content, "" for a blank line."""

    start: int
    at: int
    end: int
    said: str


def subject_kind(subject: str | None) -> str | None:
    """`reply`, `forward` or None, by the subject's prefix in any language of the table (RFC 5322 §3.6.5)."""
    if not subject:
        return None
    match = _PREFIX.match(fold(subject[:WINDOW]))
    if match is None:
        return "forward" if fold(subject[:WINDOW]).endswith("(fwd)") else None
    return "forward" if match["word"] in _FORWARD_ONLY else "reply"


# -- folding ------------------------------------------------------------

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


def fold(content: str) -> str:
    """Lower case, one space for any blanks, without invisible characters and a PGP dash escape."""
    if not content.isascii():
        content = content.translate(_INVISIBLE)
    folded = " ".join(content.lower().split())
    return folded[2:] if folded.startswith(("- --", "- >")) else folded


def either(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first."""
    return "|".join(re.escape(w) for w in sorted(set(words), key=len, reverse=True))


# -- patterns: each is tried on at most WINDOW code points ----

MARK: Final = re.compile(
    rf"[\s{_GAPS}]*(?:(?P<mark>>|&gt;|=3e\s|[|¦│┃▌»›＞❯▶➤](?!\w)|[:\]](?=[ \t]|$)|<(?=[ \t<]|$))"
    r"|(?P<name>\w[\w.'\-]{0,20}(?: \w[\w.'\-]{0,20}){0,2}(?<!-)>+(?=[\s>]|$)"
    r"|(?:[\[(]?\d{1,2}:\d\d(?::\d\d)?[\])]? {0,2})?<[@+%&]?[\w\[\]\\`^{}|\-]{1,24}>(?=\s)"  # <ann> out of a chat log
    r"|(?:[\[(]\d{1,2}:\d\d(?::\d\d)?(?: ?[ap]m)?[\])]|\d{1,2}:\d\d:\d\d) {1,2}[\w.\-]{1,24}(?: [\w.\-]{1,24}){0,2}:(?=\s)))"
    r"[ \t\u00a0]?",
    re.IGNORECASE,
)
VERB: Final = re.compile(rf"(?<!\w)(?:{either(cues.VERBS)})(?!\w)|[写寫]道|書きました|のメール|작성|썼습니다")
OPENER: Final = re.compile(
    rf"[\s*_\-~>#=<(\[]*(?:(?:{either(cues.OPENERS)})[.,:]{{0,2}}(?=[\s\d(])|\d{{1,4}}[-./年 ])"
)
QUOTING: Final = re.compile(rf"[\s*_\-]*(?:{either(cues.QUOTING)})(?:\W|$)")
MUTT_STAR: Final = re.compile(r"\* .{2,}[\[(][^\[\]()\d]*\d[^\[\]()]*[\])] ?:?$")
TIMED: Final = re.compile(r"\d[:.h]\d\d|\d{4}|\d\d?[./-]\d\d?[./-]\d\d")
TAIL: Final = re.compile(
    rf"(?:[^\s@]+@[^\s@]+ ?)?(?:\(a\)|a )?\s*(?:{either(cues.VERBS)})?(?:\(a\)|\(la\))?\s*[:：]?\W*$"
)
_ADDRESS: Final = re.compile(
    r"(?<![\w.!#$%&'*+/=?^`{|}~@-])[a-z0-9_+&'=~!#/-]+(?:\.[a-z0-9_+&'=~!#/-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,62})\.)+[a-z][a-z0-9-]{1,30}(?![\w@-]|\.\w)"
)
_MESSAGE_ID: Final = re.compile(
    r"(?:article|message|messaggio|mensaje|mensagem|wiadomości|newsbeitrag|news:|message-id:?|posting|^in|mid:)\s*<[^>\s]*>"
)
_DEPUTY: Final = re.compile(r"(?<!\w)(?:via|on behalf of|im auftrag von|de la part de|en nombre de|em nome de"
                            r"|per conto di|w imieniu|namens)(?!\w)")  # fmt: skip
_NEWS: Final = ("in message", "news:", "im newsbeitrag", "dans le message", "en el mensaje", "nel messaggio")
_DATED: Final = re.compile(r"\d{4}[/.-]\d\d?[/.-]\d\d? .{1,80}<[^<>\s]+@[^<>\s]+>:?$")
"""`2010/3/4 Ann <ann@x.example>`, with neither verb nor colon."""
FURNITURE: Final = re.compile(r"-=> ?quoting\b|,-{3,}|`-{3,}|\[moderator")
"""Alone on its line: the frame around a quote, often with a name in it."""
_NEWS_END: Final = ("news:", "message", "messaggio", "mensaje", "mensagem", "wiadomości", "newsbeitrag")
_ID_ALONE: Final = re.compile(r"(?:news:)?<?[^\s@<>]+@[^\s@<>]+>?(?:\.{2,}|…)?:?")
_HIDDEN_HOSTS: Final = ("invalid", "localhost", "public.gmane.org", "local")
RULE: Final = re.compile(r"[-‐-―=*~#_+․.•─━][-‐-―=*~#_+․.•─━ ]{2,}$")
_MID_VERB: Final = re.compile(
    r"(?<!\w)(?:wrote|writes|schrieb|a écrit|escribió|escreveu|ha scritto|napisał\(a\)|napisał|pisze"
    r"|skrev|schreef|kirjoitti|napsal|пишет|написал|yazdı|写道|寫道)[^:：\n]{0,120}[:：]\s+(?=\S)",
    re.IGNORECASE,
)
_MID_OPENER: Final = re.compile(
    r"(?<!\w)(?:On|Am|Le|El|Em|Il|W dniu|Dnia|Op|Den|Dne|В|На)\s(?=.{0,40}\d)"
    r"|\d{4}-\d\d-\d\d |(?<!\d)\d\d?[./]\d\d?[./]\d\d"
)
_MID_BLOCK: Final = re.compile(
    r"[-_]{3,}\s?(?:original message|forwarded message|ursprüngliche nachricht|weitergeleitete nachricht"
    r"|message d'origine|message transféré|mensaje original|mensaje reenviado|mensagem original"
    r"|mensagem encaminhada|messaggio originale|messaggio inoltrato|wiadomość oryginalna)"
    r"|begin forwarded message|_{20,}\s*(?:from|von|de|da|od)\s?:"
    r"|(?<!\w)(?:from|von|de|da|od)\s?:\s[^\n:]{1,120}(?<!\w)(?:sent|date|gesendet|datum|envoyé|enviado"
    r"|enviada em|fecha|data|inviato|wysłano)(?: el| em)?\s?:",
    re.IGNORECASE,
)
_DASHED: Final = re.compile(r"[\s\-_]*[^\n:\-]{4,60}[\s:\-_]*$")
BRACKETED: Final = re.compile(r"\[[^\[\]]{2,60}\] ?:?$")
SNIP: Final = re.compile(r"[\[<({]?\s*(?:snip\w*|\.{2,}|…|schnipp|cut|gekürzt|coupé)[\w\s.]{0,20}[\])>}]?$")
_PREFIX: Final = re.compile(
    r"(?:[\[(][^\])]{0,60}[\])] ?)*(?P<word>"
    + either((*cues.REPLY_PREFIXES, *cues.FORWARD_PREFIXES))
    + r")\s?(?:\[\d+\]|\(\d+\)|\^\d+|\*\d+|\d+)?\s?[:：]"
)
_FORWARD_ONLY: Final = frozenset(cues.FORWARD_PREFIXES) - frozenset(cues.REPLY_PREFIXES)
ENDED: Final = tuple(".?!:;…)]}>\"'”»。！？：")


def address(said: str) -> Handle | None:
    """The one address that an attribution names its writer by, or None (rule 2)."""
    if "@" not in said or said.count("@") > 6 or _DEPUTY.search(said) or said.startswith("excerpts"):
        return None
    said = _MESSAGE_ID.sub(" ", said)
    said = said.replace("mailto:", " ")
    every = _ADDRESS.findall(said)
    found = set(every)
    if len(found) != 1 or len(every) != said.count("@"):  # a second one, or one cut short (`ann@x...`)
        return None
    address: str = found.pop()
    local, _, host = address.rpartition("@")
    if len(local) > 64 or host.endswith(_HIDDEN_HOSTS) or "xxx" in host or "=" in local or "%" in local:
        return None
    return f"mail:{address}"


def could_end(said: str) -> bool:
    return (
        said.endswith((":", "："))
        or any(news in said for news in _NEWS)
        or said.startswith("excerpts from ")
        or _DATED.match(said) is not None
        or VERB.search(said[-40:]) is not None
        or said.endswith("]")
    )


def bare_tail(said: str) -> bool:
    return bool(said) and len(said) <= 60 and TAIL.match(said) is not None and could_end(said)


def opens(said: str) -> bool:
    """Whether a line opens as an attribution does: a date word and a date, or `In article`."""
    return QUOTING.match(said) is not None or (
        OPENER.match(said) is not None and TIMED.search(said) is not None
    )


def begins(first: str) -> bool:
    """Whether a line may be the head of an attribution without a date word: a name, or one with address."""
    return "@" in first or (len(first) <= 70 and not first.endswith(ENDED))


def attributes(said: str, opener: bool) -> bool:
    """Whether joined lines are an attribution. Wrong yeses lose own words, wrong noes show others'."""
    colon = said.rstrip("*_\"'”»-. <>").endswith((":", "：", ":]"))
    verb = VERB.search(said) is not None
    timed = TIMED.search(said) is not None
    address = "@" in said or "<" in said
    if verb and colon:
        if address or (opener and any(c.isdigit() for c in said)) or timed:
            return True
        return len(said.split()) <= 7 and not said.startswith(("i ", "ich ", "je ", "as ", "und ", "and "))
    if verb and any(w in said for w in _NEWS):
        return True
    if _DATED.match(said):
        return True
    if said.startswith("excerpts from ") and any(c.isdigit() for c in said):
        return True
    if colon:
        named = "@" in said and len(said.split()) <= 8 and _ADDRESS.search(said) is not None
        return (address and timed) or named or QUOTING.match(said) is not None
    if MUTT_STAR.match(said):
        return True
    return verb and opener and timed and VERB.search(said[-30:]) is not None


def flattened(raw: str, verbs: bool) -> int:
    """Where in an unmarked line a flattened attribution begins; 0 for nowhere, -1 for "all of it". `verbs`
    tells whether the mail has any verb of an attribution."""
    if (":" not in raw and "：" not in raw) or MARK.match(raw):
        return 0
    block = _MID_BLOCK.search(raw)
    if block and (block.start() or len(raw) > block.end() + 2) and not _DASHED.match(raw):
        return block.start() or -1
    if not verbs:
        return 0
    for verb in _MID_VERB.finditer(raw):
        before = raw[max(0, verb.start() - 250) : verb.end()]
        opener = _MID_OPENER.search(before)
        if opener is not None:
            return (max(0, verb.start() - 250) + opener.start()) or -1
        if "@" in before:
            return -1
    return 0


def attribution_at(lines: list[Line], marked: Sequence[object], index: int) -> tuple[int, str] | None:
    """(index of the line after, joined text) if an attribution begins at this line. `marked` holds None for a
    line without a mark."""
    first = lines[index].said
    if not first or len(first) >= WINDOW - 1 or marked[index] is not None:
        return None
    opener = OPENER.match(first) is not None
    joined = ""
    for count in range(1, 6):
        at = index + count - 1
        if at >= len(lines) or marked[at] is not None:
            return None
        said = lines[at].said
        if said.endswith(_NEWS_END) and at + 1 < len(lines) and _ID_ALONE.fullmatch(lines[at + 1].said):
            joined = f"{joined} {said}".strip()  # `… a écrit dans le message de news:` and the id below
            if len(joined) > WINDOW:
                return None
            continue
        if not said:
            if count == 1 or at + 1 >= len(lines) or not bare_tail(lines[at + 1].said):
                return None
            continue
        joined = f"{joined} {said}".strip()
        if len(joined) > WINDOW:
            return None
        if (could_end(said) or (count > 1 and _ID_ALONE.fullmatch(said))) and (
            attributes(joined, opener)
            if count == 1
            else (
                (VERB.search(joined) and any(news in joined for news in _NEWS) and begins(first))
                or (opener and (TIMED.search(joined) or QUOTING.match(joined)))
                or (TAIL.match(said) and begins(first))
                or MUTT_STAR.match(joined)
                or ("@" in joined and TIMED.search(joined) and not first.endswith(ENDED))
            )
            and attributes(joined, opener)
        ):
            return at + 1, joined
    return None
