"""Invariant 5: no entry, no bytes; and whatever kills the writer, nothing is lost, doubled or half shown.

A child process does the writing over a connection that kills its process (SIGKILL) at a chosen statement, or
after a commit has reached the disk and before anybody hears of it. The parent then opens the store, imports
again, and counts. What was *acknowledged* is what the child said over a pipe after the call had returned.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from byleave.consent import grant
from byleave.errors import ByleaveError
from byleave.ingest import publish, run
from byleave.ingest.gather import gather
from byleave.ingest.run import Ingest, Result
from byleave.installation import Installation, open_installation
from byleave.ledger import entry, log, sequence
from byleave.model import Level
from byleave.store import asking, bodies, prepare, tables
from byleave.store.writer import Writer, WriterClient
from byleave.view import Picker, Query, Released, open_view, rows
from byleave.view.export import owner_view
from byleave.view.reading import Who
from byleave.words.mask import Titles
from tests.worlds import DAY, NOW, World, chat, mail

POINTS = 25
"""Fault points each of imports and of reads: fifty in all."""
ME = "mail:me@example.test"


# ── the child ───────────────────────────────────────────────────────────────────────────────────────────────
class Fatal:
    """A connection that kills its process at the n-th statement: before it, in the midst of it (a step of
    SQLite's machine), or, for a commit, in its midst or after it."""

    def __init__(self, connection: sqlite3.Connection, at: int, dice: random.Random) -> None:
        self._connection = connection
        self._left = abs(at)
        self._commits = at < 0  # count nothing but commits
        self._dice = dice

    def _run(self, name: str, sql: str, *arguments: Any) -> Any:
        call = getattr(self._connection, name)
        self._left -= sql == "COMMIT" or not self._commits
        if self._left or (self._commits and sql != "COMMIT"):
            return call(sql, *arguments)
        how = "inside" if sql == "COMMIT" else "at"
        tell(f"kill {how} {sql.split()[0]}")
        moment = self._dice.randrange(3)
        if moment == 0:
            die()
        if moment == 1 and sql != "COMMIT":
            steps = iter(range(self._dice.randrange(1, 40)))
            self._connection.set_progress_handler(lambda: 0 if next(steps, None) is not None else die(), 1)
        if moment == 1 and sql == "COMMIT":
            # The disk is written by this thread without the interpreter's lock: another one kills meanwhile.
            threading.Timer(self._dice.random() * 0.002, die).start()
        answer = call(sql, *arguments)
        die()
        return answer

    def execute(self, sql: str, *arguments: Any) -> Any:
        return self._run("execute", sql, *arguments)

    def executemany(self, sql: str, *arguments: Any) -> Any:
        return self._run("executemany", sql, *arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def tell(line: str) -> None:
    os.write(1, line.encode() + b"\n")


def records() -> list[Any]:
    text = "the harbour was quiet and bright this morning and we walked there"
    made: list[Any] = [
        chat(f"{text} {i}", f"telegram:user{i % 3}", id=f"n{i}", at=NOW - 9 * DAY + i) for i in range(40)
    ]
    made += [
        mail(
            f"{text} {i}",
            f"mail:p{i % 3}@example.test",
            id=f"m{i}@x.example",
            references=[f"m{i - 1}@x.example"] if i % 3 else [],
            at=NOW - 8 * DAY + i,
        )
        for i in range(30)
    ]
    return made


def edited() -> list[Any]:
    """A newer export: two edits, one deletion's worth of new words, some news."""
    made = records()
    for n in (1, 5):
        made[n] = chat(
            "changed my mind about the harbour in the end",
            made[n].sender,
            id=made[n].id,
            at=made[n].sent_at,
            edited_at=NOW - DAY,
        )
    return [
        *made,
        *(
            chat(f"and another walk there {i}", "telegram:user1", id=f"x{i}", at=NOW - 2 * DAY + i)
            for i in range(25)
        ),
    ]


def bring_in(installation: Installation, owner_id: bytes, items: list[Any], import_id: bytes) -> Result:
    found = gather(lambda: iter(items), lambda s, n: None)
    run = Ingest(
        installation.store,
        installation.people,
        owner_id,
        import_id,
        found,
        own=[ME],
        titles=Titles(()),
        now=NOW,
        file_time=NOW,
        tier="rules",
    )
    result = run.run(lambda: iter(items), "test", lambda s, n: None)
    while installation.store.write(rows.work_any, NOW):
        pass
    return result


def child_import(path: Path, at: int, seed: int, owner_id: bytes) -> None:
    """Imports the newer export in small batches, and dies on the way."""
    run.BATCH = 20
    installation = open_installation(path)
    installation.store._connection = Fatal(installation.store._connection, at, random.Random(seed))  # type: ignore[assignment]
    bring_in(installation, owner_id, edited(), b"\x02" * 8 + seed.to_bytes(8, "big"))
    tell("done")


def child_writer(path: Path, at: int, seed: int, socket: str) -> None:
    """The writer process under reads, with the ledger's job behind the answers."""
    keyring = open_installation(path).keyring
    key, origin = keyring.active("ledger"), sequence.origin_of(keyring)
    jobs = [lambda tx, now: sequence.integrate(tx, now, key, origin, at_once=True), rows.work_any]
    writer = Writer(path, Path(socket), lambda: NOW, jobs)
    writer._connection = Fatal(writer._connection, at, random.Random(seed))  # type: ignore[assignment]
    asyncio.run(writer.serve(lambda: tell("ready")))


# ── the parent ──────────────────────────────────────────────────────────────────────────────────────────────
class Child:
    """A fork of this process that runs `work(…)`; what it tells arrives in `lines`."""

    def __init__(self, work: Any, *arguments: Any) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(writing, 1)
            try:
                work(*arguments)
            finally:
                os._exit(3)
        os.close(writing)
        self.lines = os.fdopen(reading)

    def ended(self) -> tuple[int, str]:
        """(exit code, −9 for SIGKILL; the rest of what it told)."""
        said = self.lines.read()
        self.lines.close()
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), said


def copied(template: Path, to: Path) -> Path:
    import shutil

    shutil.copytree(template, to)
    return to / "byleave.db"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, bytes]:
    """A store with an inbox, a grant and choices, closed: (folder, owner, grant)."""
    folder = tmp_path_factory.mktemp("template")
    world = World(folder)
    owner_id = world.owner()
    world.agree()
    world.choose("telegram:user1", Level.MASKED)
    bring_in(world.installation, owner_id, records(), world.id())
    found = world.allow(owner_id, agreement_id="streamflix-deal", partner="streamflix")
    world.store.close()
    return folder, owner_id, found.grant_id


