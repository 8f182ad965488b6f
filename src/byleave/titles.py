"""The shelf: which titles this store knows, which of them are sensitive, and what a partner calls them.

Rules of this file (tailoring.md):

1. One catalogue is the store's own: its titles are looked for in words, and every signal names one of them. A
   partner's list says which of them it carries and under which ids. A title that only the partner carries is
   refused: it would be a question about people (somebody's name, a secret), not a film.
2. A new edition is written beside the old one and takes its place in one step: never half a catalogue.
3. A title is sensitive where its words say so or two operators did; so is every title of the same words (a
   remake), because words cannot tell them apart. A partner's list changes nothing of it, and changes at most once
   a day.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources
from itertools import islice
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select

from byleave.errors import Code, Conflict, Invalid, Refused
from byleave.ledger import log
from byleave.model import Ms
from byleave.store import Snapshot, Store, Transaction, among, prepare
from byleave.store.shelf import catalogue, partner_title, title, title_flag
from byleave.words.gazetteer import Title, group_key
from byleave.words.sensitive import Theme, themes

BATCH = 5000
OWN = ""
"""The `partner` of the store's own catalogue."""
DAY_MS = 86_400_000
SHOWN = 20

_CATALOGUE = prepare(
    select(catalogue.c.edition, catalogue.c.at, catalogue.c.digest, catalogue.c.titles).where(
        catalogue.c.partner == bindparam("partner")
    )
)
_NEXT = prepare(select(func.coalesce(func.max(catalogue.c.edition), 0) + 1))
_DROP_CATALOGUE = prepare(delete(catalogue).where(catalogue.c.partner == bindparam("partner")))
_ADD_CATALOGUE = prepare(insert(catalogue))
_TITLES = prepare(
    select(title.c.title_id, title.c.title, title.c.year, title.c.names, title.c.popularity)
    .where(title.c.edition == bindparam("edition"))
    .order_by(title.c.title_id)
)
_ADD_TITLE = prepare(insert(title))
_KEEP_TITLES = prepare(delete(title).where(title.c.edition != bindparam("edition")))
_DROP_EDITION = prepare(delete(title).where(title.c.edition == bindparam("edition")))
_OF_PARTNER = (
    partner_title.c.partner == bindparam("partner"), partner_title.c.edition == bindparam("edition"),
)  # fmt: skip
_CALLED = prepare(
    select(partner_title.c.same_as, partner_title.c.title_id).where(
        *_OF_PARTNER, among(partner_title.c.same_as, "ids")
    )
)
_MEANT = prepare(
    select(partner_title.c.title_id, partner_title.c.same_as).where(
        *_OF_PARTNER, among(partner_title.c.title_id, "ids")
    )
)
_THEIRS = prepare(select(partner_title.c.same_as, partner_title.c.title_id).where(*_OF_PARTNER))
_NAMED = prepare(
    select(title.c.title_id, title.c.title, title.c.year).where(
        title.c.edition == bindparam("edition"), among(title.c.title_id, "ids")
    )
)
_ADD_THEIRS = prepare(insert(partner_title))
_DROP_THEIRS = prepare(delete(partner_title).where(partner_title.c.partner == bindparam("partner")))
_FLAGS = prepare(
    select(title_flag.c.title_id, title_flag.c.theme, title_flag.c.on).order_by(title_flag.c.number)
)
_LAST_FLAG = prepare(select(func.coalesce(func.max(title_flag.c.number), 0)))
_ADD_FLAG = prepare(insert(title_flag))


class Shelf(msgspec.Struct, frozen=True):
    """The store's own catalogue as it stands. `edition` is another one whenever titles, flags or models are."""

    edition: str
    titles: tuple[Title, ...]
    sensitive: frozenset[str]
    """Ids of titles that are never a signal."""


@lru_cache(maxsize=1)
def _models() -> str:
    folder = resources.files("byleave.words").joinpath("models")
    return hashlib.sha256(folder.joinpath("mentions.json").read_bytes()).hexdigest()[:12]


def edition(snapshot: Snapshot) -> str:
    """What words are read with now: titles, flags and model. "" where there is no catalogue."""
    found = snapshot.one(_CATALOGUE, partner=OWN)
    return "" if found is None else f"{found[0]}.{snapshot.value(_LAST_FLAG)}.{_models()}"


def shelf(snapshot: Snapshot) -> Shelf | None:
    """The store's own catalogue, or None where none was imported."""
    found = snapshot.one(_CATALOGUE, partner=OWN)
    if found is None:
        return None
    rows = snapshot.all(_TITLES, edition=found[0])
    titles = tuple(
        Title(id, name, year, tuple(msgspec.json.decode(names, type=list[str])), float(popularity))
        for id, name, year, names, popularity in rows
    )
    return Shelf(edition(snapshot), titles, sensitive(snapshot, titles))


