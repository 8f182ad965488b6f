"""The first fill of a grant goes in steps: nothing is seen before the last, a stop in between is gone on from, and
what stands in the end is what one act would have made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.consent import grant
from byleave.consent.grant import Grant
from byleave.installation import open_installation
from byleave.model import Level
from byleave.store import prepare, tables
from byleave.view import Query, open_view, rows

SHOWN = ("view_row", "view_slot", "view_part", "view_term", "view_gone", "filling", "fill")


def items() -> list[Any]:
    chats = [
        chat(
            f"the harbour was quiet and bright number {i}",
            f"telegram:user{i % 4}",
            id=f"n{i}",
            at=NOW - 9 * DAY + i,
        )
        for i in range(60)
    ]
    mails = [
        mail(f"see you at the harbour {i}", f"mail:p{i % 3}@x.example", id=f"m{i}@x.example",
             references=[f"m{i + 1}@x.example"] if i % 4 else [], at=NOW - 8 * DAY + i)
        for i in range(30)
    ]  # fmt: skip
    return chats + mails


def content(world: World) -> dict[str, list[Any]]:
    with world.store.read() as snapshot:
        return {n: snapshot.all(prepare(select(tables.metadata.tables[n]))) for n in SHOWN}


def seen(world: World, found: Grant) -> tuple[int, str, int]:
    world.store.write(rows.apply, found.owner_id, found.grant_id, NOW)
    with world.store.read() as snapshot:
        found = grant.find(snapshot, found.owner_id, found.grant_id)
        view = open_view(snapshot, found, world.installation.ids, NOW)
        assert view is not None
        return (
            len(view.query(Query(limit=500)).borns),
            view.state,
            sum(m.total_emails for m in view.mailboxes()),
        )


def granted(world: World, owner_id: bytes) -> Grant:
    """An assistant that sees unanswered senders masked; its rows are not filled yet."""
    work, world.work = world.work, lambda: None  # type: ignore[method-assign]
    try:
        return world.allow(owner_id, "own-agent", Level.TEXT, unanswered=Level.MASKED)
    finally:
        world.work = work  # type: ignore[method-assign]


def steps(world: World, found: Grant) -> int:
    """Works until nothing waits; nothing is seen before that. Answers how many acts it took."""
    empty = seen(world, found)
    assert empty[0] == empty[2] == 0
    n = 0
    while world.store.write(rows.work, found.owner_id, found.grant_id, NOW):
        n += 1
        waits = content(world)["filling"]
        assert not waits or seen(world, found) == empty
    return n


@pytest.mark.parametrize("step", [1, 7, 90, 4096])
def test_steps_make_what_one_act_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    made = []
    for size in (rows.EVERY, step):
        monkeypatch.setattr(rows, "STEP", size)
        world = World(tmp_path / str(size))
        owner_id = world.owner()
        world.put(owner_id, items(), own=["telegram:user0"])
        found = granted(world, owner_id)
        acts = steps(world, found)
        assert acts >= (1 if size > 90 else 90 // size)
        assert seen(world, found)[0] == 90
        made.append(content(world))
        world.store.close()
    for name in SHOWN:
        assert made[0][name] == made[1][name], name


def test_a_no_between_two_steps_and_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "STEP", 20)
    world = World(tmp_path / "w")
    owner_id = world.owner()
    world.put(owner_id, items(), own=["telegram:user0"])
    found = granted(world, owner_id)
    for _ in range(2):
        world.store.write(rows.work, owner_id, found.grant_id, NOW)
    world.choose("telegram:user1", Level.NONE, None)  # seen in the steps that are done
    world.choose("telegram:user2", Level.TEXT, "own-agent")
    with open_installation(world.path).store.read() as snapshot:
        assert grant.find(snapshot, owner_id, found.grant_id).seq == 0
    while world.store.write(rows.work, owner_id, found.grant_id, NOW):
        pass
    assert content(world)["filling"] == []
    with world.store.read() as snapshot:
        found = grant.find(snapshot, owner_id, found.grant_id)
        view = open_view(snapshot, found, world.installation.ids, NOW)
        assert view is not None
        shown = snapshot.all(
            prepare(select(tables.view_row.c.level, tables.handle.c.value).join(
                tables.handle, tables.handle.c.handle == tables.view_row.c.sender
            ).where(tables.view_row.c.grant_id == found.grant_id))
        )  # fmt: skip
    assert not [v for _, v in shown if v == "telegram:user1"]
    assert {level for level, v in shown if v == "telegram:user2"} == {int(Level.TEXT)}
    assert len([v for _, v in shown if v == "telegram:user2"]) == 15 and len(shown) == 75
    world.store.close()
