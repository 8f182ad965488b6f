"""The Merkle tree (RFC 6962 §2.1, SHA-256), its tiles (C2SP tlog-tiles, height 8), and proofs over it.

Rules of this file:

1. Everything is computed from bytes: a `Tree` grows and says which tiles to store, a `Tiles` reads stored
   ones through any `fetch(name) → bytes`. Neither knows a store.
2. A full tile never changes. A partial one is named by its width, so it never changes either.
3. Proofs are made by RFC 9162's recursion and checked by its separate loop: a mistake in one is not in both.
4. Verifying never trusts a length, an index or a name: whatever does not fit raises Invalid.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from byleave.errors import Absent, Code, Invalid

Fetch: TypeAlias = Callable[[str], bytes]
"""The bytes stored under a name (`tile/0/000`); raises Absent or KeyError where there is none."""

HASH = 32
WIDTH = 256
HEIGHT = 8
EMPTY_ROOT = hashlib.sha256(b"").digest()
MAX_ENTRY = 65_535

_sha256 = hashlib.sha256
_TILE = re.compile(
    r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962's hash of a leaf: SHA-256(0x00 ‖ entry)."""
    return _sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962's hash of a node: SHA-256(0x01 ‖ left ‖ right)."""
    return _sha256(b"\1" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over `hashes`, taken as the hashes of consecutive equal subtrees (the last may be a smaller
    one): RFC 6962's MTH, level by level; a hash without a sibling moves up as it is."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        paired = [_sha256(b"\1" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
        row = [*paired, row[-1]] if len(row) & 1 else paired
    return row[0]


# -- names and contents of tiles ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile's place: level 0 to 63, or −1 for the bundle of entries; index in the level; width 1 to 256."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def name(self) -> str:
        """`tile/<L>/<N>[.p/<W>]`, as tlog-tiles spells it: index 1234067 is `x001/x234/067`."""
        digits = f"{self.index:03d}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        level = "entries" if self.level < 0 else str(self.level)
        return f"tile/{level}/{path}" + ("" if self.width == WIDTH else f".p/{self.width}")

    @classmethod
    def named(cls, name: str) -> Tile:
        """The tile called `name`. Raises Invalid for any other spelling: one tile, one name."""
        match = _TILE.fullmatch(name) if len(name) < 100 else None
        if match:
            level, path, width = match.groups()
            index = int(path.replace("/", "").replace("x", ""))
            tile = cls(-1 if level == "entries" else int(level), index, int(width or WIDTH))
            if tile.width <= WIDTH and tile.name == name:
                return tile
        raise Invalid(Code.MALFORMED, "not the name of a tile")


def tiles_of(size: int, *, after: int = 0) -> Iterable[Tile]:
    """Every tile and bundle of a tree of `size` leaves, without the full ones that a tree of `after` leaves
    already had: lowest level first, bundles before all."""
    for level in range(-1, 64):
        span = WIDTH ** max(level, 0)
        wide, had = size // span, after // span
        if not wide:
            return
        for index in range(had // WIDTH, wide // WIDTH):
            yield Tile(level, index)
        if wide % WIDTH:
            yield Tile(level, wide // WIDTH, wide % WIDTH)


def pack_bundle(entries: Iterable[bytes]) -> bytes:
    """Entries as a bundle: each behind its length (two bytes, big-endian). Raises Invalid past 65,535."""
    packed = bytearray()
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise Invalid(Code.TOO_LARGE, "an entry has at most 65535 bytes")
        packed += len(entry).to_bytes(2) + entry
    return bytes(packed)


def unpack_bundle(data: bytes, width: int) -> list[bytes]:
    """The entries of a bundle that must hold `width` of them and nothing else. Raises Invalid."""
    entries, at = [], 0
    for _ in range(width):
        length = int.from_bytes(data[at : at + 2])
        entry = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(entry) != length:
            raise Invalid(Code.TRUNCATED, "the bundle ends within an entry")
        entries.append(entry)
        at += 2 + length
    if at != len(data):
        raise Invalid(Code.MALFORMED, "the bundle holds more than its entries")
    return entries


def split_tile(data: bytes, width: int) -> list[bytes]:
    """The hashes of a tile that must hold `width`. Raises Invalid."""
    if len(data) != width * HASH:
        raise Invalid(Code.MALFORMED, f"the tile has not {width} hashes of 32 bytes")
    return [data[i : i + HASH] for i in range(0, len(data), HASH)]


# -- growing ------------------------------------------------------------------------------------------------


class Tree:
    """A tree that grows at its right edge; holds that edge only (≤ 256 entries and ≤ 256 hashes a level).

    `append` entries, then `flush` for the tiles to store. `Tree.restore` goes on where stored tiles end. Not
    for several threads at once.
    """

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []
        """Roots of the full subtrees that the leaves fall into, largest first: one a set bit of `size`."""
        self._edge: list[bytearray] = [bytearray()]
        """By tile level, the hashes of the tile that is not full yet."""
        self._bundle: list[bytes] = []
        self._full: list[tuple[Tile, bytes]] = []
        self._flushed = 0

    def append(self, entry: bytes) -> int:
        """Add `entry` and return its index. Raises Invalid past 65,535 bytes."""
        if len(entry) > MAX_ENTRY:
            raise Invalid(Code.TOO_LARGE, "an entry has at most 65535 bytes")
        node = _sha256(b"\0" + entry).digest()
        index = rest = self.size
        stack, edge = self._stack, self._edge
        self._bundle.append(entry)
        edge[0] += node
        height = 0
        while rest & 1:
            node = _sha256(b"\1" + stack.pop() + node).digest()
            rest >>= 1
            height += 1
            if height & 7 == 0:
                if len(edge) == height >> 3:
                    edge.append(bytearray())
                edge[height >> 3] += node
        stack.append(node)
        self.size = index + 1
        if not self.size & 255:
            self._close()
        return index

    def _close(self) -> None:
        """Move full tiles off the edge. Called when a tile of level 0 is full, the only time any is."""
        self._full.append((Tile(-1, (self.size >> 8) - 1), pack_bundle(self._bundle)))
        self._bundle = []
        for level, hashes in enumerate(self._edge):
            if len(hashes) < WIDTH * HASH:
                return
            self._full.append((Tile(level, (self.size >> HEIGHT * (level + 1)) - 1), bytes(hashes)))
            self._edge[level] = bytearray()

    def root(self) -> bytes:
        """The root over all leaves; SHA-256 of nothing for an empty tree."""
        if not self._stack:
            return EMPTY_ROOT
        node = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            node = _sha256(b"\1" + left + node).digest()
        return node

    def flush(self) -> list[tuple[Tile, bytes]]:
        """The tiles to store before a checkpoint of this size is shown: those filled since the last flush,
        and the partial ones. Store them all, then call `root` for the checkpoint."""
        if self.size == self._flushed:
            return []
        tiles, self._full, self._flushed = self._full, [], self.size
        if self._bundle:
            tiles.append((Tile(-1, self.size >> 8, len(self._bundle)), pack_bundle(self._bundle)))
        for level, hashes in enumerate(self._edge):
            if hashes:
                width = len(hashes) // HASH
                tiles.append((Tile(level, self.size >> HEIGHT * (level + 1), width), bytes(hashes)))
        return tiles

    @classmethod
    def restore(cls, size: int, fetch: Fetch, root: bytes | None = None) -> Tree:
        """The tree of `size` leaves whose tiles `fetch` gives. With `root`, that of its checkpoint, the edge
        is checked against it. Raises Invalid where tiles are wrong, Absent where they are missing."""
        tree, tiles = cls(), Tiles(size, fetch)
        tree.size = tree._flushed = size
        if size & 255:
            tree._bundle = tiles.entries(size >> 8)
        levels = (size.bit_length() - 1) // HEIGHT + 1 if size else 1
        tree._edge = [bytearray() for _ in range(levels)]
        for level in reversed(range(levels)):
            width = (size >> HEIGHT * level) & 255
            if not width:
                continue
            hashes = tiles.hashes(level, size >> HEIGHT * (level + 1))
            tree._edge[level] = bytearray(b"".join(hashes))
            at = 0
            for bit in (128, 64, 32, 16, 8, 4, 2, 1):
                if width & bit:
                    tree._stack.append(fold(hashes[at : at + bit]))
                    at += bit
        if root is not None and tree.root() != root:
            raise Invalid(Code.INVALID_PROOF, "the stored tiles do not give the checkpoint's root")
        return tree


# -- reading and proving ------------------------------------------------------------------------------------


class Tiles:
    """The tree of `size` leaves as stored tiles show it: roots and proofs, from a few tiles, fetched once.

    Tiles are not checked against a root here (a proof is, by who receives it; `ledger.verify` checks all).
    """

    def __init__(self, size: int, fetch: Fetch) -> None:
        self.size = size
        self._fetch = fetch
        self._seen: dict[Tile, list[list[bytes]]] = {}
        """By tile, its hashes and above them the rows of full subtrees over them."""

    def tile(self, level: int, index: int) -> Tile:
        """The tile `index` of `level` with the width that it has in a tree of this size. Raises Invalid where
        it has none."""
        width = min((self.size >> HEIGHT * max(level, 0)) - index * WIDTH, WIDTH)
        if width < 1 or index < 0:
            raise Invalid(Code.INVALID_ARGUMENTS, "no such tile in a tree of this size")
        return Tile(level, index, width)

    def read(self, tile: Tile) -> bytes:
        """The stored bytes of `tile`; of a partial one also out of the full one that replaced it. Raises
        Absent."""
        try:
            return self._fetch(tile.name)
        except (Absent, KeyError):
            if tile.width == WIDTH:
                raise Absent(Code.ABSENT, f"{tile.name} is missing") from None
        try:
            data = self._fetch(Tile(tile.level, tile.index).name)
        except (Absent, KeyError):
            raise Absent(Code.ABSENT, f"{tile.name} is missing") from None
        if tile.level >= 0:
            return data[: tile.width * HASH]
        at = 0
        for _ in range(tile.width):
            at += 2 + int.from_bytes(data[at : at + 2])
        return data[:at]

    def hashes(self, level: int, index: int) -> list[bytes]:
        """The hashes of a tile. Raises Absent, or Invalid for a wrong length."""
        tile = self.tile(level, index)
        return self._rows(tile)[0]

    def entries(self, index: int) -> list[bytes]:
        """The entries of a bundle. Raises Absent, or Invalid for a bundle that is not well formed."""
        tile = self.tile(-1, index)
        return unpack_bundle(self.read(tile), tile.width)

    def root(self, size: int | None = None) -> bytes:
        """The root of the tree as it was at `size` leaves, now by default."""
        size = self.size if size is None else size
        if not 0 <= size <= self.size:
            raise Invalid(Code.INVALID_ARGUMENTS, "the tree has not that many leaves")
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """The audit path of leaf `index` in the tree of `size` leaves (RFC 9162 §2.1.3.1), sibling first."""
        size = self.size if size is None else size
        if not 0 <= index < size <= self.size:
            raise Invalid(Code.INVALID_ARGUMENTS, "no such leaf in a tree of this size")
        path: list[bytes] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return path[::-1]

    def consistency(self, old: int, size: int | None = None) -> list[bytes]:
        """The proof that the tree of `size` leaves continues the one of `old` (RFC 9162 §2.1.4.1); empty
        where `old` is 0 or `size`."""
        size = self.size if size is None else size
        if not 0 <= old <= size <= self.size:
            raise Invalid(Code.INVALID_ARGUMENTS, "no such trees in this log")
        path: list[bytes] = []
        low, high, whole = 0, size, True
        if old in (0, size):
            return path
        while old != high:
            middle = low + _split(high - low)
            if old <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low, whole = middle, False
        if not whole:
            path.append(self._range(low, high))
        return path[::-1]

    def _range(self, low: int, high: int) -> bytes:
        """The root over leaves low … high − 1, where `low` is a multiple of the power of two ≥ high − low."""
        count = high - low
        if count & (count - 1):
            middle = low + _split(count)
            return node_hash(self._range(low, middle), self._range(middle, high))
        level, within = divmod(count.bit_length() - 1, HEIGHT)
        first = low >> HEIGHT * level
        return self._rows(self.tile(level, first // WIDTH))[within][first % WIDTH >> within]

    def _rows(self, tile: Tile) -> list[list[bytes]]:
        rows = self._seen.get(tile)
        if rows is None:
            row = split_tile(self.read(tile), tile.width)
            rows = self._seen[tile] = [row]
            while len(row) > 1:
                row = [_sha256(b"\1" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)]
                rows.append(row)
        return rows


def _split(count: int) -> int:
    """The largest power of two below `count` (≥ 2)."""
    return 1 << ((count - 1).bit_length() - 1)


def verify_inclusion(entry: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves that `entry` is leaf `index` of the tree of `size` leaves with `root` (RFC 9162
    §2.1.3.2)."""
    if not 0 <= index < size or any(len(step) != HASH for step in path):
        return False
    node, at, last = leaf_hash(entry), index, size - 1
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(step, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, step)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree of `size` leaves with `root` continues the one of `old` leaves with
    `old_root` (RFC 9162 §2.1.4.2). Every tree continues the empty one, of root `EMPTY_ROOT`."""
    if not 0 <= old <= size or any(len(step) != HASH for step in path):
        return False
    if old == size:
        return not path and old_root == root and (size > 0 or root == EMPTY_ROOT)
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    steps = list(path) if old & (old - 1) else [old_root, *path]
    if not steps:
        return False
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(step, before), node_hash(step, after)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, step)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == root
