"""Check a whole log from its bytes, and say which of them are wrong.

Nothing is needed but a way to fetch by name (`checkpoint`, `tile/0/000`, `tile/entries/000`): a folder, a
backup, a URL. What is authentic is decided from the signed root downwards: the tiles of the right edge must
fold to it, and each hash of an authentic tile says what the tile below must fold to. Where a stored tile
fails, the one computed from the entries is tried in its place, so that one wrong byte is named once and what
lies beneath it is still judged. Where nothing gives the root, every tile that differs from what its entries
give is named, as a suspect.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from byleave.errors import Absent, Invalid
from byleave.ledger.checkpoint import Checkpoint, Verifier
from byleave.ledger.entry import matches
from byleave.ledger.tiles import HASH, HEIGHT, WIDTH, Fetch, Tile, Tiles, fold, leaf_hash

EventOf: TypeAlias = Callable[[int], "tuple[bytes, bytes] | None"]
"""(canonical bytes, salt) of the event behind leaf `index`; None for a pad, or where it was erased."""

Level: TypeAlias = dict[int, bytes]
"""By index, the bytes of each tile of one level, as far as they are known."""

MAX_PROBLEMS = 1000
MAX_SIZE = 2**40


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found: the root in base64, as in the checkpoint, and lines `place: what is wrong`."""

    ok: bool
    size: int
    root: str
    problems: tuple[str, ...]


def verify(
    fetch: Fetch,
    verifiers: Sequence[Verifier],
    *,
    origin: str | None = None,
    earlier: Sequence[Checkpoint] = (),
    event_of: EventOf | None = None,
) -> Verdict:
    """Check the log behind `fetch`: the checkpoint's signature by one of `verifiers`, every tile against the
    root, every entry against its leaf hash; that it continues each of the `earlier` checkpoints; and, with
    `event_of`, each event beside the tree against its leaf.

    Never raises for a bad log; stops counting at 1000 problems. Reads every tile and bundle once or twice;
    memory is about 32 bytes a leaf.
    """
    try:
        note = fetch("checkpoint")
        checkpoint = Checkpoint.open(note, verifiers, origin)
    except (Absent, KeyError):
        return Verdict(False, 0, "", ("checkpoint: missing",))
    except Invalid as error:
        return Verdict(False, 0, "", (f"checkpoint: {error.detail}",))
    problems: list[str] = []
    if checkpoint.size > MAX_SIZE:
        problems.append(f"checkpoint: more than {MAX_SIZE} leaves")
    else:
        for problem in _problems(fetch, checkpoint, earlier, event_of):
            if len(problems) == MAX_PROBLEMS:
                problems.append("log: more problems than are listed")
                break
            problems.append(problem)
    return Verdict(not problems, checkpoint.size, base64.b64encode(checkpoint.root).decode(), tuple(problems))


