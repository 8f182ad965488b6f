"""Whole words, case- and accent-blind: one tokenizer for what is indexed and what is asked (store.md,
"Search")."""

from __future__ import annotations

import re
import unicodedata

WORD = re.compile(r"\w+")
LONGEST = 40
"""Characters of a term at the most; longer words are cut alike when indexed and when asked."""


def terms(text: str) -> list[str]:
    """The terms of `text` in order, with repeats: "Ça va?" → ["ca", "va"]."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return [word[:LONGEST] for word in WORD.findall(text.casefold())]
