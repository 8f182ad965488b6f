"""The ranker: EASE against its definition, a taste that cannot be kept, flags that cannot weigh."""

from __future__ import annotations

import copy
import pickle

import msgspec
import numpy as np
import pytest

from byleave.tailoring.ranker import Mix, Ranker, Reason, TransientTaste, counted, ease, friends_say, taste
from byleave.words.gazetteer import Title

NAMES = "Amber Fox|Amber Fox 2|Salt Harbour|Quiet Moon|Iron Meadow|Paper Sailor|Glass Kingdom|Velvet Tide"
TITLES = [Title(str(i), name, 2000 + i) for i, name in enumerate(NAMES.split("|"))]
BASKETS = [
    ("2", "3"),
    ("2", "3"),
    ("2", "3", "4"),
    ("4", "5"),
    ("4", "5"),
    ("6",),
    ("6",),
    ("6",),
    ("6",),
    ("6", "7"),
]


def ranked(weights: dict[str, float], **options: object) -> list[str]:
    ranker = Ranker(
        TITLES, counted(BASKETS, TITLES), mix=Mix(regularisation=1.0), flagged=options.pop("flagged", ())
    )  # type: ignore[arg-type]
    return [r.title_id for r in ranker.rank(TransientTaste(weights), **options)]  # type: ignore[arg-type]


def test_ease_solves_its_own_problem() -> None:
    """B minimises |X - XB|² + λ|B|² with a zero diagonal: off the diagonal the slope is 0."""
    x = np.random.default_rng(1).integers(0, 2, size=(30, 6)).astype(float)
    gram = x.T @ x
    b = ease(gram, 5.0)
    slope = gram @ b - gram + 5.0 * b
    np.fill_diagonal(slope, 0.0)
    assert np.abs(np.diag(b)).max() == 0
    assert np.abs(slope).max() < 1e-9


def test_what_goes_together_comes_first_and_what_is_known_never() -> None:
    assert ranked({"2": 1.0})[0] == "3"
    assert ranked({"4": 1.0})[0] == "5"
    assert "2" not in ranked({"2": 1.0})
    assert "3" not in ranked({"2": 1.0}, seen={"3"})


def test_without_a_taste_the_popular_come_first() -> None:
    assert ranked({})[0] == "6"


def test_a_sequel_is_found_by_its_words() -> None:
    found = Ranker(TITLES, counted(BASKETS, TITLES)).rank(TransientTaste({"0": 1.0}))
    assert (found[0].title_id, found[0].reason) == ("1", Reason.SERIES)


def test_a_dislike_moves_its_company_down() -> None:
    assert ranked({"2": -1.0}).index("3") > ranked({}).index("3")


def test_a_flagged_title_neither_comes_nor_weighs() -> None:
    with_it = ranked({"2": 1.0, "4": 1.0}, flagged={"4"})
    without = ranked({"2": 1.0}, flagged={"4"})
    assert with_it == without
    assert "4" not in with_it


def test_a_taste_cannot_be_kept() -> None:
    taste = TransientTaste({"2": 1.0})
    assert "2" not in repr(taste) + str(taste)
    for keep in (pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode):
        with pytest.raises(TypeError):
            keep(taste)
    assert not hasattr(taste, "__dict__")
    ranker = Ranker(TITLES, counted(BASKETS, TITLES))
    first = ranker.rank(taste)
    assert ranker.rank(taste) != first, "a taste is spent by one call"


def test_unknown_ids_are_passed_over() -> None:
    assert ranked({"nope": 1.0}) == ranked({})
    assert Ranker(TITLES, counted([("nope",)], TITLES)).rank(TransientTaste({}))
    assert Ranker([], counted([], [])).rank(TransientTaste({"1": 1.0})) == []


def test_what_friends_say_is_put_forward_with_its_reason_and_is_no_taste_of_theirs() -> None:
    ranker = Ranker(TITLES, counted(BASKETS, TITLES))
    sent = friends_say([("7", "liked"), ("7", "wants"), ("5", "disliked"), ("5", "liked"), ("5", "disliked")])
    assert sent == {"7": 2.0, "5": 0.0}
    plain, moved = (ranker.rank(TransientTaste({"0": 1.0}), friends=f) for f in ({}, sent))
    place = {
        name: [r.title_id for r in found].index("7") for name, found in (("plain", plain), ("moved", moved))
    }
    assert place["moved"] < place["plain"]
    assert {r.title_id: r.reason for r in moved}["7"] is Reason.FRIEND
    assert "7" not in [r.title_id for r in ranker.rank(taste({"7": "liked"}), friends=sent)], (
        "own titles never"
    )
    assert "7" not in [
        r.title_id
        for r in Ranker(TITLES, counted(BASKETS, TITLES), flagged={"7"}).rank(taste({}), friends=sent)
    ]
