"""A recommendation card: what a partner may put into a person's mouth, checked to the letter.

Rules of this file:

1. Text, a title and the title's id in the partner's catalogue; nothing that is a link, a form or a control
   character. The only link is the gateway's own.
2. The destination is the agreement's: the first of `link_destinations`, with the id behind it as one path
   segment. No card can name another address.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Literal

import msgspec

from byleave.consent.agreement import Agreement
from byleave.errors import Code, Invalid

LONGEST_TITLE, LONGEST_TEXT = 200, 300
_SCHEME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_ID = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LINK = re.compile(r"[a-z][a-z0-9+.-]{1,20}://|\bwww\.|\b(?:mailto|javascript|data|tel):", re.IGNORECASE)


class TitleRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A title in the partner's own catalogue."""

    scheme: str
    id: str


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One card. `type` is always written."""

    type: Literal["recommendation"]
    title_ref: TitleRef
    title: str
    text: str = ""
    image: str | None = None


def read(stated: Any) -> Card:
    """The card in parsed JSON. Raises Invalid(INVALID_ARGUMENTS) naming the field."""
    try:
        card = msgspec.convert(stated, Card)
    except msgspec.ValidationError:
        raise _no(
            "card", "must be {type: recommendation, title_ref: {scheme, id}, title, text?, image?}"
        ) from None
    if not _SCHEME.fullmatch(card.title_ref.scheme) or not _ID.fullmatch(card.title_ref.id):
        raise _no("card.title_ref", "scheme and id are plain codes without slashes")
    _words("card.title", card.title, 1, LONGEST_TITLE)
    _words("card.text", card.text, 0, LONGEST_TEXT)
    if card.image is not None and not _SHA256.fullmatch(card.image):
        raise _no("card.image", "must be a SHA-256 in hex")
    return card


def _words(place: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most or (least and not text.strip()):
        raise _no(place, f"must have {least} to {most} characters")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp") or c in "‪‫‬‭‮⁦⁧⁨⁩" for c in text):
        raise _no(place, "must be plain text: no control or direction characters")
    if _LINK.search(text):
        raise _no(place, "must not hold a link: the card has its own")


def destination(agreement: Agreement, card: Card, bl: str | None = None) -> str | None:
    """Where a click on `card` goes, or None where the agreement names no destination."""
    allowed = agreement.terms.link_destinations
    if not allowed:
        return None
    base = allowed[0] if allowed[0].endswith("/") else allowed[0] + "/"
    # Neither an id nor a `bl` has a character that a URL would have to escape.
    return base + card.title_ref.id + ("" if bl is None else "?bl=" + bl)


def _no(place: str, problem: str) -> Invalid:
    return Invalid(Code.INVALID_ARGUMENTS, f"{place}: {problem}")
