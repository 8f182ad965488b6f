"""A page of rows as JSON objects, made column by column.

Rules of this file:

1. Nothing is done message by message in Python but one step in C: words come out of the store joined, are split
   once into columns (`fragment.columns`), and woven with the property names and ids into one string.
2. Slots are filled before the columns are cut, in one go for the whole page; who may be named in which row was
   decided when it was filled (`view_slot.named`).
3. What a fragment holds ready is never read out of a message's bytes, and the other way round: a row whose
   structure is not prepared is left to the caller, whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, product
from typing import Any, TypeAlias

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import and_, bindparam, case, func, or_, select, tuple_

from byleave.model import Level
from byleave.store import Prepared, Snapshot, among, prepare
from byleave.store.bodies import composed, fragment
from byleave.store.tables import view_row, view_slot
from byleave.view.query import Page as Walk
from byleave.view.rows import CHATS, references_of
from byleave.view.shape import Ids, People
from byleave.words.fragment import (
    BODY_PART,
    DEFAULTS,
    INDEX,
    PART_SLOT,
    SEGMENTS,
    SEPARATOR,
    WIDE,
    address_token,
    blob,
    columns,
    message_id_of,
    size_of_references,
    slot,
)
from byleave.words.fragment import mailbox as spelled

Numbers: TypeAlias = NDArray[np.int64]
_NO_NUMBERS = np.array([], np.int64)
_NOBODY = np.array([], np.bool_)
Column: TypeAlias = "bytes | list[bytes]"
"""A value for each row, or one for all of them."""

BETWEEN = b"\x1e"
"""Parts the objects of a page: JSON escapes every control character."""
OF_PART = ("bodyStructure", "textBody", "htmlBody", "attachments")
OF_VIEW = ("id", "blobId", "threadId", "mailboxIds", "keywords", "messageId", "inReplyTo", "references")
"""Properties that the view makes; all others stand in the fragment."""
PREPARED = frozenset((*OF_VIEW, *OF_PART, *SEGMENTS, "bodyValues")) - {"part", "body"}
SEEN = b'{"$seen":true}'


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────
MINE = (view_row.c.owner_id == bindparam("owner_id"), view_row.c.grant_id == bindparam("grant_id"))
JOINED = (
    (fragment.c.owner_id == view_row.c.owner_id)
    & (fragment.c.sender == view_row.c.sender)
    & (fragment.c.received_at == view_row.c.received_at)
    & (fragment.c.id == view_row.c.id)
)
WORDS = case(
    (bindparam("for_owner") == 1, fragment.c.written),
    (
        view_row.c.parts > 0,
        select(composed.c.words)
        .where(
            composed.c.owner_id == view_row.c.owner_id,
            composed.c.grant_id == view_row.c.grant_id,
            composed.c.born == view_row.c.born,
        )
        .scalar_subquery(),
    ),
    (
        and_(
            or_(view_row.c.level <= int(Level.MASKED), bindparam("ceiling") <= int(Level.MASKED)),
            fragment.c.masked.is_not(None),
        ),
        fragment.c.masked,
    ),
    else_=func.coalesce(fragment.c.text, fragment.c.written),
).label("words")
"""The fragment that a row shows, chosen where it lies (`rows.fragment_at` is the same choice in Python); with parts of
others in it, the one that was put together for this grant."""
_MAILBOX, _LEVEL = 1 << 20, 8
_MARK = view_row.c.born * 2 + (view_row.c.parts > 0)
_PLACE = view_row.c.thread * _MAILBOX + view_row.c.mailbox
_BY_NAME = view_row.c.sender * _LEVEL + view_row.c.level
"""Numbers that travel together: a value out of the store costs as much as what is done with it here."""


def _statement(together: bool, placed: bool, referring: bool, named: bool) -> Prepared:
    columns = [_MARK, WORDS, view_row.c.size]
    columns += [
        column
        for column, is_wanted in (
            (view_row.c.sender, not together),
            (_PLACE, placed),
            (view_row.c.refs, referring),
            (_BY_NAME, named),
        )
        if is_wanted
    ]
    chosen = select(*columns).join(fragment, JOINED).where(*MINE)
    if not together:
        return prepare(chosen.where(among(view_row.c.born, "borns")))
    key = tuple_(view_row.c.received_at, view_row.c.id)
    return prepare(
        chosen.where(key <= tuple_(bindparam("newest"), bindparam("newest_id")))
        .order_by(view_row.c.received_at.desc(), view_row.c.id.desc())
        .limit(bindparam("n"))
    )


_STATEMENTS = {key: _statement(*key) for key in product((False, True), repeat=4)}
"""(does it lie together?, are places, references, names wanted?) → mark, words, size, sender where rows do not lie
together, and what is wanted. What lies together is one walk of :n rows down from (:newest, :newest_id); else each of :borns is sought
twice."""


_MY_NAMES = (
    view_slot.c.owner_id == bindparam("owner_id"), view_slot.c.grant_id == bindparam("grant_id"), view_slot.c.named == 1,
)  # fmt: skip
_NAMES = prepare(
    select(view_slot.c.born, view_slot.c.handle).where(*_MY_NAMES, among(view_slot.c.born, "borns"))
)
_NAMES_BETWEEN = prepare(
    select(view_slot.c.born, view_slot.c.handle).where(
        *_MY_NAMES, view_slot.c.born >= bindparam("low"), view_slot.c.born <= bindparam("high")
    )
)


class Rows(msgspec.Struct):
    """Rows of a view as columns. What nobody asked for is empty."""

    borns: Numbers
    words: Sequence[bytes]
    sizes: Numbers
    """Octets, with tokens in place of names."""
    refs: Sequence[bytes | None] = ()
    senders: Sequence[int] = ()
    """Empty for a walk: the query that it follows has told whose rows they are."""
    parted: NDArray[np.bool_] = _NOBODY
    """Which rows show parts of others."""
    threads: Numbers = _NO_NUMBERS
    mailboxes: Numbers = _NO_NUMBERS
    ids: list[bytes] = []
    """Of the Emails, as JSON, where somebody has them already."""
    named: NDArray[np.bool_] = _NOBODY
    """Which rows show names; empty: none."""


def read(
    snapshot: Snapshot, mine: dict[str, Any], choice: dict[str, int], wanted: list[int], walk: Walk | None,
    picker: Picker, *, named: bool,
) -> Rows | None:  # fmt: skip
    """Those of `wanted` (borns) that are there, in this order; None for none. `named`: does the view's level show
    names?"""
    owner = bool(choice["for_owner"])
    placed, referring = picker.placed or owner, picker.referring and not owner
    together = walk is not None and 2 * len(wanted) > len(walk.borns) and walk.borns.issuperset(wanted)
    if walk is not None and together:
        at = {"newest": walk.newest[0], "newest_id": walk.newest[1], "n": len(walk.borns)}
        found = snapshot.all(_STATEMENTS[True, placed, referring, named], **mine, **choice, **at)
    else:
        found = snapshot.all(_STATEMENTS[False, placed, referring, named], **mine, **choice, borns=wanted)
    if not found:
        return None
    columns = list(zip(*found, strict=True))
    marks = np.array(columns[0], np.int64)
    borns = marks >> 1
    if not np.array_equal(borns, wanted):
        place = {born: i for i, born in enumerate(borns.tolist())}
        order = [place[born] for born in wanted if born in place]
        if not order:
            return None
        columns = list(zip(*[found[i] for i in order], strict=True))
        marks = np.array(columns[0], np.int64)
        borns = marks >> 1
    rest = iter(columns[1:])
    rows = Rows(borns, next(rest), np.array(next(rest), np.int64), parted=marks & 1 == 1)
    if not together:
        rows.senders = next(rest)
    if placed:
        places = np.array(next(rest), np.int64)
        rows.threads, rows.mailboxes = places // _MAILBOX, places % _MAILBOX
    if referring:
        rows.refs = next(rest)
    if owner:
        rows.named = rows.mailboxes == CHATS  # the owner's mail names people itself
    elif named:
        who = np.array(next(rest), np.int64)
        rows.named = who % _LEVEL >= int(Level.TEXT)
        rows.words = _opened(rows, (who // _LEVEL).tolist(), names_of(snapshot, mine, rows.borns.tolist()))
    return rows


def names_of(snapshot: Snapshot, mine: dict[str, Any], borns: list[int]) -> dict[int, set[int]]:
    """born → whom that row may name beside its sender, for those that may name anybody."""
    low, high = min(borns), max(borns)
    if high - low < 4 * len(borns):
        found = snapshot.all(_NAMES_BETWEEN, **mine, low=low, high=high)
    else:
        found = snapshot.all(_NAMES, **mine, borns=borns)
    names: dict[int, set[int]] = {}
    for born, handle in found:
        names.setdefault(born, set()).add(handle)
    return names


def _opened(rows: Rows, senders: list[int], names: dict[int, set[int]]) -> list[bytes]:
    """The words of rows with the slots open of whom they may name: a row at a level of names its sender, and others
    as was decided when it was filled (`rows.py`). They stand in lists of addresses only: what was put together of
    several people's words was opened then."""
    closed = {sender: slot("A", sender) for sender in set(senders)}
    open_ = {sender: slot("a", sender) for sender in closed}
    by_name = (rows.named & ~rows.parted).tolist()
    words = [
        w.replace(closed[s], open_[s]) if named else w
        for w, s, named in zip(rows.words, senders, by_name, strict=True)
    ]
    if names:
        of_others = {handle for handles in names.values() for handle in handles}
        pairs = {handle: (slot("A", handle), slot("a", handle)) for handle in of_others}
        for i, (born, named) in enumerate(zip(rows.borns.tolist(), by_name, strict=True)):
            for handle in names.get(born, ()) if named else ():
                words[i] = words[i].replace(*pairs[handle])
    return words