def sensitive(snapshot: Snapshot, titles: Sequence[Title]) -> frozenset[str]:
    """Ids of the sensitive ones of `titles` (rule 3)."""
    flags = _flags(snapshot)
    known: dict[str, set[str]] = {}
    for one in titles:
        found = {str(t) for name in (one.title, *one.names) for t in themes(name)}
        for theme, on in flags.get(one.id, {}).items():
            (found.add if on else found.discard)(theme)
        if found:
            known[one.id] = found
    groups = {group_key(t.title) for t in titles if t.id in known}
    return frozenset(t.id for t in titles if t.id in known or group_key(t.title) in groups)


def _flags(snapshot: Snapshot) -> dict[str, dict[str, bool]]:
    flags: dict[str, dict[str, bool]] = {}
    for id, theme, on in snapshot.all(_FLAGS):
        flags.setdefault(id, {})[theme] = bool(on)
    return flags


def flagged_by_hand(snapshot: Snapshot) -> frozenset[str]:
    """Ids that two operators flagged: what a view leaves out at once, before the inboxes are read again."""
    return frozenset(id for id, themes_of in _flags(snapshot).items() if any(themes_of.values()))


def names(snapshot: Snapshot) -> list[str]:
    """Every name of every title: what a mask does not take for a person."""
    found = snapshot.one(_CATALOGUE, partner=OWN)
    if found is None:
        return []
    told: list[str] = []
    for _, name, _, others, _ in snapshot.all(_TITLES, edition=found[0]):
        told += [name, *msgspec.json.decode(others, type=list[str])]
    return told


def list_of(snapshot: Snapshot, partner: str | None) -> int | None:
    """The edition of a partner's own list. None: it gave none, or nobody but the owner asks; they use the store's
    ids."""
    found = snapshot.one(_CATALOGUE, partner=partner) if partner else None
    return None if found is None else int(found[0])


def called(snapshot: Snapshot, partner: str | None, ids: Iterable[str]) -> dict[str, str]:
    """title_id → what `partner` calls it, for those that it carries."""
    asked = sorted(set(ids))
    number = list_of(snapshot, partner)
    if number is None:
        return {id: id for id in asked}
    return dict(snapshot.all(_CALLED, partner=partner, edition=number, ids=asked))


def meant(snapshot: Snapshot, partner: str | None, ids: Iterable[str]) -> dict[str, str]:
    """What `partner` calls it → title_id, for those that it carries."""
    asked = sorted(set(ids))
    number = list_of(snapshot, partner)
    if number is None:
        return {id: id for id in asked}
    return dict(snapshot.all(_MEANT, partner=partner, edition=number, ids=asked))


def carried(snapshot: Snapshot, partner: str) -> dict[str, str] | None:
    """title_id → the partner's id of all that it carries; None where it carries all."""
    number = list_of(snapshot, partner)
    return None if number is None else dict(snapshot.all(_THEIRS, partner=partner, edition=number))


def named(snapshot: Snapshot, ids: Iterable[str]) -> dict[str, tuple[str, int]]:
    """title_id → (title, year)."""
    found = snapshot.one(_CATALOGUE, partner=OWN)
    if found is None:
        return {}
    rows = snapshot.all(_NAMED, edition=found[0], ids=sorted(set(ids)))
    return {id: (name, year) for id, name, year in rows}


# ── acts ────────────────────────────────────────────────────────────────────────────────────────────────────
def digest_of(titles: Iterable[Title]) -> bytes:
    made = hashlib.sha256()
    for one in titles:
        made.update(msgspec.json.encode(one))
    return made.digest()


def put(store: Store, titles: Sequence[Title], format: str, now: Ms, entry_id: bytes, salt: bytes) -> bool:
    """Makes `titles` the store's own catalogue; False where they already are."""
    digest = digest_of(titles)
    with store.read() as snapshot:
        found = snapshot.one(_CATALOGUE, partner=OWN)
        if found is not None and found[2] == digest:
            return False
    number = store.write(_begin)
    left = iter(titles)
    while batch := list(islice(left, BATCH)):
        store.write(_add, number, [msgspec.to_builtins(t) for t in batch])
    store.write(_stand, number, digest, len(titles), format, now, entry_id, salt)
    return True


def _begin(tx: Transaction) -> int:
    """A number for a new edition; what an import that died left under it goes."""
    number = int(tx.value(_NEXT))
    tx.run(_DROP_EDITION, edition=number)
    return number


def _add(tx: Transaction, number: int, titles: list[dict[str, Any]]) -> None:
    tx.many(
        _ADD_TITLE,
        [
            {
                "edition": number, "title_id": t["id"], "title": t["title"], "year": t["year"],
                "names": msgspec.json.encode(t["names"]).decode(), "popularity": repr(float(t["popularity"])),
            }
            for t in titles
        ],
    )  # fmt: skip


def _stand(
    tx: Transaction,
    number: int,
    digest: bytes,
    count: int,
    format: str,
    now: Ms,
    entry_id: bytes,
    salt: bytes,
) -> None:
    if number != tx.value(_NEXT):
        raise Conflict(Code.CONFLICT, "another catalogue came between; import it again")
    _replace(tx, OWN, number, digest, count, format, now)
    tx.run(_KEEP_TITLES, edition=number)
    event = {"catalogue": digest.hex(), "titles": count, "partner": None}
    log.append(tx, log.STORE_OWNER, entry_id, "policy", now, event, salt)


