"""How many requests and streams of one caller are under way, over all workers.

Each worker writes into its own part of one memory, which the parent made before it forked; nobody locks. A seat is
eight bytes that name what is limited; taken first and counted then, so that two workers never let in one too many.
"""

from __future__ import annotations

import hashlib
from mmap import mmap

from byleave.errors import Code, Exhausted

WIDTH = 8
SEATS = 1024
"""Of one worker."""
_FREE = bytes(WIDTH)


def memory(workers: int) -> mmap:
    """The memory that `workers` processes share, once they are forked."""
    return mmap(-1, workers * SEATS * WIDTH)


class Seats:
    """The seats of one worker, the `mine`-th of those that share `shared`; alone without it."""

    def __init__(self, shared: mmap | None = None, mine: int = 0) -> None:
        self._all: mmap | bytearray = bytearray(SEATS * WIDTH) if shared is None else shared
        self._begin = mine * SEATS * WIDTH
        self._all[self._begin : self._begin + SEATS * WIDTH] = bytes(SEATS * WIDTH)  # of a worker that died
        self._free = list(range(self._begin, self._begin + SEATS * WIDTH, WIDTH))

    def take(self, kind: str, whose: bytes, most: int) -> int:
        """A seat for one more of `kind`, to be given back by `leave`. Raises Exhausted where `whose` has `most` of
        them already."""
        name = hashlib.blake2b(whose, digest_size=WIDTH, person=kind.encode()).digest()
        if not self._free:
            raise crowded(kind, SEATS)
        seat = self._free.pop()
        self._all[seat : seat + WIDTH] = name
        if bytes(self._all[:]).count(name) > most:
            self.leave(seat)
            raise crowded(kind, most)
        return seat

    def leave(self, seat: int) -> None:
        self._all[seat : seat + WIDTH] = _FREE
        self._free.append(seat)


def crowded(kind: str, most: int) -> Exhausted:
    return Exhausted(Code.CROWDED, f"at most {most} {kind}s at a time", retry_after_s=1)
