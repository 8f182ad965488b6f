"""Words read behind an import: one sender's own, whatever the order they came in; by edition; sensitive clauses out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from byleave.mentioning import Reader, catch_up
from byleave.store import prepare
from byleave.store.bodies import mention
from byleave.store.tables import importing
from byleave.titles import Shelf
from byleave.words.gazetteer import Title
from byleave.words.mentions import without
from tests.worlds import DAY, NOW, World, chat, mail

ME, ANN = "telegram:user1000", "telegram:user1001"
FILMS = (
    Title("t1", "The Glass Fox", 1999), Title("t2", "Salt Harbour", 2004), Title("t4", "The Cancer Ward Diaries", 2010),
)  # fmt: skip
_EVERY = prepare(
    select(mention.c.id, mention.c.title_id, mention.c.sitting).order_by(mention.c.id, mention.c.start)
)
_READ = prepare(select(importing.c.mentioned))


def said(text: str, who: str, day: int, id: str, **more: Any) -> Any:
    return chat(text, who, at=NOW - day * DAY, id=id, **more)


TALK = [
    said("I watched the movie The Glass Fox (1999) yesterday, I loved it.", ME, 9, "a"),
    said("I want to watch Salt Harbour next, have you seen that film?", ME, 8, "b"),
    said("The Glass Fox was a great movie, I loved it.", ANN, 8, "c"),
    said("Also the movie The Cancer Ward Diaries.", ME, 7, "d"),
    said("I watched the film Salt Harbour (2004) in May, a great movie.", ME, 100, "e"),
]


def found(world: World) -> list[tuple[Any, ...]]:
    with world.store.read() as snapshot:
        return [tuple(row) for row in snapshot.all(_EVERY)]


def read_in(folder: Path, *exports: list[Any], first: bool = True) -> World:
    folder.mkdir()
    world = World(folder)
    owner_id = world.owner()
    if first:
        world.shelve(FILMS)
    for records in exports:
        world.put(owner_id, records, own=[ME])
    if not first:
        world.shelve(FILMS)
    return world


def test_order_and_others_change_nothing(tmp_path: Path) -> None:
    """In one export or in two, before the titles or behind them, with others' words or without."""
    whole = found(read_in(tmp_path / "a", TALK))
    assert [t for _, t, _ in whole].count("t1") == 2 and [t for _, t, _ in whole].count("t2") == 2
    assert found(read_in(tmp_path / "b", TALK[:2], TALK[2:])) == whole
    assert found(read_in(tmp_path / "c", TALK, first=False)) == whole
    alone = found(read_in(tmp_path / "d", [r for r in TALK if r.sender == ME]))
    assert set(alone) < set(whole) and len(alone) == len(whole) - 1


def test_an_edition_is_read_once(tmp_path: Path) -> None:
    world = read_in(tmp_path / "a", TALK)
    assert catch_up(world.store, NOW) == 0
    with world.store.read() as snapshot:
        assert {len(m) > 10 for (m,) in snapshot.all(_READ)} == {True}
    world.flag("t1")
    assert "t1" not in {t for _, t, _ in found(world)}
    world.shelve(FILMS[:1])
    assert {t for _, t, _ in found(world)} == {""}


def test_a_mail_conversation_is_one_sitting(tmp_path: Path) -> None:
    world = read_in(tmp_path / "a")
    world.put(
        world.owner(), [mail("I loved the movie The Glass Fox, go and watch it.", "mail:ann@example.test")]
    )
    assert [(t, s) for _, t, s in found(world)] == [("t1", -1)]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(Shelf("1", FILMS, frozenset({"t4"})))


@pytest.mark.parametrize(
    ("with_it", "rest"),
    [
        ("I loved the movie The Cancer Ward Diaries.", ""),
        ("Salt Harbour was a great film. The Cancer Ward Diaries too!", "Salt Harbour was a great film."),
        ("I loved the film Salt Harbour (2004), The Cancer Ward Diaries, great films", "I loved the film Salt Harbour (2004), great films"),
        ("Salt Harbour. The Cancer Ward Diaries! Loved that too, so sad.", "Salt Harbour."),
        ("The Cancer Ward Diaries. Loved it. Salt Harbour was a great film too", "Salt Harbour was a great film too"),
        ("I watched Salt Harbour and The Cancer Ward Diaries, great films", "I watched Salt Harbour, great films"),
    ],
)  # fmt: skip
def test_a_sensitive_clause_goes_whole(reader: Reader, with_it: str, rest: str) -> None:
    [[named]] = reader.read([[with_it]])
    left = without(with_it, [(m.start, m.end) for m in named if not m.title_id])
    assert "".join(left.split()) == "".join(rest.split())
    assert {m.title_id for m in named} <= {"", "t2"}
    if rest:
        [[bare]] = reader.read([[left]])
        assert [m for m in named if m.title_id] == list(bare)
