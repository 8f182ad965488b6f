"""Law 6. A no binds the next request: withdrawal, revocation, expiry, suspension, a lower agreement. No worker has
to have run in between, and a policy change binds grants that were made before it.

Each end is done between two views of the same grant; in random order by hypothesis. Over HTTP and two processes
by pid: tests/gateway/test_two_workers.py.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave.consent import grant, register
from byleave.errors import ByleaveError
from byleave.model import Level
from byleave.view import Lagging, Query, Stale, open_view, rows
from byleave.view.reading import Who
from tests.worlds import DAY, NOW, World, chat

ANN, BOB = "telegram:user1", "telegram:user2"
WHO = Who(account="a", purpose="tailoring", operative="o", partner="streamflix")


class Inbox:
    def __init__(self, folder: str) -> None:
        self.world = world = World(Path(folder))
        self.owner_id = world.owner()
        said = [chat("words of ann", ANN, at=NOW - 9 * DAY + n) for n in range(3)]
        world.put(
            self.owner_id,
            [*said, chat("my own", "telegram:me"), chat("words of bob", BOB)],
            own=["telegram:me"],
        )
        self.deal = world.agree()
        self.yes = world.choose(ANN, Level.TEXT)
        self.grant = world.allow(self.owner_id, agreement_id=self.deal, partner="streamflix")

    def seen(self) -> int:
        """How many messages the next request shows; 0 where the account is gone."""
        world = self.world
        for _ in range(50):
            try:
                with world.store.read() as snapshot:
                    found = grant.find(snapshot, self.owner_id, self.grant.grant_id)
                    view = open_view(snapshot, found, world.installation.ids, world.now)
                    return 0 if view is None else len(view.query(Query(limit=100)).borns)
            except Lagging:  # what the gateway does (app.answered)
                world.store.write(rows.apply, self.owner_id, self.grant.grant_id, world.now)
        raise AssertionError("never caught up")


def no(inbox: Inbox) -> int:
    inbox.world.choose(ANN, Level.NONE, None)
    return 1


def narrow_no(inbox: Inbox) -> int:
    inbox.world.choose(ANN, Level.NONE, "tailoring", partner="streamflix", conversation="telegram/c1")
    return 1


def withdrawal(inbox: Inbox) -> int:
    inbox.world.withdraw(ANN, inbox.yes)
    return 1


def revocation(inbox: Inbox) -> int:
    world = inbox.world
    world.store.write(grant.revoke, inbox.owner_id, inbox.grant.grant_id, world.now, world.id(), b"s" * 32)
    return 0


def expiry(inbox: Inbox) -> int:
    inbox.world.now = inbox.grant.expires_at
    return 0


def suspension(inbox: Inbox) -> int:
    world = inbox.world
    world.store.write(register.set_status, inbox.deal, register.SUSPENDED, world.now, world.id(), b"s" * 32)
    return 0


def lower_agreement(inbox: Inbox) -> int:
    inbox.world.agree([("tailoring", "signals")], version=2)
    return 0


ENDS: list[Callable[[Inbox], int]] = [
    no,
    narrow_no,
    withdrawal,
    revocation,
    expiry,
    suspension,
    lower_agreement,
]


@pytest.mark.parametrize("end", ENDS)
def test_the_next_request(end: Callable[[Inbox], int], tmp_path: Path) -> None:
    inbox = Inbox(str(tmp_path))
    assert inbox.seen() == 4
    left = end(inbox)
    assert inbox.seen() == left
    inbox.world.store.close()


@settings(max_examples=12)
@given(st.lists(st.sampled_from(ENDS[:4] + ENDS[5:]), min_size=2, max_size=5, unique=True))
def test_in_any_order(ends: list[Callable[[Inbox], int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inbox = Inbox(folder)
        least = 4
        for end in ends:
            try:
                least = min(least, end(inbox))
            except ByleaveError:
                continue  # a choice that is gone already
            assert inbox.seen() <= least
        inbox.world.work()
        assert inbox.seen() <= least
        inbox.world.store.close()


@pytest.mark.parametrize("end", ENDS)
def test_an_answer_in_flight_does_not_leave(end: Callable[[Inbox], int], tmp_path: Path) -> None:
    """The answer is made, then the no comes, then it would be sent: it is not."""
    inbox = Inbox(str(tmp_path))
    world = inbox.world
    with world.store.read() as snapshot:
        view = open_view(snapshot, inbox.grant, world.installation.ids, world.now)
        if view is None:  # the grant as it was read before its rows were filled
            raise AssertionError
        borns = view.query(Query(limit=100)).borns
        view.emails(borns, _picker())
    end(inbox)
    with pytest.raises((Stale, ByleaveError)):
        view.reading.release_now(world.store, b"words", world.now, WHO)
    world.store.close()


def _picker() -> object:
    from byleave.view import Picker

    return Picker(["id", "preview"], body_values=False, max_body_bytes=0)


def test_a_no_between_two_pages_of_one_answer(tmp_path: Path) -> None:
    """A new grant, filled before the no, catches up before it shows anything."""
    inbox = Inbox(str(tmp_path))
    before = inbox.seen()
    inbox.world.choose(ANN, Level.NONE, None)
    inbox.world.choose(ANN, Level.NONE, "tailoring")
    again = inbox.world.allow(inbox.owner_id, agreement_id=inbox.deal, partner="streamflix")
    inbox.grant = again
    assert before == 4 and inbox.seen() == 1
    inbox.world.store.close()
