"""Search postings of one grant's rows: a term, a chunk of borns, the offsets in it.

Only what a row shows is ever written here, under the row's own number, so that what is hidden has no posting to
touch. Postings are gathered in memory for one chunk at a time and written in the order of their key.
"""

from __future__ import annotations

from array import array
from typing import Any

import orjson
from sqlalchemy import bindparam, delete, insert, select

from byleave.store import Transaction, prepare
from byleave.store.tables import view_term
from byleave.words.fragment import INDEX, SLOT, decode
from byleave.words.terms import terms

PEOPLE = {"from": "f", "to": "t", "cc": "c", "bcc": "b"}
"""Headers whose people can be searched for."""
CHUNK = 4096
"""Rows of a grant (by born) that share one posting a term."""

_POSTING = (
    view_term.c.owner_id == bindparam("owner_id"),
    view_term.c.grant_id == bindparam("grant_id"),
    view_term.c.term == bindparam("term"),
    view_term.c.chunk == bindparam("chunk"),
)
_GET_POSTING = prepare(select(view_term.c.borns).where(*_POSTING))
_DROP_POSTING = prepare(delete(view_term).where(*_POSTING))
_ADD_POSTING = prepare(insert(view_term))


class Postings:
    """The postings of one act on one grant (`mine`: its owner_id and grant_id), whose rows reached to number `seq`
    when it began. `flush` writes what was added."""

    def __init__(self, tx: Transaction, mine: dict[str, Any], seq: int) -> None:
        self._tx = tx
        self._mine = mine
        self._from = seq
        self._postings: dict[str, array[int]] = {}
        self._chunk = -1
        self._written: set[int] = set()

    def add(self, born: int, shown: bytes) -> None:
        if born // CHUNK != self._chunk:
            self.flush()
            self._chunk = born // CHUNK
        offset = born % CHUNK
        for term in terms_of(shown):
            posting = self._postings.get(term)
            if posting is None:
                posting = self._postings[term] = array("H")
            posting.append(offset)

    def drop(self, born: int, shown: bytes) -> None:
        chunk, offset = divmod(born, CHUNK)
        for term in terms_of(shown):
            at = {**self._mine, "term": term, "chunk": chunk}
            stored = self._tx.value(_GET_POSTING, **at)
            if stored is None:
                continue
            left = array("H", [o for o in array("H", stored) if o != offset])
            self._tx.run(_DROP_POSTING, **at)
            if left:
                self._tx.run(_ADD_POSTING, **at, borns=left.tobytes())

    def flush(self) -> None:
        fresh = self._chunk * CHUNK > self._from and self._chunk not in self._written
        self._written.add(self._chunk)
        rows: list[dict[str, Any]] = []
        for term, posting in sorted(self._postings.items()):
            at = {**self._mine, "term": term, "chunk": self._chunk}
            stored = None if fresh else self._tx.value(_GET_POSTING, **at)
            if stored is not None:
                posting = array("H", sorted({*array("H", stored), *posting}))
                self._tx.run(_DROP_POSTING, **at)
            rows.append({**at, "borns": posting.tobytes()})
        self._tx.many(_ADD_POSTING, rows)
        self._postings = {}


def terms_of(shown: bytes) -> set[str]:
    """The terms of what a row shows: words of the body as they are, words of the subject behind "s:". People stand
    behind their header's letter: "f#" and a handle number where the view fills in who it is, else "f=" and words."""
    segments = decode(shown)
    found = set(terms(_plain(segments[INDEX["body"]])))
    for header, letter in PEOPLE.items():
        listed = segments[INDEX[header]]
        if b"\x01" in listed:
            found.update(f"{letter}#{m[2].decode()}" for m in SLOT.finditer(listed))
        elif listed.startswith(b"["):
            named = (term for p in orjson.loads(listed) for term in terms(f"{p['name'] or ''} {p['email']}"))
            found.update(f"{letter}={term}" for term in named)
    subject = segments[INDEX["subject"]]
    if subject.startswith(b'"'):
        found.update("s:" + term for term in terms(_plain(subject)))
    return found


def _plain(segment: bytes) -> str:
    return str(orjson.loads(SLOT.sub(b" ", segment))) if segment else ""
