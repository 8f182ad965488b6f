"""The one door: no byte of a message reaches anyone except through a `View`.

`open_view(snapshot, access, …)` → `View` with `query`, `emails`, `originals`, `threads`, `mailboxes`, `changes`,
`blob` and a `reading` that gathers what was shown. A view is one grant in one snapshot. It holds no `Denied`:
what is hidden, foreign or invented is `Absent` alike, because what is hidden has no row. The owner's own view is
a grant like any other, of purpose `owner` at level `full`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson
from sqlalchemy import bindparam, func, select

from byleave.consent import choice, grant, identity
from byleave.consent.grant import Grant
from byleave.errors import Code, Unavailable
from byleave.model import Level, Mode, Ms
from byleave.store import Snapshot, among, prepare
from byleave.store.bodies import fragment, raw
from byleave.store.tables import conversation, folder, handle, view_part, view_row
from byleave.view import changes, page, rows, tally
from byleave.view import query as selecting
from byleave.view.named import Named
from byleave.view.page import PREPARED, Maker, Page, Picker, rendered
from byleave.view.parts import Shown
from byleave.view.query import Found, Query, QueryProblem
from byleave.view.reading import Reading, Released, Stale
from byleave.view.shape import Ids, People
from byleave.words.fragment import INDEX, decode, message_id_of, opened, rfc3339, slot

__all__ = [
    "PREPARED", "Blob", "Found", "Lagging", "Mailbox", "Original", "Page", "Picker", "Query", "QueryProblem",
    "Reading", "Released", "Stale", "Talk", "View", "open_view",
]  # fmt: skip

INBOX, SENT, ARCHIVE, CHATS = 1, 2, 3, rows.CHATS
NOTHING = bytes(16)
"""A grant of this id has no rows. A grant with number 0 is read under it: its first fill may be half done."""
FIRST_FOLDER = 16
ROLES = {
    INBOX: ("Inbox", "inbox"),
    SENT: ("Sent", "sent"),
    ARCHIVE: ("Archive", "archive"),
    CHATS: ("Chats", None),
}
FOLDER_ROLES = {
    "inbox": "inbox", "sent": "sent", "drafts": "drafts", "trash": "trash", "spam": "junk", "junk": "junk",
    "archive": "archive",
}  # fmt: skip

_MINE, _JOINED = page.MINE, page.JOINED
_SHOWN = (
    view_row.c.born, view_row.c.received_at, view_row.c.id, view_row.c.sender, view_row.c.conversation,
    view_row.c.level, view_row.c.mailbox, view_row.c.thread, page.WORDS, view_row.c.parts, view_row.c.refs,
)  # fmt: skip
_BY_BORN = prepare(select(*_SHOWN).join(fragment, _JOINED).where(*_MINE, among(view_row.c.born, "borns")))
_HANDLES = prepare(
    select(handle.c.handle, handle.c.value, handle.c.name, handle.c.person).where(
        handle.c.owner_id == bindparam("owner_id"), among(handle.c.handle, "numbers")
    )
)
_OWN_MAIL = prepare(
    select(handle.c.handle, handle.c.value, handle.c.name)
    .where(handle.c.owner_id == bindparam("owner_id"), handle.c.own == 1, handle.c.value.startswith("mail:"))
    .order_by(handle.c.handle)
)
_CONVERSATIONS = prepare(
    select(conversation.c.conversation, conversation.c.name).where(
        conversation.c.owner_id == bindparam("owner_id")
    )
)
_FOLDERS = prepare(select(folder.c.folder, folder.c.name).where(folder.c.owner_id == bindparam("owner_id")))
_THREADS = prepare(
    select(view_row.c.thread, view_row.c.born, view_row.c.sender)
    .where(*_MINE, among(view_row.c.thread, "threads"))
    .order_by(view_row.c.thread, view_row.c.received_at, view_row.c.id)
)
_TALKS = prepare(
    select(view_row.c.conversation, func.count(), func.max(view_row.c.received_at), func.min(view_row.c.born))
    .where(*_MINE)
    .group_by(view_row.c.conversation)
    .order_by(func.max(view_row.c.received_at).desc(), func.min(view_row.c.born))
    .limit(bindparam("n"))
)
_SPEAKERS = prepare(
    select(view_row.c.sender, func.max(view_row.c.level))
    .where(*_MINE, view_row.c.conversation == bindparam("conversation"))
    .group_by(view_row.c.sender)
    .order_by(func.min(view_row.c.born))
    .limit(20)
)
_OF_TALK = prepare(
    select(view_row.c.born)
    .where(
        *_MINE,
        view_row.c.conversation == bindparam("conversation"),
        view_row.c.received_at < bindparam("before"),
    )
    .order_by(view_row.c.received_at.desc(), view_row.c.id.desc())
    .limit(bindparam("n"))
)
_PARTS = prepare(
    select(view_part.c.born, view_part.c.n, view_part.c.handle, view_part.c.level).where(
        view_part.c.owner_id == bindparam("owner_id"), view_part.c.grant_id == bindparam("grant_id"),
        among(view_part.c.born, "borns"),
    )
)  # fmt: skip
_AUTHORS = prepare(
    select(view_part.c.handle)
    .where(
        view_part.c.owner_id == bindparam("owner_id"), view_part.c.grant_id == bindparam("grant_id"),
        among(view_part.c.born, "borns"),
    )
    .distinct()
)  # fmt: skip
_SENDERS = prepare(select(view_row.c.born, view_row.c.sender).where(*_MINE, among(view_row.c.born, "borns")))
_RAW = prepare(
    select(raw.c.bytes).where(raw.c.owner_id == bindparam("owner_id"), raw.c.id == bindparam("id"))
)


class Lagging(Unavailable):
    """The grant's rows are behind the consent version: run `rows.apply` and open again."""