# ── objects ─────────────────────────────────────────────────────────────────────────────────────────────────
class Picker:
    """Which properties a page shows. `body_values`: the words too, cut at `max_body_bytes` octets (0: whole)."""

    def __init__(self, properties: Sequence[str], *, body_values: bool, max_body_bytes: int) -> None:
        self.properties = list(properties)
        self.body_values = body_values and "bodyValues" in properties
        self.max_body_bytes = max_body_bytes
        named = set(properties)
        self.placed = bool(named & {"threadId", "mailboxIds"})
        self.referring = bool(named & {"inReplyTo", "references"})
        self.structured = self.body_values or bool(named.intersection(OF_PART))
        """Does it show what only prepared fragments have?"""


class Page(msgspec.Struct, frozen=True):
    """The objects of a page, in the order of `borns`, as the inside of a JSON array (or parted by `BETWEEN`); `left` are
    rows that only their bytes can tell."""

    borns: Sequence[int]
    body: bytes
    left: list[int]


class Maker:
    """Makes the pages of one view."""

    def __init__(self, ids: Ids, people: People, for_owner: bool) -> None:
        self.ids = ids
        self.people = people
        self.for_owner = for_owner
        self.wider = _Wider(for_owner)

    def make(self, rows: Rows, picker: Picker, between: bytes) -> Page:
        """The picked properties of `rows`, in their order; `between` parts the objects."""
        table = columns([self.people.fill(SEPARATOR.join(rows.words))])
        left: list[int] = []
        if picker.structured and not all(table["part"]):
            keep = np.array([bool(part) for part in table["part"]])
            left = rows.borns[~keep].tolist()
            rows, table = _prepared(rows, table, keep)
        if not len(rows.borns):
            return Page([], b"", left)
        values = [(name, self._column(name, rows, table, picker)) for name in picker.properties]
        return Page(rows.borns.tolist(), _woven(values, len(rows.borns), between), left)

    # ── columns ──
    def _column(self, name: str, rows: Rows, table: dict[str, list[bytes]], picker: Picker) -> list[Column]:
        """What stands behind a property's name, piece by piece."""
        if name == "bodyValues":
            return self._words(table, picker) if picker.body_values else [b"{}"]
        if name in OF_PART:
            return self._part(name, rows, table)
        if name in OF_VIEW:
            return self._of_view(name, rows, table)
        if name == "size":
            return [self._sizes(rows, table)]
        if name == "receivedAt":
            return [_or(table["receivedAt"], table["sentAt"])]
        if name == "preview":
            return [_or(table["preview"], _with_default(table["body"], DEFAULTS["body"]))]
        return [_with_default(table[name], DEFAULTS[name])]

    def _of_view(self, name: str, rows: Rows, table: dict[str, list[bytes]]) -> list[Column]:
        own: Column
        match name:
            case "id":
                return [rows.ids or self.ids.spelled("m", rows.borns)]
            case "blobId":
                return [self.ids.spelled("b", rows.borns)]
            case "threadId":
                return [self.ids.spelled("t", rows.threads)]
            case "mailboxIds":
                numbers, which = np.unique(rows.mailboxes, return_inverse=True)
                ids = self.ids.spelled("x", numbers, before=b'{"', after=b'":true}')
                return [ids[0] if len(ids) == 1 else list(map(ids.__getitem__, which.tolist()))]
            case "keywords":
                own = SEEN
            case "messageId":
                own = self.ids.spelled("m", rows.borns, before=b'["', after=b'@view.invalid"]')
            case _:
                own = b"null"
                if not self.for_owner and any(rows.refs):
                    at = 0 if name == "references" else 1
                    own = [self._references(refs)[at] if refs else b"null" for refs in rows.refs]
        if not self.for_owner:
            return [own]
        # The owner's mail keeps its own ids and marks where a view gives its own.
        return [_with_default(table[name], own) if isinstance(own, bytes) else _or(table[name], own)]

    def _references(self, refs: bytes) -> tuple[bytes, bytes]:
        """(references, inReplyTo) of a row as JSON, as Message-IDs of this view."""
        parents, direct = references_of(refs)
        names = dict(zip(parents, map(message_id_of, self.ids.give("m", parents)), strict=True))
        return orjson.dumps(list(names.values())), orjson.dumps([names[born] for born in direct] or None)

    def _sizes(self, rows: Rows, table: dict[str, list[bytes]]) -> list[bytes]:
        """Where names are shown instead of tokens, the size is theirs: it is the blob's length."""
        sizes = rows.sizes
        if rows.named.any():
            lists = [table[name] for name in AROUND]
            sizes = sizes + np.where(rows.named, self.wider.of(lists), 0)
        return ((b"%d," * len(sizes)) % tuple(sizes.tolist())).split(b",")[:-1]

    def _part(self, name: str, rows: Rows, table: dict[str, list[bytes]]) -> list[Column]:
        if name == "attachments":
            return [b"[]"]
        opened, closed = (b"", b"") if name == "bodyStructure" else (b"[", b"]")
        blobs = self.ids.spelled("b", rows.borns, 1)
        if not self.for_owner:
            return [opened + BODY_PART[0], blobs, BODY_PART[1], table["part"], BODY_PART[2] + closed]
        quoted = b'"' + PART_SLOT + b'"'
        made = [
            b"%b%b%b%b%b" % (BODY_PART[0], blob, BODY_PART[1], part, BODY_PART[2]) if part.isdigit() else part.replace(quoted, blob)
            for part, blob in zip(table["part"], blobs, strict=True)
        ]  # fmt: skip
        return [opened, made, closed]

    def _words(self, table: dict[str, list[bytes]], picker: Picker) -> list[Column]:
        """The one EmailBodyValue (RFC 8621 §4.1.4) of each row, cut at a character boundary."""
        most, bodies = picker.max_body_bytes, table["body"]
        if not most or max(map(len, bodies)) - 2 <= most:
            shown = _with_default(bodies, DEFAULTS["body"])
            return [b'{"1":{"value":', shown, b',"isEncodingProblem":false,"isTruncated":false}}']
        return [[_cut(body or DEFAULTS["body"], most) for body in bodies]]