def _problems(
    fetch: Fetch, checkpoint: Checkpoint, earlier: Sequence[Checkpoint], event_of: EventOf | None
) -> Iterator[str]:
    size, tiles = checkpoint.size, Tiles(checkpoint.size, fetch)
    levels = (size.bit_length() - 1) // HEIGHT + 1 if size else 0
    computed: list[Level] = [{} for _ in range(levels)]
    stored: list[Level] = [{} for _ in range(levels)]
    if levels:
        yield from _entries(tiles, computed[0], event_of)
    for level in range(levels):
        if level:
            computed[level] = _above(computed[level - 1], size >> HEIGHT * level)
        yield from _stored(tiles, level, stored[level], computed[level])

    edge, problem = _edge(checkpoint, stored, computed)
    if problem:
        yield problem
        for level, row in enumerate(stored):
            for index, data in row.items():
                if data != computed[level].get(index, data):
                    yield f"{tiles.tile(level, index).name}: differs from what the entries below it give"
    authentic: list[Level] = [{} for _ in range(levels)]
    for level in reversed(range(levels)):
        for index in range(-(-(size >> HEIGHT * level) // WIDTH)):
            tile = tiles.tile(level, index)
            found = stored[level].get(index)
            if tile.width < WIDTH:
                good = edge.get(level)
            else:  # the top level is never full, so there is a level above
                above = authentic[level + 1].get(index // WIDTH)
                want = above and _hashes(above)[index % WIDTH]
                options = (found, computed[level].get(index))
                good = next((data for data in options if data and want and _fold(data) == want), None)
                if want and not good and found:
                    yield f"{tile.name}: does not fold to the hash above it"
            if good:
                authentic[level][index] = good
            if good and found and found != good:
                wrong = [
                    i for i, (a, b) in enumerate(zip(_hashes(found), _hashes(good), strict=True)) if a != b
                ]
                more = f", and {len(wrong) - 1} more" if wrong[1:] else ""
                yield f"{tile.name}: hash {wrong[0]} is wrong{more}"
    for index, data in computed[0].items() if levels else ():
        good = authentic[0].get(index)
        if good and good != data:
            for at, (a, b) in enumerate(zip(_hashes(data), _hashes(good), strict=True), index * WIDTH):
                if a != b:
                    yield f"entry {at}: does not match its leaf hash"
    yield from _continues(checkpoint, earlier, authentic)


def _entries(tiles: Tiles, leaves: Level, event_of: EventOf | None) -> Iterator[str]:
    """Fill `leaves` with the hashes of every bundle's entries; say which bundles and events are wrong."""
    for index in range(-(-tiles.size // WIDTH)):
        try:
            entries = tiles.entries(index)
        except (Absent, Invalid) as error:
            name = tiles.tile(-1, index).name
            yield f"{name}: {'missing' if isinstance(error, Absent) else error.detail}"
            continue
        leaves[index] = b"".join(map(leaf_hash, entries))
        for at, entry in enumerate(entries, index * WIDTH) if event_of else ():
            event = event_of(at) if event_of else None
            if event is not None and not matches(entry, *event):
                yield f"entry {at}: the event beside it does not match"


def _stored(tiles: Tiles, level: int, stored: Level, computed: Level) -> Iterator[str]:
    """Fill `stored` with the tiles of one level; say which are missing or have a wrong length."""
    for index in range(-(-(tiles.size >> HEIGHT * level) // WIDTH)):
        tile = tiles.tile(level, index)
        try:
            data = tiles.read(tile)
        except Absent:
            yield f"{tile.name}: missing"
            continue
        if len(data) != tile.width * HASH:
            yield f"{tile.name}: not {tile.width} hashes of 32 bytes"
        else:
            # Mostly they are equal; then one copy is kept.
            stored[index] = computed[index] if data == computed.get(index) else data


def _above(below: Level, count: int) -> Level:
    """The tiles of the next level over `below`, as far as all children of a tile are known."""
    roots = {index: _fold(data) for index, data in below.items() if len(data) == WIDTH * HASH}
    level: Level = {}
    for index in range(-(-count // WIDTH)):
        children = range(index * WIDTH, min((index + 1) * WIDTH, count))
        if all(child in roots for child in children):
            level[index] = b"".join(roots[child] for child in children)
    return level


def _edge(checkpoint: Checkpoint, stored: list[Level], computed: list[Level]) -> tuple[Level, str]:
    """By level, the authentic bytes of the partial tiles: the choice of stored ones, ones computed from the
    entries and ones computed from the stored level below that folds to the root, with the fewest computed.
    Without one: nothing, and the problem."""
    size = checkpoint.size
    if not size:
        return {}, "" if checkpoint.root == fold(()) else "checkpoint: not the root of an empty tree"
    tiles = [Tile(level, *divmod(size >> HEIGHT * level, WIDTH)) for level in range(len(stored))]
    tiles = [tile for tile in tiles if tile.width]
    choices: list[list[tuple[int, bytes]]] = []
    for tile in tiles:
        over = _above(stored[tile.level - 1], size >> HEIGHT * tile.level) if tile.level else {}
        options = [level.get(tile.index) for level in (stored[tile.level], computed[tile.level], over)]
        distinct = dict.fromkeys(option for option in options if option)
        choices.append([(int(option != options[0]), option) for option in distinct])
    for picked in sorted(product(*choices), key=lambda some: sum(cost for cost, _ in some)):
        rest: list[bytes] = []
        for _, data in picked:
            rest = [fold([*_hashes(data), *rest])]
        if rest == [checkpoint.root]:
            return {tile.level: data for tile, (_, data) in zip(tiles, picked, strict=True)}, ""
    names = ", ".join(tile.name for tile in tiles)
    return {}, f"checkpoint: neither the stored tiles ({names}) nor the entries give its root"


def _continues(
    checkpoint: Checkpoint, earlier: Sequence[Checkpoint], authentic: list[Level]
) -> Iterator[str]:
    """Say which of the `earlier` checkpoints the log does not continue."""

    def fetch(name: str) -> bytes:
        tile = Tile.named(name)
        return authentic[tile.level][tile.index]

    for old in earlier:
        if old.origin != checkpoint.origin:
            yield f"checkpoint of size {old.size}: another log's"
        elif old.size > checkpoint.size:
            yield f"checkpoint of size {old.size}: longer than the log, which was cut"
        else:
            try:
                root = Tiles(checkpoint.size, fetch).root(old.size)
            except Absent:
                yield f"checkpoint of size {old.size}: cannot be judged, tiles are wrong"
                continue
            if root != old.root:
                yield f"checkpoint of size {old.size}: the log does not continue it, its past was rewritten"


def _hashes(data: bytes) -> list[bytes]:
    return [data[i : i + HASH] for i in range(0, len(data), HASH)]


def _fold(data: bytes) -> bytes:
    return fold(_hashes(data))
