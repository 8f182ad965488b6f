"""What a partner can know of me: titles with the words behind each, corrected or removed with effect on the next
request; why a card is here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.exchange.world import ANN, CELL
from tests.gateway.test_titles import Talking

from byleave.consent import grant


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Talking]:
    made = Talking(tmp_path)
    yield made
    made.world.store.close()


def place(it: Talking) -> str:
    with it.world.store.read() as snapshot:
        found = [g for g in grant.of_owner(snapshot, it.owner) if g.partner and g.revoked_at is None][-1]
    return f"/me/grants/{found.grant_id.hex()}/titles"


def mine(it: Talking) -> set[tuple[str, str]]:
    me = it.me()
    return {(s["titleId"], s["stance"]) for s in it.partner.signals(it.token) if s["personId"] == me}


def test_what_they_can_know(it: Talking) -> None:
    page = it.page(place(it), it.session(it.owner))
    assert page.status_code == 200 and "<strong>Salt Harbour</strong>" in page.text and "liked" in page.text
    assert "Cancer" not in page.text, "a sensitive title is never listed"
    assert "Glass Fox" not in page.text, "what a friend thinks is the friend's"
    assert page.headers["cache-control"] == "no-store"


def test_a_removal_binds_the_next_request(it: Talking) -> None:
    assert mine(it) == {("t2", "liked")}
    answer = it.page(place(it), it.session(it.owner), title="t2", stance="liked", remove="yes")
    assert answer.status_code == 303
    assert mine(it) == set()
    assert "Salt Harbour" not in it.page(place(it), it.session(it.owner)).text
    it.world.work()
    assert mine(it) == set()
    assert it.page(place(it), it.session(it.owner), title="t2", stance="wants").status_code == 303


def test_a_correction_binds_the_next_request(it: Talking) -> None:
    assert it.page(place(it), it.session(it.owner), title="t2", stance="disliked").status_code == 303
    assert mine(it) == set(), "what they had is not said any more"
    it.world.work()
    assert mine(it) == {("t2", "disliked")}
    assert "disliked" in it.page(place(it), it.session(it.owner)).text


@pytest.mark.parametrize(
    "form", [{"title": "nothing", "stance": "liked"}, {"title": "t2", "stance": "adored"}, {"title": "t2"}]
)
def test_what_is_no_correction(it: Talking, form: dict[str, str]) -> None:
    assert it.page(place(it), it.session(it.owner), **form).status_code == 400
    assert mine(it) == {("t2", "liked")}


def test_it_is_the_owners_alone(it: Talking) -> None:
    nobody, ann = {"byleave": "x" * 43}, it.session(None, ANN)
    other = it.session(it.world.owner("other"))
    for who in (ann, other):
        assert it.page(place(it), who).status_code == 404
        assert it.page(place(it), who, title="t2", remove="yes").status_code == 404
    assert it.page(place(it), nobody).status_code in (303, 401, 404)
    assert it.page("/me/grants/zz/titles", it.session(it.owner)).status_code == 404


def test_why_this_card(it: Talking) -> None:
    card = {
        "type": "recommendation", "title_ref": {"scheme": "streamflix", "id": "t4"}, "title": "Salt Harbour 2", "text": "For you?",
    }  # fmt: skip
    told = it.partner.send(it.token, it.address(ANN), card, CELL)
    owner = it.session(it.owner)
    assert f"/me/sends/{told['id']}/why" in it.page(f"/me/sends/{told['id']}", owner).text
    page = it.page(f"/me/sends/{told['id']}/why", owner).text
    assert "<strong>Salt Harbour</strong>" in page and "Night Ferry" not in page
    assert re.search(r"from your chats", page) and "words" not in json_of(told)
    assert it.page(f"/me/sends/{told['id']}/why", it.session(None, ANN)).status_code == 404


def json_of(told: dict[str, object]) -> str:
    return " ".join(map(str, told))