def shown(installation: Installation, owner_id: bytes) -> dict[str, int]:
    """preview → how often the owner sees it."""
    with installation.store.read() as snapshot:
        view = owner_view(snapshot, owner_id, installation.ids, NOW)
        borns = view.query(Query(limit=5000)).borns
        found: dict[str, int] = {}
        for email in view.emails(borns, Picker(["preview"], body_values=False, max_body_bytes=0)).values():
            text = json.loads(email or b"")["preview"]
            found[text] = found.get(text, 0) + 1
        return found


def sound(installation: Installation) -> None:
    """The file is whole, nothing belongs to nothing, and the ledger verifies once what waits is integrated."""
    store = installation.store
    assert store._connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with store.read() as snapshot:
        ids = {i for (i,) in snapshot.all(prepare(select(tables.message.c.id)))}
        for table in (bodies.record, bodies.fragment):
            kept = [i for (i,) in snapshot.all(prepare(select(table.c.id)))]
            assert len(kept) == len(ids) and set(kept) == ids
        assert {i for (i,) in snapshot.all(prepare(select(tables.view_row.c.id)))} <= ids
        unfinished = snapshot.value(
            prepare(
                select(func.count())
                .select_from(tables.importing)
                .where(tables.importing.c.published_at.is_(None))
            )
        )
        assert unfinished == 0
    key, origin = installation.keyring.active("ledger"), sequence.origin_of(installation.keyring)
    store.write(_integrate_all, key, origin)
    verdict = sequence.verify_store(store, installation.keyring)
    assert verdict is not None


