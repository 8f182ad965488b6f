"""Masking and encoding beside the process that writes: the same bytes as without, and nothing left where a
worker dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from byleave.errors import Unavailable
from byleave.ingest.gather import gather
from byleave.ingest.run import Ingest, Result
from byleave.ingest.workers import Workers
from byleave.model import Record
from byleave.store import bodies, prepare, tables
from byleave.words.mask import Titles
from tests.worlds import DAY, NOW, World, chat, mail

QUIET = lambda step, n: None  # noqa: E731
ID = bytes(range(16))


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[list[World]]:
    made = [World(tmp_path / str(n)) for n in range(2)]
    yield made
    for world in made:
        world.store.close()


def export() -> list[Record]:
    """Chats and mails with names, cues in the message before, quotes of known people, copies and a large mail."""
    made: list[Record] = []
    for i in range(700):
        who = f"telegram:user{i % 5}"
        text = (
            "my number is the following, call me any time you like",
            f"0{i:03} 555 0{i % 10}12 is the one for the harbour office, ask for Marjorie",
            "tell Bob Example that we went there on Monday",
            "born when? on the 4th of May, I told you",
            "12.3.1988 and it was raining in Lisbon",
        )[i * 7 % 5]
        made.append(chat(text, who, id=f"n{i}", at=NOW - 9 * DAY + i, place=f"c{i % 3}"))
    for i in range(60):
        body = f"Dear Ann,\n\nthe papers are with {i} people of ours in Porto.\n\nOn Mon, 3 Aug 2026 at 10:00, Pat <p{(i + 1) % 7}@x.example> wrote:\n> see you\n> then"
        refs = [f"m{i - 1}@x.example"] if i % 3 else []
        made.append(
            mail(
                body, f"mail:p{i % 7}@x.example", id=f"m{i}@x.example", references=refs, at=NOW - 8 * DAY + i
            )
        )
    made.append(chat("tell Bob Example that we went there on Monday", "telegram:user1", id="n1", place="c1"))
    return made


def put(world: World, items: list[Record], workers: Workers) -> Result:
    owner_id = world.owner()
    found = gather(lambda: iter(items), QUIET)
    return Ingest(
        world.store, b"k" * 32, owner_id, ID, found, own=["telegram:user0"], titles=Titles(()),
        now=NOW, file_time=NOW, workers=workers,
    ).run(lambda: iter(items), "test", QUIET)  # fmt: skip


def content(world: World) -> dict[str, list[Any]]:
    """Every row of what an import writes."""
    with world.store.read() as snapshot:
        names = ("message", "link", "handle", "conversation", "member", "raw", "record", "fragment", "part")
        known = {t.name: t for part in (tables.metadata, bodies.metadata) for t in part.sorted_tables}
        return {name: snapshot.all(prepare(select(known[name]))) for name in names}


def test_the_same_bytes_with_any_number_of_workers(worlds: list[World]) -> None:
    items = export()
    alone = put(worlds[0], items, Workers())
    with Workers(2) as crew:
        crew.start()
        together = put(worlds[1], items, crew)
    assert (alone.added, alone.skipped) == (together.added, together.skipped)
    one, two = content(worlds[0]), content(worlds[1])
    for name in one:
        assert one[name] == two[name], name
    assert len(one["message"]) == 760
    assert len(one["part"]) and len(one["raw"]) == 60


def test_a_worker_that_dies_leaves_nothing(worlds: list[World]) -> None:
    world, items = worlds[0], export()
    world.owner()
    before = content(world)
    with Workers(1) as crew:
        crew.start()
        os.kill(crew.processes[0], signal.SIGKILL)
        with pytest.raises(Unavailable, match="worker"):
            put(world, items, crew)
    assert content(world) == before
    assert put(world, items, Workers()).added == 760


def test_no_worker_outlives_its_crew() -> None:
    with Workers(2) as crew:
        crew.start()
        crew.start()
        running = crew.processes
        assert len(running) == 2
    for process in running:
        for _ in range(100):
            if not Path(f"/proc/{process}").exists():
                break
            time.sleep(0.05)
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