AROUND = ("from", "to", "cc", "subject")
_TOKEN = len(spelled(address_token(WIDE)))


class _Wider:
    """By how many octets the blob's header is longer with these people than with tokens (`fragment.wide`)."""

    def __init__(self, for_owner: bool) -> None:
        self._for_owner = for_owner
        self._known: dict[bytes, int] = {b"": 0}

    def of(self, lists: Sequence[list[bytes]]) -> Numbers:
        """For each row of the columns `AROUND`, filled. A list of people is measured once a view."""
        *people, subjects = lists
        more = np.zeros(len(subjects), np.int64)
        for column in people:
            for one in set(column).difference(self._known):
                self._known[one] = sum(len(spelled(p).encode()) - _TOKEN for p in orjson.loads(one) or ())
            more += np.array(list(map(self._known.__getitem__, column)), np.int64)
        if self._for_owner:
            more += np.array([_header(subject) for subject in subjects], np.int64)
        return more


def _header(subject: bytes) -> int:
    """Octets of a Subject that ingest did not know: the conversation's name."""
    if subject in (b"", b"null"):
        return 0
    return len(f"Subject: {' '.join(orjson.loads(subject).split())}\r\n".encode())


def _prepared(
    rows: Rows, table: dict[str, list[bytes]], keep: NDArray[np.bool_]
) -> tuple[Rows, dict[str, list[bytes]]]:
    """`rows` and their columns without those whose structure is not prepared."""
    kept = keep.tolist()
    left = Rows(
        rows.borns[keep], list(compress(rows.words, kept)), rows.sizes[keep], list(compress(rows.refs, kept)),
        threads=rows.threads[keep] if len(rows.threads) else rows.threads,
        mailboxes=rows.mailboxes[keep] if len(rows.mailboxes) else rows.mailboxes, named=rows.named[keep] if len(rows.named) else rows.named,
    )  # fmt: skip
    return left, {name: list(compress(column, kept)) for name, column in table.items()}