def _integrate_all(tx: Any, key: Any, origin: str) -> None:
    while sequence.integrate(tx, NOW, key, origin, at_once=True):
        pass


def points(seed: int, statements: int, commits: int) -> list[int]:
    """Seeded fault points: two thirds at any statement of the course, a third (negative) at a commit."""
    dice = random.Random(seed)
    third = POINTS // 3
    return [dice.randrange(1, statements) for _ in range(POINTS - third)] + [
        -dice.randrange(1, commits + 1) for _ in range(third)
    ]


def test_sigkill_during_an_import(template: tuple[Path, bytes, bytes], tmp_path: Path) -> None:
    folder, owner_id, grant_id = template
    path = copied(folder, tmp_path / "counted")
    installation = open_installation(path)
    counter = _Counting(installation.store._connection)
    installation.store._connection = counter  # type: ignore[assignment]
    ingest_batch, run.BATCH = run.BATCH, 20
    old = shown(installation, owner_id)
    counter.statements = counter.commits = 0
    try:
        bring_in(installation, owner_id, edited(), b"\x02" * 16)
    finally:
        run.BATCH = ingest_batch
    course, commits_there = counter.statements, counter.commits
    new = shown(installation, owner_id)
    installation.store.close()
    assert sum(new.values()) == sum(old.values()) + 25 and old != new
    commits = killed = 0
    for seed, at in enumerate(points(5, course, commits_there)):
        path = copied(folder, tmp_path / f"at{seed}")
        code, said = Child(child_import, path, at, seed, owner_id).ended()
        assert code == -signal.SIGKILL, said
        killed += 1
        commits += "inside" in said
        installation = open_installation(path)
        assert shown(installation, owner_id) in (old, new), "half shown"
        installation.store.write(publish.discard_unfinished)
        again = bring_in(installation, owner_id, edited(), b"\x03" * 16)
        assert again.added + again.updated in (0, 27)
        assert shown(installation, owner_id) == new
        sound(installation)
        with installation.store.read() as snapshot:
            view = open_view(snapshot, grant.find(snapshot, owner_id, grant_id), installation.ids, NOW)
            assert view is not None and len(view.query(Query()).borns) == _visible(edited())
        installation.store.close()
    print(f"{killed} kills during an import of {course} statements, {commits} in or at a commit")


def _visible(items: list[Any]) -> int:
    latest = {(r.source, r.id): r for r in items}
    return sum(1 for r in latest.values() if r.sender == "telegram:user1")


