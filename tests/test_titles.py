"""The shelf: editions, a partner's list, sensitive flags, and the verbs over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from byleave import titles
from byleave.errors import Conflict, Invalid, Refused
from byleave.words.gazetteer import Title
from byleave.words.sensitive import Theme, themes
from tests.worlds import DAY, NOW, World

FILMS = [Title(f"t{n}", f"Invented Film Number {n}", 1990 + n, (f"Erfundener Film {n}",)) for n in range(30)]
SALT = b"s" * 32


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def put(world: World, films: list[Title]) -> bool:
    return titles.put(world.store, films, "csv", NOW, world.id(), SALT)


def theirs(world: World, films: list[Title], now: int = NOW) -> bool:
    return titles.put_partners(world.store, "streamflix", films, "f.csv", "csv", now, world.id(), SALT)


def test_an_edition_takes_the_place_of_the_one_before(world: World) -> None:
    with world.store.read() as snapshot:
        assert (
            titles.shelf(snapshot) is None and titles.edition(snapshot) == "" and titles.names(snapshot) == []
        )
    assert put(world, FILMS) and not put(world, FILMS)
    with world.store.read() as snapshot:
        before = titles.edition(snapshot)
        assert set(titles.shelf(snapshot).titles) == set(FILMS)  # type: ignore[union-attr]
        assert "Erfundener Film 3" in titles.names(snapshot)
    assert put(world, FILMS[:25])
    with world.store.read() as snapshot:
        assert titles.edition(snapshot) != before
        assert set(titles.shelf(snapshot).titles) == set(FILMS[:25])  # type: ignore[union-attr]
        assert titles.named(snapshot, ["t1", "t29"]) == {"t1": ("Invented Film Number 1", 1991)}


def test_half_an_edition_is_none(world: World) -> None:
    """What an import that died left behind is not seen, and goes with the next."""
    put(world, FILMS)
    number = world.store.write(titles._begin)
    world.store.write(
        titles._add, number, [{"id": "x", "title": "Half", "year": 0, "names": [], "popularity": 0}]
    )
    with world.store.read() as snapshot:
        assert len(titles.shelf(snapshot).titles) == 30  # type: ignore[union-attr]
    put(world, FILMS[:20])
    with world.store.read() as snapshot:
        assert {t.id for t in titles.shelf(snapshot).titles} == {f.id for f in FILMS[:20]}  # type: ignore[union-attr]


def test_what_nobody_else_carries_is_refused(world: World) -> None:
    """A partner cannot have somebody's name looked for by calling it a film."""
    with pytest.raises(Refused, match="no titles of its own"):
        theirs(world, FILMS)
    put(world, FILMS)
    probe = [
        *(Title(f"x{n}", f.title, f.year) for n, f in enumerate(FILMS)),
        Title("p", "Ann Lindqvist", 2001),
    ]
    with pytest.raises(Refused, match="title 31: nobody else carries it") as refused:
        theirs(world, probe)
    assert "Ann" not in str(refused.value)
    with pytest.raises(Refused, match="nobody else"):
        theirs(world, [Title("x", "Invented Film Number 3", 1950)])  # another year is another film
    with pytest.raises(Refused, match="twice"):
        theirs(
            world, [Title("x", "Invented Film Number 3", 1993), Title("y", "invented film number three", 0)]
        )
    assert theirs(
        world, [Title("x3", "Erfundener Film 3", 0), Title("x4", "Invented film number four", 1994)]
    )
    with world.store.read() as snapshot:
        assert titles.called(snapshot, "streamflix", ["t3", "t4", "t5"]) == {"t3": "x3", "t4": "x4"}
        assert titles.meant(snapshot, "streamflix", ["x3", "t3"]) == {"x3": "t3"}
        assert (
            titles.called(snapshot, "otherflix", ["t3"])
            == {"t3": "t3"}
            == titles.called(snapshot, None, ["t3"])
        )


def test_a_partners_list_changes_once_a_day(world: World) -> None:
    put(world, FILMS)
    assert theirs(world, FILMS) and not theirs(world, FILMS)
    with pytest.raises(Conflict, match="once a day"):
        theirs(world, FILMS[:25])
    assert theirs(world, FILMS[:25], NOW + DAY)


def test_flags_need_two_operators_and_hold_for_remakes(world: World) -> None:
    films = [
        *FILMS,
        Title("r1", "Salt Harbour", 1961),
        Title("r2", "The Salt Harbour", 2004),
        Title("c", "My Cancer Diary", 2001),
    ]
    put(world, films)
    for by in (["ann", "ann"], ["ann"], ["ann", ""], ["a", "b", "c"]):
        with pytest.raises(Invalid, match="two different"):
            world.store.write(titles.flag, "r1", "health", True, by, NOW, world.id(), SALT)
    with pytest.raises(Invalid, match="no such theme"):
        world.store.write(titles.flag, "r1", "taste", True, ["ann", "ben"], NOW, world.id(), SALT)
    with pytest.raises(Refused, match="no such title_id"):
        world.store.write(titles.flag, "zz", "health", True, ["ann", "ben"], NOW, world.id(), SALT)
    with world.store.read() as snapshot:
        before = titles.edition(snapshot)
        assert titles.sensitive(snapshot, films) == {"c"}
    world.store.write(titles.flag, "r1", "health", True, ["ann", "ben"], NOW, world.id(), SALT)
    with world.store.read() as snapshot:
        assert titles.sensitive(snapshot, films) == {"c", "r1", "r2"} and titles.edition(snapshot) != before
        assert titles.flagged_by_hand(snapshot) == {"r1"}
    for id in ("r1", "c"):
        world.store.write(titles.flag, id, "health", False, ["ben", "cy"], NOW, world.id(), SALT)
    with world.store.read() as snapshot:
        assert titles.sensitive(snapshot, films) == frozenset()


@pytest.mark.parametrize(
    ("title", "theme"),
    [
        ("A Year of Cancer", Theme.HEALTH), ("Sober by Spring", Theme.ADDICTION), ("Two Gay Uncles", Theme.LGBTQ),
        ("The Rabbi's Bicycle", Theme.RELIGION), ("Election Night", Theme.POLITICS), ("Refugee Songs", Theme.ETHNICITY),
        ("Sex and Sandwiches", Theme.SEXUAL_CONTENT), ("Der Selbstmörder", Theme.SUICIDE), ("Abused", Theme.ABUSE),
        ("Grieving Gustav", Theme.BEREAVEMENT), ("Paper Moons", None), ("The Skilled Sexton", None), ("Marxloh", None),
    ],
)  # fmt: skip
def test_what_a_titles_own_words_tell(title: str, theme: Theme | None) -> None:
    found = themes(title)
    assert (
        (theme in found)
        if theme is not None
        else not found - {Theme.POLITICS if title == "Marxloh" else None}
    )
