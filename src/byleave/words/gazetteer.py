"""The titles of a catalogue as one automaton, and the places in a text that may name one of them.

Rules of this file:

1. A place is a run of whole tokens. Case, accents, apostrophes, "&", a leading article and the way a number
   is written ("II", "2", "two") never decide whether it matches; whether it *is* a title is for `mentions`.
2. Texts and titles go through one canonical form, so that both sides of a match are made by the same code.
3. One byte pass over a whole batch (Aho-Corasick, every overlapping match), then only what matched costs
   anything. Typing errors are searched only around words that nobody knows, one edit away, in keys of seven
   letters or more.
4. Offsets are code points of the text as given; nothing here changes its length.

Word ranks and first names come from zxcvbn's frequency lists (MIT): spoken English and Wikipedia.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache, lru_cache

import msgspec
import numpy as np
from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

LONGEST = 14
"""Tokens of the longest alias; longer titles are cut there."""
LARGEST_SERIES = 200
"""Words that more titles begin with name no series (numbered sports evenings, episodes), and would cost their square."""
TYPO_LETTERS = 7
"""A key needs so many letters before one edit may be forgiven."""
UNKNOWN_RANK = 40_000
"""Rank given to a word that stands in no list."""

_TOKEN = re.compile(
    r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"  # scripts without spaces: a token a sign
    r"|[^\W_\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+(?:['’`][^\W_]+)*"
    r"|&(?:amp;)?"
)
_ARTICLES = frozenset({"the", "a", "an"})
_NUMBERS = {
    "ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9",
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13",
    "&": "and", "&amp;": "and",
}  # fmt: skip
_PART_WORDS = frozenset({"part", "chapter", "episode", "vol", "volume", "pt", "ep"})
_YEAR_BEHIND = re.compile(r"\s*\(((?:18|19|20)\d\d)\)\s*$")
_ARTICLE_BEHIND = re.compile(r"^(.*), (the|a|an)$", re.I)
_PARTS = re.compile(r":\s+|\s+[-–—]\s+|:(?=\S)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Title(msgspec.Struct, frozen=True):
    """One film of a catalogue. `names` are its titles in other languages; `year` 0 where not known."""

    id: str
    title: str
    year: int = 0
    names: tuple[str, ...] = ()
    popularity: float = 0.0
    """Any figure that grows with fame (votes, viewings); 0 where the catalogue gives none."""


class Kind(IntEnum):
    """How an alias came out of its title, surest first."""

    FULL = 0
    NAME = 1
    """The title in another language."""
    JOINED = 2
    """"xmen" for "X-Men", "dodge ball" for "DodgeBall"."""
    HEAD = 3
    """What stands before ":" or " - "."""
    TAIL = 4
    """What stands behind it."""
    SERIES = 5
    """The words that two titles or more begin with."""
    ACRONYM = 6


@dataclass(slots=True)
class Alias:
    """One key with every title it may stand for, and what can be said of it without a text."""

    key: str
    kind: Kind
    titles: list[tuple[int, Kind]]
    tokens: tuple[str, ...]
    article: bool
    """The title it comes from begins with an article."""
    static: tuple[float, ...] = ()
    series: str = ""


@dataclass(slots=True)
class Text:
    """One text, cut once: `starts[i]`, `ends[i]` (code points) and `words[i]` of each token."""

    text: str
    words: list[str]
    starts: list[int]
    ends: list[int]


@dataclass(slots=True)
class Place:
    """Tokens `first` up to, not including, `last` of text number `text` may be `alias`."""

    text: int
    first: int
    last: int
    alias: Alias
    edits: int = 0


@lru_cache(maxsize=4096)
def _fold_char(char: str) -> str:
    lower = char.lower()
    base = unicodedata.normalize("NFKD", lower)[:1]
    if len(lower) == 1 and not base.isalnum():
        return lower
    return base if base else char


def fold(text: str) -> str:
    """`text` in lower case without accents, code point for code point."""
    lower = text.lower()
    if lower.isascii():
        return lower
    return "".join([_fold_char(c) for c in text])


@lru_cache(maxsize=65_536)
def _canonical(token: str) -> str:
    word = token.replace("'", "").replace("’", "").replace("`", "")
    return _NUMBERS.get(word, word)


def cut(text: str) -> Text:
    """`text` cut into canonical words with their offsets in code points."""
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _TOKEN.finditer(fold(text)):
        words.append(_canonical(match.group()))
        starts.append(match.start())
        ends.append(match.end())
    return Text(text, words, starts, ends)


@cache
def _lists() -> tuple[dict[str, int], dict[str, int], frozenset[str], frozenset[str]]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS as lists  # 2 MB of words: only when first asked

    def ranks(name: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for rank, word in enumerate(lists[name], 1):
            found.setdefault(_canonical(word), rank)
        return found

    first_names = frozenset(lists["female_names"][:1500]) | frozenset(lists["male_names"])
    return (
        ranks("us_tv_and_film"),
        ranks("english_wikipedia"),
        first_names,
        frozenset(lists["surnames"][:4000]),
    )


def spoken_rank(word: str) -> int:
    """Rank of `word` in spoken English, 1 the most frequent; `UNKNOWN_RANK` where it is not listed."""
    return _lists()[0].get(word, UNKNOWN_RANK)


def written_rank(word: str) -> int:
    return _lists()[1].get(word, UNKNOWN_RANK)


def is_name(word: str) -> bool:
    """True for an English first name or a frequent surname."""
    _, _, first, last = _lists()
    return word in first or word in last


def title_words(title: str) -> list[str]:
    """Canonical words of a title: the year behind it and its leading article are left out."""
    title = _YEAR_BEHIND.sub("", title)
    behind = _ARTICLE_BEHIND.match(title)
    words = cut(behind[1] if behind else title).words[:LONGEST]
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


def group_key(title: str) -> str:
    """The key that remakes and re-spellings of one title share."""
    return " ".join(title_words(title))


def _without_part_words(words: Sequence[str]) -> list[str]:
    return [
        w
        for i, w in enumerate(words)
        if not (w in _PART_WORDS and i > 0 and i + 1 < len(words) and words[i + 1].isdigit())
    ]


def _initials_joined(words: Sequence[str]) -> list[str]:
    """ "p s i love you" as "ps i love you": how people write a run of initials."""
    out: list[str] = []
    run = False
    for word in words:
        single = len(word) == 1 and word.isalpha()
        if single and run and word not in ("i", "a"):
            out[-1] += word
        else:
            out.append(word)
        run = single
    return out


def _splits(word: str) -> list[str] | None:
    """ "zombieland" as two well-known words, None where there is no such cut."""
    for at in range(3, len(word) - 2):
        if spoken_rank(word[:at]) <= 6000 and spoken_rank(word[at:]) <= 6000:
            return [word[:at], word[at:]]
    return None


def _aliases(title: str) -> list[tuple[list[str], Kind]]:
    """Every key that `title` may be called by, with how it was made."""
    words = title_words(title)
    if not words:
        return []
    found = [(words, Kind.FULL)]
    short = _without_part_words(words)
    if short != words:
        found.append((short, Kind.FULL))
    run = _initials_joined(words)
    if run != words:
        found.append((run, Kind.JOINED))
    joined = "".join(words)
    if 1 < len(words) <= 4 and 2 <= len(joined) <= 16:
        found.append(([joined], Kind.JOINED))
    camel = title_words(_CAMEL.sub(" ", title))
    if camel != words:
        found.append((camel, Kind.JOINED))
    if len(words) == 1 and len(words[0]) >= 7 and spoken_rank(words[0]) > 6000:
        halves = _splits(words[0])
        if halves:
            found.append((halves, Kind.JOINED))
    parts = [p for p in _PARTS.split(_YEAR_BEHIND.sub("", title)) if p.strip()]
    if len(parts) > 1:
        head, tail = title_words(parts[0]), title_words(parts[-1])
        found += [(head, Kind.HEAD), (_without_part_words(head), Kind.HEAD), (tail, Kind.TAIL)]
        if len(parts) > 2:
            found += [
                (title_words(" ".join(parts[:2])), Kind.HEAD),
                (title_words(" ".join(parts[1:])), Kind.TAIL),
            ]
        if len(head) > 2 and head[-1].isdigit():
            found.append((head[:-1], Kind.SERIES))
        if len(head) == 1 and len(head[0]) > 3 and tail and tail[-1].isdigit():
            found.append((head + tail[-1:], Kind.HEAD))
    for source in (words, title_words(parts[0]) if parts else []):
        if 3 <= len(source) <= 7:
            initials = "".join(w[0] for w in source)
            if spoken_rank(initials) == UNKNOWN_RANK and initials.isalpha():
                found.append(([initials], Kind.ACRONYM))
    return [(key, kind) for key, kind in found if key]


def _deletes(key: str) -> list[int]:
    return [zlib.crc32(key.encode())] + [
        zlib.crc32((key[:i] + key[i + 1 :]).encode())
        for i in range(len(key))
        if i == 0 or key[i] != key[i - 1]
    ]


def one_edit(a: str, b: str) -> bool:
    """True where `a` becomes `b` by at most one insertion, deletion, substitution or swap of neighbours."""
    if a == b:
        return True
    if abs(len(a) - len(b)) > 1:
        return False
    i = 0
    while i < min(len(a), len(b)) and a[i] == b[i]:
        i += 1
    if len(a) == len(b):
        return a[i + 1 :] == b[i + 1 :] or (a[i : i + 2] == b[i : i + 2][::-1] and a[i + 2 :] == b[i + 2 :])
    return a[i + 1 :] == b[i:] if len(a) > len(b) else a[i:] == b[i + 1 :]


@dataclass(eq=False)
class Gazetteer:
    """The compiled catalogue. Making one takes about a second for 30,000 titles; it is then read-only.

    `places(texts)` is the only question it answers. `titles[i]` is the i-th title as given; an alias names
    titles by that index.
    """

    titles: list[Title]
    aliases: dict[str, Alias] = field(init=False)

    def __init__(self, titles: Iterable[Title]) -> None:
        self.titles = list(titles)
        self.aliases = {}
        for index, title in enumerate(self.titles):
            for name, best in [(title.title, Kind.FULL), *((n, Kind.NAME) for n in title.names)]:
                article = fold(name).split(" ", 1)[0] in _ARTICLES
                for words, kind in _aliases(name):
                    self._add(words, max(kind, best), index, article)
        self._add_series()
        self._compile()
        self._typos()
        self._vocabulary = {w for a in self.aliases.values() for w in a.tokens}

    def _add(self, words: Sequence[str], kind: Kind, index: int, article: bool) -> None:
        key = " ".join(words)
        alias = self.aliases.get(key)
        if alias is None:
            self.aliases[key] = Alias(key, kind, [(index, kind)], tuple(words), article)
            return
        if all(i != index for i, _ in alias.titles):
            alias.titles.append((index, kind))
        if kind < alias.kind:
            alias.kind = kind
        alias.article = alias.article or article

    def _add_series(self) -> None:
        """Words that two titles begin with ("harry potter") name the series, where they stand before "and",
        "of", a number or a colon in the titles."""
        heads: dict[tuple[str, ...], list[int]] = {}
        for index, title in enumerate(self.titles):
            words = title_words(title.title)
            for at in range(1, min(5, len(words))):
                if words[at] in ("and", "of") or words[at].isdigit():
                    heads.setdefault(tuple(words[:at]), []).append(index)
        for head, members in heads.items():
            series = 2 <= len(members) <= LARGEST_SERIES and len(head) >= 2
            if series and head[-1] not in ("the", "of", "and"):
                for index in members:
                    self._add(head, Kind.SERIES, index, False)

    def _compile(self) -> None:
        self._keys = list(self.aliases)
        self._automaton = (
            AhoCorasick(
                [f" {key} " for key in self._keys],
                matchkind=MatchKind.Standard,
                implementation=Implementation.ContiguousNFA,
            )
            if self._keys
            else None
        )
        for alias in self.aliases.values():
            alias.series = " ".join(alias.tokens[:2])

    def _typos(self) -> None:
        hashes: list[int] = []
        owners: list[int] = []
        self._squashed = [a.key.replace(" ", "") for a in self.aliases.values()]
        for number, (alias, letters) in enumerate(zip(self.aliases.values(), self._squashed, strict=True)):
            if alias.kind == Kind.ACRONYM:
                continue
            if alias.article and TYPO_LETTERS - 3 <= len(letters) < TYPO_LETTERS:
                letters = self._squashed[number] = "the" + letters
            if len(letters) >= TYPO_LETTERS:
                found = _deletes(letters)
                hashes += found
                owners += [number] * len(found)
        order = np.argsort(np.array(hashes, dtype=np.uint32), kind="stable")
        self._typo_hashes = np.array(hashes, dtype=np.uint32)[order]
        self._typo_owners = np.array(owners, dtype=np.int32)[order]

    def places(self, texts: Sequence[Text]) -> list[Place]:
        """Every place in `texts` that may be a title, by text, then by where it begins, longest first."""
        found = self.exact(texts)
        found += self._misspelt(texts, {(p.text, p.first, p.last) for p in found})
        found.sort(key=lambda p: (p.text, p.first, -p.last, p.alias.key))
        return found

    def exact(self, texts: Sequence[Text]) -> list[Place]:
        """The byte pass alone: every whole-word match of an alias, in the automaton's order."""
        if self._automaton is None:
            return []
        hay = " " + " \n ".join([" ".join(t.words) for t in texts]) + " "
        matches = self._automaton.find_matches_as_indexes(hay, overlapping=True)
        if not matches:
            return []
        spaces = np.flatnonzero(np.frombuffer(hay.encode("utf-32-le"), dtype=np.uint32) == 32)
        # every token and every "\n" is a field behind a blank; an empty text is a field with nothing in it
        fields = np.cumsum(np.array([0, *(max(len(t.words), 1) + 1 for t in texts)]))
        starts = np.searchsorted(spaces, np.array([m[1] for m in matches]))
        owner = np.searchsorted(fields, starts, side="right") - 1
        firsts = starts - fields[owner]
        places = []
        for (pattern, _, _), text, first in zip(matches, owner.tolist(), firsts.tolist(), strict=True):
            alias = self.aliases[self._keys[pattern]]
            places.append(Place(text, first, first + len(alias.tokens), alias))
        return places

    def _odd(self, word: str) -> bool:
        if len(word) == 1:
            return word.isalpha() and word not in ("a", "i", "u", "s")
        return not word.isdigit() and word not in self._vocabulary and spoken_rank(word) == UNKNOWN_RANK

    def _misspelt(self, texts: Sequence[Text], known: set[tuple[int, int, int]]) -> list[Place]:
        windows: list[tuple[int, int, int, str]] = []
        for number, text in enumerate(texts):
            words = text.words
            odd = [i for i, w in enumerate(words) if self._odd(w)]
            if not odd:
                continue
            seen = set()
            for at in odd:
                for first in range(max(0, at - 5), at + 1):
                    if words[first] in ("a", "an"):
                        continue
                    for last in range(at + 1, min(len(words), first + 7) + 1):
                        if (first, last) not in seen and (number, first, last) not in known:
                            seen.add((first, last))
                            letters = "".join(words[first:last])
                            if TYPO_LETTERS - 1 <= len(letters) <= 48:
                                windows.append((number, first, last, letters))
        if not windows or not len(self._typo_hashes):
            return []
        tried = [_deletes(w[3]) for w in windows]
        which = np.repeat(np.arange(len(windows)), [len(t) for t in tried])
        hashes = np.array([h for t in tried for h in t], dtype=np.uint32)
        low = np.searchsorted(self._typo_hashes, hashes, side="left")
        high = np.searchsorted(self._typo_hashes, hashes, side="right")
        places: dict[tuple[int, int], Place] = {}
        for hit in np.flatnonzero(high > low).tolist():
            window = int(which[hit])
            number, first, last, letters = windows[window]
            for owner in self._typo_owners[low[hit] : high[hit]].tolist():
                if (window, owner) not in places and one_edit(letters, self._squashed[owner]):
                    skip = 1 if texts[number].words[first] == "the" and last > first + 1 else 0
                    places[window, owner] = Place(
                        number, first + skip, last, self.aliases[self._keys[owner]], 1
                    )
        return list(places.values())
