"""The verifier: an honest log passes, and whatever is bent is named."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byleave import keys
from byleave.ledger import entry
from byleave.ledger.checkpoint import Checkpoint, Verifier
from byleave.ledger.entry import Act, Kind
from byleave.ledger.tiles import Tile, Tree
from byleave.ledger.verify import Verdict, verify

PROFILE = settings(derandomize=True, max_examples=60, deadline=None)
ORIGIN = "log.example/one"
KEY = keys.generate("EdDSA")
VERIFIERS = [Verifier.of(ORIGIN, KEY)]


def event(index: int) -> tuple[bytes, bytes]:
    data = entry.encode(Act(kind=Kind.GRANT, at=index, facts={"grant": f"g{index}"}))
    return data, hashlib.sha256(b"%d" % index).digest()


def make(size: int) -> tuple[Tree, dict[str, bytes]]:
    tree, stored = Tree(), {}
    for index in range(size):
        tree.append(entry.leaf(Kind.GRANT, *event(index)))
    stored.update((tile.name, data) for tile, data in tree.flush())
    stored["checkpoint"] = Checkpoint(ORIGIN, size, tree.root()).sign(KEY)
    return tree, stored


LOGS = {size: make(size) for size in (0, 1, 5, 256, 300, 1000)}


def judge(stored: dict[str, bytes], **more: object) -> Verdict:
    return verify(stored.__getitem__, VERIFIERS, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", LOGS)
def test_an_honest_log(size: int) -> None:
    verdict = judge(LOGS[size][1], origin=ORIGIN, event_of=event)
    assert verdict == Verdict(True, size, verdict.root, ())
    assert verdict.root.encode() == LOGS[size][1]["checkpoint"].split(b"\n")[2]


@PROFILE
@given(st.sampled_from([1, 5, 256, 300, 1000]), st.data())
def test_any_flipped_bit_is_found_and_named(size: int, data: st.DataObject) -> None:
    stored = dict(LOGS[size][1])
    name = data.draw(st.sampled_from(sorted(stored)))
    at = data.draw(st.integers(0, len(stored[name]) * 8 - 1))
    bent = bytearray(stored[name])
    bent[at // 8] ^= 1 << at % 8
    stored[name] = bytes(bent)
    verdict = judge(stored)
    assert not verdict.ok
    if name.startswith("tile/entries/"):
        tile = Tile.named(name)
        first = tile.index * 256
        entries = {f"entry {i}" for i in range(first, first + tile.width)}
        assert all(problem.split(":")[0] in entries | {name} for problem in verdict.problems)
    else:
        assert [problem.split(":")[0] for problem in verdict.problems] == [name]


@PROFILE
@given(st.sampled_from([1, 5, 256, 300, 1000]), st.data())
def test_what_is_missing_or_cut_is_named(size: int, data: st.DataObject) -> None:
    stored = dict(LOGS[size][1])
    name = data.draw(st.sampled_from(sorted(stored)))
    if data.draw(st.booleans()):
        del stored[name]
    else:
        stored[name] = data.draw(st.binary(max_size=70))
    verdict = judge(stored)
    assert [problem.split(":")[0] for problem in verdict.problems] == [name]


def test_several_wrong_at_once() -> None:
    stored = dict(LOGS[1000][1])
    tile = stored["tile/0/001"]
    stored["tile/0/001"] = tile[:64] + bytes(64) + tile[128:]
    leaves = stored["tile/entries/002"]
    stored["tile/entries/002"] = leaves[:2] + bytes(34) + leaves[36:]
    problems = judge(stored).problems
    assert problems == (
        "tile/0/001: hash 2 is wrong, and 1 more",
        "entry 512: does not match its leaf hash",
    )
    # With the tile above them wrong as well nothing tells the right ones any more: all are suspects.
    stored["tile/1/000.p/3"] = bytes(96)
    suspects = {p.split(":")[0] for p in judge(stored).problems}
    assert suspects == {"checkpoint", "tile/0/001", "tile/0/002", "tile/1/000.p/3"}


def test_a_tile_and_its_entries_changed_together() -> None:
    """A forger who changes an entry and the leaf hash above it is stopped by the next level."""
    stored, forged = dict(LOGS[1000][1]), entry.pad(bytes(32))
    bundle = stored["tile/entries/000"]
    stored["tile/entries/000"] = bundle[:2] + forged + bundle[36:]
    stored["tile/0/000"] = hashlib.sha256(b"\0" + forged).digest() + stored["tile/0/000"][32:]
    assert judge(stored).problems == ("tile/0/000: does not fold to the hash above it",)


def test_a_whole_other_history() -> None:
    tree, stored = Tree(), {}
    for index in range(1000):
        tree.append(entry.leaf(Kind.GRANT, *event(index + 1)))
    stored.update((tile.name, data) for tile, data in tree.flush())
    stored["checkpoint"] = LOGS[1000][1]["checkpoint"]
    (problem,) = judge(stored).problems
    assert problem.startswith("checkpoint: neither the stored tiles (tile/0/003.p/232, tile/1/000.p/3)")
    # Signed by the log itself it passes alone, but not beside a checkpoint that somebody kept.
    stored["checkpoint"] = Checkpoint(ORIGIN, 1000, tree.root()).sign(KEY)
    assert judge(stored).ok
    for size in (1, 256, 300, 1000):
        kept = Checkpoint(ORIGIN, size, LOGS[size][0].root())
        assert judge(LOGS[1000][1], earlier=[kept]).ok
        (problem,) = judge(stored, earlier=[kept]).problems
        assert problem == f"checkpoint of size {size}: the log does not continue it, its past was rewritten"


def test_a_log_that_was_cut() -> None:
    kept = [Checkpoint(ORIGIN, 1000, LOGS[1000][0].root()), Checkpoint("log.example/two", 5, bytes(32))]
    problems = judge(LOGS[300][1], earlier=kept).problems
    assert [p.split(":")[0] for p in problems] == ["checkpoint of size 1000", "checkpoint of size 5"]


def test_events_beside_the_tree() -> None:
    def lied(index: int) -> tuple[bytes, bytes] | None:
        if index % 7 == 0:
            return None
        return (event(index + 1)[0], event(index)[1]) if index == 261 else event(index)

    assert judge(LOGS[300][1], event_of=lied).problems == ("entry 261: the event beside it does not match",)


def test_checkpoints_that_are_none() -> None:
    for stored in ({}, {"checkpoint": b""}, {"checkpoint": Checkpoint(ORIGIN, 2**50, bytes(32)).sign(KEY)}):
        verdict = judge(stored)
        assert not verdict.ok and len(verdict.problems) == 1
    assert not judge({"checkpoint": Checkpoint(ORIGIN, 0, bytes(32)).sign(KEY)}).ok
    stranger = Checkpoint(ORIGIN, 0, bytes(32)).sign(keys.generate("EdDSA"))
    assert judge({"checkpoint": stranger}).problems == ("checkpoint: note refused: no known key signed it",)


def test_problems_are_counted_to_an_end() -> None:
    verdict = judge({"checkpoint": Checkpoint(ORIGIN, 10**6, bytes(32)).sign(KEY)})
    assert len(verdict.problems) == 1001 and verdict.problems[-1] == "log: more problems than are listed"
