"""The protection list: what the platform recommends is no person.

1. A title protects what lies inside it from the lexicon and the gazetteer, and a title of several words from
   single names of the address book, never a full name.
2. A title of one word that is also a name protects only beside film talk: `Anna was here` is about a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from byleave.words.folding import WORD, fold, folded
from byleave.words.lexicon import Token

_ARTICLES = frozenset(
    [
        "the",
        "a",
        "an",
        "der",
        "die",
        "das",
        "ein",
        "eine",
        "le",
        "la",
        "les",
        "un",
        "une",
        "el",
        "los",
        "las",
        "una",
        "il",
        "lo",
        "gli",
        "i",
        "o",
        "os",
        "as",
        "um",
        "uma",
        "l",
    ]
)
_WORDS_MAX = 14


class Titles:
    """A catalogue's titles, compiled once; may be empty."""

    def __init__(self, titles: Iterable[str] = ()) -> None:
        self._first: dict[str, list[tuple[str, ...]]] = {}
        self._whole: set[str] = set()
        seen: set[tuple[str, ...]] = set()
        for title in titles:
            words = tuple(fold(word) for word in WORD.findall(folded(title).text))[:_WORDS_MAX]
            if any(char.isdigit() for char in title):
                self._whole.add(fold(folded(title).text.strip()))
            bare = words[1:] if len(words) > 1 and words[0] in _ARTICLES else words
            for form in (words, bare):
                if form and form not in seen and not (len(form) == 1 and form[0] in _ARTICLES):
                    seen.add(form)
                    self._first.setdefault(form[0], []).append(form)
        for forms in self._first.values():
            forms.sort(key=len, reverse=True)

    def __bool__(self) -> bool:
        return bool(self._first)

    def whole(self, text: str) -> bool:
        """Whether `text` is the whole of a title that has a number in it (`21 Jump Street`)."""
        return bool(self._whole) and fold(text.strip(" ,.")) in self._whole

    def find(self, line: list[Token]) -> Iterator[tuple[int, int]]:
        """(index of the first word, number of words) of every title in a text's words, longest first at each
        place."""
        i = 0
        while i < len(line):
            size = self._at(line, i)
            if size:
                yield i, size
            i += max(size, 1)

    def _at(self, line: list[Token], i: int) -> int:
        for form in self._first.get(line[i].fold, ()):
            size = len(form)
            if i + size <= len(line) and all(line[i + k].fold == form[k] for k in range(1, size)):
                return size
        return 0