def _or(column: list[bytes], other: Column) -> Column:
    """`column`, `other` where it is empty."""
    if not any(column):
        return other
    if isinstance(other, bytes):
        return _with_default(column, other)
    return [value or instead for value, instead in zip(column, other, strict=True)]


def _with_default(column: list[bytes], default: bytes) -> Column:
    """`column` with its empty values written out; one value where all are empty."""
    if not any(column):
        return default
    return column if all(column) else [value or default for value in column]


def of_references(refs: bytes) -> int:
    """Octets that a row's references take in its blob."""
    parents, direct = references_of(refs)
    return size_of_references(len(parents), len(direct))


def plus(size: bytes, more: int) -> bytes:
    return b"%d" % (int(size) + more)


def _cut(body: bytes, most: int) -> bytes:
    """An EmailBodyValue under its part id; cut at a character boundary past `most` octets."""
    cut = b"false"
    if len(body) - 2 > most:
        value = str(orjson.loads(body)).encode()
        if len(value) > most:
            body, cut = orjson.dumps(value[:most].decode(errors="ignore")), b"true"
    return b'{"1":{"value":%b,"isEncodingProblem":false,"isTruncated":%b}}' % (body, cut)


def _woven(values: list[tuple[str, list[Column]]], count: int, between: bytes) -> bytes:
    """Objects of these properties, parted by `between`. Fixed pieces that meet are one piece."""
    pieces: list[Column] = []

    def add(piece: Column) -> None:
        if isinstance(piece, bytes) and pieces and isinstance(pieces[-1], bytes):
            pieces[-1] += piece
        else:
            pieces.append(piece)

    for n, (name, column) in enumerate(values):
        add((b"," if n else b"{") + b'"' + name.encode() + b'":')
        for piece in column:
            add(piece)
    add(b"}" + between)
    head, tail = pieces[0], pieces[-1]
    assert isinstance(head, bytes) and isinstance(tail, bytes)
    if len(pieces) == 1:
        return (head * count)[: -len(between)]
    # The last piece of one object and the first of the next meet too.
    pieces[0] = tail + head
    width = len(pieces) - 1
    out: list[bytes] = [b""] * (width * count)
    for i, piece in enumerate(pieces[:-1]):
        out[i::width] = [piece] * count if isinstance(piece, bytes) else piece
    out[0] = head
    return b"".join(out) + tail[: -len(between)]


def rendered(segments: list[bytes], message_id: str, parents: list[str], direct: Sequence[str] = ()) -> bytes:
    """The blob of filled segments (see `fragment.blob`)."""
    names = ("from", "sender", "to", "cc", "bcc", "replyTo", "subject", "sentAt")
    email = {name: orjson.loads(segments[INDEX[name]]) for name in names}
    return blob(email, orjson.loads(segments[INDEX["body"]]), message_id, parents, direct)
