"""Seats are counted over all workers, given back, and taken from a worker that has died."""

from __future__ import annotations

import pytest

from byleave.errors import Code, Exhausted
from byleave.gateway.seats import SEATS, Seats, memory


def test_counted_over_all_workers() -> None:
    shared = memory(2)
    one, other = Seats(shared, 0), Seats(shared, 1)
    taken = [one.take("request", b"t", 3), other.take("request", b"t", 3), one.take("request", b"t", 3)]
    for worker in (one, other):
        with pytest.raises(Exhausted) as error:
            worker.take("request", b"t", 3)
        assert error.value.code is Code.CROWDED
    one.leave(one.take("request", b"u", 3))
    one.leave(one.take("stream", b"t", 3))
    one.leave(taken[0])
    other.take("request", b"t", 3)


def test_a_worker_that_died_holds_no_seat() -> None:
    shared = memory(2)
    for _ in range(3):
        Seats(shared, 1).take("stream", b"g", 1)


def test_a_worker_has_so_many_and_no_more() -> None:
    seats = Seats()
    taken = [seats.take("request", b"%d" % n, 1) for n in range(SEATS)]
    with pytest.raises(Exhausted):
        seats.take("request", b"one more", 1)
    seats.leave(taken[7])
    seats.take("request", b"one more", 1)