class Mailbox(msgspec.Struct, frozen=True):
    """One mailbox as the view shows it (RFC 8621 §2). Counts are of visible rows."""

    id: str
    name: str
    role: str | None
    sort_order: int
    total_emails: int
    unread_emails: int
    total_threads: int
    unread_threads: int


class Talk(msgspec.Struct, frozen=True):
    """One conversation as a view shows it; `people` are address objects of those who speak in it visibly."""

    id: str
    name: str | None
    people: list[dict[str, Any]]
    messages: int
    newest: str


class Original(msgspec.Struct, frozen=True):
    """A message whole, for properties that no fragment serves: ids of the grant and the blob that they name."""

    id: str
    blob_id: str
    thread_id: str
    mailbox_id: str
    keywords: dict[str, bool]
    received_at: str
    size: int
    message: bytes
    """RFC 5322: byte-exact for the owner's mail, re-rendered from the view for everybody else."""


class Blob(msgspec.Struct, frozen=True):
    """A downloadable blob: `part` 0 is the message, n its n-th part (the caller cuts it out of `message`)."""

    id: str
    """Of the Email."""
    message: bytes
    part: int


class View:
    """What one grant can see now. Every method notes what it showed in `reading`."""

    def __init__(self, snapshot: Snapshot, found: Grant, ceiling: Level, secret: bytes) -> None:
        self.snapshot = snapshot
        self.grant = found
        self.level = ceiling
        self.for_owner = found.for_owner
        shown = found.grant_id if found.seq else NOTHING
        self.mine: dict[str, Any] = {"owner_id": found.owner_id, "grant_id": shown}
        self.ids = _ids(secret, found.grant_id)
        self.account_id = self.ids.account_id
        self.reading = Reading(
            found.owner_id, found.grant_id, choice.consent_version(snapshot), ceiling, found.for_owner
        )
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._choice = {"for_owner": int(found.for_owner), "ceiling": int(ceiling)}
        self._walk: selecting.Page | None = None
        self._given: tuple[list[int], bytes] | None = None
        self._parts: dict[int, list[Shown]] = {}
        self._names: dict[int, set[int]] = {}
        self._people: People | None = None
        self._made: Maker | None = None

    # ── ids and states ──
    @property
    def state(self) -> str:
        """The state string of Email, Thread and Mailbox alike: the grant's own sequence, sealed."""
        return self.state_at(self.grant.seq)

    def state_at(self, seq: int) -> str:
        return self.ids.give("s", [seq])[0]

    def seq_of(self, state: str) -> int | None:
        """The number behind a state given out by this grant, or None (cannotCalculateChanges)."""
        taken = self.ids.take("s", state)
        return None if taken is None or taken[1] or taken[0] > self.grant.seq else taken[0]

    def borns(self, ids: Sequence[str]) -> dict[str, int]:
        """id → born for those ids that this grant could have given out."""
        if self._given is not None and b'["%b"]' % '","'.join(ids).encode(errors="replace") == self._given[1]:
            return dict(zip(ids, self._given[0], strict=True))
        return self.ids.numbers("m", ids)

    def listed(self, borns: list[int]) -> bytes:
        """Email ids as a JSON array. They are kept: a get behind a query asks for what was just given."""
        self._given = borns, self.ids.listed("m", borns)
        return self._given[1]

    def email_ids(self, borns: Sequence[int]) -> list[str]:
        return self.ids.give("m", borns)

    # ── queries ──
    def query(self, query: Query) -> Found:
        """Rows that answer `query` (checked by `query.check`). Raises QueryProblem."""
        if not self.for_owner and query.filter:
            query = msgspec.structs.replace(query, filter=selecting.folded(query.filter))
        found = selecting.find(self.snapshot, self.mine, query, Named(self, self._filled_segments))
        self._walk = found.page
        self.reading.saw("Email/query", found.borns, () if self.for_owner else found.senders)
        if not self.for_owner and query.filter:
            self._learn_parts(found.borns)  # a hit may tell of a part
            self.reading.senders.update(p.handle for b in found.borns for p in self._parts.get(b, ()))
        return found

    def born_of(self, id: str) -> int | None:
        """born of an Email id, whether or not a row stands there now."""
        return self.borns([id]).get(id)

    def mailbox_of(self, id: str) -> int:
        """The mailbox number behind an id; one that nothing stands in for an id never given out."""
        taken = self.ids.take("x", id)
        return taken[0] if taken is not None else 0

    # ── emails ──
    def page(self, borns: Iterable[int], picker: Picker, between: bytes = b",") -> Page:
        """Those of `borns` that are there, in their order, as JSON objects with the picked properties."""
        names = not self.for_owner and self.level >= Level.TEXT
        wanted = list(dict.fromkeys(borns))
        found = page.read(self.snapshot, self.mine, self._choice, wanted, self._walk, picker, named=names)
        if found is None:
            self.reading.saw("Email/get")
            return Page([], b"", [])
        self.reading.saw("Email/get", found.borns.tolist(), found.senders)
        if found.parted.any():
            authors = self.snapshot.all(_AUTHORS, **self.mine, borns=found.borns[found.parted].tolist())
            self.reading.senders.update(handle for (handle,) in authors)
        if self._given is not None and self._given[0] == wanted and len(found.borns) == len(wanted):
            found.ids = self._given[1][1:-1].split(b",")
        return self._maker.make(found, picker, between)

    def emails(self, borns: Sequence[int], picker: Picker) -> dict[int, bytes | None]:
        """As `page`, born → object; None where only the blob can tell (`originals`)."""
        made = self.page(borns, picker, page.BETWEEN)
        answer: dict[int, bytes | None] = dict.fromkeys(made.left)
        if made.borns:
            answer.update(zip(made.borns, made.body.split(page.BETWEEN), strict=True))
        return {born: answer[born] for born in borns if born in answer} if made.left else answer

    def originals(self, borns: Sequence[int]) -> dict[int, Original]:
        """born → the message whole, for those that are there."""
        shown = self._fetch(borns)
        answer: dict[int, Original] = {}
        for born in borns:
            row = shown.get(born)
            if row is None:
                continue
            segments = self._segments(row)
            id = self.ids.give("m", [born])[0]
            message = self._message(row, segments, id)
            keywords = (
                orjson.loads(segments[INDEX["keywords"]] or b'{"$seen":true}')
                if self.for_owner
                else {"$seen": True}
            )
            answer[born] = Original(
                id, self.ids.give("b", [born])[0], self.ids.give("t", [row[7]])[0], self.ids.give("x", [row[6]])[0],
                keywords, rfc3339(row[1]), len(message), message,
            )  # fmt: skip
        self._saw("Email/get", list(answer))
        return answer

    def blob(self, blob_id: str) -> Blob | None:
        """The blob of that id, or None."""
        taken = self.ids.take("b", blob_id)
        if taken is None:
            return None
        row = self._fetch([taken[0]]).get(taken[0])
        if row is None:
            return None
        self._saw("blob", [taken[0]])
        id = self.ids.give("m", [taken[0]])[0]
        return Blob(id, self._message(row, self._segments(row), id), taken[1])

    def part_blob_ids(self, id: str, count: int) -> list[str]:
        """Blob ids of the parts 1 … count of an Email."""
        born = self.born_of(id)
        return [self.ids.give("b", [born or 0], n)[0] for n in range(1, count + 1)]

    # ── threads and mailboxes ──
    def threads(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Thread id → Email ids, oldest first, for those that are there."""
        taken = {id: number for id, (number, part) in self.ids.take_all("t", ids).items() if not part}
        groups: dict[int, list[int]] = {}
        borns: list[int] = []
        for thread, born, sender in self.snapshot.all(
            _THREADS, **self.mine, threads=sorted(set(taken.values()))
        ):
            groups.setdefault(thread, []).append(born)
            borns.append(born)
            self.reading.senders.add(sender)
        self.reading.saw("Thread/get", borns)
        return {id: self.ids.give("m", groups[thread]) for id, thread in taken.items() if thread in groups}

    def mailboxes(self) -> list[Mailbox]:
        """Mailboxes that hold visible mail, with counts of rows."""
        names: dict[int, str] = (
            dict(self.snapshot.all(_FOLDERS, owner_id=self.grant.owner_id)) if self.for_owner else {}
        )
        found = []
        for count in tally.counts(self.snapshot, self.mine):
            if not count.emails:
                continue
            number = count.mailbox
            name, role = ROLES.get(number, (names.get(number, ""), None))
            if number >= FIRST_FOLDER:
                role = FOLDER_ROLES.get(name.rsplit("/", 1)[-1].lower())
            shown = (count.emails, count.unread_emails, count.threads, count.unread_threads)
            found.append(Mailbox(self.ids.give("x", [number])[0], name, role, number, *shown))
        self.reading.saw("Mailbox/get")
        return _one_role_each(found)

    def own_addresses(self) -> list[tuple[str, str, str]]:
        """(id, name, address) of the mail addresses that are the owner's own; to anybody else there are none."""
        if not self.for_owner:
            return []
        own = self.snapshot.all(_OWN_MAIL, owner_id=self.grant.owner_id)
        ids = self.ids.give("i", [number for number, _, _ in own])
        return [(id, name, value.partition(":")[2]) for id, (_, value, name) in zip(ids, own, strict=True)]

    # ── conversations, for assistants and pages ──
    def conversations(self, most: int) -> list[Talk]:
        """Conversations that hold visible messages, the newest first. An id is that of the oldest row's number,
        so that it tells nothing of what is hidden."""
        found = []
        borns: list[int] = []
        for number, count, newest, born in self.snapshot.all(_TALKS, **self.mine, n=most):
            senders: dict[int, int] = dict(self.snapshot.all(_SPEAKERS, **self.mine, conversation=number))
            by_name = {s for s, level in senders.items() if min(level, self.level) >= Level.TEXT}
            people = [orjson.loads(self.people.fill(opened(slot("A", s), by_name))) for s in senders]
            title = orjson.loads(self.people.fill(slot("C", number)))
            found.append(Talk(self.ids.give("c", [born])[0], title, people, count, rfc3339(newest)))
            borns.append(born)
            self.reading.senders.update(senders)
        self.reading.saw("conversations", borns)
        return found

    def conversation(self, id: str, most: int, before: Ms | None = None) -> list[int] | None:
        """borns of a conversation's newest rows (received before `before`), the newest first; None for an id
        that means nothing here."""
        taken = self.ids.take("c", id)
        row = self._fetch([taken[0]]).get(taken[0]) if taken is not None else None
        if row is None:
            return None
        limit = before if before is not None else 1 << 62
        return [
            b for (b,) in self.snapshot.all(_OF_TALK, **self.mine, conversation=row[4], before=limit, n=most)
        ]

    # ── changes ──
    def email_changes(self, since: int, most: int) -> changes.Changes:
        found = changes.of_emails(self.snapshot, self.mine, since, self.grant.seq, most)
        self._saw("Email/changes", found.created, news=bool(found.created or found.destroyed))
        return found

    def thread_changes(self, since: int, most: int) -> changes.Changes | None:
        found = changes.of_threads(self.snapshot, self.mine, since, self.grant.seq, most)
        self.reading.saw("Thread/changes", news=found is None or found.seq != since)
        return found

    def mailbox_changes(self, since: int) -> tuple[list[str], list[str], list[str]]:
        """Mailbox ids (created, updated, destroyed) since a number of the sequence."""
        groups = tally.changed(self.snapshot, self.mine, since)
        self.reading.saw("Mailbox/changes", news=any(groups))
        return tuple(self.ids.give("x", group) for group in groups)  # type: ignore[return-value]

    def thread_ids(self, threads: Sequence[int]) -> list[str]:
        return self.ids.give("t", threads)

    # ── inside ──
    def _saw(self, endpoint: str, borns: Sequence[int], *, news: bool = True) -> None:
        unknown = [b for b in borns if b not in self._rows]
        if unknown and not self.for_owner:
            self.reading.senders.update(s for _, s in self.snapshot.all(_SENDERS, **self.mine, borns=unknown))
        self.reading.saw(endpoint, borns, (self._rows[b][3] for b in borns if b in self._rows), news=news)
        if self._parts:
            self.reading.senders.update(p.handle for b in borns for p in self._parts.get(b, ()))

    def _learn_parts(self, borns: Sequence[int]) -> None:
        """Reads which parts of others these rows show, and at which level."""
        fresh = [b for b in borns if b not in self._parts]
        self._parts.update((b, []) for b in fresh)
        for born, n, of, level in self.snapshot.all(_PARTS, **self.mine, borns=fresh) if fresh else ():
            self._parts[born].append(Shown(n, of, min(Level(level), self.level)))

    def _parents(self, row: tuple[Any, ...]) -> tuple[list[str], list[str]]:
        """(References, In-Reply-To) of a row as Message-IDs of this view."""
        parents, direct = rows.references_of(row[10])
        names = dict(zip(parents, map(message_id_of, self.ids.give("m", parents)), strict=True))
        return list(names.values()), [names[born] for born in direct]

    def _fetch(self, borns: Sequence[int]) -> dict[int, tuple[Any, ...]]:
        wanted = [b for b in dict.fromkeys(borns) if b not in self._rows]
        if wanted:
            found = self.snapshot.all(_BY_BORN, **self.mine, **self._choice, borns=wanted)
            for row in found:
                self._rows[row[0]] = row
            self._learn(found)
        return self._rows

    def _learn(self, found: Sequence[tuple[Any, ...]]) -> None:
        """Reads at once what filling rows will need."""
        self.people.know(row[3] for row in found)
        self._learn_parts([row[0] for row in found if row[9]])
        if found and not self.for_owner and self.level >= Level.TEXT:
            self._names |= page.names_of(self.snapshot, self.mine, [row[0] for row in found])

    def _filled_segments(self, borns: Sequence[int]) -> dict[int, list[bytes]]:
        """born → segments as this view shows them; the rows are not kept."""
        found = self.snapshot.all(_BY_BORN, **self.mine, **self._choice, borns=list(borns))
        self._learn(found)
        return {row[0]: self._segments(row) for row in found}

    def _segments(self, row: tuple[Any, ...]) -> list[bytes]:
        """The segments of a row as this view shows them. Ingest knew the size with a token in place of every
        person; where names are shown instead, the size is theirs: it is the blob's length."""
        segments, at = decode(self._filled(row)), INDEX["size"]
        if row[10] is not None:
            segments[at] = page.plus(segments[at], page.of_references(row[10]))
        if row[6] == CHATS if self.for_owner else min(row[5], self.level) >= Level.TEXT:
            segments[at] = page.plus(
                segments[at], int(self._maker.wider.of([[segments[INDEX[n]]] for n in page.AROUND])[0])
            )
        return segments

    def _filled(self, row: tuple[Any, ...]) -> bytes:
        words: bytes = row[8]
        if not self.for_owner and min(Level(row[5]), self.level) >= Level.TEXT:
            words = opened(words, self._names.get(row[0], set()) | {row[3]})
        return self.people.fill(words)

    @property
    def people(self) -> People:
        if self._people is None:
            owner_id = self.grant.owner_id
            names: dict[int, str] = (
                dict(self.snapshot.all(_CONVERSATIONS, owner_id=owner_id)) if self.for_owner else {}
            )
            self._people = People(
                self.ids,
                self.for_owner,
                self._bearers_of,
                names,
                None if self.for_owner or self.level >= Level.TEXT else identity.claims(self.snapshot),
            )
        return self._people

    @property
    def _maker(self) -> Maker:
        if self._made is None:
            self._made = Maker(self.ids, self.people, self.for_owner)
        return self._made

    def _bearers_of(self, numbers: Sequence[int]) -> Iterable[tuple[int, str, str, bytes]]:
        return self.snapshot.all(_HANDLES, owner_id=self.grant.owner_id, numbers=numbers)

    def _message(self, row: tuple[Any, ...], segments: list[bytes], id: str) -> bytes:
        if self.for_owner and row[6] != CHATS:
            kept = self.snapshot.value(_RAW, owner_id=self.grant.owner_id, id=row[2])
            if kept is not None:
                return zlib.decompress(kept)
        return rendered(segments, message_id_of(id), *self._parents(row))


_IDS: dict[tuple[bytes, bytes], Ids] = {}


def _ids(secret: bytes, grant_id: bytes) -> Ids:
    """Ciphers and tokens of a grant are kept between requests; they never change."""
    found = _IDS.get((secret, grant_id))
    if found is None:
        if len(_IDS) > 512:
            _IDS.clear()
        found = _IDS[secret, grant_id] = Ids(secret, grant_id)
    return found


def _one_role_each(found: list[Mailbox]) -> list[Mailbox]:
    """At most one mailbox has a role (RFC 8621 §2); the first in sort order keeps it."""
    seen: set[str] = set()
    answer = []
    for mailbox in sorted(found, key=lambda m: m.sort_order):
        if mailbox.role is not None and mailbox.role in seen:
            mailbox = msgspec.structs.replace(mailbox, role=None)
        if mailbox.role is not None:
            seen.add(mailbox.role)
        answer.append(mailbox)
    return answer


def open_view(
    snapshot: Snapshot, found: Grant, secret: bytes, now: Ms, mode: Mode = Mode.SANDBOX
) -> View | None:
    """The view of a grant as it stands in `snapshot`; None where the grant has ended (the account is gone).

    Raises Lagging where a consent change is not worked into its rows yet: a no binds before the next answer.
    """
    ceiling = grant.ceiling(snapshot, found, now)
    if ceiling is Level.NONE:
        return None
    if rows.lags(snapshot, found, ceiling) and not found.for_owner:
        raise Lagging(Code.UNAVAILABLE, "the grant is behind")
    return View(snapshot, found, ceiling, secret)