def _replace(
    tx: Transaction, partner: str, number: int, digest: bytes, count: int, format: str, now: Ms
) -> None:
    tx.run(_DROP_CATALOGUE, partner=partner)
    tx.run(
        _ADD_CATALOGUE, partner=partner, edition=number, at=now, digest=digest, titles=count, format=format
    )


def put_partners(
    store: Store, partner: str, titles: Sequence[Title], file: str, format: str, now: Ms, entry_id: bytes, salt: bytes
) -> bool:  # fmt: skip
    """Makes `titles` the list of what `partner` carries; False where it already is. Raises Refused for a title that
    nobody else carries, Conflict for a second change on one day (UTC)."""
    digest = digest_of(titles)
    with store.read() as snapshot:
        before = snapshot.one(_CATALOGUE, partner=partner)
        own = shelf(snapshot)
    if before is not None and before[2] == digest:
        return False
    if before is not None and before[1] // DAY_MS == now // DAY_MS:
        raise Conflict(
            Code.CONFLICT, f"{file}: a partner's catalogue changes at most once a day; try tomorrow"
        )
    if own is None:
        raise Refused(
            Code.NOT_FOUND, file, "", "this store has no titles of its own to compare with",
            "import a public catalogue without --partner first",
        )  # fmt: skip
    pairs = _matched(titles, own.titles, file)
    store.write(_put_theirs, partner, pairs, digest, format, now, entry_id, salt)
    return True


def _matched(titles: Sequence[Title], own: Sequence[Title], file: str) -> list[list[str]]:
    """[partner's id, store's id]; by the same words and year, or the same words where a year is missing."""
    by_words: dict[str, list[Title]] = {}
    for one in own:
        for name in dict.fromkeys((one.title, *one.names)):
            by_words.setdefault(group_key(name), []).append(one)
    pairs: list[list[str]] = []
    taken: dict[str, str] = {}
    wrong: list[str] = []
    bad = 0
    for row, one in enumerate(titles, 1):
        like = [o for name in (one.title, *one.names) for o in by_words.get(group_key(name), ())]
        same = [o for o in like if o.year == one.year] or [o for o in like if not o.year or not one.year]
        problem = "" if same else "nobody else carries it"
        if same and same[0].id in taken:
            problem = "the same title twice"
        if problem:
            bad += 1
            if len(wrong) < SHOWN:
                wrong.append(f"title {row}: {problem}")
            continue
        taken[same[0].id] = one.id
        pairs.append([one.id, same[0].id])
    if bad:
        more = f"; and {bad - len(wrong)} more" if bad > len(wrong) else ""
        raise Refused(
            Code.DENIED, file, "", f"{bad} titles refused: " + "; ".join(wrong) + more,
            "take these titles out; nothing was imported",
        )  # fmt: skip
    return pairs


def _put_theirs(
    tx: Transaction, partner: str, pairs: list[list[str]], digest: bytes, format: str, now: Ms, entry_id: bytes,
    salt: bytes,
) -> None:  # fmt: skip
    number = int(tx.value(_NEXT))
    tx.run(_DROP_THEIRS, partner=partner)
    tx.many(
        _ADD_THEIRS,
        [{"partner": partner, "edition": number, "title_id": mine, "same_as": same} for mine, same in pairs],
    )
    _replace(tx, partner, number, digest, len(pairs), format, now)
    event = {"catalogue": digest.hex(), "titles": len(pairs), "partner": partner}
    log.append(tx, log.STORE_OWNER, entry_id, "policy", now, event, salt)


def flag(
    tx: Transaction, title_id: str, theme: str, on: bool, by: list[str], now: Ms, entry_id: bytes, salt: bytes
) -> None:
    """Procedure: two operators change the sensitive flag of a title. Raises Invalid, Refused."""
    if len(set(by)) != 2 or not all(0 < len(name) <= 80 and name.isprintable() for name in by):
        raise Invalid(Code.INVALID_ARGUMENTS, "a sensitive flag is changed by two different operators")
    if theme not in {str(t) for t in Theme}:
        raise Invalid(Code.INVALID_ARGUMENTS, "no such theme; known: " + ", ".join(str(t) for t in Theme))
    found = tx.one(_CATALOGUE, partner=OWN)
    if found is None or tx.one(_KNOWN, edition=found[0], title_id=title_id) is None:
        raise Refused(Code.NOT_FOUND, "title", "", "no such title_id", "see the catalogue that was imported")
    number = int(tx.value(_LAST_FLAG)) + 1
    tx.run(
        _ADD_FLAG,
        number=number,
        title_id=title_id,
        theme=theme,
        on=int(on),
        by_one=by[0],
        by_two=by[1],
        at=now,
    )
    event = {"title": title_id, "theme": theme, "on": on, "by": list(by)}
    log.append(tx, log.STORE_OWNER, entry_id, "policy", now, event, salt)


_KNOWN = prepare(
    select(title.c.title_id).where(
        title.c.edition == bindparam("edition"), title.c.title_id == bindparam("title_id")
    )
)