class _Counting:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.statements = self.commits = 0

    def execute(self, *arguments: Any) -> Any:
        self.statements += 1
        self.commits += arguments[0] == "COMMIT"
        return self._connection.execute(*arguments)

    def executemany(self, *arguments: Any) -> Any:
        self.statements += 1
        return self._connection.executemany(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def _read(
    installation: Installation, owner_id: bytes, grant_id: bytes, n: int, proof: bytes
) -> Released:
    """One page through the door, released."""
    store = installation.store
    with store.read() as snapshot:
        view = open_view(snapshot, grant.find(snapshot, owner_id, grant_id), installation.ids, NOW)
        assert view is not None
        borns = view.query(Query(limit=3, position=n % 5)).borns
        body = b"".join(
            filter(None, view.emails(borns, Picker(["id"], body_values=False, max_body_bytes=0)).values())
        )
    who = Who(
        account=view.account_id,
        purpose="tailoring",
        operative="reader",
        partner="streamflix",
        agreement="streamflix-deal",
    )
    return await view.reading.release(store, body, NOW + n, who, proof=[proof, NOW + DAY])


def test_sigkill_of_the_writer_under_reads(template: tuple[Path, bytes, bytes], tmp_path: Path) -> None:
    """What was released is in the ledger, once; what was not answered is there once or not at all; a proof that was
    answered for is used up."""
    folder, owner_id, grant_id = template
    commits = answered = 0
    for seed, at in enumerate(points(6, 400, 40)):
        path = copied(folder, tmp_path / f"at{seed}")
        socket = str(tmp_path / f"w{seed}")
        child = Child(child_writer, path, at, seed, socket)
        said = child.lines.readline()
        released: list[int] = []
        if said == "ready\n":
            released = asyncio.run(_ask_until_it_dies(path, socket, owner_id, grant_id))
        code, rest = child.ended()
        assert code == -signal.SIGKILL
        commits += "inside" in said + rest
        answered += len(released)
        installation = open_installation(path)
        with installation.store.read() as snapshot:
            times = [
                e.at for _, _, e in log.of_kind(snapshot, owner_id, "reading") if isinstance(e, entry.Reading)
            ]
            used = {h for (h,) in snapshot.all(prepare(select(asking.proof_used.c.hash)))}
        assert len(times) == len(set(times)), "a reading was doubled"
        assert {NOW + n for n in released} <= set(times), "bytes left without an entry"
        assert {_proof(t - NOW) for t in times} == used
        assert len(times) - len(released) <= IN_FLIGHT
        sound(installation)
        installation.store.close()
    print(f"{POINTS} kills under reads, {answered} readings answered, {commits} kills in or at a commit")


IN_FLIGHT = 4


def _proof(n: int) -> bytes:
    return n.to_bytes(32, "big")


async def _ask_until_it_dies(path: Path, socket: str, owner_id: bytes, grant_id: bytes) -> list[int]:
    installation = open_installation(path, remote=WriterClient(Path(socket)))
    released: list[int] = []
    gone = asyncio.Event()

    async def reader(lane: int) -> None:
        for n in range(lane, 4000, IN_FLIGHT):
            if gone.is_set():
                return
            try:
                made = await _read(installation, owner_id, grant_id, n, _proof(n))
            except ByleaveError:
                gone.set()
                return
            assert made.body
            released.append(n)

    await asyncio.gather(*(reader(lane) for lane in range(IN_FLIGHT)))
    installation.store.close()
    return released


# ── the type ────────────────────────────────────────────────────────────────────────────────────────────────
def test_only_a_reading_makes_released() -> None:
    with pytest.raises(TypeError):
        Released(b"bytes", object())


@pytest.mark.parametrize("failing", ["disk", "ended", "used"])
def test_no_entry_no_bytes(
    template: tuple[Path, bytes, bytes], tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the entry cannot be written — the disk is full, the grant has ended, the proof was used — nothing is
    released and nothing is in the ledger."""
    folder, owner_id, grant_id = template
    installation = open_installation(copied(folder, tmp_path / "store"))
    store = installation.store
    if failing == "ended":
        store.write(grant.revoke, owner_id, grant_id, NOW, b"\x09" * 16, b"s" * 32)
    if failing == "used":
        asyncio.run(_read(installation, owner_id, grant_id, 1, _proof(2)))
    before = _readings(installation, owner_id)
    if failing == "disk":
        store._connection.execute(
            f"PRAGMA max_page_count={store._connection.execute('PRAGMA page_count').fetchone()[0]}"
        )
        monkeypatch.setattr(
            os, "urandom", lambda n: b"s" * 200_000
        )  # an entry that needs pages which are not there
    with pytest.raises((ByleaveError, sqlite3.Error, AssertionError)):
        asyncio.run(_read(installation, owner_id, grant_id, 2, _proof(2)))
    assert _readings(installation, owner_id) == before
    store.close()


def _readings(installation: Installation, owner_id: bytes) -> int:
    with installation.store.read() as snapshot:
        return len(log.of_kind(snapshot, owner_id, "reading"))
