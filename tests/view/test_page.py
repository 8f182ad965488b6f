"""A page is the same whatever else is asked, in whatever order; and what is kept between requests stays true."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest
from tests.worlds import DAY, NOW, World, chat, mail

from byleave.consent import grant
from byleave.model import Level
from byleave.view import PREPARED, Picker, Query, View, open_view

ALL = sorted(PREPARED - {"sender", "bcc"})


def _world(path: Path) -> tuple[World, bytes]:
    world = World(path)
    owner_id = world.owner()
    said = "This is what we said about the harbour yesterday."
    quoted = f"I think so too.\n\nOn Mon, 5 Jan 2026 at 10:00, Ben <ben@example.test> wrote:\n> {said}\n"
    html = b"From: ann@example.test\r\nSubject: <b>\r\nContent-Type: text/html\r\n\r\n<p>Good morning to all of you</p>"
    made = [
        mail(said, "mail:ben@example.test", id="a@x.test"),
        mail(quoted, "mail:ann@example.test", id="b@x.test", references=["a@x.test"], to=["mail:ben@example.test", "mail:me@example.test"]),
        mail("Good morning to all of you", "mail:ann@example.test", id="c@x.test", raw=html),
        *(chat(f"We saw the film number {n} and it was good", f"telegram:user{n % 2}", at=NOW - n * DAY) for n in range(1, 8)),
    ]  # fmt: skip
    world.put(owner_id, made, own=["mail:me@example.test"])
    return world, owner_id


def _view(world: World, owner_id: bytes, level: Level | None) -> grant.Grant:
    if level is None:
        with world.store.read() as snapshot:
            [found] = grant.of_owner(snapshot, owner_id)
            return found
    purpose = "tailoring" if level is Level.MASKED else "own-agent"
    for handle in ("mail:ann@example.test", "mail:ben@example.test", "telegram:user1"):
        world.choose(handle, level, purpose)
    deal = world.agree() if level is Level.MASKED else None
    return world.allow(owner_id, purpose, level, agreement_id=deal, partner="streamflix" if deal else None)


@pytest.mark.parametrize("level", [None, Level.MASKED, Level.TEXT], ids=["owner", "masked", "text"])
def test_any_properties_in_any_order(tmp_path: Path, level: Level | None) -> None:
    world, owner_id = _world(tmp_path)
    found = _view(world, owner_id, level)
    dice = random.Random(7)
    with world.store.read() as snapshot:
        view = open_view(snapshot, found, world.installation.ids, world.now)
        assert view is not None
        borns = view.query(Query()).borns
        assert len(borns) >= 6
        whole = _shown(view, borns, ALL)
        assert level is None or None not in whole.values()
        for _ in range(40):
            some = dice.sample(ALL, dice.randrange(1, 8))
            asked = dice.sample(borns, dice.randrange(1, len(borns) + 1))
            made = _shown(view, [*asked, 1 << 40], some)
            assert list(made) == asked
            for born, email in made.items():
                if email is None:
                    assert whole[born] is None
                elif (of := whole[born]) is not None:
                    assert list(email) == some and email == {name: of[name] for name in some}
    world.store.close()


def _shown(view: View, borns: list[int], names: list[str]) -> dict[int, dict[str, object] | None]:
    made = view.emails(borns, Picker(names, body_values=True, max_body_bytes=0))
    return {born: orjson.loads(email) if email is not None else None for born, email in made.items()}


def test_tokens_follow_a_claim(tmp_path: Path) -> None:
    """A handle that its owner claims is another person's from then on: what a process kept of it is not shown."""
    world, owner_id = _world(tmp_path)
    found = _view(world, owner_id, Level.MASKED)
    picker = Picker(["from"], body_values=False, max_body_bytes=0)

    def seen() -> set[bytes]:
        with world.store.read() as snapshot:
            now = grant.find(snapshot, owner_id, found.grant_id)
            view = open_view(snapshot, now, world.installation.ids, world.now)
            assert view is not None
            borns = [b for b in view.query(Query()).borns if b in view._fetch([b]) and view._rows[b][6] == 4]
            return {email for email in view.emails(borns, picker).values() if email is not None}

    before = seen()
    assert before == seen() and len(before) == 1
    world.put(
        owner_id,
        [chat("One more about the film that we saw", "telegram:user1", at=NOW)],
        own=["telegram:user1"],
    )
    after = seen()
    assert len(after) == 1 and not after & before
    world.store.close()
