"""SearchSnippet/get (RFC 8621 §5): where the words of a query stand, in what the level shows."""

from __future__ import annotations

import html
from typing import Any

import orjson

from byleave.gateway.jmap.email import Asked, emails, numbered
from byleave.gateway.jmap.method import Arguments, wrong
from byleave.gateway.jmap.mime import Wanted
from byleave.sources.html import text_of
from byleave.view import View
from byleave.words.terms import WORD, terms

LONGEST = 255
"""Bytes of a snippet at the most (RFC 8621 §5)."""
_ASKED = Asked(["id", "subject", "textBody", "bodyValues"], Wanted(text=True), True)


def get(view: View, arguments: Arguments) -> bytes:
    """SearchSnippet/get (RFC 8621 §5.1)."""
    ids = arguments.ids("emailIds")
    if ids is None:
        raise wrong("emailIds")
    filter = numbered(view, arguments.value("filter"))
    words = {where: _asked(filter, where) for where in ("subject", "body")}
    borns = view.borns(ids)
    there = emails(view, list(borns.values()), _ASKED) if borns else {}
    found, missing = [], []
    for id in ids:
        email = there.get(borns.get(id, -1))
        if email is None:
            missing.append(id)
            continue
        shown = orjson.loads(email)
        found.append(
            {
                "emailId": id,
                "subject": _marked(shown["subject"] or "", words["subject"], whole=True),
                "preview": _marked(_text(shown), words["body"], whole=False),
            }
        )
    return orjson.dumps({"accountId": view.account_id, "list": found, "notFound": missing})


def _text(email: dict[str, Any]) -> str:
    """The words of an Email's textBody; of HTML without its tags."""
    values = [
        (p["type"], email["bodyValues"].get(p["partId"], {}).get("value", "")) for p in email["textBody"]
    ]
    return "\n".join(text_of(value) if type == "text/html" else value for type, value in values)


def _asked(filter: Any, where: str) -> set[str]:
    """The terms that a filter looks for in subject or body; not those it excludes."""
    if not filter or filter.get("operator") == "NOT":
        return set()
    if "operator" in filter:
        return set().union(*(_asked(c, where) for c in filter["conditions"]))
    return {t for name in ("text", where) for t in terms(filter.get(name) or "")}


def _marked(text: str, words: set[str], *, whole: bool) -> str | None:
    """`text` on one line with <mark> around each of `words`, everything else escaped; null without any."""
    text = " ".join(text[:1_000_000].split())
    hits = [m.span() for m in WORD.finditer(text) if set(terms(m[0])) & words] if words else []
    if not hits:
        return None
    start = 0 if whole else max(0, hits[0][0] - 60)
    pieces, at, left = [], start, LONGEST
    for begin, end in hits:
        if begin < at:
            continue
        for piece, before, after in ((text[at:begin], "", ""), (text[begin:end], "<mark>", "</mark>")):
            fitting = _fitting(piece, left - len(before + after))
            if fitting:
                pieces.append(before + fitting + after)
            left -= len((before + fitting + after).encode())
            if len(html.unescape(fitting)) < len(piece):
                return "".join(pieces)
        at = end
    pieces.append(_fitting(text[at:], left))
    return "".join(pieces)


def _fitting(piece: str, most: int) -> str:
    """As much of `piece`, escaped, as fits into `most` bytes."""
    out: list[str] = []
    for c in piece:
        escaped = html.escape(c, quote=False)
        most -= len(escaped.encode())
        if most < 0:
            break
        out.append(escaped)
    return "".join(out)
