"""The inbox's own people: every name and handle its address book ever held.

1. This is the legally relevant set, found without any model: accent- and case-blind, by full name, first
   name, last name, short form (`Kasia` for Katarzyna) and, with a capital, in its inflected forms.
2. A name that is also an everyday word (May, Will, Rose) counts only where its neighbours make it a name
   (`lexicon.name_like`); a full name always counts.
3. A name that two people bear is masked without saying whose it is: names prove nothing about who is who.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from byleave.model import Handle, Person
from byleave.words.folding import WORD, fold, folded
from byleave.words.lexicon import (
    PARTICLES,
    TITLES,
    Token,
    adjoins,
    everyday,
    inflected,
    name_like,
    short_forms,
    words,
)

Named = tuple[int, int, Handle | None]
"""(start, end, whose) in the folded text."""

_USER = re.compile(r"(?<![\w@])@?([\w.]{3,40})")
_LINE_MAX = 12


class People:
    """An inbox's address book, compiled once. `entries` are its persons; the same handle may come again under
    another name."""

    def __init__(self, entries: Iterable[Person]) -> None:
        self._full: dict[str, list[tuple[tuple[str, ...], Handle | None]]] = {}
        self._one: dict[str, Handle | None] = {}
        self._capital: dict[str, Handle | None] = {}
        self._weak: dict[str, Handle | None] = {}
        self._users: dict[str, Handle | None] = {}
        self._mails: dict[str, Handle] = {}
        self._phones: dict[str, Handle] = {}
        for entry in entries:
            self._add(entry)
        for forms in self._full.values():
            forms.sort(key=lambda form: -len(form[0]))
        self._last = words("last")

    def __bool__(self) -> bool:
        return bool(self._full or self._one or self._weak or self._users)

    def _add(self, entry: Person) -> None:
        handle = entry.handle
        names = [entry.name] if entry.name else []
        if handle:
            kind, _, value = handle.partition(":")
            digits = re.sub(r"\D", "", value)
            if kind == "mail":
                self._mails[value.lower()] = handle
            elif kind == "tel" and len(digits) >= 7:
                self._phones[digits[-9:]] = handle
            elif kind == "whatsapp" and "/" in value:
                names.append(value.rpartition("/")[2])
            elif re.fullmatch(r"[\w.]{3,40}", value) and not value.isdigit():
                _put(self._users, value.lower(), handle)
        for name in names:
            self._name(name, handle)

    def _name(self, name: str, handle: Handle | None) -> None:
        plain = folded(name).text
        if "@" in plain or sum(c.isdigit() for c in plain) > 6:
            return
        family, comma, given = plain.partition(",")
        if comma and given.strip():
            plain = f"{given} {family}"
        whole = [fold(word) for word in WORD.findall(plain)]
        parts = [word for word in whole if word not in TITLES][:_LINE_MAX]
        if not parts:
            return
        proper = [word for word in parts if word not in PARTICLES] or parts
        first, last = proper[0], proper[-1]
        if len(parts) > 1:
            orders = {tuple(parts), tuple(proper), (first, last), (last, first)}
            for order in orders:
                if len(order) > 1:
                    self._full.setdefault(order[0], []).append((order, handle))
        for word in dict.fromkeys((first, last)):
            self._single(word, handle)
        umlauts = plain.lower()
        if any(umlaut in umlauts for umlaut in "äöü"):
            spelled = umlauts.replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
            if spelled != umlauts:
                self._name(spelled, handle)
        for short in short_forms().get(first, ()):
            self._single(short, handle)

    def _single(self, word: str, handle: Handle | None) -> None:
        if len(word) < 2 or word in PARTICLES:
            return
        if len(word) < 3 or word in everyday():
            _put(self._weak, word, handle)
            return
        _put(self._capital if word in words("capital") else self._one, word, handle)
        for form in inflected(word):
            if form not in everyday():
                _put(self._capital, form, handle)

    def mail(self, address: str) -> Handle | None:
        """The handle of a mail address as written, if the book has it."""
        return self._mails.get(address.lower())

    def phone(self, number: str) -> Handle | None:
        """The handle whose number ends in the same nine digits, if the book has one."""
        return self._phones.get(re.sub(r"\D", "", number)[-9:])

    def find(self, text: str, line: list[Token]) -> Iterator[Named]:
        """The book's people in a folded text with the words `line`, in order, disjoint."""
        i, size = 0, len(line)
        while i < size:
            token = line[i]
            reach, whose = self._full_at(line, i)
            if reach:
                yield token.start, line[i + reach - 1].end, whose
                i += reach
                continue
            word = token.fold
            if word in self._one:
                yield token.start, token.end, self._one[word]
            elif word in self._weak:
                if name_like(line, i, self._last, known=True):
                    yield token.start, token.end, self._weak[word]
            elif word in self._capital and token.capital:
                yield token.start, token.end, self._capital[word]
            i += 1
        if self._users:
            for match in _USER.finditer(text):
                user = match[1].rstrip(".").lower()
                if user in self._users:
                    yield match.start(), match.start(1) + len(user), self._users[user]

    def _full_at(self, line: list[Token], i: int) -> tuple[int, Handle | None]:
        for form, whose in self._full.get(line[i].fold, ()):
            size = len(form)
            if i + size <= len(line) and all(
                line[i + k].fold == form[k] and (adjoins(line[i + k]) or line[i + k].gap == ", ")
                for k in range(1, size)
            ):
                bearers = {who for same, who in self._full[line[i].fold] if same == form}
                return size, whose if len(bearers) == 1 else None
        return 0, None


def _put(table: dict[str, Handle | None], word: str, handle: Handle | None) -> None:
    """A word that a second handle bears belongs to nobody in particular."""
    table[word] = handle if table.get(word, handle) == handle else None
